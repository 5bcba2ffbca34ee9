#!/usr/bin/env python3
"""heapster-stress over libc's malloc with a fault, preloaded: a row that fails, crashes, freezes or ends too soon is
reported as just that, with a command that reproduces it, and the rows after it still run.

usage: suite.py PROGRAM BROKEN_LIBRARY
"""
import json
import os
import re
import subprocess
import sys
import tempfile

# The fault, what the row's reason begins with, and what standard error says.
FAULTS = [
    ("misaligned", r"misaligned: 0x[0-9a-f]+ is no multiple of 16", r"VIOLATION: misaligned: "),
    ("refuse", r"refused: no memory for \d+ bytes, errno 12", r"VIOLATION: refused: "),
    ("kill", r"process: ended by signal 9 \(Killed\) before its end", r""),
    ("exit", r"process: ended with status 0 before its end", r""),
    ("freeze", r"hang: the process stood still before its end, and was killed", r""),
    ("late", r"process: ended with status 3 after it had passed", r""),
    ("segv", r"crash: signal 11 at ", r"VIOLATION: crash: "),
    ("hang", r"hang: a thread made no progress for 5 seconds", r"VIOLATION: hang: "),
]


def run(program, library, fault, report, *more):
    environment = dict(os.environ, LD_PRELOAD=library)
    if fault is not None:
        environment["BROKEN_FAULT"] = fault
    command = [program, "--allocator", "system", "--threads", "3", "--ops", "20000", "--seed", "1",
               "--hang-seconds", "5", "--json", report, *more, "churn", "arenas", "fan"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)


def judge(fault, reason, complaint, result, rows):
    """The blocks of the last scenario are too small for the fault."""
    verdicts = [row["verdict"] for row in rows]
    yield verdicts == ["failed", "skipped", "passed"], f"verdicts {verdicts}"
    yield result.returncode == 1, f"status {result.returncode}"
    yield "\n1 passed, 1 failed, 1 skipped\n" in result.stdout, "summary"
    yield re.match(reason, rows[0]["reason"]) is not None, f"reason {rows[0]['reason']!r}"
    yield f"FAIL: churn, -, cache -: {rows[0]['reason'][:20]}" in result.stdout, "no reason in the table"
    yield f"reproduce: {rows[0]['command']}" in result.stdout, "no command in the table"
    yield rows[0]["command"].startswith("LD_PRELOAD="), f"command {rows[0]['command']!r}"
    yield re.search(complaint, result.stderr) is not None, "standard error"


def main(program, library):
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "report.json")
        result = run(program, library, None, report)
        if result.returncode != 0 or "\n2 passed, 0 failed, 1 skipped\n" not in result.stdout or result.stderr:
            print(f"without a fault: status {result.returncode}\n{result.stdout}{result.stderr}")
            failures += 1
        result = run(program, library, "misaligned", report, "--tolerate", "misaligned")
        if result.returncode != 0 or ", 1 violations tolerated\n" not in result.stdout or result.stderr:
            print(f"tolerated: status {result.returncode}\n{result.stdout}{result.stderr}")
            failures += 1
        for fault, reason, complaint in FAULTS:
            result = run(program, library, fault, report)
            with open(report, encoding="utf-8") as file:
                rows = json.load(file)["rows"]
            wrong = [text for good, text in judge(fault, reason, complaint, result, rows) if not good]
            print(f"{fault}: {'good' if not wrong else '; '.join(wrong)}")
            if wrong:
                print(result.stdout, result.stderr)
            failures += len(wrong)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
