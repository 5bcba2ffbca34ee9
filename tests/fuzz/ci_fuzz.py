#!/usr/bin/env python3
"""ci/fuzz over targets of its own: a planted crash is found, minimised, and reproduced by the printed command; a sound
target ends green; what was done adds up over runs and clones and survives an interrupt.

The tree lies where a name has a space.

usage: ci_fuzz.py SOURCE [TEST]...
"""
import glob
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = os.path.abspath(sys.argv[1])
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(SOURCE, "ci", "fuzzing"), os.path.join(SOURCE, "tests", "fuzz")]

import account as accounts  # noqa: E402
import branches             # noqa: E402
import children             # noqa: E402
import corpus               # noqa: E402
import crash                # noqa: E402
import speed                # noqa: E402
import target as targets    # noqa: E402

RUN = os.path.join(SOURCE, "ci", "fuzzing", "run.py")


def program_of(process):
    try:
        return os.readlink(os.path.join(process, "exe"))
    except OSError:
        return ""


class Tree(unittest.TestCase):
    """Each test has a tree of its own, with the same targets."""

    targets = {"fuzz_crash": ["-DCRASHES"], "fuzz_sound": [], "fuzz_worn": ["-DWEARS_OUT"],
               "fuzz_once": ["-DFAILS_ONCE"], "fuzz_memory": ["-DREMEMBERS"], "fuzz_sleepy": ["-DSLEEPS"]}

    @classmethod
    def setUpClass(cls):
        cls.binaries = tempfile.mkdtemp(prefix="ci-fuzz-")
        cls.addClassCleanup(shutil.rmtree, cls.binaries)
        for name, flags in cls.targets.items():
            subprocess.run(["clang", "-g", "-O1", "-Wall", "-Werror", "-fsanitize=fuzzer,address", *flags,
                            os.path.join(SOURCE, "tests", "fuzz", "planted.c"), "-o",
                            os.path.join(cls.binaries, name)], check=True)

    def setUp(self):
        self.tree = tempfile.mkdtemp(prefix="ci fuzz tree ")
        self.addCleanup(shutil.rmtree, self.tree)
        self.work = os.path.join(self.tree, "build", "fuzz")
        self.elsewhere = os.path.join(self.tree, "elsewhere")
        os.makedirs(self.elsewhere)
        os.makedirs(os.path.join(self.tree, "fuzz"))
        shutil.copytree(self.binaries, os.path.join(self.work, "bin"))
        for name in os.listdir(self.binaries):
            with open(os.path.join(self.tree, "fuzz", f"{name}.c"), "w", encoding="utf-8"):
                pass

    def command(self, *arguments):
        return [sys.executable, "-B", RUN, "--tree", self.tree, "--binaries", os.path.join(self.work, "bin"),
                "--work", self.work, *arguments]

    def fuzz(self, status, *arguments):
        done = subprocess.run(self.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=100, check=False, cwd=self.elsewhere)
        self.assertEqual(done.returncode, status, done.stdout)
        self.assertEqual(os.listdir(self.elsewhere), [], "left in the folder of the caller")
        return done.stdout

    def account(self, name):
        with open(os.path.join(self.work, "account.json"), encoding="utf-8") as file:
            return json.load(file)[name]

    def files(self, *folder):
        return targets.files_of(os.path.join(self.tree, "fuzz", *folder))

    def write(self, text, *path):
        name = os.path.join(self.tree, *path)
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "w", encoding="utf-8") as file:
            file.write(text)
        return name


