"""Installing packs: add, pull, remove, list. Downloads come from a server of the test's own, with faults to order; after every
failure the pack that was there must find faces as before, and nothing half done may lie around."""

import contextlib
import ctypes
import hashlib
import http.server
import io
import json
import os
import pty
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import zipfile

import pytest

from conftest import PROGRAM, Facemill, numbered_squares, png

LICENCE = "Testing only"


# ---------------------------------------------------------------- archives

def zipped(files, method=zipfile.ZIP_STORED):
    """A zip file of {name or ZipInfo: bytes}."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return out.getvalue()


def networks(pack, prefix=""):
    return [(prefix + file.name, file.read_bytes()) for file in sorted(pack.glob("*.onnx"))]


def entry(name, mode):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def patched(data, signature, offset, value, form):
    """Every header of a kind changed at an offset."""
    data = bytearray(data)
    at = data.find(signature)
    assert at >= 0
    while at >= 0:
        struct.pack_into(form, data, at + offset, value(struct.unpack_from(form, data, at + offset)[0]))
        at = data.find(signature, at + 4)
    return bytes(data)


def encrypted(data):
    return patched(patched(data, b"PK\3\4", 6, lambda flags: flags | 1, "<H"), b"PK\1\2", 8, lambda flags: flags | 1, "<H")


# ---------------------------------------------------------------- a server with faults

class Server(http.server.ThreadingHTTPServer):
    """Serves `data` at every path that ends in .zip or .onnx. `faults` are taken by one request each, in order:
    ("cut", N): close after N bytes; ("stall", N): wait after N bytes for `go`; ("dribble", SECONDS): a tenth of the file
    in every tenth of the time; ("status", N); ("redirect", URL)."""
    daemon_threads = True

    def __init__(self, data):
        super().__init__(("127.0.0.1", 0), Handler)
        self.data, self.etag, self.modified = data, '"one"', None
        self.ranges, self.length, self.delay = True, True, 0
        self.faults, self.seen, self.go = [], [], threading.Event()

    @property
    def base(self):
        return "http://127.0.0.1:%d" % self.server_address[1]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server = self.server
        fault, number = server.faults.pop(0) if server.faults else (None, 0)
        record = {"path": self.path, "range": self.headers.get("Range"), "if_range": self.headers.get("If-Range"), "sent": 0}
        server.seen.append(record)
        time.sleep(server.delay)
        if fault in ("status", "redirect"):
            self.send_response(number if fault == "status" else 302)
            if fault == "redirect":
                self.send_header("Location", number)
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"<html>")
            return
        start, data = 0, server.data
        valid = self.headers.get("If-Range") in (None, server.etag, server.modified)
        if server.ranges and record["range"] and valid:
            start = int(re.fullmatch(r"bytes=(\d+)-", record["range"]).group(1))
            if start >= len(data):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", "bytes %d-%d/%d" % (start, len(data) - 1, len(data)))
        else:
            self.send_response(200)
        for key, value in (("ETag", server.etag), ("Last-Modified", server.modified)):
            if value:
                self.send_header(key, value)
        if server.length:
            self.send_header("Content-Length", str(len(data) - start))
        else:
            self.close_connection = True
        self.end_headers()
        body = data[start:]
        first = body[:number] if fault in ("cut", "stall") else body
        if fault == "dribble":
            tenth = len(body) // 10 + 1
            for at in range(0, len(body), tenth):
                time.sleep(number / 10)
                self.wfile.write(body[at:at + tenth])
            record["sent"], first = len(body), b""
        with contextlib.suppress(OSError):
            self.wfile.write(first)
            self.wfile.flush()
            record["sent"] += len(first)
            if fault == "stall":
                server.go.wait(60)
                self.wfile.write(body[number:])
        if fault:
            self.close_connection = True


@pytest.fixture
def stock_zip(make_pack):
    return zipped(networks(make_pack("stock")))


@pytest.fixture
def server(stock_zip):
    running = Server(stock_zip)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield running
    running.go.set()
    running.shutdown()
    running.server_close()


# ---------------------------------------------------------------- the program

def need(library):
    """Both are looked for at run time; without them the program says what to do instead."""
    for name in ("lib%s.so.%d" % (library, number) for number in (5, 4)):
        with contextlib.suppress(OSError):
            ctypes.CDLL(name)
            return
    pytest.skip("no lib%s on this machine" % library)


class Place:
    """A home with an old pack 'old' that finds faces."""

    def __init__(self, facemill, tmp_path, make_pack):
        self.run, self.tmp = facemill, tmp_path
        self.packs = facemill.home / ".local/share/facemill/packs"
        (tmp_path / "a.png").write_bytes(png(numbered_squares(2)))
        facemill("models", "add", make_pack("stock"), "--name", "old", "--licence", LICENCE)
        self.before = self.state()

    def state(self):
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (self.packs / "old").iterdir()}

    def names(self):
        """What is visible in the packs folder, and what is being put together or away."""
        return sorted(name for name in os.listdir(self.packs) if not name.startswith((".lock-", ".part-")))

    def parts(self):
        return sorted(name for name in os.listdir(self.packs) if name.startswith(".part-"))

    def kept(self, *more):
        """The old pack is what it was, byte for byte; nothing else is there but `more`."""
        assert self.names() == sorted(("old",) + more)
        assert self.state() == self.before

    def check(self, *more):
        """The same, and it works."""
        self.kept(*more)
        assert len(self.run("detect", "--pack", "old", self.tmp / "a.png").records[0]["faces"]) == 2

    def archive(self, data, name="new.zip"):
        (self.tmp / name).write_bytes(data)
        return self.tmp / name


@pytest.fixture
def place(tmp_path, runtime, make_pack, png_support):
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    clean = Facemill(home, FM_ORT_LIBRARY=runtime, no_proxy="127.0.0.1", NO_PROXY="127.0.0.1")
    need("zip")
    return Place(clean, tmp_path, make_pack)


@pytest.fixture
def index(place, server):
    """--index FILE with the pack 'fresh' on the server."""
    need("curl")

    def write(name="fresh", **changes):
        row = {"name": name, "url": server.base + "/packs/%s.zip" % name, "sha256": hashlib.sha256(server.data).hexdigest(),
               "size": len(server.data), "licence": LICENCE, "licence_url": "https://example.org/licence"}
        row.update(changes)
        path = place.tmp / "index.json"
        path.write_text(json.dumps({"packs": [{key: value for key, value in row.items() if value is not None}]}))
        return path

    return write


def pull(place, index, *arguments, **keywords):
    return place.run("models", "pull", "fresh", "--index", index, "--accept-license", *arguments, **keywords)


# ---------------------------------------------------------------- add

def test_add_a_folder_a_file_and_a_zip(place, make_pack, stock_zip):
    ran = place.run("models", "add", make_pack("stock"), "--name", "folder", "--licence", "MIT", "--licence-url", "https://example.org/l")
    assert ran.records[0]["outcome"] == "installed" and ran.records[0]["files"] == 2
    assert len(ran.err.splitlines()) == 1 and "assumed" in ran.err
    manifest = json.loads((place.packs / "folder" / "manifest.json").read_text())
    assert manifest["name"] == "folder" and manifest["licence"] == {"name": "MIT", "url": "https://example.org/l"}
    assert all(len(model["sha256"]) == 64 for model in manifest["models"])
    ran = place.run("models", "add", place.archive(stock_zip, "packed.zip"))
    assert ran.records[0]["pack"] == "packed" and "licence of 'packed' is unknown" in ran.err
    ran = place.run("models", "add", sorted(make_pack("stock").glob("emb*.onnx"))[0], "--name", "one")
    assert "no detector" in ran.err
    place.check("folder", "one", "packed")
    for name in ("folder", "packed"):
        assert len(place.run("detect", "--pack", name, place.tmp / "a.png").records[0]["faces"]) == 2
        assert [r["verdict"] for r in place.run("models", "verify", name).records] == ["pass"] * 3


def test_model_options_reach_the_manifest(place, make_pack):
    file = sorted(make_pack("stock").glob("emb*.onnx"))[0].name
    place.run("models", "add", make_pack("stock"), "--name", "bgr", "--model-option", file + ":order=bgr", "--model-option", file + ":match=0.3")
    manifest = json.loads((place.packs / "bgr" / "manifest.json").read_text())
    model = [model for model in manifest["models"] if model["file"] == file][0]
    assert model["pixels"]["order"] == "bgr" and model["thresholds"]["match"] == 0.3
    ran = place.run("models", "add", make_pack("stock"), "--name", "no", "--model-option", file + ":order=blue", code=2)
    assert "order" in ran.err
    place.kept("bgr")


def test_what_cannot_be_used_says_why_and_how_it_could_be(place, shared):
    """A network of side 150, for which no crop is known: the words that refuse it lead to a pack that works."""
    folder = place.tmp / "strange"
    folder.mkdir()
    shutil.copy(os.path.join(shared, "models", "dlib_resnet_v1.onnx"), folder)
    reasons = {"dlib_resnet_v1.onnx": "no aligned crop of 150x150 is known"}
    for source in (folder / "dlib_resnet_v1.onnx", folder):
        err = place.run("models", "add", source, "--name", "new", code=3).err
        for file, reason in reasons.items():
            assert "%s: %s" % (file, reason) in err, err
        assert "say what it is: --model-option FILE:points=... --model-option FILE:side=... (docs/manifest.md)" in err, err
        assert "listed in the manifest" not in err, err
        shutil.copy(os.path.join(shared, "models", "pose_quality.onnx"), folder)
        reasons["pose_quality.onnx"] = "attribute network (input 96x96)"
    err = place.run("models", "add", folder, "--name", "old", "--replace", "--model-option", "dlib_resnet_v1.onnx:side=150", code=3).err
    assert "no aligned crop of 150x150" in err, err
    place.check()
    ran = place.run("models", "add", folder, "--name", "new", "--model-option", "dlib_resnet_v1.onnx:side=150", "--model-option",
                    "dlib_resnet_v1.onnx:points=53,60 97,60 75,86 57,110 93,110")
    assert ran.records[0]["useful"] == 1
    place.check("new")


def test_what_its_manifest_calls_unused_is_said_to_be(place, make_pack):
    folder = place.tmp / "none"
    folder.mkdir()
    shutil.copy(make_pack("stock") / "embedder.onnx", folder)
    (folder / "manifest.json").write_text(json.dumps({"facemill_pack": 1, "models": [{"file": "embedder.onnx", "task": "none"}]}))
    assert "embedder.onnx: for nothing that is run here, as its manifest says" in place.run("models", "add", folder, code=3).err
    place.kept()


def assumption(err):
    """What the one note says was assumed; "" without one."""
    notes = [line for line in err.splitlines() if "assumed" in line]
    assert len(notes) <= 1, err
    if not notes:
        return ""
    assert "--model-option embedder.onnx:KEY=VALUE" in notes[0], err
    return re.search(r"assumed (.*?);", notes[0]).group(1)


def test_what_was_assumed_of_a_recogniser_is_said(place, make_pack):
    pack, whole = make_pack("stock"), "order rgb, mean 127.5, std 127.5"

    def add(*options, source=pack):
        chosen = [word for option in options for word in ("--model-option", "embedder.onnx:" + option)]
        return assumption(place.run("models", "add", source, "--name", "new", "--replace", "--licence", LICENCE, *chosen).err)

    assert add() == whole and add("match=0.3") == whole and add(source=pack / "embedder.onnx") == whole
    assert add("order=bgr") == "mean 127.5, std 127.5" and add("mean=127.5", "std=128") == "order rgb"
    assert add("order=rgb", "mean=127.5", "std=127.5") == ""
    assert add(source=pack / "detector.onnx") == ""
    assert place.run("models", "add", pack, "--name", "new", "--replace", "--quiet").err == ""
    assert add(source=place.packs / "new") == "", "it came with a manifest that says all of it"
    came = place.tmp / "came"
    shutil.copytree(pack, came)
    (came / "manifest.json").write_text(json.dumps({"facemill_pack": 1, "models": [{"file": "embedder.onnx", "pixels": {"order": "bgr"}}]}))
    assert add(source=came) == "mean 127.5, std 127.5"


@pytest.mark.parametrize("prefix", ["antelopev2/antelopev2/", "antelopev2/", ""])
def test_nested_folders_as_antelopev2_has_them(place, make_pack, prefix):
    data = zipped([(prefix + "README.md", b"words"), ("__MACOSX/" + prefix + "._x.onnx", b"clutter"), (prefix + "notes.bin", b"x")] +
                  networks(make_pack("stock"), prefix) + [("LICENSE", b"terms")][:1 if prefix else 0])
    ran = place.run("models", "add", place.archive(data, "antelopev2.zip"), "--licence", "non-commercial research")
    assert "notes.bin" in ran.err and "left out" in ran.err
    installed = {file.name for file in (place.packs / "antelopev2").iterdir()}
    assert {"README.md", "manifest.json"} | {name for name, _ in networks(make_pack("stock"))} <= installed
    assert ("LICENSE" in installed) == bool(prefix) and not any(name.startswith("._") for name in installed)
    assert len(place.run("detect", "--pack", "antelopev2", place.tmp / "a.png").records[0]["faces"]) == 2
    place.kept("antelopev2")


def test_a_nested_folder_is_flattened_too(place, make_pack):
    inner = place.tmp / "top" / "antelopev2"
    shutil.copytree(make_pack("stock"), inner)
    place.run("models", "add", place.tmp / "top")
    assert (place.packs / "top" / "manifest.json").is_file()
    shutil.copytree(make_pack("stock"), place.tmp / "top" / "other")
    ran = place.run("models", "add", place.tmp / "top", "--name", "two", code=3)
    assert "'antelopev2/'" in ran.err and "'other/'" in ran.err
    place.kept("top")


def test_a_manifest_above_keeps_folders_inside(place, make_pack):
    """insightface's V2 may name files in folders of the pack."""
    tasks = {"detection": {"file": "networks/detector.onnx"}, "recognition": {"file": "more/embedder.onnx", "embedding_dimension": 512}}
    manifest = json.dumps({"manifest_version": 2, "model_id": "v2", "license": "MODEL.LICENSE", "tasks": tasks})
    files = dict(networks(make_pack("stock")))
    data = zipped([("v2/manifest.json", manifest), ("v2/MODEL.LICENSE", "terms"), ("v2/networks/detector.onnx", files["detector.onnx"]),
                   ("v2/more/embedder.onnx", files["embedder.onnx"])])
    record = place.run("models", "add", place.archive(data, "v2.zip")).records[0]
    assert record["files"] == record["useful"] == 2
    assert (place.packs / "v2" / "manifest.json").read_text() == manifest and (place.packs / "v2" / "MODEL.LICENSE").is_file()
    assert len(place.run("detect", "--pack", "v2", place.tmp / "a.png").records[0]["faces"]) == 2
    place.kept("v2")


