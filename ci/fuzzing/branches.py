"""Branches from what llvm-cov exports, by where they stand in the source.

A branch has two sides, which are counted apart. One that stands in a macro is named by where the macro is used, as each
use is another branch; one in an inline function of a header is one branch, wherever that was compiled. An operation of
the seam is one branch, whatever its backend makes of it: targets are built with different ones."""
import json
import os

EXPANSION = 1
BACKEND = "sync_"  # how the names of the files begin that have the seam's backends


def read(exported):
    """(sides, lines): how often each side was reached, by (file, line, column, place in a macro, side); and how many
    lines of all were."""
    data = json.loads(exported)["data"][0]
    wanted = {entry["filename"] for entry in data["files"]}
    sides = {}
    for function in data["functions"]:
        read_function(function, wanted, sides)
    return sides, (data["totals"]["lines"]["covered"], data["totals"]["lines"]["count"])


def read_function(function, wanted, sides):
    """Adds the branches of one function as it was compiled in one place."""
    names = function["filenames"]
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
            key = (os.path.realpath(names[file]), line, column, inner, side)
            sides[key] = sides.get(key, 0) + count


def explained(path):
    """What the file of known gaps says: a reason by name, and how many branches each line stands for, by the reason.

    A section is `[name] reason`, which may go on in lines that begin with spaces; below it, a line for each branch: its
    file, what is not reached, and its source, without the place, which changes."""
    reasons, lines, name = {}, {}, None
    with open(path, encoding="utf-8") as file:
        for line in map(str.rstrip, file):
            if line.startswith("["):
                name, _, reason = line[1:].partition("] ")
                reasons[name] = reason
            elif line.startswith("    ") and name and not any(known == name for known in lines.values()):
                reasons[name] += " " + line.strip()
            elif line and not line.startswith("#"):
                if name is None:
                    raise ValueError(f"{path}: a branch without a reason: {line}")
                if line in lines:
                    raise ValueError(f"{path}: twice: {line}")
                lines[line] = name
    return reasons, lines


def without_place(line):
    """src/a.c:12:5: never true: text -> src/a.c: never true: text"""
    path, _, _, rest = line.split(":", 3)
    return f"{path}:{rest}"


def compare(found, path):
    """(how many branches of each reason, those that are new, those that the file has and that are reached)."""
    _, lines = explained(path)
    now = {without_place(line) for line in found}
    counts = {}
    for line in found:
        name = lines.get(without_place(line))
        if name:
            counts[name] = counts.get(name, 0) + 1
    return counts, sorted(now - set(lines)), sorted(set(lines) - now)


def unreached(sides, root):
    """One line for each branch of which a side is not reached, by file and place, with its source."""
    places = {}
    for (file, line, column, inner, side), count in sides.items():
        places.setdefault((file, line, column, inner), {})[side] = count
    sources = {}
    for (file, line, column, _), counts in sorted(places.items()):
        missing = [side for side in ("true", "false") if not counts[side]]
        if not missing:
            continue
        if file not in sources:
            with open(file, encoding="utf-8") as source:
                sources[file] = source.read().splitlines()
        what = f"never {missing[0]}" if len(missing) == 1 else "not evaluated"
        yield f"{os.path.relpath(file, root)}:{line}:{column}: {what}: {sources[file][line - 1].strip()}"
