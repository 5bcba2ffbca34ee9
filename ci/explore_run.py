#!/usr/bin/env python3
"""Runs heapster-explore over all scenarios, and over what is broken on purpose.

usage: explore_run.py BUILD_FOLDER RESULTS.json [--seconds N] [--jobs N]

Ends with 1 where a scenario fails, or where something broken is not found by the default strategy.
"""
import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "bench"))
import compare_machine

# A name, arguments, the most preemptions, and the share of the time that a scenario may take. With total store order the
# drains multiply, and each is one more way to go on.
PASSES = (("c11", ["--memory", "c11"], 3, 1), ("c11, each step", ["--memory", "c11", "--check", "step"], 3, 15),
          ("tso", ["--memory", "tso"], 2, 15), ("sc", ["--memory", "sc"], 3, 15))
STRATEGIES = (("dfs", []), ("pct", ["--strategy", "pct", "--depth", "3"]), ("random", ["--strategy", "random"]))
SEEDS = (1, 2, 3)
SECONDS_TO_FIND = {"dfs": 10, "pct": 2, "random": 2}
QUIET = ["--no-shrink", "--steps", "none"]
FINDING = re.compile(r"^(?P<name>\S+) +(?P<executions>\d+) executions, +(?P<pruned>\d+) pruned, +(?P<operations>\d+) "
                     r"operations, +(?P<points>\d+) points +(?P<seconds>[\d.]+) s  (?P<end>all|in part|FAILED)$", re.M)


def scenarios(explore):
    lines = subprocess.run([explore, "--list"], check=True, capture_output=True, text=True).stdout.splitlines()
    for head, program, bounds in zip(lines[::3], lines[1::3], lines[2::3]):
        name, about = head.split(None, 1)
        threads = re.sub(r"@[a-z_]+=.*$", "", program.strip()).split("/")[1:]
        preemptions, stale, faults = map(int, re.findall(r"\d+", bounds))
        yield {"name": name, "about": about, "program": program.strip(), "threads": len(threads),
               "calls": max(len(thread.split(",")) for thread in threads), "preemptions": preemptions,
               "stale": stale, "faults": faults}


def run(explore, arguments, seconds, library=None):
    """A finding as a dictionary. The time allowed, of the processor, is the explorer's to keep; what is far
    beyond it is a hang."""
    environment = dict(os.environ, **({"LD_LIBRARY_PATH": library} if library else {}))
    command = [explore, *arguments, "--seconds", str(seconds), *QUIET]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=20 * seconds + 300,
                            check=False)
    match = FINDING.search(result.stdout)
    if match is None:
        raise SystemExit(f"{' '.join(command)} ended with {result.returncode} and no finding:\n{result.stdout}"
                         f"{result.stderr}")
    finding = {key: int(value) for key, value in match.groupdict().items() if value.isdigit()}
    return {**finding, "seconds": float(match["seconds"]), "end": match["end"], "text": result.stdout}


def broken(build):
    """What the tests explore.finds.* run: name, folder of the library, scenario and further arguments."""
    listing = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1", "-R", r"^explore\.finds\."],
                             check=True, capture_output=True, text=True).stdout
    for test in json.loads(listing)["tests"]:
        _, _, library, scenario, *rest = test["command"]
        yield {"name": test["name"].removeprefix("explore.finds."), "library": library, "scenario": scenario,
               "arguments": rest}


def search_broken(explore, variant):
    """For each strategy, each try's executions, seconds, and whether it found anything."""
    tries = {}
    for strategy, arguments in STRATEGIES:
        seeds = [[]] if strategy == "dfs" else [["--seed", str(seed)] for seed in SEEDS]
        tries[strategy] = [run(explore, ["--scenario", variant["scenario"], *variant["arguments"], *arguments, *seed],
                               SECONDS_TO_FIND[strategy], variant["library"]) for seed in seeds]
    return {"name": variant["name"], "scenario": variant["scenario"], "tries": tries}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("results")
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    explore = os.path.join(options.build, "bin", "heapster-explore")
    listed = list(scenarios(explore))
    results = {"machine": compare_machine.describe(), "commit": compare_machine.commit("."),
               "seconds": options.seconds, "seconds_to_find": SECONDS_TO_FIND,
               "passes": [{"name": name, "preemptions": preemptions, "seconds": options.seconds / share}
                          for name, _, preemptions, share in PASSES], "scenarios": [], "broken": []}
    wrong = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        runs = {(scenario["name"], name): pool.submit(
                    run, explore, ["--scenario", scenario["name"], *arguments,
                                   "--preemptions", str(min(preemptions, scenario["preemptions"]))],
                    max(1, options.seconds // share))
                for name, arguments, preemptions, share in PASSES for scenario in listed}
        for scenario in listed:
            scenario["findings"] = {}
            for model, *_ in PASSES:
                finding = runs[scenario["name"], model].result()
                text = finding.pop("text")
                scenario["findings"][model] = finding
                print(f"{scenario['name']:20} {model:15} {finding['executions']:10} executions "
                      f"{finding['seconds']:8.2f} s  {finding['end']}", flush=True)
                if finding["end"] == "FAILED":
                    wrong.append(f"{scenario['name']} {model}")
                    print(text, flush=True)
            results["scenarios"].append(scenario)
    # One after the other: their times are compared.
    for variant in broken(options.build):
        found = search_broken(explore, variant)
        for tries in found["tries"].values():
            for attempt in tries:
                attempt.pop("text")
        print(f"{found['name']:24} " + ", ".join(
            f"{strategy} {sum(attempt['end'] == 'FAILED' for attempt in tries)} of {len(tries)}"
            for strategy, tries in found["tries"].items()), flush=True)
        if found["tries"]["dfs"][0]["end"] != "FAILED":
            wrong.append(f"{found['name']} is not found")
        results["broken"].append(found)
    with open(options.results, "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    for line in wrong:
        print(f"WRONG: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
