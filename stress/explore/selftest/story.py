#!/usr/bin/env python3
"""The timeline of an execution: does it say what the raw events say, and does it end with the failure?

    story.py known HEAPSTER_EXPLORE SOURCES
    story.py broken HEAPSTER_EXPLORE LIBRARY NAME SCENARIO

`known`: a preemption with a lock in hand, and a load that does not see the newest store. What is expected is computed
here from the raw events; timelines that were tampered with must be found out. `broken`: the failure of an allocator
that is broken on purpose ends as told below.
"""
import re
import sys

from explored import (PROGRAM, Explorer, FOUND, Wrong, check_event, expect, expect_equal, expect_found_out, find_known,
                      folds_of, read_raw, replace_once, run, switches_of, token_of)

NUMBER, COLUMN, COLUMNS, WIDTH = 6, 45, 2, 140
HEX = "0x[0-9a-f]+"

# By the name of what is broken: what must stand in the timeline of its failure, in this order.
ENDS = {
    "no_second_look": [r"store  slot \d state = used \(0xc3\) ->", r"fence",
                       r"FAILED: invariant B6 at 0x\w+: two neighbours are both free", r"payload of slot \d"],
    "no_fence": [r"load   slot \d (left|state) = ", r"OLD, (by thread \d at \d+|as it was at the start);", r"newest:",
                 r"FAILED: invariant B6"],
    "missing_lock": [r"FAILED, as said below", f"FAILED: race: plain .* at {HEX} beside plain .*, both of byte {HEX}",
                     f"{HEX}: pool.c:\\d+, hs_pool_\\w+", f"{HEX}: pool.c:\\d+, hs_pool_\\w+",
                     r"thread \d could go on, in free\(slot \d\)"],
    "fork_forgets_lists": [r"PREEMPTION 1: thread 2 makes way for thread 1",
                           r"wait   arena 0 list \d+: held by thread 2", r"FAILED, as said below",
                           r"FAILED: deadlock: thread 1 waits for .*, held by thread 2",
                           r"thread 1 waits for arena 0 list \d+, held by thread 2, in fork\(\)",
                           r"thread 2 is not in the child, in free\(slot \d\)"],
}


def read_timeline(text):
    """Header, the lines of events by their number, rules between them, as (number of the one before, reason), tail."""
    head, rows, tail = re.split(r"^=+\n", text, flags=re.M)
    lines, rules = {}, []
    for line in rows.splitlines():
        expect(len(line) <= WIDTH, f"{len(line)} columns: {line!r}")
        if line.startswith("------ "):
            rules.append((max(lines, default=0), line.strip("- ")))
        elif line[:NUMBER].strip():
            number = int(line[:NUMBER])
            expect(number not in lines, f"event {number} stands once")
            cells = [line[NUMBER + i * COLUMN:NUMBER + (i + 1) * COLUMN].rstrip() for i in range(COLUMNS)]
            filled = [i for i in range(COLUMNS) if cells[i]]
            expect_equal(len(filled), 1, f"columns in use by event {number}")
            lines[number] = [filled[0], cells[filled[0]], line[NUMBER + COLUMNS * COLUMN:].strip()]
        else:
            lines[max(lines)][1] += " " + line.strip()
    return head, lines, rules, tail


def check_rules(rules, events):
    expected = switches_of(events)
    expect_equal(len(rules), len(expected), "rules")
    for (_, reason), (i, is_preemption) in zip(rules, expected.items()):
        expect_equal(reason.startswith("PREEMPTION "), is_preemption, f"preemption before event {i + 1}: {reason}")
        if is_preemption:
            expect_equal(reason, f"PREEMPTION {events[i]['preemptions']}: thread {events[i - 1]['thread'] + 1} makes "
                         f"way for thread {events[i]['thread'] + 1}", "preemption")


def check_timeline(text, events, is_whole, sources):
    head, lines, rules, tail = read_timeline(text)
    expect(PROGRAM in head and "thread 2 free(slot 1)" in head and "slot 2 = malloc(56)" in head, f"header: {head}")
    folds = {} if is_whole else folds_of(events)
    hidden = {at + k + 1 for at, count in folds.items() for k in range(count)}
    expect_equal(sorted(lines), sorted(set(range(1, len(events) + 1)) - hidden | {at + 1 for at in folds}),
                 "numbers of the timeline")
    for number, (thread, words, source) in lines.items():
        if number - 1 in folds:
            expect_equal((thread, words), (events[number - 1]["thread"], f"... {folds[number - 1]} steps"),
                         f"fold of event {number}")
        else:
            check_event(events[number - 1], thread, words, source, number, sources)
    check_rules(rules, events)
    expect_equal(tail.splitlines(), ["no failure"], "end")


