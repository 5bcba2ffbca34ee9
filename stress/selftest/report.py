#!/usr/bin/env python3
"""The reports of a suite that selftest/report.c makes up: is all of it there, and does the page draw it?

    report.py KIT_REPORT

JSON and JUnit are read and compared with what is computed here once more. The page is opened in Chromium: what it
says and how many points and cells it draws is asked of its document, and that they can be seen, in their colours, of a
screenshot. Pages that were tampered with must be found out. Exit status 0, 1 where something is wrong, 77 where there
is no Chromium (1 all the same if HEAPSTER_REQUIRE_ALL is set).
"""
import bisect
import json
import math
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import urllib.parse
import xml.etree.ElementTree as xml
import zlib

SECONDS = 120  # for any program that is run here
SKIPPED = 77
LAST = 2**64 - 1


class Wrong(Exception):
    pass


def expect(holds, what):
    if not holds:
        raise Wrong(f"not so: {what}")


def expect_equal(found, expected, what):
    if found != expected:
        raise Wrong(f"{what}: {str(found)[:300]!r}, expected {str(expected)[:300]!r}")


def run(command, **more):
    """Its own process group, so that nothing of it is left after the time is over."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                          **more) as process:
        try:
            out, err = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise Wrong(f"{command[0]} took more than {SECONDS} s") from None
        return process.returncode, out, err


# ---- what selftest/report.c makes up ----------------------------------------------------------------------------

CALLS = ["allocate", "resize", "release"]
LEASTS = [0, 1, 2, 3] + [step << power for power in range(39) for step in range(4, 8)]


def characters(text):
    """Well-formed UTF-8, each other byte replaced."""
    out = ""
    while text:
        for length in (1, 2, 3, 4):
            try:
                out += text[:length].decode()
                break
            except UnicodeDecodeError:
                continue
        else:
            length = 1
            out += "\ufffd"
        text = text[length:]
    return out


def nasty_reason():
    text = (b"</script><script>window.onerror('x')</script><!-- \"quotes\" 'and' ]]> &amp; \\ \n\t"
            b"\xC3\xA9 \xF0\x9F\x92\xA5 \xEF\xBF\xBF \xED\xA0\x80 \xC0\xAF \xF4\x90\x80\x80 \xE2\x82")
    return characters(text + bytes(i % 255 + 1 for i in range(511 - len(text))) + b"\xC3")


def samples(count, knows_held):
    return [[0.05 * (i + 1), 0.05 * (i + 1) * 1.75, (i + 1) * 10000 + i % 3 * 900, (i % 20 + 1) << 18,
             (i % 20 + 9) << 18, (i % 20 + 5) << 18 if knows_held else 0] for i in range(count)]


def histogram(counts):
    """From calls by bucket, the quantiles by rank."""
    total, out = sum(counts.values()), {}
    for name, share in (("p50", 0.5), ("p99", 0.99), ("p99_9", 0.999)):
        seen = 0
        for bucket in sorted(counts):
            seen += counts[bucket]
            if seen >= share * total:
                out[name] = (LEASTS[bucket + 1] if bucket + 1 < len(LEASTS) else 2**41) - 1
                break
        else:
            out[name] = 0
    return {"count": total, **out, "buckets": [[LEASTS[bucket], counts[bucket]] for bucket in sorted(counts)]}


def plain_latency(call):
    counts = {}
    for i in range(3000):
        bucket = bisect.bisect_right(LEASTS, (20 + i % 40 + (i * i if i % 50 == 0 else 0)) << 2 * call) - 1
        counts[bucket] = counts.get(bucket, 0) + 1
    return histogram(counts)


def contention(count):
    return [[i, 100000 + i * 1000, i % 5 * 700] for i in range(count)]


def picture(spans, cells):
    kinds = [[250, 0, 0], [0, 250, 0], [0, 0, 250], [100, 50, 75]]
    return {"cell_bytes": 256, "blocks": 54321, "bytes_left_out": 12288 if spans == 256 else 0, "share_whole": 250,
            "spans": [[hex(0x7F0000000000 + i * 0x100000), cells * 256, i // 4, i * cells, cells]
                      for i in range(spans)],
            "cells": [share for i in range(spans * cells) for share in kinds[i % 4]]}


def row(scenario, summary, verdict, **more):
    nothing = histogram({})
    out = {"scenario": scenario, "summary": summary, "strategy": "best", "cache": "on", "verdict": verdict,
           "reason": "",
           "command": f"HEAPSTER_OPTIONS='fill=on' heapster-stress --seed 1 \"{scenario}\" && echo <done>",
           "ops": 0, "ops_per_second": 0, "seconds": 0, "cpu_seconds": 0, "checks": 0, "tolerated": 0,
           "peak_resident_bytes": 0,
           "samples": [], "latency": {call: nothing for call in CALLS}, "contention": [], "picture": None}
    return out | more


ROWS = [
    row("plain", "what nearly every row looks like", "passed", ops=1234567, seconds=2.5, cpu_seconds=4.25, checks=123,
        ops_per_second=493826.8, peak_resident_bytes=42 << 20, samples=samples(40, True),
        latency={name: plain_latency(i) for i, name in enumerate(CALLS)}, contention=contention(8),
        picture=picture(9, 31)),
    row("nasty", "a failure whose reason is every byte there is", "failed", cache="off", reason=nasty_reason(), ops=77,
        seconds=0.125, ops_per_second=616, samples=samples(1, True)),
    row("absent", "skipped", "skipped", strategy="-", cache="-", reason='needs <Heapster> & its "arenas"'),
    row("full", "as much as a result can hold", "passed", cache="off", ops=LAST, checks=LAST, tolerated=LAST,
        peak_resident_bytes=LAST,
        samples=samples(512, False), contention=contention(256), picture=picture(256, 24),
        latency={"allocate": histogram({i: 1 << i % 40 for i in range(160)}), "resize": histogram({}),
                 "release": histogram({})}),
    row("bare", "passed without a single sample", "passed", ops=5, seconds=0.001, ops_per_second=5000, checks=1),
    row("never", "not run", "not run", cache="off"),
]

REPORT = {
    "allocator": 'libother & "sons".so',
    "options": {"seed": str(LAST), "threads": 8, "seconds": None, "ops": 150000, "strategy": "best", "cache": "both",
                "arenas": 3,
                "same_process": False},
    "began": 1700000000.25, "ended": 1700000012.75,
    "summary": {"passed": 3, "failed": 2, "skipped": 1},
    "rows": ROWS,
}


# ---- JSON and JUnit ---------------------------------------------------------------------------------------------

def compare(found, expected, where):
    """Numbers that are not whole within a millionth."""
    if isinstance(expected, dict):
        expect_equal(sorted(found), sorted(expected), f"fields of {where}")
        for name, value in expected.items():
            compare(found[name], value, f"{where}.{name}")
    elif isinstance(expected, list):
        expect_equal(len(found), len(expected), f"length of {where}")
        for i, value in enumerate(expected):
            compare(found[i], value, f"{where}[{i}]")
    elif isinstance(expected, float):
        expect(math.isclose(found, expected, rel_tol=1e-6), f"{where}: {found}, expected {expected}")
    else:
        expect_equal(found, expected, where)


def refuse_constant(name):
    raise Wrong(f"{name} is no JSON")


def check_json(text):
    expect(b"<" not in text, "the report may stand in a page")
    report = json.loads(text.decode(), parse_constant=refuse_constant)
    expect(re.fullmatch(r"\d+\.\d+\.\d+", report.pop("heapster", "")), "the version of the program")
    compare(report, REPORT, "report")


def in_xml(text):
    """Characters that XML does not know are replaced."""
    return "".join(each if each in "\t\n\r" or " " <= each and each not in "\ufffe\uffff" else "\ufffd"
                   for each in text)


def class_name(row):
    """A testcase's, with the mode of the cache where there is one."""
    return f"heapster-stress.{row['strategy']}" + (f".cache-{row['cache']}" if row["cache"] != "-" else "")


