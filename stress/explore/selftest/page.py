#!/usr/bin/env python3
"""The page of an execution, opened in Chromium: is each step there once, in its thread's column, with its value?

    page.py HEAPSTER_EXPLORE SOURCES LIBRARY

The execution is the one of story.py, its expectations those of the raw events; keys, clicks and filters are tried. So
is the page of a failure, with the allocator of LIBRARY, which forgets list locks at fork, and a page whose program has
in it what could end a script. Pages that were tampered with must be found out. Exit status 0, 1 where something is
wrong, 77 where there is no Chromium (1 all the same if HEAPSTER_REQUIRE_ALL is set).
"""
import json
import os
import re
import shutil
import sys
import tempfile
import urllib.parse

from explored import (PROGRAM, Explorer, FOUND, Wrong, check_event, expect, expect_equal, expect_found_out, find_known,
                      folds_of, read_raw, replace_once, run, switches_of, tag_words, token_of)

SKIPPED, OUTPUT_FAILED = 77, 3
NASTY = "+</script><script>onerror()</script><!-- \"q\" \\ & \u00e9 \U0001f4a5"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1500,1000",
         "--virtual-time-budget=3000"]

# Added to the page: uses it as people do, then writes down what is there.
PROBE = """
<script>
addEventListener("load", () => {
    const every = selector => [...document.querySelectorAll(selector)];
    const seen = element => element.getBoundingClientRect().height > 0;
    const shown = () => every("[data-event]").filter(seen).map(each => Number(each.dataset.event));
    const press = key => (document.activeElement ?? document.body).dispatchEvent(
        new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
    const focused = () => document.activeElement.dataset.event ?? `fold ${document.activeElement.dataset.fold}`;
    const text = id => document.getElementById(id).textContent;
    const found = {
        errors: [document.documentElement.dataset.error ?? null, text("error")],
        failure: text("failure"), facts: text("facts"),
        head: every("thead th").map(each => each.textContent), title: document.title,
        sticky: getComputedStyle(document.querySelector("th") ?? document.body).position,
        atFirst: shown(), count: text("shown"), folds: every("[data-fold]").map(each => each.textContent),
        switches: every("[data-switch]").map(each =>
            [Number(each.dataset.switch), each.dataset.preempts !== undefined, each.textContent]),
        events: every("[data-event]").map(each => {
            const cells = [...each.cells], thread = cells.findIndex(cell => cell.classList.contains("acts"));
            return [Number(cells[0].textContent), thread - 1, cells[thread].textContent, cells.at(-1).textContent,
                cells.slice(1, -1).filter(cell => cell.textContent !== "").length];
        }),
        colours: [0, 1].map(i => getComputedStyle(document.querySelector(`td[data-thread="${i}"]`) ??
            document.body).color),
        page: getComputedStyle(document.body).backgroundColor,
    };
    const fold = document.querySelector("[data-fold] .fold");
    if (fold !== null) {
        fold.click();
        found.afterClick = shown();
        press("Enter");
        found.afterKey = shown();
        press("ArrowUp");
        found.up = focused();
        press("ArrowDown");
        press("ArrowDown");
        found.down = focused();
        press("Enter");
        found.details = every("tr.details").map(each => each.textContent);
        press("Enter");
        found.closed = every("tr.details").length;
        press("n");
        found.next = focused();
        document.getElementById("open-all").click();
        found.opened = shown();
        document.querySelector('[data-location="slot 1 left"]')?.click();
        found.marked = every(".same").map(each => each.textContent);
        document.getElementById("close-all").click();
        const filter = document.getElementById("filter"), box = document.querySelector("[data-shows='0']");
        const change = (element, kind) => element.dispatchEvent(new Event(kind, {bubbles: true}));
        filter.value = "slot 1 left";
        change(filter, "input");
        found.filtered = shown();
        filter.value = "";
        change(filter, "input");
        document.getElementById("open-all").click();
        box.click();
        found.secondAlone = shown();
    }
    const out = document.createElement("pre");
    out.id = "probe";
    out.hidden = true;
    out.textContent = encodeURIComponent(JSON.stringify(found));
    document.body.append(out);
});
</script>
"""


