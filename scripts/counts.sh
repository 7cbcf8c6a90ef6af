#!/bin/bash
# Shows how many cells each matrix of the tests was made of, and compares them, place by place,
# with the least that there may be (tests/counts.txt): none may fall or go missing.
#
#   scripts/counts.sh FILE           compares what the tests told
#   scripts/counts.sh FILE --write   makes it the least from now on
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
told=$1 least=tests/counts.txt

sorted() {
    grep -v '^$' "$told" | LC_ALL=C sort
}

if [ "${2:-}" = --write ]; then
    { echo "# matrix, place, cells: see scripts/counts.sh"; sorted; } >"$least.new"
    mv "$least.new" "$least"
    exit
fi

echo
sorted | awk -F'\t' '{ cells[$1] += $3; places[$1]++ }
    END { for (m in cells) printf "%-36s %6d cells in %3d places\n", m, cells[m], places[m] }' |
    LC_ALL=C sort
sorted | awk -F'\t' '
    NR == FNR { if (!/^#/) least[$1 "\t" $2] = $3; next }
    { seen[$1 "\t" $2] += $3 }
    END {
        for (row in least) if (seen[row] + 0 < least[row]) {
            name = row; sub("\t", ", ", name)
            printf "counts: %s: %d cells, but there were %d\n", name, seen[row], least[row]
            fallen = 1
        }
        exit fallen
    }' "$least" -
