"""The rows and cells of cells.toml."""
import dataclasses
import fnmatch
import pathlib
import re
import tomllib

FOLDER = pathlib.Path(__file__).resolve().parent
BUILD = "build"  # the suite that every other one of its row needs
DEFAULT_SECONDS = 60
DEFAULT_LIMIT = 1200


class Wrong(Exception):
    """What was asked for does not exist or does not fit together."""


@dataclasses.dataclass
class Row:
    name: str
    preset: str
    compiler: str
    build: str  # the build folder's name
    arguments: list
    needs: list
    environment: dict
    cells: list


@dataclasses.dataclass
class Cell:
    row: Row
    suite: str
    only: str
    without: str
    why: str
    run: str
    built: bool
    may_be_empty: bool
    seconds: float
    limit: float

    @property
    def name(self):
        return f"{self.row.name}.{self.suite}"


class Table:
    def __init__(self, path):
        with open(path, "rb") as file:
            text = tomllib.load(file)
        self.patterns = {suite: re.compile(pattern) for suite, pattern in text["suites"].items()}
        self.rows = [make_row(row) for row in text["row"]]
        names = [row.name for row in self.rows]
        if len(set(names)) < len(names):
            raise Wrong(f"{path}: a row stands twice")
        for cell in self.cells():
            if not cell.run and cell.suite != BUILD and cell.suite not in self.patterns:
                raise Wrong(f"{path}: {cell.name} is of no suite, and does not say what to run")

    def cells(self):
        return [cell for row in self.rows for cell in row.cells]

    def suites(self):
        """The columns, in the order of their first cell, the build before all."""
        return list(dict.fromkeys([BUILD] + [cell.suite for cell in self.cells()]))

    def select(self, globs):
        """The cells that one of the patterns matches, with the builds that they need."""
        for glob in globs:
            if not any(fnmatch.fnmatchcase(cell.name, glob) for cell in self.cells()):
                raise Wrong(f"no cell matches {glob}; --list shows them")
        chosen = [cell for cell in self.cells()
                  if not globs or any(fnmatch.fnmatchcase(cell.name, glob) for glob in globs)]
        builds = {cell.row.build for cell in chosen}
        return [cell for cell in self.cells() if cell in chosen or (cell.suite == BUILD and cell.row.build in builds)]

    def suite_of(self, test):
        return next(suite for suite, pattern in self.patterns.items() if pattern.search(test))

    def tests_of(self, cell, tests):
        """Those of a build's tests, given by name, that the cell runs."""
        return [test for test in tests
                if self.suite_of(test) == cell.suite and (not cell.only or re.search(cell.only, test))
                and (not cell.without or not re.search(cell.without, test))]


def make_row(text):
    row = Row(text["name"], text["preset"], text.get("compiler", ""), text.get("build", text["name"]),
              text.get("cmake", []), text.get("needs", []), text.get("environment", {}), [])
    suites = dict(text["suites"])
    if row.build == row.name:
        suites.setdefault(BUILD, {})
    for suite, more in sorted(suites.items(), key=lambda item: item[0] != BUILD):
        unknown = set(more) - {"only", "without", "why", "run", "built", "may_be_empty", "seconds", "limit"}
        if unknown:
            raise Wrong(f"{row.name}.{suite}: unknown: {', '.join(sorted(unknown))}")
        if any(more.get(key) for key in ("only", "without", "built")) and not more.get("why"):
            raise Wrong(f"{row.name}.{suite} leaves tests out and does not say why")
        row.cells.append(Cell(row, suite, more.get("only", ""), more.get("without", ""), more.get("why", ""),
                              more.get("run", ""), more.get("built", False),
                              more.get("may_be_empty", False), more.get("seconds", DEFAULT_SECONDS),
                              more.get("limit", DEFAULT_LIMIT)))
    return row