def hostile(make_pack):
    good = networks(make_pack("stock"))
    name, data = good[0]
    stored = zipped(good)
    return {
        "traversal": (zipped(good + [("../evil.onnx", data)]), "../evil.onnx", "climbs out"),
        "deep traversal": (zipped(good + [("a/../../evil.txt", b"x")]), "a/../../evil.txt", "climbs out"),
        "absolute": (zipped(good + [("/tmp/evil.onnx", data)]), "/tmp/evil.onnx", "absolute"),
        "backslash": (zipped(good + [("..\\evil.onnx", data)]), "..\\evil.onnx", "backslash"),
        "control character": (zipped(good + [("a\nb.txt", b"x")]), "a\nb.txt", "control character"),
        "symlink": (zipped(good + [(entry("link.onnx", 0o120777), b"/etc/passwd")]), "link.onnx", "symbolic link"),
        "symlinked folder": (zipped(good + [(entry("out", 0o120777), b"/tmp"), ("out/x.txt", b"x")]), "out", "symbolic link"),
        "device": (zipped(good + [(entry("zero.onnx", 0o020666), b"")]), "zero.onnx", "device"),
        "duplicate": (zipped(good + [(name, b"x")]), name, "two entries"),
        "encrypted": (encrypted(stored), name, "encrypted"),
        "longer than it says": (patched(zipped(good, zipfile.ZIP_DEFLATED), b"PK\1\2", 24, lambda size: size - 5, "<I"), name, ""),
        "shorter than it says": (patched(zipped(good, zipfile.ZIP_DEFLATED), b"PK\1\2", 24, lambda size: size + 5, "<I"), name, ""),
        "huge": (patched(stored, b"PK\1\2", 24, lambda size: 0xfffffff0, "<I"), name, ""),
        "bomb": (zipped([("bomb.onnx", bytes(64 << 20))], zipfile.ZIP_DEFLATED), "bomb.onnx", "200 times"),
        "damaged bytes": (stored.replace(data[100:140], bytes(40), 1), name, "damaged"),
        "cut off": (stored[:len(stored) // 2], "", "no zip file"),
        "too many": (zipped(good + [("t%d.txt" % i, b"") for i in range(600)]), "602", "512"),
        "two folders": (zipped(networks(make_pack("stock"), "a/") + networks(make_pack("stock"), "b/")), "'a/' and 'b/'", "two folders"),
        "no network": (zipped([("readme.txt", b"x")]), "", "no .onnx file"),
        "empty": (zipped([]), "", "no .onnx file"),
        "not a network": (zipped([("x.onnx", b"<html>404</html>")]), "x.onnx", "nothing was installed"),
        "other packing": (zipped(good, zipfile.ZIP_LZMA), name, "neither stored nor deflated"),
    }


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_archives_are_refused_and_named(place, make_pack):
    for kind, (data, named, why) in hostile(make_pack).items():
        for arguments in (["--name", "new"], ["--name", "old", "--replace"]):
            ran = place.run("models", "add", place.archive(data), *arguments, code=None)
            assert ran.code in (1, 3) and ran.out == "", (kind, ran.code, ran.out, ran.err)
            assert named in ran.err and why in ran.err, (kind, ran.err)
            place.kept()
    assert not (place.packs.parent / "evil.onnx").exists() and not os.path.exists("/tmp/evil.onnx")
    place.check()


@pytest.mark.parametrize("name", ["../x", "..", ".", ".hidden", "a/b", "/tmp/x", "", "x" * 200, "a b", "-x", "ä"])
def test_names_that_are_none_are_refused(place, make_pack, name):
    place.run("models", "add", make_pack("stock"), "--name=" + name, code=2)
    if not name.startswith("-"):
        assert place.run("models", "remove", name, code=2).err
    place.kept()


def test_an_installed_name_is_kept_without_replace(place, make_pack):
    other = make_pack("normalised")
    ran = place.run("models", "add", other, "--name", "old", code=2)
    assert "--replace" in ran.err and "--name" in ran.err
    place.kept()
    ran = place.run("models", "add", other, "--name", "old", "--replace")
    assert ran.records[0]["outcome"] == "replaced" and place.names() == ["old"] and place.state() != place.before
    assert {name for name, _ in networks(other)} == {file.name for file in (place.packs / "old").glob("*.onnx")}
    place.run("models", "verify", "old")


def test_what_is_no_pack_is_said(place, tmp_path):
    (tmp_path / "x.txt").write_text("words")
    (tmp_path / "empty").mkdir()
    for source, words, code in (("x.txt", "neither a zip file", 2), ("empty", "no .onnx file", 3), ("nowhere", "there is no file", 3)):
        ran = place.run("models", "add", tmp_path / source, "--name", "x", code=code)
        assert words in ran.err
    for action in ("add", "pull", "remove"):
        place.run("models", action, code=2)
        place.run("models", action, "a", "b", code=2)
    place.kept()


def test_leftovers_of_killed_runs_are_put_right(place, make_pack):
    for name in (".new-a.AbCdEf", ".gone-old.AbCdEf", ".old-old.AbCdEf"):
        shutil.copytree(make_pack("stock"), place.packs / name / "pack")
    shutil.copytree(place.packs / "old", place.packs / ".old-lost.AbCdEf" / "pack")
    (place.packs / ".mine").mkdir()
    assert [r["pack"] for r in place.run("models", "list").records if "pack" in r] == ["old"]
    place.run("models", "add", make_pack("stock"), "--name", "next")
    assert place.names() == [".mine", "lost", "next", "old"] and place.state() == place.before
    assert len(place.run("detect", "--pack", "lost", place.tmp / "a.png").records[0]["faces"]) == 2


# ---------------------------------------------------------------- remove

def test_remove(place, make_pack):
    place.run("models", "add", make_pack("stock"), "--name", "gone")
    assert place.run("models", "remove", "gone").records[0]["outcome"] == "removed"
    place.kept()
    ran = place.run("models", "remove", "gone", code=3)
    assert "no pack 'gone' is installed" in ran.err


def test_remove_never_follows_a_link(place, make_pack):
    outside = place.tmp / "outside"
    shutil.copytree(make_pack("stock"), outside)
    (place.packs / "link").symlink_to(outside)
    ran = place.run("models", "add", make_pack("stock"), "--name", "link", "--replace", code=2)
    assert "link" in ran.err and len(list(outside.iterdir())) >= 2
    ran = place.run("models", "remove", "link")
    assert "not what it leads to" in ran.err and len(list(outside.glob("*.onnx"))) == 2
    place.kept()


# ---------------------------------------------------------------- list, verify

INSIGHTFACE = "https://github.com/deepinsight/insightface/releases/download/"
RESEARCH = "InsightFace models: non-commercial research only"
ZOO = "https://github.com/opencv/opencv_zoo/raw/47534e27c9851bb1128ccc0102f1145e27f23f98/models/"

# Name: URL, published SHA-256, licence. A second copy of the program's table, so that a slip in either is seen.
KNOWN = {
    "buffalo_l": (INSIGHTFACE + "v0.7/buffalo_l.zip", "80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f", RESEARCH),
    "buffalo_m": (INSIGHTFACE + "v0.7/buffalo_m.zip", "d98264bd8f2dc75cbc2ddce2a14e636e02bb857b3051c234b737bf3b614edca9", RESEARCH),
    "buffalo_s": (INSIGHTFACE + "v0.7/buffalo_s.zip", None, RESEARCH),
    "buffalo_sc": (INSIGHTFACE + "v0.7/buffalo_sc.zip", "57d31b56b6ffa911c8a73cfc1707c73cab76efe7f13b675a05223bf42de47c72", RESEARCH),
    "antelopev2": (INSIGHTFACE + "v0.7/antelopev2.zip", "8e182f14fc6e80b3bfa375b33eb6cff7ee05d8ef7633e738d1c89021dcf0c5c5", RESEARCH),
    "raccoon_s": (INSIGHTFACE + "model-zoo/raccoon_s.zip", None, RESEARCH),
    "raccoon_l": (INSIGHTFACE + "model-zoo/raccoon_l.zip", None, RESEARCH),
    "yunet": (ZOO + "face_detection_yunet/face_detection_yunet_2023mar.onnx",
              "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4", "MIT"),
    "sface": (ZOO + "face_recognition_sface/face_recognition_sface_2021dec.onnx",
              "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79", "Apache-2.0"),
    "auraface": ("https://huggingface.co/fal/AuraFace-v1/resolve/af6d057c9b0ec4071d4c49c80e3539258798b609/glintr100.onnx",
                 "a7933ea5330113b01c9b60351d8f4c33003f145d8470ac5f0e52ee2effe25c60", "Apache-2.0"),
}


def test_list_has_known_packs_with_their_terms(place, index):
    records = [record for record in place.run("models", "list", "--index", index()).records if "known" in record]
    known = {record["known"]: record for record in records}
    assert len(known) == len(records) and known.pop("fresh")["licence"] == LICENCE
    for record in known.values():
        assert record["licence_url"].startswith("https://") and record["terms"] and not record["installed"]
    assert {name: (record["url"], record["sha256"], record["licence"]) for name, record in known.items()} == KNOWN
    table = place.run("models", "list", "--format", "table").out
    assert "no published digest" in table and "no commercial use" in table and "about 326 MB" in table
    assert re.search(r"^old +installed", table, flags=re.M)


def test_verify_finds_a_flipped_byte(place):
    file = sorted((place.packs / "old").glob("*.onnx"))[0]
    data = bytearray(file.read_bytes())
    data[-20] ^= 1
    file.write_bytes(data)
    ran = place.run("models", "verify", "old", code=4)
    verdicts = {record["file"]: record["verdict"] for record in ran.records if "file" in record}
    assert verdicts[file.name] == "FAIL" and list(verdicts.values()).count("FAIL") == 1
    note = [record["note"] for record in ran.records if record.get("file") == file.name][0]
    assert place.before[file.name] in note and hashlib.sha256(data).hexdigest() in note


# ---------------------------------------------------------------- pull

def test_pull_installs_what_was_asked_for(place, index, server):
    ran = pull(place, index())
    record = ran.records[0]
    assert record["outcome"] == "installed" and record["sha256"] == hashlib.sha256(server.data).hexdigest() and record["useful"] == 2
    for words in (server.base, LICENCE, "https://example.org/licence", record["sha256"], "%d bytes" % len(server.data)):
        assert words in ran.err
    assert len(server.seen) == 1 and server.seen[0]["range"] is None
    manifest = json.loads((place.packs / "fresh" / "manifest.json").read_text())
    assert manifest["licence"]["name"] == LICENCE and manifest["source"].startswith(server.base) and manifest["name"] == "fresh"
    assert len(place.run("detect", "--pack", "fresh", place.tmp / "a.png").records[0]["faces"]) == 2
    assert place.parts() == []
    place.check("fresh")
    again = pull(place, index())
    assert again.records[0]["outcome"] == "already installed" and "already installed, digest equal" in again.err and len(server.seen) == 1
    assert place.run("models", "pull", "fresh", "--index", index(), code=0).records[0]["outcome"] == "already installed"
    assert [r["installed"] for r in place.run("models", "list", "--index", index()).records if r.get("known") == "fresh"] == [True]


def test_no_licence_no_request(place, index, server):
    ran = place.run("models", "pull", "fresh", "--index", index(), code=2)
    assert LICENCE in ran.err and "--accept-license" in ran.err and "nothing was fetched" in ran.err
    assert LICENCE in place.run("models", "pull", "fresh", "--index", index(), "--quiet", code=2).err
    pull(place, index())
    count = len(server.seen)
    place.run("models", "pull", "fresh", "--replace", "--index", index(), code=2)
    assert count == 1 and len(server.seen) == 1
    place.kept("fresh")


def on_terminal(place, arguments, answers):
    """Runs with a terminal as standard input and error; (exit code, what it showed, standard output)."""
    main, side = pty.openpty()
    process = subprocess.Popen([PROGRAM] + [str(a) for a in arguments], stdin=side, stderr=side, stdout=subprocess.PIPE, env=place.run.environment)
    os.close(side)
    shown = b""
    os.write(main, answers.encode())
    with contextlib.suppress(OSError):
        while True:
            piece = os.read(main, 4096)
            if not piece:
                break
            shown += piece
    out = process.stdout.read().decode()
    os.close(main)
    return process.wait(timeout=60), shown.decode(errors="replace"), out


@pytest.mark.parametrize("answer, code", [("yes\n", 0), ("no\n", 2), ("\n", 2), ("\x04", 2)])
def test_the_licence_is_asked_for_on_a_terminal(place, index, server, answer, code):
    ended, shown, out = on_terminal(place, ["models", "pull", "fresh", "--index", index()], answer)
    assert ended == code and "Do you accept this licence" in shown, shown
    assert len(server.seen) == (1 if code == 0 else 0)
    place.kept(*(["fresh"] if code == 0 else []))


def test_add_asks_on_a_terminal(place, make_pack):
    ended, shown, out = on_terminal(place, ["models", "add", make_pack("stock")], "asked\nBSD-3-Clause\n\n")
    assert ended == 0 and "Name of the pack [stock]" in shown and "Licence that" in shown, shown
    assert json.loads((place.packs / "asked" / "manifest.json").read_text())["licence"]["name"] == "BSD-3-Clause"
    ended, shown, out = on_terminal(place, ["models", "add", make_pack("stock"), "--quiet"], "")
    assert ended == 0 and shown == "" and json.loads(out)["pack"] == "stock"
    place.kept("asked", "stock")


@pytest.mark.parametrize("answers, order, assumed", [
    ("\n", "rgb", "mean 127.5, std 127.5"), ("bgr\n", "bgr", "mean 127.5, std 127.5"), ("rgb\n", "rgb", "mean 127.5, std 127.5"),
    ("blue\nbgr\n", "bgr", "mean 127.5, std 127.5"), ("\x04", "rgb", "order rgb, mean 127.5, std 127.5")])
def test_add_asks_for_the_channel_order(place, make_pack, answers, order, assumed):
    command = ["models", "add", make_pack("stock"), "--name", "new", "--licence", LICENCE]
    ended, shown, out = on_terminal(place, command, answers)
    assert ended == 0 and shown.count("Channel order that 'embedder.onnx' was trained with, rgb or bgr [rgb]: ") == max(1, answers.count("\n")), shown
    models = {model["file"]: model for model in json.loads((place.packs / "new" / "manifest.json").read_text())["models"]}
    assert models["embedder.onnx"]["pixels"]["order"] == order and models["detector.onnx"]["pixels"]["order"] == "rgb"
    assert assumption(shown) == assumed
    assert [record["verdict"] for record in place.run("models", "verify", "new").records] == ["pass"] * 3
    place.kept("new")


def test_add_asks_for_no_order_that_is_known(place, make_pack):
    command = ["models", "add", "--name", "new", "--licence", LICENCE]
    for source, *more in ((make_pack("stock"), "--model-option", "embedder.onnx:order=bgr"), (place.packs / "old", "--replace"),
                          (make_pack("stock") / "detector.onnx", "--replace")):
        ended, shown, out = on_terminal(place, command + [source] + more, "")
        assert ended == 0 and "Channel order" not in shown, shown
    place.kept("new")


def test_a_download_shows_how_far_it_is(place, index, server):
    command = ["models", "pull", "fresh", "--index", index(), "--accept-license", "--replace"]
    server.faults = [("dribble", 1.5)]
    ended, shown, out = on_terminal(place, command, "")
    lines = re.findall(r"\r\x1b\[K(\d+\.\d) of %.1f MB" % (len(server.data) * 1e-6), shown)
    assert ended == 0 and len(lines) >= 3 and lines == sorted(lines), shown
    assert re.search(r" MB, \d+\.\d MB/s, 0:00:0\d left", shown), shown
    assert shown.count("\r\x1b[K") > len(lines), "the line is taken away when it is no longer true"
    server.faults = [("dribble", 1.5)]
    ended, shown, out = on_terminal(place, command + ["--quiet"], "")
    assert ended == 0 and shown == "", shown
    server.faults = [("dribble", 0.6)]
    assert " of 0.1 MB" not in place.run(*command).err
    place.kept("fresh")


def test_resume_in_a_later_run(place, index, server):
    server.faults = [("cut", 40000), ("status", 404)]
    ran = pull(place, index(), code=3)
    assert "404" in ran.err and place.parts() == [".part-fresh", ".part-fresh.json"]
    assert (place.packs / ".part-fresh").stat().st_size == 40000
    place.check()
    pull(place, index())
    last = server.seen[-1]
    assert last["range"] == "bytes=40000-" and last["if_range"] == '"one"' and last["sent"] == len(server.data) - 40000
    place.check("fresh")


def test_resume_within_a_run(place, index, server):
    server.faults = [("cut", 30000), ("status", 503), ("cut", 30000)]
    ran = pull(place, index())
    assert "trying again" in ran.err
    assert [record["range"] for record in server.seen] == [None, "bytes=30000-", "bytes=30000-", "bytes=60000-"]
    assert sum(record["sent"] for record in server.seen) == len(server.data)
    place.kept("fresh")


def test_gives_up_after_three_retries(place, index, server):
    server.faults = [("status", 503)] * 9
    ran = pull(place, index(), code=3)
    assert "503" in ran.err and len(server.seen) == 4 and ran.err.splitlines()[-1].endswith("#not_found")
    place.kept()


def test_kill_in_the_middle(place, index, server):
    server.faults = [("stall", 50000)]
    process = subprocess.Popen([PROGRAM, "models", "pull", "fresh", "--accept-license", "--index", str(index())], env=place.run.environment,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    part = place.packs / ".part-fresh"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (part.exists() and part.stat().st_size == 50000):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=30) == -signal.SIGKILL and part.stat().st_size == 50000
    place.check()
    server.go.set()
    pull(place, index())
    assert server.seen[-1]["range"] == "bytes=50000-" and server.seen[-1]["sent"] == len(server.data) - 50000
    place.check("fresh")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_keeps_what_was_fetched(place, index, server, number):
    server.faults = [("stall", 50000)]
    process = subprocess.Popen([PROGRAM, "models", "pull", "fresh", "--accept-license", "--index", str(index())], env=place.run.environment,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    part = place.packs / ".part-fresh"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (part.exists() and part.stat().st_size == 50000):
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number and b"interrupted" in err and b"50000 bytes" in err and part.stat().st_size == 50000
    place.check()


def test_a_server_without_ranges_sends_all_again(place, index, server):
    server.faults, server.ranges = [("cut", 40000), ("status", 404)], False
    pull(place, index(), code=3)
    ran = pull(place, index())
    assert "the whole file again" in ran.err and server.seen[-1]["range"] == "bytes=40000-" and server.seen[-1]["sent"] == len(server.data)
    place.kept("fresh")


@pytest.mark.parametrize("etag, modified", [('"one"', None), (None, "Sat, 21 Nov 2026 10:00:00 GMT"), (None, None), ('W/"one"', None)])
def test_a_file_that_changed_in_between_is_fetched_anew(place, index, server, make_pack, etag, modified):
    server.etag, server.modified = etag, modified
    server.faults = [("cut", 40000), ("status", 404)]
    pull(place, index(), code=3)
    server.data = zipped([("note.txt", b"x" * 1000)] + networks(make_pack("stock")))
    server.etag, server.modified = etag and '"two"', modified and "Sun, 22 Nov 2026 10:00:00 GMT"
    pull(place, index())
    last = server.seen[-1]
    assert last["sent"] == len(server.data)
    assert last["if_range"] == (None if etag and etag.startswith("W/") else etag or modified)
    place.kept("fresh")


def test_a_part_longer_than_the_file_begins_anew(place, index, server):
    server.faults = [("cut", 40000), ("status", 404)]
    pull(place, index(), code=3)
    with open(place.packs / ".part-fresh", "ab") as part:
        part.write(bytes(len(server.data)))
    pull(place, index())
    place.kept("fresh")


def test_a_wrong_digest_is_refused(place, index, server):
    wrong = index(sha256="0" * 64)
    for arguments in ([], ["--replace"]):
        ran = pull(place, wrong, *arguments, code=4)
        assert "0" * 64 in ran.err and hashlib.sha256(server.data).hexdigest() in ran.err and ran.out == ""
        assert place.parts() == []
        place.check()
    server.data = b"<html>please log in</html>"
    ran = pull(place, index(sha256=hashlib.sha256(b"x").hexdigest(), size=None), code=4)
    place.check()


def test_another_size_is_refused_before_it_is_fetched(place, index, server):
    for size in (len(server.data) - 1, len(server.data) + 1):
        ran = pull(place, index(size=size), code=3)
        assert str(size) in ran.err and str(len(server.data)) in ran.err
        place.kept()
    server.length = False
    assert pull(place, index(size=len(server.data) - 1), code=1).err
    place.kept()


def test_without_a_published_digest_the_found_one_is_said(place, index, server):
    ran = pull(place, index(sha256=None))
    assert "no published digest" in ran.err and hashlib.sha256(server.data).hexdigest() in ran.err
    ran = pull(place, index(sha256=None), code=2)
    assert "--replace" in ran.err
    assert pull(place, index(sha256=None), "--replace").records[0]["outcome"] == "replaced"
    place.kept("fresh")


def test_files_of_a_known_pack_are_checked_where_the_archive_cannot_be(place, server, make_pack):
    """buffalo_s has no published digest of the archive, but its networks have."""
    need("curl")
    data = networks(make_pack("stock"))
    server.data = zipped([("det_500m.onnx", data[0][1]), ("w600k_mbf.onnx", data[1][1])])
    ran = place.run("models", "pull", "buffalo_s", "--mirror", server.base + "/m/", "--accept-license", code=4)
    assert "det_500m.onnx" in ran.err and "5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a" in ran.err
    assert server.seen[0]["path"] == "/m/buffalo_s.zip"
    place.kept()


def test_real_networks_through_the_known_table(place, server, shared):
    need("curl")
    files = [(name, open(os.path.join(shared, "models", name), "rb").read()) for name in ("det_500m.onnx",)]
    server.data = zipped(files)
    ran = place.run("models", "pull", "buffalo_s", "--mirror", server.base, "--accept-license")
    assert ran.records[0]["outcome"] == "installed" and hashlib.sha256(server.data).hexdigest() in ran.err
    place.kept("buffalo_s")


def test_a_mirror_that_lies_is_found_out(place, server):
    need("curl")
    ran = place.run("models", "pull", "buffalo_l", "--mirror", server.base, "--accept-license", code=4)
    assert "80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f" in ran.err
    place.kept()


def test_a_replacement_that_fails_keeps_the_old_pack(place, index, server, make_pack):
    server.data = zipped(networks(make_pack("normalised")), zipfile.ZIP_DEFLATED)
    largest = max(len(data) for _, data in networks(make_pack("normalised")))
    assert len(server.data) < largest - 1000, "else unpacking meets no limit that fetching does not meet"

    def limit(size):
        return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    def replace(code, before=None, **row):
        ran = place.run("models", "pull", "old", "--index", index("old", **row), "--accept-license", "--replace", code=code, before=before)
        if code:
            assert ran.out == ""
            place.check()
        return ran

    assert "0" * 64 in replace(4, sha256="0" * 64).err
    server.faults = [("cut", len(server.data) // 2), ("status", 404)]
    assert "404" in replace(3).err and place.parts() == [".part-old", ".part-old.json"]
    assert "too large" in replace(5, limit(len(server.data) * 3 // 4)).err.lower()
    assert "too large" in replace(5, limit(largest - 500)).err.lower()
    ran = replace(0)
    assert ran.records[0]["outcome"] == "replaced" and place.names() == ["old"] and place.parts() == []
    assert {name: data for name, data in networks(place.packs / "old")} == dict(networks(make_pack("normalised")))


def test_redirects(place, index, server):
    server.faults = [("redirect", "/elsewhere/x.zip")]
    pull(place, index())
    assert [record["path"] for record in server.seen] == ["/packs/fresh.zip", "/elsewhere/x.zip"]
    for target in ("file:///etc/passwd", "ftp://127.0.0.1/x"):
        server.faults = [("redirect", target)]
        assert "protocol" in pull(place, index(), "--replace", code=3).err.lower(), target
    server.faults = [("redirect", "/again.zip")] * 20
    assert pull(place, index(), "--replace", code=3).err
    place.kept("fresh")


def test_urls_that_are_none(place, index):
    for url in ("file:///etc/passwd", "ftp://127.0.0.1/x.zip", "packs/fresh.zip", "http://"):
        assert pull(place, index(url=url), code=None).code in (2, 3)
    port = 1  # nobody listens there
    ran = pull(place, index(url="http://127.0.0.1:%d/x.zip" % port), code=3)
    assert "127.0.0.1:1" in ran.err and "--mirror" in ran.err
    place.kept()


def test_a_proxy_of_the_environment_is_used(place, index, server):
    pull(place, index(url="http://pack.invalid/fresh.zip"), http_proxy=server.base, no_proxy="", NO_PROXY="")
    assert server.seen[0]["path"] == "http://pack.invalid/fresh.zip"
    place.kept("fresh")


def test_two_at_once(place, index, server):
    server.delay = 1.5
    command = [PROGRAM, "models", "pull", "fresh", "--accept-license", "--index", str(index())]
    both = [subprocess.Popen(command, env=place.run.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    ended = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert sorted(json.loads(out)["outcome"] for out, _ in ended) == ["already installed", "installed"]
    second = [err.decode() for out, err in ended if b"already" in out][0]
    assert "waiting" in second and "digest equal" in second and len(server.seen) == 1
    place.check("fresh")


def test_unknown_packs_and_wrong_indexes(place, index, tmp_path):
    ran = place.run("models", "pull", "nothing", "--accept-license", code=3)
    assert "buffalo_l" in ran.err and "models add" in ran.err
    place.run("models", "pull", "../x", "--accept-license", code=3)
    ran = place.run("models", "pull", "yunet", "--accept-license", code=3)
    assert "YuNet" in ran.err
    for text, words in (("{", "index.json"), ("{}", "packs"), ('{"packs": [{}]}', "name"), ('{"packs": [{"name": "../x", "url": "u", "licence": "l"}]}', "../x"),
                        ('{"packs": [{"name": "x", "url": "u"}]}', "licence"), ('{"packs": [{"name": "x", "url": "u", "licence": "l", "sha256": "12"}]}', "sha256"),
                        ('{"packs": [{"name": "x", "url": "u", "licence": "l", "size": -1}]}', "size")):
        (tmp_path / "index.json").write_text(text)
        ran = place.run("models", "pull", "x", "--index", tmp_path / "index.json", code=2)
        assert words in ran.err, ran.err
    place.run("models", "list", "--index", "/nowhere", code=3)
    place.kept()


# ---------------------------------------------------------------- full disks

def small_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))


def test_a_file_size_limit_leaves_nothing_half_installed(place, index, server, stock_zip, make_pack):
    ran = pull(place, index(), code=5, before=small_files)
    assert "too large" in ran.err.lower()
    place.check()
    for source in (place.archive(stock_zip), make_pack("stock")):
        ran = place.run("models", "add", source, "--name", "old", "--replace", code=5, before=small_files)
        assert "too large" in ran.err.lower() and ran.out == ""
        place.check()
    pull(place, index())
    assert server.seen[-1]["range"] == "bytes=60000-"
    place.check("fresh")


def on_disk(files):
    """Kilobytes that files of these lengths take on a disk of pages."""
    return sum(-(-length // 4096) * 4 for length in files)


def full_disk(place, kilobytes, arguments, old=None):
    """The command with its data folder on a small disk: (exit code, words, what is in the packs folder). With `old`, a
    folder, that is the pack 'old' there; what became of it and the faces it finds stand in the words, too."""
    disk = place.tmp / "disk"
    disk.mkdir(exist_ok=True)
    before = 'mkdir -p "$0/facemill/packs" && cp -a "$OLD" "$0/facemill/packs/old" || exit 98; ' if old else ""
    after = 'diff -r "$OLD" "$0/facemill/packs/old" && echo "old is as it was"; "$1" detect --pack old "$PICTURE"; ' if old else ""
    script = 'mount -t tmpfs -o size=%dk none "$0" || exit 99; %s"$@" 2>&1; code=$?; ls -A "$0/facemill/packs"; %sexit $code' % (kilobytes, before, after)
    unshare = shutil.which("unshare")
    if not unshare:
        pytest.skip("no unshare, which gives a disk of the test's own")
    done = subprocess.run([unshare, "-m"] + ([] if os.geteuid() == 0 else ["-r"]) + ["sh", "-c", script, str(disk), PROGRAM] + [str(a) for a in arguments],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                          env=dict(place.run.environment, XDG_DATA_HOME=str(disk), OLD=str(old), PICTURE=str(place.tmp / "a.png")))
    if done.returncode in (1, 99) and (b"mount" in done.stderr or b"unshare" in done.stderr):
        pytest.skip("no disk of the test's own: %s" % done.stderr.decode().strip()[:200])
    return done.returncode, done.stdout.decode()


@pytest.mark.parametrize("length", [True, False])
def test_a_full_disk_while_fetching(place, index, server, length):
    server.length = length
    code, said = full_disk(place, 80, ["models", "pull", "fresh", "--accept-license", "--index", index(size=None)])
    assert code == 5 and "free" in said and re.search(r"\d+ (bytes )?(are )?(free|bytes free)", said), said
    assert "\nfresh" not in said and ".new" not in said.split("help:")[1], said


@pytest.mark.parametrize("method, words", [(zipfile.ZIP_DEFLATED, "no room"), (None, "no room")])
def test_a_full_disk_while_installing(place, make_pack, method, words):
    source = place.archive(zipped(networks(make_pack("stock")), method)) if method else make_pack("stock")
    code, said = full_disk(place, 80, ["models", "add", source, "--name", "fresh"])
    assert code == 5 and words in said and "free" in said, said
    assert "\nfresh" not in said and ".new" not in said.split("help:")[1], said


def test_a_disk_full_before_the_manifest(place, make_pack):
    """Room for the networks, none for what is written about them."""
    size = sum(-(-len(data) // 4096) * 4 for _, data in networks(make_pack("stock")))
    code, said = full_disk(place, size, ["models", "add", make_pack("stock"), "--name", "fresh"])
    assert code == 5 and "No space left" in said, said
    assert "\nfresh" not in said and ".new" not in said.split("help:")[1], said


@pytest.mark.parametrize("part", ["fetching", "unpacking", "describing"])
def test_a_full_disk_keeps_the_pack_that_was_to_be_replaced(place, index, server, make_pack, part):
    old, new = place.packs / "old", [len(data) for _, data in networks(make_pack("normalised"))]
    server.data = zipped(networks(make_pack("normalised")))
    room = on_disk(file.stat().st_size for file in old.iterdir()) + 4  # and the sidecar of the download
    room += {"fetching": on_disk([len(server.data) // 2]), "unpacking": on_disk([len(server.data)]) + 8,
             "describing": on_disk([len(server.data)] + new) + 4}[part]
    code, said = full_disk(place, room, ["models", "pull", "old", "--index", index("old"), "--accept-license", "--replace"], old)
    assert code == 5 and "old is as it was" in said and ".new-" not in said.split("help:")[1], said
    faces = [json.loads(line)["faces"] for line in said.splitlines() if line.startswith("{") and "faces" in line]
    assert [len(found) for found in faces] == [2], said


# ---------------------------------------------------------------- nothing is fetched without being asked for

@pytest.fixture
def proxy():
    """A socket that counts who comes, and sends everybody away."""
    listener, came = socket.create_server(("127.0.0.1", 0)), []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                caller = listener.accept()[0]
                came.append(caller)
                with caller, contextlib.suppress(OSError):
                    caller.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    threading.Thread(target=serve, daemon=True).start()
    yield "http://127.0.0.1:%d" % listener.getsockname()[1], came
    listener.close()


def test_nothing_is_fetched_without_being_asked_for(place, proxy, make_pack):
    need("curl")
    url, came = proxy
    environment = {name: url for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")}
    environment.update(no_proxy="", NO_PROXY="")
    picture = place.tmp / "a.png"
    commands = [(0, "models", "list"), (0, "models", "list", "--format", "table"), (0, "models", "show", "old"), (3, "models", "show", "buffalo_l"),
                (0, "models", "verify", "old"), (3, "models", "verify", "buffalo_l"), (None, "doctor"), (0, "providers"),
                (0, "analyze", "--pack", "old", picture), (3, "analyze", "--pack", "buffalo_l", picture), (3, "detect", "--pack", "sface", picture),
                (0, "models", "add", make_pack("stock"), "--name", "new"), (0, "models", "remove", "new"), (2, "models", "pull", "buffalo_l")]
    for code, *command in commands:
        place.run(*command, code=code, **environment)
        assert came == [], command
    place.run("models", "pull", "buffalo_l", "--accept-license", code=3, **environment)
    assert came, "where something is fetched, this test sees it"
    place.check()
