"""The page of a run: one file that needs no other, a grid of cells, and the log of each that is not green."""
import html
import pathlib
import re

import report

STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2em; color: #1c2126; background: #fff }
table { border-collapse: separate; border-spacing: 3px }
th { text-align: left; font-weight: 600; padding: 3px 8px }
td { padding: 3px 8px; min-width: 5.5em; border-radius: 3px; white-space: nowrap }
td.passed { background: #cfe9d2 } td.failed { background: #c62828; color: #fff; font-weight: 600 }
td.unavailable { background: #f3dc9a } td.unrun { background: #e3e6e9 } td.empty { background: #f0f1f2 } td.failed a { color: #fff }
small { opacity: .75 } pre { background: #f4f5f6; padding: 1em; overflow: auto; max-height: 40em; font-size: 12px }
.legend span { padding: 2px 8px; border-radius: 3px; margin-right: 1em }
"""
NAMES = {"passed": "green", "failed": "red", "unavailable": "unavailable", "empty": "no tests", "unrun": "not run"}


def anchor(cell):
    return "log-" + re.sub("[^A-Za-z0-9]", "-", cell.name)


def cell_html(cell, result):
    if cell is None:
        return "<td></td>"
    if result is None:
        return f'<td class="unrun" data-cell="{html.escape(cell.name)}">not run</td>'
    title = html.escape(result["why"] or cell.why)
    text = html.escape(report.cell_text(result))
    if result["status"] == "failed":
        text = f'<a href="#{anchor(cell)}">{text}</a>'
    more = f" <small>{result['tests']}</small>" if result["tests"] else ""
    if result["skipped"]:
        more += f" <small>({result['skipped']} skipped)</small>"
    narrowed = "<small>*</small>" if cell.why else ""
    return (f'<td class="{result["status"]}" data-cell="{html.escape(cell.name)}" title="{title}">'
            f"{text}{narrowed}{more}</td>")


def grid(table, cells, results):
    suites = [suite for suite in table.suites() if any(cell.suite == suite for cell in cells)]
    chosen = {(cell.row.name, cell.suite): cell for cell in cells}
    lines = ["<table id=grid><tr><th></th>" + "".join(f"<th>{html.escape(suite)}</th>" for suite in suites) + "</tr>"]
    for row in table.rows:
        if any(cell.row is row for cell in cells):
            line = "".join(cell_html(chosen.get((row.name, suite)), results.get(f"{row.name}.{suite}"))
                           for suite in suites)
            lines.append(f"<tr><th>{html.escape(row.name)}</th>{line}</tr>")
    return "\n".join(lines) + "</table>"


def logs(cells, results, runner):
    parts = []
    for cell in cells:
        result = results.get(cell.name)
        if not result or result["status"] != "failed":
            continue
        path = runner.log_path(cell)
        text = html.escape(report.log_end(path, 40000))
        where = html.escape(str(pathlib.Path("logs", path.name)))
        parts.append(f'<section id="{anchor(cell)}"><h3>{html.escape(cell.name)}: {html.escape(result["why"])}</h3>'
                     f'<p><a href="{where}">the whole log</a></p><pre>{text}</pre></section>')
    return "\n".join(parts)


def narrowed(cells):
    """Which cells run less than their suite, and why."""
    lines = []
    for cell in cells:
        if cell.only or cell.without or cell.built:
            what = (f"only {cell.only}" if cell.only else f"without {cell.without}" if cell.without
                    else "only what is built")
            lines.append(f"<li>{html.escape(cell.name)}: <code>{html.escape(what)}</code>: {html.escape(cell.why)}</li>")
    return f"<details><summary>* {len(lines)} cells run a part of their suite</summary><ul>{''.join(lines)}</ul></details>"


def switched_off(root):
    """What the sanitizers are told not to report, counted in their own files."""
    suppressions = sorted(pathlib.Path(root, "sanitizers/suppressions").glob("*.supp"))
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in suppressions)
    off = []
    for path in sorted(pathlib.Path(root, "sanitizers/options").glob("*.options")):
        off += [f"{path.stem}: {line}" for line in path.read_text(encoding="utf-8").splitlines()
                if re.match(r"detect_\w+=0$|--check-\w+=no$", line)]
    return lines, len(suppressions), off


def write(path, root, table, cells, results, runner):
    lines, files, off = switched_off(root)
    legend = "".join(f'<span class="{name}">{text}</span>' for name, text in NAMES.items())
    path.write_text(f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Heapster: the matrix</title><style>{STYLE}
{''.join(f'.legend .{name} {{ {rule} }}' for name, rule in legend_rules())}</style></head><body>
<h1>Heapster: the matrix</h1>
<p id=summary>{html.escape(report.summary_line(cells, results))}</p>
<p class=legend>{legend}</p>
{grid(table, cells, results)}
<p>Seconds, and the number of tests.</p>
{narrowed(cells)}
<p id=off>Suppressions: {lines} in {files} files. Checks that are off: {len(off)}{': ' if off else ''}{html.escape(', '.join(off))}
</p>
{logs(cells, results, runner)}
</body></html>
""", encoding="utf-8")


def legend_rules():
    return [(name, re.search(rf"td\.{name} {{ ([^}}]*) }}", STYLE)[1]) for name in NAMES]
