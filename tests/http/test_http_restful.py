"""InsightFace-REST's interface, field by field: types, ints, defaults, crops, limits, drawings, MessagePack."""

import base64
import json
import math
import struct

import pytest

from conftest import cli, numbered_squares, png
from msgpack import Single, pack, unpack

THREE = png(numbered_squares(3))
NINE = png(numbered_squares(9))
PLAIN = ["bbox", "prob", "num_det", "scale", "size"]
EMBEDDED = ["bbox", "prob", "num_det", "scale", "norm", "vec", "gender", "age", "mask", "mask_probs", "size"]


def coded(picture):
    return base64.b64encode(picture).decode()


def extract(worker, *pictures, code=200, **fields):
    answer = worker.post_json("/extract", dict({"images": {"data": [coded(picture) for picture in pictures]}}, **fields))
    assert answer.code == code, answer.text[:500]
    assert answer.headers["content-type"] == "application/json"
    return answer.json


def faces_of(reply, index=0):
    assert reply["data"][index]["status"] == "ok"
    return reply["data"][index]["faces"]


def is_refused(answer, code):
    assert answer.code == code, answer.text[:500]
    assert answer.headers["content-type"] == "application/json" and list(answer.json) == ["detail"]
    return answer.json["detail"]


def is_invalid(answer, type, *place):
    detail = is_refused(answer, 422)
    assert len(detail) == 1 and detail[0]["type"] == type and detail[0]["loc"] == ["body", *place] and detail[0]["msg"]


# ---------------------------------------------------------------- /extract

def test_faces_are_those_of_analyze(worker, records_of):
    record = records_of([THREE], "--det-threshold", "0.6")[0]
    reply = extract(worker, THREE)
    assert list(reply) == ["took", "data"] and list(reply["took"]) == ["total_ms"]
    assert type(reply["took"]["total_ms"]) is float
    image = reply["data"][0]
    assert list(image) == ["status", "took_ms", "faces"] and type(image["took_ms"]) is float
    assert len(image["faces"]) == len(record["faces"]) == 3
    for number, (got, face) in enumerate(zip(image["faces"], record["faces"])):
        assert list(got) == EMBEDDED
        assert got["bbox"] == [int(value) for value in face["box"]] and all(type(value) is int for value in got["bbox"])
        assert (type(got["size"]), got["size"]) == (int, int(face["box"][2] - face["box"][0]))
        assert (type(got["num_det"]), got["num_det"], got["scale"]) == (int, number, 1)
        assert type(got["prob"]) is float and got["prob"] == face["score"]
        norm = math.sqrt(sum(value * value for value in face["embedding"]))
        assert got["norm"] == pytest.approx(norm, rel=1e-6) and len(got["vec"]) == 512
        assert got["vec"] == pytest.approx([value / norm for value in face["embedding"]], abs=1e-6)
        assert math.sqrt(sum(value * value for value in got["vec"])) == pytest.approx(1, abs=1e-5)
        assert [got[name] for name in ("gender", "age", "mask", "mask_probs")] == [None] * 4


def test_what_is_asked_for(worker, records_of):
    assert list(faces_of(extract(worker, THREE, extract_embedding=False))[0]) == PLAIN
    attributes = faces_of(extract(worker, THREE, extract_embedding=False, extract_ga=True, detect_masks=True))[0]
    assert list(attributes) == EMBEDDED
    assert [attributes[name] for name in EMBEDDED[4:10]] == [None] * 6  # no model for any of them
    faces = faces_of(extract(worker, THREE, extract_embedding=False, return_landmarks=True, return_face_data=True))
    for got, face in zip(faces, records_of([THREE])[0]["faces"]):
        assert list(got) == ["bbox", "landmarks", "prob", "num_det", "scale", "facedata", "size"]
        assert got["landmarks"] == [[int(value) for value in point] for point in face["landmarks"]]
        assert all(type(value) is int for point in got["landmarks"] for value in point)
        assert base64.b64decode(got["facedata"], validate=True)[:3] == b"\xff\xd8\xff"
    timings = extract(worker, THREE, verbose_timings=True)["took"]
    assert list(timings) == ["total_ms", "read_imgs_ms", "embed_all_ms"]
    assert all(type(value) is float and value > 0 for value in timings.values())
    assert timings["total_ms"] >= max(timings["read_imgs_ms"], timings["embed_all_ms"])


