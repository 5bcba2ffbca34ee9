#!/usr/bin/env python3
"""docs/peers.md from the reports of ci/peers.

usage: peers_page.py FOLDER OUTPUT

FOLDER holds NAME.json of each allocator, NAME.tolerated.json where it was run once more with `--tolerate misaligned`,
and `versions`: a line for each with name, package, version and library.
"""
import json
import os
import re
import sys

HEAD = """# Other allocators under the stress suite

Written by `ci/peers`; run it again to get it anew. Each allocator is the process's own `malloc` (preloaded, but for
glibc's) and is judged by the oracle that judges Heapster: no overlap, content, alignment, usable size, zeroed calloc,
kept prefix of realloc, `errno`. A scenario ends at the first violation. Those that need Heapster's own functions are
skipped for all, and Heapster stands here as a preloaded library like the others; [stress.md](stress.md) is about the
rest.

They are held to what C and POSIX say ([stress.md](stress.md#any-allocator)); Heapster itself is held to more when it is
run without `--allocator system`. What the threads do is the same in every run, how they meet is not: a violation that
depends on that may be missing in another run, or come in another scenario.
"""


def read(folder):
    with open(os.path.join(folder, "versions"), encoding="utf-8") as file:
        for line in file:
            name, package, version, library = line.split()
            yield {"name": name, "package": package, "version": version, "library": library,
                   "report": load(folder, name), "tolerated": load(folder, name + ".tolerated")}


def load(folder, name):
    path = os.path.join(folder, name + ".json")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as report:
        return json.load(report)


def command(peer):
    options = peer["report"]["options"]
    preload = f"LD_PRELOAD={peer['library']} " if peer["library"] != "-" else ""
    return (f"{preload}build/release/bin/heapster-stress --allocator system --threads {options['threads']} "
            f"--seconds {options['seconds']:g} --seed {options['seed']} --hang-seconds 20")


def title(peer):
    package = f" ({peer['package']} {peer['version']})" if peer["package"] != "-" else f" ({peer['version']})"
    return peer["name"] + package


def verdict(row):
    return {"passed": "pass", "failed": "**FAIL**", "skipped": "skip"}.get(row["verdict"], row["verdict"])


def write(peers, out):
    rows = {peer["name"]: {row["scenario"]: row for row in peer["report"]["rows"]} for peer in peers}
    scenarios = [row["scenario"] for row in peers[0]["report"]["rows"]]
    out.write(HEAD)
    out.write("\n## Verdicts\n\n| scenario | " + " | ".join(peer["name"] for peer in peers) + " |\n")
    out.write("|---" * (len(peers) + 1) + "|\n")
    for scenario in scenarios:
        out.write(f"| {scenario} | " + " | ".join(verdict(rows[peer["name"]][scenario]) for peer in peers) + " |\n")
    for peer in peers:
        out.write(f"\n## {title(peer)}\n")
        write_run(command(peer), peer["report"], out)
        if peer["tolerated"] is not None:
            out.write("\nOnce more, with misaligned blocks only counted:\n")
            write_run(command(peer) + " --tolerate misaligned", peer["tolerated"], out)


def write_run(line, report, out):
    summary = report["summary"]
    out.write(f"\n    {line}\n\n{summary['passed']} passed, {summary['failed']} failed, {summary['skipped']} skipped")
    tolerated = {row["scenario"]: row["tolerated"] for row in report["rows"] if row["tolerated"]}
    if tolerated:
        out.write("; tolerated: " + ", ".join(f"{count:,} in `{name}`" for name, count in tolerated.items()))
    out.write(".\n")
    failed = [row for row in report["rows"] if row["verdict"] == "failed"]
    if failed:
        out.write("\n")
    for row in failed:
        reason = re.sub(r"\s+", " ", row["reason"]).replace(os.getcwd() + "/", "")
        out.write(f"- `{row['scenario']}`: {reason}\n")


def main(folder, output):
    peers = list(read(folder))
    with open(output, "w", encoding="utf-8") as out:
        write(peers, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
