"""What became of a crash: the input minimised, as a program that can be read, with its stack and one command."""
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
        self.flags = []
        self.before = []
        self.end = time.monotonic() + HISTORY_SECONDS

    def run(self, before, path):
        return fails([self.target.binary, *self.flags, *before, path])

    def find(self, expected):
        """True if there is a history after which the input fails as it did; the shortest that was found."""
        self.flags = [f"-runs={REPEATS}"]
        if self.same([], self.path, expected):
            return True
        self.flags = []
        known = [path for folder in (*self.target.seeds(), self.target.corpus) for path in files_of(folder)]
        known.sort(key=os.path.getmtime)
        if not self.same(known, self.path, expected):
            return False
        self.before = without_needless(known, lambda rest: self.same(rest, self.path, expected), self.end)
        return True

    def same(self, before, path, expected):
        output = self.run(before, path)
        return output is not None and signature(output) == expected

    def shrink(self, expected, seconds):
        """Makes the last input smaller, byte by byte, and keeps what goes before in files of its own."""
        end = time.monotonic() + seconds
        smaller = self.path + ".smaller"

        def still(content):
            write(smaller, bytes(content))
            return self.same(self.before, smaller, expected)

        with open(self.path, "rb") as file:
            content = without_needless(list(file.read()), still, end)
        if os.path.exists(smaller):
            os.remove(smaller)
        folder = os.path.dirname(self.path)
        self.path = write(os.path.join(folder, f"minimised-{digest(bytes(content))}"), bytes(content))
        self.before = [shutil.copy(path, f"{self.path}-after-{number}") for number, path in enumerate(self.before, 1)]

    def words(self):
        """The arguments of the command that reproduces it."""
        return [*self.flags, *(shown(path, self.target.tree) for path in (*self.before, self.path))]


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


def digest(content):
    return hashlib.sha1(content).hexdigest()


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)
    return path


def minimise(target, path, output, seconds):
    """A smaller input that fails in the same way, else the input itself."""
    smaller = path + ".smaller"
    target.call(["-minimize_crash=1", f"-max_total_time={seconds}", f"-exact_artifact_path={smaller}",
                 *target.options(), path], seconds + REPLAY_SECONDS)
    if not os.path.exists(smaller):
        return path, output
    new_output = replay(target, smaller)
    if (new_output is None or signature(new_output) != signature(output) or
            os.path.getsize(smaller) >= os.path.getsize(path)):
        os.remove(smaller)
        return path, output
    with open(smaller, "rb") as file:
        minimised = os.path.join(os.path.dirname(path), f"minimised-{digest(file.read())}")
    os.replace(smaller, minimised)
    return minimised, new_output


def program(target, path):
    """The input as the target's printer shows it."""
    status, output = capture([target.binary, "--print", path], REPLAY_SECONDS)
    if status != 0 or not output.strip():
        return f"(no program: {target.name} --print ended with status {status})"
    return output.rstrip("\n")


def command_of(target, arguments):
    """As typed from the tree's folder."""
    return shlex.join(shown(word, target.tree) for word in arguments)


def bytes_of(path):
    with open(path, "rb") as file:
        return file.read().hex(" ")


def triage(target, run, minimise_seconds, keep):
    """The lines to print, and the crash for the account."""
    log = run.text()
    path = run.artifact()
    if path is None:
        return [f"{target.name}: ended with status {run.status} and left no input",
                *log.splitlines()[-20:]], account(log, None)
    before = os.path.getsize(path)
    output = replay(target, path)
    if output is not None:
        path, output = minimise(target, path, output, minimise_seconds)
        arguments, note = [shown(path, target.tree)], []
    else:
        history = History(target, path)
        if not history.find(signature(log)):
            return unrepeatable(target, run, path, log), account(log, path)
        history.shrink(signature(log), minimise_seconds)
        path, output, arguments = history.path, history.run(history.before, history.path) or log, history.words()
        note = ["note:      the input alone does not fail; what goes before it is in the command"]
    if keep:
        with open(path, "rb") as file:
            name = digest(file.read())
        os.makedirs(target.regressions, exist_ok=True)
        path = shutil.copy(path, os.path.join(target.regressions, name))
        arguments[-1] = shown(path, target.tree)
    lines = [f"target:    {target.name}",
             f"input:     {shown(path, target.tree)} ({os.path.getsize(path)} bytes, found with {before})",
             f"what:      {words(output)}", *note,
             f"reproduce: {command_of(target, [target.binary, *arguments])}",
             "program:", *(f"    {line}" for line in program(target, path).splitlines()),
             "stack:", *(stack(output) or ["    (none)"])]
    if os.path.getsize(path) <= 256:
        lines.append(f"bytes:     {bytes_of(path)}")
    return lines, account(output, path)


def unrepeatable(target, run, path, log):
    return [f"target:    {target.name}", f"input:     {shown(path, target.tree)}", f"what:      {words(log)}",
            f"NOT reproduced by the input alone in {TRIES} runs, nor {REPEATS} times over, nor after the corpus.",
            f"The same run again: {command_of(target, run.arguments)}",
            "program:", *(f"    {line}" for line in program(target, path).splitlines()),
            "stack:", *(stack(log) or ["    (none)"])]


def account(output, path):
    return {"what": words(output), "bug": signature(output), "input": path and os.path.basename(path)}