class Crash(Tree):
    targets = {name: Tree.targets[name] for name in ("fuzz_crash", "fuzz_worn", "fuzz_memory", "fuzz_once")}

    def reproduce(self, output, expected=b"heap-buffer-overflow"):
        command = re.search(r"^reproduce: (.*)$", output, re.M).group(1)
        done = subprocess.run(shlex.split(command), cwd=self.tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=30, check=False)
        self.assertNotEqual(done.returncode, 0, command)
        self.assertIn(expected, done.stdout)
        return command

    def test_is_triaged(self):
        self.write('"HEA"\n', "fuzz", "fuzz_crash.dict")
        # A longer one, so that there is something to minimise.
        self.write("0123456789HEA0123456789", "fuzz", "corpus", "fuzz_crash", "seed")
        output = self.fuzz(1, "--seconds", "20", "--minimise", "2", "crash")
        self.assertIn("fuzz: FAILED: fuzz_crash", output)
        self.assertRegex(output, r"input: .* \(3 bytes, found with 23\)")
        self.assertRegex(output, r"what: .*heap-buffer-overflow")
        self.assertIn("    byte 72\n    byte 69\n    byte 65\n", output)
        self.assertRegex(output, r"#0 .* in overflow .*planted\.c")
        self.assertIn("bytes:     48 45 41", output)
        self.assertNotIn("fuzzer::", output)
        self.reproduce(output)
        self.assertEqual(self.files("regressions", "fuzz_crash"), [])
        self.assertEqual(len(self.files("corpus", "fuzz_crash")), 1)

    def test_is_kept_and_counted_once(self):
        self.write('"HEA"\n', "fuzz", "fuzz_crash.dict")
        self.fuzz(1, "--seconds", "30", "--minimise", "1", "fuzz_crash")
        output = self.fuzz(1, "--seconds", "30", "--minimise", "1", "--keep", "fuzz_crash")
        kept = self.files("regressions", "fuzz_crash")
        self.assertEqual(len(kept), 1)
        self.assertIn(os.path.relpath(kept[0], self.tree), self.reproduce(output))
        self.assertEqual(len(self.account("fuzz_crash")["crashes"]), 1)
        self.assertEqual(self.account("fuzz_crash")["runs"], 2)

    def assert_replayed(self, name, expected):
        """What is kept fails in the test that replays the regressions."""
        wrong, output = corpus.replay(self.tree, name, [os.path.join(self.work, "bin", name),
                                                        f"-artifact_prefix={self.tree}/"])
        self.assertIn("status", wrong)
        self.assertIn(expected, output)

    def test_that_needs_many_executions(self):
        output = self.fuzz(1, "--seconds", "20", "--minimise", "1", "--keep", "worn")
        self.assertIn("the input alone does not fail", output)
        self.assertRegex(self.reproduce(output, b"fuzz_worn: worn out"),
                         r"^build/fuzz/bin/fuzz_worn -runs=\d+ fuzz/regressions/fuzz_worn/history-\w+/1x\d+$")
        self.assert_replayed("fuzz_worn", "fuzz_worn: worn out")
        self.assertEqual(self.files("regressions", "fuzz_worn"), [])
        self.assertRegex(self.account("fuzz_worn")["crashes"][0]["input"], r"^history-\w+/1x\d+$")

    def test_that_needs_another_input_first(self):
        for number, text in enumerate(("nothing", "arms", "something", "fires")):
            path = self.write(text, "fuzz", "corpus", "fuzz_memory", text)
            os.utime(path, (number, number))
        output = self.fuzz(1, "--seconds", "20", "--minimise", "2", "--keep", "memory")
        words = shlex.split(self.reproduce(output, b"fuzz_memory: fired"))
        self.assertEqual(len(words), 3, words)
        contents = []
        for path in words[1:]:
            with open(os.path.join(self.tree, path), "rb") as file:
                contents.append(file.read())
        self.assertTrue(contents[0].startswith(b"arm") and contents[1] == b"fire", contents)
        for path in self.files("corpus", "fuzz_memory"):
            os.remove(path)
        self.assert_replayed("fuzz_memory", "fuzz_memory: fired")

    def test_that_comes_only_once(self):
        os.environ["FAILED_ONCE"] = os.path.join(self.tree, "once")
        self.addCleanup(os.environ.pop, "FAILED_ONCE")
        output = self.fuzz(1, "--seconds", "20", "--keep", "once")
        self.assertIn("NOT reproduced by the input alone", output)
        self.assertIn("what:      fuzz_once: this once", output)
        self.assertRegex(output, r"The same run again: build/fuzz/bin/fuzz_once -max_total_time=20 -seed=\d+")
        self.assertEqual(len(self.files("regressions", "fuzz_once")), 1)


