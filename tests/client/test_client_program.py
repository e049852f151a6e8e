"""`facemill analyze --worker` beside `facemill analyze`: the same bytes when our worker answers, and complete when it dies."""

import json
import os
import shutil
import signal
import subprocess
import threading

import pytest

from conftest import Client, cli
from worker import Held, Worker

PROGRAM = os.environ.get("FM_PROGRAM", "")


class Serve:
    """`facemill serve` in a process of its own, at the same port when it is started again."""

    def __init__(self, environment, *arguments):
        self.environment, self.arguments, self.port = environment, arguments, 0
        self.start()

    def start(self):
        self.process = subprocess.Popen([PROGRAM, "serve", "--listen", "127.0.0.1:%d" % self.port] + [str(a) for a in self.arguments],
                                        stdout=subprocess.PIPE, env=self.environment)
        self.addresses = json.loads(self.process.stdout.readline())["listening"]
        self.url = self.addresses[0]
        self.port = int(self.url.rsplit(":", 1)[1])

    def end(self, number=signal.SIGTERM):
        if self.process:
            self.process.send_signal(number)
            self.process.wait(timeout=60)
            self.process.stdout.close()
        self.process = None


@pytest.fixture
def serve(environment):
    """serve("--option", ...): a running one; all are ended."""
    started = []

    def start(*arguments):
        started.append(Serve(environment, *arguments))
        return started[-1]

    yield start
    for one in started:
        one.end()


@pytest.fixture
def facemill(tmp_path, environment):
    return cli.Facemill(tmp_path, **{name: environment[name] for name in ("FM_ORT_LIBRARY", "FM_PACK")})


@pytest.fixture
def inputs(folder):
    """Pictures, and files of every kind that cannot be used."""
    (folder / "gif.png").write_bytes(b"GIF89a, which is not read")
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.png").write_bytes((folder / "c.png").read_bytes()[:300])
    (folder / "words.png").write_text("a text")
    return [folder, folder / "not_there.png"]


FORMS = [[], ["--embedding", "base64"], ["--embedding", "none"], ["--format", "csv"], ["--format", "table"],
         ["--det-size", "320"], ["--max-faces", "1", "--face-metric", "area"], ["--det-threshold", "0.9"], ["--min-face", "173"]]


def test_the_same_bytes(serve, facemill, inputs):
    worker = serve()
    seen = []
    for options in FORMS:
        here = facemill("analyze", *inputs, "--recursive", *options, code=1)
        there = facemill("analyze", *inputs, "--recursive", *options, "--worker", worker.url, "--worker-policy", "require", code=1)
        assert there.out == here.out, options
        assert "; 7 by %s" % worker.url in there.summary_line and "pack" not in there.summary_line
        seen.append(there.out)
    assert seen[0] not in seen[1:], "an option makes no difference"


def test_the_same_bytes_without_embeddings(serve, facemill, folder, make_pack):
    """A pack whose faces cannot be aligned, and one without a recogniser: null, and no such member."""
    outs = []
    for pack in (make_pack("normalised"), make_pack("detector")):
        worker = serve("--pack", pack)
        outs.append(facemill("analyze", folder, "--pack", pack).out)
        assert facemill("analyze", folder, "--worker", worker.url, "--worker-policy", "require").out == outs[-1]
        worker.end()
    assert '"embedding":null' in outs[0] and '"embedding' not in outs[1] and '"box"' in outs[1]


def test_sockets_and_standard_input(serve, facemill, folder, tmp_path):
    worker = serve("--listen", "unix:%s" % (tmp_path / "s"))
    picture = (folder / "b.PNG").read_bytes()
    here = facemill("analyze", "-", stdin=picture)
    assert facemill("analyze", "-", "--worker", "unix:%s" % (tmp_path / "s"), stdin=picture).out == here.out
    assert facemill("analyze", "-", "--worker", worker.url, stdin=b"none", code=1).out == facemill("analyze", "-", stdin=b"none", code=1).out


def test_token(serve, facemill, folder, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("# ours\n\n  secret-1 \nsecret-2\n")
    worker = serve("--token-file", tokens)
    ran = facemill("analyze", folder / "a.png", "--worker", worker.url, "--worker-policy", "require", code=1)
    assert "it answers 401: it wants a token" in ran.records[0]["error"]["message"]
    ran = facemill("analyze", folder / "a.png", "--worker", worker.url, "--worker-token-file", tokens)
    assert "; 1 by " in ran.summary_line
    for content, code in (("", 2), ("# nothing\n", 2), (None, 3)):
        other = tmp_path / "other"
        other.write_text(content) if content is not None else other.unlink()
        assert "other'" in facemill("analyze", folder / "a.png", "--worker", worker.url, "--worker-token-file", other, code=code).err


def test_tls(serve, environment, folder, tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("no openssl, which makes the certificate")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=test",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key", "-out", tmp_path / "cert"],
                   check=True, stderr=subprocess.DEVNULL)
    worker = serve("--tls-cert", tmp_path / "cert", "--tls-key", tmp_path / "key")
    client = Client(worker.url, environment, policy="require", certificates=tmp_path / "cert")
    reply = client.analyze(folder / "a.png")
    assert worker.url.startswith("https://") and (reply["status"], reply["source"]) == ("ok", worker.url)
    client.close()
    client = Client(worker.url, environment, policy="require")  # not one of the system's authorities
    assert "certificate" in client.analyze(folder / "a.png")["message"]
    client.close()


