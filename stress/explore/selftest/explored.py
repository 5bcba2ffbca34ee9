"""What the self-tests of the explorer share: how it is run, and what its raw events say of an execution."""
import os
import re
import signal
import subprocess

SECONDS = 100  # for any program that is run here
FOUND = 1      # the explorer's exit status


class Wrong(Exception):
    pass


def expect(holds, what):
    if not holds:
        raise Wrong(f"not so: {what}")


def expect_equal(found, expected, what):
    if found != expected:
        raise Wrong(f"{what}: {str(found)[:300]!r}, expected {str(expected)[:300]!r}")


def expect_found_out(what, pattern, check, *arguments):
    """That a check fails, with a message like this."""
    try:
        check(*arguments)
    except Wrong as finding:
        print(f"{what}: {finding}")
        expect(re.search(pattern, str(finding)), f"{what} is found out by {pattern!r}")
        return
    raise Wrong(f"{what}: not found out")


def replace_once(text, old, new):
    expect(old in text, f"{old!r} is there")
    return text.replace(old, new, 1)


def run(command, **more):
    """Its own process group, so that nothing of it is left after the time is over."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                          **more) as process:
        try:
            out, err = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise Wrong(f"{command[0]} took more than {SECONDS} s") from None
        return process.returncode, out.decode(errors="replace"), err.decode(errors="replace")


class Explorer:
    """heapster-explore, with the library in a folder, or the sound one."""

    def __init__(self, program, library=None):
        self.program = program
        self.environment = dict(os.environ)
        self.environment.pop("LD_LIBRARY_PATH", None)
        if library is not None:
            self.environment["LD_LIBRARY_PATH"] = library

    def status(self, *words):
        """Its status, and what it says."""
        return run([self.program, *words], env=self.environment)

    def give(self, status, *words):
        found, out, err = self.status(*words)
        expect_equal((found, err), (status, ""), f"status and complaints of {' '.join(words)}")
        return out


def token_of(program, answers):
    text, value = f"{program}:c11:{answers}", 2166136261
    for byte in text.encode():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return f"{text}:{(value ^ value >> 16) & 0xFFFF:04x}"


# ---- events -----------------------------------------------------------------------------------------------------

ATOMICS = {"load", "store", "update", "swap"}
LOCKS = {"lock", "try", "unlock", "wait"}
WRITES = {"store", "update"}


def read_raw(text):
    """The events of a replay, from what --steps raw prints behind its first line."""
    events = []
    for line in text.splitlines()[1:]:
        kind, thread, name, value, found, stale, preemptions, *words = line.split(" ")
        events.append({"operation": kind, "thread": int(thread), "name": int(name, 16), "value": int(value, 16),
                       "found": int(found, 16), "stale": int(stale), "preemptions": int(preemptions),
                       "text": " ".join(words)})
    return events


def dull_events(events):
    """The indexes of those that no other thread could notice, and of loads of what their thread knows."""
    users, written, dull = {}, set(), set()
    for event in events:
        if event["operation"] in ATOMICS | LOCKS:
            users.setdefault(event["name"], set()).add(event["thread"])
        if event["operation"] in WRITES | LOCKS:
            written.add(event["name"])
    last_write, last_access = {}, {}
    for i, event in enumerate(events):
        name, thread = event["name"], event["thread"]
        if event["operation"] not in ATOMICS | LOCKS:
            continue
        if len(users[name]) == 1 or name not in written:
            dull.add(i)
        if event["operation"] == "load" and event["stale"] == 0 and (name, thread) in last_access \
                and last_write.get(name, -1) <= last_access[name, thread]:
            dull.add(i)
        last_access[name, thread] = i
        if event["operation"] in WRITES:
            last_write[name] = i
    return dull


def folds_of(events):
    """From the index of the first event to the number of each group that is folded."""
    dull, folds, at = dull_events(events), {}, 0
    while at < len(events):
        end = at
        while end < len(events) and end in dull and events[end]["thread"] == events[at]["thread"]:
            end += 1
        if end - at >= 2:
            folds[at] = end - at
        at = max(end, at + 1)
    return folds


def switches_of(events):
    """The indexes of events before which another thread went, and whether it could have gone on."""
    return {i: events[i]["preemptions"] > events[i - 1]["preemptions"] for i in range(1, len(events))
            if events[i]["thread"] != events[i - 1]["thread"]}


# ---- words ------------------------------------------------------------------------------------------------------

STATES = {0xC3: "used (0xc3)", 0xC6: "being freed (0xc6)", 0xC9: "being freed (0xc9)",
          0xF0: "merged into a free block (0xf0)"}


def tag_words(event):
    """Location and value of a byte of a tag: the program's blocks of 64 bytes are the first of the break."""
    slot, offset = divmod(event["name"] - 8, 64)
    if event["operation"] not in ("load", "store") or not 0 <= slot <= 1 or offset not in (6, 7):
        return None

    def say(value):
        if offset == 7:
            return "left neighbour not free" if value == 0 else f"left neighbour free on list {value - 1}"
        return f"free on list {value & 0x3F}" if value & 0xC0 == 0x80 else STATES[value]

    before = f"{say(event['found'])} -> " if event["operation"] == "store" else ""
    return f"slot {slot} {'left' if offset == 7 else 'state'}", before + say(event["value"])


