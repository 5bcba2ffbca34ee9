#!/usr/bin/env python3
"""ci/cells/left_out.py with a small table in a private copy: the pattern that it gives to ctest leaves out what the lines say
and nothing else; a test that no cell runs, a line that no test matches and one that cannot be read are failures."""
import re
import subprocess
import sys

from support import Copy, expect, run_tests

TESTS = """
add_test(other.one "/bin/true")
add_test(other.two "/bin/true")
add_test(other.long "/bin/true")
set_tests_properties(other.long PROPERTIES LABELS matrix)
add_test(bad.one "/bin/true")
add_test(good "/bin/true")
"""
CELLS = """
[suites]
other = '^other\\.'
bad = '^bad\\.'
unit = '.'

[[row]]
name = "cc.plain"
preset = "release"
[row.suites]
other = {}
unit = {}
bad = {run = 'true'}
"""


def run(folder, lines, preset="release"):
    copy = Copy(folder)
    (copy.root / "ci/cells/cells.toml").write_text(CELLS, encoding="utf-8")
    (copy.root / "ci/left_out").write_text("# presets tests why\n" + lines, encoding="utf-8")
    (copy.root / "CTestTestfile.cmake").write_text(TESTS, encoding="utf-8")
    done = subprocess.run([sys.executable, "-B", copy.root / "ci/cells/left_out.py", preset, copy.root], capture_output=True,
                          text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    chosen = None
    if done.returncode == 0 and done.stdout.strip():
        listed = subprocess.run(["ctest", "-N", "-E", done.stdout.strip()], cwd=copy.root, capture_output=True,
                                text=True, timeout=60, check=True, stdin=subprocess.DEVNULL)
        chosen = re.findall(r"^ *Test +#\d+: (\S+)$", listed.stdout, re.MULTILINE)
    return done.returncode, done.stdout.strip(), done.stderr, chosen


def what_is_left_out(folder):
    status, _, said, chosen = run(folder, "debug,release  ^other\\.(one|two)$  twice\nrelease  ^goo  once\n")
    expect(status == 0 and "3 of 4 tests are left to ci/matrix" in said, f"{status}, {said}")
    expect(chosen == ["other.long", "bad.one"], f"what ctest runs: {chosen}")


def nothing_is_left_out(folder):
    expect(run(folder, "debug  ^other  not here\n")[:3] == (0, "", ""), "another preset's line")


def in_no_cell(folder):
    # A cell that runs a command of its own runs no test of the build.
    status, out, said, _ = run(folder, "release  ^(bad|other)\\.  lost\n")
    expect(status == 1 and not out and "in no cell of the matrix: release: bad.one" in said, f"{status}, {said}")
    expect("other.one" not in said, f"what is in a cell: {said}")


def no_such_test(folder):
    status, out, said, _ = run(folder, "release  ^other  there\nrelease  ^gone\\.  gone\n")
    expect(status == 1 and not out and "release has no test ^gone\\." in said, f"{status}, {said}")


def no_reason(folder):
    status, out, said, _ = run(folder, "release  ^other\n")
    expect(status == 1 and not out and "cannot be read: release  ^other" in said, f"{status}, {said}")


if __name__ == "__main__":
    run_tests([what_is_left_out, nothing_is_left_out, in_no_cell, no_such_test, no_reason])
