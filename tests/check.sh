#!/bin/sh
# Runs all tests, adds up their counts and says them in one line at the end. Called by `make check`.
set -u
: "${BUILD:=build}" "${PROGRAM:=./switchtap}"
export BUILD PROGRAM
export LIMITS=quick # the rest of it: make check-limits
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0 broken=0
"$BUILD/unit" >"$log" 2>&1 || broken=1
grep -vE '^Running suite' "$log"
counts=$(sed -n 's/^[0-9]*%: Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\).*/\1 \2 \3/p' "$log" | tail -n 1)
if [ -n "$counts" ]; then
    # shellcheck disable=SC2086
    set -- $counts
    failed=$(($2 + $3)); passed=$(($1 - failed)); broken=0
fi
skipped=0
for test in golden scripts rules recut twins conformance workers fuzz cli keys privileges live \
    rotate robust limits hostile tshark; do
    [ -f "tests/$test.py" ] || continue
    python3 "tests/$test.py" >"$log" 2>&1
    status=$?
    cat "$log"
    counts=$(sed -n "s/^$test: \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped\$/\1 \2 \3/p" "$log")
    if [ -z "$counts" ]; then broken=$((broken + 1)); continue; fi
    # shellcheck disable=SC2086
    set -- $counts
    passed=$((passed + $1)); failed=$((failed + $2)); skipped=$((skipped + $3))
    [ $status -eq 0 ] || [ "$2" -gt 0 ] || broken=$((broken + 1))
done
failed=$((failed + broken))
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
