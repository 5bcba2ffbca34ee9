"""One command in a process of its own, through `heapster-bench child`: how it ended, and what it used."""
import hashlib
import json
import os
import signal
import subprocess

# How a line of Heapster's begins: an option that it does not know, which leaves a variant without its effect.
COMPLAINT = "heapster: "
# What a command is given of the surroundings; nothing there can change an allocator.
KEPT = ("PATH", "HOME", "TMPDIR", "USER")


class Failure(Exception):
    """The command crashed, ran out of time, or said something else than it should; the text says which."""


class Surroundings:
    """The program that starts commands, a folder for their files, and the most that one of them may take."""

    def __init__(self, bench, folder, seconds):
        self.bench = bench
        self.folder = folder
        self.seconds = seconds

    def path(self, name):
        return os.path.join(self.folder, name)


def clean_environment(more):
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**environment, "LC_ALL": "C", **more}


def run(surroundings, command, library=None, environment=None):
    """What the command used, with its standard output in the file `output`; Failure where it did not end well."""
    output, errors = surroundings.path("output"), surroundings.path("errors")
    launcher = [surroundings.bench, "child", "--seconds", str(surroundings.seconds), "--output", output,
                "--errors", errors]
    if library is not None:
        launcher += ["--preload", library]
    result = subprocess.run(launcher + ["--"] + command, cwd=surroundings.folder, check=True, stdout=subprocess.PIPE,
                            stdin=subprocess.DEVNULL, env=clean_environment(environment or {}))
    used = json.loads(result.stdout)
    if used["ended"] != "exit" or used["code"] != 0:
        raise Failure(describe(used, errors, surroundings.seconds))
    complaints = [line for line in lines_of(errors) if line.startswith(COMPLAINT)]
    if complaints:
        raise Failure(complaints[0])
    used["output"] = output
    used["cpu_seconds"] = used["user_seconds"] + used["system_seconds"]
    return used


def lines_of(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return [line.strip() for line in file if line.strip()]


def describe(used, errors, seconds):
    lines = lines_of(errors)
    last = f": {lines[-1][:200]}" if lines else ""
    if used["ended"] == "timeout":
        return f"took more than {seconds} s"
    if used["ended"] == "signal":
        return f"ended by {signal.Signals(used['code']).name}{last}"
    return f"ended with status {used['code']}{last}"


def last_line(path):
    """The last line of a file as JSON; Failure where there is none."""
    try:
        return json.loads(lines_of(path)[-1])
    except (IndexError, ValueError) as error:
        raise Failure(f"printed no result: {error}") from error


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
