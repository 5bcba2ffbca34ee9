#!/bin/bash
# Builds every fuzzer for OSS-Fuzz and ClusterFuzzLite, through CMake and with the flags of the environment, and leaves
# in $OUT what their engines look for: TARGET, and where there is one TARGET_seed_corpus.zip, TARGET.options and
# TARGET.dict; and beside fuzz_threads the library that it runs on.
#
# Their images set $SRC, $OUT, $WORK, $CC, $CXX, $CFLAGS, $CXXFLAGS, $LIB_FUZZING_ENGINE, $SANITIZER, $FUZZING_ENGINE
# and $ARCHITECTURE. The flags hold the sanitizer; what else depends on it is CMake's to know. The source is
# $SRC/heapster.
set -euo pipefail

source_folder=$SRC/heapster
build_folder=${WORK:-$SRC}/heapster-${SANITIZER:-address}

# The allocator's tags and its region map are made for 64-bit pointers.
case ${ARCHITECTURE:-x86_64} in
x86_64 | aarch64) ;;
*)
    echo "heapster: no fuzzers for ARCHITECTURE=$ARCHITECTURE, only for x86_64 and aarch64" >&2
    exit 1
    ;;
esac

case ${SANITIZER:-address} in
address | undefined | thread | memory) sanitizer=${SANITIZER:-address} ;;
none | coverage | introspector) sanitizer= ;;
*)
    echo "heapster: no fuzzers with SANITIZER=$SANITIZER" >&2
    exit 1
    ;;
esac

case ${FUZZING_ENGINE:-libfuzzer} in
libfuzzer | afl | honggfuzz | centipede) ;;
*)
    echo "heapster: no fuzzers with FUZZING_ENGINE=$FUZZING_ENGINE" >&2
    exit 1
    ;;
esac

# The explorer, on which fuzz_threads runs, watches accesses by itself, and tells the engine of them by libFuzzer's extra
# counters: another sanitizer would see no more, another engine nothing.
case ${SANITIZER:-address}:${FUZZING_ENGINE:-libfuzzer} in
address:libfuzzer | coverage:libfuzzer) threads=ON ;;
*) threads=OFF ;;
esac

# Of a build type of its own: CMake adds no flag to those of the environment.
cmake -S "$source_folder" -B "$build_folder" -DCMAKE_BUILD_TYPE=Environment \
    -DCMAKE_C_COMPILER="$CC" -DCMAKE_CXX_COMPILER="$CXX" \
    -DCMAKE_C_FLAGS="${CFLAGS:-}" -DCMAKE_CXX_FLAGS="${CXXFLAGS:-}" \
    -DHEAPSTER_FUZZ=ON -DHEAPSTER_FUZZ_ENGINE="$LIB_FUZZING_ENGINE" -DHEAPSTER_SANITIZER="$sanitizer" \
    -DHEAPSTER_OVERRIDE=OFF -DHEAPSTER_CHECK_RANKS=ON -DHEAPSTER_FUZZ_THREADS="$threads"
cmake --build "$build_folder" --target fuzzers -j "$(nproc)"

# pack_seeds <target>: what is in its corpus and what once crashed, if there is any of it; not what crashes only after
# other inputs (the folders of regressions).
pack_seeds()
{
    local folder seeds
    seeds=$(mktemp -d)
    for folder in "$source_folder/fuzz/corpus/$1" "$source_folder/fuzz/regressions/$1"; do
        [ ! -d "$folder" ] || find "$folder" -maxdepth 1 -type f -exec cp {} "$seeds" \;
    done
    rm -f "$OUT/$1_seed_corpus.zip"
    if [ -n "$(find "$seeds" -type f -print -quit)" ]; then
        (cd "$seeds" && find . -type f -printf '%P\n' | sort >../"${seeds##*/}.names" &&
            cmake -E tar cf "$OUT/$1_seed_corpus.zip" --format=zip --files-from=../"${seeds##*/}.names")
    fi
    rm -rf "$seeds" "$seeds.names"
}

# pack_dictionary <target>: the one of its name, and the one that its options name.
pack_dictionary()
{
    local named
    named=$(sed -n 's/^dict *= *//p' "$source_folder/fuzz/$1.options" 2>/dev/null || true)
    for named in "$1.dict" $named; do
        [ ! -f "$source_folder/fuzz/$named" ] || cp "$source_folder/fuzz/$named" "$OUT/$named"
    done
}

found=0
for source in "$source_folder"/fuzz/fuzz_*.c; do
    target=$(basename "$source" .c)
    [ -x "$build_folder/bin/$target" ] || continue
    cp "$build_folder/bin/$target" "$OUT/$target"
    pack_seeds "$target"
    pack_dictionary "$target"
    [ ! -f "$source_folder/fuzz/$target.options" ] || cp "$source_folder/fuzz/$target.options" "$OUT/"
    found=$((found + 1))
done
[ "$threads" = OFF ] || cp "$build_folder/bin/libheapster-explored.so" "$OUT/"
echo "heapster: $found fuzzers in $OUT"
[ "$found" -gt 0 ]
