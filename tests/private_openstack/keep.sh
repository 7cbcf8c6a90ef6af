#!/bin/bash
# keep.sh DIR - up.sh for as long as standard input is open, so that the stack ends with whoever started
# it, however that ends.  DIR is removed then.  DIR.log is what it prints; once DIR/ready is there, the
# stack is.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$1
trap '' INT PIPE
exec >"$dir.log" 2>&1
if "$here/up.sh" "$dir" </dev/null; then
    touch "$dir/ready"
    cat >/dev/null
fi
"$here/down.sh" "$dir" </dev/null
# Whoever waits for it to get ready reads the log first.
[ ! -e "$dir/ready" ] || rm -f "$dir.log"
rm -rf "$dir"
