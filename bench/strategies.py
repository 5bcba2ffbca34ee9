"""heapster-bench strategies: the four strategies, thread cache on and off: time, memory, fragmentation; see --help."""
import argparse
import json
import os
import sys
import tempfile

import child
import compare
import compare_allocators
import compare_machine
import compare_plan
import compare_run
import compare_summary
import report
import report_plots
from statistics_of_runs import median

STRATEGIES = ["first", "next", "best", "worst"]
BASE = "first"
WORKLOADS = ["mixed", "phases", "larson", "replace_100k", "fragmented_1k", "fragmented_1m"]
LIVE_LEAST = 1 << 20    # with less alive, the share of it is noise


def parse(arguments):
    parser = argparse.ArgumentParser(prog="heapster-bench strategies", description="Runs workloads under each of "
                                     "Heapster's strategies, thread cache on and off, in random order, and shows time, "
                                     "peak RSS and fragmentation over the run.")
    parser.add_argument("--bench", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--workloads", default=",".join(WORKLOADS), help="(default: those of %(default)s that exist)")
    parser.add_argument("--threads", type=int, default=2, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--scale", type=float, default=1.0, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the order (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=120, help="the most that one run may take (default: 120)")
    parser.add_argument("--json", metavar="FILE", help="write every run and every figure")
    parser.add_argument("--report", metavar="DIR", help="write strategies.md and plots")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    options = parser.parse_args(arguments)
    if min(options.threads, options.rounds, options.seconds) < 1 or options.scale <= 0:
        parser.error("threads, rounds, seconds and scale are positive")
    return options


def configurations(library):
    """Each strategy with and without the cache, as an allocator of its own. The base stands for glibc as peer."""
    for strategy in STRATEGIES:
        for cache in ("on", "off"):
            name = strategy if cache == "on" else f"{strategy}, cache off"
            yield compare_allocators.Allocator(name, "peer" if name == BASE else "variant", library,
                                               {"HEAPSTER_OPTIONS": f"strategy={strategy},cache={cache}"})


def fragmentation(samples):
    """[(seconds, 1 - largest free / all free)] of one run."""
    return [(at, 1 - largest / free) for at, free, largest in samples["free_over_time"] if free > 0]


def overhead(samples):
    """[(seconds, RSS without the bench's own / live bytes)] of one run."""
    return [(at, (rss - samples["own_bytes"]) / live) for at, rss, live in samples["rss_over_time"]
            if live >= LIVE_LEAST]


def mean(points):
    return sum(value for _, value in points) / len(points) if points else None


def most(points):
    return max((value for _, value in points), default=None)


def series_of(runs, workload, what):
    """For each configuration the curve of its first counted run."""
    series = {}
    for run in runs:
        if (run["kind"], run["name"]) == ("samples", workload) and not run["discarded"] and "measures" in run:
            series.setdefault(run["allocator"], what(run["measures"]))
    return series


def median_over_runs(runs, workload, name, what, of):
    values = [of(what(run["measures"])) for run in runs if run["kind"] == "samples" and run["name"] == workload and
              run["allocator"] == name and not run["discarded"] and "measures" in run]
    known = [value for value in values if value is not None]
    return median(known) if known else None


def table_of(workload, row, runs, names):
    """A line for each configuration."""
    head = ["strategy", "time", "to first", "peak RSS", "to first", "fragmentation, mean", "most", "RSS / live, mean"]
    lines = []
    for name in names:
        if name in row["failures"]:
            lines.append([name, "failed"] + ["-"] * (len(head) - 2))
            continue
        shown = row["allocators"][name]
        lines.append([name, report.amount("workload", "time", shown["time"]["median"]),
                      report.number(shown["time"]["to_base"]),
                      report.amount("workload", "rss", shown["rss"]["median"]), report.number(shown["rss"]["to_base"]),
                      report.number(median_over_runs(runs, workload, name, fragmentation, mean)),
                      report.number(median_over_runs(runs, workload, name, fragmentation, most)),
                      report.number(median_over_runs(runs, workload, name, overhead, mean))])
    return head, lines


def measure(options, surroundings):
    """Everything, as one dictionary."""
    library = os.path.join(os.path.dirname(os.path.dirname(options.bench)), "libheapster.so")
    allocators = list(configurations(compare_allocators.locate(library)))
    names = [allocator.name for allocator in allocators]
    listed = compare.list_workloads(surroundings)
    known = {workload["name"] for workload in listed}
    wanted = compare.names_list(options.workloads)
    if options.workloads == ",".join(WORKLOADS):
        wanted = [name for name in wanted if name in known]
    workloads = [{**workload, "threads": [options.threads]} for workload in listed]
    runner = compare_run.Runner(surroundings, allocators, options.scale, False)
    timed = compare_plan.choose_cases(workloads, wanted, None, ["workload"])
    sampled = compare_plan.choose_cases(workloads, wanted, None, ["samples"])
    planned = compare_plan.steps(timed, names, options.rounds, options.seed)
    planned += [step for step in compare_plan.steps(sampled, names, 1, options.seed) if not step.discarded]
    machine = compare_machine.describe()
    runs = compare_run.execute(planned, runner, options.quiet)
    descriptions = [{**allocator.as_dict(), "base": allocator.name == BASE} for allocator in allocators]
    summary = compare_summary.summarise([run for run in runs if run["kind"] == "workload"], descriptions)
    tables = {row["name"]: table_of(row["name"], row, runs, names) for row in summary["rows"]}
    return {"machine": machine, "rounds": options.rounds, "scale": options.scale, "seed": options.seed,
            "threads": options.threads, "allocators": descriptions, "runs": runs, "summary": summary, "tables": tables}


def text(result):
    parts = [f"{name}, {result['threads']} threads, medians of {result['rounds']} runs\n{report.text_of(table)}"
             for name, table in result["tables"].items()]
    parts += report.failure_lines(result["summary"], [])
    return "\n\n".join(parts) + "\n"


def write_plots(result, folder):
    """The names of the files written, and what could not be plotted."""
    written, problems = [], []
    for name in result["tables"]:
        for what, title, label, of in (("fragmentation", "free memory outside of the largest free block", "share",
                                        fragmentation), ("overhead", "RSS for each live byte", "bytes", overhead)):
            path = f"strategies-{name.replace('_', '-')}-{what}.svg"
            try:
                report_plots.lines(os.path.join(folder, path), f"{name}: {title}", "seconds", label,
                                   series_of(result["runs"], name, of))
                written.append(path)
            except report_plots.NothingToPlot:
                continue
            except report_plots.NoPlots as reason:
                problems.append(f"{path}: {reason}")
    return written, problems


def markdown(result, plots, folder=""):
    parts = []
    for name, table in result["tables"].items():
        own = [plot for plot in plots if plot.startswith(f"strategies-{name.replace('_', '-')}-")]
        shown = "".join(f"\n\n![{plot}]({os.path.join(folder, plot)})" for plot in own)
        parts.append(f"### {name}, {result['threads']} threads\n\n{report.markdown_of(table)}{shown}")
    return "\n\n".join(parts + [f"- {line}" for line in report.failure_lines(result["summary"], [])]) + "\n"


def deliver(result, options):
    sys.stdout.write(text(result))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
            file.write("\n")
    if options.report:
        os.makedirs(options.report, exist_ok=True)
        plots, problems = write_plots(result, options.report)
        with open(os.path.join(options.report, "strategies.md"), "w", encoding="utf-8") as file:
            file.write("# heapster-bench strategies\n\n" + markdown(result, plots))
        for problem in problems:
            compare.say(f"heapster-bench: no plot {problem}")


def main(arguments):
    options = parse(arguments)
    with tempfile.TemporaryDirectory(prefix="heapster-bench-") as folder:
        try:
            result = measure(options, child.Surroundings(options.bench, folder, options.seconds))
        except (ValueError, compare_allocators.Missing, child.Failure) as error:
            compare.say(f"heapster-bench: {error}")
            return 2
    try:
        deliver(result, options)
    except OSError as error:
        compare.say(f"heapster-bench: cannot write: {error}")
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