def check_junit(text):
    root = xml.fromstring(text)
    suite = root.find("testsuite")
    for element in (root, suite):
        counts = {name: element.get(name) for name in ("tests", "failures", "errors", "skipped", "time")}
        expect_equal(counts, {"tests": "6", "failures": "2", "errors": "0", "skipped": "1", "time": "2.626"},
                     f"counts of {element.tag}")
    expect_equal(suite.get("timestamp"), "2023-11-14T22:13:20", "timestamp")
    properties = {each.get("name"): each.get("value") for each in suite.find("properties")}
    expect_equal(properties, {"allocator": REPORT["allocator"], "seed": str(LAST), "threads": "8"}, "properties")
    cases = suite.findall("testcase")
    expect_equal(len(cases), len(ROWS), "testcases")
    for case, each in zip(cases, ROWS):
        expect_equal((case.get("classname"), case.get("name")),
                     (class_name(each), each["scenario"]), "name of a testcase")
        expect_equal(case.get("time"), f"{each['seconds']:.3f}", f"time of {each['scenario']}")
        inside = [(part.tag, part.get("message"), part.text) for part in case]
        reason = in_xml(each["reason"])
        expect_equal(inside, {
            "passed": [],
            "failed": [("failure", reason.split("\n")[0], reason + "\n" + each["command"])],
            "skipped": [("skipped", reason, None)],
            "not run": [("failure", "not run", "not run\n" + each["command"])],
        }[each["verdict"]], f"outcome of {each['scenario']}")


