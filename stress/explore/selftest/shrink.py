#!/usr/bin/env python3
"""The shrinker: does what is left fail in the same way, 100 times of 100, and is nothing in it that is not needed?

    shrink.py HEAPSTER_EXPLORE LIBRARY SCENARIO THREADS OPERATIONS

The allocator of LIBRARY is broken on purpose. To the scenario's program are added a thread and operations that have
nothing to do with it, and a random walk looks for the failure, so that there are many preemptions, too. Left must be at
most THREADS and OPERATIONS, those before the threads with them. That each is needed is tried by exploring the
program without it, and the token without each of its choices.
"""
import re
import sys

from explored import Explorer, FOUND, Wrong, expect, expect_equal, expect_found_out, token_of

PADDING = "m9=24,i9,m10=1000,f10"
REPLAYS = 100
PREEMPTIONS_MOST = 3


def kind_of(failure):
    return "deadlock" if failure.startswith("deadlock:") else re.sub(r"(?<![0-9A-Za-z])[0-9][0-9A-Za-z]*", "#", failure)


def pad(program):
    """Another thread at the end, and operations in front of what each does."""
    text, _, options = program.partition("@cache")
    before, *threads = text.split("/")
    threads = [f"m{11 + i}=40,i{11 + i},{ops}" for i, ops in enumerate(threads)] + [PADDING]
    return "/".join([f"{before},m15=64" if before else "m15=64", *threads]) + "@cache" + options


def parts_of(program):
    text, _, options = program.partition("@cache")
    return [part.split(",") if part else [] for part in text.split("/")], "@cache" + options


def join(parts, options):
    return "/".join(",".join(part) for part in parts) + options


def read_report(out):
    def line(name):
        found = re.findall(rf"^ *{name} (.*)$", out, flags=re.M)
        expect_equal(len(found), 1, f"lines of {name!r} in {out[:2000]!r}")
        return found[0]

    failure = re.search(r"FAILED\n(?: +a bug of.*\n)? +(.*)\n", out).group(1)
    program = re.fullmatch(r"--program '(.*)'", line("shrunken program")).group(1)
    return {"token": line("token"), "failure": failure, "shrunken": line("shrunken token"), "program": program,
            "kind": kind_of(line("shrunken failure"))}


def choices_of(token):
    return [choice for choice in token.split(":")[2].split(",") if choice]


def check_replays(explorer, token, kind):
    out = explorer.give(FOUND, "--replay", token, "--times", str(REPLAYS), "--steps", "none")
    expect(out.startswith(f"{REPLAYS} of {REPLAYS} replays fail: "), f"the token replays: {out}")
    expect_equal(kind_of(out.split("fail: ", 1)[1].rstrip("\n")), kind, "kind of the failure that is replayed")


def fails(explorer, program, bounds, kind, seconds):
    """Whether that kind of failure is found within the bounds and the time."""
    words = [word for name, number in bounds.items() for word in (f"--{name}", str(number))]
    status = explorer.status("--program", program, "--no-shrink", "--steps", "none", "--seconds", str(seconds), *words)
    return status[0] == FOUND and kind_of(re.search(r"FAILED\n +(.*)\n", status[1]).group(1)) == kind


def check_needed(explorer, report):
    choices = choices_of(report["shrunken"])
    bounds = {name: sum(letter in choice for choice in choices)
              for name, letter in (("preemptions", "t"), ("stale", "s"), ("faults", "f"))}
    expect(bounds["preemptions"] <= PREEMPTIONS_MOST, f"few preemptions are left: {choices}")
    expect(fails(explorer, report["program"], bounds, report["kind"], 20), "a search finds the shrunken failure again")
    parts, options = parts_of(report["program"])
    for i, part in enumerate(parts):
        for k in range(len(part)):
            less = join([*parts[:i], part[:k] + part[k + 1:], *parts[i + 1:]], options)
            expect(not fails(explorer, less, bounds, report["kind"], 1), f"{part[k]} is needed in {report['program']}")
    for i in range(len(choices)):
        token = token_of(report["program"], ",".join(choices[:i] + choices[i + 1:]))
        out = explorer.status("--replay", token, "--steps", "none")[1]
        failure = re.search(r"replays fail: (.*)", out).group(1)
        expect(kind_of(failure) != report["kind"], f"{choices[i]} is needed in {report['shrunken']}")


def check_shrunk(report, threads, operations):
    parts, _ = parts_of(report["program"])
    expect_equal(kind_of(report["failure"]), report["kind"], "kind of what is left")
    expect(len(parts) - 1 <= threads, f"at most {threads} threads are left: {report['program']}")
    expect(sum(map(len, parts)) <= operations, f"at most {operations} operations are left: {report['program']}")


def main():
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    program, library, scenario = sys.argv[1:4]
    threads, operations = int(sys.argv[4]), int(sys.argv[5])
    explorer = Explorer(program, library)
    listed = explorer.give(0, "--list")
    padded = pad(re.search(rf"^{scenario} +.*\n +(\S+)$", listed, flags=re.M).group(1))
    words = ["--program", padded, "--strategy", "random", "--seconds", "10", "--steps", "none"]
    report = read_report(explorer.give(FOUND, *words))
    print(f"{padded}, {len(choices_of(report['token']))} choices: {report['program']}, "
          f"{len(choices_of(report['shrunken']))} choices: {report['kind']}")
    check_shrunk(report, threads, operations)
    check_replays(explorer, report["token"], report["kind"])
    check_replays(explorer, report["shrunken"], report["kind"])
    check_needed(explorer, report)
    expect(len(choices_of(report["token"])) > len(choices_of(report["shrunken"])), "choices were left out")
    # What was not shrunk is found out.
    whole = report | {"program": padded, "shrunken": report["token"]}
    expect_found_out("too many threads and operations", "at most", check_shrunk, whole, threads, operations)
    expect_found_out("too many choices", "is needed|are left", check_needed, explorer, whole)
    expect_found_out("another failure", "kind of what is left", check_shrunk,
                     report | {"failure": "another: 1"}, threads, operations)
    # Not shrunk where that is not wanted.
    plain = explorer.give(FOUND, *words, "--no-shrink")
    expect("shrunken" not in plain and f"token {report['token']}\n" in plain, f"without the shrinker: {plain}")
    # The sound allocator does not fail with any of that.
    Explorer(program).give(0, "--replay", report["shrunken"], "--steps", "none")


if __name__ == "__main__":
    try:
        main()
    except (Wrong, OSError, ValueError) as finding:
        print(f"shrink.py: {finding}", file=sys.stderr)
        sys.exit(1)
