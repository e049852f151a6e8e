"""Shared by the client's tests: a worker that behaves as it is told (worker.py), and a client in a process of its own
(client_tool.c). The fixtures of the command line's tests are used as they are."""

import importlib.util
import json
import os
import queue
import subprocess
import sys
import threading

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(os.path.dirname(HERE), "cli"))
specification = importlib.util.spec_from_file_location("cli_support", os.path.join(os.path.dirname(HERE), "cli", "conftest.py"))
cli = importlib.util.module_from_spec(specification)
specification.loader.exec_module(cli)
runtime, make_pack, png_support, pictures, folder = cli.runtime, cli.make_pack, cli.png_support, cli.pictures, cli.folder
pytest_sessionfinish = cli.pytest_sessionfinish

from worker import Worker  # noqa: E402 (beside this file)

TOOL = os.environ.get("FM_CLIENT_TOOL", "")
WAIT_S = 60  # for what certainly comes; nothing is measured by it
if not TOOL:
    collect_ignore_glob = ["test_*.py"]


class Client:
    """client_tool with its log kept apart from its answers."""

    def __init__(self, urls, environment, **options):
        words = ["%s=%s" % (name, value) for name, value in options.items()]
        self.process = subprocess.Popen([TOOL, urls] + words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self.logged, self.replies = queue.Queue(), queue.Queue()
        self.logs = []
        threading.Thread(target=self.read, daemon=True).start()
        self.first = self.replies.get(timeout=WAIT_S)

    def read(self):
        for line in self.process.stdout:
            try:
                record = json.loads(line)
            except ValueError:
                record = {"words": line.decode().strip()}
            if "log" in record:
                self.logs.append(record["log"])
                self.logged.put(record["log"])
            else:
                self.replies.put(record)

    def tell(self, line):
        self.process.stdin.write((line + "\n").encode())
        self.process.stdin.flush()

    def reply(self):
        return self.replies.get(timeout=WAIT_S)

    def analyze(self, path, how="analyze"):
        self.tell("%s %s" % (how, path))
        return self.reply()

    def wait_for_log(self, words):
        while True:
            line = self.logged.get(timeout=WAIT_S)
            if words in line:
                return line

    def close(self):
        self.process.stdin.close()
        try:
            code = self.process.wait(timeout=WAIT_S)
        finally:
            self.process.kill()
        assert code == 0, "client_tool ended with %d" % code


@pytest.fixture
def environment(tmp_path, runtime, make_pack, png_support):
    """With a runtime and the `stock` pack for the local engine, and no proxy between us and our workers."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("FM_", "XDG_")) and not k.lower().endswith("_proxy")}
    return dict(clean, HOME=str(tmp_path), FM_ORT_LIBRARY=runtime, FM_PACK=str(make_pack("stock")))


@pytest.fixture
def connect(environment):
    """connect("http://...", key=value): a client; all are closed in the end."""
    clients = []

    def make(*workers, **options):
        urls = ",".join(worker if isinstance(worker, str) else worker.url for worker in workers)
        clients.append(Client(urls, environment, **options))
        return clients[-1]

    yield make
    for client in clients:
        if not client.process.stdin.closed:
            client.close()


@pytest.fixture
def worker():
    with Worker() as one:
        yield one


@pytest.fixture
def photo(tmp_path, pictures):
    """A file with two faces, and what the local engine says of it."""
    path = tmp_path / "photo.png"
    path.write_bytes(pictures[2])
    return path
