#!/usr/bin/env python3
"""The workflows under .github are what the service that runs them understands: keys and types by the description below,
expressions name only what exists, and the jobs of the matrix have the fields that `ci/matrix --list --json` gives.
Workflows that are broken on purpose must be found out.

    workflows.py [FILE]...    the files, or all, and the broken ones
"""
import json
import pathlib
import re
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A description is a type, a list of types, {"*": of any key}, or keys; "!key" must be there.
TEXT, NUMBER, BOOL = str, int, bool
STRINGS = {"*": [TEXT, NUMBER, BOOL]}
LIST_OF_TEXT = ("list", TEXT)
STEP = {"id": TEXT, "name": TEXT, "if": [TEXT, BOOL], "uses": TEXT, "with": STRINGS, "run": TEXT, "env": STRINGS,
        "shell": TEXT, "working-directory": TEXT, "continue-on-error": [TEXT, BOOL], "timeout-minutes": NUMBER}
JOB = {"name": TEXT, "!runs-on": [TEXT, LIST_OF_TEXT], "needs": [TEXT, LIST_OF_TEXT], "if": [TEXT, BOOL],
       "container": [TEXT, {"!image": TEXT, "env": STRINGS, "options": TEXT}], "timeout-minutes": NUMBER,
       "outputs": {"*": TEXT}, "env": STRINGS, "permissions": [TEXT, {"*": TEXT}], "!steps": ("list", STEP),
       "strategy": {"fail-fast": BOOL, "max-parallel": NUMBER, "!matrix": [TEXT, {"*": [TEXT, ("list", object)]}]},
       "continue-on-error": [TEXT, BOOL], "concurrency": [TEXT, {"!group": TEXT, "cancel-in-progress": BOOL}]}
PATHS = {"branches": LIST_OF_TEXT, "branches-ignore": LIST_OF_TEXT, "tags": LIST_OF_TEXT, "paths": LIST_OF_TEXT,
         "paths-ignore": LIST_OF_TEXT}
WORKFLOW = {"name": TEXT, "permissions": [TEXT, {"*": TEXT}], "env": STRINGS, "concurrency": JOB["concurrency"],
            "!on": [TEXT, LIST_OF_TEXT, {"push": [None, PATHS], "pull_request": [None, PATHS],
                                         "schedule": ("list", {"!cron": TEXT}),
                                         "workflow_dispatch": [None, {"inputs": {"*": object}}]}],
            "!jobs": {"*": JOB}}
CONTEXTS = {"github", "env", "matrix", "needs", "steps", "runner", "job", "strategy", "secrets"}
FUNCTIONS = {"fromJSON", "toJSON", "hashFiles", "always", "failure", "success", "cancelled", "format", "contains",
             "startsWith", "endsWith", "join"}
CRON = re.compile(r"[0-9*/,-]+( [0-9*/,-]+){4}")


def fits(value, description, where, found):
    """Notes in `found` where the value is not as described."""
    if isinstance(description, list):
        tries = []
        for one in description:
            wrong = []
            fits(value, one, where, wrong)
            if not wrong:
                return
            tries.append(wrong)
        found += min(tries, key=lambda wrong: ("expected" in wrong[0], len(wrong)))
    elif description is None:
        if value is not None:
            found.append(f"{where}: expected nothing")
    elif isinstance(description, tuple):
        if not isinstance(value, list):
            found.append(f"{where}: expected a list")
            return
        for number, each in enumerate(value):
            fits(each, description[1], f"{where}[{number}]", found)
    elif isinstance(description, dict):
        fits_keys(value, description, where, found)
    elif description is not object and (not isinstance(value, description)
                                        or (description is int and isinstance(value, bool))):
        found.append(f"{where}: expected {description.__name__}")


def fits_keys(value, description, where, found):
    if not isinstance(value, dict):
        found.append(f"{where}: expected keys")
        return
    known = {key.lstrip("!"): one for key, one in description.items()}
    for key, each in value.items():
        if key not in known and "*" not in known:
            found.append(f"{where}: unknown key {key}")
        else:
            fits(each, known.get(key, known.get("*")), f"{where}.{key}", found)
    for key in description:
        if key.startswith("!") and key[1:] not in value:
            found.append(f"{where}: without {key[1:]}")


