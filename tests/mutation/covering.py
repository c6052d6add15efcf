"""Which tests run which lines, recorded by coverage while all tests of a part run once."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Generator
from pathlib import Path

import coverage
import pytest

from tests.mutation.mutants import Mutant

SECONDS = 20.0
"""Longest processor time in seconds of the tests chosen for one mutant, by the recorded run."""
_DATA = "lines.coverage"
_SECONDS = "seconds.json"
_MODULES = "modules.json"


class Stopwatch:
    """A pytest plugin that writes each test's processor time, and the modules loaded, to files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Time a test; other programs beside it do not count."""
        start = time.process_time()
        result = yield
        self.seconds[item.nodeid] = time.process_time() - start
        return result

    def pytest_sessionfinish(self) -> None:
        """Write the files."""
        (self.folder / _SECONDS).write_text(json.dumps(self.seconds))
        (self.folder / _MODULES).write_text(json.dumps(list(sys.modules)))


def recording_options(folder: Path, part: str) -> list[str]:
    """Return pytest's options that record the lines of a part's package for each test."""
    os.environ["COVERAGE_FILE"] = str(folder / _DATA)
    package = part.split("/")[0]
    return [f"--cov={package}", "--cov-context=test", "--cov-report=", "--cov-fail-under=0"]


class Covering:
    """The tests that run each line of a part, with their times.

    Args:
        folder: the copy of the repository in which the part's tests ran under a `Stopwatch` and
            `recording_options`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds: dict[str, float] = json.loads((folder / _SECONDS).read_text())
        self.modules: list[str] = json.loads((folder / _MODULES).read_text())
        data = coverage.CoverageData(str(folder / _DATA))
        data.read()
        self.lines = {
            str(Path(name).relative_to(folder)): data.contexts_by_lineno(name)
            for name in data.measured_files()
        }

    def tests(self, module: str, mutant: Mutant) -> list[str]:
        """List the tests that run a changed line: the module's own first, then the quickest.

        A line that only runs at import counts as run by every test that runs a line of the module,
        or, if there is none, by every test. If the line runs in a fixture, all tests of that file
        are listed: they may share the fixture.
        """
        found = mutant.lines and self._running(module, *mutant.lines)
        found = found or self._running(module, 1, 10**9) or set(self.seconds)
        chosen: list[str] = []
        total = 0.0
        for test in sorted(found & self.seconds.keys(), key=lambda t: self._order(module, t)):
            total += self.seconds[test]
            if total < SECONDS:
                chosen.append(test)
        return chosen

    def _running(self, module: str, first: int, last: int) -> set[str]:
        """Return the tests that run one of the lines from `first` to `last`."""
        lines = self.lines.get(module, {})
        tests: set[str] = set()
        for line, contexts in lines.items():
            if first <= line <= last:
                for test, _, phase in (context.rpartition("|") for context in contexts):
                    if phase == "run":
                        tests.add(test)
                    elif phase == "setup":
                        file = test.partition("::")[0]
                        tests |= {t for t in self.seconds if t.partition("::")[0] == file}
        return tests

    def time(self, tests: list[str]) -> float:
        """Return the seconds that tests took."""
        return sum(self.seconds[test] for test in tests)

    def _order(self, module: str, test: str) -> tuple[bool, float, str]:
        own = Path(test.partition("::")[0]).name.startswith(f"test_{Path(module).stem}")
        return not own, self.seconds[test], test