class Fake(Tree):
    """A target of the shell's, which does what a test needs at once, or never."""

    targets = {}
    SCRIPT = r"""#!/bin/bash
for word; do
    case $word in
    -minimize_crash=1) is_minimising=1;;
    -merge=1) eval "$MERGE"; cp "${@: -1}"/* "${@: -2:1}"; exit 0;;
    -artifact_prefix=*) prefix=${word#*=};;
    -exact_artifact_path=*) smaller=${word#*=};;
    --print) exit 0;;
    -max_total_time=*) is_run=1;;
    esac
done
crash()
{
    printf "A long one" >"${prefix}crash-1"
    echo "fuzz_fake: broken in A at 0x1"
    echo "artifact_prefix='$prefix'; Test unit written to ${prefix}crash-1"
    exit 77
}
if [ "$is_minimising" ]; then
    eval "$MINIMISE"
    exit 1
elif [ "$is_run" ]; then
    printf new >"${@: -1}/new"
    echo "#100 NEW cov: 5 ft: 7 corp: 2/3b lim: 4 exec/s: 100 rss: 1Mb"
    eval "$RUN"
    crash
fi
echo "fuzz_fake: broken in $(head -c 1 "$1") at 0x123"
exit 1
"""

    def setUp(self):
        super().setUp()
        os.chmod(self.write(self.SCRIPT, "build", "fuzz", "bin", "fuzz_fake"), 0o755)
        self.write("", "fuzz", "fuzz_fake.c")
        self.target = targets.Target("fuzz_fake", self.tree, os.path.join(self.work, "bin"), self.work)

    def interrupt(self, seen, times=1, **environment):
        """Interrupts a session with --keep once there is a file; its output."""
        with subprocess.Popen(self.command("--keep", "fake"), stdout=subprocess.PIPE, text=True,
                              start_new_session=True, env={**os.environ, **environment}) as process:
            for _ in range(times):
                self.wait_for(seen)
                process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130, output)
        return output

    def wait_for(self, name):
        end = time.monotonic() + 20
        while not os.path.exists(os.path.join(self.tree, name)):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)
        os.remove(os.path.join(self.tree, name))

    def assert_nothing_is_lost(self):
        with open(os.path.join(self.tree, "fuzz", "account.json"), encoding="utf-8") as file:
            committed = json.load(file)["fuzz_fake"]
        for entry in (self.account("fuzz_fake"), committed):
            self.assertEqual([crash["bug"] for crash in entry["crashes"]], ["fuzz_fake: broken in A at N"])
            self.assertEqual((entry["runs"], entry["executions"]), (1, 100))
        self.assertEqual([crash.content_of(path) for path in self.files("regressions", "fuzz_fake")], [b"A long one"])
        with open(os.path.join(self.tree, "docs", "verification.md"), encoding="utf-8") as file:
            self.assertIn("`fuzz_fake`: fuzz_fake: broken in A", file.read())

    def test_interrupted_while_it_minimises(self):
        output = self.interrupt("begun", MINIMISE=f"touch '{self.tree}/begun'; sleep 1000")
        self.assertIn("fuzz: FAILED: fuzz_fake", output)
        self.assert_nothing_is_lost()
        self.assertEqual([crash.content_of(path) for path in self.files("corpus", "fuzz_fake")], [b"new"])

    def test_interrupted_while_it_merges(self):
        begun = f"touch '{self.tree}/begun'; sleep 1000"
        output = self.interrupt("begun", 2, MERGE=begun, RUN=f"trap crash INT; while true; do {begun[:-3]}; done",
                                MINIMISE="")
        self.assertIn("interrupted again", output)
        self.assert_nothing_is_lost()
        self.assertEqual(len(targets.files_of(self.target.corpus)), 1)

    def test_crashes_as_it_is_interrupted(self):
        self.interrupt("begun", RUN=f"trap crash INT; touch '{self.tree}/begun'; while true; do sleep 0.1; done")
        self.assert_nothing_is_lost()

    def test_interrupt_waits_for_the_next_wait(self):
        self.addCleanup(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT))
        self.addCleanup(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        children.listen()
        os.kill(os.getpid(), signal.SIGINT)
        with self.assertRaises(KeyboardInterrupt), children.wait():
            self.fail("waited")
        with children.wait():
            pass

    def test_late_children_end(self):
        """What a command started ends with it."""
        status, output = children.capture(["sh", "-c", "sleep 1000 & echo $!; wait"], 1)
        self.assertIsNone(status)
        end = time.monotonic() + 10
        while program_of(f"/proc/{int(output)}") and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual(program_of(f"/proc/{int(output)}"), "")

    def test_is_not_taken_for_another(self):
        """A smaller input that fails in other words is another crash, one that fails alike is taken."""
        found = self.write("A long", "build", "found")
        output = crash.replay(self.target, found)
        self.assertEqual(crash.signature(output), "fuzz_fake: broken in A at N")
        self.addCleanup(os.environ.pop, "MINIMISE", None)
        for smaller, expected in (("B", b"A long"), ("A long, too", b"A long"), ("A", b"A")):
            os.environ["MINIMISE"] = f"printf '{smaller}' >\"$smaller\""
            path, _, another = crash.minimise(self.target, found, output, 1)
            self.assertEqual(crash.content_of(path), expected)
            self.assertEqual(another and crash.content_of(another[0]), b"B" if smaller == "B" else None)

    def test_another_is_kept(self):
        os.environ["MINIMISE"] = 'printf B >"$smaller"'
        self.addCleanup(os.environ.pop, "MINIMISE")
        output = self.fuzz(1, "--keep", "fake")
        self.assertIn("it is another bug", output)
        self.assertEqual({crash.content_of(path) for path in self.files("regressions", "fuzz_fake")},
                         {b"A long one", b"B"})
        self.assertEqual([crash["bug"] for crash in self.account("fuzz_fake")["crashes"]],
                         ["fuzz_fake: broken in A at N", "fuzz_fake: broken in B at N"])

    def test_only_the_smaller_one_is_kept(self):
        os.environ["MINIMISE"] = 'printf A >"$smaller"'
        self.addCleanup(os.environ.pop, "MINIMISE")
        self.fuzz(1, "--keep", "fake")
        kept = self.files("regressions", "fuzz_fake")
        self.assertEqual([crash.content_of(path) for path in kept], [b"A"])
        self.assertEqual(self.account("fuzz_fake")["crashes"][0]["input"], os.path.basename(kept[0]))


class Sound(Tree):
    targets = {name: Tree.targets[name] for name in ("fuzz_crash", "fuzz_sound", "fuzz_sleepy")}
    EXPLORED = {"machine": {"date": "", "processors": 1, "processor": ""}, "commit": "", "passes": [],
                "seconds_to_find": {"pct": 1}, "scenarios": [], "broken": []}

    def test_runs_add_up(self):
        self.write("[libfuzzer]\nmax_len = 40\n", "fuzz", "fuzz_sound.options")
        self.assertIn("fuzz: passed, 1 targets", self.fuzz(0, "--seconds", "1", "sound"))
        first = self.account("fuzz_sound")
        inputs = len(glob.glob(os.path.join(self.work, "corpus", "fuzz_sound", "*")))
        self.assertGreater(inputs, 0)
        self.fuzz(0, "--seconds", "1", "sound")
        second = self.account("fuzz_sound")
        self.assertEqual((first["runs"], second["runs"]), (1, 2))
        self.assertGreater(first["seconds"], 0)
        self.assertGreater(second["seconds"], first["seconds"])
        self.assertGreater(second["executions"], first["executions"])
        with open(os.path.join(self.work, "logs", "fuzz_sound.log"), encoding="utf-8") as log:
            text = log.read()
        self.assertRegex(text, rf"\s{inputs} files found in .*/corpus/fuzz_sound")
        self.assertIn("-max_len=40", " ".join(targets.Target("fuzz_sound", self.tree, "", self.work).options()))
        total = int(second["seconds"]) + 1
        self.fuzz(0, "--total", str(total), "sound")
        self.assertEqual(self.account("fuzz_sound")["runs"], 3)
        self.assertGreaterEqual(self.account("fuzz_sound")["seconds"], total)
        self.assertIn("nothing left to run", self.fuzz(0, "--total", str(total), "sound"))

    def test_the_processor_counts(self):
        """A target that sleeps most of the time is accounted for what it did."""
        self.fuzz(0, "--seconds", "4", "sleepy")
        self.assertLess(self.account("fuzz_sleepy")["seconds"], 3)
        # And what another's work delays is waited for: of a process that was stopped, only the clock goes on.
        with subprocess.Popen(self.command("--total", "2", "sound"), stdout=subprocess.PIPE, text=True) as process:
            time.sleep(1)
            fuzzer = next(int(os.path.basename(path)) for path in glob.glob("/proc/[0-9]*")
                          if program_of(path) == os.path.join(self.work, "bin", "fuzz_sound"))
            os.kill(fuzzer, signal.SIGSTOP)
            time.sleep(3)
            os.kill(fuzzer, signal.SIGCONT)
            output, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, output)
        self.assertGreaterEqual(self.account("fuzz_sound")["seconds"], 2)
        self.assertLess(self.account("fuzz_sound")["seconds"], 5)

    def test_keep_adds_what_is_new(self):
        self.fuzz(0, "--seconds", "2", "sound")
        sound = targets.Target("fuzz_sound", self.tree, os.path.join(self.work, "bin"), self.work)
        before = len(targets.files_of(sound.corpus))
        self.assertEqual(self.files("corpus", "fuzz_sound"), [])
        self.fuzz(0, "--seconds", "1", "--keep", "sound")
        kept = self.files("corpus", "fuzz_sound")
        self.assertGreater(len(kept), 0)
        # By edges alone these are fewer than by counters; what stays reaches more by counters than these.
        self.assertLess(len(kept), before)
        # What reaches no more than is committed goes, and is not committed again.
        count, _ = sound.prune()
        shutil.copy(kept[0], os.path.join(sound.corpus, "again"))
        again, trouble = sound.prune()
        self.assertLessEqual(again, count)
        self.assertEqual(trouble, "")
        self.assertEqual((sound.keep(), self.files("corpus", "fuzz_sound")), ("", kept))
        self.assertNotIn(os.path.join(sound.corpus, "again"), targets.files_of(sound.corpus))

    def test_keep_keeps_the_account(self):
        self.fuzz(0, "--seconds", "1", "--keep", "sound")
        committed = os.path.join(self.tree, "fuzz", "account.json")
        with open(committed, encoding="utf-8") as file:
            kept = json.load(file)["fuzz_sound"]
        self.assertEqual({**kept, "base": accounts.sums_of(kept)}, self.account("fuzz_sound"))
        with open(os.path.join(self.tree, "docs", "verification.md"), encoding="utf-8") as file:
            self.assertIn("| `fuzz_sound` | 0 h 00 min 0", file.read())
        # Another clone goes on from it.
        shutil.rmtree(os.path.join(self.work, "corpus"))
        os.remove(os.path.join(self.work, "account.json"))
        self.fuzz(0, "--seconds", "1", "sound")
        self.assertEqual(self.account("fuzz_sound")["runs"], 2)
        # Its own sum, which is more, is not taken back by what is committed.
        self.fuzz(0, "--seconds", "1", "sound")
        self.assertEqual(self.account("fuzz_sound")["runs"], 3)

    def test_is_left_as_it_was_by_a_failing_merge(self):
        binary = self.write("#!/bin/sh\nexit 7\n", "build", "fuzz", "bin", "fuzz_two")
        os.chmod(binary, 0o755)
        two = targets.Target("fuzz_two", self.tree, os.path.dirname(binary), self.work)
        self.write("input", "build", "fuzz", "corpus", "fuzz_two", "input")
        self.assertEqual(two.prune(), (1, "not minimised: the merge ended with status 7"))

    def test_report_has_the_account_alone(self):
        page = self.write("# Head\n\n<!-- fuzz:begin -->\nstale\n<!-- fuzz:end -->\n\ntail\n", "docs",
                          "verification.md")
        self.fuzz(2, "--report")
        self.fuzz(0, "--seconds", "1", "sound")
        self.fuzz(0, "--report")
        with open(page, encoding="utf-8") as file:
            text = file.read()
        self.assertTrue(text.startswith("# Head\n\n<!-- fuzz:begin -->\n") and text.endswith("end -->\n\ntail\n"), text)
        self.assertNotIn("stale", text)
        entry = self.account("fuzz_sound")
        self.assertIn(f"| `fuzz_sound` | 0 h 00 min 0{int(entry['seconds'])} s | {entry['executions']:,} | ", text)
        # What ci/explore writes keeps it, and is kept.
        results = self.write(json.dumps(self.EXPLORED), "results.json")
        subprocess.run([sys.executable, "-B", os.path.join(SOURCE, "ci", "explore_page.py"), results, page], check=True)
        self.fuzz(0, "--report")
        with open(page, encoding="utf-8") as file:
            text = file.read()
        self.assertIn("What is broken on purpose", text.split("<!-- fuzz:begin -->\n## Fuzzing\n")[0])
        self.assertEqual(text.count("| `fuzz_sound` | "), 1)
        os.remove(page)
        self.fuzz(0, "--report")
        with open(page, encoding="utf-8") as file:
            text = file.read()
        self.assertTrue(text.startswith("<!-- fuzz:begin -->\n## Fuzzing\n"), text)
        other = os.path.join(self.tree, "docs", "other.md")
        self.fuzz(0, "--report", "docs/other.md")
        self.fuzz(0, "--report", "docs/other.md")
        with open(other, encoding="utf-8") as file:
            self.assertEqual(file.read().count("fuzz_sound"), 1)

    def test_an_interrupt_saves_what_was_done(self):
        with subprocess.Popen(self.command("--seconds", "60", "sound"), stdout=subprocess.PIPE, text=True,
                              start_new_session=True) as process:
            time.sleep(3)
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130, output)
        self.assertIn("interrupted", output)
        entry = self.account("fuzz_sound")
        self.assertGreater(entry["seconds"], 0)
        self.assertGreater(entry["executions"], 0)
        running = map(program_of, glob.glob("/proc/[0-9]*"))
        self.assertEqual([path for path in running if path.startswith(self.work)], [])

    def test_usage(self):
        self.assertEqual(self.fuzz(0, "--list").split(), sorted(os.listdir(self.binaries)))
        self.assertIn("no such target: fuzz_nonsense; there are: fuzz_crash", self.fuzz(2, "nonsense"))
        self.assertIn("must be at least 1", self.fuzz(2, "--seconds", "0"))