def check_known(lines):
    """What the chosen schedule has in it."""
    words = [line[1] for line in lines.values()]
    for wanted in ("fence", "lock   arena 0 list 2", "unlock arena 0 list 2", "wait   arena 0 list 2: held by thread 1",
                   "update arena 0 nonempty = ", "store  slot 0 state = being freed (0xc6) -> free on list 2"):
        expect(any(each.startswith(wanted) for each in words), f"the timeline has {wanted!r}")
    old = [each for each in words if "OLD" in each]
    expect_equal(len(old), 1, "old values")
    store = re.fullmatch(r"load   slot 1 left = left neighbour not free; OLD, as it was at the start; newest: left "
                         r"neighbour free on list 2, by thread 1 at (\d+)", old[0])
    expect(store, f"an old value: {old[0]}")
    expect(lines[int(store.group(1))][1].startswith("store  slot 1 left = "), f"event {store.group(1)} is that store")


def check_tampered(text, events, sources):
    line = re.search(r"^ +\d+ +load .*\n", text, flags=re.M).group(0)

    def tamper(what, pattern, old, new):
        expect_found_out(what, pattern, check_timeline, replace_once(text, old, new), events, True, sources)

    tamper("a line less", "numbers of the timeline", line, "")
    tamper("a line twice", "stands once", line, line * 2)
    tamper("another column", "column of event", line, line[:NUMBER] + " " * COLUMN + line[NUMBER:].strip()[:40] + "\n")
    tamper("another value", "event \\d+: .*list 3.*list 2", "free on list 2", "free on list 3")
    tamper("another line of the source", "is a fence", re.search(r"fence +(\w+\.c:\d+)", text).group(1), "arena.c:1")
    tamper("no preemption", "preemption before", "PREEMPTION 1: thread 1 makes way for thread 2", "thread 2 goes on")
    tamper("no failure at its end", "end", "no failure", "")
    tamper("an old value that is none", "age of event", "OLD, as", "as")


def check_widths(explorer, token):
    """Wide ones end where nothing is left to say."""
    for width, least in ((60, 50), (80, 70), (200, 150)):
        out = explorer.give(0, "--replay", token, "--steps", "all", "--width", str(width))
        longest = max(map(len, re.split(r"^=+\n", out, flags=re.M)[1].splitlines()))
        expect(least <= longest <= width, f"the timeline of {width} columns has lines of {longest}")


def check_variables(program):
    """A variable of the library that the program had copied into itself would not be rewound."""
    status, out, _ = run(["readelf", "-rW", program])
    expect(status == 0 and "GLOB_DAT" in out, "readelf tells of relocations")
    expect(not re.search(r"_COPY .* hs_", out), f"no variable of the library is copied: {out}")


def check_fault(explorer):
    """Whatever the operating system is asked for fails, and the call returns NULL for it."""
    token = token_of("/m1=300000@cache=off+arenas=1", ",".join(f"1f{step}.1" for step in range(1, 200)))
    out = explorer.give(0, "--replay", token)
    expect(re.search(r"^ +\d+ os     \w+: fails +os_explored.c:\d+ hs_os_\w+$", out, flags=re.M),
           f"a call fails: {out}")
    expect(re.search(r"\] slot 1 = malloc\(300000\): NULL\n", out), f"malloc returns NULL: {out}")


def known(program, sources):
    check_variables(program)
    explorer = Explorer(program)
    token = find_known(explorer)
    events = read_raw(explorer.give(0, "--replay", token, "--steps", "raw"))
    options = ["--width", str(WIDTH), "--steps"]
    whole = explorer.give(0, "--replay", token, *options, "all")
    check_timeline(whole, events, True, sources)
    check_timeline(explorer.give(0, "--replay", token, *options, "shared"), events, False, sources)
    expect_equal(explorer.give(0, "--replay", token, *options, "none"), "0 of 1 replays fail: \n", "no steps")
    check_known(read_timeline(whole)[1])
    check_tampered(whole, events, sources)
    check_widths(explorer, token)
    check_fault(explorer)


def check_end(out, name):
    at = 0
    for pattern in ENDS[name]:
        found = re.compile(pattern).search(out, at)
        expect(found, f"{name}: {pattern!r} is in the rest of the timeline: ...{out[-600:]}")
        at = found.end()


def broken(program, library, name, scenario):
    explorer = Explorer(program, library)
    out = explorer.give(FOUND, "--scenario", scenario, "--seconds", "10")
    check_end(out, name)
    # The sound allocator does not fail there.
    token = re.search(r"^ *shrunken token (\S+)$", out, flags=re.M).group(1)
    sound = Explorer(program).give(0, "--replay", token)
    expect_found_out("the sound allocator", "is in the rest", check_end, sound, name)


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "known":
        known(*sys.argv[2:])
    elif len(sys.argv) == 6 and sys.argv[1] == "broken":
        broken(*sys.argv[2:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main()
    except (Wrong, OSError, ValueError) as finding:
        print(f"story.py: {finding}", file=sys.stderr)
        sys.exit(1)
