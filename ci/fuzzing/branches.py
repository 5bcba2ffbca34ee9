"""Branches from what llvm-cov exports, by where they stand in the source.

A branch has two sides, which are counted apart. One that stands in a macro is named by where the macro is used, as each
use is another branch; one in an inline function of a header is one branch, wherever that was compiled."""
import json
import os

EXPANSION = 1


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
            inner = (line, column) + inner
            line, column, file = used[file]
        if names[file] not in wanted:
            continue
        for side, count in (("true", true_count), ("false", false_count)):
            key = (os.path.realpath(names[file]), line, column, inner, side)
            sides[key] = sides.get(key, 0) + count


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
