"""Shared by the golden tests: where the expected answers are, and a whole run of skips told to ctest as a skip.

ctest runs them (label golden) and says in FM_INTERNALS and FM_PROGRAM what to test; a plain pytest over tests/ leaves
them out, or it would run or skip them twice."""

import json
import os

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SKIPPED = 77  # ctest's SKIP_RETURN_CODE
if not os.environ.get("FM_INTERNALS") and not os.environ.get("FM_PROGRAM"):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def shared():
    """The folder of test data: FM_SHARED, or `shared` beside the project."""
    folder = os.path.abspath(os.environ.get("FM_SHARED") or os.path.join(ROOT, os.pardir, "shared"))
    if not os.path.exists(os.path.join(folder, "expected", "insightface.json")):
        pytest.skip("no expected answers in %s: set FM_SHARED to the folder of test data" % folder)
    return folder


@pytest.fixture(scope="session")
def expected(shared):
    """Reads a JSON file of expected/ once."""
    read = {}

    def load(name):
        if name not in read:
            with open(os.path.join(shared, "expected", name), encoding="utf-8") as file:
                read[name] = json.load(file)
        return read[name]

    return load


class Worst:
    """Collects the worst of each figure over a test and prints it at the end (pytest -rP shows it)."""

    def __init__(self):
        self.figures = {}

    def note(self, name, value, where, high_is_bad=True):
        seen = self.figures.get(name)
        if seen is None or (value > seen[0] if high_is_bad else value < seen[0]):
            self.figures[name] = (value, where)

    def show(self):
        for name, (value, where) in self.figures.items():
            print("worst %-28s %-12.7g %s" % (name, value, where))


@pytest.fixture
def worst():
    figures = Worst()
    yield figures
    figures.show()


def pytest_sessionfinish(session, exitstatus):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == 0 and reporter.stats.get("skipped") and not reporter.stats.get("passed"):
        session.exitstatus = SKIPPED