def write_report(program, kind, path):
    status, out, err = run([program, kind, path])
    expect_equal((status, err), (0, b""), f"kit-report {kind}")
    return out


def check_files(program, folder):
    for kind, check in (("json", check_json), ("junit", check_junit)):
        path = os.path.join(folder, kind)
        expect_equal(write_report(program, kind, path), b"", f"standard output while {kind} goes to a file")
        with open(path, "rb") as file:
            text = file.read()
        check(text)
        expect_equal(write_report(program, kind, "-"), text, f"{kind} on standard output")
        for place, why in ((os.path.join(folder, "no", "such"), b"No such file"), ("/dev/full", b"No space left")):
            status, _, err = run([program, kind, place])
            expect(status == 1 and why in err, f"{kind} to {place}: status {status}, {err!r}")
    status, _, err = run([program, "html", "/dev/full"])
    expect(status == 1 and b"No space left" in err, f"html to /dev/full: status {status}, {err!r}")


# ---- the page, in the browser -----------------------------------------------------------------------------------

# Added to the page: uses it as people do, then writes down what is there.
PROBE = """
<script>
addEventListener("load", () => {
    const all = (selector, root = document) => [...root.querySelectorAll(selector)];
    const named = name => document.querySelector(`[data-row="${name}"]`);
    const text = (selector, root = document) => root.querySelector(selector)?.textContent ?? null;
    const box = element => {
        const {left, top, width, height} = element.getBoundingClientRect();
        return {left: left + scrollX, top: top + scrollY, width, height};
    };
    const colour = name => {
        const swatch = document.createElement("i");
        swatch.style.color = `var(--${name})`;
        document.body.append(swatch);
        const numbers = getComputedStyle(swatch).color.match(/\\d+/g).map(Number);
        swatch.remove();
        return numbers;
    };
    const moves = (path, letters) => (path.getAttribute("d").match(letters) ?? []).length;
    const overlaps = drawing => {
        const boxes = all("text", drawing).map(each => each.getBoundingClientRect());
        const frame = drawing.getBoundingClientRect();
        const hit = (a, b) => a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom;
        return boxes.filter((one, i) => one.left < frame.left - 1 || one.right > frame.right + 1 ||
            boxes.slice(i + 1).some(other => hit(one, other))).length;
    };
    const chart = section => ({
        empty: text(".empty", section), box: box(section.querySelector("svg, .arenas, .empty")),
        legend: text(".legend", section),
        points: Object.fromEntries(all("[data-series]", section).map(path =>
            [path.dataset.series, moves(path, path.closest("[data-chart=latency]") ? /H/g : /[ML]/g)])),
        places: Object.fromEntries(all("[data-series]", section).map(path => [path.dataset.series,
            [...path.getAttribute("d").matchAll(/(?:[ML]([0-9.]+) |V)([0-9.]+)/g)].map(([, x, y]) =>
                [Number(x), Number(y)])])),
        bars: all("[data-bar]", section).map(bar => [Number(bar.dataset.bar), box(bar)]),
        cells: all("[data-cells]", section).reduce((sums, path) =>
            ({...sums, [path.dataset.cells]: (sums[path.dataset.cells] ?? 0) + moves(path, /M/g)}), {}),
        arenas: all(".arena", section).length,
        overlaps: all("svg", section).reduce((sum, drawing) => sum + overlaps(drawing), 0),
    });
    const rows = () => all("tbody").filter(body => !body.hidden).map(body => body.dataset.row);
    const open = () => all("tbody.open").map(body => body.dataset.row);
    const tell = found => {
        const out = document.createElement("pre");
        out.id = "probe";
        out.hidden = true;
        found.errors = [document.documentElement.dataset.error ?? null, document.getElementById("error").hidden,
            text("#error")];
        out.textContent = encodeURIComponent(JSON.stringify(found));
        document.body.append(out);
    };
    if (document.querySelector("tbody") === null)
        return tell({});
    const found = {openAtFirst: open(), headline: text("#verdict"), facts: text("#facts")};
    const wanted = OPEN;
    if (wanted === null) {
        document.getElementById("open-all").click();
    } else {
        document.getElementById("close-all").click();
        wanted.forEach(name => named(name).querySelector("button").click());
    }
    found.open = open();
    found.rows = all("tbody").map(body => ({
        name: body.dataset.row, texts: all("tr:first-child td", body).map(cell => cell.textContent),
        reason: text("pre.reason", body), command: text("pre.command", body),
        nothing: all(".card", body).length === 1 ? text(".card .empty", body) : null,
        charts: Object.fromEntries(all("[data-chart]", body).map(section => [section.dataset.chart, chart(section)])),
    }));
    found.colours = Object.fromEntries(["blue", "orange", "grey", "green", "purple", "page"].map(name =>
        [name, colour(name)]));
    found.height = document.documentElement.scrollHeight;
    found.tooWide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    if (wanted === null) {
        const search = document.getElementById("search");
        const type = words => {
            search.value = words;
            search.dispatchEvent(new Event("input"));
        };
        const press = (name, root) => all(`${root} button`).find(each => each.textContent.startsWith(name)).click();
        found.tips = Object.fromEntries(all("[data-row=plain-best-on] [data-chart]").map(section => {
            const drawing = section.querySelector("svg"), {left, top, width, height} = drawing.getBoundingClientRect();
            const cell = section.dataset.chart === "heap"; // the first one lies beside its span's address
            const place = {clientX: left + (cell ? 115 : width * 0.6), clientY: top + (cell ? 6 : height / 2)};
            const move = type => drawing.dispatchEvent(new PointerEvent(type, place));
            move("pointermove");
            const shown = document.getElementById("tip").hidden ? null : text("#tip");
            move("pointerleave");
            return [section.dataset.chart, [shown, document.getElementById("tip").hidden]];
        }));
        type("HEAPSTER");
        found.searched = rows();
        type("");
        press("passed", "#verdicts");
        found.filtered = rows();
        press("all", "#verdicts");
        press("operations", "thead");
        found.sorted = rows();
        press("operations", "thead");
        press("operations", "thead");
        found.unsorted = rows();
    }
    tell(found);
});
</script>
"""

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
         "--force-device-scale-factor=1", "--virtual-time-budget=3000"]


