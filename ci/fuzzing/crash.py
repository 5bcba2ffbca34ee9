"""What became of a crash: the input minimised, as a program that can be read, with its stack and one command.

A crash is in the account, and with --keep in the regressions, before any of this begins: it takes minutes, and may be
interrupted."""
import contextlib
import hashlib
import os
import re
import shlex
import shutil
import time

from children import capture
from target import files_of, shown

REPLAY_SECONDS = 60
TRIES = 3
REPEATS = 10000
HISTORY_SECONDS = 60
FRAME = re.compile(r"^\s+#\d+ .*$")
# What says best what is wrong, best first: the target, a sanitizer, the allocator, the engine.
WORDS = [re.compile(pattern, re.M) for pattern in (
    r"^fuzz_\w+: .*$", r"^SUMMARY: (?!libFuzzer).*$", r"^heapster: .*$", r"^SUMMARY: .*$")]
# The engine below the target, and how a process aborts above it, which stand in every stack.
NOISE = re.compile(r" in (?:fuzzer::|main |__libc_start|_start|__sanitizer_print_stack_trace|__pthread_kill|raise |"
                   r"gsignal |abort )")


def words(output):
    """The line that says what is wrong."""
    said = next((found for found in (pattern.search(output) for pattern in WORDS) if found), None)
    return said.group(0).strip() if said else "ended without a word"


def signature(output):
    """What tells one bug from another: the words, whatever the addresses and numbers."""
    return re.sub(r"0x[0-9a-f]+|\d+", "N", words(output))


def stack(output):
    """The first stack of the output, of the target and the allocator alone."""
    frames = []
    for line in output.splitlines():
        if FRAME.match(line):
            frames.append(line)
        elif frames:
            break
    return [line for line in frames if " in " in line and not NOISE.search(line)]


def fails(command, seconds=REPLAY_SECONDS):
    """Output of the command if it fails, else None."""
    status, output = capture(command, seconds)
    if status is None:
        return output + f"\nSUMMARY: still running after {seconds} s"
    return output if status != 0 else None


def replay(target, path):
    """Output of the first run in which the input alone fails; None if none does."""
    return next((output for output in (fails([target.binary, path]) for _ in range(TRIES)) if output is not None), None)