def test_crops_are_the_faces(worker):
    """Each crop, sent back as one, gives its face's vector again: JPEG and all."""
    faces = faces_of(extract(worker, THREE, return_face_data=True))
    crops = [base64.b64decode(face["facedata"]) for face in faces]
    again = extract(worker, *crops, embed_only=True)
    for face, other in zip(faces, (entry["faces"][0] for entry in again["data"])):
        assert sum(a * b for a, b in zip(face["vec"], other["vec"])) > 0.9


DOUBLE = [cli.Square(32, 0, 6 + i % 2, 8 + i // 2) for i in range(4)]  # one cell at half the size


def test_scale_is_that_of_the_shrunk_picture(worker):
    for width, side, squares, scale in ((1280, 640, DOUBLE, 0.5), (640, 1280, DOUBLE, 0.5), (640, 640, DOUBLE[:1], 1),
                                        (320, 640, DOUBLE[:1], 1)):
        faces = faces_of(extract(worker, png(squares, side=side, width=width)))
        assert len(faces) == 1 and faces[0]["scale"] == scale


def test_thresholds(worker, records_of):
    scores = [face["score"] for face in records_of([NINE], "--det-threshold", "0.01")[0]["faces"]]
    assert min(scores) < 0.6 < max(scores)
    for threshold in (None, 0.6, "0.6", 0.8, 1, 5):
        limit = 0.6 if threshold is None else float(threshold)
        assert [face["prob"] for face in faces_of(extract(worker, NINE, threshold=threshold))] == [s for s in scores if s >= limit]
    assert len(faces_of(extract(worker, NINE, threshold=0))) >= len(scores)


def test_limit_faces_keeps_the_largest(worker):

    small, large = cli.Square(8, 0, 10, 10), cli.Square(32, 0, 10, 10)
    picture = png([small, large])
    both = faces_of(extract(worker, picture, threshold=0.1))
    assert len(both) == 2
    largest = max(both, key=lambda face: face["size"])
    for fields in ({"limit_faces": 1}, {"limit_faces": "1"}, {"limit_faces": 1.0}, {"limit_faces": True}):
        one = faces_of(extract(worker, picture, threshold=0.1, **fields))
        assert [face["bbox"] for face in one] == [largest["bbox"]] and one[0]["num_det"] == 0
    for limit in (0, -3, None, 1000000000):
        assert len(faces_of(extract(worker, picture, threshold=0.1, limit_faces=limit))) == 2


def test_small_faces_are_left_out_of_their_own_picture(worker):
    """Widths count; numbers stay those of all faces; no face moves to another picture."""
    picture = png([cli.Square(8, 0, 10, 10), cli.Square(32, 0, 10, 10)])
    both = faces_of(extract(worker, picture, threshold=0.1))
    large = max(both, key=lambda face: face["size"])
    reply = extract(worker, picture, png([]), picture, THREE, threshold=0.1, min_face_size=large["size"])
    assert [[face["bbox"] for face in image["faces"]] for image in reply["data"][:3]] == [[large["bbox"]], [], [large["bbox"]]]
    assert faces_of(reply)[0]["num_det"] == both.index(next(face for face in both if face["bbox"] == large["bbox"]))
    assert faces_of(reply, 3) == [] or all(face["size"] >= large["size"] for face in faces_of(reply, 3))
    assert faces_of(extract(worker, picture, threshold=0.1, min_face_size=large["size"] + 1)) == []


def test_options_of_the_worker_do_not_count(serve, make_pack):
    worker = serve("--pack", make_pack("stock"), "--max-faces", "1", "--min-face", "300", "--det-threshold", "0.99")
    assert len(faces_of(extract(worker, THREE))) == 3


def test_one_bad_picture_fails_alone(worker):
    good = coded(THREE)
    data = [good, "!", "", coded(b"no picture"), good[:len(good) // 2 // 4 * 4], "data:image/png;base64," + good, coded(png([]))]
    reply = worker.post_json("/extract", {"images": {"data": data}}).json
    assert [image["status"] for image in reply["data"]] == ["ok", "failed", "failed", "failed", "failed", "ok", "ok"]
    for image in reply["data"][1:5]:
        assert list(image) == ["status", "took_ms", "faces", "traceback"]
        assert image["faces"] == [] and type(image["traceback"]) is str and image["traceback"]
    assert "not base64" in reply["data"][1]["traceback"]
    assert reply["data"][0]["faces"] == reply["data"][5]["faces"] and len(reply["data"][0]["faces"]) == 3
    assert reply["data"][6]["faces"] == []


def test_nothing_asked_nothing_answered(worker):
    for images in ({}, {"data": []}, {"data": None, "urls": None}):
        reply = worker.post_json("/extract", {"images": images}).json
        assert reply["data"] == [] and list(reply["took"]) == ["total_ms"]


def test_bodies_that_are_none(worker):
    is_invalid(worker.post("/extract", b"", "application/json"), "json_invalid")
    is_invalid(worker.post("/extract", b"{", "application/json"), "json_invalid")
    is_invalid(worker.post("/extract", b"[1]", "application/json"), "model_attributes_type")
    is_invalid(worker.post_json("/extract", {}), "missing", "images")
    is_invalid(worker.post_json("/extract", {"images": 3}), "model_type", "images")
    is_invalid(worker.post_json("/extract", {"images": {"data": "x"}}), "list_type", "images")
    is_invalid(worker.post_json("/extract", {"images": {"data": [3]}}), "string_type", "images")
    is_invalid(worker.post_json("/extract", {"images": {"data": ["x"] * 1025}}), "too_long", "images.data")
    for field, value, type in (("threshold", "high", "float_parsing"), ("threshold", [], "float_parsing"),
                               ("limit_faces", 1.5, "int_parsing"), ("limit_faces", 1e30, "int_parsing"),
                               ("embed_only", "perhaps", "bool_parsing"), ("embed_only", 2, "bool_parsing"),
                               ("img_req_headers", {"a\nb": "c"}, "value_error")):
        is_invalid(worker.post_json("/extract", {"images": {"data": []}, field: value}), type, field)
    assert "16384 values" in is_refused(worker.post("/extract", b'{"images":{"data":[' + b"[]," * 20000 + b"[]]}}", "application/json"), 413)


def test_names_nobody_knows_are_ignored(worker):
    assert len(faces_of(extract(worker, THREE, max_size=[640, 640], api_ver="2", threshold=None, extract_embedding=True))) == 3


def test_a_large_body(worker):
    """Beyond what is read on the server's thread."""
    reply = extract(worker, *[THREE + b"\0" * 100000] * 4, extract_embedding=False)
    assert [len(image["faces"]) for image in reply["data"]] == [3] * 4


# ---------------------------------------------------------------- embed_only

def crop_png(level):
    return png([], side=112) if level == 0 else png([cli.Square(16, 0, 3, 3, level)], side=112)


def test_crops(worker):
    reply = extract(worker, crop_png(0), png([], side=111), crop_png(200), b"x", embed_only=True, return_landmarks=True, return_face_data=True)
    assert list(reply) == ["took_ms", "data", "status"] and reply["status"] == "ok" and type(reply["took_ms"]) is float
    assert len(reply["data"]) == 4
    for entry in reply["data"]:
        assert (list(entry), entry["status"], entry["took_ms"], len(entry["faces"])) == (["status", "took_ms", "faces"], "ok", 0, 1)
    for index in (0, 2):
        face = reply["data"][index]["faces"][0]
        assert list(face) == ["norm", "vec", "gender", "age", "mask", "mask_probs", "bbox", "size", "prob", "status"]
        assert (face["bbox"], face["size"], face["prob"], face["status"]) == ([0, 0, 112, 112], 112, 1.0, "ok")
        assert len(face["vec"]) == 512 and math.sqrt(sum(v * v for v in face["vec"])) == pytest.approx(1, abs=1e-5)
    assert reply["data"][0]["faces"][0]["vec"] != reply["data"][2]["faces"][0]["vec"]
    for index, words in ((1, "111 x 111 pixels"), (3, "")):
        face = reply["data"][index]["faces"][0]
        assert list(face) == ["status", "traceback"] and face["status"] == "failed" and words in face["traceback"]


def test_crops_without_embeddings(worker):
    face = extract(worker, crop_png(0), embed_only=True, extract_embedding=False)["data"][0]["faces"][0]
    assert face["norm"] is None and face["vec"] is None and face["status"] == "ok"


# ---------------------------------------------------------------- MessagePack

def test_packed_answers_are_the_same(worker):
    body = {"images": {"data": [coded(THREE), "!"]}, "return_landmarks": True}
    plain = worker.post_json("/extract", body).json
    for answer in (worker.post_json("/extract", dict(body, msgpack=True)),
                   worker.post_json("/extract", body, Accept="application/x-msgpack")):
        assert answer.code == 200 and answer.headers["content-type"] == "application/x-msgpack"
        reply = unpack(answer.body)
        assert list(reply) == ["took", "data"] and type(reply["took"]["total_ms"]) is Single
        assert reply["data"][1]["traceback"] == plain["data"][1]["traceback"]
        for got, face in zip(reply["data"][0]["faces"], plain["data"][0]["faces"]):
            assert list(got) == list(face)
            assert all(type(value) is Single for value in got["vec"] + [got["prob"], got["norm"]])
            for name in face:
                if name in ("vec", "prob", "norm", "scale"):
                    single = struct.unpack("%df" % len(got["vec"]), struct.pack("%df" % len(face["vec"]), *face["vec"]))
                    assert got["vec"] == list(single)
                else:
                    assert got[name] == face[name]


def test_packed_requests(worker):
    plain = extract(worker, THREE)
    for type in ("application/msgpack", "application/msgpack; charset=utf-8"):
        answer = worker.post("/extract", pack({"threshold": 0.6, "images": {"data": [THREE, b""], "urls": None}, "x": [{}]}), type)
        assert answer.code == 200 and answer.headers["content-type"] == "application/json"
        assert answer.json["data"][0]["faces"] == plain["data"][0]["faces"]
        assert answer.json["data"][1]["status"] == "failed"
    whole = pack({"images": {"data": [THREE]}, "embed_only": False})
    for size in (0, 1, 5, 20, len(whole) - 1):
        is_invalid(worker.post("/extract", whole[:size], "application/msgpack"), "msgpack_invalid")
    is_invalid(worker.post("/extract", whole + b"\xc0", "application/msgpack"), "msgpack_invalid")
    is_invalid(worker.post("/extract", b"\x93\x01\x02\x03", "application/msgpack"), "model_attributes_type")
    is_invalid(worker.post("/extract", pack({"embed_only": True}), "application/msgpack"), "missing", "images")
    is_invalid(worker.post("/extract", pack({"images": {"data": [1]}}), "application/msgpack"), "bytes_type", "images")


# ---------------------------------------------------------------- drawings

def png_size(data):
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


def test_drawing(worker):
    drawings = {}
    for name, fields in (("all", {}), ("plain", {"draw_landmarks": False, "draw_scores": False, "draw_sizes": False}),
                         ("no sizes", {"draw_sizes": False}), ("no scores", {"draw_scores": False}),
                         ("no points", {"draw_landmarks": False}), ("one", {"limit_faces": 1}), ("none", {"threshold": 1}),
                         ("no small ones", {"min_face_size": 100000})):
        answer = worker.post_json("/draw_detections", dict({"images": {"data": [coded(THREE), "ignored"]}}, **fields))
        assert answer.code == 200 and answer.headers["content-type"] == "image/png", answer.text[:300]
        assert png_size(answer.body) == (640, 640)
        drawings[name] = answer.body
    assert drawings["none"] == drawings["no small ones"]
    assert len(set(drawings.values())) == len(drawings) - 1
    assert len(faces_of(extract(worker, drawings["none"]))) == 3  # nothing was drawn over them


def test_drawing_by_form(worker):
    def ask(**fields):
        parts = [("file", "a.png", THREE)] + [(name, None, str(value).encode()) for name, value in fields.items()]
        answer = worker.post_form("/multipart/draw_detections", parts)
        assert answer.code == 200 and answer.headers["content-type"] == "image/jpg", answer.text[:300]
        assert answer.body[:3] == b"\xff\xd8\xff"
        return answer.body
    assert ask() == ask(threshold=0.6, draw_landmarks="true", draw_scores=1, draw_sizes="on", limit_faces=0, use_rotation="false")
    assert len({ask(), ask(draw_landmarks=False), ask(draw_scores="no"), ask(limit_faces=1), ask(threshold="1.0")}) == 5
    is_invalid(worker.post_form("/multipart/draw_detections", [("threshold", None, b"0.5")]), "missing", "file")
    is_invalid(worker.post_json("/multipart/draw_detections", {}), "missing", "file")
    is_invalid(worker.post_form("/multipart/draw_detections", [("file", "a", THREE), ("limit_faces", None, b"x")]), "float_parsing", "limit_faces")
    assert is_refused(worker.post_form("/multipart/draw_detections", [("file", "a", b"")]), 422)


def test_drawing_nothing(worker):
    is_invalid(worker.post_json("/draw_detections", {"images": {"data": []}}), "too_short", "images")
    is_invalid(worker.post_json("/draw_detections", {}), "missing", "images")
    assert is_refused(worker.post_json("/draw_detections", {"images": {"data": [coded(b"no picture")]}}), 422)
    assert "not base64" in is_refused(worker.post_json("/draw_detections", {"images": {"data": ["!"]}}), 422)


# ---------------------------------------------------------------- /info, /health

def test_info(worker):
    answer = worker.get("/info")
    assert answer.code == 200 and answer.headers["content-type"] == "application/json"
    info = answer.json
    assert list(info) == ["version", "tensorrt_version", "log_level", "models", "defaults"]
    assert type(info["version"]) is str and info["tensorrt_version"] is None and info["log_level"] == "INFO"
    models = info["models"]
    assert list(models) == ["inference_backend", "det_name", "rec_name", "max_size", "ga_name", "mask_detector",
                            "rec_batch_size", "det_batch_size", "force_fp16", "triton_uri"]
    assert models["inference_backend"] == "onnx" and models["max_size"] == [640, 640] and models["force_fp16"] is False
    assert type(models["det_name"]) is str and not models["det_name"].endswith(".onnx") and type(models["rec_name"]) is str
    assert type(models["rec_batch_size"]) is int and type(models["det_batch_size"]) is int
    assert [models[name] for name in ("ga_name", "mask_detector", "triton_uri")] == [None] * 3
    assert info["defaults"] == {"return_face_data": False, "return_landmarks": False, "extract_embedding": True, "extract_ga": False,
                                "detect_masks": False, "det_thresh": 0.6, "img_req_headers": {}, "sslv3_hack": False}


def test_detector_size_is_told(serve, make_pack):
    worker = serve("--pack", make_pack("stock"), "--det-size", "128,320")
    assert worker.get("/info").json["models"]["max_size"] == [320, 320]
    assert faces_of(extract(worker, png(DOUBLE)))[0]["scale"] == 0.5


def test_health(worker):
    answer = worker.get("/health")
    assert (answer.code, answer.json) == (200, {"status": "ok"})


def test_health_runs_the_networks(worker):
    def runs():
        lines = worker.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if "batch" in line and "_count" in line and not line.startswith("#"))
    before = runs()
    assert worker.get("/health").code == 200
    assert runs() > before
