"""Workers that fail: each picture is answered once, the local engine takes over at once and says so, and workers are used again
when they are back."""

import time

import pytest

from worker import Held, Worker, answers, cut, endless, good, gpu_answer, hang_up, in_turn, v1_answer


def changed(picture, **members):
    return dict(v1_answer(picture), **members)


def face_with(picture, **members):
    answer = v1_answer(picture)
    answer["faces"] = [dict(answer["faces"][0], **members)]
    return answer


BAD_ANSWERS = {
    "no JSON": b"<html>hello</html>", "half": b'{"width": 640, "height": 480, "faces": [', "nothing": b"", "a list": b"[]", "null": b"null",
    "deep": b"[" * 100000, "no size": {"faces": []}, "a negative size": changed(b"", width=-1), "no faces": {"width": 1, "height": 1},
    "faces are a number": changed(b"", faces=3), "a face is a number": changed(b"", faces=[3]),
    "three numbers for a box": face_with(b"", box=[1, 2, 3]), "five numbers for a box": face_with(b"", box=[1, 2, 3, 4, 5]),
    "words for a box": face_with(b"", box="1234"), "beyond a float": face_with(b"", box=[1, 2, 3, 1e300]),
    "four points": face_with(b"", landmarks=[[1, 2]] * 4), "points of three": face_with(b"", landmarks=[[1, 2, 3]] * 5),
    "a score of two": face_with(b"", score=2), "no score": face_with(b"", score=None),
    "an embedding of seven bytes": face_with(b"", embedding="AAAAAAAAAA=="), "an embedding that is no base64": face_with(b"", embedding="????"),
    "no values": face_with(b"", embedding=[]), "values that are words": face_with(b"", embedding=["a"] * 4),
    "too many values": face_with(b"", embedding=[0.5] * 10000), "not a number": face_with(b"", embedding="AADAfwAAwH8="),
    "two sizes": changed(b"", faces=[face_with(b"", embedding=[1, 2])["faces"][0], v1_answer(b"")["faces"][0]]),
}


@pytest.mark.parametrize("name", sorted(BAD_ANSWERS))
def test_answers_that_cannot_be_read(worker, connect, photo, name):
    worker.behaviour = answers(200, BAD_ANSWERS[name])
    client = connect(worker, policy="require", retries=1, breaker=10)
    reply = client.analyze(photo)
    assert reply["status"] == "io" and "its answer cannot be read: " in reply["message"] and reply["faces"] == []
    assert len(worker.requests) == 2  # asked again once
    worker.behaviour = good
    assert client.analyze(photo)["status"] == "ok"


@pytest.mark.parametrize("behaviour, words", [
    (cut, ""), (hang_up, ""), (answers(500, {"error": {"code": "internal", "message": "a defect"}}), "500: a defect"),
    (answers(502, b"<html>"), "502: it answers 502"), (answers(301, b"", Location="http://127.0.0.1:1/"), "301")])
def test_a_failure_is_tried_again(worker, connect, photo, behaviour, words):
    worker.behaviour = in_turn(behaviour, good)
    client = connect(worker)
    reply = client.analyze(photo)
    assert (reply["status"], len(reply["faces"])) == ("ok", 1 if words != "301" else 2)  # a page elsewhere is no worker
    assert reply["source"] == (worker.url if words != "301" else "local")
    worker.behaviour = behaviour
    client = connect(worker, policy="require", retries=-1)
    reply = client.analyze(photo)
    assert reply["status"] == "io" and worker.url in reply["message"] and words in reply["message"]


def test_answers_are_bounded(worker, connect, photo):
    worker.behaviour = endless
    client = connect(worker, policy="require", retries=-1)
    reply = client.analyze(photo)
    assert reply["status"] == "io" and "its answer is longer than 67108864 bytes" in reply["message"]
    assert worker.cut_off.wait(60)


def test_nobody_there(connect, photo):
    """From the start: the local engine, said once."""
    with Worker() as worker:
        url = worker.url
    client = connect(url)
    client.tell("submit 20 %s" % photo)
    client.tell("drain")
    replies = [client.reply() for _ in range(21)][:-1]
    assert all((reply["status"], reply["source"], len(reply["faces"])) == ("ok", "local", 2) for reply in replies)
    client.tell("engine")
    assert client.reply() == {"engine": True}
    assert len([line for line in client.logs if "pictures are analyzed here until one does" in line and url in line]) == 1
    assert client.analyze(8, how="pixels")["status"] == "ok" and client.analyze(photo, how="bytes")["source"] == "local"


