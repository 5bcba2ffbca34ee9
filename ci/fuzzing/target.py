"""A fuzz target as it lies in the tree: binary, options, dictionary, corpora; and what libFuzzer says of a run."""
import configparser
import glob
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from children import capture

MERGE_SECONDS = 300
# A run that is measured by the processor ends by the clock, too: a fuzzer that waits for ever is no fuzzer.
WAITING_MOST = 20
STOP_SECONDS = 10
TAIL_BYTES = 1 << 16
INTERRUPTED = 72  # how libFuzzer ends on an interrupt
STATUS = re.compile(r"^#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)/\S+ .*?exec/s: (\d+)", re.M)
EXECUTED = re.compile(r"^stat::number_of_executed_units:\s+(\d+)", re.M)
ARTIFACT = re.compile(r"Test unit written to (.+)$", re.M)


class Target:
    """One of the tree's fuzzers, whose new inputs, logs and crashes go to the folder of work."""

    def __init__(self, name, tree, binaries, work):
        self.name = name
        self.tree = tree
        self.binary = os.path.join(binaries, name)
        self.committed = os.path.join(tree, "fuzz", "corpus", name)
        self.regressions = os.path.join(tree, "fuzz", "regressions", name)
        self.corpus = os.path.join(work, "corpus", name)
        self.crashes = os.path.join(work, "crashes", name)
        self.log = os.path.join(work, "logs", f"{name}.log")
        for folder in (self.corpus, self.crashes, os.path.dirname(self.log)):
            os.makedirs(folder, exist_ok=True)

    def options(self):
        """Flags of libFuzzer from the target's options file; its dictionary, if there is one."""
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(os.path.join(self.tree, "fuzz", f"{self.name}.options"), encoding="utf-8")
        flags = dict(parser["libfuzzer"]) if parser.has_section("libfuzzer") else {}
        named = flags.pop("dict", f"{self.name}.dict")
        dictionary = os.path.join(self.tree, "fuzz", named)
        if os.path.exists(dictionary):
            flags["dict"] = dictionary
        return [f"-{name}={value}" for name, value in sorted(flags.items())]

    def seeds(self):
        """Folders with inputs that are only read."""
        return [folder for folder in (self.committed, self.regressions) if files_of(folder)]

    def command(self, seconds, seed):
        return [self.binary, f"-max_total_time={seconds}", f"-seed={seed}", "-print_final_stats=1",
                f"-artifact_prefix={self.crashes}/", *self.options(), self.corpus, *self.seeds()]

    def prune(self):
        """Leaves in the working corpus what reaches something that the committed corpus does not: how many these are,
        and what went wrong.

        libFuzzer's merge adds to a copy of what is committed, so that the copy's new files are the answer. A merge
        that does not end well changes nothing."""
        merged = self.corpus + ".merged"
        shutil.rmtree(merged, ignore_errors=True)
        os.makedirs(merged)
        try:
            for folder in self.seeds():
                for path in files_of(folder):
                    shutil.copy(path, merged)
            known = set(os.listdir(merged))
            trouble = self.merge_into(merged)  # by counters: how often an edge was taken, too
            if not trouble:
                self.replace_corpus([path for path in files_of(merged) if os.path.basename(path) not in known])
        finally:
            shutil.rmtree(merged)
        return len(files_of(self.corpus)), trouble

    def replace_corpus(self, paths):
        """Moves these files there before any other goes: at no time is an input nowhere."""
        before = files_of(self.corpus)
        kept = {shutil.move(path, os.path.join(self.corpus, os.path.basename(path))) for path in paths}
        for path in before:
            if path not in kept:
                os.remove(path)

    def merge_into(self, folder, *flags):
        """Adds to the folder what the working corpus reaches beyond it; what went wrong, if anything."""
        # Inputs that crash are passed over, and their artifacts are not wanted.
        with tempfile.TemporaryDirectory() as artifacts:
            status, _ = self.call(["-merge=1", f"-artifact_prefix={artifacts}/", *self.options(), *flags, folder,
                                   self.corpus], MERGE_SECONDS)
        if status is None:
            return f"not minimised: the merge took more than {MERGE_SECONDS} s"
        return f"not minimised: the merge ended with status {status}" if status else ""

    def call(self, arguments, seconds):
        """Status and output of the binary, called in the tree's folder with paths from there: libFuzzer starts its
        children through a shell without quoting, and the tree may lie where a name has a space."""
        return capture([shown(word, self.tree) for word in (self.binary, *arguments)], seconds, self.tree)

    def keep(self):
        """Adds to the committed corpus what reaches edges that nothing there does; what went wrong, if anything.

        How often an edge is taken does not count there: what is committed is to be small, and to be replayed often."""
        os.makedirs(self.committed, exist_ok=True)
        return self.merge_into(self.committed, "-use_counters=0")


