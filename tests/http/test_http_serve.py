"""`facemill serve` as a process: what it says, how it ends, what signals do, what it refuses. Where a request has to be in
work, its batch waits for company (--max-wait-us) that does not come: nothing depends on how fast anything is."""

import concurrent.futures
import json
import os
import signal
import socket
import subprocess

import pytest

from conftest import PATIENCE, PROGRAM, ROOT, Worker, cli, multipart, wait_for

LONG = ("--max-batch", 8, "--max-wait-us", 6000000)  # a picture alone waits six seconds
SHORT = ("--max-batch", 64, "--max-wait-us", 2000000)


@pytest.fixture
def together():
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        yield pool


def detect(worker, picture, **headers):
    return worker.post_form("/detect", [("file", "a.png", picture)], **headers)


def queue(worker):
    return worker.metric("facemill_queue_depth")


def in_work(worker, count):
    wait_for(lambda: queue(worker) == count, "%d pictures in work" % count)


def detections(worker):
    return worker.metric('facemill_batch_size_count{network="detection"}')


# ---------------------------------------------------------------- the start

def test_first_line(serve, make_pack, home, runtime):
    worker = serve("--pack", make_pack("stock"))
    schema = json.load(open(os.path.join(ROOT, "docs", "output.schema.json"), encoding="utf-8"))["$defs"]["serving"]
    assert list(worker.started) == list(schema["properties"]) and worker.started["process"] == worker.process.pid
    assert worker.started["pack"] == "stock" and worker.started["pack_reason"] == "--pack"
    assert worker.started["providers"] == {"detector": "ort:cpu", "embedder": "ort:cpu"} or \
        set(worker.started["providers"].values()) == {"ort:cpu"}
    assert worker.url.startswith("http://127.0.0.1:") and not worker.url.endswith(":0")


def test_first_line_as_words(home, runtime, make_pack):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("FM_", "XDG_"))}
    process = subprocess.Popen([PROGRAM, "serve", "--listen", "127.0.0.1:0", "--format", "table", "--pack", str(make_pack("stock"))],
                               env=dict(environment, HOME=str(home), FM_ORT_LIBRARY=runtime), stdout=subprocess.PIPE)
    try:
        line = process.stdout.readline().decode()
        assert line.startswith("Listening on http://127.0.0.1:") and "pack stock (--pack)" in line and "on ort:cpu" in line
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0
        process.stdout.close()


def test_several_places(serve, make_pack, tmp_path, pictures):
    path = tmp_path / "worker.sock"
    worker = serve("--pack", make_pack("stock"), "--listen", "unix:%s" % path)
    assert len(worker.started["listening"]) == 2 and worker.started["listening"][1] == "unix:%s" % path
    first = detect(worker, pictures[2]).json["faces"]
    worker.url = worker.started["listening"][1]
    assert detect(worker, pictures[2]).json["faces"] == first and len(first) == 2


@pytest.mark.parametrize("listen, token, warns", [("127.0.0.1:0", False, False), ("0.0.0.0:0", False, True), ("0.0.0.0:0", True, False)])
def test_warning_without_a_token(serve, make_pack, tmp_path, listen, token, warns):
    tokens = tmp_path / "tokens"
    tokens.write_text("secret-token\n")
    tokens.chmod(0o600)
    worker = serve("--pack", make_pack("stock"), *(("--token-file", tokens) if token else ()), listen=listen)
    assert worker.close() == 0
    assert any("without a token" in line for line in worker.log) == warns


@pytest.mark.parametrize("options, code, words", [
    (["--pack", "nowhere"], 3, "nowhere"),
    (["--listen", "nothing"], 2, "nothing"),
    (["--listen", "127.0.0.1:99999"], 2, "99999"),
    (["--tls-cert", "x.pem"], 2, "--tls-key"),
    (["--tls-cert", "/nowhere.pem", "--tls-key", "/nowhere.key"], None, "nowhere"),
    (["--token-file", "/nowhere"], None, "/nowhere"),
    (["--access-log-file", "/nowhere/x"], 5, "--access-log-file"),
    (["argument"], 2, "argument"),
    (["--format", "csv"], 2, "csv"),
    (["--output", "x"], 2, "--output"),
    (["--batch", "4"], 2, "--batch"),
    (["--max-batch", "0"], 2, "--max-batch")])