class History:
    """What has to go before an input that does not fail alone: itself, many times, or other inputs."""

    def __init__(self, target, path):
        self.target = target
        self.path = path
        self.times = 1
        self.before = []
        self.end = time.monotonic() + HISTORY_SECONDS

    def run(self, before, path, times):
        flags = [f"-runs={times}"] if times > 1 else []
        return fails([self.target.binary, *flags, *before, path])

    def find(self, expected):
        """True if there is a history after which the input fails as it did; the shortest that was found."""
        if self.same([], self.path, expected, REPEATS):
            self.times = REPEATS
            while self.times > 2 and time.monotonic() < self.end and self.same([], self.path, expected, self.times // 2):
                self.times //= 2
            return True
        known = [path for folder in (*self.target.seeds(), self.target.corpus) for path in files_of(folder)]
        known.sort(key=os.path.getmtime)
        if not self.same(known, self.path, expected):
            return False
        self.before = without_needless(known, lambda rest: self.same(rest, self.path, expected), self.end)
        return True

    def same(self, before, path, expected, times=1):
        output = self.run(before, path, times)
        return output is not None and signature(output) == expected

    def shrink(self, expected, seconds):
        """Makes the last input smaller, byte by byte, and puts all of it into a folder."""
        end = time.monotonic() + seconds
        smaller = self.path + ".smaller"

        def still(content):
            write(smaller, bytes(content))
            return self.same(self.before, smaller, expected, self.times)

        content = bytes(without_needless(list(content_of(self.path)), still, end))
        with contextlib.suppress(FileNotFoundError):
            os.remove(smaller)
        self.move_to(os.path.dirname(self.path), [*map(content_of, self.before), content])

    def move_to(self, parent, contents):
        """The folder is named by what is in it; its files by their order, and the last by how often it comes."""
        folder = os.path.join(parent, f"history-{digest(b''.join(map(hashed, contents)))}")
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        names = [str(number) for number in range(1, len(contents) + 1)]
        if self.times > 1:
            names[-1] += f"x{self.times}"
        paths = [write(os.path.join(folder, name), content) for name, content in zip(names, contents)]
        self.before, self.path = paths[:-1], paths[-1]

    def keep(self):
        """Copies the folder to the regressions, which the tests replay folder by folder."""
        kept = self.target.regressions
        os.makedirs(kept, exist_ok=True)
        folder = os.path.dirname(self.path)
        kept = shutil.copytree(folder, os.path.join(kept, os.path.basename(folder)), dirs_exist_ok=True)
        self.before, self.path = ([os.path.join(kept, os.path.basename(path)) for path in self.before],
                                  os.path.join(kept, os.path.basename(self.path)))

    def arguments(self):
        """Those of the command that reproduces it."""
        return [*([f"-runs={self.times}"] if self.times > 1 else []), *self.before, self.path]


def without_needless(parts, still, end):
    """The parts without those that can go while it still holds, by ever smaller pieces, until the time is over."""
    piece = len(parts) // 2
    while piece > 0 and time.monotonic() < end:
        at = 0
        while at < len(parts) and time.monotonic() < end:
            rest = parts[:at] + parts[at + piece:]
            if still(rest):
                parts = rest
            else:
                at += piece
        piece //= 2
    return parts


def hashed(content):
    return hashlib.sha1(content).digest()


def digest(content):
    return hashed(content).hex()


def content_of(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)
    return path


def minimise(target, path, output, seconds):
    """(the input, its output, another): a smaller input that fails in the same way, else the input itself; and, if
    minimising came to an input that fails in other words, which is another bug, that one with its output."""
    smaller = path + ".smaller"
    target.call(["-minimize_crash=1", f"-max_total_time={seconds}", f"-exact_artifact_path={smaller}",
                 *target.options(), path], seconds + REPLAY_SECONDS)
    if not os.path.exists(smaller):
        return path, output, None
    new_output = replay(target, smaller)
    if new_output is not None and signature(new_output) != signature(output):
        return path, output, (named(smaller, "another"), new_output)
    if new_output is None or os.path.getsize(smaller) >= os.path.getsize(path):
        os.remove(smaller)
        return path, output, None
    return named(smaller, "minimised"), new_output, None


def named(path, word):
    """The file, renamed by a word and what is in it."""
    name = os.path.join(os.path.dirname(path), f"{word}-{digest(content_of(path))}")
    os.replace(path, name)
    return name


def program(target, path):
    """The input as the target's printer shows it."""
    status, output = capture([target.binary, "--print", path], REPLAY_SECONDS)
    if status != 0 or not output.strip():
        return f"(no program: {target.name} --print ended with status {status})"
    return output.rstrip("\n")


def command_of(target, arguments):
    """As typed from the tree's folder."""
    return shlex.join(shown(word, target.tree) for word in arguments)


def found_by(run):
    """A crash for the account, by what the run said and left, before anything is made of it."""
    return account(run.text(), run.artifact())


def keep(target, path):
    """The input as a file of the regressions; whether it is a new one."""
    kept = os.path.join(target.regressions, digest(content_of(path)))
    is_new = not os.path.exists(kept)
    if is_new:
        os.makedirs(target.regressions, exist_ok=True)
        shutil.copy(path, kept)
    return kept, is_new


class Triage:
    """What is made of a crash: lines to print, and one for the account, or more where minimising met others."""

    def __init__(self, target, run, seconds, is_kept):
        self.target = target
        self.run = run
        self.seconds = seconds
        self.is_kept = is_kept
        self.log = run.text()
        self.lines = []
        self.crashes = []

    def do(self):
        path = self.run.artifact()
        if path is None:
            self.lines = [f"{self.target.name}: ended with status {self.run.status} and left no input",
                          *self.log.splitlines()[-20:]]
            self.crashes = [account(self.log, None)]
            return
        output = replay(self.target, path)
        if output is not None:
            self.alone(path, output)
            return
        history = History(self.target, path)
        if history.find(signature(self.log)):
            self.after(history, os.path.getsize(path))
        else:
            self.unrepeatable(path)

    def alone(self, found, output):
        """The input fails without anything before it."""
        path, output, another = minimise(self.target, found, output, self.seconds)
        self.tell_alone(path, output, f", found with {os.path.getsize(found)}", [])
        if another:
            self.tell_alone(*another, "", ["note:      met while the one above was minimised; it is another bug"])

    def tell_alone(self, path, output, was, note):
        if self.is_kept:
            path, _ = keep(self.target, path)
        self.tell(path, was, output, [path], note)

    def after(self, history, before):
        history.shrink(signature(self.log), self.seconds)
        output = history.run(history.before, history.path, history.times) or self.log
        if self.is_kept:
            history.keep()
        self.tell(history.path, f", found with {before}", output, history.arguments(),
                  ["note:      the input alone does not fail; what goes before it is in the command"])

    def unrepeatable(self, path):
        if self.is_kept:
            path, _ = keep(self.target, path)
        self.lines += [
            f"target:    {self.target.name}", f"input:     {shown(path, self.target.tree)}",
            f"what:      {words(self.log)}",
            f"NOT reproduced by the input alone in {TRIES} runs, nor {REPEATS} times over, nor after the corpus.",
            f"The same run again: {command_of(self.target, self.run.arguments)}", *shape(self.target, path, self.log)]
        self.crashes.append(account(self.log, path))

    def tell(self, path, was, output, arguments, note):
        self.lines += [
            f"target:    {self.target.name}",
            f"input:     {shown(path, self.target.tree)} ({os.path.getsize(path)} bytes{was})",
            f"what:      {words(output)}", *note,
            f"reproduce: {command_of(self.target, [self.target.binary, *arguments])}",
            *shape(self.target, path, output)]
        if os.path.getsize(path) <= 256:
            self.lines.append(f"bytes:     {content_of(path).hex(' ')}")
        self.crashes.append(account(output, path))


def shape(target, path, output):
    """The lines with the input as a program, and with the stack."""
    return ["program:", *(f"    {line}" for line in program(target, path).splitlines()),
            "stack:", *(stack(output) or ["    (none)"])]


def account(output, path):
    """For a history the name of its folder stands before that of its last input."""
    folder = path and os.path.basename(os.path.dirname(path))
    name = path and os.path.basename(path)
    return {"what": words(output), "bug": signature(output),
            "input": f"{folder}/{name}" if path and folder.startswith("history-") else name}
