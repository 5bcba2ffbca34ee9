#!/usr/bin/env python3
"""Replays a fuzz target's committed inputs, corpus and regressions, all in one process, in the order of their names.

A folder of the regressions is a history, replayed by a process of its own: the files 1, 2 and so on, in that order; one
named 2x500 comes 500 times.

usage: corpus.py SOURCE TARGET COMMAND...    the command is the target's binary, after the tool that it runs under
       corpus.py --selftest

It passes if the command ends with status 0 and took every input.
"""
import os
import re
import shlex
import subprocess
import sys
import tempfile
import unittest


def inputs_of(source, target):
    found = []
    for kind in ("corpus", "regressions"):
        folder = os.path.join(source, "fuzz", kind, target)
        if os.path.isdir(folder):
            found += sorted(path for path in paths_in(folder) if os.path.isfile(path))
    return found


def paths_in(folder):
    return [os.path.join(folder, name) for name in os.listdir(folder)]


def histories_of(source, target):
    """The inputs of each, in order and as often as they come; by paths from here, as these may be thousands."""
    regressions = os.path.join(source, "fuzz", "regressions", target)
    folders = sorted(filter(os.path.isdir, paths_in(regressions))) if os.path.isdir(regressions) else []
    for folder in folders:
        ordered = sorted((int(name.partition("x")[0]), name) for name in os.listdir(folder))
        yield [os.path.relpath(os.path.join(folder, name))
               for _, name in ordered for _ in range(int(name.partition("x")[2] or 1))]


def count_taken(output):
    """The driver says it once, libFuzzer of each."""
    of_driver = re.search(r"^fuzz_\w+: (\d+) inputs replayed$", output, re.M)
    return int(of_driver.group(1)) if of_driver else len(re.findall(r"^Executed .* in \d+ ms$", output, re.M))


def replay(source, target, command):
    """(what went wrong or nothing, the output)."""
    inputs = inputs_of(source, target)
    groups = [*([inputs] if inputs else []), *histories_of(source, target)]
    if not groups:
        return f"{target} has no committed inputs", ""
    for group in groups:
        wrong, output = replay_group(command, group)
        if wrong:
            return wrong, output
    return "", f"{len(inputs)} inputs, {len(groups) - bool(inputs)} histories"


def replay_group(command, inputs):
    """All of them in one process."""
    done = subprocess.run([*command, *inputs], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    if done.returncode != 0:
        return f"status {done.returncode} of {shlex.join(command)} over {len(inputs)} inputs", done.stdout
    taken = count_taken(done.stdout)
    wrong = "" if taken == len(inputs) else f"{len(inputs)} inputs are committed, {taken} were taken"
    return wrong, done.stdout


class Replay(unittest.TestCase):
    """A target that fails or takes less than there is fails the test."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = folder.name
        for path in ("corpus/fuzz_a/sound", "corpus/fuzz_a/other", "regressions/fuzz_a/crash"):
            path = os.path.join(self.tree, "fuzz", path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(os.path.basename(path))

    def wrong(self, script, target="fuzz_a"):
        return replay(self.tree, target, ["sh", "-c", script, "fuzz"])[0]

    def test_all(self):
        self.assertEqual(self.wrong('echo "fuzz_a: $# inputs replayed"'), "")
        self.assertEqual(self.wrong('for path; do echo "Executed $path in 0 ms"; done'), "")

    def test_a_crash(self):
        script = 'for path; do grep -q crash "$path" && kill -ABRT $$; done; echo "fuzz_a: $# inputs replayed"'
        self.assertIn("status -6", self.wrong(script))
        os.remove(os.path.join(self.tree, "fuzz", "regressions", "fuzz_a", "crash"))
        self.assertEqual(self.wrong(script), "")

    def test_too_few(self):
        self.assertEqual(self.wrong('echo "fuzz_a: 2 inputs replayed"'), "3 inputs are committed, 2 were taken")
        self.assertEqual(self.wrong("echo Executed $1 in 0 ms"), "3 inputs are committed, 1 were taken")
        self.assertEqual(self.wrong("exit 0", "fuzz_b"), "fuzz_b has no committed inputs")


    def test_a_history(self):
        """Its inputs in their order, each as often as it comes; and none of them among the others."""
        folder = os.path.join(self.tree, "fuzz", "regressions", "fuzz_a", "history-a")
        os.makedirs(folder)
        for name in ("1", "2", "10x3"):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(name)
        script = 'cat "$@"; echo; echo "fuzz_a: $# inputs replayed"; ! cat "$@" | grep -q '
        self.assertEqual(self.wrong(script + "nothing"), "")
        self.assertIn("over 5 inputs", self.wrong(script + "1210x310x310x3"))
        self.assertIn("over 3 inputs", self.wrong(script + "crash"))


def main(arguments):
    if arguments == ["--selftest"]:
        return unittest.main(argv=sys.argv[:1])
    wrong, output = replay(arguments[0], arguments[1], arguments[2:])
    print(output)
    if wrong:
        print(f"corpus: {wrong}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
