"""immich's machine learning interface, field by field: types, rounding, the embedding that is a string, codes."""

import json
import re

import pytest

from conftest import Worker, numbered_squares, png

TASK = "facial-recognition"
THREE = png(numbered_squares(3))


def entries(min_score=None, detection=True, recognition=True, name="buffalo_l", task=TASK):
    types = {}
    if detection:
        types["detection"] = {"modelName": name, "options": {} if min_score is None else {"minScore": min_score}}
    if recognition:
        types["recognition"] = {"modelName": name, "options": {}}
    return {task: types}


def predict(worker, asked, image=THREE, text=None, **headers):
    parts = []
    if asked is not None:
        parts.append(("entries", None, (asked if isinstance(asked, str) else json.dumps(asked)).encode()))
    if image is not None:
        parts.append(("image", "a.png", image))
    if text is not None:
        parts.append(("text", None, text.encode()))
    return worker.post_form("/predict", parts, **headers)


def is_error(answer, code):
    assert answer.code == code, answer.text[:500]
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json) == ["detail"]
    return answer.json["detail"]


def test_ping(worker):
    answer = worker.get("/ping")
    assert (answer.code, answer.text) == (200, "pong")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_faces_are_those_of_analyze(worker, records_of):
    record = records_of([THREE], "--det-threshold", "0.7")[0]
    answer = predict(worker, entries())
    assert answer.code == 200 and answer.headers["content-type"] == "application/json"
    reply = answer.json
    assert list(reply) == [TASK, "imageHeight", "imageWidth"]
    assert (type(reply["imageHeight"]), reply["imageHeight"], reply["imageWidth"]) == (int, 640, 640)
    assert len(reply[TASK]) == len(record["faces"]) == 3
    for got, face in zip(reply[TASK], record["faces"]):
        assert list(got) == ["boundingBox", "embedding", "score"]
        assert list(got["boundingBox"]) == ["x1", "y1", "x2", "y2"]
        assert all(type(value) is float for value in got["boundingBox"].values())
        assert list(got["boundingBox"].values()) == [float(round(value)) for value in face["box"]]  # halves to even
        assert type(got["embedding"]) is str and re.fullmatch(r"\[[-0-9.,e]+\]", got["embedding"])
        assert json.loads(got["embedding"]) == face["embedding"] and len(face["embedding"]) == 512
        assert type(got["score"]) is float and got["score"] == face["score"]


def test_embeddings_are_raw(worker):
    face = predict(worker, entries()).json[TASK][0]
    assert abs(sum(value * value for value in json.loads(face["embedding"])) - 1) > 0.01


def test_sizes_are_those_of_the_picture(worker):
    reply = predict(worker, entries(), png([], side=40, width=70)).json
    assert reply == {TASK: [], "imageHeight": 40, "imageWidth": 70}


def test_min_score(worker, records_of):
    squares = numbered_squares(9)
    picture = png(squares)
    scores = [face["score"] for face in records_of([picture], "--det-threshold", "0.01")[0]["faces"]]
    assert min(scores) < 0.7 < max(scores)
    for min_score in (None, 0.7, 0.8, scores[3], 1, 7):
        limit = 0.7 if min_score is None else min_score
        found = [face["score"] for face in predict(worker, entries(min_score), picture).json[TASK]]
        assert found == [score for score in scores if score >= limit]
    for min_score in (0, -1):
        assert len(predict(worker, entries(min_score), picture).json[TASK]) >= len(scores)


def test_more_faces_than_the_worker_keeps(serve, make_pack):
    worker = serve("--pack", make_pack("stock"), "--max-faces", "1", "--min-face", "300")
    assert len(predict(worker, entries()).json[TASK]) == 3


def test_detection_alone(worker, records_of):
    faces = records_of([THREE], "--det-threshold", "0.7")[0]["faces"]
    reply = predict(worker, entries(recognition=False)).json
    assert list(reply) == [TASK, "imageHeight", "imageWidth"]
    assert reply[TASK] == {"boxes": [[float(round(value)) for value in face["box"]] for face in faces],
                           "scores": [face["score"] for face in faces],
                           "landmarks": [face["landmarks"] for face in faces]}


def test_no_task_gives_the_size(worker):
    assert predict(worker, {}).json == {"imageHeight": 640, "imageWidth": 640}


@pytest.mark.parametrize("text", [
    "", "x", "[]", "7", "null", '{"facial-recognition": 7}', '{"facial-recognition": {"detection": 7}}',
    '{"facial-recognition": {"detection": {}}}', '{"facial-recognition": {"detection": {"modelName": 7}}}',
    '{"facial-recognition": {"detection": {"modelName": "a", "options": 7}}}',
    '{"facial-recognition": {"detection": {"modelName": "a", "options": {"minScore": "0.7"}}}}', '{"a": {}, "a": {}}',
    json.dumps({"a%d" % i: {} for i in range(17)}), "[" * 5000,
])
def test_entries_that_are_none(worker, text):
    assert is_error(predict(worker, text), 422) == "Invalid request format."


def test_what_is_missing(worker):
    for answer in (predict(worker, None), worker.post("/predict", b"{}", "application/json")):
        assert is_error(answer, 422) == [{"type": "missing", "loc": ["body", "entries"], "msg": "Field required"}]
    assert is_error(predict(worker, entries(), image=None), 400) == "Either image or text must be provided"
    assert "needs an image" in is_error(predict(worker, entries(), image=None, text="a cat"), 400)
    assert is_error(predict(worker, entries(detection=False)), 400) == (
        "Task facial-recognition of type recognition depends on output of "
        "(<ModelType.DETECTION: 'detection'>, <ModelTask.FACIAL_RECOGNITION: 'facial-recognition'>)")


@pytest.mark.parametrize("asked", [
    {"clip": {"visual": {"modelName": "ViT-B-32__openai", "options": {}}}},
    {"clip": {"textual": {"modelName": "ViT-B-32__openai"}}},
    {"ocr": {"detection": {"modelName": "PP-OCRv5_mobile"}, "recognition": {"modelName": "PP-OCRv5_mobile"}}},
    {TASK: {"detection": {"modelName": "a"}, "gaze": {"modelName": "a"}}},
])
def test_other_tasks(worker, asked):
    assert "does facial-recognition (detection, recognition) only" in is_error(predict(worker, asked), 422)


def test_pictures_that_are_none(worker):
    assert "empty" in is_error(predict(worker, entries(), b""), 400)
    assert is_error(predict(worker, entries(), b"not an image"), 400)
    assert is_error(predict(worker, entries(), THREE[:len(THREE) // 2]), 400)


def test_form_that_is_none(worker):
    assert "no line '--b'" in is_error(worker.post("/predict", b"x", "multipart/form-data; boundary=b"), 400)


def test_packs_that_cannot(serve, make_pack):
    worker = serve("--pack", make_pack("normalised"))  # its detector finds no landmarks
    assert "Failed to load model 'buffalo_l'" in is_error(predict(worker, entries(0.01)), 500)
    assert predict(worker, entries(recognition=False)).code == 200


def test_another_model_is_noted_once(home, runtime, make_pack, png_support):
    worker = Worker(home, runtime, "--pack", make_pack("stock"))
    for name in ("stock", "stock", "antelopev2\n", "buffalo_l", "buffalo_l"):
        assert predict(worker, entries(name=name)).code == 200
    assert worker.close() == 0
    noted = [line for line in worker.log if "asked for model" in line]
    assert len(noted) == 1 and "'antelopev2 '" in noted[0] and "'stock'" in noted[0]
