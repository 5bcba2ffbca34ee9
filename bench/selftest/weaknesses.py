"""What is wrong with an allocator shows in the figures: slow calls, memory not reused, refusals.

    weaknesses.py <heapster-bench> <shim to preload>
"""
import json
import os
import subprocess
import sys

program, shim = sys.argv[1:]
wrong = 0


def expect(condition, text):
    global wrong
    if not condition:
        wrong += 1
        print("wrong:", text)


def start(weakness, arguments, **environment):
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "LD_PRELOAD": shim, "BENCH_SHIM": weakness, **environment})


def run(weakness, workload, *flags):
    done = start(weakness, ["run", workload, "--json", *flags])
    expect(done.returncode == 0, f"{weakness}: status {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def count_calls(bytes_each, *arguments):
    done = start("count", arguments, BENCH_SHIM_BYTES=str(bytes_each))
    return done.stdout, int(done.stderr)


# A four hundredth of all calls takes 2 ms: only the tail shows it.
sound = run("none", "pair_64", "--scale", "0.0001", "--latency")["latency_ns"]
slow = run("slow", "pair_64", "--scale", "0.0001", "--latency")["latency_ns"]
expect(sound["p99"] < 1e6, f"sound: {sound}")
expect(slow["p50"] < 1e6 and slow["p99"] < 1e6, f"slow, but not mostly: {slow}")
expect(1.9e6 < slow["p99_9"] <= slow["max"], f"slow calls go unseen: {slow}")
expect(sound["p99_9"] < slow["p99_9"] / 2, f"a sound allocator looks slow: {sound}")

sound = run("none", "batch_fifo", "--scale", "0.003")
leaky = run("leak", "batch_fifo", "--scale", "0.003")
expect(sound["live_bytes"] == leaky["live_bytes"], "the allocator changes what is asked for")
expect(leaky["peak_rss_bytes"] > sound["peak_rss_bytes"] + 10 * leaky["live_bytes"],
       f"a leak goes unseen: {leaky['peak_rss_bytes']} against {sound['peak_rss_bytes']}")
expect(leaky["minor_faults"] > 3 * sound["minor_faults"], "a leak causes no faults")

refused = start("refuse", ["run", "batch_fifo"])
expect(refused.returncode == 3 and refused.stderr == "heapster-bench: no memory: malloc\n" and refused.stdout == "",
       f"refusal: {refused}")

# No call is left out, and none is added.
_, calls = count_calls(12345, "pair", "12345", "6789")
expect(calls == 6789 + 1, f"pair: {calls} calls")
output, calls = count_calls(1024, "run", "pair_1k", "--json", "--scale", "0.0003", "--threads", "2")
expect(calls == json.loads(output)["operations"] == 18000, f"pair_1k: {calls} calls: {output}")
sys.exit(1 if wrong else 0)