class Account(unittest.TestCase):
    """Sums over sessions and clones."""

    A, B = ({"what": f"a: {name}", "bug": name, "input": name} for name in "AB")

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "build", "account.json")
        self.committed = os.path.join(folder.name, "fuzz", "account.json")

    def open(self):
        return accounts.Account(self.path, self.committed)

    def commit(self, **changed):
        os.makedirs(os.path.dirname(self.committed), exist_ok=True)
        accounts.write(self.committed, {"x": {**accounts.EMPTY, **changed}})

    def assert_sums(self, runs, seconds, executions):
        self.assertEqual(accounts.sums_of(self.open().of("x")),
                         {"runs": runs, "seconds": seconds, "executions": executions})

    def test_sessions_add_up(self):
        one, other = self.open(), self.open()
        one.add("x", {"runs": 1, "seconds": 5}, {"edges": 3})
        other.add("y", {"runs": 1, "seconds": 1}, {})
        other.add("x", {"runs": 1, "seconds": 2, "executions": 9}, {})
        one.add_crashes("x", [self.A])
        other.add_crashes("x", [self.B, self.A])
        self.assert_sums(2, 7, 9)
        self.assertEqual((self.open().of("x")["edges"], self.open().of("x")["crashes"]), (3, [self.A, self.B]))
        self.assertEqual(self.open().of("y")["seconds"], 1)

    def test_sessions_lock(self):
        script = ("import sys; sys.path.insert(0, sys.argv[1]); import account; a = account.Account(*sys.argv[2:])\n"
                  "for _ in range(100): a.add('x', {'runs': 1}, {})")
        folder = os.path.join(SOURCE, "ci", "fuzzing")
        sessions = [subprocess.Popen([sys.executable, "-B", "-c", script, folder, self.path, self.committed])
                    for _ in range(2)]
        self.assertEqual([session.wait() for session in sessions], [0, 0])
        self.assert_sums(200, 0, 0)

    def test_clones_add_up(self):
        self.commit(runs=2, seconds=10.5, executions=100, edges=7, crashes=[self.A])
        account = self.open()
        self.assert_sums(2, 10.5, 100)
        account.add("x", {"runs": 1, "seconds": 1.25, "executions": 10}, {"edges": 8})
        account.add_crashes("x", [self.B])
        # Another clone's commit comes in.
        self.commit(runs=4, seconds=30.5, executions=300, edges=9, crashes=[{**self.A, "bug": "C"}])
        self.assert_sums(5, 31.75, 310)
        entry = self.open().of("x")
        self.assertEqual(entry["edges"], 8)
        self.assertEqual([crash["bug"] for crash in entry["crashes"]], ["C", "A", "B"])
        # What was committed is not one's own any more.
        self.open().keep()
        self.assert_sums(5, 31.75, 310)
        self.commit(runs=6, seconds=40, executions=400)
        self.assert_sums(6, 40, 400)

    def test_what_is_committed_stays(self):
        self.commit(runs=2, seconds=0.1 + 0.2, executions=100)
        content = crash.content_of(self.committed)
        self.open().keep()
        self.open().keep()
        self.assertEqual(crash.content_of(self.committed), content)

    def test_without_a_base(self):
        """As accounts were written that were one clone's: the committed one is a part of it, or the other way round."""
        self.commit(runs=2, seconds=10, executions=100)
        os.makedirs(os.path.dirname(self.path))
        accounts.write(self.path, {"x": {**accounts.EMPTY, "runs": 3, "seconds": 12, "executions": 110}})
        self.assert_sums(3, 12, 110)
        accounts.write(self.path, {"x": {**accounts.EMPTY, "runs": 1, "seconds": 5, "crashes": [self.A]}})
        self.assert_sums(2, 10, 100)
        self.assertEqual(self.open().of("x")["crashes"], [self.A])


