"""Runs the steps of a plan, with progress on standard error, and keeps what each run measured."""
import sys
import time

import child
import programs

SEED_OF_WORKLOADS = 1
ARGUMENTS = {"workload": [], "latency": ["--latency"], "samples": ["--samples"]}


class Progress:
    """A line now and then: how far, how long it takes still, and what runs."""

    def __init__(self, steps, quiet):
        self.total = len(steps)
        self.begin = time.monotonic()
        self.shown = 0.0
        self.quiet = quiet
        self.is_terminal = sys.stderr.isatty()
        self.left = {}
        for step in steps:
            self.left[step.case] = self.left.get(step.case, 0) + 1
        self.taken = {}

    def done(self, step, seconds):
        count, total = self.taken.get(step.case, (0, 0.0))
        self.taken[step.case] = (count + 1, total + seconds)
        self.left[step.case] -= 1

    def seconds_left(self):
        """From each case's own mean, and from the mean of all where it has not run yet."""
        count = sum(entry[0] for entry in self.taken.values())
        mean = sum(entry[1] for entry in self.taken.values()) / count
        return sum(left * (self.taken[case][1] / self.taken[case][0] if case in self.taken else mean)
                   for case, left in self.left.items())

    def show(self, number, step):
        now = time.monotonic()
        if self.quiet or not self.taken or (now - self.shown < (0.5 if self.is_terminal else 20)):
            return
        self.shown = now
        text = (f"{number}/{self.total} runs, {now - self.begin:.0f} s, about {self.seconds_left():.0f} s left: "
                f"{step.case.label()} {step.allocator}")
        print(f"\r\x1b[K{text}" if self.is_terminal else text, end="" if self.is_terminal else "\n", file=sys.stderr,
              flush=True)

    def end(self):
        if self.is_terminal and not self.quiet:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


class Runner:
    """Knows how to run each kind of case once."""

    def __init__(self, surroundings, allocators, scale, quick):
        self.surroundings = surroundings
        self.allocators = {allocator.name: allocator for allocator in allocators}
        self.scale = scale
        self.quick = quick
        self.programs = {}
        self.expected = {}

    def prepare_programs(self, found, reference):
        """Each once with glibc, or whoever stands first: what its output has to be. Returns those that fail even so."""
        broken = []
        for program in found:
            command = programs.prepare(program, self.surroundings.folder,
                                       program.quick_count if self.quick else program.count)
            try:
                measures = programs.run(program, command, self.surroundings, reference, None)
            except child.Failure as failure:
                broken.append({"name": program.name, "reason": f"with {reference.name}: {failure}"})
                continue
            self.programs[program.name] = (program, command)
            self.expected[program.name] = measures["output"]
        return broken

    def workload(self, case, allocator, arguments):
        command = [self.surroundings.bench, "run", case.name, "--threads", str(case.threads), "--scale",
                   f"{self.scale:g}", "--seed", str(SEED_OF_WORKLOADS), *arguments, "--json"]
        used = child.run(self.surroundings, command, allocator.library, allocator.environment)
        return child.last_line(used["output"])

    def run(self, case, name):
        allocator = self.allocators[name]
        if case.kind == "program":
            program, command = self.programs[case.name]
            return programs.run(program, command, self.surroundings, allocator, self.expected[case.name])
        result = self.workload(case, allocator, ARGUMENTS[case.kind])
        try:
            if case.kind == "latency":
                return {name: result["latency_ns"][name] for name in ("p50", "p99", "p99_9", "max")}
            if case.kind == "samples":
                return {name: result[name] for name in ("own_bytes", "rss_over_time", "free_over_time")}
            return {"time": result["ns_per_operation"], "rss": result["peak_rss_bytes"],
                    "cpu": result["cpu_seconds"] * 1e9 / result["operations"], "operations": result["operations"],
                    "live_bytes": result["live_bytes"], "minor_faults": result["minor_faults"],
                    "counters": result.get("counters") or {}}
        except (KeyError, TypeError, ZeroDivisionError) as error:
            raise child.Failure(f"its result is not usable: {error!r}") from error


def execute(planned, runner, quiet=False, limit=None):
    """A list of runs, in the order in which they ran. Who failed a case is not run in it again. No round but the first
    is begun that would probably end after the limit, in seconds."""
    progress = Progress(planned, quiet)
    runs, failed = [], set()
    for number, step in enumerate(planned):
        if limit is not None and number > 0 and step.round > planned[number - 1].round:
            elapsed = time.monotonic() - progress.begin
            if elapsed + elapsed / step.round > limit:
                break
        progress.show(number, step)
        begin = time.monotonic()
        if (step.case, step.allocator) not in failed:
            runs.append(run_once(runner, step))
            if "failure" in runs[-1]:
                failed.add((step.case, step.allocator))
        progress.done(step, time.monotonic() - begin)
    progress.end()
    return runs


def run_once(runner, step):
    entry = {"kind": step.case.kind, "name": step.case.name, "threads": step.case.threads,
             "allocator": step.allocator, "round": step.round, "discarded": step.discarded}
    try:
        entry["measures"] = runner.run(step.case, step.allocator)
    except child.Failure as failure:
        entry["failure"] = str(failure)
    return entry