def check_source(event, source, number, sources):
    """That the line of the source which is named does what the event says."""
    found = re.fullmatch(r"(\w+\.[ch]):(\d+)( \w+)?", source)
    expect(found, f"source of event {number}: {source!r}")
    name, line = found.group(1), int(found.group(2))
    path = os.path.join(sources, name)
    marks = {"fence": "hs_fence_seq_cst", "lock": "lock", "unlock": "lock", "update": r"hs_(or|and|add|exchange)_"}
    expect(name not in ("sync_explored.h", "block.h"), f"telling frame of event {number}")
    if event["operation"] in marks and os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            text = file.read().splitlines()
        # A call of several lines is known by any of them.
        expect(re.search(marks[event["operation"]], " ".join(text[max(0, line - 2):line + 1])),
               f"{source} is a {event['operation']} (event {number}): {text[line - 1]!r}")


def check_event(event, thread, words, source, number, sources):
    expect_equal(thread, event["thread"], f"column of event {number}")
    kind = event["operation"]
    if kind in ("call", "return"):
        bracket = "[" if kind == "call" else "]"
        expect_equal(words, f"{bracket} free(slot {event['text'][1]})", f"call of event {number}")
    elif kind == "end":
        expect_equal(words, f"end of thread {thread + 1}", f"end of event {number}")
    else:
        expect_equal(words.split()[0], kind, f"operation of event {number}")
        check_source(event, source, number, sources)
    expect_equal("; OLD, " in words, event["stale"] > 0, f"age of event {number}")
    expected = tag_words(event)
    if expected is not None:
        said = re.sub(r"\s+", " ", words).split("; OLD, ")[0]
        expect_equal(said, f"{kind} {expected[0]} = {expected[1]}", f"event {number}")


# Two neighbours are freed. Thread 1 makes way with a lock in hand; thread 2 overlooks a store, waits for the lock and
# goes on.
PROGRAM = "m0=56,m1=56,m2=56/f0/f1@cache=off+arenas=1"
STEPS_MOST = 60  # of a free


def has_all(events, wanted):
    return all(any(each.items() <= event.items() for event in events) for each in wanted)


def find_known(explorer):
    """The token of that execution, wherever its points stand now."""
    def replay(answers):
        return read_raw(explorer.give(0, "--replay", token_of(PROGRAM, answers), "--steps", "raw"))

    for away in range(1, STEPS_MOST):
        answers = f"1t{away}.2"
        if not has_all(replay(answers), [{"operation": "wait", "thread": 1}]):
            continue
        for late in range(1, STEPS_MOST):
            events = replay(f"{answers},2s{late}.1")
            if has_all(events, [{"operation": "wait", "thread": 1}, {"stale": 1, "thread": 1}]) \
                    and any(event["stale"] and event["name"] % 64 == 15 for event in events):
                return token_of(PROGRAM, f"{answers},2s{late}.1")
    raise Wrong("no execution where a thread with a lock makes way, and the other one sees an old value and waits")
