"""What was fuzzed so far, over all runs, and the section of the documentation that says so."""
import json
import os

BEGIN = "<!-- fuzz:begin -->"
END = "<!-- fuzz:end -->"
EMPTY = {"runs": 0, "seconds": 0.0, "executions": 0, "edges": 0, "features": 0, "inputs": 0, "crashes": []}


class Account:
    """A file with the sums of each target; written anew as a whole, so that no kill leaves half of it.

    It goes on from the committed one, where that has more of a target: another clone's hours count, too."""

    def __init__(self, path, committed):
        self.path = path
        self.committed = committed
        self.targets = {}
        for source in (committed, path):
            for name, entry in read(source).items():
                if entry["seconds"] >= self.of(name)["seconds"]:
                    self.targets[name] = entry

    def of(self, name):
        return {**EMPTY, **self.targets.get(name, {})}

    def put(self, name, entry):
        self.targets[name] = entry
        self.write(self.path)

    def keep(self):
        """Writes the committed one."""
        self.write(self.committed)

    def write(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(self.targets, file, indent=1, sort_keys=True)
            file.write("\n")
        os.replace(path + ".new", path)


def read(path):
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def with_run(entry, seconds, figures):
    """The entry with a run added: sums of processor time and executions; the rest is as the run leaves it."""
    added = {**entry, "runs": entry["runs"] + 1, "seconds": entry["seconds"] + seconds}
    if figures:
        added["executions"] = entry["executions"] + figures["executions"]
        for name in ("edges", "features", "inputs"):
            added[name] = figures[name]
    return added


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


def write_section(path, text):
    """Puts the text between the marks of the page, all of which beside them is of ci/explore; a page without them gets
    them at its end."""
    page = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            page = file.read()
    if BEGIN not in page:
        page += f"{BEGIN}\n{END}\n"
    if END not in page.split(BEGIN, 1)[1]:
        raise ValueError(f"{path} has {BEGIN} and no {END} after it")
    head, rest = page.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{head}{BEGIN}\n{text}\n{END}{tail}")
