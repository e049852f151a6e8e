"""For the tests of packs: archives, a server with faults to order, a place to install into, small disks."""

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


# ---------------------------------------------------------------- full disks

def small_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))


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
