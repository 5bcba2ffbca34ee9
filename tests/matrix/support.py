"""What the tests of ci/matrix share: a private copy of what it consists of, a table of small cells, and looking."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SECONDS = 100  # for any program that is run here
ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTS = """
add_test(good "/bin/true")
add_test(other.good "/bin/true")
add_test(other.skipped "/bin/sh" "-c" "exit 77")
set_tests_properties(other.skipped PROPERTIES SKIP_RETURN_CODE 77)
add_test(bad.one "/bin/sh" "-c" "echo what went wrong: '<&>'; exit 1")
add_test(bad.good "/bin/true")
add_test(absent.one "/nowhere/to/be/found")
"""
# Every kind of end that a cell can have. What each runs leaves a line in $build/ran.
TABLE = """
[suites]
other = '^other\\.'
bad = '^bad\\.'
absent = '^absent\\.'
fuzz = '^fuzz\\.'
unit = '.'

[[row]]
name = "cc.plain"
preset = "release"
needs = []
[row.suites]
build = {run = 'mkdir -p "$build" && cp "$build/../tests" "$build/CTestTestfile.cmake" && echo build >>"$build/ran"'}
unit = {}
other = {}
fuzz = {may_be_empty = true}
long = {run = 'echo long >>"$build/ran"; sleep "${HEAPSTER_TEST_SLEEP:-0}"; echo over >>"$build/ran"'}
last = {run = 'echo last >>"$build/ran"'}

[[row]]
name = "cc.broken"
preset = "release"
build = "cc.plain"
[row.suites]
bad = {}
absent = {}
slow = {run = 'echo slow; sleep 60', limit = 1}
stops = {run = 'echo "a <b> & c"; exit 3'}

[[row]]
name = "cc.unbuilt"
preset = "release"
[row.suites]
build = {run = 'exit 4'}
unit = {}

[[row]]
name = "cc.unavailable"
preset = "release"
needs = ["moon"]
[row.suites]
build = {}
unit = {}
"""


class Wrong(Exception):
    pass


def expect(holds, what):
    if not holds:
        raise Wrong(f"not so: {what}")


class Copy:
    """A private copy of the scripts, with the table above and a package that nobody has."""

    def __init__(self, folder):
        self.root = pathlib.Path(folder, "copy")
        for part in ("ci", "sanitizers"):
            shutil.copytree(ROOT / part, self.root / part, ignore=shutil.ignore_patterns("__pycache__"))
        with open(self.root / "ci/packages", "a", encoding="utf-8") as packages:
            packages.write("from-the-moon  /nowhere/to/be/found  moon\n")
        self.out = self.root / "build/matrix"
        self.out.mkdir(parents=True)
        (self.out / "tests").write_text(TESTS, encoding="utf-8")
        self.table = self.root / "table.toml"
        self.table.write_text(TABLE, encoding="utf-8")
        # Installing fails at once, whoever asks.
        tools = pathlib.Path(folder, "tools")
        tools.mkdir()
        (tools / "apt-get").write_text("#!/bin/sh\nexit 100\n", encoding="utf-8")
        (tools / "apt-get").chmod(0o755)
        self.environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}

    def command(self, *arguments):
        return [str(self.root / "ci/matrix"), "--table", str(self.table), "--jobs", "2", *arguments]

    def run(self, *arguments, **environment):
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=SECONDS, check=False,
                              env=self.environment | environment, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout, done.stderr

    def ran(self):
        path = self.out / "cc.plain/ran"
        return path.read_text(encoding="utf-8").split() if path.exists() else []


def run_tests(tests):
    """Each in a folder of its own; says which fail."""
    failed = 0
    for test in tests:
        with tempfile.TemporaryDirectory() as folder:
            try:
                test(folder)
                print(f"{test.__name__}: as expected")
            except (Wrong, subprocess.TimeoutExpired) as wrong:
                print(f"{test.__name__}: {wrong}")
                failed += 1
    sys.exit(1 if failed else 0)
