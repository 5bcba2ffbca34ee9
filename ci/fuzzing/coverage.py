#!/usr/bin/env python3
"""Which branches of src/ the fuzzers reach: per target with the committed inputs, and without, fuzzing from nothing.

usage: ci/fuzz --coverage [--seconds N] [TARGET...]

Pages, summaries and the list of branches that no committed input reaches are in build/fuzz-coverage/report.
"""
import argparse
import html
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "ci", "fuzzing"))

import branches           # noqa: E402
import target as targets  # noqa: E402

# As the images of OSS-Fuzz have them for SANITIZER=coverage.
FLAGS = "-O1 -g -fno-omit-frame-pointer -fprofile-instr-generate -fcoverage-mapping"
EXPLORED = "libheapster-explored.so"
KNOWN = os.path.join(ROOT, "fuzz", "unreached.txt")
WAYS = {"seeds": "committed inputs", "scratch": "from nothing"}
PAGE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>Coverage by fuzzing</title>
<style>body {{font: 15px sans-serif; max-width: 70em; margin: 2em auto}} td, th {{padding: .3em 1em; text-align: right}}
td:first-child, th:first-child {{text-align: left}}
table {{border-collapse: collapse}} tr {{border-bottom: 1px solid #ccc}}
</style>
<h1>Coverage by fuzzing</h1>
<p>Of the files under <code>src/</code> that are linked into each target: the committed inputs alone, and {seconds}
seconds of fuzzing that begin with an empty corpus. A branch counts twice, once for each side. Linked figures have the
source.</p>
<table><tr><th>target</th><th>inputs</th><th colspan="2">committed inputs</th><th colspan="2">from nothing</th></tr>
<tr><th></th><th></th><th>lines</th><th>branches</th><th>lines</th><th>branches</th></tr>
{rows}</table>
<p>All targets' committed inputs together reach {together}; <a href="unreached.txt">the sides that they do not
reach</a>.</p></html>
"""


def call(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          check=False, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nended with status {done.returncode}:\n{done.stdout[-3000:]}")
    return done.stdout


def build(folder):
    """The build of OSS-Fuzz for coverage, in its own folders."""
    variables = {name: os.path.join(folder, name.lower()) for name in ("SRC", "OUT", "WORK")}
    for path in variables.values():
        os.makedirs(path, exist_ok=True)
    link = os.path.join(variables["SRC"], "heapster")
    if not os.path.islink(link):
        os.symlink(ROOT, link)
    variables.update(CC="clang", CXX="clang++", CFLAGS=f"{FLAGS} -fsanitize=fuzzer-no-link",
                     CXXFLAGS=f"{FLAGS} -fsanitize=fuzzer-no-link", LIB_FUZZING_ENGINE="-fsanitize=fuzzer",
                     SANITIZER="coverage", FUZZING_ENGINE="libfuzzer", ARCHITECTURE="x86_64")
    call(["bash", os.path.join(ROOT, "fuzz", "oss-fuzz", "build.sh")], env={**os.environ, **variables})
    return variables["OUT"]


def objects_of(target):
    """The binary, and what it has the allocator from if that is not linked into it."""
    explored = os.path.join(os.path.dirname(target.binary), EXPLORED)
    return [target.binary, f"-object={explored}"] if target.name == "fuzz_threads" else [target.binary]


class Measured:
    """One target in one way: its profile, its page, its branches."""

    def __init__(self, target, way, folder, seconds):
        self.target = target
        self.name = f"{target.name}-{way}"
        self.report = os.path.join(folder, "report", self.name)
        self.profile = os.path.join(folder, "profiles", f"{self.name}.profdata")
        self.raw = os.path.join(folder, "profiles", self.name)
        self.sources = os.path.join(folder, "src", "heapster", "src")
        shutil.rmtree(self.report, ignore_errors=True)
        os.makedirs(self.report)
        shutil.rmtree(self.raw, ignore_errors=True)
        self.run(way, os.path.join(folder, "work", f"{self.name}-corpus"), seconds)
        call(["llvm-profdata", "merge", "-sparse", "-o", self.profile, *targets.files_of(self.raw)])
        self.sides, self.lines = branches.read(self.cov("export", "-format=text"))

    def run(self, way, scratch, seconds):
        shutil.rmtree(scratch, ignore_errors=True)
        os.makedirs(scratch)
        # What an input reaches may hang on what came before it: always in the same order.
        amount, folders = (["-runs=0", "-seed=1"], self.target.seeds()) if way == "seeds" else (
            [f"-max_total_time={seconds}", "-seed=1"], [scratch])
        text = call([self.target.binary, *amount, f"-artifact_prefix={os.path.dirname(scratch)}/",
                     *self.target.options(), *(folders or [scratch])],
                    env={**os.environ, "LLVM_PROFILE_FILE": os.path.join(self.raw, "%m.profraw")})
        with open(os.path.join(self.report, "run.txt"), "w", encoding="utf-8") as file:
            file.write(text)

    def cov(self, verb, *options):
        return call(["llvm-cov", verb, *objects_of(self.target), f"-instr-profile={self.profile}", *options,
                     self.sources])

    def write(self):
        """The pages with the source, and the summary as text."""
        self.cov("show", "-format=html", "-show-branches=count", "-show-line-counts-or-regions",
                 f"-output-dir={self.report}")
        with open(os.path.join(self.report, "summary.txt"), "w", encoding="utf-8") as file:
            file.write(self.cov("report", "-show-branch-summary"))

    def cells(self):
        return [share(*self.lines), f'<a href="{self.name}/index.html">{share_of(self.sides)}</a>']


def share(reached, count):
    return f"{reached:,} of {count:,} ({100 * reached / max(1, count):.1f} %)"


def share_of(sides):
    return share(sum(1 for count in sides.values() if count), len(sides))


def together(measured):
    """The sides of all, reached where anybody reaches them."""
    sides = {}
    for one in measured:
        for side, count in one.sides.items():
            sides[side] = sides.get(side, 0) + count
    return sides


def write_report(folder, measured, seconds):
    rows = []
    for seeds, scratch in measured:
        inputs = sum(len(targets.files_of(path)) for path in seeds.target.seeds())
        cells = [html.escape(seeds.target.name), f"{inputs:,}", *seeds.cells(), *scratch.cells()]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>\n")
        seeds.write()
        scratch.write()
    sides = together([seeds for seeds, _ in measured])
    with open(os.path.join(folder, "report", "unreached.txt"), "w", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in branches.unreached(sides, ROOT)))
    with open(os.path.join(folder, "report", "index.html"), "w", encoding="utf-8") as file:
        file.write(PAGE.format(seconds=seconds, rows="".join(rows), together=share_of(sides) + " sides of branches"))
    return sides


def explain(found):
    """Holds what is not reached against fuzz/unreached.txt: 1 where that does not say why."""
    counts, new, gone = branches.compare(found, KNOWN)
    for name, count in sorted(counts.items()):
        print(f"not reached, {name}: {count} branches")
    for line in gone:
        print(f"reached by now, or not as often, to be taken out of fuzz/unreached.txt: {line}")
    for line in new:
        print(f"NOT REACHED, or more often, and fuzz/unreached.txt does not say why: {line}")
    return 1 if new else 0


def main(arguments):
    parser = argparse.ArgumentParser(prog="ci/fuzz --coverage")
    parser.add_argument("names", nargs="*", metavar="TARGET", help="with fuzz_ or without; all of them by default")
    parser.add_argument("--seconds", type=int, default=10, help="of fuzzing from nothing (default 10)")
    options = parser.parse_args(arguments)
    folder = os.path.join(ROOT, "build", "fuzz-coverage")
    binaries = build(folder)
    try:
        found = targets.find_targets(ROOT, binaries, os.path.join(folder, "work"), options.names)
    except ValueError as error:
        parser.error(str(error))
    measured = []
    for target in found:
        measured.append([Measured(target, way, folder, options.seconds) for way in WAYS])
        print(f"{target.name}: " + "; ".join(f"{words}: lines {share(*one.lines)}, branches {share_of(one.sides)}"
                                            for one, words in zip(measured[-1], WAYS.values())), flush=True)
    sides = write_report(folder, measured, options.seconds)
    status = 0 if options.names else explain(list(branches.unreached(sides, ROOT)))
    print(f"all committed inputs together: {share_of(sides)} sides of branches")
    print("report: build/fuzz-coverage/report/index.html; not reached: build/fuzz-coverage/report/unreached.txt")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
