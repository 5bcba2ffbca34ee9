"""What a comparison says: as a text table, as Markdown with plots."""
import os

import report_plots

# What the statistics hold beside counts: amounts that come and go.
NOT_COUNTS = {"used_bytes", "used_blocks", "free_bytes", "free_blocks", "largest_free", "region_bytes", "region_count",
              "large_bytes", "large_blocks", "arena_count"}
TITLES = {"time": "time", "cpu": "processor time", "rss": "peak RSS", "p50": "p50",
          "p99": "p99", "p99_9": "p99.9", "max": "slowest call"}


def number(value):
    if value is None:
        return "-"
    digits = 3 if 0 < value < 0.1 else 2 if value < 100 else 0
    return f"{value:,.{digits}f}"


def label(row):
    return row["name"] if row["kind"] == "program" else f"{row['name']}/{row['threads']}"


def amount(kind, metric, value):
    """A median with its unit."""
    if metric == "rss":
        return f"{value / 2**20:.1f} MiB"
    if metric == "time" and kind == "program":
        return f"{value:.3f} s"
    return f"{value:,.1f} ns" if value < 1000 else f"{value / 1000:,.1f} us"


def cell(row, allocator, metric, base):
    """The ratio to the base, or what the base itself took; the best of the row is marked."""
    if allocator in row["failures"]:
        return "failed"
    shown = row["allocators"][allocator][metric]
    value = amount(row["kind"], metric, shown["median"]) if allocator == base else number(shown["to_base"])
    return value + ("*" if shown["rank"] == 1 else "")


def rows_of(summary, kind):
    return [row for row in summary["rows"] if row["kind"] == kind]


def case_table(summary, rows, metric):
    """Head and lines of a table: the base's own figure, ratios, the widest spread among the allocators."""
    names = [name for name in summary_names(summary) if name != summary["base"]]
    head = ["case", summary["base"], *names, "spread"]
    lines = []
    for row in rows:
        spreads = [entry[metric]["spread"] for entry in row["allocators"].values()]
        lines.append([label(row), *[cell(row, name, metric, summary["base"]) for name in [summary["base"], *names]],
                      f"{max(spreads) * 100:.0f} %" if spreads else "-"])
    return head, lines


def summary_names(summary):
    names = []
    for row in summary["rows"]:
        for name in [*row["allocators"], *row["failures"]]:
            if name not in names:
                names.append(name)
    return sorted(names, key=lambda name: (name in summary["peers"], name != "heapster"))


def mean_table(summary):
    names = summary_names(summary)
    head = ["geometric mean", "of", "cases", *names, "best peer", "to best peer"]
    lines = []
    for group, entry in summary["means"].items():
        for metric, means in entry["means"].items():
            best = entry["best_peer"][metric]
            subject = means.get("heapster")
            lines.append([TITLES[metric], group, str(entry["rows"]), *[number(means.get(name)) for name in names],
                          best or "-", number(subject / means[best]) if best and subject else "-"])
    return head, lines


def failure_lines(summary, missing):
    lines = [f"missing, left out: {entry['name']}: {entry['reason']}" for entry in missing]
    lines += [f"failed, its case left out of all means: {entry['allocator']} in {label(entry)} "
              f"({entry['kind']}): {entry['reason']}"
              for entry in summary["failures"]]
    return lines


def text_of(table):
    head, lines = table
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    return "\n".join("  ".join(value.ljust(width) if i == 0 else value.rjust(width)
                               for i, (value, width) in enumerate(zip(line, widths))).rstrip()
                     for line in [head, *lines])


def markdown_of(table):
    head, lines = table
    rows = [head, ["---"] + ["---:"] * (len(head) - 1), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in rows)


SECTIONS = [("workload", "time", "Workloads: time for an operation"), ("workload", "rss", "Workloads: peak RSS"),
            ("program", "time", "Programs: processor time"), ("program", "rss", "Programs: peak RSS"),
            ("latency", "p99", "Latency: p99 of a call"), ("latency", "p99_9", "Latency: p99.9 of a call"),
            ("latency", "max", "Latency: the slowest call")]


def sections(summary):
    """(title, table) for each kind and metric that has rows."""
    for kind, metric, title in SECTIONS:
        rows = rows_of(summary, kind)
        if rows:
            yield title, case_table(summary, rows, metric)


def counter_tables(counters):
    """(title, table) of what was counted."""
    pairs = {name: count for name, count in counters["pair_instructions"].items() if count is not None}
    if pairs:
        yield (f"Instructions for a pair of malloc({counters['pair_bytes']}) and free, under callgrind",
               (["allocator", "instructions"], [[name, f"{count:.1f}"] for name, count in pairs.items()]))
    for name, by_threads in counters["locks"].items():
        if by_threads:
            yield f"Counters of {name}, over all workloads", counter_table(by_threads)
    events = []
    for row in counters["misses"]["rows"]:
        for name, counts in row["allocators"].items():
            for event in counts:
                if event not in events and event != "failure":
                    events.append(event)
    if events:
        lines = [[row["workload"], name, *[number(counts.get(event)) for event in events]]
                 for row in counters["misses"]["rows"] for name, counts in row["allocators"].items()]
        yield f"Events for an operation, one thread, counted by {how_counted(counters['misses']['method'])}", (
            ["workload", "allocator", *events], lines)


