"""What was fuzzed so far, over all runs, and the section of the documentation that says so."""
import contextlib
import fcntl
import json
import os

SUMS = {"runs": 0, "seconds": 0.0, "executions": 0}
LAST = ("edges", "features", "inputs")
EMPTY = {**SUMS, **dict.fromkeys(LAST, 0), "crashes": []}


class Account:
    """A file with an entry for each target: sums of all runs, figures of the last one, and crashes, each bug once.

    It stands on the committed account: what it had of that is in the entry's `base`, so that what is beyond is this
    clone's own and not committed yet. Whenever it is read, the entry is made anew: what is committed now, and one's own
    on top. So the hours of another clone come in with its commit, none counts twice, and a crash that either has is
    there. Figures of the last run are one's own, if there is a run of one's own.

    Several sessions may use it at once: each reads it, adds what it did since it last did so, and writes it, under a
    lock. It is written anew as a whole, so that no kill leaves half of it."""

    def __init__(self, path, committed):
        self.path = path
        self.committed = committed
        self.targets = self.read()

    def read(self):
        own, committed = read(self.path), read(self.committed)
        return {name: rebased(own.get(name), committed.get(name)) for name in {*own, *committed}}

    def of(self, name):
        return {**EMPTY, "base": SUMS, **self.targets.get(name, {})}

    @contextlib.contextmanager
    def entry(self, name):
        """A target's entry as it is now, to be changed."""
        with locked(self.path):
            self.targets = self.read()
            self.targets[name] = self.of(name)
            yield self.targets[name]
            write(self.path, self.targets)

    def add(self, name, sums, last):
        """What was done since the last call, and the figures as they are by now."""
        with self.entry(name) as entry:
            entry.update(added(entry, sums))
            entry.update(last)

    def add_crashes(self, name, crashes):
        with self.entry(name) as entry:
            entry["crashes"] = union(entry["crashes"], crashes)

    def improve_crash(self, name, before, after):
        """The same bug with another input, if this is the one that it was entered with."""
        with self.entry(name) as entry:
            entry["crashes"] = [after if crash == before else crash for crash in entry["crashes"]]

    def keep(self):
        """Makes what is one's own a part of the committed account."""
        with locked(self.committed), locked(self.path):
            self.targets = self.read()
            write(self.committed, {name: {key: value for key, value in entry.items() if key != "base"}
                                   for name, entry in self.targets.items()})
            self.targets = {name: {**entry, "base": sums_of(entry)} for name, entry in self.targets.items()}
            write(self.path, self.targets)


@contextlib.contextmanager
def locked(path):
    """By the folder, which stays where it is while the file is replaced."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def write(path, content):
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, sort_keys=True)
        file.write("\n")
    os.replace(path + ".new", path)


def read(path):
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def sums_of(entry):
    return {name: entry[name] for name in SUMS}


def added(entry, sums, sign=1):
    """The entry's sums and these. What is added to has no noise of binary fractions; the rest stays as it was written."""
    return {name: round(entry[name] + sign * sums[name], 6) if sums.get(name) else entry[name] for name in SUMS}


def union(crashes, more):
    """Each bug once, as it was met first."""
    known = {crash["bug"]: crash for crash in (*more[::-1], *crashes[::-1])}
    return list({crash["bug"]: known[crash["bug"]] for crash in (*crashes, *more)}.values())


def rebased(own, committed):
    """The entry on what is committed now.

    One that does not say what it stands on was written when an account held one clone's hours: it stands on what is
    committed, or has less than that and is a part of it."""
    committed = {**EMPTY, **(committed or {})}
    base = sums_of(committed)
    if own is None:
        return {**committed, "base": base}
    beyond = added(own, own["base"] if "base" in own else base, -1)
    if "base" not in own and beyond["seconds"] < 0:
        beyond = SUMS
    last = own if beyond["runs"] > 0 else committed
    return {**committed, **{name: last[name] for name in LAST}, **added(committed, beyond),
            "crashes": union(committed["crashes"], own["crashes"]), "base": base}


def duration(seconds):
    return f"{int(seconds) // 3600} h {int(seconds) // 60 % 60:02} min {int(seconds) % 60:02} s"


def section(account):
    """The table, from the account alone."""
    lines = ["| target | processor time | executions | executions per second | edges | corpus | crashes |",
             "|---|---|---|---|---|---|---|"]
    for name in sorted(account.targets):
        entry = account.of(name)
        rate = entry["executions"] / entry["seconds"] if entry["seconds"] else 0
        lines.append(f"| `{name}` | {duration(entry['seconds'])} | {entry['executions']:,} | {rate:,.0f} | "
                     f"{entry['edges']:,} | {entry['inputs']:,} | {len(entry['crashes'])} |")
    for name in sorted(account.targets):
        for crash in account.of(name)["crashes"]:
            lines.append(f"\n`{name}`: {crash['what']}")
    return "\n".join([
        "## Fuzzing", "",
        "Written by `ci/fuzz --report` from what `ci/fuzz` accounted for: libFuzzer with AddressSanitizer, one process",
        "for each target, all runs added up. Time is what the fuzzers used of the processor, and executions per second",
        "are per second of that. Edges, of the target and the allocator together, and the inputs of the corpus are those",
        "at the end of the last run; a crash counts once, however often it was met.", "", *lines])


def write_section(path, text, name="fuzz"):
    """Puts the text between the marks of that name, beside which all of the page is of others; a page without them gets
    them at its end."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    page = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            page = file.read()
    if begin not in page:
        page += f"{begin}\n{end}\n"
    if end not in page.split(begin, 1)[1]:
        raise ValueError(f"{path} has {begin} and no {end} after it")
    head, rest = page.split(begin, 1)
    tail = rest.split(end, 1)[1]
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{head}{begin}\n{text}\n{end}{tail}")
