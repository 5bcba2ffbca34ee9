"""From the runs to rows and means: medians, ratios to glibc, to the best peer, and geometric means over the cases."""
from statistics_of_runs import geometric_mean, median, ranks, ratio, spread

METRICS = {"workload": ["time", "cpu", "rss"], "program": ["time", "cpu", "rss"],
           "latency": ["p50", "p99", "p99_9", "max"]}


def case_key(run):
    return run["kind"], run["name"], run["threads"]


def group_runs(runs):
    """{case: {allocator: {"measures": [...], "failure": text or None}}} of the counted runs, and of every failure."""
    cases = {}
    for run in runs:
        entry = cases.setdefault(case_key(run), {}).setdefault(run["allocator"], {"measures": [], "failure": None})
        if "failure" in run:
            entry["failure"] = run["failure"]
        elif not run["discarded"]:
            entry["measures"].append(run["measures"])
    return cases


def order_of_cases(cases):
    kinds = list(METRICS)
    return sorted(cases, key=lambda case: (kinds.index(case[0]), case[2], case[1]))


def make_row(case, entries, names, peers, base):
    """One case: for each allocator and metric the median, its spread, and the ratios."""
    kind, name, threads = case
    row = {"kind": kind, "name": name, "threads": threads, "allocators": {}, "failures": {}}
    for allocator in names:
        entry = entries.get(allocator)
        if entry is None or entry["failure"] is not None or not entry["measures"]:
            row["failures"][allocator] = entry["failure"] if entry and entry["failure"] else "was not run"
            continue
        shown = row["allocators"][allocator] = {"runs": len(entry["measures"])}
        for metric in METRICS[kind]:
            values = [measures[metric] for measures in entry["measures"]]
            shown[metric] = {"median": median(values), "spread": spread(values)}
    for metric in METRICS[kind]:
        medians = {allocator: shown[metric]["median"] for allocator, shown in row["allocators"].items()}
        best = min((medians[peer] for peer in peers if peer in medians), default=None)
        for allocator, rank in ranks(medians).items():
            shown = row["allocators"][allocator][metric]
            shown["rank"] = rank
            shown["to_base"] = ratio(shown["median"], medians.get(base))
            shown["to_best_peer"] = ratio(shown["median"], best)
    return row


def groups_of(rows):
    """Which rows each mean is over: those of each number of threads, of each kind, and all."""
    groups = {}
    for threads in sorted({row["threads"] for row in rows if row["kind"] == "workload"}):
        groups[f"{threads} thread{'s' if threads > 1 else ''}"] = [
            row for row in rows if row["kind"] == "workload" and row["threads"] == threads]
    for name, kinds in (("workloads", ["workload"]), ("programs", ["program"]), ("all", ["workload", "program"]),
                        ("latency", ["latency"])):
        groups[name] = [row for row in rows if row["kind"] in kinds]
    return {name: members for name, members in groups.items() if members}


def means_of(rows, names):
    """{metric: {allocator: geometric mean of its ratios to the base}} over the rows in which nobody failed."""
    complete = [row for row in rows if not row["failures"]]
    metrics = list(dict.fromkeys(metric for row in complete for metric in METRICS[row["kind"]]))
    means = {}
    for metric in metrics:
        means[metric] = {}
        for allocator in names:
            ratios = [row["allocators"][allocator][metric]["to_base"] for row in complete]
            usable = [value for value in ratios if value]
            means[metric][allocator] = geometric_mean(usable) if len(usable) == len(ratios) else None
    return {"rows": len(complete), "left_out": len(rows) - len(complete), "means": means}


def best_peer(means, peers):
    known = {peer: means[peer] for peer in peers if means.get(peer)}
    return min(known, key=known.get) if known else None


def summarise(runs, allocators):
    """allocators: a list of dictionaries. The base of ratios is glibc, or the first where it is not among them."""
    names = [allocator["name"] for allocator in allocators]
    peers = [allocator["name"] for allocator in allocators if allocator["role"] == "peer"]
    base = "glibc" if "glibc" in names else (peers or names)[0]
    cases = group_runs(runs)
    rows = [make_row(case, cases[case], names, peers, base) for case in order_of_cases(cases)]
    means = {group: means_of(members, names) for group, members in groups_of(rows).items()}
    for group in means.values():
        group["best_peer"] = {metric: best_peer(values, peers) for metric, values in group["means"].items()}
    return {"base": base, "peers": peers, "rows": rows, "means": means,
            "failures": [{"kind": row["kind"], "name": row["name"], "threads": row["threads"], "allocator": allocator,
                          "reason": reason} for row in rows for allocator, reason in row["failures"].items()]}


def slowest_against_peers(summary, allocator):
    """The row in which an allocator stands worst against the best peer in it, by time; None where there is no peer."""
    rows = [row for row in summary["rows"] if row["kind"] != "latency" and allocator in row["allocators"]
            and row["allocators"][allocator]["time"]["to_best_peer"]]
    return max(rows, key=lambda row: row["allocators"][allocator]["time"]["to_best_peer"], default=None)