class Browser:
    """Opens pages, each in a fresh profile."""

    def __init__(self, program, folder):
        self.program, self.folder, self.opened = program, folder, 0

    def open(self, page, opened=None, size=(1280, 1000), fragment="", more=()):
        """A page with the probe; `opened` rows, or all."""
        self.opened += 1
        place = os.path.join(self.folder, f"page{self.opened}")
        os.mkdir(place)
        path = os.path.join(place, "page.html")
        probe = PROBE.replace("OPEN;", json.dumps(opened) + ";")
        expect(page.count(b"</body>") == 1, "one end of the page's body")
        with open(path, "wb") as file:
            file.write(page.replace(b"</body>", probe.encode() + b"</body>"))
        environment = os.environ | {"HOME": place}
        status, out, err = run([self.program, *FLAGS, f"--user-data-dir={place}/profile",
                                f"--window-size={size[0]},{size[1]}", *more, f"file://{path}{fragment}"],
                               env=environment, cwd=place)
        expect_equal(status, 0, f"status of the browser: {err[-300:]!r}")
        return out.decode(errors="replace"), place

    def look(self, page, **how):
        """What the probe found."""
        text, _ = self.open(page, more=["--dump-dom", *how.pop("more", ())], **how)
        found = re.search(r'<pre id="probe"[^>]*>([^<]*)</pre>', text)
        expect(found, "the page came to its end")
        return json.loads(urllib.parse.unquote(found.group(1)))

    def shoot(self, page, **how):
        _, place = self.open(page, more=["--screenshot=shot.png"], **how)
        with open(os.path.join(place, "shot.png"), "rb") as file:
            return Image(file.read())


