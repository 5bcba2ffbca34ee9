#!/usr/bin/env python3
"""The page of ci/matrix in headless Chromium: each cell of the grid is there, in its colour, red ones lead to their log,
and the page asks for no other file. Exit status 77 where there is no Chromium (1 all the same if HEAPSTER_REQUIRE_ALL is
set)."""
import json
import os
import pathlib
import re
import shutil
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "stress/selftest"))
from report import BROWSERS, FLAGS, Image, run  # noqa: E402
from runner import GREEN, RED, UNAVAILABLE  # noqa: E402
from support import Copy, Wrong, expect, run_tests  # noqa: E402

COLOURS = {"passed": (0xcf, 0xe9, 0xd2), "failed": (0xc6, 0x28, 0x28), "unavailable": (0xf3, 0xdc, 0x9a)}
PROBE = """<script id=prober>
const found = {cells: {}, outside: [...document.querySelectorAll('[src], link, body script:not(#prober)')].map(part => part.outerHTML)};
for (const cell of document.querySelectorAll('#grid td[data-cell]')) {
    const box = cell.getBoundingClientRect(), link = cell.querySelector('a');
    const target = link && document.querySelector(link.getAttribute('href'));
    found.cells[cell.dataset.cell] = {
        status: cell.className, text: cell.innerText, title: cell.title,
        left: box.left, top: box.top, width: box.width, height: box.height,
        log: target ? target.querySelector('pre').innerText : '',
        file: target ? target.querySelector('a').getAttribute('href') : ''};
}
found.summary = document.querySelector('#summary').innerText;
found.off = document.querySelector('#off').innerText;
const probe = document.createElement('pre');
probe.id = 'probe';
probe.textContent = encodeURIComponent(JSON.stringify(found));
document.body.append(probe);
</script>"""


def open_page(browser, page, folder, *more):
    place = pathlib.Path(folder, f"opened{len(os.listdir(folder))}")
    place.mkdir()
    (place / "page.html").write_text(page.replace("</body>", PROBE + "</body>"), encoding="utf-8")
    status, out, error = run([browser, *FLAGS, f"--user-data-dir={place}/profile", "--window-size=1400,1000", *more,
                              f"file://{place}/page.html"], env=os.environ | {"HOME": str(place)}, cwd=place)
    expect(status == 0, f"the browser ends well: {error[-300:]!r}")
    return out.decode(errors="replace"), place


def look(browser, page, folder):
    text, _ = open_page(browser, page, folder, "--dump-dom")
    found = re.search(r'<pre id="probe"[^>]*>([^<]*)</pre>', text)
    expect(found, "the page came to its end")
    return json.loads(urllib.parse.unquote(found.group(1)))


def check(browser, page, folder):
    found = look(browser, page, folder)
    cells = found["cells"]
    expected = {**{cell: "passed" for cell in GREEN}, **{cell: "failed" for cell in RED},
                **{cell: "unavailable" for cell in UNAVAILABLE}, "cc.plain.fuzz": "empty"}
    expect({cell: text["status"] for cell, text in cells.items()} == expected, f"each cell as it ended: {cells}")
    for cell, why in RED.items():
        expect("RED" in cells[cell]["text"] and why in cells[cell]["title"], f"{cell} says why: {cells[cell]}")
        expect(cells[cell]["log"] and cells[cell]["file"] == f"logs/{cell}.log", f"{cell} leads to its log")
    expect("what went wrong: <&>" in cells["cc.broken.bad"]["log"], "the log is that of the cell")
    expect("a <b> & c" in cells["cc.broken.stops"]["log"], "the log is shown as it is")
    expect("1 skipped" in cells["cc.plain.other"]["text"], "a skipped test shows")
    expect("5 green, 6 red, 2 unavailable" in found["summary"], f"the summary: {found['summary']}")
    expect("Suppressions: 0 in 5 files. Checks that are off: 1: tsan: detect_deadlocks=0" in found["off"],
           f"what is off is counted: {found['off']}")
    expect(not found["outside"], f"the page needs no other file: {found['outside']}")
    _, place = open_page(browser, page, folder, "--screenshot=shot.png")
    image = Image((place / "shot.png").read_bytes())
    for cell, status in expected.items():
        if status in COLOURS:
            box = cells[cell]
            share = image.count(box, COLOURS[status]) / (box["width"] * box["height"])
            expect(share > 0.5, f"{cell} can be seen as {status}: {share:.2f} of it")


def the_page(folder):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("no Chromium: the page was not opened")
        sys.exit(1 if os.environ.get("HEAPSTER_REQUIRE_ALL") else 77)
    copy = Copy(folder)
    copy.run()
    page = (copy.out / "page.html").read_text(encoding="utf-8")
    check(browser, page, folder)
    # What the check is for, it finds.
    for what, old, new in (
            ("a red cell as green", 'class="failed" data-cell="cc.broken.bad"', 'class="passed" data-cell="cc.broken.bad"'),
            ("a cell too few", 'data-cell="cc.plain.last"', 'data-nothing="1"'),
            ("a log that is missing", "what went wrong", "nothing"),
            ("no colours", "td.failed { background: #c62828", "td.failed { background: #fff"),
            ("a file from outside", "</h1>", '</h1><img src="other.png">'),
            ("a suppression", "Suppressions: 0", "Suppressions: 1")):
        expect(old in page, f"{what}: {old} is in the page")
        try:
            check(browser, page.replace(old, new), folder)
        except Wrong:
            continue
        raise Wrong(f"not found: {what}")


if __name__ == "__main__":
    run_tests([the_page])
