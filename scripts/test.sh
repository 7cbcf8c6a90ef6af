#!/bin/bash
# Runs all tests, then shows what they ran against, how long each suite took, and what they counted.
# Fails when a test fails, or when fewer cells were tried than tests/counts.txt says.
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

# The times of single tests are told by nightly toolchains alone, unless the tests' programs (and
# not the compiler) find this variable.
host=$(rustc -vV | sed -n 's/^host: //p')
runner=CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$host")_RUNNER
export "$runner=env RUSTC_BOOTSTRAP=1"

status=0
cargo test --workspace --locked --no-fail-fast --tests "$@" -- \
    -Z unstable-options --report-time 2>&1 | tee "$log" || status=$?
unset "$runner"
if [ $# = 0 ]; then
    cargo test --workspace --locked --no-fail-fast --doc 2>&1 | tee -a "$log" || status=$?
fi
scripts/peers.sh "$log"
printf '\n%-28s %5s %9s\n' suite tests seconds
awk -f scripts/suites.awk "$log" | LC_ALL=C sort
for table in "$TEST_COUNTS_DIR"/table-*.txt; do
    [ ! -e "$table" ] || { echo; cat "$table"; }
done
# Some of the tests tell some of the counts.
if [ $# = 0 ] && [ "$status" = 0 ]; then
    scripts/counts.sh "$TEST_COUNTS_DIR/counts.txt" ${TEST_COUNTS_WRITE:+--write} || status=$?
fi
exit "$status"
