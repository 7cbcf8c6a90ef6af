#!/bin/bash
# Changes `domain` and `projections` in small ways, one at a time, and looks whether a test notices.
# Fails when more than 5 of 100 changes survive; .cargo/mutants.toml says which are not made, and why.
#
#   scripts/mutants.sh                          all of them: less than an hour
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
exec python3 scripts/mutants.py "$tools/bin/cargo-mutants" "$@"