class Browser:
    """Opens pages, each in a fresh profile."""

    def __init__(self, program, folder):
        self.program, self.folder, self.opened = program, folder, 0

    def look(self, page, *more):
        self.opened += 1
        place = os.path.join(self.folder, f"page{self.opened}")
        os.mkdir(place)
        path = os.path.join(place, "page.html")
        expect_equal(page.count("</body>"), 1, "ends of the page's body")
        with open(path, "w", encoding="utf-8") as file:
            file.write(page.replace("</body>", PROBE + "</body>"))
        status, out, err = run([self.program, *FLAGS, *more, f"--user-data-dir={place}/profile", "--dump-dom",
                                f"file://{path}"], env=os.environ | {"HOME": place}, cwd=place)
        expect_equal(status, 0, f"status of the browser: {err[-300:]!r}")
        found = re.search(r'<pre id="probe"[^>]*>([^<]*)</pre>', out)
        expect(found, "the page came to its end")
        return json.loads(urllib.parse.unquote(found.group(1)))


def check_use(found, events):
    """What keys, clicks and filters do."""
    folds, whole = folds_of(events), list(range(1, len(events) + 1))
    groups = [[at + k + 1 for k in range(count)] for at, count in folds.items()]
    visible = [i for i in whole if i not in set(sum(groups, []))]
    of_left = [i for i in whole if (tag_words(events[i - 1]) or ("",))[0] == "slot 1 left"]
    first, count = next(iter(folds.items()))
    expect_equal(found["folds"], [f"{at + 1}{count} steps" for at, count in folds.items()], "folds")
    expect_equal(found["atFirst"], visible, "what is seen at first")
    expect_equal(found["count"], f"{len(visible)} of {len(events)} steps", "count of what is seen")
    expect_equal(found["afterClick"], sorted(visible + groups[0]), "what is seen after a click on a fold")
    expect_equal(found["afterKey"], visible, "what is seen after Enter on it")
    expect_equal((found["up"], found["down"]), (str(first), str(first + count + 1)), "where the arrows lead")
    expect_equal(len(found["details"]), 1, "steps with details")
    expect(f"step {first + count + 1}, thread 1" in found["details"][0] and re.search(r"at \w+\.[ch]:\d+ \w+",
           found["details"][0]), f"details: {found['details']}")
    expect_equal(found["closed"], 0, "details that are left")
    remarkable = min([i + 1 for i, preempts in switches_of(events).items() if preempts]
                     + [i + 1 for i in range(first + count + 1, len(events)) if events[i]["stale"]])
    expect_equal(found["next"], str(remarkable), "where n leads")
    expect_equal(found["opened"], whole, "what is seen when all is opened")
    expect_equal(found["marked"], ["slot 1 left"] * len(of_left), "what a click on a location marks")
    expect_equal(found["filtered"], of_left, "what a filter leaves")
    expect_equal(found["secondAlone"], [i for i in whole if events[i - 1]["thread"] == 1], "what thread 2 did")


def check_page(browser, page, events, token, sources, *more):
    found = browser.look(page, *more)
    expect_equal(found["errors"], [None, ""], "errors of the page's script")
    expect_equal(found["failure"], "no failure", "failure")
    expect(token in found["facts"] and PROGRAM in found["facts"], f"facts: {found['facts']}")
    expect_equal(found["head"], ["", "thread 1free(slot 0)", "thread 2free(slot 1)", "source"], "header")
    expect_equal(found["sticky"], "sticky", "position of the header")
    expect(len(set(found["colours"])) == 2, f"a colour for each thread: {found['colours']}")
    expect_equal([each[0] for each in found["events"]], list(range(1, len(events) + 1)), "steps of the page")
    for number, thread, words, source, filled in found["events"]:
        expect_equal(filled, 1, f"cells in use by event {number}")
        check_event(events[number - 1], thread, words, source, number, sources)
    expect_equal([each[:2] for each in found["switches"]],
                 [[i + 1, preempts] for i, preempts in switches_of(events).items()], "switches")
    check_use(found, events)
    return found


