# What one does with Ocim; `make` lists it.
#
# Nothing is built into the clone: see scripts/env.sh. ARGS go to the program:
# `make demo ARGS=--once`, `make test ARGS=platform`, `make test ARGS=user`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
ENV := source scripts/env.sh;

.PHONY: help
help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

.PHONY: setup
setup: ## make this machine ready (part of test; demo and build do what they need of it)
	@scripts/setup.sh --tests

.PHONY: demo
demo: build ## deploy a site on this machine, print its links, stay until Ctrl-C
	@$(ENV) exec "$$CARGO_TARGET_DIR/demo/ocim" demo $(ARGS)

.PHONY: build
build: ## build the program `ocim`; `source scripts/env.sh` then puts it on the PATH
	@scripts/setup.sh
	@scripts/build.sh

.PHONY: test
test: ## run all tests, against real programs; as an ordinary user with ARGS=user
	@scripts/test.sh $(ARGS)

FULL_LAUNCH := cargo test --locked --test it -- --exact full_launch::full_launch --nocapture

.PHONY: demo-openstack
demo-openstack: setup ## show a site's whole life on an OpenStack and all other servers, started for it
	@$(ENV) FULL_LAUNCH_SITES=1 $(FULL_LAUNCH)

.PHONY: soak
soak: setup ## as demo-openstack, with twenty sites at once
	@$(ENV) FULL_LAUNCH_SITES=20 $(FULL_LAUNCH)

.PHONY: counts
counts: ## run all tests, and take what they count as the least from now on
	@TEST_COUNTS_WRITE=1 scripts/test.sh

.PHONY: bench
bench: setup ## measure, with both sides of each ratio
	@$(ENV) cargo bench --workspace --locked $(ARGS)

.PHONY: mutants
mutants: setup ## change domain and projections in small ways, and see that the tests notice
	@scripts/mutants.sh $(ARGS)

.PHONY: fmt
fmt: ## format the code
	@$(ENV) cargo fmt --all

.PHONY: lint
lint: ## check format and lints
	@$(ENV) cargo fmt --all --check; cargo clippy --workspace --all-targets --locked -- -D warnings

.PHONY: openapi
openapi: ## write api-spec/openapi.json anew
	@$(ENV) cargo build --locked; "$$CARGO_TARGET_DIR/debug/ocim" openapi >api-spec/openapi.json.new
	@mv api-spec/openapi.json.new api-spec/openapi.json

.PHONY: clean
clean: ## remove what was built and fetched
	@$(ENV) cargo clean --quiet; rm -rf "$$OCIM_CACHE_DIR"/{wheels,pip,tools}
