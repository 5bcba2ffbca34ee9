"""What became of a crash: the input minimised, as a program that can be read, with its stack and one command."""
import hashlib
import os
import re
import shutil
import subprocess

REPLAY_SECONDS = 60
TRIES = 3
FRAME = re.compile(r"^\s+#\d+ .*$")
# What says best what is wrong, best first: the target, a sanitizer, the allocator, the engine.
WORDS = [re.compile(pattern, re.M) for pattern in (
    r"^fuzz_\w+: .*$", r"^SUMMARY: (?!libFuzzer).*$", r"^heapster: .*$", r"^SUMMARY: .*$")]
# What stands below the target in every stack.
ENGINE = re.compile(r" in (?:fuzzer::|main |__libc_start|_start |_start$)")


def capture(command, seconds):
    """Status and output; the status is None if it took too long."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                              timeout=seconds, start_new_session=True, check=False)
        return done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as expired:
        return None, (expired.stdout or b"").decode(errors="replace")


def signature(output):
    """What tells one bug from another, without addresses."""
    said = next((found for found in (words.search(output) for words in WORDS) if found), None)
    return re.sub(r"0x[0-9a-f]+", "", said.group(0)).strip() if said else "ended without a word"


def stack(output):
    """The first stack of the output, without the engine's part."""
    frames = []
    for line in output.splitlines():
        if FRAME.match(line):
            frames.append(line)
        elif frames:
            break
    return [line for line in frames if not ENGINE.search(line)]


def replay(target, path):
    """Output of the first run in which the input alone fails; None if none does."""
    for _ in range(TRIES):
        status, output = capture([target.binary, path], REPLAY_SECONDS)
        if status != 0:
            return output if status is not None else output + f"\nSUMMARY: still running after {REPLAY_SECONDS} s"
    return None


def minimise(target, path, output, seconds):
    """A smaller input that fails in the same way, else the input itself."""
    smaller = path + ".smaller"
    capture([target.binary, "-minimize_crash=1", f"-max_total_time={seconds}", f"-exact_artifact_path={smaller}",
             *target.options(), path], seconds + REPLAY_SECONDS)
    if not os.path.exists(smaller):
        return path, output
    new_output = replay(target, smaller)
    if (new_output is None or signature(new_output) != signature(output) or
            os.path.getsize(smaller) >= os.path.getsize(path)):
        os.remove(smaller)
        return path, output
    with open(smaller, "rb") as file:
        name = f"minimised-{hashlib.sha1(file.read()).hexdigest()}"
    minimised = os.path.join(os.path.dirname(path), name)
    os.replace(smaller, minimised)
    return minimised, new_output


def program(target, path):
    """The input as the target's printer shows it."""
    status, output = capture([target.binary, "--print", path], REPLAY_SECONDS)
    if status != 0 or not output.strip():
        return f"(no program: {target.name} --print ended with status {status})"
    return output.rstrip("\n")


def shown(path, tree):
    """The path as typed from the tree's folder."""
    relative = os.path.relpath(path, tree)
    return path if relative.startswith("..") else relative


def bytes_of(path):
    with open(path, "rb") as file:
        return file.read().hex(" ")


def triage(target, run, minimise_seconds, keep):
    """The lines to print, and the crash for the account."""
    path = run.artifact()
    if path is None:
        tail = "\n".join(run.text().splitlines()[-20:])
        return [f"{target.name}: ended with status {run.process.returncode} and left no input", tail], {
            "what": signature(run.text()), "input": None}
    output = replay(target, path)
    if output is None:
        lines = [f"target:    {target.name}", f"input:     {shown(path, target.tree)}",
                 f"what:      {signature(run.text())}",
                 f"NOT reproduced by the input alone in {TRIES} runs: something outlives an input. The run again:",
                 f"reproduce: {' '.join(shown(word, target.tree) for word in run.arguments)}", *stack(run.text())]
        return lines, {"what": signature(run.text()), "input": os.path.basename(path)}
    before = os.path.getsize(path)
    path, output = minimise(target, path, output, minimise_seconds)
    if keep:
        with open(path, "rb") as file:
            name = hashlib.sha1(file.read()).hexdigest()
        os.makedirs(target.regressions, exist_ok=True)
        path = shutil.copy(path, os.path.join(target.regressions, name))
    lines = [f"target:    {target.name}",
             f"input:     {shown(path, target.tree)} ({os.path.getsize(path)} bytes, found with {before})",
             f"what:      {signature(output)}",
             f"reproduce: {shown(target.binary, target.tree)} {shown(path, target.tree)}",
             "program:", *(f"    {line}" for line in program(target, path).splitlines()),
             "stack:", *(stack(output) or ["    (none)"])]
    if os.path.getsize(path) <= 256:
        lines.append(f"bytes:     {bytes_of(path)}")
    return lines, {"what": signature(output), "input": os.path.basename(path)}
