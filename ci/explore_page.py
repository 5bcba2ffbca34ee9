#!/usr/bin/env python3
"""docs/verification.md from the results of ci/explore.

usage: explore_page.py RESULTS.json OUTPUT

What stands between `<!-- fuzz:begin -->` and `<!-- fuzz:end -->` in OUTPUT is kept: another script's.
"""
import json
import os
import re
import statistics
import sys

HEAD = """# What is proven, and how far

Written by `ci/explore`; run it again to get it anew. [design.md](design.md) gives the argument, `stress/models` the
models of it; this page is about the code itself: `heapster-explore` runs the allocator's own source, each lock, atomic
access and OS call a point where threads may be switched, and searches the interleavings of small programs.

**Exhaustive** means: within the bounds that stand in the row, every execution was made, or one that differs from it
only in the order of steps that do not depend on each other. The bounds are the number of preemptions (switches away from
a thread that could have gone on; switches where a thread waits or ends are free), of loads that return an older value
than the newest, as C11 allows, and of OS calls that fail. In each execution are checked: no block is given twice or
overlaps another one, contents and zeroes are as they were left, every plain access is ordered (data races by vector
clocks), lock ranks, no deadlock, no endless loop, no lock held at the end, and at the end every numbered invariant
of the heap; in the pass "each step" also before each operation at which nobody holds a lock. It does not mean: more
threads, longer programs, or more preemptions than stated; nor C11's relaxed loads beyond the bound of stale ones.

Memory models: `c11` lets a load return any store that C11 allows it to see; `tso` has a store buffer for each thread;
`sc` is one order of everything. With `tso` there is one preemption less, since stores that reach memory late multiply
what there is to search.

That the search leaves out nothing but the order of independent steps is argued in `stress/explore/contention.h` and
`engine.h`, and compared with a search that leaves out nothing by the test `explore.reduction`.
"""
FUZZ = re.compile(r"<!-- fuzz:begin -->.*?<!-- fuzz:end -->", re.S)


def table(columns, rows, left):
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "|".join("---" if column in left else "---:" for column in columns) + "|"
    for row in rows:
        yield "| " + " | ".join(str(cell) for cell in row) + " |"


def scenario_rows(results, part):
    for scenario in results["scenarios"]:
        finding = scenario["findings"][part["name"]]
        yield [f"`{scenario['name']}`", scenario["about"], scenario["threads"], scenario["calls"],
               f"{min(scenario['preemptions'], part['preemptions'])}, "
               f"{scenario['stale'] if part['name'] != 'sc' else 0}, {scenario['faults']}",
               f"{finding['executions']:,}", f"{finding['seconds']:.2f}",
               {"all": "yes", "in part": "no, stopped", "FAILED": "**FAILED**"}[finding["end"]]]


def tried(tries):
    """How many tries found it, and the median of what these took."""
    found = [attempt for attempt in tries if attempt["end"] == "FAILED"]
    if not found:
        return f"0 of {len(tries)}"
    return (f"{len(found)} of {len(tries)}: {statistics.median(a['executions'] for a in found):,.0f} executions, "
            f"{statistics.median(a['seconds'] for a in found):.2f} s")


def rate(findings):
    executions, seconds = sum(f["executions"] for f in findings), sum(f["seconds"] for f in findings)
    return (f"{executions:,} executions in {seconds:,.0f} s, {60 * executions / max(seconds, 0.001):,.0f} a minute on one "
            "processor")


def lines(results):
    machine = results["machine"]
    yield HEAD
    yield (f"Run of {machine['date']} at {results['commit']}, {machine['processors']} processors ({machine['processor']}), "
           "which had other work beside it; seconds are those of one processor.\n")
    for part in results["passes"]:
        findings = [scenario["findings"][part["name"]] for scenario in results["scenarios"]]
        done = sum(finding["end"] == "all" for finding in findings)
        pairs = [scenario["findings"][part["name"]] for scenario in results["scenarios"] if scenario["threads"] == 2]
        yield f"## Scenarios, {part['name']}\n"
        yield (f"{done} of {len(findings)} exhaustively, each in at most {part['seconds']:.0f} s; {rate(findings)}; "
               f"those of two threads: {rate(pairs)}.\n")
        yield from table(["scenario", "what meets", "threads", "calls of a thread", "preemptions, stale loads, faults",
                          "executions", "s", "exhaustive"], scenario_rows(results, part), ["scenario", "what meets"])
        yield ""
    yield "## What is broken on purpose\n"
    yield ("Each variant of the allocator is broken in one place; the tests `explore.finds.*` run the search of the first "
           "column and replay its token 100 times. `pct` is of depth 3, `pct` and `random` with three seeds, "
           f"{results['seconds_to_find']['pct']} seconds each.\n")
    yield from table(["broken", "scenario", "depth-first (the default)", "pct", "random"],
                     [[f"`{variant['name']}`", f"`{variant['scenario']}`", *[tried(variant["tries"][strategy])
                                                                       for strategy in ("dfs", "pct", "random")]]
                      for variant in results["broken"]],
                     ["broken", "scenario", "depth-first (the default)", "pct", "random"])
    yield ""


def main():
    source, output = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        text = "\n".join(lines(json.load(file)))
    fuzz = None
    if os.path.exists(output):
        with open(output, encoding="utf-8") as file:
            fuzz = FUZZ.search(file.read())
    with open(output, "w", encoding="utf-8") as file:
        file.write(text + "\n" + (fuzz.group(0) + "\n" if fuzz else "<!-- fuzz:begin -->\n<!-- fuzz:end -->\n"))


if __name__ == "__main__":
    main()
