"""What is run, and in which order.

In each round every pair of a case and an allocator stands once, in an order that is drawn anew: a fixed one would
charge those who use huge pages for whoever ran before. For the same reason each counted run follows a run of the same
case with the same allocator whose figures are discarded.
"""
import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """kind: workload, latency (a workload whose single calls are timed), samples (one that is looked at while it runs),
    program."""
    kind: str
    name: str
    threads: int

    def label(self):
        return self.name if self.kind == "program" else f"{self.name}/{self.threads}"


@dataclass(frozen=True)
class Step:
    case: Case
    allocator: str
    round: int
    discarded: bool


def steps(cases, allocators, rounds, seed):
    draw = random.Random(seed)
    planned = []
    for number in range(rounds):
        pairs = [(case, allocator) for case in cases for allocator in allocators]
        draw.shuffle(pairs)
        for case, allocator in pairs:
            planned.append(Step(case, allocator, number, True))
            planned.append(Step(case, allocator, number, False))
    return planned


def choose_cases(listed, names, threads, kinds):
    """The cases of the listed workloads; unknown names raise ValueError. names: None for all."""
    known = {workload["name"] for workload in listed}
    unknown = sorted(set(names or ()) - known)
    if unknown:
        raise ValueError(f"no such workload: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return [Case(kind, workload["name"], count) for kind in kinds for workload in listed
            if names is None or workload["name"] in names
            for count in workload["threads"] if threads is None or count in threads]
