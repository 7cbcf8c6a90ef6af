#!/bin/bash
# Runs all tests, then shows what they ran against. Fails when one of them fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/env.sh

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
cargo test --workspace --locked --no-fail-fast "$@" 2>&1 | tee "$log" || status=$?
scripts/peers.sh "$log"
exit "$status"
