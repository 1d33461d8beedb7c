#!/bin/sh
# How much of the code the inputs reach that fuzzing has gathered so far (seeds, committed corpus,
# $BUILD/fuzz/work): lines by folder. After fuzz.sh.
set -eu
: "${BUILD:=build}" "${CLANG:=clang}"
sh tests/deps.sh cover
version=$("$CLANG" -dumpversion | cut -d. -f1)
out=$BUILD/cover
make --no-print-directory -s BUILD="$out" CC="$CLANG" OPTIMISE="-O1 -g" HARDEN= HARDEN_LD= \
    SANITIZE="-fsanitize=fuzzer-no-link -fprofile-instr-generate -fcoverage-mapping" "$out/fuzzer"
rm -rf "$out/raw"
mkdir -p "$out/raw"
for target in $(LLVM_PROFILE_FILE=/dev/null "$out/fuzzer" --targets); do
    set --
    for folder in "$BUILD/fuzz/work/$target" "$BUILD/fuzz/seeds/$target" \
        "tests/fuzz/corpus/$target"; do
        [ ! -d "$folder" ] || set -- "$@" "$folder"
    done
    FUZZ_TARGET=$target LLVM_PROFILE_FILE=$out/raw/$target "$out/fuzzer" -runs=0 "$@" \
        >"$out/log" 2>&1 || { tail -n 5 "$out/log"; echo "fuzz: $target failed"; }
done
"llvm-profdata-$version" merge -o "$out/profile" "$out"/raw/*
"llvm-cov-$version" export -summary-only -instr-profile="$out/profile" "$out/fuzzer" |
    python3 tests/fuzz/cover.py
