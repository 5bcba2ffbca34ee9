"""How many drawn inputs the targets run in a second of the processor, as a section of docs/fuzzing.md.

usage: speed.py [TREE]
"""
import os
import re
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "ci", "fuzzing"))

import account as accounts  # noqa: E402

PAGE = os.path.join("docs", "fuzzing.md")
ROUNDS = 7
SECONDS = 2
RATE = re.compile(r"(\d+) executions per second of the processor")

# What is run, in which build, and how many a second it is meant to reach.
CASES = (
    ("fuzz_ops", "release", [], "at the end", 50000),
    ("fuzz_ops", "release", ["--walk=each"], "after each operation", 5000),
    ("fuzz_ops", "asan", ["--walk=each"], "after each operation", 2000),
    ("fuzz_threads", "release", [], "at the end", 5000),
)


def measure(tree, target, preset, flags):
    binary = os.path.join(tree, "build", preset, "bin", target)
    done = subprocess.run([binary, *flags, "--time", str(SECONDS)], stdout=subprocess.PIPE, text=True, check=True)
    return int(RATE.search(done.stdout).group(1))


def measure_all(tree):
    """The rates of each case, interleaved, since the machine's own speed changes."""
    rates = [[] for _ in CASES]
    for number in range(ROUNDS):
        for case, (target, preset, flags, _, _) in zip(rates, CASES):
            case.append(measure(tree, target, preset, flags))
        print(f"round {number + 1} of {ROUNDS}: " + " ".join(f"{case[-1]:,}" for case in rates), flush=True)
    return rates


def section(rates):
    lines = ["| target | build | walker | median | most | goal | reached |", "|---|---|---|---:|---:|---:|---|"]
    for case, (target, preset, _, walker, goal) in zip(rates, CASES):
        reached = f"{max(case) / goal:.0%}" if max(case) < goal else "yes"
        lines.append(f"| `{target}` | {preset} | {walker} | {statistics.median(case):,.0f} | {max(case):,} | "
                     f"{goal:,} | {reached} |")
    return "\n".join([f"Written by `ci/fuzz --speed`: executions per second of the processor, of inputs of 64 drawn "
                      f"operations, in {ROUNDS}", f"interleaved rounds of {SECONDS} seconds; the most of them is what "
                      "a machine without other work comes to.", "", *lines])


def main():
    tree = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    text = section(measure_all(tree))
    accounts.write_section(os.path.join(tree, PAGE), text, "speed")
    print(text)


if __name__ == "__main__":
    main()
