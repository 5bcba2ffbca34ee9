"""Every workload, with every number of threads that makes sense, short: the figures are there, and are plausible.

    workloads.py <heapster-bench> [--preload <library>] [--few]

--few: with one or two threads and with eight only, for builds that are slow.
"""
import argparse
import json
import os
import subprocess
import sys

SMOKE = 0.0002
# Only one byte of each block or step is written.
NOT_WHOLLY_TOUCHED = {"pair_8k", "pair_64k", "vector_large"}

parser = argparse.ArgumentParser()
parser.add_argument("program")
parser.add_argument("--preload")
parser.add_argument("--few", action="store_true")
options = parser.parse_args()
program = options.program
environment = dict(os.environ)
if options.preload:
    environment["LD_PRELOAD"] = options.preload
wrong = 0


def expect(condition, text):
    global wrong
    if not condition:
        wrong += 1
        print("wrong:", text)


def run(*arguments):
    done = subprocess.run([program, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=120)
    expect(done.returncode == 0, f"{arguments}: status {done.returncode}: {done.stderr}")
    expect(done.stderr == "", f"{arguments}: {done.stderr}")
    return json.loads(done.stdout)


def is_figure(value):
    return isinstance(value, (int, float)) and value >= 0


def check_run(name, threads):
    what = f"{name}, {threads} threads"
    result = run("run", name, "--threads", threads, "--scale", SMOKE, "--json")
    expect(result["workload"] == name and result["threads"] == threads, f"{what}: of something else")
    for field in ("seconds", "cpu_seconds", "ns_per_operation", "start_rss_bytes", "peak_rss_bytes", "own_bytes",
                  "live_bytes", "minor_faults"):
        expect(is_figure(result.get(field)), f"{what}: {field} is {result.get(field)}")
    expect(result["operations"] > 0 and result["seconds"] > 0, f"{what}: did nothing")
    expect(abs(result["ns_per_operation"] * result["operations"] / 1e9 - result["seconds"]) < 1e-5 +
           result["operations"] * 1e-12, f"{what}: time and operations do not fit")
    expect(result["peak_rss_bytes"] >= result["start_rss_bytes"] > 0, f"{what}: peak below the start")
    expect(result["live_bytes"] > 0, f"{what}: nothing was live")
    if name not in NOT_WHOLLY_TOUCHED:
        expect(result["peak_rss_bytes"] >= result["live_bytes"] + result["own_bytes"],
               f"{what}: {result['live_bytes']} live bytes in {result['peak_rss_bytes']} resident ones")
    expect("latency_ns" not in result, f"{what}: latencies, unasked")
    return result


def check_determinism(name, threads, first):
    again = run("run", name, "--threads", threads, "--scale", SMOKE, "--json")
    expect(again["operations"] == first["operations"], f"{name}: the same seed, another number of operations")


def check_latency(name, threads, timed):
    result = run("run", name, "--threads", threads, "--scale", SMOKE, "--json", "--latency")
    latency = result["latency_ns"]
    expect(result["latency_only"] is True and "seconds" not in result, f"{name}: a time, although calls were timed")
    expect(result["operations"] == timed["operations"], f"{name}: timing calls changes what is done")
    expect(latency["calls"] >= result["operations"], f"{name}: {latency['calls']} calls")
    expect(0 <= latency["p50"] <= latency["p99"] <= latency["p99_9"] <= latency["max"], f"{name}: {latency}")
    expect(latency["max"] > 0, f"{name}: no call took any time")


def check_list():
    workloads = run("list", "--json")
    names = [each["name"] for each in workloads]
    expect(len(names) >= 30 and len(set(names)) == len(names), f"{len(names)} workloads, {len(set(names))} names")
    text = subprocess.run([program, "list"], capture_output=True, text=True, check=True).stdout
    expect([line.split()[0] for line in text.splitlines()] == names, "the list and its JSON differ")
    return workloads


def check_samples():
    result = run("run", "live_100k", "--scale", 0.3, "--json", "--samples")
    samples = result["rss_over_time"]
    times = [sample[0] for sample in samples]
    expect(5 <= len(samples) <= 80 and times == sorted(times), f"samples at {times}")
    expect(all(rss > live > 0 for _, rss, live in samples), "samples: nothing was live, or not resident")
    expect(times[-1] <= result["seconds"] + 1, "samples from behind the end")


for workload in check_list():
    expect(workload["threads"] and workload["description"], f"{workload}: says little")
    counts = [count for count in workload["threads"] if not options.few or count in (workload["threads"][0], 8)]
    for threads in counts:
        result = check_run(workload["name"], threads)
        if threads == counts[-1]:
            check_determinism(workload["name"], threads, result)
            check_latency(workload["name"], threads, result)
check_samples()
sys.exit(1 if wrong else 0)