class Image:
    """A PNG of eight bits for each channel, as browsers write it."""

    def __init__(self, data):
        expect(data.startswith(b"\x89PNG\r\n\x1a\n"), "the screenshot is a PNG")
        place, packed = 8, b""
        while place < len(data):
            length, kind = struct.unpack(">I4s", data[place:place + 8])
            part = data[place + 8:place + 8 + length]
            place += length + 12
            if kind == b"IHDR":
                self.width, self.height, depth, colours = struct.unpack(">IIBB", part[:10])
                expect(depth == 8 and colours in (2, 6), "a PNG of eight bits for each channel")
                self.channels = 3 if colours == 2 else 4
            elif kind == b"IDAT":
                packed += part
        self.rows = list(self.unfilter(zlib.decompress(packed)))

    def unfilter(self, raw):
        step, length = self.channels, self.width * self.channels
        above = bytearray(length)
        for y in range(self.height):
            start = y * (length + 1)
            kind, line = raw[start], bytearray(raw[start + 1:start + 1 + length])
            if kind == 2:
                line = bytearray((a + b) & 255 for a, b in zip(line, above))
            elif kind != 0:
                self.unfilter_line(kind, line, above, step)
            yield bytes(line)
            above = line

    @staticmethod
    def unfilter_line(kind, line, above, step):
        for x, byte in enumerate(line):
            left, up, corner = (line[x - step], above[x], above[x - step]) if x >= step else (0, above[x], 0)
            if kind == 1:
                guess = left
            elif kind == 3:
                guess = (left + up) // 2
            else:
                to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
                guess = left if to_left <= to_up and to_left <= to_corner else up if to_up <= to_corner else corner
            line[x] = (byte + guess) & 255

    def count(self, box, colour, tolerance=6):
        """How many pixels of a box have that colour."""
        left, top = max(0, round(box["left"])), max(0, round(box["top"]))
        right, bottom = round(box["left"] + box["width"]), round(box["top"] + box["height"])
        expect(right <= self.width and bottom <= self.height, "the box lies in the screenshot")
        total = 0
        for line in self.rows[top:bottom]:
            for x in range(left * self.channels, right * self.channels, self.channels):
                total += all(abs(line[x + i] - colour[i]) <= tolerance for i in range(3))
        return total


# ---- what the page must say and draw ----------------------------------------------------------------------------

THIN = "\u202f"
LINES = ["throughput", "processors", "memory", "fragmentation"]
SERIES = {"throughput": ["operations/s"], "processors": ["processors"], "memory": ["live", "held", "RSS"],
          "fragmentation": ["not live"]}


def expected_points(chart, each):
    if chart in LINES:
        names = [name for name in SERIES[chart] if name != "held" or any(sample[5] for sample in each["samples"])]
        return {name: len(each["samples"]) for name in names} if each["samples"] else {}
    if chart != "latency":
        return {}
    out = {}
    for call in CALLS:
        used = [LEASTS.index(least) for least, _ in each["latency"][call]["buckets"]]
        if used:
            out[call] = used[-1] - used[0] + 1
    return out


