"""Shared by the worker's tests: `facemill serve` started on a port of the system's choice, asked over HTTP, stopped.

ctest runs them (label http) and says in FM_PROGRAM and FM_MAKE_PACK what to test. Pictures, packs and the runtime are
those of tests/cli."""

import http.client
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, os.pardir, "cli"))  # for what its conftest.py imports
_spec = importlib.util.spec_from_file_location("cli_conftest", os.path.join(HERE, os.pardir, "cli", "conftest.py"))
cli = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(cli)

sys.path.pop()

ROOT, PROGRAM = cli.ROOT, cli.PROGRAM
numbered_squares, png = cli.numbered_squares, cli.png
runtime, make_pack, png_support, pictures = cli.runtime, cli.make_pack, cli.png_support, cli.pictures
pytest_sessionfinish = cli.pytest_sessionfinish
if not PROGRAM:
    collect_ignore_glob = ["test_*.py"]


class Answer:
    """One answer: code, headers by lower-case name, bytes."""

    def __init__(self, code, headers, body):
        self.code, self.body = code, body
        self.headers = {name.lower(): value for name, value in headers}

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()


def multipart(parts):
    """(content type, body) of [(name, file name or None, bytes)]."""
    border, out = "----facemill-test-border", []
    for name, filename, data in parts:
        file = '; filename="%s"' % filename if filename is not None else ""
        out.append(b'--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' %
                   (border.encode(), name.encode(), file.encode(), data))
    return "multipart/form-data; boundary=" + border, b"".join(out) + b"--" + border.encode() + b"--\r\n"


PATIENCE = 60  # seconds after which something that must happen has not


def wait_for(what, words="it"):
    """Ask until the answer is true, and return it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        answer = what()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError("%s did not happen within %d s" % (words, PATIENCE))


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Worker:
    """`facemill serve` with `options`; stopped by close, which answers its exit code."""

    def __init__(self, home, runtime, *options, listen="127.0.0.1:0", **environment):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("FM_", "XDG_"))}
        clean.update({"HOME": str(home), "FM_ORT_LIBRARY": runtime}, **environment)
        command = [PROGRAM, "serve", "--listen", listen, "--format", "jsonl", "--threads", "1"] + [str(o) for o in options]
        self.process = subprocess.Popen(command, env=clean, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.log, self._lines = [], threading.Thread(target=self._read_log, daemon=True)
        self._lines.start()
        watch = threading.Timer(60, self.process.kill)  # a worker that says nothing ends
        watch.start()
        line = self.process.stdout.readline()
        watch.cancel()
        assert line, "the worker ended with %s:\n%s" % (self.process.wait(10), "\n".join(self.log))
        self.started = json.loads(line)
        self.url = self.started["listening"][0]

    def _read_log(self):
        for line in self.process.stderr:
            self.log.append(line.decode(errors="replace").rstrip("\n"))

    def connect(self):
        where = urllib.parse.urlsplit(self.url)
        if where.scheme == "unix":
            return UnixConnection(where.path)
        return http.client.HTTPConnection(where.hostname, where.port, timeout=60)

    def ask(self, method, path, body=None, type=None, **headers):
        """Header names as arguments: X_Request_Id is X-Request-Id."""
        connection = self.connect()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if type:
            sent["Content-Type"] = type
        try:
            connection.request(method, path, body=body, headers=sent)
            got = connection.getresponse()
            return Answer(got.status, got.getheaders(), got.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.ask("GET", path, **headers)

    def post(self, path, body, type="application/octet-stream", **headers):
        return self.ask("POST", path, body, type, **headers)

    def post_form(self, path, parts, **headers):
        type, body = multipart(parts)
        return self.post(path, body, type, **headers)

    def post_json(self, path, document, **headers):
        return self.post(path, json.dumps(document).encode(), "application/json", **headers)

    def metric(self, line):
        """The value of one sample as it stands in /metrics, name with labels; 0 when it is not there."""
        for sample in self.get("/metrics").text.splitlines():
            if sample.startswith(line + " "):
                return float(sample[len(line) + 1:])
        return 0

    def signal(self, number):
        self.process.send_signal(number)

    def said(self, words):
        """Wait for a line of the log."""
        return wait_for(lambda: [line for line in list(self.log) if words in line], "log line '%s'" % words)[0]

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self._lines.join(10)
        self.process.stdout.close()
        self.process.stderr.close()
        return code


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def serve(home, runtime, png_support):
    """Start workers with options of one's own; they are stopped after the test."""
    workers = []

    def start(*options, **environment):
        workers.append(Worker(home, runtime, *options, **environment))
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()


@pytest.fixture(scope="session")
def worker(home, runtime, png_support, make_pack):
    """One worker with the `stock` pack for all tests that change nothing about it."""
    worker = Worker(home, runtime, "--pack", make_pack("stock"))
    yield worker
    assert worker.close() == 0, "\n".join(worker.log)


@pytest.fixture
def records_of(home, runtime, make_pack, tmp_path):
    """What `facemill analyze` says about pictures: a record each."""
    def run(pictures, *options, pack="stock"):
        paths = []
        for number, picture in enumerate(pictures):
            paths.append(tmp_path / ("%d.png" % number))
            paths[-1].write_bytes(picture)
        facemill = cli.Facemill(home, FM_ORT_LIBRARY=runtime)
        return facemill("analyze", "--pack", make_pack(pack), *options, *paths, code=None).records

    return run