def test_what_stops_it_at_the_start(home, runtime, make_pack, options, code, words):
    facemill = cli.Facemill(home, FM_ORT_LIBRARY=runtime, FM_PACK=str(make_pack("stock")))
    ran = facemill("serve", *options, code=code)
    assert ran.code in (2, 3, 5) and ran.out == "" and words in ran.err


def test_an_address_in_use(serve, make_pack, home, runtime):
    worker = serve("--pack", make_pack("stock"))
    port = worker.url.rsplit(":", 1)[1]
    facemill = cli.Facemill(home, FM_ORT_LIBRARY=runtime, FM_PACK=str(make_pack("stock")))
    assert port in facemill("serve", "--listen", "127.0.0.1:" + port, code=5).err


# ---------------------------------------------------------------- the end

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_was_accepted_is_answered(serve, make_pack, pictures, together, number):
    """Forty requests are in work when it is told to stop."""
    worker = serve("--pack", make_pack("stock"), *SHORT)
    asked = [together.submit(detect, worker, pictures[i % 4]) for i in range(40)]
    wait_for(lambda: queue(worker) + worker.metric("facemill_images_total") >= 40, "all of them in work")
    worker.signal(number)
    answers = [answer.result(PATIENCE) for answer in asked]
    assert worker.process.wait(PATIENCE) == 0
    assert [answer.code for answer in answers] == [200] * 40
    assert [len(answer.json["faces"]) for answer in answers] == [i % 4 for i in range(40)]
    with pytest.raises(ConnectionError):
        worker.get("/")


def test_after_the_grace_period_the_rest_is_refused(serve, make_pack, pictures, together):
    worker = serve("--pack", make_pack("stock"), "--grace", 0, *LONG)
    asked = together.submit(detect, worker, pictures[1])
    in_work(worker, 1)
    worker.signal(signal.SIGTERM)
    answer = asked.result(PATIENCE)
    assert answer.code == 503 and list(answer.json) == ["detail"]
    assert worker.process.wait(PATIENCE) == 0
    assert worker.said("grace period is over")


def test_a_second_signal_ends_it_at_once(serve, make_pack, pictures, together):
    worker = serve("--pack", make_pack("stock"), *LONG)
    asked = together.submit(detect, worker, pictures[1])
    in_work(worker, 1)
    worker.signal(signal.SIGTERM)
    worker.said("once more stops at once")
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(PATIENCE) == 128 + signal.SIGTERM
    with pytest.raises(ConnectionError):
        asked.result(PATIENCE)


# ---------------------------------------------------------------- full, late, gone

def test_a_full_queue_is_said_at_once(serve, make_pack, pictures, together):
    worker = serve("--pack", make_pack("stock"), "--queue-depth", 2, *LONG)
    slow = together.submit(detect, worker, pictures[1])
    in_work(worker, 1)
    refused = worker.post_form("/detect-batch", [("files", "a", pictures[1]), ("files", "b", pictures[2])])
    assert refused.code == 503 and int(refused.headers["retry-after"]) > 0 and "queue is full" in refused.json["detail"]
    assert not slow.done() and queue(worker) == 1, "all of a request or nothing"
    assert worker.get("/readyz").code == 200
    second = together.submit(detect, worker, pictures[2])
    in_work(worker, 2)
    assert detect(worker, pictures[1]).code == 503
    ready = worker.get("/readyz")
    assert ready.code == 503 and "full" in ready.text and worker.get("/healthz").code == 200
    assert [len(answer.result(PATIENCE).json["faces"]) for answer in (slow, second)] == [1, 2]
    assert worker.metric("facemill_images_refused_total") == 3 and worker.get("/readyz").code == 200


def test_more_than_the_queue_ever_takes(serve, make_pack, pictures):
    worker = serve("--pack", make_pack("stock"), "--queue-depth", 2)
    answer = worker.post_form("/detect-batch", [("files", "a", pictures[1])] * 3)
    assert answer.code == 413 and "--queue-depth" in answer.json["detail"]
    assert worker.post_form("/detect-batch", [("files", "a", pictures[1])] * 2).code == 200


def test_expired_requests_are_not_computed(serve, make_pack, pictures):
    worker = serve("--pack", make_pack("stock"), *SHORT)
    before = detections(worker)
    late = detect(worker, pictures[1], X_Deadline_Ms="300")
    assert late.code == 504 and "deadline" in late.json["detail"]
    in_work(worker, 0)
    assert worker.metric("facemill_images_expired_total") == 1
    assert detections(worker) == before
    assert detect(worker, pictures[1], X_Deadline_Ms="60000").code == 200


