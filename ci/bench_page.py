#!/usr/bin/env python3
"""docs/benchmarks.md and its plots from what ci/bench measured.

usage: bench_page.py FOLDER OUTPUT PLOTS

FOLDER holds compare.json, and options.json and strategies.json where these were measured.
"""
import json
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "bench"))

import compare_summary      # noqa: E402
import report               # noqa: E402
import strategies           # noqa: E402
from statistics_of_runs import median  # noqa: E402

HEAD = """# Benchmarks

Written by `ci/bench{arguments}`; run it again to get it anew. Each allocator is preloaded under the same program. In
each of the {rounds} rounds every case stands once with every allocator, in an order drawn anew; each counted run comes
after one of the same allocator whose figures are discarded. Figures are medians; ratios are to {base}, lower is better,
the best of a row is marked `*`; the spread is the largest less the smallest run, as a share of the median, in the
allocator where it is widest. Differences below the spread say nothing.

Time is wall-clock time for an operation in the workloads, where `larson/8` means eight threads, and processor time of
all processes in the programs. Peak RSS is that of the whole process, in the programs of the largest one. Latency is
from runs of its own, in which each call is timed. This run had {workloads} workloads at {scale:g} of their length, and
timed calls with {latency_threads} threads.
"""
QUICK = """
This was a quick run, with smaller inputs of the programs. `ci/bench` without an argument measures all of it.
"""
OPTIONS = """
## What each option does

Heapster's own figures, and ratios to them with the option as named.

{table}
"""
STRATEGIES = """
## The strategies compared

Ratios to first fit with its cache. Fragmentation is the share of free memory that lies outside of the largest free
block, over the run; RSS / live is the resident memory for each byte that is in use.

"""
DASH = "not measured"


