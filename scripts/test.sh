#!/bin/bash
# Runs all tests, then shows what they ran against, how long each suite took, and what they counted.
# Fails when a test fails, or when fewer cells were tried than tests/counts.txt says.
#
#   scripts/test.sh                   all tests: for root
#   scripts/test.sh user [FILTER]     those that an ordinary user can run, too
#   scripts/test.sh FILTER            those whose names contain it
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/env.sh

# The suites of tests/it that only root can run: their servers need it. A test holds that no other does.
root_suites=(openstack full_launch)

as_user=
if [ "${1:-}" = user ]; then
    as_user=yes
    shift
elif [ "$(id -u)" != 0 ]; then
    echo "test: only root can run the suites of tests: ${root_suites[*]}; \`make test ARGS=user\` runs all others" >&2
    [ $# -gt 0 ] || exit 1
fi
scripts/setup.sh --tests

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

# Their names, which no other test's name contains.
skips=()
if [ "$as_user" ]; then
    listed=$(cargo test --locked --test it -- --list --format terse)
    for suite in "${root_suites[@]}"; do
        while read -r name; do
            skips+=(--skip "$name")
        done < <(sed -n "s/^\($suite::.*\): test$/\1/p" <<<"$listed")
    done
fi

status=0
cargo test --workspace --locked --no-fail-fast --tests "$@" -- \
    -Z unstable-options --report-time "${skips[@]}" 2>&1 | tee "$log" || status=$?
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
if [ "$status" != 0 ]; then
    printf '\nwhy tests failed:\n'
    grep -A 20 'panicked at' "$log" | cut -c -2000 | head -n 200 || true
fi
[ -z "$as_user" ] ||
    printf '\nnot run, since only root can: %d tests of the suites: %s\n' $((${#skips[@]} / 2)) "${root_suites[*]}"
exit "$status"
