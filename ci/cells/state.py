"""What is known of the cells of this run, on disk after each, so that an interrupted run goes on where it was."""
import hashlib
import json
import os
import pathlib

IGNORED = {".git", "build", "__pycache__"}


def fingerprint(root):
    """Of all that a run depends on: the content of each file of the project."""
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in IGNORED and not name.startswith("build-"))
        for name in sorted(files):
            path = pathlib.Path(folder, name)
            digest.update(str(path.relative_to(root)).encode())
            if path.is_file():
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


class State:
    """results: by the cell's name, {"status", "seconds", "tests", "skipped", "why", "failed"}."""

    def __init__(self, folder, identity):
        self.path = pathlib.Path(folder, "state.json")
        self.history_path = pathlib.Path(folder, "seconds.json")
        self.identity = identity
        self.results = {}
        self.history = read_json(self.history_path)

    def resume(self):
        """Takes over what an interrupted run of the same source and selection has finished; says how many cells."""
        text = read_json(self.path)
        if text.get("identity") == self.identity and not text.get("complete"):
            self.results = text.get("results", {})
        return len(self.results)

    def add(self, cell, result):
        self.results[cell.name] = result
        if result["status"] == "passed":
            self.history[cell.name] = result["seconds"]
        self.write(False)

    def write(self, complete):
        write_json(self.path, {"identity": self.identity, "complete": complete, "results": self.results})
        write_json(self.history_path, self.history)

    def expected_seconds(self, cell):
        return self.history.get(cell.name, cell.seconds)


def read_json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def write_json(path, content):
    """As a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1), encoding="utf-8")
    part.replace(path)
