#!/bin/bash
# Runs all tests, then shows what they ran against and what they counted. Fails when one of them
# fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/env.sh

log=$(mktemp)
TEST_COUNTS_DIR=$(mktemp -d)
export TEST_COUNTS_DIR
trap 'rm -rf "$log" "$TEST_COUNTS_DIR"' EXIT
# Tests that need the whole computer wait for each other, and most of them for other programs: with
# more threads than cores the rest goes on meanwhile.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(nproc) + 2))}"
status=0
cargo test --workspace --locked --no-fail-fast "$@" 2>&1 | tee "$log" || status=$?
scripts/peers.sh "$log"
for told in "$TEST_COUNTS_DIR"/counts.txt "$TEST_COUNTS_DIR"/table-*.txt; do
    [ ! -e "$told" ] || { echo; cat "$told"; }
done
exit "$status"
