"""Shared by the command line's tests: running the program in a clean environment, pictures and networks with known answers.

ctest runs them (label cli) and says in FM_PROGRAM and FM_MAKE_PACK what to test; a plain pytest over tests/ leaves them out."""

import json
import math
import os
import re
import struct
import subprocess
import zlib

import pytest

from real import KINDS, Real

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIPPED = 77  # ctest's SKIP_RETURN_CODE
PROGRAM = os.environ.get("FM_PROGRAM", "")
if not PROGRAM:
    collect_ignore_glob = ["test_*.py"]


def pytest_sessionfinish(session, exitstatus):
    """A run in which nothing but skips happened is a skip, not a pass; 5: a whole module skipped itself."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus in (0, 5) and reporter and reporter.stats.get("skipped") and not reporter.stats.get("passed"):
        session.exitstatus = SKIPPED


class Ran:
    """What one run of the program left behind."""

    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout.decode(), done.stderr.decode()

    @property
    def records(self):
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def summary_line(self):
        return self.err.splitlines()[-1]


class Facemill:
    """Runs the program with no FM_ variables and no home but what a test gives it."""

    def __init__(self, home, **environment):
        self.program = PROGRAM
        self.home = home
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("FM_", "XDG_"))}
        self.environment = dict(clean, HOME=str(home), **environment)

    def __call__(self, *arguments, code=0, stdin=b"", before=None, **environment):
        """`before` is called in the new process: limits, another user."""
        done = subprocess.run([self.program] + [str(a) for a in arguments], input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=120, preexec_fn=before,
                              env=dict(self.environment, **{k: str(v) for k, v in environment.items()}))
        ran = Ran(done)
        if code is not None:
            assert ran.code == code, "exit code %d, expected %d\n%s\n%s" % (ran.code, code, ran.out[-2000:], ran.err[-2000:])
        return ran


@pytest.fixture
def facemill(tmp_path):
    """Without any runtime, config or pack."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    return Facemill(home)


@pytest.fixture(scope="session")
def runtime():
    """ONNX Runtime's library, found as the program finds it in the environment the tests were started in."""
    done = subprocess.run([PROGRAM, "providers", "--format", "jsonl"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    for line in done.stdout.decode().splitlines():
        row = json.loads(line)
        if row["provider"] == "ort:cpu" and row["available"]:
            return re.search(r"\((/[^,)]+)", row["detail"]).group(1)
    pytest.skip("no ONNX Runtime on this machine: set FM_ORT_LIBRARY, or run the set-up")


def builtin_pack():
    """Name of the pack inside the program; None when the build has none."""
    rows = Facemill("/nowhere")("models", "list", "--format", "jsonl").records
    return next((row["pack"] for row in rows if row.get("reason") == "built-in"), None)


@pytest.fixture(scope="session")
def builtin():
    """The name of the pack inside the program."""
    name = builtin_pack()
    if name is None:
        pytest.skip("this build has no pack inside (FM_BUILTIN_PACK is OFF)")
    return name


@pytest.fixture(scope="session")
def make_pack(tmp_path_factory):
    """A pack of small networks by the name of its variant."""
    made = {}

    def make(variant):
        if variant not in made:
            folder = tmp_path_factory.mktemp("packs") / variant
            subprocess.run([os.environ["FM_MAKE_PACK"], str(folder), "--variant", variant], check=True)
            made[variant] = folder
        return made[variant]

    return make


@pytest.fixture(scope="session")
def png_support():
    done = subprocess.run([PROGRAM, "version", "--format", "jsonl"], stdout=subprocess.PIPE, timeout=60)
    if "png" not in json.loads(done.stdout)["decoders"].split(","):
        pytest.skip("this build reads no PNG, which the tests' pictures are (FM_WITH_PNG)")


@pytest.fixture
def no_landmarks(make_pack):
    """A pack whose detector finds boxes alone: its faces cannot be aligned, though there is a recogniser."""
    return make_pack("normalised")


@pytest.fixture
def working(tmp_path, runtime, make_pack, png_support):
    """With a runtime and the `stock` pack, named by FM_PACK."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    return Facemill(home, FM_ORT_LIBRARY=runtime, FM_PACK=str(make_pack("stock")))


@pytest.fixture(scope="session")
def shared():
    folder = os.path.abspath(os.environ.get("FM_SHARED") or os.path.join(ROOT, os.pardir, "shared"))
    if not os.path.isdir(os.path.join(folder, "models")):
        pytest.skip("no models in %s: set FM_SHARED to the folder of test data" % folder)
    return folder


@pytest.fixture(params=KINDS)
def real(request, tmp_path):
    """Real networks and pictures with faces: a test that takes it runs on each kind there is here."""
    return Real(request.param, tmp_path)


# ---------------------------------------------------------------- pictures with known faces (tests/support/onnx_maker.h)

SIDE = 640
COLOURS = {(8, 0): (1, 0, 0), (8, 1): (0, 1, 0), (16, 0): (1, 0, 1), (16, 1): (0, 1, 1), (32, 0): (1, 1, 0), (32, 1): (0, 0, 1)}
BOX_BASE = ((1.5, 2.0, 2.5, 3.0), (2.0, 2.5, 3.0, 3.5))


class Square:
    """One face: a cell of the detector's grid in its colour."""

    def __init__(self, stride, anchor, column, row, level=255):
        self.stride, self.anchor, self.column, self.row, self.level = stride, anchor, column, row, level

    @property
    def match(self):
        on = COLOURS[self.stride, self.anchor]
        return sum((self.level - 127.5) / 128 if c else 127.5 / 128 for c in on)

    @property
    def box(self):
        x, y = self.column * self.stride, self.row * self.stride
        reach = [(base + 0.25 * self.match) * self.stride for base in BOX_BASE[self.anchor]]
        return [x - reach[0], y - reach[1], x + reach[2], y + reach[3]]

    @property
    def score(self):
        return 1 / (1 + math.exp(-(4 * self.match - 9.6)))


def png(squares=(), side=SIDE, width=None):
    """A black picture with the squares painted, as PNG: `side` rows of `width` (unset: the same) pixels."""
    width = width or side
    rows = [bytearray(width * 3) for _ in range(side)]
    for square in squares:
        pixel = bytes(c * square.level for c in COLOURS[square.stride, square.anchor])
        x = square.column * square.stride
        for row in rows[square.row * square.stride:(square.row + 1) * square.stride]:
            row[x * 3:(x + square.stride) * 3] = pixel * square.stride

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, side, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) +
            chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(row) for row in rows), 1)) + chunk(b"IEND", b""))


def numbered_squares(number):
    """`number` faces apart from one another, darker ones last."""
    return [Square(32, 0, 3 + 6 * (i % 3), 4 + 7 * (i // 3), 255 - 8 * i) for i in range(number)]


@pytest.fixture(scope="session")
def pictures():
    """Encoded pictures with 0 to 3 faces."""
    return [png(numbered_squares(i)) for i in range(4)]


@pytest.fixture
def folder(tmp_path, pictures):
    """photos/: a.png (1 face), b.PNG (2), c.png (3), notes.txt, .hidden.png, and sub/d.png (0)."""
    top = tmp_path / "photos"
    (top / "sub").mkdir(parents=True)
    (top / "a.png").write_bytes(pictures[1])
    (top / "b.PNG").write_bytes(pictures[2])
    (top / "c.png").write_bytes(pictures[3])
    (top / "notes.txt").write_text("no picture")
    (top / ".hidden.png").write_bytes(pictures[1])
    (top / "sub" / "d.png").write_bytes(pictures[0])
    return top
