#!/bin/sh
# Builds large captures (the same every time, not kept in the repository) and measures how long
# switchtap takes for them beside a bare libpcap loop over the same file, medians of three runs; for
# the chats also beside tshark, where it is installed. BENCH_SCALE makes them larger or smaller.
set -eu
: "${BUILD:=build}" "${CC:=gcc}" "${BENCH_SCALE:=1}" "${PROGRAM:=./switchtap}"
work=$(mktemp -d "${TMPDIR:-/tmp}/switchtap-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$BUILD"
$CC -O2 -o "$BUILD/generate" tests/bench/generate.c tests/bench/seal.c -lcrypto -lz
$CC -O2 -o "$BUILD/bare_pcap" tests/bench/bare_pcap.c -lpcap
python3 tests/bench/measure.py "$BUILD" "$PROGRAM" "$work" "$BENCH_SCALE" "$@"