def test_the_worker_has_a_deadline_of_its_own(serve, make_pack, pictures):
    worker = serve("--pack", make_pack("stock"), "--request-deadline", 300, *SHORT)
    assert detect(worker, pictures[1]).code == 504


def test_abandoned_requests_are_not_computed(serve, make_pack, pictures):
    worker = serve("--pack", make_pack("stock"), *SHORT)
    networks = ("detection", "recognition")

    def runs():
        return [worker.metric('facemill_batch_size_count{network="%s"}' % network) for network in networks]
    before = runs()
    type, body = multipart([("files", "a.png", picture) for picture in pictures[1:]])
    connection = socket.create_connection(("127.0.0.1", int(worker.url.rsplit(":", 1)[1])), timeout=PATIENCE)
    connection.sendall(b"POST /detect-batch HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" %
                       (type.encode(), len(body), body))
    in_work(worker, 3)
    connection.close()  # while the pictures wait for company: it is asked when their batch is closed
    in_work(worker, 0)
    assert worker.metric("facemill_images_cancelled_total") == 3
    assert runs() == before
    wait_for(lambda: worker.metric('facemill_http_requests_total{method="POST",route="/detect-batch",code="499"}') == 1, "its row")
    assert len(detect(worker, pictures[3]).json["faces"]) == 3
    assert runs() == [before[0] + 1, before[1] + 1]


# ---------------------------------------------------------------- signals

def test_another_pack_takes_over_under_load(serve, make_pack, home, pictures, together, tmp_path):
    config = tmp_path / "config"
    config.write_text("pack = %s\n" % make_pack("stock"))
    worker = serve("--config", config)
    over = []

    def ask_on(number):
        codes = []
        while not over:
            codes.append(detect(worker, pictures[number % 4]).code)
        return codes
    asking = [together.submit(ask_on, number) for number in range(8)]
    try:
        wait_for(lambda: worker.metric("facemill_images_total") > 8, "load")
        config.write_text("pack = %s\n" % make_pack("batched"))
        worker.signal(signal.SIGHUP)
        worker.said("took over")
        before = worker.metric("facemill_images_total")
        wait_for(lambda: worker.metric("facemill_images_total") > before + 16, "load on the new one")
    finally:
        over.append(True)
    codes = [code for answers in asking for code in answers.result(PATIENCE)]
    assert set(codes) == {200} and len(codes) > 24
    text = worker.get("/metrics").text
    assert 'facemill_pack_info{name="batched"' in text and 'name="stock"' not in text and "facemill_swaps_total 1" in text
    assert worker.metric("facemill_images_total") >= len(codes), "counters go on over engines"


def test_a_reload_that_fails_changes_nothing(serve, make_pack, pictures, tmp_path):
    config = tmp_path / "config"
    config.write_text("pack = %s\n" % make_pack("stock"))
    worker = serve("--config", config)
    for bad, words in (("pack = /nowhere\n", "the old pack stays"), ("threads = many\n", "the old configuration stays")):
        config.write_text(bad)
        worker.signal(signal.SIGHUP)
        worker.said(words)
        assert len(detect(worker, pictures[3]).json["faces"]) == 3
    assert worker.metric("facemill_swaps_total") == 0


def test_the_same_pack_is_not_opened_again(serve, make_pack, tmp_path):
    folder = tmp_path / "pack"
    folder.mkdir()
    for file in make_pack("stock").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    worker = serve("--pack", folder, "--log-level", "info")
    worker.signal(signal.SIGHUP)
    worker.said("are what they were")
    assert worker.metric("facemill_swaps_total") == 0
    for file in make_pack("batched").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    worker.signal(signal.SIGHUP)
    worker.said("took over")
    assert worker.metric("facemill_swaps_total") == 1


