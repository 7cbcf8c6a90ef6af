#!/bin/bash
# Compares builds of `ocim` as people feel them: memory, and how soon a list of instances comes.
#
#   scripts/compare-builds.sh PROGRAM BASELINE
#
# Each serves a folder of its own with 50 instances, and is asked for the list 500 times over one
# connection. Prints both, and the ratios.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/env.sh
[ $# = 2 ] || { sed -n 2,7p "$0" >&2; exit 2; }

folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; wait; rm -rf "$folder"' EXIT

# Prints the median in microseconds, and the resident memory in KiB.
measure() {
    local program=$1 port=$2 url=http://127.0.0.1:$2/api/v1/instances
    export OCIM_DATA_DIR=$folder/$port OCIM_HTTP_PORT=$port DEFAULT_CONFIGURATION_REPO_URL=bundled:demo_site
    export ANSIBLE_APPSERVER_REPO='' OCIM_CLOUDS='{"sim": {"kind": "simulated", "seed": 1}}' OPENSTACK_REGION=sim
    "$program" serve >"$folder/$port.log" 2>&1 &
    server=$!
    until "$program" status >/dev/null 2>&1; do
        kill -0 "$server" || { cat "$folder/$port.log" >&2; exit 1; }
        sleep 0.2
    done
    for number in $(seq 50); do
        "$program" instance create --sub-domain "site$number" --name "Site $number" email=me@example.com >/dev/null
    done
    local token urls=()
    token=$("$program" token create compare --scope read)
    for _ in $(seq 500); do urls+=(-o /dev/null "$url?limit=50"); done
    curl --silent --show-error --fail --oauth2-bearer "$token" -w '%{time_total}\n' "${urls[@]}" |
        sort -n | sed -n 250p | awk '{ printf "%d ", $1 * 1e6 }'
    awk '/^VmRSS/ { print $2 }' "/proc/$server/status"
    kill "$server"
    wait "$server" || true
    server=
}

read -r time memory <<<"$(measure "$1" 5081)"
read -r base_time base_memory <<<"$(measure "$2" 5082)"
awk -v t="$time" -v m="$memory" -v bt="$base_time" -v bm="$base_memory" 'BEGIN {
    printf "%-10s %14s %14s\n", "", "p50 of a list", "memory"
    printf "%-10s %11d us %10d KiB\n", "program", t, m
    printf "%-10s %11d us %10d KiB\n", "baseline", bt, bm
    printf "%-10s %14.2f %14.2f\n", "ratio", t / bt, m / bm
}'
