"""What the client sends and takes when its workers do their work: both interfaces, options, several workers, connections."""

import pytest

from worker import Held, Worker, answers, embedding_of, good, in_turn, v1_answer

QUERY = "?embedding=base64&det_size=%d&max_faces=%d&min_face=0&face_metric=centre"
BOX, SCORE = [1.5, 2.25, 30.125, 40.0625], 0.875


def test_our_worker(worker, connect, photo):
    client = connect(worker)
    assert client.first == {"open": True} and not worker.probes and not worker.requests  # nobody is asked before there is a picture
    reply = client.analyze(photo)
    assert (reply["status"], reply["source"], reply["width"], reply["height"]) == ("ok", worker.url, 640, 480)
    face, = reply["faces"]
    assert face["box"] == BOX and face["score"] == SCORE and face["landmarks"][:3] == [0.5, 1.25, 1.5]
    # 32-bit floats, bit for bit; the norm is the worker's
    assert face["size"] == 4 and face["embedding"] == [embedding_of(photo.read_bytes())[0], 0.1, -2.5, embedding_of(photo.read_bytes())[3]]
    assert face["norm"] == 12.5
    path, kind, size, headers = worker.requests[0]
    assert path == "/v1/analyze" + QUERY % (640, 0) and kind == "image/png" and size == photo.stat().st_size
    assert worker.probes == ["/v1/models"] and "Authorization" not in headers
    client.tell("engine")
    assert client.reply() == {"engine": False}  # nothing was opened here


def test_a_gpu_worker(connect, photo):
    with Worker(gpu=True) as worker:
        client = connect(worker)
        reply = client.analyze(photo)
        assert (reply["status"], reply["source"], reply["width"], reply["height"]) == ("ok", worker.url, 640, 480)
        face, = reply["faces"]
        assert face["box"] == [1, 2, 30, 40] and face["score"] == SCORE
        assert face["landmarks"] == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5] and face["embedding"][1:3] == [0.1, -2.5]
        assert face["norm"] == pytest.approx(sum(v * v for v in embedding_of(photo.read_bytes())) ** 0.5)
        assert worker.probes == ["/v1/models", "/"] and worker.requests[0][0] == "/detect"


def test_every_kind_of_input(worker, connect, photo):
    client = connect(worker)
    sizes = [client.analyze(photo, how=how)["faces"][0]["embedding"][0] for how in ("analyze", "bytes")]
    assert sizes == [photo.stat().st_size] * 2
    assert client.analyze(8, how="pixels")["status"] == "ok" and worker.requests[-1][1] == "image/png"


def test_options_are_asked_of_our_worker(worker, connect, photo):
    client = connect(worker, det_size=320, max_faces=3, token="secret.1")
    assert client.analyze(photo)["status"] == "ok"
    path, _, _, headers = worker.requests[0]
    assert path == "/v1/analyze" + QUERY % (320, 3) and headers["Authorization"] == "Bearer secret.1"


def test_options_that_a_gpu_worker_cannot_have(connect, photo):
    """Its answers would be to another question: it gets no picture, and that is said."""
    with Worker(gpu=True) as worker:
        client = connect(worker, max_faces=1)
        reply = client.analyze(photo)
        assert reply["source"] == "local" and len(reply["faces"]) == 1 and not worker.requests
        assert "takes no number of faces" in client.wait_for_log("no worker answers")
        client = connect(worker, max_faces=1, policy="require")
        reply = client.analyze(photo)
        assert reply["status"] == "io" and "number of faces" in reply["message"] and worker.url in reply["message"]


def test_connections_are_kept(worker, connect, photo):
    client = connect(worker)
    for _ in range(20):
        assert client.analyze(photo)["status"] == "ok"
    assert len(worker.connections) == 1 and len(worker.requests) == 20


def test_least_outstanding_requests(connect, photo):
    """Two workers, one of which holds what it gets: it gets no more than its share, the other everything else."""
    with Worker() as slow, Worker() as quick:
        client = connect(slow, quick, in_flight=4)
        client.analyze(photo)
        for _ in range(2):
            client.wait_for_log("has pack fake")  # both are known
        slow.behaviour, slow.requests, quick.requests = Held(), [], []
        held = slow.behaviour
        client.tell("submit 40 %s" % photo)
        held.wait_for(2)  # half of the four
        sources = [client.reply()["source"] for _ in range(38)]
        assert set(sources) == {quick.url} and len(slow.requests) == 2
        held.release()
        client.tell("drain")
        rest = [client.reply() for _ in range(3)]
        assert rest[-1] == {"drain": True} and len(slow.requests) + len(quick.requests) == 40


