#!/bin/bash
# Builds the program `ocim` as people run it (the profile `demo`), and says how far it has come: a
# first build takes minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/env.sh

# Crates without those for tests; build scripts and the like are not counted apart.
echo 'build: looking what is to be built, and fetching it' >&2
crates=$(cargo tree --quiet --locked --package ocim --edges normal,build --prefix none --no-dedupe |
    sed 's/ (.*//' | sort -u | wc -l)
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT

status=0
cargo build --locked --profile demo --bin ocim --message-format=json-render-diagnostics \
    2>"$errors" | awk -v crates="$crates" -v cores="$(nproc)" '
    function now(   time) { "date +%s" | getline time; close("date +%s"); return time }
    function say(text) { print "build: " text > "/dev/stderr"; fflush("/dev/stderr") }
    BEGIN { start = now(); told = start }
    # A crate that is built twice, for a build script and for the program, counts once.
    /"reason":"compiler-artifact"/ && !/"kind":\["custom-build"\]/ {
        match($0, /"package_id":"[^"]*"/)
        crate = substr($0, RSTART, RLENGTH)
        if (!(crate in seen)) done++
        seen[crate] = 1
        if (/"fresh":true/) next
        if (!built++) say("a first build takes 5 to 15 minutes on 2 cores, a later one a minute or two (this machine has " cores ")")
        time = now()
        if (time - told < 10) next
        told = time
        # The last crate, Ocim itself, takes about a fifth of the time.
        left = (time - start) * (crates / done * 1.25 - 1)
        say(sprintf("%d of %d crates after %d s, about %d min left", done, crates, time - start, left / 60 + 1))
    }
    END { if (built) say(sprintf("done after %d s", now() - start)) }' || status=$?
[ "$status" = 0 ] || cat "$errors" >&2
exit "$status"
