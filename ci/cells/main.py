"""The matrix's command line; ci/matrix starts it."""
import argparse
import json
import os
import pathlib
import signal
import sys
import time

import page
import report
import run
import state
import table

ROOT = pathlib.Path(__file__).resolve().parents[2]


def parse_arguments():
    parser = argparse.ArgumentParser(prog="ci/matrix", description="every compiler, preset and suite of tests")
    parser.add_argument("--only", metavar="CELL", action="append", default=[], help="cells by a pattern (several: any)")
    parser.add_argument("--list", action="store_true", help="which cells there are")
    parser.add_argument("--json", action="store_true", help="with --list: as JSON")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processors to use (all)")
    parser.add_argument("--fresh", action="store_true", help="do not go on where an interrupted run was")
    parser.add_argument("--allow-unavailable", action="store_true", help="a cell that cannot be had is no failure")
    parser.add_argument("--table", type=pathlib.Path, default=table.FOLDER / "cells.toml", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/matrix", help="where builds and reports go")
    arguments = parser.parse_args()
    if arguments.jobs < 1:
        parser.error("--jobs takes a number above 0")
    return arguments


def print_list(cells, as_json):
    if not as_json:
        for cell in cells:
            print(cell.name)
        return
    rows = dict.fromkeys(cell.row.build for cell in cells)
    groups = {build: " ".join(f"--only '{name}.*'" for name in dict.fromkeys(
        cell.row.name for cell in cells if cell.row.build == build)) for build in rows}
    print(json.dumps({
        "cells": [{"cell": cell.name, "row": cell.row.name, "suite": cell.suite, "seconds": cell.seconds}
                  for cell in cells],
        # What shares a build folder belongs into one job.
        "jobs": [{"name": build, "cells": options} for build, options in groups.items()],
    }))


def say(text):
    print(text, flush=True)


def minutes(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def run_all(cells, runner, known):
    begin = time.monotonic()
    for number, cell in enumerate(cells, 1):
        head = f"[{number:3}/{len(cells)}] {cell.name:34}"
        if cell.name in known.results:
            say(f"{head} {report.cell_text(known.results[cell.name]):12} from the interrupted run")
            continue
        runner.install(cell.row.needs)
        result = runner.run(cell, known.results)
        known.add(cell, result)
        left = sum(known.expected_seconds(other) for other in cells[number:] if other.name not in known.results)
        say(f"{head} {report.cell_text(result):12} {minutes(time.monotonic() - begin)} gone, about {minutes(left)} left"
            f"{'   ' + result['why'] if result['why'] else ''}")


def main():
    arguments = parse_arguments()
    try:
        whole = table.Table(arguments.table)
        cells = whole.select(arguments.only)
    except table.Wrong as wrong:
        print(wrong, file=sys.stderr)
        return 2
    if arguments.list:
        print_list(cells, arguments.json)
        return 0
    # So that the running cell's processes are ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    out = arguments.out.resolve()
    runner = run.Runner(ROOT, out, whole, arguments.jobs, say)
    known = state.State(out, [state.fingerprint(ROOT), str(arguments.table), [cell.name for cell in cells]])
    if not arguments.fresh and known.resume():
        say(f"going on with an interrupted run: {len(known.results)} cells are done")
    known.write(False)
    run_all(cells, runner, known)
    known.write(True)
    report.write_junit(out / "junit.xml", cells, known.results, runner)
    page.write(out / "page.html", ROOT, whole, cells, known.results, runner)
    say("")
    report.print_table(whole, cells, known.results)
    say(f"see {os.path.relpath(out, ROOT)}/page.html, junit.xml, logs")
    bad = {"failed"} if arguments.allow_unavailable else {"failed", "unavailable"}
    return 1 if any(result["status"] in bad for result in known.results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
