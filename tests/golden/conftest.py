"""Shared by the golden tests: where the expected answers are, and what is said of the tests that lack theirs.

Two sets of answers serve the same tests: those of packs/mini for drawn pictures, which are part of the project
(golden/mini), and those of FM_SHARED. Tests of the second kind that cannot run are one skip per file, which counts them.
ctest runs these files (label golden) and says in FM_INTERNALS and FM_PROGRAM what to test; a plain pytest over tests/
leaves them out, or it would run or skip them twice."""

import hashlib
import json
import os
import sys

import numpy as np
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SHARED = os.path.abspath(os.environ.get("FM_SHARED") or os.path.join(ROOT, os.pardir, "shared"))
MINI_PACK = os.path.join(ROOT, "packs", "mini")
REMAKE = "run a Python with onnxruntime, numpy and OpenCV: PYTHON tests/golden/make_expected_mini.py"
SKIPPED = 77  # ctest's SKIP_RETURN_CODE
if not os.environ.get("FM_INTERNALS") and not os.environ.get("FM_PROGRAM"):
    collect_ignore_glob = ["test_*.py"]

sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import draw_pictures  # noqa: E402


def has_shared():
    return os.path.exists(os.path.join(SHARED, "expected", "insightface.json"))


def needs_shared(item):
    return "shared" in item.fixturenames or "shared" in getattr(getattr(item, "callspec", None), "params", {}).values()


def pytest_collection_modifyitems(config, items):
    """Without the reference data one test of each file speaks for all that need it, and skips."""
    if has_shared():
        return
    lacking = {}
    for item in filter(needs_shared, items):
        lacking.setdefault(item.fspath, []).append(item)
    for tests in lacking.values():
        tests[0].add_marker(pytest.mark.skip(reason="%d test%s beside insightface's answers for photographs: FM_SHARED names no folder of "
                                             "reference data" % (len(tests), "s" * (len(tests) > 1))))
    left_out = [item for tests in lacking.values() for item in tests[1:]]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


@pytest.fixture(scope="session")
def shared():
    """The folder of reference data: FM_SHARED, or `shared` beside the project."""
    return SHARED


@pytest.fixture(scope="session")
def expected(shared):
    """Reads a JSON file of expected/ once."""
    read = {}

    def load(name):
        if name not in read:
            read[name] = read_json(os.path.join(shared, "expected", name))
        return read[name]

    return load


class SharedReference:
    """insightface's, OpenCV's and scikit-image's answers for photographs."""

    def __init__(self):
        self.folder = SHARED
        self.pictures = self.read("insightface.json")["images"]
        self.letterbox, self.alignment = self.read("letterbox.json"), self.read("alignment.json")
        self.nms_edge_cases = self.read("nms/edge_cases.json")["cases"]

    def read(self, name):
        return read_json(os.path.join(SHARED, "expected", name))

    def nms_lists(self):
        for name in ("dense", "sparse", "ties"):
            with np.load(os.path.join(SHARED, "expected", "nms", name + ".npz")) as data:
                yield name, dict(data)

    def raw(self):
        """A detector's nine outputs for one picture, and the faces they hold."""
        with np.load(os.path.join(SHARED, "expected", "scrfd_raw.npz")) as data:
            raw = {key: data[key] for key in data.files}
        entry = next(e for e in self.pictures if e["image"].endswith("photos/t1.jpg"))
        rivals = [face["rivals_within_0.002"]["count"] for face in entry["det_500m"]["faces"]]
        return dict(raw, rivals=rivals, side=640, scale=0.5, anchors=2, threshold=0.5)


class MiniReference:
    """Our own answers for drawn pictures, by make_expected_mini.py."""

    def __init__(self, folder):
        self.folder = folder
        answers = read_json(os.path.join(HERE, "mini", "expected.json"))
        self.models = answers["models"]
        self.pictures, self.letterbox = answers["images"], answers["letterbox"]
        self.nms_edge_cases = answers["nms_edge_cases"]
        self.alignment = read_json(os.path.join(HERE, "mini", "alignment.json"))
        with np.load(os.path.join(HERE, "mini", "arrays.npz")) as data:
            self.arrays = {key: data[key] for key in data.files}
        drawn = draw_pictures.draw_all(folder)
        assert drawn == [entry["image"] for entry in self.pictures], "other pictures than the expected ones: " + REMAKE

    def nms_lists(self):
        yield "heaps", {key[4:]: value for key, value in self.arrays.items() if key.startswith("nms_")}

    def raw(self):
        raw = dict(self.arrays, rivals=self.arrays["rivals"].tolist())
        return dict(raw, **{key: raw[key].item() for key in ("side", "scale", "anchors", "threshold")})


@pytest.fixture(scope="session")
def mini(tmp_path_factory):
    reference = MiniReference(str(tmp_path_factory.mktemp("drawn")))
    for name, digest in reference.models.items():
        with open(os.path.join(MINI_PACK, name), "rb") as file:
            assert hashlib.sha256(file.read()).hexdigest() == digest, \
                "tests/golden/mini holds the answers of another %s: %s" % (name, REMAKE)
    listed = {model["file"]: model["sha256"] for model in read_json(os.path.join(MINI_PACK, "manifest.json"))["models"]}
    assert listed == reference.models, "packs/mini/manifest.json lists other networks than tests/golden/mini: " + REMAKE
    return reference


@pytest.fixture(scope="session", params=("mini", "shared"))
def reference(request):
    return request.getfixturevalue("mini") if request.param == "mini" else SharedReference()


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
