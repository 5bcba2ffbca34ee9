"""Every field of struct heapster_stats is among the counters, and they count what the workload does.

    counters.py <heapster-bench> <libheapster.so> <heapster.h>
"""
import json
import os
import re
import subprocess
import sys

program, library, header = sys.argv[1:]
wrong = 0


def expect(condition, text):
    global wrong
    if not condition:
        wrong += 1
        print("wrong:", text)


def run(preload, *flags):
    done = subprocess.run([program, "run", *flags, "--json"], capture_output=True, text=True, check=True,
                          env={**os.environ, "LD_PRELOAD": preload})
    return json.loads(done.stdout)


with open(header, encoding="utf-8") as file:
    body = re.search(r"struct heapster_stats \{(.*?)\n\};", file.read(), re.S).group(1)
fields = re.findall(r"^ *uint64_t (\w+);", body, re.M)
expect(len(fields) > 20, f"only {len(fields)} fields in {header}")

result = run(library, "batch_fifo", "--threads", "2", "--scale", "0.001", "--samples")
counters = result["counters"]
expect(set(fields) | {"os_calls"} == set(counters), f"fields differ: {(set(fields) | {'os_calls'}) ^ set(counters)}")
expect(counters["os_calls"] == sum(counters[field] for field in fields if re.fullmatch(r"os_\w+_calls", field)),
       "os_calls is not the sum")
expect(result["heap_at_end"]["free_bytes"] >= result["heap_at_end"]["largest_free"] > 0, "nothing lies free at the end")
expect(len(result["free_over_time"]) == len(result["rss_over_time"]), "not all samples have both")

result = run(library, "replace_100k", "--threads", "1", "--scale", "0.02")
heap = result["heap_at_end"]
expect(100000 <= heap["used_blocks"] < 101000, f"100,000 live blocks are {heap['used_blocks']}")
expect(result["live_bytes"] * 0.95 < heap["used_bytes"] < result["live_bytes"] * 1.5,
       f"{result['live_bytes']} live bytes, {heap['used_bytes']} used ones")

result = run(library, "vector_large", "--threads", "1", "--scale", "0.001")
expect(result["counters"]["os_calls"] > 0, "64 MiB without a call of the OS")

result = run("", "batch_fifo", "--scale", "0.001")
expect("counters" not in result and "heap_at_end" not in result, "counters without Heapster")
sys.exit(1 if wrong else 0)
