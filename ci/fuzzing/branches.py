"""Branches from what llvm-cov exports, by where they stand in the source.

A branch has two sides, which are counted apart. One that stands in a macro is named by where the macro is used, as each
use is another branch; one in an inline function of a header is one branch, wherever that was compiled. An operation of
the seam is one branch, whatever its backend makes of it: targets are built with different ones."""
import collections
import json
import os
import re

EXPANSION = 1
BACKEND = "sync_"  # how the names of the files begin that have the seam's backends
# A line of the file of known gaps: before the number of the branches that it stands for, that number, and the rest.
KNOWN = re.compile(r"([^:]+: [^:]+: (?:never true|never false|not evaluated))(?: \((\d+)\))?(: .*)")


def read(exported):
    """(sides, lines): how often each side was reached, by (file, line, column, function, place in a macro, side);
    and how many lines of all were."""
    data = json.loads(exported)["data"][0]
    wanted = {entry["filename"] for entry in data["files"]}
    sides = {}
    for function in data["functions"]:
        read_function(function, wanted, sides)
    return sides, (data["totals"]["lines"]["covered"], data["totals"]["lines"]["count"])


def read_function(function, wanted, sides):
    """Adds the branches of one function as it was compiled in one place."""
    names = function["filenames"]
    # One that is static has the name of the file before its own.
    own_name = function["name"].rpartition(":")[2]
    # Where each macro that is used is used: (place, file) by the file that stands for the macro's text.
    used = {region[6]: (region[0], region[1], region[5]) for region in function["regions"] if region[7] == EXPANSION}
    for line, column, _, _, true_count, false_count, file, _, _ in function["branches"]:
        inner = ()
        while file in used:
            inner = () if os.path.basename(names[file]).startswith(BACKEND) else (line, column) + inner
            line, column, file = used[file]
        if names[file] not in wanted:
            continue
        for side, count in (("true", true_count), ("false", false_count)):
            key = (os.path.realpath(names[file]), line, column, own_name, inner, side)
            sides[key] = sides.get(key, 0) + count


def explained(path):
    """What the file of known gaps says: a reason by name; and by line, without its number, the name of the reason and
    the number.

    A section is `[name] reason`, which may go on in lines that begin with spaces; below it, a line for each branch: its
    file, its function, what is not reached, and its source, without the place, which changes. Where a function has the
    same source several times, or several conditions of a source line are not reached, their number is in parentheses."""
    reasons, lines, name = {}, {}, None
    with open(path, encoding="utf-8") as file:
        for line in map(str.rstrip, file):
            if line.startswith("["):
                name, _, reason = line[1:].partition("] ")
                reasons[name] = reason
            elif line.startswith("    ") and name and not any(known == name for known, _ in lines.values()):
                reasons[name] += " " + line.strip()
            elif line and not line.startswith("#"):
                if name is None:
                    raise ValueError(f"{path}: a branch without a reason: {line}")
                branch, number = without_number(line)
                if branch in lines:
                    raise ValueError(f"{path}: twice: {line}")
                lines[branch] = (name, number)
    return reasons, lines


def without_number(line):
    """src/a.c: f: never true (2): text -> src/a.c: f: never true: text, 2"""
    matched = KNOWN.fullmatch(line)
    if not matched:
        raise ValueError(f"no branch: {line}")
    begin, number, rest = matched.groups()
    return begin + rest, int(number or 1)


def with_number(line, number):
    begin, _, rest = KNOWN.fullmatch(line).groups()
    return line if number == 1 else f"{begin} ({number}){rest}"


def without_place(line):
    """src/a.c:12:5: f: never true: text -> src/a.c: f: never true: text"""
    path, _, _, rest = line.split(":", 3)
    return f"{path}:{rest}"


def compare(found, path):
    """(how many branches of each reason; lines as the file should have them, of which there are more than it has; lines
    as it has them, of which there are less)."""
    _, lines = explained(path)
    now = collections.Counter(map(without_place, found))
    counts = collections.Counter()
    for line, (name, number) in lines.items():
        counts[name] += min(number, now[line])
    new = [with_number(line, number) for line, number in now.items() if number > lines.get(line, (None, 0))[1]]
    gone = [with_number(line, number) for line, (_, number) in lines.items() if now[line] < number]
    return {name: count for name, count in counts.items() if count}, sorted(new), sorted(gone)


def unreached(sides, root):
    """One line for each branch of which a side is not reached, by file and place, with its function and source."""
    places = {}
    for (*place, side), count in sides.items():
        places.setdefault(tuple(place), {})[side] = count
    sources = {}
    for (file, line, column, function, _), counts in sorted(places.items()):
        missing = [side for side in ("true", "false") if not counts[side]]
        if not missing:
            continue
        if file not in sources:
            with open(file, encoding="utf-8") as source:
                sources[file] = source.read().splitlines()
        what = f"never {missing[0]}" if len(missing) == 1 else "not evaluated"
        yield f"{os.path.relpath(file, root)}:{line}:{column}: {function}: {what}: {sources[file][line - 1].strip()}"