def how_counted(method):
    """What a reader misses where the machine does not let `perf stat` count, is said."""
    return method if method == "perf" else f"{method}; TLB misses are not: perf stat has no such counter here"


def share(total, name, of, times):
    counters = {**total["counters"], "operations": total["operations"]}
    return number(counters.get(name, 0) * times / counters[of]) if counters.get(of) else "-"


def counter_table(by_threads):
    """Three figures of what threads share first, and then all counts, in a million operations."""
    threads = sorted(by_threads, key=int)
    totals = [by_threads[count] for count in threads]
    names = [name for name in dict.fromkeys(name for total in totals for name in total["counters"])
             if name not in NOT_COUNTS]
    lines = [["operations", *[f"{total['operations']:,}" for total in totals]],
             ["locks taken in a thousand operations",
              *[share(total, "lock_acquisitions", "operations", 1e3) for total in totals]],
             ["contended of a thousand locks taken",
              *[share(total, "lock_contentions", "lock_acquisitions", 1e3) for total in totals]],
             ["shared cache lines written per operation",
              *[share(total, "shared_lines_written", "operations", 1) for total in totals]]]
    lines += [[f"{name.replace('_', ' ')} in a million operations",
               *[share(total, name, "operations", 1e6) for total in totals]] for name in names]
    return ["counter", *[f"{count} threads" if int(count) > 1 else "1 thread" for count in threads]], lines


def text(result):
    """The whole comparison for a terminal."""
    summary = result["summary"]
    parts = [f"ratios to {summary['base']}, lower is better; * the best of its row; medians of {result['rounds']} runs;"
             " spread: largest less smallest run, of the median, in the allocator where it is widest"]
    for title, table in sections(summary):
        parts.append(f"{title}\n{text_of(table)}")
    parts.append(f"Geometric means\n{text_of(mean_table(summary))}")
    if result.get("counters"):
        parts += [f"{title}\n{text_of(table)}" for title, table in counter_tables(result["counters"])]
    parts += failure_lines(summary, result["missing"])
    return "\n\n".join(parts) + "\n"


def write_plots(result, folder):
    """The names of the files written; what could not be plotted is said."""
    summary = result["summary"]
    names = summary_names(summary)
    written, problems = [], []
    cases = rows_of(summary, "workload") + rows_of(summary, "program")
    latency = rows_of(summary, "latency")
    base = summary["base"]
    wanted = [("time.svg", cases, lambda path: report_plots.ratio_per_case(
                  path, f"Time, as a multiple of {base}", cases, names, "time")),
              ("memory.svg", cases, lambda path: report_plots.ratio_per_case(
                  path, f"Peak RSS, as a multiple of {base}", cases, names, "rss")),
              ("tails.svg", latency, lambda path: report_plots.ratio_per_case(
                  path, f"p99.9 of a call, as a multiple of {base}", latency, names, "p99_9")),
              ("latency.svg", latency, lambda path: report_plots.latency_tails(
                  path, summary["means"]["latency"]["means"], names))]
    for name, rows, draw in wanted:
        if not rows:
            continue
        try:
            draw(os.path.join(folder, name))
            written.append(name)
        except report_plots.NothingToPlot:
            continue
        except report_plots.NoPlots as reason:
            problems.append(f"{name}: {reason}")
    return written, problems


def markdown(result, plots, folder=""):
    """Every table, with the plots where they belong."""
    summary = result["summary"]
    pictures = {"Workloads: time for an operation": "time.svg", "Workloads: peak RSS": "memory.svg",
                "Latency: p99.9 of a call": "tails.svg", "Latency: the slowest call": "latency.svg"}
    parts = [f"## Geometric means\n\nRatios to {summary['base']}, lower is better.\n\n"
             + markdown_of(mean_table(summary))]
    failures = failure_lines(summary, result["missing"])
    if failures:
        parts.append("\n".join(f"- {line}" for line in failures))
    for title, table in sections(summary):
        picture = pictures.get(title)
        shown = f"![{title}]({os.path.join(folder, picture)})\n\n" if picture in plots else ""
        parts.append(f"## {title}\n\n{shown}{markdown_of(table)}")
    if result.get("counters"):
        parts += [f"## {title}\n\n{markdown_of(table)}" for title, table in counter_tables(result["counters"])]
    return "\n\n".join(parts) + "\n"


def write(result, folder):
    """The report as a folder: report.md and the plots. Returns what could not be plotted."""
    os.makedirs(folder, exist_ok=True)
    plots, problems = write_plots(result, folder)
    with open(os.path.join(folder, "report.md"), "w", encoding="utf-8") as file:
        file.write("# heapster-bench compare\n\n" + markdown(result, plots))
    return problems
