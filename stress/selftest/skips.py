#!/usr/bin/env python3
"""The scenarios that a program skips are exactly those on the list of allowed ones.

usage: skips.py LIST CONFIGURATION ALLOCATOR REPORT.json

REPORT.json is what `heapster-stress --json` wrote of a run of all scenarios.
"""
import json
import sys


def allowed_skips(path, configuration, allocator):
    with open(path, encoding="utf-8") as lines:
        rows = [line.split(None, 3) for line in lines if line.strip() and not line.startswith("#")]
    return {row[2] for row in rows if row[0] == configuration and row[1] == allocator}


def main(list_path, configuration, allocator, report_path):
    with open(report_path, encoding="utf-8") as file:
        rows = json.load(file)["rows"]
    allowed = allowed_skips(list_path, configuration, allocator)
    skipped = {row["scenario"] for row in rows if row["verdict"] == "skipped"}
    for name in sorted(skipped - allowed):
        reason = next(row["reason"] for row in rows if row["scenario"] == name and row["verdict"] == "skipped")
        print(f"{name} was skipped ({reason}) and is not on the list for {configuration}, {allocator}")
    for name in sorted(allowed - skipped):
        print(f"{name} is on the list for {configuration}, {allocator} and was not skipped")
    print(f"{len(rows)} rows, skipped: {', '.join(sorted(skipped)) or 'none'}")
    return 0 if rows and skipped == allowed else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
