#!/usr/bin/env python3
"""No test is forgotten (tests/HeapsterRegistered.cmake): a copy of the folders of tests is accepted as it is; without the
line of any program of tests/unit, and with a source that no CMakeLists.txt names, it is refused with the file's name."""
import pathlib
import re
import shutil
import subprocess

from support import ROOT, SECONDS, expect, run_tests

FOLDERS = ["tests", "stress", "bench"]
CHECK = "tests/HeapsterRegistered.cmake"


def make_copy(folder):
    for part in FOLDERS:
        shutil.copytree(ROOT / part, pathlib.Path(folder, part), ignore=shutil.ignore_patterns("__pycache__"))


def check(folder):
    done = subprocess.run(["cmake", f"-DPROJECT_SOURCE_DIR={folder}", "-P", pathlib.Path(folder, CHECK)],
                          capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL)
    return done.returncode, " ".join(done.stderr.split())


def expect_refusal(folder, path, what):
    status, error = check(folder)
    expect(status != 0 and f"{folder}/{path} is not in" in error, f"{what}: {path} is missed: {status}, {error}")


def the_project(folder):
    make_copy(folder)
    status, error = check(folder)
    expect(status == 0, f"all files are registered: {error}")


def lost_lines(folder):
    make_copy(folder)
    path = pathlib.Path(folder, "tests/unit/CMakeLists.txt")
    whole = path.read_text(encoding="utf-8")
    sources = re.findall(r"^ *heapster_unit_test\([^ ]+ (\w+)[ )].*\n", whole, re.MULTILINE)
    expect(len(sources) > 30, f"the lines are found: {sources}")
    for source in sources:
        path.write_text(re.sub(rf" *heapster_unit_test\([^ ]+ {source}[ )].*\n", "", whole), encoding="utf-8")
        expect_refusal(folder, f"tests/unit/{source}.c", "its line is lost")


def new_files(folder):
    make_copy(folder)
    for part in re.findall(r"(?:tests|stress|bench)/[a-z/]+", pathlib.Path(folder, CHECK).read_text(encoding="utf-8")):
        for name in ("forgotten.c", "forgotten.py"):
            path = pathlib.Path(folder, part, name)
            path.write_text('if __name__ == "__main__":\n', encoding="utf-8")
            expect_refusal(folder, f"{part}/{name}", "a new file")
            path.unlink()


if __name__ == "__main__":
    run_tests([the_project, lost_lines, new_files])