def test_requests_at_a_time(worker, connect, photo):
    worker.behaviour = held = Held()
    client = connect(worker)  # 8 for each worker
    client.tell("submit 30 %s" % photo)
    held.wait_for(8)
    held.release()
    client.tell("drain")
    replies = [client.reply() for _ in range(31)]
    assert replies[-1] == {"drain": True} and all(reply["status"] == "ok" for reply in replies[:-1]) and worker.most == 8


def test_each_answer_belongs_to_its_picture(worker, connect, tmp_path, photo):
    client = connect(worker)
    for number in range(12):
        path = tmp_path / ("%d.png" % number)
        path.write_bytes(photo.read_bytes() + b"x" * number)
        client.tell("submit 1 %s" % path)
    client.tell("drain")
    replies = [client.reply() for _ in range(13)][:-1]
    assert sorted(reply["faces"][0]["embedding"][0] - photo.stat().st_size for reply in replies) == list(range(12))


@pytest.mark.parametrize("code, error, status", [
    (422, "bad_image", "bad_image"), (422, "truncated", "truncated"), (413, "limit", "limit"), (415, "unsupported", "unsupported"),
    (400, "invalid_argument", "invalid_argument"), (422, "internal", "bad_image")])
def test_a_picture_that_is_refused(worker, connect, photo, code, error, status):
    """Its own failure: no retry, no other worker, no local engine, and the worker stays in use."""
    worker.behaviour = answers(code, {"error": {"code": error, "message": "'image in memory' is nothing"}, "request_id": "r"})
    client = connect(worker, breaker=1)
    for _ in range(3):
        reply = client.analyze(photo)
        assert (reply["status"], reply["source"], reply["faces"]) == (status, worker.url, [])
        assert reply["message"] == "'%s' is nothing" % photo  # as the engine here would say it
    assert len(worker.requests) == 3 and worker.probes == ["/v1/models"]
    worker.behaviour = answers(code, b"not JSON")
    assert client.analyze(photo)["message"] == "it answers %d" % code
    worker.behaviour = answers(code, {"detail": "no\n\x1b[2Jpicture"})
    assert client.analyze(photo)["message"] == "no  [2Jpicture"
    worker.behaviour = good
    assert client.analyze(photo)["status"] == "ok"


def test_a_gpu_workers_500_is_not_repeated(connect, photo):
    """Its code for a picture that it cannot read: the engine here decides what is wrong."""
    with Worker(gpu=True) as worker:
        worker.behaviour = answers(500, {"detail": "cannot identify image file"})
        client = connect(worker)
        reply = client.analyze(photo)
        assert (reply["status"], reply["source"], len(reply["faces"]), len(worker.requests)) == ("ok", "local", 2, 1)
        assert "cannot identify image file" in client.wait_for_log("is analyzed here, because no worker did it")
        worker.behaviour = good
        assert client.analyze(photo)["source"] == worker.url


def test_files_that_cannot_be_sent(worker, connect, tmp_path):
    client = connect(worker)
    (tmp_path / "empty.png").write_bytes(b"")
    assert client.analyze(tmp_path / "none.png")["status"] == "not_found"
    reply = client.analyze(tmp_path / "empty.png")
    assert reply["status"] == "bad_image" and "is empty" in reply["message"] and not worker.requests


def test_packs_that_differ_are_said(connect, photo):
    with Worker() as one, Worker() as other:
        other.pack_id = "b" * 64
        client = connect(one, other)
        client.analyze(photo)
        client.wait_for_log("embeddings of the two cannot be compared")
        one.kill()
        other.kill()
        assert client.analyze(photo)["source"] == "local"
        client.wait_for_log("the engine here another (stock): embeddings of the two cannot be compared")


@pytest.mark.parametrize("urls, words", [
    ("", "no worker is named"), ("ftp://a", "'ftp://a' is no worker's URL"), ("http://user:pw@a:1", "is no worker's URL"),
    ("http://a:1/?x=1", "is no worker's URL"), ("http://a:99999", "is no worker's URL"), ("unix:", "is no worker's URL"),
    ("http://a,http://a/", "is named twice"), ("http://" + "a" * 3000, "at most 64 workers")])
def test_bad_urls(environment, urls, words):
    from conftest import Client
    client = Client(urls, environment)
    assert client.first["words"].startswith("invalid_argument: ") and words in client.first["words"]
    assert client.process.wait(timeout=60) == 1


def test_bad_token(environment, worker):
    from conftest import Client
    assert "is no bearer token" in Client(worker.url, environment, token="a\nb").first["words"]


def test_answers_of_any_order_of_faces_count(worker, connect, photo):
    worker.behaviour = in_turn(*[lambda handler, picture, n=n: handler.send_json(200, v1_answer(picture, n)) for n in (0, 1, 7, 300)])
    client = connect(worker)
    assert [len(client.analyze(photo)["faces"]) for _ in range(4)] == [0, 1, 7, 300]