def expected_cells(each):
    if each["picture"] is None:
        return {}
    cells = each["picture"]["cells"]
    return {"all": len(cells) // 3} | {name: sum(1 for share in cells[i::3] if share)
                                       for i, name in enumerate(("live", "kept", "free"))}


def check_proportions(found, expected, where):
    """Up to the tenth of a pixel that drawings are rounded to."""
    top = max(range(len(expected)), key=lambda i: expected[i])
    scale = found[top] / expected[top] if expected[top] else 0
    for value, height in zip(expected, found, strict=True):
        expect(abs(height - value * scale) <= 0.16, f"{where}: {value:g} stands at {height:g}, not {value * scale:g}")


CHART_BOTTOM = 200 - 34


def check_lines(drawn, each, where):
    """Where the points of lines stand, against the samples."""
    def rates(field):
        before = [[0] * 6] + each["samples"]
        return [(after[field] - sample[field]) / (after[0] - sample[0]) for sample, after in zip(before, before[1:])]

    at, base = list(zip(*each["samples"])), 5 if each["samples"][0][5] else 4
    expected = {"operations/s": rates(2), "processors": rates(1), "live": at[3], "held": at[5], "RSS": at[4],
                "not live": [(all_of_it - live) / all_of_it for live, all_of_it in zip(at[3], at[base])]}
    for name, places in drawn["places"].items():
        left = 2 * places[0][0] - places[1][0] if len(places) > 1 else 0
        check_proportions([CHART_BOTTOM - y for _, y in places], expected[name], f"{where}, {name}, height")
        if len(places) > 1:
            check_proportions([x - left for x, _ in places], at[0], f"{where}, {name}, time")


def check_histogram(drawn, each, where):
    for call, places in drawn["places"].items():
        counts = dict(each["latency"][call]["buckets"])
        first = LEASTS.index(min(counts))
        heights = [math.log10(2 * counts.get(LEASTS[first + i], 0.5)) for i in range(len(places) - 2)]
        check_proportions([CHART_BOTTOM - y for _, y in places[1:-1]], heights, f"{where}, {call}")


def check_charts(found, each):
    name = each["scenario"]
    if not each["samples"]:
        expect_equal(found["nothing"], "no data", f"{name}: the only box")
        return
    expect_equal(list(found["charts"]), LINES + ["latency", "contention", "heap"], f"{name}: charts")
    for chart, drawn in found["charts"].items():
        points, where = expected_points(chart, each), f"{name}, {chart}"
        expect_equal(drawn["points"], points, f"{where}: points of each path")
        bars = [bar[2] for bar in each["contention"]] if chart == "contention" else []
        expect_equal([bar[0] for bar in drawn["bars"]], bars, f"{where}: bars")
        cells = expected_cells(each) if chart == "heap" else {}
        expect_equal(drawn["cells"], cells, f"{where}: cells")
        expect_equal(drawn["empty"], None if points or bars or cells else "no data", f"{where}: emptiness")
        expect_equal(drawn["overlaps"], 0, f"{where}: texts over one another")
        if chart in LINES:
            check_lines(drawn, each, where)
        elif chart == "latency":
            check_histogram(drawn, each, where)
        elif bars:
            check_proportions([box["height"] for _, box in drawn["bars"]],
                              [contended / acquired for _, acquired, contended in each["contention"]], where)
    if each["picture"] is not None:
        expect_equal(found["charts"]["heap"]["arenas"], len({span[2] for span in each["picture"]["spans"]}),
                     f"{name}: arenas of the heap")
        expect("256" + THIN + "B" in found["charts"]["heap"]["legend"], f"{name}: bytes of a cell")
    base = "held" if any(sample[5] for sample in each["samples"]) else "RSS"
    expect_equal(found["charts"]["fragmentation"]["legend"], f"({base} \u2212 live) / {base}", f"{name}: of what")


