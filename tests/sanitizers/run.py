"""Runs cases of faults under a tool and compares what the tool says of each with what it is to say.

    run.py <tool> <program> <group> <on|off: threads' caches>
    run.py --list <tool>            the groups that the tool is tried with

What each tool is to say of each case stands below; where, stands in the sources, beside the line (faults.h).
"""

import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SECONDS = 200

GROUPS = {
    # Out of bounds, or after free: whoever knows bounds names the line.
    "outside": """
        overflow overflow_into_padding overflow_past_usable_size overflow_of_nothing overflow_when_read underflow
        overflow_of_string write_after_free use_after_realloc freed_by_other_thread
        overflow_after_shrinking overflow_after_growing overflow_of_aligned underflow_of_aligned
        overflow_of_large underflow_of_large use_after_free_of_large overflow_after_shrinking_large
        arena_overflow arena_use_after_free buffer_overflow buffer_not_allocated buffer_use_after_free hooks_overflow
    """,
    "freed": "use_after_free use_after_free_inside",
    # Read before it was written: whoever knows what was written names the decision, and who asked for it.
    "unwritten": """
        uninitialised uninitialised_again uninitialised_end_after_realloc uninitialised_end_in_place
        uninitialised_large uninitialised_aligned arena_uninitialised
    """,
    "twice": "double_free double_free_large",
    "leaks": "leak leak_behind_freed",
    "races": "race race_in_used_memory race_in_large race_with_free race_past_seam",
    # Nothing is wrong with these.
    "right": """
        no_leak_behind_block no_leak_behind_large no_leak_behind_resized calloc_is_initialised realloc_keeps_content
        usable_size_may_be_used returned_memory_is_open checker_finds_nothing fork_is_quiet
        buffer_is_given_back buffer_in_block hooks_get_their_memory_back destroyed_arena_leaks_nothing
    """,
    "threads": "handed_over reused",
}
GROUPS = {group: cases.split() for group, cases in GROUPS.items()}

ASAN = r"ERROR: AddressSanitizer: use-after-poison"
MSAN = r"WARNING: MemorySanitizer: use-of-uninitialized-value"
TSAN = r"WARNING: ThreadSanitizer: data race"
DECIDES = r"Conditional jump or move depends on uninitialised value"
INVALID = r"Invalid (write|read) of size 1"
# The allocator's own line comes first: no tool is needed for it.
TWICE = r"^heapster: (double free|free of a freed block): 0x"


def group(name, kind, place):
    return {case: (kind, place) for case in GROUPS[name]}


THREADS = group("threads", None, None)
RIGHT = {**group("right", None, None), **THREADS}

# Of each case: the kind of the report, and the place that it names: "fault" the line in the case itself, "decision" the
# one in decide_by and the case that called it, "race" either line, another name that of a function; None none.
EXPECTED = {
    "asan": {
        **group("outside", ASAN, "fault"),
        **group("freed", ASAN, "decision"),
        # Blocks of this heap it does not count; libc's, of which only a freed block knows, are lost.
        "leak_behind_freed": (r"Direct leak of 66 byte", "keep_in_block"),
        **group("twice", TWICE, None),
        **RIGHT,
    },
    "msan": {
        **group("unwritten", MSAN, "decision"),
        # The first words of a freed block may have been written by the allocator.
        "use_after_free_inside": (MSAN, "decision"),
        **group("twice", TWICE, None),
        **RIGHT,
    },
    "tsan": {**group("races", TSAN, "race"), **group("twice", TWICE, None), **RIGHT},
    "memcheck": {
        **group("outside", INVALID, "fault"),
        **group("freed", INVALID, "decision"),
        **group("unwritten", DECIDES, "decision"),
        "leak": (r"77 bytes in 1 blocks are definitely lost", "lose_block"),
        "leak_behind_freed": (r"66 bytes in 1 blocks are definitely lost", "keep_in_block"),
        **group("twice", TWICE, None),
        **RIGHT,
    },
    "helgrind": {**group("races", r"Possible data race during (write|read)", "race"), **THREADS},
    "drd": {**group("races", r"Conflicting (load|store) by thread", "race"), **THREADS},
}
# To these two free is no access, be it libc's or Heapster's; and they do not look at the seam's own fields.
for tool in "helgrind", "drd":
    del EXPECTED[tool]["race_with_free"]
    del EXPECTED[tool]["race_past_seam"]

