"""Running cells: building a row once, then its tests, each with a log of its own."""
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import time
import xml.etree.ElementTree as xml

from table import BUILD

TICK_SECONDS = 30


class Runner:
    def __init__(self, root, out, table, jobs, say):
        self.root, self.out, self.table, self.jobs, self.say = root, out, table, jobs, say
        self.logs = pathlib.Path(out, "logs")
        self.logs.mkdir(parents=True, exist_ok=True)
        self.unavailable = {}  # why, by purpose

    def build_folder(self, row):
        return pathlib.Path(self.out, row.build)

    def log_path(self, cell):
        return pathlib.Path(self.logs, f"{cell.name}.log")

    def junit_path(self, cell):
        return pathlib.Path(self.logs, f"{cell.name}.xml")

    # ---- what a row needs ----------------------------------------------------------------------------------------

    def install(self, purposes):
        """Installs what is missing; keeps in mind what is not to be had."""
        for purpose in purposes:
            if purpose in self.unavailable or not self.missing(purpose):
                continue
            with open(pathlib.Path(self.logs, f"install.{purpose}.log"), "wb") as log:
                done = subprocess.run(self.library("install_missing", purpose), cwd=self.root, stdout=log, stderr=log,
                                      stdin=subprocess.DEVNULL, check=False)
            still = self.missing(purpose)
            if still:
                self.unavailable[purpose] = f"not to be had: {still} (status {done.returncode})"
            else:
                self.say(f"installed what {purpose} needs")

    def missing(self, purpose):
        done = subprocess.run(self.library("missing_packages", purpose), cwd=self.root, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, check=True)
        return " ".join(done.stdout.split())

    def library(self, function, argument):
        return ["bash", "-c", 'set -euo pipefail; set -f; . ci/lib.sh; "$@"', "-", function, argument]

    def why_not(self, row):
        return "; ".join(self.unavailable[purpose] for purpose in row.needs if purpose in self.unavailable)

    # ---- cells ---------------------------------------------------------------------------------------------------

    def run(self, cell, results):
        why = self.why_not(cell.row)
        if why:
            return make_result("unavailable", 0, why=why)
        begin = time.monotonic()
        build = next((results.get(other.name) for row in self.table.rows for other in row.cells
                      if other.suite == BUILD and other.row.build == cell.row.build), None)
        self.junit_path(cell).unlink(missing_ok=True)
        if cell.suite == BUILD and not cell.run:
            result = self.judge_command(cell, self.build_commands(cell))
        elif cell.run and (cell.suite == BUILD or build is None or build["status"] == "passed"):
            result = self.judge_command(cell, [self.shell_command(cell)])
        elif cell.suite != BUILD and build is not None and build["status"] != "passed":
            self.log_path(cell).write_text("the build failed: see its log\n", encoding="utf-8")
            result = make_result("failed", 0, why="the build failed")
        else:
            result = self.run_tests(cell)
        result["seconds"] = round(time.monotonic() - begin, 1)
        return result

    def build_commands(self, cell):
        row = cell.row
        configure = ["cmake", "--preset", row.preset, "-B", str(self.build_folder(row)), *row.arguments]
        if row.compiler:
            configure.append(f"-DCMAKE_C_COMPILER={row.compiler}")
        if all(other.run for other in row.cells if other is not cell):
            return [configure]  # what is built is the other cells' matter
        return [configure, ["cmake", "--build", str(self.build_folder(row)), "-j", str(self.jobs)]]

    def shell_command(self, cell):
        variables = f"build={shlex.quote(str(self.build_folder(cell.row)))}; jobs={self.jobs}; "
        return ["bash", "-euo", "pipefail", "-c", variables + cell.run]

    def judge_command(self, cell, commands):
        with open(self.log_path(cell), "wb") as log:
            for command in commands:
                status = self.execute(cell, command, log)
                if status is None:
                    return make_result("failed", 0, why=f"took more than {cell.limit} s")
                if status != 0:
                    return make_result("failed", 0, why=f"status {status} of {shlex.join(command)[:60]}")
        return make_result("passed", 0)

    def run_tests(self, cell):
        tests = self.tests(cell.row)
        names = [test["name"] for test in tests]
        chosen = self.table.tests_of(cell, names)
        if cell.built:
            chosen = [test["name"] for test in tests if test["name"] in chosen and is_built(test)]
        if not chosen:
            self.log_path(cell).write_text("no test of this suite\n", encoding="utf-8")
            return make_result("empty" if cell.may_be_empty else "failed", 0, why="no test of this suite")
        # By number: patterns of ctest could not say "that of these".
        numbers = ",".join(str(names.index(test) + 1) for test in chosen)
        with open(self.log_path(cell), "wb") as log:
            status = self.execute(cell, ["ctest", "--test-dir", str(self.build_folder(cell.row)), "-j", str(self.jobs),
                                         "--output-on-failure", "--no-tests=error", "-I", f"0,0,0,{numbers}",
                                         "--output-junit", str(self.junit_path(cell).resolve())], log)
        if status is None:
            return make_result("failed", 0, why=f"took more than {cell.limit} s")
        return judge_junit(self.junit_path(cell), status, set(chosen))

    def tests(self, row):
        listed = subprocess.run(["ctest", "--test-dir", str(self.build_folder(row)), "--show-only=json-v1"],
                                capture_output=True, check=True, stdin=subprocess.DEVNULL)
        return json.loads(listed.stdout)["tests"]

    def execute(self, cell, command, log):
        """The command's status, None where its time was over. Says now and then how far it has come."""
        environment = dict(os.environ, **cell.row.environment)
        log.write(f"$ {shlex.join(command)[:200]}\n".encode())
        log.flush()
        begin = time.monotonic()
        with subprocess.Popen(command, cwd=self.root, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                              env=environment, start_new_session=True) as process:
            try:
                while True:
                    left = cell.limit - (time.monotonic() - begin)
                    try:
                        return process.wait(timeout=max(0, min(TICK_SECONDS, left)))
                    except subprocess.TimeoutExpired:
                        if left <= TICK_SECONDS and time.monotonic() - begin >= cell.limit:
                            return None
                        self.say(f"    {cell.name}: {time.monotonic() - begin:.0f} s{progress_of(self.log_path(cell))}")
            finally:
                end_group(process)