def test_tokens_are_read_again(serve, make_pack, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("old-token\n")
    tokens.chmod(0o600)
    worker = serve("--pack", make_pack("stock"), "--token-file", tokens, "--log-level", "info")
    assert worker.get("/metrics", Authorization="Bearer old-token").code == 200
    tokens.write_text("new-token\n")
    worker.signal(signal.SIGHUP)
    worker.said("reload: done")
    assert worker.get("/metrics", Authorization="Bearer new-token").code == 200
    assert worker.get("/metrics", Authorization="Bearer old-token").code == 401


def test_options_that_need_a_new_start_are_named(serve, make_pack, tmp_path):
    config = tmp_path / "config"
    config.write_text("max-body = 1M\n")
    worker = serve("--pack", make_pack("stock"), "--config", config)
    config.write_text("max-body = 2M\n")
    worker.signal(signal.SIGHUP)
    assert "--max-body" in worker.said("needs a new start")


def test_the_log_is_turned_up(serve, make_pack):
    worker = serve("--pack", make_pack("stock"))
    worker.signal(signal.SIGUSR1)
    worker.said("the log's level is info")
    worker.signal(signal.SIGHUP)
    worker.said("are what they were")
    worker.signal(signal.SIGUSR2)
    worker.said("the log's level is warn")


# ---------------------------------------------------------------- idle

def test_idle_models_are_unloaded_and_come_back(serve, make_pack, pictures):
    worker = serve("--pack", make_pack("stock"), "--idle-unload", 1)
    first = detect(worker, pictures[3]).json["faces"]
    loaded = 'facemill_model_loaded{file="%s"}'
    names = [model["file"] for model in worker.started["models"]]
    wait_for(lambda: not any(worker.metric(loaded % name) for name in names), "unloading")
    unloads = worker.metric("facemill_unloads_total")
    assert unloads >= 1
    assert worker.get("/").json == {"status": "healthy", "gpu_available": False, "model_loaded": True, "device": "CPU"}
    assert worker.get("/readyz").code == 200 and not any(worker.metric(loaded % name) for name in names)
    assert detect(worker, pictures[3]).json["faces"] == first and len(first) == 3
    assert all(worker.metric(loaded % name) for name in names)
    wait_for(lambda: worker.metric("facemill_unloads_total") > unloads, "unloading again")


# ---------------------------------------------------------------- the access log, the service manager

def test_access_log(serve, make_pack, pictures, tmp_path):
    log = tmp_path / "access.log"
    worker = serve("--pack", make_pack("stock"), "--access-log", "json", "--access-log-file", log, "--log-level", "info")
    detect(worker, pictures[1], X_Request_Id="first-one")
    line, = wait_for(lambda: log.read_text().splitlines(), "a line")
    record = json.loads(line)
    assert "first-one" in record.values() and 200 in record.values() and "/detect" in record.values()
    log.rename(tmp_path / "access.log.1")
    worker.signal(signal.SIGHUP)
    worker.said("reload: done")
    worker.get("/healthz", X_Request_Id="second-one")
    wait_for(lambda: log.exists() and "second-one" in log.read_text(), "the new file")
    assert "second-one" not in (tmp_path / "access.log.1").read_text()


def test_access_log_on_standard_error(serve, make_pack):
    worker = serve("--pack", make_pack("stock"), "--access-log", "text")
    worker.get("/healthz", X_Request_Id="the-one")
    assert "/healthz" in worker.said("the-one")


def test_what_the_service_manager_hears(serve, make_pack, tmp_path):
    place = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(place))
        manager.settimeout(PATIENCE)
        worker = serve("--pack", make_pack("stock"), NOTIFY_SOCKET=str(place), WATCHDOG_USEC="400000")

        def heard(words):
            for _ in range(1000):
                message = manager.recv(4096).decode()
                if message.startswith(words):
                    return message
            raise AssertionError(words)
        heard("READY=1")
        heard("WATCHDOG=1")
        heard("WATCHDOG=1")
        worker.signal(signal.SIGHUP)
        assert "MONOTONIC_USEC=" in heard("RELOADING=1")
        heard("READY=1")
        worker.signal(signal.SIGTERM)
        heard("STOPPING=1")
        assert worker.process.wait(PATIENCE) == 0


def test_a_watchdog_of_another_process_is_not_ours(serve, make_pack, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0facemill-test-%d" % os.getpid())
        manager.settimeout(PATIENCE)
        worker = serve("--pack", make_pack("stock"), NOTIFY_SOCKET="@facemill-test-%d" % os.getpid(),
                       WATCHDOG_USEC="1000", WATCHDOG_PID="1")
        assert manager.recv(4096) == b"READY=1"
        worker.signal(signal.SIGTERM)
        assert manager.recv(4096) == b"STOPPING=1"
