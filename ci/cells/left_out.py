"""What ./ci/test leaves to ci/matrix of a build's tests (ci/left_out): prints the pattern for ctest, and says on standard
error how many that are. Fails where one of them is in no cell of the matrix, or where a line is of no test any more.

    left_out.py PRESET [BUILD FOLDER]    by default build/<preset>
"""
import json
import pathlib
import re
import subprocess
import sys

import table

CI = pathlib.Path(__file__).resolve().parents[1]
# Of a pattern only what Python and ctest read alike.
LINE = re.compile(r'(?P<presets>\S+) +(?P<tests>\S+) {2,}(?P<why>\S.*)$')
# What no call of ctest by a preset runs (CMakePresets.json); ci/matrix does.
LONG = 'matrix'


def read_lines(path, preset):
    patterns = []
    for line in path.read_text(encoding='utf-8').splitlines():
        if line and not line.startswith('#'):
            match = LINE.match(line)
            if not match:
                sys.exit(f'{path}: cannot be read: {line}')
            if preset in match['presets'].split(','):
                patterns.append(match['tests'])
    return patterns


def tests_of(build):
    """By name, without those that are too long for any preset's tests."""
    listed = subprocess.run(['ctest', '--test-dir', str(build), '--show-only=json-v1'], capture_output=True, check=True,
                            stdin=subprocess.DEVNULL)
    labels = {test['name']: next((what['value'] for what in test['properties'] if what['name'] == 'LABELS'), [])
              for test in json.loads(listed.stdout)['tests']}
    return [name for name, of_test in labels.items() if LONG not in of_test]


def in_cells(preset, tests):
    """Those that some row of the preset runs."""
    whole = table.Table(CI / 'cells/cells.toml')
    cells = [cell for row in whole.rows if row.preset == preset for cell in row.cells
             if cell.suite != table.BUILD and not cell.run and not cell.built]
    return {test for cell in cells for test in whole.tests_of(cell, tests)}


def main():
    preset = sys.argv[1]
    build = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else CI.parent / 'build' / preset
    patterns = read_lines(CI / 'left_out', preset)
    if not patterns:
        return
    tests = tests_of(build)
    for pattern in patterns:
        if not any(re.search(pattern, test) for test in tests):
            sys.exit(f'ci/left_out: {preset} has no test {pattern}')
    left_out = [test for test in tests if any(re.search(pattern, test) for pattern in patterns)]
    nowhere = sorted(set(left_out) - in_cells(preset, left_out))
    if nowhere:
        sys.exit(f'left out, and in no cell of the matrix: {preset}: {", ".join(nowhere)}')
    print(f'{len(left_out)} of {len(tests)} tests are left to ci/matrix: ci/left_out', file=sys.stderr)
    print('|'.join(patterns))


if __name__ == '__main__':
    main()
