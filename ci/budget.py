"""The time that ./ci/test spent on each part of it, beside its budget (ci/budget): one table, from ctest's JUnit reports.

    budget.py BUDGET BUILDS REPORT...    the seconds of all builds; a report for each preset, called <preset>.xml
"""
import pathlib
import re
import sys
import xml.etree.ElementTree

BUILDS = 'builds'  # no test, but in the table
LINE = re.compile(r'(?P<part>\S+(?: \S+)*?) {2,}(?P<seconds>\d+) {2,}(?P<tests>\S+)$')


def read_budget(path):
    """Of each part its name, its seconds and the pattern of its tests, in their order."""
    parts = []
    for line in path.read_text(encoding='utf-8').splitlines():
        if line and not line.startswith('#'):
            match = LINE.match(line)
            if not match:
                sys.exit(f'{path}: no part: {line}')
            parts.append((match['part'], int(match['seconds']), re.compile(match['tests'])))
    return parts


def seconds_by_part(report, parts):
    """How long the tests of each part took, by its name."""
    spent = dict.fromkeys((name for name, _, _ in parts), 0.0)
    for case in xml.etree.ElementTree.parse(report).iter('testcase'):
        part = next((name for name, _, tests in parts if name != BUILDS and tests.match(case.get('name'))), None)
        if part is None:
            sys.exit(f'{report}: a test of no part: {case.get("name")}')
        spent[part] += float(case.get('time') or 0)
    return spent


def main():
    parts = read_budget(pathlib.Path(sys.argv[1]))
    build_seconds = float(sys.argv[2])
    reports = [pathlib.Path(name) for name in sys.argv[3:]]
    spent = {report.stem: seconds_by_part(report, parts) for report in reports}
    head = ''.join(f'{preset:>9}' for preset in spent)
    print(f'{"seconds of tests":<20}{head}{"all":>9}{"budget":>9}')
    for name, budget, _ in parts:
        shares = [by_part[name] for by_part in spent.values()]
        cells = ''.join(f'{share:>9.0f}' for share in shares)
        seconds = sum(shares)
        if name == BUILDS:
            cells = ' ' * len(cells)
            seconds = build_seconds
        mark = '  above its budget' if seconds > budget else ''
        print(f'{name:<20}{cells}{seconds:>9.0f}{budget:>9}{mark}')


if __name__ == '__main__':
    main()
