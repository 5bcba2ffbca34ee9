#!/usr/bin/env python3
"""One line broken on purpose in a private copy of the project turns the expected cells of the matrix red, and they are
green without it.

    broken.py [--only CELL]... NAME...    NAME: sound, or one of BROKEN; CELL: patterns, by default all of broken.toml

All names take their turn in one copy, so that what they do not touch is built once.
"""
import argparse
import contextlib
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


def make_copy(folder):
    copy = pathlib.Path(folder, "copy")
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", "build", "build-*", "__pycache__"))
    return copy


@contextlib.contextmanager
def broken(copy, name):
    path, old, new, _, _ = BROKEN[name]
    if not old:
        yield
        return
    text = (copy / path).read_text(encoding="utf-8")
    if text.count(old) != 1:
        sys.exit(f"{path} does not hold this once: {old}")
    (copy / path).write_text(text.replace(old, new), encoding="utf-8")
    yield
    (copy / path).write_text(text, encoding="utf-8")


def results_of(copy, cells):
    """By the cell's name, "ok" or "RED", as the table on the terminal has it."""
    table = copy / "tests/matrix/broken.toml"
    command = [copy / "ci/matrix", "--fresh", "--table", table]
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


def judge(name, results):
    _, _, _, expected, possible = BROKEN[name]
    wrong = [f"{cell} is not red" for cell in expected if results.get(cell) == "ok"]
    wrong += [f"{cell} is red" for cell, result in results.items()
              if result == "RED" and cell not in expected + possible]
    if expected and not set(expected) & set(results):
        wrong.append("none of the expected cells was run")
    print(f"{name}: {', '.join(wrong) or 'as expected'}: {results}", flush=True)
    return not wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("names", nargs="+", choices=BROKEN)
    arguments = parser.parse_args()
    as_expected = True
    with tempfile.TemporaryDirectory() as folder:
        copy = make_copy(folder)
        for name in arguments.names:
            with broken(copy, name):
                results = results_of(copy, arguments.only)
            as_expected &= judge(name, results)
    return 0 if as_expected else 1


if __name__ == "__main__":
    sys.exit(main())
