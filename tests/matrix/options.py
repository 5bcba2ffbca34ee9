#!/usr/bin/env python3
"""The options of sanitizers/options are those that the programs of a sanitizer build have, with no environment at all;
the suppression files are there, empty, and named in them.

    options.py SANITIZER PROGRAM

PROGRAM (options.c) does what the options have reported.
"""
import os
import pathlib
import re
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "sanitizers"
TOOLS = {"address": ["asan", "lsan"], "undefined": ["ubsan"], "thread": ["tsan"], "memory": ["msan"]}
# What is reported because of the options: what the program does, and the report.
REPORTS = {
    "address": {"use_after_return": "stack-use-after-return", "leak": "detected memory leaks"},
    "undefined": {"overflow": r"signed integer overflow.*#0 0x"},
}
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
    """Only the one option is in the environment that has the run-time print them all; gcc's UndefinedBehaviorSanitizer
    looks at its options when it has something to report."""
    _, text = run([program, "overflow"], **{f"{tool.upper()}_OPTIONS": "help=1"})
    found = dict(re.findall(r"^\s+(\w+)\n\s+- .*\(Current Value(?: Truncated)?: ?(.*?)\)$", text, re.MULTILINE))
    for name, value in options_of(tool).items():
        if found.get(name) not in TRUTH.get(value, (value,)):
            wrong.append(f"{tool}: {name} is {found.get(name)}, expected {value}")
    if (FOLDER / "suppressions" / f"{tool}.supp").exists():
        if not found.get("suppressions", "").endswith(f"sanitizers/suppressions/{tool}.supp"):
            wrong.append(f"{tool}: suppressions are {found.get('suppressions')}")


def check_report(program, fault, report, wrong):
    status, text = run([program, fault])
    if status == 0 or not re.search(report, text, re.DOTALL):
        wrong.append(f"{fault}: status {status}: {text}")


def main(sanitizer, program):
    wrong = []
    for tool in TOOLS[sanitizer]:
        if tool != "lsan":  # whose options are printed among asan's
            check_help(tool, program, wrong)
    for fault, report in REPORTS.get(sanitizer, {}).items():
        check_report(program, fault, report, wrong)
    files = sorted(os.listdir(FOLDER / "suppressions"))
    if files != ["asan.supp", "lsan.supp", "tsan.supp", "ubsan.supp", "valgrind.supp"]:
        wrong.append(f"suppression files: {files}")
    print("\n".join(wrong) or "as in the files")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
