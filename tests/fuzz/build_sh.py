#!/usr/bin/env python3
"""What ClusterFuzzLite and OSS-Fuzz would build of the tree: the build script with the environment of their images, and
what lands in $OUT: every target, started on its own seeds, with the files that the engines look for.

usage: build_sh.py SOURCE FOLDER address|undefined|memory|thread|coverage|none|afl|refused|lacks
"""
import glob
import os
import shutil
import subprocess
import sys
import zipfile

# The flags of their images, for each sanitizer and for coverage.
CHECKS = "array-bounds,bool,builtin,enum,float-divide-by-zero,function,integer-divide-by-zero,null,object-size," \
         "return,returns-nonnull-attribute,shift,signed-integer-overflow,unreachable,vla-bound,vptr"
SANITIZER_FLAGS = {
    "address": "-fsanitize=address -fsanitize-address-use-after-scope",
    "undefined": f"-fsanitize={CHECKS},unsigned-integer-overflow -fno-sanitize-recover={CHECKS}",
    "memory": "-fsanitize=memory -fsanitize-memory-track-origins",
    "thread": "-fsanitize=thread",
    "coverage": "",
    "none": "",
}
COMMON_FLAGS = "-O1 -fno-omit-frame-pointer -gline-tables-only -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION"
FEEDBACK_FLAGS = "-fsanitize=fuzzer-no-link"
COVERAGE_FLAGS = "-fprofile-instr-generate -fcoverage-mapping -pthread -Wl,--no-as-needed -Wl,-ldl -Wl,-lm " \
                 "-Wno-unused-command-line-argument"
# What the image's script for AFL++ changes.
AFL = {"CC": "afl-clang-fast", "CXX": "afl-clang-fast++", "FUZZING_ENGINE": "afl", "AFL_QUIET": "1",
       "LIB_FUZZING_ENGINE": "/usr/lib/afl/libAFLDriver.a"}
# Those of AFL++ for where there is no terminal, and cores are others', too.
AFL_RUN = {"AFL_NO_UI": "1", "AFL_NO_AFFINITY": "1", "AFL_SKIP_CPUFREQ": "1",
           "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1", "ASAN_OPTIONS": "abort_on_error=1:symbolize=0"}
AFL_SECONDS = 2
# What is built with AddressSanitizer for libFuzzer alone, and the library that it runs on.
THREADS = "fuzz_threads"
LIBRARY = "libheapster-explored.so"
FAILURES = []


def expect(true, text):
    if not true:
        FAILURES.append(text)


def environment(source, folder, sanitizer, **changed):
    """As the image sets it; folders are as in the image, too: $SRC/heapster, $OUT, $WORK."""
    folders = {name: os.path.join(folder, name.lower()) for name in ("SRC", "OUT", "WORK")}
    for path in folders.values():
        os.makedirs(path, exist_ok=True)
    link = os.path.join(folders["SRC"], "heapster")
    if not os.path.islink(link):
        os.symlink(source, link)
    flags = f"{COMMON_FLAGS} {SANITIZER_FLAGS.get(sanitizer, '')} " \
            f"{COVERAGE_FLAGS if sanitizer == 'coverage' else FEEDBACK_FLAGS}"
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **folders, "CC": "clang", "CXX": "clang++",
            "CFLAGS": flags, "CXXFLAGS": flags, "LIB_FUZZING_ENGINE": "-fsanitize=fuzzer", "SANITIZER": sanitizer,
            "FUZZING_ENGINE": "libfuzzer", "ARCHITECTURE": "x86_64", "FUZZING_LANGUAGE": "c",
            "UBSAN_OPTIONS": "silence_unsigned_overflow=1", "TSAN_OPTIONS": "detect_deadlocks=0:halt_on_error=1",
            **changed}


