"""Counts that hold on any machine: instructions per pair, locks and OS calls per operation, cache misses."""
import re
import shutil
import subprocess

import child

PAIR_BYTES = 64
PAIR_LENGTHS = (20000, 120000)
COUNTER_THREADS = (1, 8, 64)
CACHE_WORKLOADS = ["batch_random", "replace_100k", "trees", "mixed"]
CACHE_SCALES = (0.01, 0.03)


def instructions(surroundings, allocator, length):
    """What callgrind counts in a run of that many pairs, everything included."""
    errors = surroundings.path("callgrind")
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={errors}",
               surroundings.bench, "pair", str(PAIR_BYTES), str(length)]
    child.run(surroundings, command, allocator.library, allocator.environment)
    with open(errors, encoding="utf-8", errors="replace") as file:
        match = re.search(r"Collected : (\d+)", file.read())
    if match is None:
        raise child.Failure("callgrind counted nothing")
    return int(match.group(1))


def per_pair(surroundings, allocator):
    """The slope between two lengths, so that starting and ending cost nothing."""
    short, long = PAIR_LENGTHS
    return (instructions(surroundings, allocator, long) - instructions(surroundings, allocator, short)) / (long - short)


def hardware_events(surroundings):
    """The events that `perf stat` can count here: none in most virtual machines."""
    wanted = ["instructions", "cache-misses", "dTLB-load-misses"]
    if shutil.which("perf") is None:
        return []
    result = subprocess.run(["perf", "stat", "-x;", "-e", ",".join(wanted), "true"], capture_output=True, text=True,
                            check=False, cwd=surroundings.folder)
    counted = [line.split(";") for line in result.stderr.splitlines()]
    return [event for event in wanted
            if any(fields[0].isdigit() and event in fields for fields in counted if len(fields) > 2)]


def read_counts(path, pattern):
    """{event: count} of every match; the pattern names both."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return {match["event"].strip(): int(match["count"].replace(",", ""))
                for match in re.finditer(pattern, file.read(), re.MULTILINE)}


def count_by_perf(surroundings, events):
    path = surroundings.path("perf")
    return (["perf", "stat", "-x;", "-o", path, "-e", ",".join(events)],
            lambda: read_counts(path, r"^(?P<count>\d+);[^;]*;(?P<event>[^;]+)"))


def count_by_cachegrind(surroundings):
    path = surroundings.path("cachegrind")
    return (["valgrind", "--tool=cachegrind", "--cache-sim=yes", "--cachegrind-out-file=/dev/null",
             f"--log-file={path}"],
            lambda: read_counts(path, r"(?P<event>I +refs|D1 +misses|LLd misses): +(?P<count>[\d,]+)"))


def count_once(surroundings, counting, allocator, workload, scale):
    head, read = counting
    command = [*head, surroundings.bench, "run", workload, "--threads", "1", "--scale", f"{scale:g}", "--json"]
    used = child.run(surroundings, command, allocator.library, allocator.environment)
    return read(), child.last_line(used["output"])["operations"]


def count_events(surroundings, counting, allocator, workload):
    """Events for an operation: the slope between two lengths."""
    short, operations = count_once(surroundings, counting, allocator, workload, CACHE_SCALES[0])
    long, more_operations = count_once(surroundings, counting, allocator, workload, CACHE_SCALES[1])
    if more_operations <= operations:
        raise child.Failure("a longer run does not do more")
    return {" ".join(name.split()): (long[name] - count) / (more_operations - operations)
            for name, count in short.items() if name in long}


def misses(surroundings, allocators, workloads):
    """For each workload and allocator the events per operation, and how they were counted."""
    events = hardware_events(surroundings)
    if not events and shutil.which("valgrind") is None:
        return {"method": None, "rows": []}
    counting = count_by_perf(surroundings, events) if events else count_by_cachegrind(surroundings)
    rows = []
    for workload in workloads:
        row = {"workload": workload, "allocators": {}}
        for allocator in allocators:
            try:
                row["allocators"][allocator.name] = count_events(surroundings, counting, allocator, workload)
            except child.Failure as failure:
                row["allocators"][allocator.name] = {"failure": str(failure)}
        rows.append(row)
    return {"method": "perf" if events else "cachegrind", "rows": rows}


def locks_and_calls(runner, allocator, cases):
    """What an allocator that counts its locks and OS calls says: for each number of threads, over all workloads."""
    sums = {}
    for case in cases:
        try:
            measures = runner.run(case, allocator.name)
        except child.Failure:
            continue
        total = sums.setdefault(case.threads, {"operations": 0, "counters": {}})
        total["operations"] += measures["operations"]
        for name, count in measures["counters"].items():
            total["counters"][name] = total["counters"].get(name, 0) + count
    return {str(threads): total for threads, total in sums.items() if total["counters"]}


def collect(runner, allocators, cases, say):
    """Everything, for workloads in cases of COUNTER_THREADS; what cannot be counted here is None or empty."""
    surroundings = runner.surroundings
    result = {"pair_instructions": {}, "pair_bytes": PAIR_BYTES, "locks": {}, "misses": {"method": None, "rows": []}}
    if shutil.which("valgrind") is not None:
        for allocator in allocators:
            say(f"instructions per pair: {allocator.name}")
            try:
                result["pair_instructions"][allocator.name] = per_pair(surroundings, allocator)
            except child.Failure as failure:
                result["pair_instructions"][allocator.name] = None
                say(f"{allocator.name}: {failure}")
    for allocator in allocators:
        if allocator.role != "peer":
            say(f"locks and calls: {allocator.name}")
            result["locks"][allocator.name] = locks_and_calls(runner, allocator, cases)
    names = {case.name for case in cases if case.threads == 1}
    say("cache misses")
    result["misses"] = misses(surroundings, allocators, [name for name in CACHE_WORKLOADS if name in names])
    return result
