#!/usr/bin/env python3
"""ci/matrix with a small table in a private copy: each way in which a cell can end, the table on the terminal, JUnit,
the choice of cells, and going on after an interruption."""
import json
import os
import re
import signal
import subprocess
import time
import xml.etree.ElementTree as xml

from support import Copy, expect, run_tests

GREEN = ["cc.plain.build", "cc.plain.unit", "cc.plain.other", "cc.plain.long", "cc.plain.last"]
RED = {
    "cc.broken.bad": "1 of 2: bad.one", "cc.broken.absent": "1 of 1: absent.one", "cc.broken.slow": "more than 1 s",
    "cc.broken.stops": "status 3", "cc.unbuilt.build": "status 4", "cc.unbuilt.unit": "the build failed",
}
UNAVAILABLE = ["cc.unavailable.build", "cc.unavailable.unit"]


def every_end(folder):
    copy = Copy(folder)
    status, out, _ = copy.run()
    expect(status == 1, f"red cells are a failure: {status}, {out}")
    for cell in GREEN:
        expect(re.search(rf"\] {re.escape(cell)} +ok ", out), f"{cell} is green: {out}")
    for cell, why in RED.items():
        expect(re.search(rf"^{re.escape(cell)}: RED: .*{re.escape(why)}", out, re.MULTILINE), f"{cell}: {why}: {out}")
    for cell in UNAVAILABLE:
        expect(f"{cell}: none: not to be had: from-the-moon" in out, f"{cell} is unavailable: {out}")
    expect(re.search(r"^cc.plain +ok \d+ s +ok \d+ s +ok \d+ s +empty +ok \d+ s", out, re.MULTILINE), f"a row: {out}")
    expect("14 cells: 5 green, 6 red, 2 unavailable, 1 empty, 0 not run" in out, f"the last line: {out}")
    expect("left" in out and "gone" in out, "progress says what is left")
    suites = {suite.get("name"): suite for suite in xml.parse(copy.out / "junit.xml").getroot()}
    expect(list(suites) == GREEN[:3] + ["cc.plain.fuzz"] + GREEN[3:] + list(RED)[:4] + list(RED)[4:] + UNAVAILABLE,
           f"JUnit has every cell: {list(suites)}")
    for cell, suite in suites.items():
        expect((suite.get("failures") != "0") == (cell in RED), f"{cell} in JUnit")
    expect(suites["cc.plain.other"].get("skipped") == "1", "a skipped test is one in JUnit")
    texts = [failure.text for failure in suites["cc.broken.bad"].iter("failure")]
    expect(any("what went wrong: <&>" in text for text in texts), f"JUnit has the output: {texts}")


def which_cells(folder):
    copy = Copy(folder)
    status, out, _ = copy.run("--list")
    expect(status == 0 and out.split()[:2] == GREEN[:2] and len(out.split()) == 14, f"--list: {out}")
    text = json.loads(copy.run("--list", "--json", "--only", "cc.broken.*")[1])
    expect([cell["cell"] for cell in text["cells"]] == ["cc.plain.build", *list(RED)[:4]],
           f"a selection has the builds that it needs: {text}")
    text = json.loads(copy.run("--list", "--json")[1])
    expect([job["name"] for job in text["jobs"]] == ["cc.plain", "cc.unbuilt", "cc.unavailable"],
           f"what shares a build is one job: {text}")
    expect(text["jobs"][0]["cells"] == "--only 'cc.plain.*' --only 'cc.broken.*'", f"its cells: {text}")
    status, out, error = copy.run("--only", "cc.nonsense.*")
    expect(status == 2 and "no cell matches cc.nonsense.*" in error, f"{status}, {error}")
    expect(copy.run("--jobs", "0")[0] == 2, "no jobs")
    status, out, _ = copy.run("--only", "cc.plain.last")
    expect(status == 0 and "2 cells: 2 green, 0 red" in out, f"green: {status}, {out}")
    expect(copy.run("--only", "cc.unavailable.*")[0] == 1, "what cannot be had is not green")
    expect(copy.run("--only", "cc.unavailable.*", "--allow-unavailable")[0] == 0, "unless that is allowed")


def interrupt(copy, number):
    """Ends a run while the cell `long` sleeps; the process of the cell, too, must be gone then."""
    with subprocess.Popen(copy.command("--only", "cc.plain.*"), env=copy.environment | {"HEAPSTER_TEST_SLEEP": "61.25"},
                          stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while "long" not in copy.ran() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(process.pid, number)
        process.wait(timeout=20)
    expect("long" in copy.ran() and "over" not in copy.ran(), f"it was interrupted in the midst: {copy.ran()}")


def sleepers():
    """Processes that the interrupted cell has left behind."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                if file.read().split(b"\0")[:2] == [b"sleep", b"61.25"]:
                    found.append(int(name))
        except OSError:
            pass
    return found


def goes_on(folder):
    copy = Copy(folder)
    interrupt(copy, signal.SIGTERM)
    expect(not sleepers(), "nothing of the interrupted cell is left")
    status, out, _ = copy.run("--only", "cc.plain.*")
    expect(status == 0 and "going on with an interrupted run: 4 cells are done" in out, f"it goes on: {out}")
    expect(copy.ran() == ["build", "long", "long", "over", "last"], f"what was done is not done again: {copy.ran()}")
    expect("6 cells: 5 green" in out, f"what was done before counts: {out}")
    copy.run("--only", "cc.plain.*")
    expect(copy.ran().count("build") == 2, "a complete run is not gone on with")


def goes_on_after_a_kill(folder):
    copy = Copy(folder)
    interrupt(copy, signal.SIGKILL)
    for left in sleepers():
        os.kill(left, signal.SIGKILL)
    status, out, _ = copy.run("--only", "cc.plain.*")
    expect(status == 0 and "going on with an interrupted run: 4 cells are done" in out, f"it goes on: {out}")
    expect(copy.ran().count("build") == 1, f"what was done is not done again: {copy.ran()}")


def goes_on_with_the_same_alone(folder):
    copy = Copy(folder)
    interrupt(copy, signal.SIGTERM)
    (copy.root / "new.c").write_text("int x;\n", encoding="utf-8")
    _, out, _ = copy.run("--only", "cc.plain.*")
    expect("going on" not in out and copy.ran().count("build") == 2, f"the source has changed: {out}")


def begins_anew(folder):
    copy = Copy(folder)
    interrupt(copy, signal.SIGTERM)
    _, out, _ = copy.run("--only", "cc.plain.*", "--fresh")
    expect("going on" not in out and copy.ran().count("build") == 2, f"--fresh: {out}")


if __name__ == "__main__":
    run_tests([every_end, which_cells, goes_on, goes_on_after_a_kill, goes_on_with_the_same_alone, begins_anew])
