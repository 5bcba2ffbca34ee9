#!/usr/bin/env python3
"""One line broken on purpose in a private copy of the project turns the expected cells of the matrix red, and they are
green without it.

    broken.py NAME [CELL]...    NAME: sound, or one of BROKEN; CELL: patterns, by default all of broken.toml
"""
import argparse
import fnmatch
import pathlib
import shutil
import subprocess
import sys
import tempfile
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS = 1500

# The file, what stands there once, what takes its place, the cells that must be red then, and those that may be.
BROKEN = {
    "off_by_one": (
        "src/block.h", "(payload_bytes + HS_TAG_BYTES + HS_ALIGNMENT - 1)", "(payload_bytes + HS_TAG_BYTES + HS_ALIGNMENT - 2)",
        ["quick.unit", "gcc-12.release.unit", "gcc-12.release.stress", "clang-14.tsan.unit"],
        ["clang-14.tsan.stress"]),
    "lock_left_out": (
        "src/pool.c",
        "    hs_mutex_lock(&pool->lock);\n    item->next = pool->free;\n    pool->free = item;\n"
        "    hs_mutex_unlock(&pool->lock);\n",
        "    item->next = pool->free;\n    pool->free = item;\n",
        ["clang-14.tsan.stress", "gcc-12.release.explore"],
        ["gcc-12.release.stress"]),
    "leak": (
        "src/large.c", "    if (hs_os_unmap(region->base, bytes_of(region)))\n        hs_region_give(region);\n",
        "    if (region->base != NULL)\n        hs_region_give(region);\n",
        ["gcc-12.release.unit", "clang-14.tsan.unit"], []),
    "uninitialised_tag": (
        "src/block.h", "    hs_store_relaxed(&block->check, hs_block_hash(block, extent));\n", "",
        ["quick.unit", "gcc-12.release.unit", "gcc-12.release.stress", "clang-14.tsan.unit", "clang-14.tsan.stress"],
        ["gcc-12.release.explore"]),
    "sound": ("src/block.h", "", "", [], []),
}


def make_copy(folder, name):
    copy = pathlib.Path(folder, "copy")
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", "build", "build-*", "__pycache__"))
    path, old, new, _, _ = BROKEN[name]
    if old:
        text = (copy / path).read_text(encoding="utf-8")
        if text.count(old) != 1:
            sys.exit(f"{path} does not hold this once: {old}")
        (copy / path).write_text(text.replace(old, new), encoding="utf-8")
    return copy


def results_of(copy, cells):
    """By the cell's name, "ok" or "RED", as the table on the terminal has it."""
    table = copy / "tests/matrix/broken.toml"
    command = [copy / "ci/matrix", "--table", table]
    for cell in cells:
        command += ["--only", cell]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False,
                          stdin=subprocess.DEVNULL)
    print(done.stdout, done.stderr)
    red = {line.split(":")[0] for line in done.stdout.splitlines() if ": RED: " in line}
    with open(table, "rb") as file:
        names = [f"{row['name']}.{suite}" for row in tomllib.load(file)["row"] for suite in row["suites"]]
    chosen = [name for name in names if not cells or any(fnmatch.fnmatchcase(name, cell) for cell in cells)]
    if (done.returncode == 1) != bool(red):
        sys.exit(f"status {done.returncode} with {len(red)} red cells")
    return {name: "RED" if name in red else "ok" for name in chosen}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=BROKEN)
    parser.add_argument("cells", nargs="*")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = results_of(make_copy(folder, arguments.name), arguments.cells)
    _, _, _, expected, possible = BROKEN[arguments.name]
    wrong = [f"{cell} is not red" for cell in expected if results.get(cell) == "ok"]
    wrong += [f"{cell} is red" for cell, result in results.items()
              if result == "RED" and cell not in expected + possible]
    if expected and not set(expected) & set(results):
        wrong.append("none of the expected cells was run")
    print("\n".join(wrong) or f"{arguments.name}: as expected: {results}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