def build(source, folder, sanitizer, **changed):
    """Status and output of ClusterFuzzLite's script, which is OSS-Fuzz's, called as their images call it."""
    variables = environment(source, folder, sanitizer, **changed)
    script = shutil.copy(os.path.join(source, ".clusterfuzzlite", "build.sh"), variables["SRC"])
    done = subprocess.run(["bash", "-eu", script], env=variables, cwd=os.path.join(variables["SRC"], "heapster"),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout, variables


def check_seeds(source, variables, target, out):
    """The zip holds what is committed, and the target takes each of its inputs."""
    committed = {os.path.basename(path) for kind in ("corpus", "regressions")
                 for path in glob.glob(os.path.join(source, "fuzz", kind, target, "*")) if os.path.isfile(path)}
    archive = os.path.join(out, f"{target}_seed_corpus.zip")
    expect(os.path.exists(archive) == bool(committed), f"{target}: {len(committed)} inputs, the zip is there or not")
    seeds = os.path.join(variables["WORK"], f"{target}_seeds")
    shutil.rmtree(seeds, ignore_errors=True)
    os.makedirs(seeds)
    if committed:
        with zipfile.ZipFile(archive) as file:
            expect(set(file.namelist()) == committed, f"{target}: the zip holds {file.namelist()}")
            file.extractall(seeds)
    return seeds


def check_target(source, variables, target):
    out = variables["OUT"]
    binary = os.path.join(out, target)
    expect(os.access(binary, os.X_OK), f"{target} is not in $OUT")
    seeds = check_seeds(source, variables, target, out)
    for extension in ("options", "dict"):
        expect(os.path.exists(os.path.join(source, "fuzz", f"{target}.{extension}")) <=
               os.path.exists(os.path.join(out, f"{target}.{extension}")), f"no {target}.{extension} in $OUT")
    if not os.access(binary, os.X_OK):
        return
    if variables["FUZZING_ENGINE"] == "afl":
        check_afl(variables, target, seeds)
    else:
        check_libfuzzer(variables, target, seeds)
    symbols = subprocess.run(["nm", binary], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                             check=True).stdout
    symbol = {"address": "__asan_init", "undefined": "__ubsan_handle", "memory": "__msan_init", "thread": "__tsan_init",
              "coverage": "__llvm_profile_runtime"}.get(variables["SANITIZER"])
    expect(symbol is None or symbol in symbols, f"{target} has no {symbol}")
    linked = subprocess.run(["ldd", binary], stdout=subprocess.PIPE, text=True, check=True).stdout
    expect(not [line for line in linked.splitlines() if "heapster" in line and f" => {out}/" not in line],
           f"{target} needs a library of the build: {linked}")


def check_libfuzzer(variables, target, seeds):
    # In an empty folder and with nothing of the build's: what is not in $OUT is not there on their machines. Builds for
    # coverage have no feedback for the engine; these only replay.
    binary = os.path.join(variables["OUT"], target)
    runs = 0 if variables["SANITIZER"] == "coverage" else 200
    done = subprocess.run([binary, f"-runs={runs}", "-seed=1", "-max_len=200", seeds], cwd=variables["WORK"],
                          timeout=300, env={**variables, "LLVM_PROFILE_FILE": f"{variables['WORK']}/profile"},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    expect(done.returncode == 0 and "Done " in done.stdout,
           f"{target} ended with {done.returncode}: {done.stdout[-3000:]}")


def check_afl(variables, target, seeds):
    """The fuzzer takes the target as its own, instrumented and persistent, gets further in it, and nothing crashes."""
    found = os.path.join(variables["WORK"], f"{target}_afl")
    shutil.rmtree(found, ignore_errors=True)
    # The seeds of a target alone tell nothing of whether it gets further.
    shutil.rmtree(seeds)
    os.makedirs(seeds)
    with open(os.path.join(seeds, "one"), "w", encoding="utf-8") as file:
        file.write("seed")
    done = subprocess.run(["afl-fuzz", "-V", str(AFL_SECONDS), "-i", seeds, "-o", found, "--",
                           os.path.join(variables["OUT"], target)], cwd=variables["WORK"], timeout=300,
                          env={**variables, **AFL_RUN}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False)
    expect(done.returncode == 0, f"{target}: afl-fuzz ended with {done.returncode}: {done.stdout[-3000:]}")
    stats = os.path.join(found, "default", "fuzzer_stats")
    if not os.path.exists(stats):
        expect(False, f"{target}: afl-fuzz left no figures")
        return
    with open(stats, encoding="utf-8") as file:
        said = dict(map(str.strip, line.split(":", 1)) for line in file)
    expect("persistent" in said["target_mode"] and "shmem_testcase" in said["target_mode"],
           f"{target}: mode {said['target_mode']}")
    expect(int(said["execs_done"]) > 100 and int(said["corpus_count"]) > 1 and said["saved_crashes"] == "0",
           f"{target}: {said}")


def check_lacks(source, folder):
    """What may be wrong in $OUT is found: a program that is no fuzzer, the wrong seeds, and then nothing at all."""
    tree = os.path.join(folder, "tree")
    shutil.rmtree(folder, ignore_errors=True)
    for path in ("fuzz_a.c", "fuzz_a.options", "fuzz_a.dict", "corpus/fuzz_a/input"):
        os.makedirs(os.path.dirname(os.path.join(tree, "fuzz", path)), exist_ok=True)
        shutil.copy(os.path.join(source, "LICENSE"), os.path.join(tree, "fuzz", path))
    variables = environment(tree, folder, "address")
    wrong = [os.path.join(variables["OUT"], name) for name in ("fuzz_a", "fuzz_a_seed_corpus.zip")]
    shutil.copy(shutil.which("true"), wrong[0])
    with zipfile.ZipFile(wrong[1], "w") as file:
        file.writestr("another", "input")
    check_target(tree, variables, "fuzz_a")
    for path in wrong:
        os.remove(path)
    try:
        check_target(tree, variables, "fuzz_a")
    except FileNotFoundError:
        FAILURES.append("no seeds to read")
    shutil.copy(shutil.which("true"), wrong[0])
    check_afl({**variables, **AFL}, "fuzz_a", os.path.join(variables["WORK"], "fuzz_a_seeds"))
    found = "\n".join(FAILURES)
    FAILURES.clear()
    for text in ("the zip holds ['another']", "no fuzz_a.options in $OUT", "no fuzz_a.dict in $OUT",
                 "fuzz_a ended with 0", "fuzz_a has no __asan_init", "fuzz_a is not in $OUT", "the zip is there or not",
                 "no seeds to read", "fuzz_a: afl-fuzz ended with 1", "fuzz_a: afl-fuzz left no figures"):
        expect(text in found, f"not found: {text}")


def check_refusals(source, folder):
    for changed, text in (({"ARCHITECTURE": "i386"}, "no fuzzers for ARCHITECTURE=i386"),
                          ({"SANITIZER": "dataflow"}, "no fuzzers with SANITIZER=dataflow"),
                          ({"FUZZING_ENGINE": "none"}, "no fuzzers with FUZZING_ENGINE=none")):
        status, output, _ = build(source, folder, "address", **changed)
        expect(status == 1 and text in output, f"{changed}: status {status}: {output}")


def main(source, folder, case):
    source = os.path.realpath(source)
    folder = os.path.join(os.path.abspath(folder), case)
    shutil.rmtree(os.path.join(folder, "out"), ignore_errors=True)
    if case == "refused":
        check_refusals(source, folder)
    elif case == "lacks":
        check_lacks(source, folder)
    else:
        sanitizer, changed = ("address", AFL) if case == "afl" else (case, {})
        status, output, variables = build(source, folder, sanitizer, **changed)
        expect(status == 0, f"the build ended with {status}: {output[-5000:]}")
        built = targets_of(source, variables, sanitizer)
        expect(bool(built), "no fuzzer was built")
        for target in built if status == 0 else []:
            check_target(source, variables, target)
        # No file of any other kind, since each without an extension would be taken for a target.
        known = {f"{name}{extension}" for name in built for extension in ("", "_seed_corpus.zip", ".options", ".dict")}
        known |= {LIBRARY} if THREADS in built else set()
        strange = [name for name in os.listdir(variables["OUT"]) if name not in known and not name.endswith(".dict")]
        expect(not strange, f"in $OUT: {strange}")
    for failure in FAILURES:
        print(failure)
    return 1 if FAILURES else 0


def targets_of(source, variables, case):
    """Every target of the tree with AddressSanitizer; else those of them that can be built with the sanitizer. That of
    threads with AddressSanitizer or for coverage, for libFuzzer, and nowhere else."""
    names = {os.path.splitext(os.path.basename(path))[0]
             for path in glob.glob(os.path.join(source, "fuzz", "fuzz_*.c"))}
    if case not in ("address", "coverage") or variables["FUZZING_ENGINE"] != "libfuzzer":
        expect(THREADS not in os.listdir(variables["OUT"]), f"{THREADS} was built")
        names -= {THREADS}
    folder = os.path.join(variables["WORK"], f"heapster-{case}", "bin")
    return sorted(name for name in names if case in ("address", "coverage") or os.path.exists(os.path.join(folder, name)))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