def test_require_says_who_failed_and_how(connect, photo):
    with Worker() as dead, Worker(token="other") as locked:
        locked_url, dead_url = locked.url, dead.url
        dead.kill()
        client = connect(dead_url, locked_url, policy="require", token="mine")
        reply = client.analyze(photo)
        assert reply["status"] == "io" and reply["source"] == "" and str(photo) in reply["message"]
        assert "%s: it answers 401: it wants another token" % locked_url in reply["message"]
        assert "%s: " % dead_url in reply["message"] and "connect" in reply["message"].lower()
        client.tell("engine")
        assert client.reply() == {"engine": False}


def test_the_engine_here_cannot_be_opened_either(connect, photo, tmp_path):
    with Worker() as worker:
        url = worker.url
    client = connect(url, pack=tmp_path / "nothing")
    for _ in range(2):
        reply = client.analyze(photo)
        assert reply["status"] == "not_found" and "no worker answers, and the engine here cannot be opened: " in reply["message"]


def test_death_and_return(worker, connect, photo):
    """Killed while it has eight pictures in its hands: all are answered, once each, here, without waiting for anything
    but the pauses between tries. Back again: it is used again."""
    client = connect(worker, probe_ms=100)
    assert client.analyze(photo)["source"] == worker.url
    worker.kill()
    assert client.analyze(photo)["source"] == "local"  # opens the engine
    worker.start()
    assert client.wait_for_log("answers: pictures go there from now on")
    worker.behaviour = held = Held(hang_up)
    client.tell("submit 30 %s" % photo)
    held.wait_for(8)
    died = time.monotonic()
    worker.kill()
    held.release()
    replies = [client.reply()]
    took = time.monotonic() - died
    replies += [client.reply() for _ in range(29)]
    client.tell("drain")
    assert client.reply() == {"drain": True} and client.replies.empty()
    assert all((reply["status"], reply["source"], len(reply["faces"])) == ("ok", "local", 2) for reply in replies)
    print("%.2f s from the worker's death to the first answer of the engine here" % took)
    assert took < 5, "a second is what it takes on a machine that does nothing else; %.2f s" % took
    worker.behaviour = good
    worker.start()
    assert client.wait_for_log("answers: pictures go there from now on")
    assert client.analyze(photo)["source"] == worker.url
    told = [line for line in client.logs if "pictures are analyzed here" in line or "pictures go there" in line]
    assert ["here" in line.split("pictures")[-1] and "analyzed" in line for line in told] == [True, False, True, False], told


def test_the_other_worker_takes_over(connect, photo):
    with Worker() as one, Worker() as other:
        client = connect(one, other, breaker=2)
        one.behaviour = hang_up
        client.tell("submit 40 %s" % photo)
        client.tell("drain")
        replies = [client.reply() for _ in range(41)][:-1]
        assert {(reply["status"], reply["source"]) for reply in replies} == {("ok", other.url)}
        assert len(other.requests) == 40
        assert len([line for line in client.logs if "worker %s gets no more pictures" % one.url in line]) >= 1
        client.tell("engine")
        assert client.reply() == {"engine": False}


def test_breaker_counts(worker, connect, photo):
    """After the third failure in a row, and not before; it stays open until a probe succeeds."""
    worker.behaviour = in_turn(*[answers(500, b"")] * 2 + [good] + [answers(500, b"")] * 3 + [good])
    client = connect(worker, retries=-1, probe_ms=50)
    sources = [client.analyze(photo)["source"] for _ in range(3)]
    assert sources == ["local", "local", worker.url] and len(worker.requests) == 3
    worker.health = answers(503, {"status": "starting"})
    assert [client.analyze(photo)["source"] for _ in range(3)] == ["local"] * 3 and len(worker.requests) == 6
    before = len(worker.probes)
    for _ in range(before):
        assert worker.probed.acquire(timeout=60)
    for _ in range(3):  # probes go on, pictures do not come
        assert worker.probed.acquire(timeout=60)
        assert client.analyze(photo)["source"] == "local"
    assert len(worker.requests) == 6
    worker.health = None
    assert client.wait_for_log("answers: pictures go there from now on")
    assert client.analyze(photo)["source"] == worker.url and len(worker.requests) == 7