def load(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def machine_table(result):
    lines = [[name.replace("_", " "), str(value)] for name, value in result["machine"].items()]
    lines += [[allocator["name"], allocator["version"] or f"at commit {result['machine']['commit']}"]
              for allocator in result["allocators"]]
    return report.markdown_of((["", ""], lines))


# ---- figures to reach ----------------------------------------------------------------------------------------------

def figure(name, value, goal, shown):
    """A line of the table. value: None where it was not measured; goal: what it may be at most."""
    verdict = DASH if value is None else "yes" if value <= goal else "**no**"
    return [name, DASH if value is None else shown, f"{goal:g}", verdict]


def mean_against_peer(summary, group, metric):
    """Heapster's mean by that of the best single peer, and who that is."""
    entry = summary["means"].get(group)
    best = entry and entry["best_peer"].get(metric)
    own = entry and entry["means"].get(metric, {}).get("heapster")
    return (own / entry["means"][metric][best], best) if best and own else (None, None)


def mean_figure(summary, name, group, metric, goal):
    value, best = mean_against_peer(summary, group, metric)
    return figure(name, value, goal, f"{report.number(value)} ({best})")


def slowest_figure(summary):
    worst = compare_summary.slowest_against_peers(summary, "heapster")
    if worst is None:
        return figure("slowest case, by the best peer in it", None, 1.1, "")
    values = [row["allocators"]["heapster"]["time"]["to_best_peer"] for row in summary["rows"]
              if row["kind"] != "latency" and "heapster" in row["allocators"]]
    value = worst["allocators"]["heapster"]["time"]["to_best_peer"]
    over = sum(each > 1.1 for each in values)
    return figure("slowest case, by the best peer in it", value, 1.1,
                  f"{report.number(value)} ({report.label(worst)}; {over} of {len(values)} are above)")


def time_of(summary, name, allocator):
    for row in summary["rows"]:
        if (row["kind"], row["name"], row["threads"]) == ("workload", name, 1) and allocator in row["allocators"]:
            return row["allocators"][allocator]["time"]["median"]
    return None


def growth(summary, allocator, small, large):
    before, after = (time_of(summary, name, allocator) for name in (small, large))
    return after / before if before and after else None


def growth_figure(summary):
    own = growth(summary, "heapster", "live_10k", "live_10m")
    peers = [value for value in (growth(summary, peer, "live_10k", "live_10m") for peer in summary["peers"]) if value]
    usual = median(peers) if peers else None
    value = own / usual if own and usual else None
    return figure("time with 10^7 live blocks by that with 10^4, by the same of the peers' median", value, 1.1,
                  f"{report.number(value)} ({report.number(own)} by {report.number(usual)})")


def counter_figures(result):
    counters = result["counters"] or {"pair_instructions": {}, "locks": {}}
    pair = counters["pair_instructions"].get("heapster")
    if pair is not None:
        pair = round(pair, 1)   # where the heap is loaded differs from run to run, and with it some hundredths
    total = counters["locks"].get("heapster", {}).get("64", {"operations": 0, "counters": {}})
    locks = total["counters"].get("lock_acquisitions")
    taken = locks * 1e3 / total["operations"] if locks is not None else None
    contended = total["counters"].get("lock_contentions", 0) * 1e3 / locks if locks else None
    return [figure("instructions for a pair of malloc(64) and free", pair, 53, report.number(pair)),
            figure("locks taken in a thousand operations, 64 threads", taken, 20, report.number(taken)),
            figure("contended of a thousand of those", contended, 1, report.number(contended))]


def fragmented_figures(options):
    """A million free blocks against a thousand, for each strategy."""
    if options is None or "fragmented_1m" not in options["tables"]:
        return [figure("malloc with a million free blocks by malloc with a thousand, any strategy", None, 2, "")]
    rows = {row["name"]: row for row in options["summary"]["rows"]}
    ratios = {name: shown["time"]["median"] / rows["fragmented_1k"]["allocators"][name]["time"]["median"]
              for name, shown in rows["fragmented_1m"]["allocators"].items()
              if name in rows["fragmented_1k"]["allocators"]}
    worst = max(ratios, key=ratios.get)
    return [figure("malloc with a million free blocks by malloc with a thousand, any strategy", ratios[worst], 2,
                   f"{report.number(ratios[worst])} ({worst})")]


def figures(result, of_strategies):
    summary = result["summary"]
    lines = [mean_figure(summary, "time, mean of all, by the best peer's", "all", "time", 0.9),
             slowest_figure(summary),
             mean_figure(summary, "peak RSS, mean of all, by the best peer's", "all", "rss", 1.0),
             *counter_figures(result), growth_figure(summary), *fragmented_figures(of_strategies),
             mean_figure(summary, "p99.9 of a call, mean, by the best peer's", "latency", "p99_9", 1.0)]
    return report.markdown_of((["figure", "measured", "at most", "reached"], lines))


# ---- options -------------------------------------------------------------------------------------------------------

def option_tables(result):
    """What each option does: the library with all of them on, and with one of them off."""
    names = [allocator["name"] for allocator in result["allocators"] if allocator["role"] == "variant"]
    lines = []
    for metric, what in (("time", "time"), ("rss", "peak RSS")):
        rows = report.rows_of(result["summary"], "workload")
        for row in rows:
            lines.append([f"{what}, {report.label(row)}", *[report.cell(row, name, metric, "heapster")
                                                           for name in ("heapster", *names)]])
        means = result["summary"]["means"]["workloads"]["means"][metric]
        lines.append([f"**{what}, mean**", "", *[report.number(means.get(name)) for name in names]])
    return report.markdown_of((["case", "heapster", *names], lines))


def write(folder, plots_folder, out):
    result, options, of_strategies = (load(folder, name) for name in ("compare.json", "options.json",
                                                                       "strategies.json"))
    plots, problems = report.write_plots(result, plots_folder)
    name = os.path.basename(plots_folder)
    rows = result["summary"]["rows"]
    out.write(HEAD.format(arguments=" --quick" if result["quick"] else "", rounds=result["rounds"],
                          base=result["summary"]["base"], scale=result["scale"],
                          workloads=len({row["name"] for row in rows if row["kind"] == "workload"}),
                          latency_threads=", ".join(map(str, sorted({row["threads"] for row in rows
                                                                     if row["kind"] == "latency"}))) or "no"))
    if result["quick"]:
        out.write(QUICK)
    out.write(f"\n## The machine\n\n{machine_table(result)}\n")
    out.write(f"\n## Figures to reach\n\n{figures(result, of_strategies)}\n")
    out.write("\n" + report.markdown(result, plots, name))
    if options is not None and len(options["allocators"]) > 1:
        out.write(OPTIONS.format(table=option_tables(options)))
    if of_strategies is not None:
        more, more_problems = strategies.write_plots(of_strategies, plots_folder)
        problems += more_problems
        out.write(STRATEGIES + strategies.markdown(of_strategies, more, name))
    return problems


def main(folder, output, plots_folder):
    with open(output, "w", encoding="utf-8") as out:
        problems = write(folder, plots_folder, out)
    for problem in problems:
        print(f"no plot {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
