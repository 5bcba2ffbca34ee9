#!/usr/bin/env python3
"""The search fails where it should: cut short, in error, blind, without spin; and leaves nothing behind.

usage: selftest.py SEARCH
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

FAILURES = []


def run(script, folder, *arguments, **environment):
    """Status and output of the script, whose temporary files go to the folder."""
    done = subprocess.run([sys.executable, "-B", script, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False, env={**os.environ, "TMPDIR": folder, **environment})
    return done.returncode, done.stdout


def expect(what, result, status, text):
    if result[0] != status or text not in result[1]:
        FAILURES.append(f"{what}: status {result[0]} where {status} was expected, no '{text}' in: {result[1]}")


def copy_with(script, folder, file_name, old, new):
    """The search in a copy of its folder, in which a model was changed."""
    copy = os.path.join(folder, f"copy{len(os.listdir(folder))}")
    shutil.copytree(os.path.dirname(script), copy)
    path = os.path.join(copy, file_name)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if old not in text:
        FAILURES.append(f"no '{old}' in {file_name}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new, 1))
    return os.path.join(copy, "search")


def main(script):
    script = os.path.realpath(script)
    with tempfile.TemporaryDirectory(prefix="selftest-") as folder:
        own = os.path.join(folder, "own")
        copies = os.path.join(folder, "copies")
        empty = os.path.join(folder, "empty")
        report = os.path.join(folder, "report.json")
        for made in (own, copies, empty):
            os.mkdir(made)
        expect("unknown name", run(script, own, "nonsense"), 2, "unknown name: nonsense")
        expect("no spin", run(script, own, "inbox.thrice", PATH=empty), 1, "spin is not there")
        expect("too deep", run(script, own, "--depth", "50", "inbox.thrice"), 1, "INCOMPLETE: max search depth")
        expect("too large", run(script, own, "--memory", "1", "inbox.thrice"), 1, "INCOMPLETE")
        expect("both", run(script, own, "--json", report, "claim_publish.cut.walker", "inbox.stale_link"), 0,
               "2 searches")
        with open(report, encoding="utf-8") as file:
            rows = json.load(file)["rows"]
        results = [row["result"].split(":")[0] for row in rows]
        if results != ["holds", "found"] or any(row["states"] == 0 for row in rows):
            FAILURES.append(f"report: {rows}")
        wrong = copy_with(script, copies, "inbox.pml", "#define MOST 2", "#define MOST 2\n#define TAKE_IN_TWO")
        expect("a model that fails", run(wrong, own, "inbox.thrice"), 1, "FAILED: assertion violated")
        blind = copy_with(script, copies, "blocks.inc", "#ifdef NO_SECOND_LOOK", "#ifdef NO_SUCH_SWITCH")
        expect("an error that is not found", run(blind, own, "claim_publish.no_second_look"), 1, "NOT FOUND")
        other = copy_with(script, copies, "claim_publish.pml", "proctype freer(byte first; byte second)\n{",
                          "proctype freer(byte first; byte second)\n{\n    assert(first == CELLS);")
        expect("another error", run(other, own, "claim_publish.neither_retreats.unranked"), 1, "FOUND, BUT AS")
        garbled = copy_with(script, copies, "inbox.pml", "inline take_from(chain)", "inline take_from(chain")
        expect("no Promela", run(garbled, own, "inbox.thrice"), 1, "FAILED: spin")
        if os.listdir(own):
            FAILURES.append(f"left behind: {os.listdir(own)}")
    for failure in FAILURES:
        print(failure)
    return 1 if FAILURES else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
