"""heapster-bench compare: allocators over workloads and real programs, in random order; see --help."""
import argparse
import json
import os
import sys
import tempfile

import child
import compare_allocators
import compare_counters
import compare_machine
import compare_plan
import compare_run
import compare_summary
import programs
import report

QUICK_ROUNDS, ROUNDS = 3, 5
QUICK_THREADS, QUICK_LATENCY_THREADS = [1, 8], [8]
QUICK_SCALE = 0.1
QUICK_WORKLOADS = ["pair_64", "batch_random", "replace_100k", "live_1m", "mixed", "phases", "trees", "vectors_small",
                   "calloc_4k", "large", "larson", "thread_churn", "one_to_one", "many_to_one"]


def names_list(text):
    return [name for name in text.split(",") if name]


def numbers_list(text):
    return [int(number) for number in names_list(text)]


def parse(arguments):
    parser = argparse.ArgumentParser(prog="heapster-bench compare", description="Runs each workload and program under "
                                     "each allocator, preloaded, in random order; each counted run follows a "
                                     "discarded one of the same allocator.")
    parser.add_argument("--bench", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--allocators", default=",".join(compare_allocators.KNOWN),
                        help="known names, or NAME=PATH.so (default: %(default)s)")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME[@BASE]:VARIABLE=VALUE[;...]",
                        help="Heapster, or another of the allocators, once more with an environment; may be repeated")
    parser.add_argument("--workloads", help="names, all, or none (default: all; quick: fourteen of them)")
    parser.add_argument("--threads", type=numbers_list, help="numbers of threads (default: all that a workload lists)")
    parser.add_argument("--latency-threads", type=numbers_list, help="for the runs that time single calls (default: as "
                        "--threads)")
    parser.add_argument("--rounds", type=int, help=f"counted runs of each (default: {ROUNDS}, quick {QUICK_ROUNDS})")
    parser.add_argument("--minutes", type=float, help="begin no further round that would probably end later")
    parser.add_argument("--scale", type=float, help="length of the workloads (default: 1, quick %s)" % QUICK_SCALE)
    parser.add_argument("--seed", type=int, default=1, help="of the order (default: 1)")
    parser.add_argument("--seconds", type=int, default=120, help="the most that one run may take (default: 120)")
    parser.add_argument("--programs", action="store_true", help="real programs, too")
    parser.add_argument("--no-latency", action="store_true", help="without the runs that time single calls")
    parser.add_argument("--counters", action="store_true", help="instructions, locks, OS calls, cache misses, too")
    parser.add_argument("--quick", action="store_true",
                        help="fewer workloads and rounds, shorter runs, 1 and 8 threads, latency with 8")
    parser.add_argument("--json", metavar="FILE", help="write every run and every figure")
    parser.add_argument("--report", metavar="DIR", help="write report.md and plots")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    options.scale = options.scale or (QUICK_SCALE if options.quick else 1.0)
    if options.quick:
        options.threads = options.threads or QUICK_THREADS
        options.latency_threads = options.latency_threads or QUICK_LATENCY_THREADS
        options.workloads = options.workloads or ",".join(QUICK_WORKLOADS)
    options.workloads = options.workloads or "all"
    if options.rounds < 1 or options.scale <= 0 or options.seconds < 1:
        parser.error("rounds, scale and seconds are positive")
    return options


def list_workloads(surroundings):
    used = child.run(surroundings, [surroundings.bench, "list", "--json"])
    with open(used["output"], encoding="utf-8") as file:
        return json.load(file)


def say(text):
    print(text, file=sys.stderr, flush=True)


def choose_cases(options, surroundings, threads, kinds):
    if options.workloads == "none":
        return []
    names = None if options.workloads == "all" else names_list(options.workloads)
    return compare_plan.choose_cases(list_workloads(surroundings), names, threads, kinds)


def choose_programs(options, runner, allocators, missing):
    if not options.programs:
        return []
    found, absent = programs.available()
    reference = next((each for each in allocators if each.name == "glibc"), allocators[0])
    missing += absent + runner.prepare_programs(found, reference)
    return [compare_plan.Case("program", name, 1) for name in runner.programs]


def compare(options, surroundings):
    """Everything that was asked for, as one dictionary; None where there is nothing to compare."""
    heapster = os.path.join(os.path.dirname(os.path.dirname(options.bench)), "libheapster.so")
    allocators, missing = compare_allocators.find_all(names_list(options.allocators), options.variant, heapster)
    for entry in missing:
        say(f"heapster-bench: missing, left out: {entry['name']}: {entry['reason']}")
    if not allocators:
        say("heapster-bench: there is no allocator to run")
        return None
    runner = compare_run.Runner(surroundings, allocators, options.scale, options.quick)
    cases = choose_cases(options, surroundings, options.threads, ["workload"])
    if not options.no_latency:
        cases += choose_cases(options, surroundings, options.latency_threads or options.threads, ["latency"])
    cases += choose_programs(options, runner, allocators, missing)
    if not cases:
        say("heapster-bench: there is nothing to run")
        return None
    planned = compare_plan.steps(cases, [allocator.name for allocator in allocators], options.rounds, options.seed)
    machine = compare_machine.describe()
    runs = compare_run.execute(planned, runner, options.quiet, options.minutes and options.minutes * 60)
    rounds = runs[-1]["round"] + 1
    if rounds < options.rounds:
        say(f"heapster-bench: {rounds} of {options.rounds} rounds fit into {options.minutes:g} minutes")
    descriptions = [allocator.as_dict() for allocator in allocators]
    counters = None
    if options.counters:
        counted = choose_cases(options, surroundings, compare_counters.COUNTER_THREADS, ["workload"])
        counters = compare_counters.collect(runner, allocators, counted, say)
    return {"machine": machine, "rounds": rounds, "rounds_planned": options.rounds, "scale": options.scale,
            "seed": options.seed, "quick": options.quick, "allocators": descriptions, "missing": missing, "runs": runs,
            "summary": compare_summary.summarise(runs, descriptions),
            "counters": counters}


def deliver(result, options):
    sys.stdout.write(report.text(result))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
            file.write("\n")
    if options.report:
        for problem in report.write(result, options.report):
            say(f"heapster-bench: no plot {problem}")


def main(arguments):
    options = parse(arguments)
    with tempfile.TemporaryDirectory(prefix="heapster-bench-") as folder:
        try:
            result = compare(options, child.Surroundings(options.bench, folder, options.seconds))
        except ValueError as error:
            say(f"heapster-bench: {error}")
            return 2
        except child.Failure as failure:
            say(f"heapster-bench: {options.bench} list --json: {failure}")
            return 1
    if result is None:
        return 2
    try:
        deliver(result, options)
    except OSError as error:
        say(f"heapster-bench: cannot write: {error}")
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