VALGRIND = ["valgrind", "--quiet", "--error-exitcode=99"]
COMMANDS = {
    "memcheck": VALGRIND + ["--leak-check=full", "--show-leak-kinds=definite,indirect,possible",
                            "--errors-for-leak-kinds=definite,indirect,possible"],
    "helgrind": VALGRIND + ["--tool=helgrind", "--history-level=full"],
    "drd": VALGRIND + ["--tool=drd"],
}
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:exitcode=99:abort_on_error=0",
    "MSAN_OPTIONS": "exitcode=99:abort_on_error=0",
    "TSAN_OPTIONS": "detect_deadlocks=0:exitcode=99:halt_on_error=1",
}


def marked(function, mark):
    """The file and the line with the mark in that function, whose body ends with the next brace in the first column."""
    for path in sorted(HERE.glob("*.c")):
        inside = False
        for number, line in enumerate(path.read_text().split("\n"), 1):
            if re.match(r"(static |void ).*\b%s\(" % re.escape(function), line) and not line.endswith(";"):
                inside = True
            elif line.startswith("}"):
                inside = False
            if inside and line.endswith("/* %s */" % mark):
                return "%s:%d" % (path.name, number)
    raise SystemExit("no line of %s is marked as %s" % (function, mark))


def frame(function, place=""):
    """A line of a stack trace, as the sanitizers write it or as Valgrind does."""
    return r"\b%s\b.*%s" % (function, re.escape(place) + r"\b" if place else "")


def frames_expected(case, place):
    if place is None:
        return []
    if place == "fault":
        # Of one that only calls another function, the line stands there.
        function = {"freed_by_other_thread": "use_freed"}.get(case, case)
        return [frame(function, marked(function, "fault"))]
    if place == "decision":
        return [frame("decide_by", marked("decide_by", "decision")), frame(case)]
    if place == "race":
        writers = {"race_past_seam": ("write_by_seam", "write_past_seam")}.get(case, ("write_first", "write_second"))
        return ["|".join(frame(writer, marked(writer, "fault")) for writer in writers)]
    return [frame(place)]


def judge(tool, case, status, report):
    """What is wrong with the outcome, in words; empty if nothing is."""
    kind, place = EXPECTED[tool][case]
    if kind is None:
        return "" if status == 0 and report == "" else "expected nothing"
    if status == 0:
        return "expected a failure"
    found = re.search(kind, report, re.MULTILINE)
    if not found:
        return "expected %s" % kind
    for wanted in frames_expected(case, place):
        if not re.search(wanted, report[found.start():]):
            return "expected a frame like %s" % wanted
    # One mistake, one report.
    if place == "fault" and len(re.findall(kind, report)) != 1:
        return "expected one report"
    return ""


def run(tool, program, cases, cache):
    environment = dict(os.environ, HEAPSTER_OPTIONS="cache=" + cache, **OPTIONS)
    command = COMMANDS.get(tool, []) + [program] + cases
    done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=SECONDS)
    return done.stderr.decode(errors="replace")


def outcomes(text):
    """By case: how it ended, and what was said until then."""
    found = re.findall(r"^case: (\w+)\n(.*?)^status: (-?\d+)\n", text, re.MULTILINE | re.DOTALL)
    return {case: (int(status), report) for case, report, status in found}


def groups_of(tool):
    return [name for name, cases in GROUPS.items() if any(case in EXPECTED[tool] for case in cases)]


def main():
    if sys.argv[1:2] == ["--list"]:
        print(";".join(groups_of(sys.argv[2])))
        return 0
    tool, program, group_name, cache = sys.argv[1:]
    cases = [case for case in GROUPS[group_name] if case in EXPECTED[tool]]
    said = run(tool, program, cases, cache)
    ended = outcomes(said)
    failures = 0
    for case in cases:
        status, report = ended.get(case, (1, said))
        wrong = judge(tool, case, status, report)
        print("%s: %s" % (case, wrong or "as expected"))
        if wrong:
            print("under %s, cache %s; status %d, and it says:\n%s" % (tool, cache, status, report))
            failures += 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
