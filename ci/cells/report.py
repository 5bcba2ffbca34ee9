"""How a run ended: the table on the terminal and JUnit XML. The page is page.py's."""
import re
import xml.etree.ElementTree as xml

from table import BUILD

MARKS = {"passed": "ok", "failed": "RED", "unavailable": "none", "empty": "empty"}
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def cell_text(result):
    if result is None:
        return "-"
    if result["status"] in ("unavailable", "empty"):
        return MARKS[result["status"]]
    return f"{MARKS[result['status']]} {result['seconds']:.0f} s"


def print_table(table, cells, results):
    """Rows by suites; then, why a cell is not green."""
    suites = [suite for suite in table.suites() if any(cell.suite == suite for cell in cells)]
    rows = [row for row in table.rows if any(cell.row is row for cell in cells)]
    chosen = {(cell.row.name, cell.suite): cell for cell in cells}
    lines = [["", *suites]]
    for row in rows:
        line = [row.name]
        for suite in suites:
            cell = chosen.get((row.name, suite))
            line.append(cell_text(results.get(cell.name)) if cell else "")
        lines.append(line)
    widths = [max(len(line[column]) for line in lines) for column in range(len(suites) + 1)]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())
    for cell in cells:
        result = results.get(cell.name)
        if result and result["status"] in ("failed", "unavailable"):
            print(f"{cell.name}: {MARKS[result['status']]}: {result['why']}")
    print(summary_line(cells, results))


def summary_line(cells, results):
    count = {status: sum(1 for cell in cells if results.get(cell.name, {}).get("status") == status)
             for status in MARKS}
    seconds = sum(result["seconds"] for result in results.values())
    not_run = len(cells) - sum(count.values())
    return (f"matrix: {len(cells)} cells: {count['passed']} green, {count['failed']} red, "
            f"{count['unavailable']} unavailable, {count['empty']} empty, {not_run} not run, {seconds / 60:.1f} minutes")


def write_junit(path, cells, results, runner):
    """One suite for each cell, with ctest's own cases where it has written some."""
    root = xml.Element("testsuites", name="heapster matrix")
    for cell in cells:
        result = results.get(cell.name)
        if result is None:
            continue
        cases = cases_of(cell, result, runner)
        suite = xml.SubElement(root, "testsuite", name=cell.name, time=str(result["seconds"]), tests=str(len(cases)),
                               failures=str(sum(1 for case in cases if case.find("failure") is not None)),
                               skipped=str(sum(1 for case in cases if case.find("skipped") is not None)))
        suite.extend(cases)
    xml.indent(root)
    xml.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def cases_of(cell, result, runner):
    own = xml.Element("testcase", name=cell.suite, classname=cell.row.name, time=str(result["seconds"]))
    if result["status"] == "failed":
        xml.SubElement(own, "failure", message=result["why"]).text = log_end(runner.log_path(cell))
    elif result["status"] == "unavailable":
        xml.SubElement(own, "skipped", message=f"unavailable: {result['why']}")
    path = runner.junit_path(cell)
    if cell.suite == BUILD or not path.is_file() or result["status"] == "unavailable":
        return [own]
    cases = [own]
    for found in xml.parse(path).getroot().iter("testcase"):
        case = xml.SubElement(xml.Element("suite"), "testcase", name=found.get("name"), classname=cell.name,
                              time=found.get("time"))
        if found.get("status") in ("notrun", "disabled"):
            xml.SubElement(case, "skipped")
        elif found.get("status") != "run":
            output = found.findtext("system-out") or ""
            xml.SubElement(case, "failure", message="failed").text = NOT_IN_XML.sub("?", output[-8000:])
        cases.append(case)
    return cases


def log_end(path, characters=8000):
    if not path.is_file():
        return ""
    with open(path, "rb") as file:
        text = file.read().decode("utf-8", "replace")
    return NOT_IN_XML.sub("?", text[-characters:])