def processor_seconds(pid):
    """What a process that runs, or has not been waited for, took of the processors; 0 if there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # Its name stands in parentheses, whatever is in it; user and system time are fields 14 and 15.
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Run:
    """libFuzzer at work in the background, its words in the target's log.

    It ends after so many seconds of the clock; or, by_processor, of the processor, however long that takes while others
    have it."""

    def __init__(self, target, seconds, seed, by_processor=False):
        self.target = target
        self.seconds = seconds
        self.by_processor = by_processor
        self.used = 0.0
        self.status = None
        self.was_stopped = False
        self.begin = time.monotonic()
        self.arguments = target.command(seconds * (WAITING_MOST if by_processor else 1), seed)
        with open(target.log, "wb") as log:
            # A session of its own: the terminal's interrupt is for the caller, who passes it on.
            self.process = subprocess.Popen(self.arguments, stdout=log, stderr=subprocess.STDOUT,
                                            stdin=subprocess.DEVNULL, start_new_session=True)

    def text(self, most=None):
        """The log; of a long one the end, which has the newest figures."""
        with open(self.target.log, "rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - most) if most else 0)
            return log.read().decode(errors="replace")

    def figures(self):
        """What it last said of itself: executions, edges, features, inputs, executions per second."""
        text = self.text(TAIL_BYTES)
        lines = STATUS.findall(text)
        if not lines:
            return None
        figures = dict(zip(("executions", "edges", "features", "inputs", "rate"), map(int, lines[-1])))
        executed = EXECUTED.search(text)
        if executed:
            figures["executions"] = int(executed.group(1))
        return figures

    def poll(self):
        """The status if it has ended, else None. What it used of the processor is known from here, too: afterwards for
        good, with that of its own children."""
        if self.status is not None:
            return self.status
        ended, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        if ended:
            self.used = usage.ru_utime + usage.ru_stime
            self.status = self.process.returncode = os.waitstatus_to_exitcode(status)
            return self.status
        self.used = max(self.used, processor_seconds(self.process.pid))
        if self.by_processor and self.used >= self.seconds:
            self.process.send_signal(signal.SIGUSR1)  # libFuzzer's own end, with its final figures
        return None

    def elapsed(self):
        """In the seconds that it is measured in."""
        return self.used if self.by_processor else time.monotonic() - self.begin

    def interrupt(self):
        if self.poll() is None:
            self.was_stopped = True
            self.process.send_signal(signal.SIGINT)

    def stop(self, is_late=False):
        """libFuzzer ends cleanly on an interrupt; one that hangs does not. One that is late has failed."""
        self.interrupt()
        self.was_stopped = self.was_stopped and not is_late
        end = time.monotonic() + STOP_SECONDS
        while self.poll() is None:
            if time.monotonic() > end:
                os.killpg(self.process.pid, signal.SIGKILL)
            time.sleep(0.05)

    def crashed(self):
        """True if it ended, and neither well nor because it was told to."""
        told = (0, INTERRUPTED, -signal.SIGKILL) if self.was_stopped else (0,)
        return self.status is not None and self.status not in told

    def artifact(self):
        written = ARTIFACT.findall(self.text())
        return written[-1] if written and os.path.exists(written[-1]) else None


def files_of(folder):
    return sorted(path for path in glob.glob(os.path.join(glob.escape(folder), "*")) if os.path.isfile(path))


def shown(word, tree):
    """A path as typed from the tree's folder, also one that is the value of a flag; anything else is as it is."""
    flag, equals, path = word.partition("=") if word.startswith("-") else ("", "", word)
    if not os.path.isabs(path):
        return word
    relative = os.path.relpath(path, tree)
    if relative.startswith(".."):
        return word
    return flag + equals + (relative + "/" if path.endswith("/") else relative)


def find_targets(tree, binaries, work, chosen):
    """The binaries that belong to a source of the tree; of these the chosen ones, named with fuzz_ or without."""
    names = [os.path.splitext(os.path.basename(path))[0]
             for path in sorted(glob.glob(os.path.join(glob.escape(tree), "fuzz", "fuzz_*.c")))]
    names = [name for name in names if os.access(os.path.join(binaries, name), os.X_OK)]
    if chosen:
        wanted = [name if name.startswith("fuzz_") else f"fuzz_{name}" for name in chosen]
        unknown = [name for name in wanted if name not in names]
        if unknown:
            raise ValueError(f"no such target: {', '.join(unknown)}; there are: {', '.join(names)}")
        names = [name for name in names if name in wanted]
    if not names:
        raise ValueError(f"no fuzzer in {binaries}")
    return [Target(name, tree, binaries, work) for name in names]