def test_a_gpu_worker(facemill, folder):
    with Worker(gpu=True) as worker:
        ran = facemill("analyze", folder / "a.png", folder / "b.PNG", "--worker", worker.url)
        faces = [face for record in ran.records for face in record["faces"]]
        assert [face["box"] for face in faces] == [[1, 2, 30, 40]] * 2 and faces[0]["embedding"][1:3] == [0.1, -2.5]
        assert "; 2 by %s" % worker.url in ran.summary_line


def test_who_names_the_worker(facemill, folder, tmp_path):
    """--worker before FM_WORKER before GPU_WORKER_URL before the config file."""
    with Worker() as a, Worker() as b, Worker() as c, Worker() as d:
        config = tmp_path / "config"
        config.write_text("worker = %s\n" % d.url)
        for arguments, variables, wanted in ((["--worker", a.url], {"FM_WORKER": b.url, "GPU_WORKER_URL": c.url}, a),
                                             ([], {"FM_WORKER": b.url, "GPU_WORKER_URL": c.url}, b), ([], {"GPU_WORKER_URL": c.url}, c),
                                             ([], {"FM_WORKER": "", "GPU_WORKER_URL": ""}, d)):
            ran = facemill("analyze", folder / "a.png", "--config", config, *arguments, **variables)
            assert "; 1 by %s" % wanted.url in ran.summary_line
    row, = [row for row in json.loads(facemill("analyze", "--print-config", GPU_WORKER_URL="http://x").out)["options"] if row["option"] == "worker"]
    assert (row["value"], row["source"]) == ("http://x", "environment")
    assert "worker" not in [row["option"] for row in json.loads(facemill("detect", "--print-config").out)["options"]]
    facemill("detect", folder / "a.png", GPU_WORKER_URL="http://127.0.0.1:1")  # nobody's business there
    ran = facemill("analyze", folder / "a.png", GPU_WORKER_URL="nonsense", code=2)
    assert "'nonsense' is no worker's URL" in ran.err


def test_nobody_there(facemill, folder, tmp_path):
    with Worker() as worker:
        url = worker.url
    here = facemill("analyze", folder)
    ran = facemill("analyze", folder, "--worker", url, "--summary", tmp_path / "s.json")
    assert ran.out == here.out and "; 3 here; pack stock" in ran.summary_line
    assert ran.err.count("pictures are analyzed here until one does") == 1
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["sources"] == [{"source": "local", "images": 3}] and summary["pack"] == "stock"
    ran = facemill("analyze", folder, "--worker", url, "--worker-policy", "require", "--summary", tmp_path / "s.json", code=1)
    assert len(ran.records) == 3 and all(url in record["error"]["message"] for record in ran.records)
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["sources"] == [] and summary["pack"] == "" and summary["models"] == []


def test_drawing_stays_here(facemill, folder, tmp_path, worker):
    ran = facemill("analyze", folder / "a.png", "--draw", tmp_path / "d", "--worker", worker.url, code=2)
    assert "--draw needs the decoded images" in ran.err and ran.out == ""
    ran = facemill("analyze", folder / "a.png", "--draw", tmp_path / "d", GPU_WORKER_URL=worker.url)
    assert "analyzed here, not by the worker of GPU_WORKER_URL" in ran.err and len(list((tmp_path / "d").iterdir())) == 1
    assert not worker.requests and not worker.probes


def test_deadline_and_timeout(facemill, folder, worker):
    worker.behaviour = held = Held()
    ran = facemill("analyze", folder / "a.png", "--worker", worker.url, "--deadline", 200, code=1)
    assert ran.records[0]["error"]["code"] == "deadline"
    ran = facemill("analyze", folder / "a.png", "--worker", worker.url, "--worker-timeout", 100)
    assert "1 here" in ran.summary_line
    held.release()


class Job:
    """analyze with its list of files coming from us, its records and its log going to us, line by line."""

    def __init__(self, environment, *arguments):
        self.process = subprocess.Popen([PROGRAM, "analyze", "--from-file", "-", "--format", "jsonl"] + list(arguments), env=environment,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.err, self.said = [], threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stderr:
            with self.said:
                self.err.append(line.decode())
                self.said.notify()

    def wait_for(self, words):
        with self.said:
            assert self.said.wait_for(lambda: any(words in line for line in self.err), timeout=60), self.err

    def analyze(self, path, times=1):
        self.process.stdin.write(("%s\n" % path).encode() * times)
        self.process.stdin.flush()
        return [self.process.stdout.readline() for _ in range(times)]

    def end(self):
        self.process.stdin.close()
        assert self.process.stdout.read() == b"" and self.process.wait(timeout=60) == 0


def test_killed_and_back(serve, environment, facemill, folder):
    """Our worker killed while it works: every picture has its record, the same bytes as without a worker; and it is used again."""
    worker = serve()
    expected = facemill("analyze", folder / "c.png").out.encode()
    job = Job(environment, "--worker", worker.url)
    assert job.analyze(folder / "c.png") == [expected]
    job.process.stdin.write(("%s\n" % (folder / "c.png")).encode() * 60)
    job.process.stdin.flush()
    first = job.process.stdout.readline()  # it is in the middle of them
    worker.end(signal.SIGKILL)
    rest = [job.process.stdout.readline() for _ in range(59)]
    assert [first] + rest == [expected] * 60
    assert job.analyze(folder / "c.png", 5) == [expected] * 5
    job.wait_for("pictures are analyzed here until one does")
    worker.start()
    job.wait_for("worker %s answers: pictures go there from now on" % worker.url)
    assert job.analyze(folder / "c.png", 20) == [expected] * 20
    job.end()
    told = [line for line in job.err if "warn: client" in line]
    assert len(told) == 2 and "pack" in job.err[-1] and " by %s" % worker.url in job.err[-1] and " here" in job.err[-1], job.err