def check_rows(found):
    expect_equal([each["name"] for each in found["rows"]],
                 [f"{each['scenario']}-{each['strategy']}-{each['cache']}" for each in ROWS], "rows of the table")
    for shown, each in zip(found["rows"], ROWS):
        name = each["scenario"]
        expect_equal(shown["texts"][:4], [name, each["strategy"], each["cache"], each["verdict"]],
                     f"{name}: first columns")
        expect_equal(len(shown["texts"]), 17 if each["verdict"] in ("passed", "failed") else 5, f"{name}: columns")
        expect_equal(shown["command"], each["command"], f"{name}: command")
        expect_equal(shown["reason"], each["reason"] if each["verdict"] == "failed" else None, f"{name}: reason")
        check_charts(shown, each)
    plain = found["rows"][0]["texts"]
    expect_equal([text.replace(THIN, " ") for text in plain[4:11]],
                 ["1,234,567", "494 k", "123", "42.0 MiB", "47 ns", "2.62 ms", "8.39 ms"], "plain: numbers")
    expect_equal(found["rows"][2]["texts"][4], ROWS[2]["reason"], "why a row was skipped")


TIPS = {
    "throughput": r"at 1\.\d\d s\noperations/s: [\d,]+", "processors": r"at 1\.\d\d s\nprocessors: 1\.75",
    "memory": r"at 1\.\d\d s\nlive: [\d.]+ [KM]iB\nheld: [\d.]+ MiB\nRSS: [\d.]+ MiB",
    "fragmentation": r"at 1\.\d\d s\nnot live: [\d.]+ %",
    "latency": r"[\d.]+ .?s to [\d.]+ .?s\nallocate: \d+\nresize: \d+\nrelease: \d+",
    "contention": r"arena 4\nacquired 104,000 times\nfound taken 2,800 times, 2\.69 %",
    "heap": r"span 0x7f0000000000, 7\.75 KiB\ncell at \+0 B, 256 B\nlive 100 %, kept 0 %, free 0 %",
}


def check_tips(found):
    expect_equal(list(found), list(TIPS), "charts that tell more")
    for chart, (shown, hidden_after) in found.items():
        expect(shown and re.fullmatch(TIPS[chart], shown.replace(THIN, " ")), f"tip of {chart}: {shown!r}")
        expect(hidden_after, f"the tip of {chart} goes away")


def check_document(found):
    expect_equal(found["errors"], [None, True, ""], "errors of the page's script")
    expect_equal(found["headline"], "failed \u2014 2 failed (1 of them not run), 3 passed, 1 skipped", "verdict of all")
    for fact in (REPORT["allocator"], str(LAST), "2023-11-14 22:13:20 UTC", "12.5" + THIN + "s", "150,000"):
        expect(fact in found["facts"], f"the page says {fact}")
    expect_equal(found["openAtFirst"], ["nasty-best-off"], "rows that are open at first")
    expect(found["tooWide"] <= 0, f"the page is {found['tooWide']} pixels too wide")
    check_rows(found)
    check_tips(found["tips"])
    expect_equal(found["searched"], ["absent----"], "rows after a search")
    expect_equal(found["filtered"], ["plain-best-on", "full-best-off", "bare-best-on"], "rows that passed")
    expect_equal(found["sorted"][:3], ["full-best-off", "plain-best-on", "nasty-best-off"], "rows by operations")
    expect_equal(found["unsorted"], [each["name"] for each in found["rows"]], "rows as they were")


def check_pixels(browser, page):
    """The row that has everything, beside one that has nothing."""
    opened = ["plain-best-on", "absent----"]
    found = browser.look(page, opened=opened)
    expect_equal(found["open"], opened, "rows that were opened")
    image = browser.shoot(page, opened=opened, size=(1280, found["height"] + 40))
    colours, charts = found["colours"], found["rows"][0]["charts"]
    for chart, names in {"throughput": ["blue"], "processors": ["purple"], "memory": ["blue", "orange", "green"],
                         "fragmentation": ["blue"], "latency": ["blue", "orange", "green"]}.items():
        for name in names:
            seen = image.count(charts[chart]["box"], colours[name], 24)
            expect(seen >= 60, f"{chart}: {seen} pixels are {name}")
    for contended, bar in charts["contention"]["bars"]:
        seen, area = image.count(bar, colours["orange"]), bar["width"] * bar["height"]
        expect(abs(seen - area) <= 0.12 * area, f"bar of {contended}: {seen} pixels of {area:.0f}")
    for i, name in enumerate(("blue", "orange", "grey")):
        cells = ROWS[0]["picture"]["cells"][i::3]
        seen, area = image.count(charts["heap"]["box"], colours[name]), sum(cells) / 250 * 11 * 11
        expect(0.85 * area <= seen <= 1.05 * area, f"heap: {seen} pixels are {name}, expected {area:.0f}")
    card = found["rows"][2]
    expect_equal(card["nothing"], "no data", "a row without data")


