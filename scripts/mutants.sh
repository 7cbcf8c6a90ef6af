#!/bin/bash
# Changes `domain` and `projections` in small ways, one at a time, and looks whether a test notices.
# Fails when more than 5 of 100 changes survive; .cargo/mutants.toml says which are not made, and why.
#
#   scripts/mutants.sh                          all of them: many hours
#   scripts/mutants.sh --shard 3/40             every fortieth of them
#   scripts/mutants.sh --file domain/src/saga/plan.rs
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/env.sh
# Beside other builds, which would wait for these otherwise.
export CARGO_TARGET_DIR=$CARGO_TARGET_DIR/mutants

version=27.1.0
tools=$OCIM_CACHE_DIR/tools
if [ "$("$tools/bin/cargo-mutants" mutants --version 2>/dev/null)" != "cargo-mutants $version" ]; then
    echo "mutants: building cargo-mutants $version" >&2
    cargo install --quiet --locked --root "$tools" --version "$version" cargo-mutants
fi

output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT
# 2: some survived; 3: some ran out of time, which counts as noticed.
status=0
"$tools/bin/cargo-mutants" mutants --package ocim-domain --package ocim-projections \
    --output "$output" --no-shuffle --sharding round-robin --colors never "$@" || status=$?
case $status in 0 | 2 | 3) ;; *) exit "$status" ;; esac

python3 - "$output/mutants.out/outcomes.json" <<'END'
import json, sys

with open(sys.argv[1]) as file:
    outcomes = json.load(file)
missed, caught = outcomes["missed"], outcomes["caught"] + outcomes["timeout"]
tried = missed + caught
print(f"mutants: {missed} of {tried} survived, {outcomes['unviable']} did not compile")
sys.exit(tried == 0 or missed * 20 > tried)
END