def check_tampered(browser, page, events, token, sources):
    def tamper(what, pattern, old, new):
        expect_found_out(what, pattern, check_page, browser, replace_once(page, old, new), events, token, sources)

    event = re.search(r'  \{"thread": 0, "operation": "load".*\n', page).group(0)
    tamper("broken JSON", "errors of the page.*JSON", '"events": [', '"events": ')
    tamper("a step less", "steps of the page", event, "")
    tamper("a step of another thread", "column of event", event, event.replace('"thread": 0', '"thread": 1'))
    tamper("another value", "event \\d+: .*list 3", 'free on list 2"', 'free on list 3"')
    tamper("a fold that does not open", "after a click", "each.isFolded = !open;", "each.isFolded = true;")


def check_files(explorer, folder, token):
    for place, why in ((os.path.join(folder, "no", "such"), "No such file"), ("/dev/full", "No space left")):
        status, _, err = explorer.status("--replay", token, "--steps", "none", "--html", place)
        expect(status == OUTPUT_FAILED and why in err, f"page to {place}: status {status}, {err!r}")
    path = os.path.join(folder, "page.html")
    explorer.give(0, "--replay", token, "--steps", "none", "--html", path)
    with open(path, encoding="utf-8") as file:
        page = file.read()
    printed = explorer.give(0, "--replay", token, "--steps", "none", "--html", "-")
    expect_equal(printed.split("\n", 1)[1], page, "the page on standard output")
    expect(not re.search(r"(?:src|href)\s*=|url\(|@import", page), "the page loads nothing")
    return page


def check_nasty(browser, explorer, path):
    """Options that the allocator does not know are no failure; as text, they may be anything."""
    explorer.status("--replay", token_of(PROGRAM + NASTY, ""), "--steps", "none", "--html", path)
    with open(path, encoding="utf-8") as file:
        page = file.read()
    expect_equal(page[page.index('<script type="application/json"'):].count("</script>"), 2, "ends of scripts")
    found = browser.look(page)
    expect_equal(found["errors"], [None, ""], "errors of the script where the program is nasty")
    expect(PROGRAM + NASTY in found["facts"], f"facts: {found['facts']}")


def check_failure(browser, explorer, path):
    out = explorer.give(FOUND, "--scenario", "fork_free", "--steps", "none", "--html", path)
    with open(path, encoding="utf-8") as file:
        found = browser.look(file.read())
    failure = re.search(r"shrunken failure (.*)\n", out).group(1)
    token = re.search(r"shrunken token (.*)\n", out).group(1)
    expect_equal(found["errors"], [None, ""], "errors of the script of a failure")
    expect_equal(found["failure"].split("\n")[0], failure, "failure")
    expect(re.search(r"\nthread 1 waits for arena 0 list \d+, held by thread 2, in fork\(\)\n", found["failure"]),
           f"who waits for whom: {found['failure']!r}")
    expect(token in found["facts"], f"facts: {found['facts']}")
    expect_equal(found["events"][-1][1:3], [0, f"FAILED: {failure}"], "the last step")
    expect(any(preempts for _, preempts, _ in found["switches"]), "a preemption is marked")


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    program, sources, library = sys.argv[1:]
    explorer = Explorer(program)
    token = find_known(explorer)
    events = read_raw(explorer.give(0, "--replay", token, "--steps", "raw"))
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        page = check_files(explorer, folder, token)
        if browser is None:
            print("no Chromium: the page was not opened")
            return 1 if os.environ.get("HEAPSTER_REQUIRE_ALL") else SKIPPED
        browser = Browser(browser, folder)
        found = check_page(browser, page, events, token, sources)
        expect_equal(found["page"], "rgb(255, 255, 255)", "background")
        dark = check_page(browser, page, events, token, sources, "--blink-settings=preferredColorScheme=0")
        expect_equal(dark["page"], "rgb(20, 24, 29)", "background where dark is preferred")
        check_tampered(browser, page, events, token, sources)
        check_nasty(browser, explorer, os.path.join(folder, "nasty.html"))
        check_failure(browser, Explorer(program, library), os.path.join(folder, "failure.html"))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Wrong, OSError, ValueError) as finding:
        print(f"page.py: {finding}", file=sys.stderr)
        sys.exit(1)