def texts(value, where):
    """Every text of a part of a workflow, and where it stands."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from texts(each, f"{where}.{key}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from texts(each, f"{where}[{number}]")


def matrix_fields(job, listed):
    """What `matrix.` may be followed by in a job: its keys, those of `include`, the fields of what ci/matrix lists."""
    fields = {}
    for key, value in (job.get("strategy") or {}).get("matrix", {}).items():
        if key == "include":
            for one in value:
                fields.update({name: None for name in one})
        elif isinstance(value, str):
            fields[key] = set(listed["jobs"][0])
        else:
            fields[key] = None
    return fields


def check_expression(expression, job, jobs, listed, where, found):
    bare = re.sub(r"'[^']*'", "''", expression)
    for name in re.findall(r"([A-Za-z][\w-]*)\s*\(", bare):
        if name not in FUNCTIONS:
            found.append(f"{where}: unknown function {name}")
    for path in re.findall(r"(?<![\w.'-])([A-Za-z][\w-]*(?:\.[\w-]+)+)", bare):
        context, *rest = path.split(".")
        if context not in CONTEXTS:
            found.append(f"{where}: unknown context {context}")
        if context == "matrix":
            fields = matrix_fields(job, listed)
            if rest[0] not in fields or (len(rest) > 1 and rest[1] not in (fields[rest[0]] or ())):
                found.append(f"{where}: the matrix has no {'.'.join(rest)}")
        if context == "needs":
            needed = job.get("needs") or []
            needed = [needed] if isinstance(needed, str) else needed
            outputs = jobs.get(rest[0], {}).get("outputs") or {}
            if rest[0] not in needed or (rest[1] == "outputs" and rest[2] not in outputs):
                found.append(f"{where}: needs nothing that has {'.'.join(rest)}")
        if context == "steps" and rest[0] not in {step.get("id") for step in job["steps"]}:
            found.append(f"{where}: no step {rest[0]}")


def check_job(name, job, jobs, listed, found):
    needed = job.get("needs") or []
    for other in [needed] if isinstance(needed, str) else needed:
        if other not in jobs:
            found.append(f"jobs.{name}: needs {other}, which is no job")
    for number, step in enumerate(job["steps"]):
        where = f"jobs.{name}.steps[{number}]"
        if ("run" in step) == ("uses" in step):
            found.append(f"{where}: one of run and uses")
        if "uses" in step and not re.fullmatch(r"[\w.-]+/[\w./-]+@[\w.-]+", step["uses"]):
            found.append(f"{where}: uses an action without a version")
    check_texts(job, f"jobs.{name}", job, jobs, listed, found)


def check_texts(part, name, job, jobs, listed, found):
    for where, text in texts(part, name):
        if text.count("${{") != text.count("}}"):
            found.append(f"{where}: an expression without an end")
        inside = re.findall(r"\$\{\{(.*?)\}\}", text)
        if where.endswith(".if") and not inside:
            inside = [text]
        for expression in inside:
            check_expression(expression, job, jobs, listed, where, found)


def check_workflow(text, listed):
    """All that is wrong with it."""
    try:
        workflow = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return [f"no YAML: {error}"]
    found = []
    if isinstance(workflow, dict) and True in workflow:
        workflow["on"] = workflow.pop(True)  # what YAML 1.1 takes the word for
    fits(workflow, WORKFLOW, "workflow", found)
    if found:
        return found
    for name, job in workflow["jobs"].items():
        check_job(name, job, workflow["jobs"], listed, found)
    whole = {key: value for key, value in workflow.items() if key != "jobs"}
    check_texts(whole, "workflow", {"steps": []}, workflow["jobs"], listed, found)
    on = workflow["on"] if isinstance(workflow["on"], dict) else {}
    for entry in on.get("schedule", []):
        if not CRON.fullmatch(entry["cron"]):
            found.append(f"on.schedule: no times: {entry['cron']}")
    return found


# In a text of a workflow this in the place of that, and what is to be said of it.
BROKEN = [
    ("check.yml", "runs-on: ubuntu-latest", "runs-onn: ubuntu-latest", "unknown key runs-onn"),
    ("check.yml", "runs-on: ubuntu-latest\n", "\n", "without runs-on"),
    ("check.yml", "timeout-minutes: 45", "timeout-minutes: long", "expected int"),
    ("check.yml", "needs: list", "needs: lists", "which is no job"),
    ("check.yml", "needs.list.outputs.jobs", "needs.list.outputs.cells", "needs nothing that has list.outputs.cells"),
    ("check.yml", "matrix.job.cells", "matrix.job.cell", "the matrix has no job.cell"),
    ("check.yml", "steps.list.outputs", "steps.lists.outputs", "no step lists"),
    ("check.yml", "hashFiles(", "hashFile(", "unknown function hashFile"),
    ("check.yml", "github.ref }}", "github.ref", "without an end"),
    ("check.yml", "actions/checkout@v4", "actions/checkout", "without a version"),
    ("check.yml", "run: ./ci/test", "uses: actions/checkout@v4\n        run: ./ci/test", "one of run and uses"),
    ("check.yml", "  pull_request:\n", "  pull_requests:\n", "unknown key pull_requests"),
    ("check.yml", "jobs:\n  test:", "jobs:\n  test: [", "no YAML"),
    ("nightly.yml", "matrix.command", "matrix.commands", "the matrix has no commands"),
    ("nightly.yml", '"17 2 * * *"', '"17 2 * *"', "no times"),
]


def main(paths):
    wrong = []
    listed = json.loads(subprocess.run([ROOT / "ci/matrix", "--list", "--json"], capture_output=True, check=True,
                                       timeout=60, stdin=subprocess.DEVNULL).stdout)
    folder = ROOT / ".github/workflows"
    for path in [pathlib.Path(path) for path in paths] or sorted(folder.iterdir()):
        wrong += [f"{path.name}: {each}" for each in check_workflow(path.read_text(encoding="utf-8"), listed)]
    for name, old, new, expected in BROKEN if not paths else []:
        text = (folder / name).read_text(encoding="utf-8")
        found = check_workflow(text.replace(old, new, 1), listed) if old in text else ["it is not there"]
        if not any(expected in each for each in found):
            wrong.append(f"{name} with {new!r} for {old!r}: expected {expected!r}, found {found}")
    # What pushes run is in the project.
    for script in re.findall(r"(?:^|[\s/])(ci/[a-z]+)", (folder / "check.yml").read_text(encoding="utf-8")):
        if script != "ci/packages" and not (ROOT / script).stat().st_mode & 0o100:
            wrong.append(f"check.yml: {script} is not to be run")
    print("\n".join(wrong) or f"as described, {len(BROKEN)} broken ones found")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