def is_built(test):
    """ctest gives no command for a program that is not there."""
    return bool(test.get("command")) and os.access(test["command"][0], os.X_OK)


def end_group(process):
    """Ends what the command has left behind, too."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def progress_of(log):
    steps = re.findall(rb"^\s*(\d+)/(\d+) Test|^\[ *(\d+)%\]", log.read_bytes()[-4000:], re.MULTILINE)
    if not steps:
        return ""
    done, count, percent = (part.decode() for part in steps[-1])
    return f", {percent} %" if percent else f", {done} of {count} tests"


def make_result(status, tests, skipped=0, why="", failed=()):
    return {"status": status, "seconds": 0, "tests": tests, "skipped": skipped, "why": why, "failed": list(failed)}


def judge_junit(path, status, expected):
    """ctest's own report decides together with its status: what was to run and is not in it has failed, too."""
    try:
        cases = {case.get("name"): case for case in xml.parse(path).getroot().iter("testcase")}
    except (FileNotFoundError, xml.ParseError) as error:
        return make_result("failed", 0, why=f"ctest left no report: {error}")
    failed = sorted(name for name, case in cases.items() if case.get("status") not in ("run", "notrun", "disabled"))
    failed += sorted(expected - set(cases))
    # A test may say itself that it cannot run here; one that ctest could not start has failed.
    idle = [case for case in cases.values() if case.get("status") in ("notrun", "disabled")]
    skipped = [case for case in idle if any("SKIP" in (part.get("message") or "") for part in case.iter("skipped"))]
    failed += sorted(case.get("name") for case in idle if case not in skipped)
    why = ""
    if failed:
        why = f"{len(failed)} of {len(cases)}: {', '.join(failed[:3])}{', ...' if len(failed) > 3 else ''}"
    elif status != 0:
        why = f"ctest's status is {status}"
    return make_result("failed" if why else "passed", len(cases), len(skipped), why, failed)
