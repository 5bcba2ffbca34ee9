#!/usr/bin/env python3
"""The options of sanitizers/options are those that the programs of a sanitizer build have, with no environment at all;
the suppression files are there, empty, and named in them.

    options.py SANITIZER PROGRAM [OF-ASAN]

PROGRAM is any of the build; OF-ASAN (with AddressSanitizer) does what its options have reported.
"""
import os
import pathlib
import re
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "sanitizers"
TOOLS = {"address": ["asan", "lsan"], "undefined": ["ubsan"], "thread": ["tsan"], "memory": ["msan"]}
# How help=1 prints what we write.
TRUTH = {"1": ("true", "1"), "0": ("false", "0")}


def options_of(tool):
    path = FOLDER / "options" / f"{tool}.options"
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def run(command, **environment):
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


def check_help(tool, program, wrong):
    """Only the one option is in the environment that has the run-time print them all."""
    _, text = run([program, "--help"], **{f"{tool.upper()}_OPTIONS": "help=1"})
    found = dict(re.findall(r"^\s+(\w+)\n\s+- .*\(Current Value(?: Truncated)?: ?(.*?)\)$", text, re.MULTILINE))
    for name, value in options_of(tool).items():
        if found.get(name) not in TRUTH.get(value, (value,)):
            wrong.append(f"{tool}: {name} is {found.get(name)}, expected {value}")
    if (FOLDER / "suppressions" / f"{tool}.supp").exists():
        if not found.get("suppressions", "").endswith(f"sanitizers/suppressions/{tool}.supp"):
            wrong.append(f"{tool}: suppressions are {found.get('suppressions')}")


def check_reports(program, wrong):
    status, text = run([program, "use_after_return"])
    if status == 0 or "stack-use-after-return" not in text:
        wrong.append(f"use_after_return: status {status}: {text}")
    status, text = run([program, "leak"])
    if status == 0 or "detected memory leaks" not in text:
        wrong.append(f"leak: status {status}: {text}")


def main(sanitizer, program, of_asan=None):
    wrong = []
    for tool in TOOLS[sanitizer]:
        if tool != "lsan":  # whose options are printed among asan's
            check_help(tool, program, wrong)
    if of_asan:
        check_reports(of_asan, wrong)
    files = sorted(os.listdir(FOLDER / "suppressions"))
    if files != ["asan.supp", "lsan.supp", "tsan.supp", "ubsan.supp", "valgrind.supp"]:
        wrong.append(f"suppression files: {files}")
    print("\n".join(wrong) or "as in the files")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