def check_variants(browser, page):
    """Narrow and dark; a row that the address names; and nothing but skips."""
    dark = browser.look(page, size=(420, 1000), more=["--blink-settings=preferredColorScheme=0"])
    expect_equal(dark["colours"]["page"], [20, 24, 29], "background where dark is preferred")
    check_document(dark)
    expect_equal(browser.look(page, fragment="#bare-best-on")["openAtFirst"], ["bare-best-on"], "the row that was named")
    skips = REPORT | {"heapster": "1.2.3", "summary": {"passed": 0, "failed": 0, "skipped": 1}, "rows": [ROWS[2]]}
    start, end = page.index(b'{"heapster": '), page.index(b"</script>", page.index(b'{"heapster": '))
    idle = browser.look(page[:start] + json.dumps(skips).replace("<", "\\u003c").encode() + page[end:], opened=[])
    expect_equal(idle["errors"], [None, True, ""], "errors where all is skipped")
    expect_equal(idle["headline"], "nothing was run \u2014 0 failed, 0 passed, 1 skipped", "verdict of nothing")
    expect_equal(idle["openAtFirst"], [], "rows that are open where all is skipped")


def expect_found_out(what, pattern, check, *arguments):
    try:
        check(*arguments)
    except Wrong as finding:
        print(f"{what}: {finding}")
        expect(re.search(pattern, str(finding)), f"{what} is found out by {pattern!r}")
        return
    raise Wrong(f"{what}: not found out")


def replace_once(page, old, new):
    expect(page.count(old) >= 1, f"{old!r} is in the page")
    return page.replace(old, new, 1)


def check_page(browser, page):
    check_document(browser.look(page))


def check_tampered(browser, page):
    sample = re.search(rb'"samples": (\[[^\]]*\], )', page).group(1)
    expect_found_out("broken JSON", "errors of the page.*JSON", check_page, browser,
                     replace_once(page, b'"rows": [', b'"rows": '))
    expect_found_out("an error in the script", "errors of the page.*nothing is not defined", check_page, browser,
                     replace_once(page, b"table.openFirst();", b"table.openFirst(); nothing.like(that);"))
    expect_found_out("a sample less", "plain, throughput: points.*39.*40", check_page, browser,
                     replace_once(page, sample, b"["))
    expect_found_out("a cell less", "plain, heap: cells.*138.*139", check_page, browser,
                     replace_once(page, b'"cells": [250,0,0,', b'"cells": ['))
    expect_found_out("a sample that is wrong", "plain, memory, live, height", check_page, browser,
                     replace_once(page, b", 262144, ", b", 362144, "))
    expect_found_out("colourless", "0 pixels are", check_pixels, browser,
                     replace_once(page, b".dot, .solid { fill: var(--colour); }", b".solid { fill: none; }"))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    program = os.path.abspath(sys.argv[1])
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        check_files(program, folder)
        if browser is None:
            print("no Chromium: the page was not opened")
            return 1 if os.environ.get("HEAPSTER_REQUIRE_ALL") else SKIPPED
        path = os.path.join(folder, "report.html")
        write_report(program, "html", path)
        with open(path, "rb") as file:
            page = file.read()
        expect(not re.search(rb"""(?:src|href)\s*=|url\(|@import""", page), "the page loads nothing")
        browser = Browser(browser, folder)
        check_page(browser, page)
        check_pixels(browser, page)
        check_variants(browser, page)
        check_tampered(browser, page)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Wrong, OSError, ValueError, xml.ParseError) as finding:
        print(f"report.py: {finding}", file=sys.stderr)
        sys.exit(1)
