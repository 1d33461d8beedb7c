#!/bin/sh
# Fuzzes the layers of a flow with clang's libFuzzer, for FUZZ_SECONDS (60); what was found lies in
# $BUILD/fuzz/found, the inputs that reach something new in $BUILD/fuzz/corpus.
set -eu
: "${BUILD:=build}" "${CLANG:=clang}" "${FUZZ_SECONDS:=60}"
if ! command -v "$CLANG" >/dev/null 2>&1; then
    echo "fuzz: skipped, no $CLANG"
    exit 0
fi
out=$BUILD/fuzz
mkdir -p "$out/corpus" "$out/found"
# Sources in C give NULL + 0 for the end of a text that is not there.
# shellcheck disable=SC2046
"$CLANG" -std=c11 -D_GNU_SOURCE -O1 -g -fsanitize=fuzzer,address,undefined \
    -fno-sanitize=pointer-overflow -fno-sanitize-recover=undefined \
    $(pkg-config --cflags libnghttp2 libcrypto libxxhash zlib) -o "$out/fuzz_stack" \
    tests/fuzz/fuzz_stack.c dissectors/*.c schema/*.c \
    $(pkg-config --libs libnghttp2 libcrypto libxxhash zlib)
python3 tests/fuzz/seeds.py "$out/seeds"
exec "$out/fuzz_stack" -max_total_time="$FUZZ_SECONDS" -max_len=6000 -timeout=10 \
    -dict=tests/fuzz/words.dict -artifact_prefix="$out/found/" "$out/corpus" "$out/seeds"