def test_busy_is_not_broken(worker, connect, photo):
    """503 with Retry-After: left alone for that long, and then asked again; no failure, no local engine."""
    worker.behaviour = in_turn(*[answers(503, {"error": {"code": "busy", "message": "the queue is full"}}, Retry_After=1)] * 3 + [good])
    client = connect(worker, retries=-1, breaker=1)
    start = time.monotonic()
    reply = client.analyze(photo)
    assert (reply["status"], reply["source"], len(worker.requests)) == ("ok", worker.url, 4)
    assert time.monotonic() - start >= 3
    assert worker.probes == ["/v1/models"]


def test_busy_has_an_end(worker, connect, photo):
    """An hour is not waited for, and patience ends with the request's time."""
    worker.behaviour = answers(503, b"", Retry_After=3600)
    client = connect(worker, timeout_ms=1500)
    assert client.analyze(photo)["source"] == "local" and len(worker.requests) == 1
    worker.behaviour = good  # after ten seconds at most it is asked again


def test_a_busy_worker_and_a_free_one(connect, photo):
    with Worker() as busy, Worker() as free:
        busy.behaviour = answers(503, b"", Retry_After=5)
        client = connect(busy, free)
        client.tell("submit 20 %s" % photo)
        client.tell("drain")
        assert {client.reply()["source"] for _ in range(20)} == {free.url}
        assert 1 <= len(busy.requests) <= 16


def test_503_without_a_time_is_a_failure(connect, photo):
    """A GPU worker that loads its model."""
    with Worker(gpu=True) as worker:
        worker.behaviour = answers(503, {"detail": "model is not loaded"})
        client = connect(worker)
        assert client.analyze(photo)["source"] == "local" and len(worker.requests) == 3
        assert "503: model is not loaded" in client.wait_for_log("no worker answers")


def test_a_gpu_worker_that_is_not_ready(connect, photo):
    with Worker(gpu=True) as worker:
        worker.health = in_turn(answers(404, b""), answers(200, {"status": "initializing", "model_loaded": False}))
        client = connect(worker, policy="require")
        reply = client.analyze(photo)
        assert reply["status"] == "io" and "it says it is 'initializing'" in reply["message"] and not worker.requests


def test_no_worker_at_all(connect, photo):
    """Something else listens there."""
    with Worker() as worker:
        worker.health = answers(200, b"<html>welcome</html>")
        client = connect(worker, policy="require")
        assert 'it is no worker: GET / has no "status"' in client.analyze(photo)["message"]


def test_a_slow_answer(worker, connect, photo):
    worker.behaviour = held = Held()
    client = connect(worker, timeout_ms=1000, retries=-1)
    assert client.analyze(photo)["source"] == "local"
    held.release()
    client = connect(worker, policy="require", timeout_ms=1000, retries=-1)
    worker.behaviour = held = Held()
    reply = client.analyze(photo)
    assert reply["status"] == "io" and "timed out" in reply["message"].lower()
    held.release()


def test_deadline(worker, connect, photo):
    """Nobody's failure: the picture's time is over, wherever it is."""
    worker.behaviour = held = Held()
    client = connect(worker, deadline_ms=2000, breaker=1)
    reply = client.analyze(photo)
    assert reply["status"] == "deadline" and "2000 ms" in reply["message"]
    assert 1 <= int(worker.requests[0][3]["X-Deadline-Ms"]) <= 2001
    held.release()
    worker.behaviour = good
    assert client.analyze(photo)["source"] == worker.url


def test_a_worker_in_good_health_that_analyzes_nothing(worker, connect, photo):
    """It is asked less and less often, so that it is not the same two lines each second."""
    worker.behaviour = answers(500, b"")
    client = connect(worker, breaker=1, retries=-1, probe_ms=20)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        assert client.analyze(photo)["source"] == "local"
    assert len(worker.probes) < 12, "without growing pauses it would be a hundred"


def test_the_gpu_interface_is_read_as_strictly(connect, photo):
    with Worker(gpu=True) as worker:
        client = connect(worker, policy="require", retries=-1, breaker=100)
        for member, value in (("bbox_x", None), ("bbox_width", "29"), ("confidence", 7), ("landmarks", [[1, 2]]), ("embedding", [None] * 4)):
            answer = gpu_answer(b"")
            answer["faces"][0][member] = value
            worker.behaviour = answers(200, answer)
            assert "its answer cannot be read: face 1: " in client.analyze(photo)["message"], member
        answer = gpu_answer(b"")
        answer["faces"][0].update(landmarks=None, embedding=None)
        worker.behaviour = answers(200, answer)
        face, = client.analyze(photo)["faces"]
        assert face["landmarks"] == [0] * 10 and face["size"] == 0
