# Adds up the seconds of the tests by suite, from the output of `cargo test` with --report-time.
# Tests run beside each other: the seconds of all suites are more than the time that went by.

# The program of the tests that follow: "src/lib.rs (…/deps/ocim_domain-0123)", "tests/it/main.rs (…)".
/^ +Running / {
    program = $0
    sub(/^ +Running (unittests )?/, "", program)
    file = program
    sub(/ \(.*/, "", file)
    sub(/.*\//, "", program)
    sub(/-[0-9a-f]+\)$/, "", program)
}
/^test .* \.\.\. ok <[0-9.]+s>$/ {
    split($2, parts, "::")
    suite = (file ~ /^src\//) ? program " (in src)" : parts[1]
    if (suite == $2) suite = program
    seconds = $NF
    gsub(/[<>s]/, "", seconds)
    time[suite] += seconds
    tests[suite]++
}
END {
    for (suite in time) printf "%-28s %5d %9.1f\n", suite, tests[suite], time[suite]
}