class Speed(unittest.TestCase):
    """What a target says of its speed, beside what it is meant to reach."""

    def test_is_measured(self):
        with tempfile.TemporaryDirectory() as tree:
            for number, (target, preset, *_) in enumerate(speed.CASES, 1):
                binary = os.path.join(tree, "build", preset, "bin", target)
                os.makedirs(os.path.dirname(binary), exist_ok=True)
                with open(binary, "w", encoding="utf-8") as file:
                    file.write(f'#!/bin/sh\necho "$0 $*: {number}000 executions per second of the processor"\n')
                os.chmod(binary, 0o755)
            self.assertEqual(speed.measure(tree, *speed.CASES[0][:3]), 2000)  # the second case is the same program
            self.assertEqual([len(case) for case in speed.measure_all(tree)], [speed.ROUNDS] * len(speed.CASES))

    def test_is_told(self):
        rates = [[goal - 3, goal, goal - 2] if number else [1000, 2000, goal // 2]
                 for number, (*_, goal) in enumerate(speed.CASES)]
        first, *others = speed.section(rates).splitlines()[-len(rates):]
        self.assertTrue(first.endswith("| 50% |") and "| 2,000 |" in first, first)
        self.assertTrue(all(line.endswith("| yes |") for line in others), others)


class Night(unittest.TestCase):
    """The nightly workflow."""

    OTHER_MINUTES = 60  # to install, to build, to triage and to merge

    def setUp(self):
        with open(os.path.join(SOURCE, ".github", "workflows", "nightly.yml"), encoding="utf-8") as file:
            self.text = file.read()

    def test_is_long_enough(self):
        count = len(glob.glob(os.path.join(SOURCE, "fuzz", "fuzz_*.c")))
        seconds = int(re.search(r"command: ci/fuzz --seconds (\d+)$", self.text, re.M).group(1))
        job, *steps = map(int, re.findall(r"^ +timeout-minutes: (\d+)$", self.text, re.M))
        needed = seconds / 60 * ((count + 1) // 2) + self.OTHER_MINUTES
        self.assertLessEqual(needed, min([job, *steps]))
        self.assertTrue(steps and max(steps) < job, "nothing is left for saving")

    def test_saves_what_was_found(self):
        steps = re.split(r"^      - ", self.text, flags=re.M)
        saved = [step for step in steps if "uses: actions/cache/save@" in step]
        self.assertEqual(len(saved), 1)
        self.assertIn("if: always()", saved[0])
        restored = next(step for step in steps if "uses: actions/cache/restore@" in step)
        for path in ("build/fuzz/corpus", "build/fuzz/account.json"):
            self.assertIn(f" {path}\n", saved[0])
            self.assertIn(f" {path}\n", restored)
        reports = next(step for step in steps if "uses: actions/upload-artifact@" in step)
        self.assertIn("if: always()", reports)
        self.assertIn("build/fuzz/crashes\n", reports)

    def test_looks_at_coverage(self):
        self.assertRegex(self.text, r"command: ci/fuzz --coverage\n")


class Coverage(Tree):
    targets = {}
    SOURCE = """
#define BETWEEN(x, low, high) ((x) > (low) && (x) < (high))
static int inner(int x) { return BETWEEN(x, 1, 9) ? 1 : 0; }
int main(int count, char **words)
{
    (void)words;
    if (count > 7)
        return inner(count);
    return BETWEEN(count, 0, 5) ? 0 : 1;
}
"""

    def test_names_each_side(self):
        source = os.path.realpath(self.write(self.SOURCE, "source.c"))
        binary, raw, profile = (os.path.join(self.tree, name) for name in ("binary", "raw", "profile"))
        subprocess.run(["clang", "-fprofile-instr-generate", "-fcoverage-mapping", source, "-o", binary], check=True)
        subprocess.run([binary], env={**os.environ, "LLVM_PROFILE_FILE": raw}, check=True)
        subprocess.run(["llvm-profdata", "merge", "-o", profile, raw], check=True)
        exported = subprocess.run(["llvm-cov", "export", binary, f"-instr-profile={profile}"], stdout=subprocess.PIPE,
                                  check=True).stdout
        sides, lines = branches.read(exported)
        self.assertEqual(lines, (5, 7))
        place = (source, 9, 12, "main")
        self.assertEqual(sides[(source, 7, 9, "main", (), "true")], 0)
        self.assertEqual(sides[(source, 7, 9, "main", (), "false")], 1)
        in_macro = sorted((inner, side, count) for (*where, inner, side), count in sides.items()
                          if tuple(where) == place and inner)
        self.assertEqual([(side, count) for _, side, count in in_macro],
                         [("false", 0), ("true", 1), ("false", 0), ("true", 1)])
        self.assertEqual(list(branches.unreached(sides, os.path.realpath(self.tree))), [
            f"source.c:{line}" for line in (
                "3:34: inner: not evaluated: static int inner(int x) { return BETWEEN(x, 1, 9) ? 1 : 0; }",
                "3:34: inner: not evaluated: static int inner(int x) { return BETWEEN(x, 1, 9) ? 1 : 0; }",
                "7:9: main: never true: if (count > 7)",
                "9:12: main: never false: return BETWEEN(count, 0, 5) ? 0 : 1;",
                "9:12: main: never false: return BETWEEN(count, 0, 5) ? 0 : 1;")])

    def test_gaps_are_explained(self):
        known = self.write("# Head\n\n[death] It is\n    one.\nsrc/a.c: f: never true (2): if (dead)\n[open] Not yet.\n"
                           "src/a.c: f: never false: if (odd)\n", "unreached.txt")
        self.assertEqual(branches.explained(known), ({"death": "It is one.", "open": "Not yet."}, {
            "src/a.c: f: never true: if (dead)": ("death", 2), "src/a.c: f: never false: if (odd)": ("open", 1)}))
        found = ["src/a.c:1:2: f: never true: if (dead)", "src/a.c:9:2: f: never true: if (dead)",
                 "src/a.c:3:4: f: not evaluated: a ? b : c"]
        self.assertEqual(branches.compare(found, known), ({"death": 2}, ["src/a.c: f: not evaluated: a ? b : c"],
                                                          ["src/a.c: f: never false: if (odd)"]))
        self.write("src/a.c: f: never true: if (dead)\n", "unreached.txt")
        self.assertRaises(ValueError, branches.explained, known)

    def test_a_gap_stands_for_itself(self):
        """Not for the same source in another function, nor for one more in this."""
        known = self.write("[death] It is one.\nsrc/a.c: f: never true (2): if (dead)\n", "unreached.txt")
        lines = [f"src/a.c:{line}:2: f: never true: if (dead)" for line in range(3)]
        self.assertEqual(branches.compare(lines[:2], known), ({"death": 2}, [], []))
        self.assertEqual(branches.compare(lines, known), ({"death": 2}, ["src/a.c: f: never true (3): if (dead)"], []))
        self.assertEqual(branches.compare(lines[:1], known),
                         ({"death": 1}, [], ["src/a.c: f: never true (2): if (dead)"]))
        other = "src/a.c:9:2: g: never true: if (dead)"
        self.assertEqual(branches.compare([*lines[:2], other], known),
                         ({"death": 2}, ["src/a.c: g: never true: if (dead)"], []))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
