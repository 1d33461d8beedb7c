#!/bin/sh
# Builds large captures (the same every time, not kept in the repository) and measures in one run,
# medians of five, how long switchtap takes for them beside a bare libpcap loop over the same file,
# a bare SQLite loop with the same rows, and tshark and ndpiReader, where they are installed.
#
#     bench.sh [PROFILE ...]
#
# BENCH_SCALE=0.1 is for a quick look (only from 1 on the bare loop takes half a second); BENCH_RUNS
# is how many runs the median is of; TMPDIR needs 8 GB.
set -eu
: "${BUILD:=build}" "${CC:=gcc}" "${BENCH_SCALE:=1}" "${BENCH_RUNS:=5}" "${PROGRAM:=./switchtap}"
work=$(mktemp -d "${TMPDIR:-/tmp}/switchtap-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
python3 tests/bench/measure.py "$BUILD" "$PROGRAM" "$work" "$BENCH_SCALE" "$BENCH_RUNS" "$@"
