#!/bin/sh
# Fuzzes with clang's libFuzzer, under AddressSanitizer and UBSan: each target for FUZZ_SECONDS (30),
# FUZZ_JOBS (as many as there are processors) at a time. FUZZ_TARGETS: names, default all. What was
# found lies in $BUILD/fuzz/found, inputs that reach something new in $BUILD/fuzz/work. FUZZ_SEED: a
# number that the choices begin with, so that two runs from the same inputs try the same.
# `fuzz.sh build` only builds.
set -eu
: "${BUILD:=build}" "${CLANG:=clang}" "${FUZZ_SECONDS:=30}" "${FUZZ_JOBS:=$(nproc)}"
: "${FUZZ_TARGETS:=}" "${FUZZ_SEED:=0}"
sh tests/deps.sh fuzz
out=$BUILD/fuzz
# Sources in C give NULL + 0 for the end of a text that is not there.
make --no-print-directory -s -j"$FUZZ_JOBS" BUILD="$out" PROGRAM="$out/switchtap" CC="$CLANG" \
    OPTIMISE="-O1 -g" HARDEN= HARDEN_LD= \
    SANITIZE="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize=pointer-overflow \
-fno-sanitize-recover=undefined" "$out/fuzzer" "$out/switchtap"
[ "${1:-}" != build ] || exit 0
mkdir -p "$out/bin"
rm -rf "$out/seeds"
python3 tests/fuzz/seeds.py "$out/seeds" "$out/switchtap"
[ -n "$FUZZ_TARGETS" ] || FUZZ_TARGETS=$("$out/fuzzer" --targets)
for target in $FUZZ_TARGETS; do
    ln -sf ../fuzzer "$out/bin/$target"
    mkdir -p "$out/work/$target" "$out/found/$target" "$out/log"
done
export out FUZZ_SECONDS FUZZ_SEED
# One target; the folders that are given behind its own are read only.
# shellcheck disable=SC2016
one='
    target=$1
    set -- "$out/work/$target"
    case $target in stack-*) more="seeds/stack seeds/stack-" ;; *) more=seeds/$target ;; esac
    for folder in $more; do [ ! -d "$out/$folder" ] || set -- "$@" "$out/$folder"; done
    [ ! -d "tests/fuzz/corpus/$target" ] || set -- "$@" "tests/fuzz/corpus/$target"
    dict=tests/fuzz/${target%%-*}.dict
    [ ! -f "$dict" ] || set -- "-dict=$dict" "$@"
    longest=6000
    [ "$target" != database ] || longest=150000
    status=0
    "$out/bin/$target" -max_total_time="$FUZZ_SECONDS" -max_len=$longest -timeout=20 \
        -seed="$FUZZ_SEED" -rss_limit_mb=2500 -print_final_stats=1 -artifact_prefix="$out/found/$target/" "$@" \
        >"$out/log/$target" 2>&1 || status=$?
    runs=$(sed -n "s/^stat::number_of_executed_units: *//p" "$out/log/$target")
    cover=$(sed -n "s/.*DONE *cov: \([0-9]*\).*/\1/p" "$out/log/$target")
    if [ $status -eq 0 ]; then
        echo "fuzz: $target: ${runs:-0} executions, ${cover:-0} edges"
    else
        grep -E "invariant|ERROR|SUMMARY|Test unit written" "$out/log/$target" | head -n 8
        echo "fuzz: $target: FAILED, see $out/log/$target and $out/found/$target"
    fi'
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086
printf '%s\n' $FUZZ_TARGETS | xargs -P "$FUZZ_JOBS" -n 1 sh -c "$one" fuzz | tee "$log"
runs=$(sed -n 's/.*: \([0-9]*\) executions.*/\1/p' "$log" | awk '{sum += $1} END {print sum + 0}')
passed=$(grep -c ' executions, ' "$log" || true)
failed=$(grep -c ': FAILED' "$log" || true)
echo "fuzz: $runs executions"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
