"""Our own interface: every route, each form of a body, every option, every refusal by its name."""

import base64
import json
import math
import os
import struct
import subprocess
import sys
import zlib

import pytest

from conftest import PROGRAM, ROOT, Worker, cli, multipart, numbered_squares, png

NONE = "?embedding=none"
SIDE = 112


def is_envelope(answer, code, name):
    assert answer.code == code, answer.text[:500]
    assert answer.headers["content-type"] == "application/json"
    body = answer.json
    assert set(body) == {"error", "request_id"} and set(body["error"]) == {"code", "message", "details"}
    assert body["error"]["code"] == name and body["error"]["message"] and isinstance(body["error"]["details"], dict)
    assert body["request_id"] == answer.headers["x-request-id"]
    return body["error"]


def floats(text):
    data = base64.b64decode(text, validate=True)
    return struct.unpack("<%df" % (len(data) // 4), data)


@pytest.fixture(scope="session")
def by_command(home, runtime, make_pack, tmp_path_factory, png_support):
    """What `facemill analyze` says of a picture."""
    facemill = cli.Facemill(home, FM_ORT_LIBRARY=runtime, FM_PACK=str(make_pack("stock")))

    def analyze(picture, *options, command="analyze"):
        path = tmp_path_factory.mktemp("pictures") / "picture.png"
        path.write_bytes(picture)
        return facemill(command, path, "--format", "jsonl", *options).records[0]

    return analyze


# ---------------------------------------------------------------- analyze: forms of a body

@pytest.mark.parametrize("type", ["image/png", "image/jpeg", "application/octet-stream", "image/x-whatever", None])
def test_a_picture_as_the_body_answers_its_object(worker, pictures, by_command, type):
    answer = worker.post("/v1/analyze", pictures[3], type)
    body = answer.json
    assert answer.code == 200 and set(body) == {"request_id", "width", "height", "faces", "timings"}
    expected = by_command(pictures[3])
    assert (body["width"], body["height"], body["faces"]) == (640, 640, expected["faces"])
    assert len(body["faces"]) == 3 and len(body["faces"][0]["embedding"]) > 0
    assert body["request_id"] == answer.headers["x-request-id"]
    assert all(ms >= 0 for ms in body["timings"].values()) and body["timings"]["total_ms"] > 0


def test_a_form_answers_a_list_with_each_pictures_own_error(worker, pictures):
    parts = [("images", "one.png", pictures[1]), ("image", "notes.txt", b"no picture"), ("files", "none.png", pictures[0]),
             ("file", None, pictures[2]), ("images", "empty.png", b"")]
    answer = worker.post_form("/v1/analyze" + NONE, parts)
    results = answer.json["results"]
    assert answer.code == 200 and set(answer.json) == {"request_id", "results"}
    assert [r.get("name") for r in results] == ["one.png", "notes.txt", "none.png", None, "empty.png"]
    assert [len(r["faces"]) if "faces" in r else r["error"]["code"] for r in results] == [1, "bad_image", 0, 2, "bad_image"]
    assert set(results[1]["error"]) == {"code", "message", "help"}
    assert results[1]["error"]["help"] == "troubleshooting.md#bad_image"


def test_one_picture_in_a_form_is_a_list_of_one(worker, pictures):
    assert len(worker.post_form("/v1/analyze", [("images", "a.png", pictures[1])]).json["results"]) == 1


def test_json_with_base64(worker, pictures, by_command):
    plain = base64.b64encode(pictures[2]).decode()
    document = {"images": [{"data": plain, "name": "two.png"}, {"data": "data:image/png;base64," + plain},
                           {"data": "*** no base64"}, {"data": base64.b64encode(b"text").decode()}, {"data": ""}]}
    answer = worker.post_json("/v1/analyze", document)
    results = answer.json["results"]
    assert answer.code == 200 and len(results) == 5
    assert results[0]["name"] == "two.png" and "name" not in results[1]
    assert results[0]["faces"] == results[1]["faces"] == by_command(pictures[2])["faces"]
    assert [r["error"]["code"] for r in results[2:]] == ["invalid_argument", "bad_image", "bad_image"]


def test_pictures_of_a_request_do_not_change_one_another(worker, pictures):
    alone = [worker.post("/v1/analyze", p).json["faces"] for p in pictures]
    together = worker.post_form("/v1/analyze", [("images", None, p) for p in pictures]).json["results"]
    assert [r["faces"] for r in together] == alone


# ---------------------------------------------------------------- analyze: options, in the query and in JSON

def both_ways(worker, picture, query, members):
    """The picture's object, which must be the same either way."""
    one = worker.post("/v1/analyze" + query, picture)
    other = worker.post_json("/v1/analyze", dict(members, images=[{"data": base64.b64encode(picture).decode()}]))
    assert (one.code, other.code) == (200, 200), one.text[:300] + other.text[:300]
    assert one.json["faces"] == other.json["results"][0]["faces"]
    return one.json


def test_embedding_forms(worker, pictures):
    numbers = both_ways(worker, pictures[1], "?embedding=array", {"embedding": "array"})["faces"][0]
    assert numbers == both_ways(worker, pictures[1], "", {})["faces"][0]
    packed = both_ways(worker, pictures[1], "?embedding=base64", {"embedding": "base64"})["faces"][0]
    none = both_ways(worker, pictures[1], NONE, {"embedding": "none"})["faces"][0]
    assert floats(packed["embedding"]) == struct.unpack("<%df" % len(numbers["embedding"]),
                                                        struct.pack("<%df" % len(numbers["embedding"]), *numbers["embedding"]))
    assert set(none) == {"box", "score", "landmarks"}
    norm = math.sqrt(sum(v * v for v in numbers["embedding"]))
    assert abs(norm - numbers["embedding_norm"]) < 1e-4 * norm and packed["embedding_norm"] == numbers["embedding_norm"]


@pytest.mark.parametrize("query, members, options", [
    ("?max_faces=1", {"max_faces": 1}, ["--max-faces", 1]),
    ("?max_faces=0", {"max_faces": 0}, ["--max-faces", 0]),
    ("?max_faces=1&face_metric=area", {"max_faces": 1, "face_metric": "area"}, ["--max-faces", 1, "--face-metric", "area"]),
    ("?det_threshold=0.999", {"det_threshold": 0.999}, ["--det-threshold", 0.999]),
    ("?det_threshold=0.001", {"det_threshold": 0.001}, ["--det-threshold", 0.001]),
    ("?min_face=1000", {"min_face": 1000}, ["--min-face", 1000]),
    ("?min_face=0.5", {"min_face": 0.5}, ["--min-face", 0.5]),
    ("?det_size=320", {"det_size": 320}, ["--det-size", 320]),
    ("?det_size=320,640", {"det_size": [320, 640]}, ["--det-size", "320,640"])])
def test_options_are_those_of_the_command_line(worker, pictures, by_command, query, members, options):
    assert both_ways(worker, pictures[3], query, members)["faces"] == by_command(pictures[3], *options)["faces"]


def unpack_png(data):
    """(width, height, rows) of an 8-bit RGB file without interlacing."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed = 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + size:at + 12 + size])[0]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
            assert (depth, colour) == (8, 2)
        packed += body if kind == b"IDAT" else b""
        at += 12 + size
    assert len(zlib.decompress(packed)) == height * (1 + 3 * width)
    return width, height


def test_crops_are_the_aligned_faces(worker, pictures):
    """The way from a crop to its embedding leads to the embedding of the face."""
    body = both_ways(worker, pictures[2], "?crops=true&embedding=base64", {"crops": True, "embedding": "base64"})
    crops = [base64.b64decode(face["crop"], validate=True) for face in body["faces"]]
    assert len(crops) == 2 and all(unpack_png(crop) == (SIDE, SIDE) for crop in crops)
    again = worker.post_form("/v1/embed?embedding=base64", [("crops", None, crop) for crop in crops]).json["embeddings"]
    for face, crop in zip(body["faces"], again):
        for a, b in zip(floats(face["embedding"]), floats(crop["embedding"])):
            assert abs(a - b) <= 1e-4 * max(1, abs(a))
    assert "crop" not in both_ways(worker, pictures[1], "?crops=false", {"crops": False})["faces"][0]


def test_crops_of_the_pack_inside_lead_back_to_their_embeddings(serve, tmp_path):
    """Its recogniser has a side and points of its own, which no 112 divides."""
    rows = [r for r in cli.Facemill(tmp_path)("models", "list", "--format", "jsonl").records if r.get("reason") == "built-in"]
    if not rows:
        pytest.skip("this build has no pack inside (FM_BUILTIN_PACK is OFF)")
    worker = serve("--pack", "builtin:" + rows[0]["pack"])
    subprocess.run([sys.executable, os.path.join(ROOT, "scripts", "draw_faces.py"), tmp_path, "--count", "1", "--seed", "1"], check=True,
                   stdout=subprocess.DEVNULL, timeout=60)
    faces = worker.post("/v1/analyze?crops=true", (tmp_path / "drawn_1.png").read_bytes()).json["faces"]
    side = worker.get("/v1/models").json["pack"]["crop_size"]
    assert len(faces) == 1 and unpack_png(base64.b64decode(faces[0]["crop"])) == (side, side)
    again = worker.post("/v1/embed", base64.b64decode(faces[0]["crop"]), "image/png").json["embeddings"][0]["embedding"]
    norms = math.sqrt(sum(v * v for v in again)) * faces[0]["embedding_norm"]
    assert sum(a * b for a, b in zip(again, faces[0]["embedding"])) / norms > 0.99999


def test_faces_without_landmarks_have_neither_embedding_nor_crop(serve, make_pack, pictures):
    worker = serve("--pack", make_pack("normalised"))
    faces = worker.post("/v1/analyze?crops=true", pictures[1]).json["faces"]
    assert len(faces) == 1 and faces[0]["embedding"] is None and faces[0]["crop"] is None
    assert "embedding_norm" not in faces[0]
    error = is_envelope(worker.post_form("/v1/compare", [("a", None, pictures[1]), ("b", None, pictures[1])]), 422, "unsupported")
    assert error["details"]["image"] == "a"


def test_attributes_name_the_attribute_and_the_pack(worker, pictures):
    for answer in (worker.post("/v1/analyze?attributes=age,gender", pictures[1]),
                   worker.post_json("/v1/analyze", {"images": [{"data": "AAAA"}], "attributes": ["age"]})):
        error = is_envelope(answer, 422, "unsupported")
        assert "'age'" in error["message"] and "'stock'" in error["message"] and error["details"]["attribute"] == "age"
    assert worker.post("/v1/analyze?attributes=", pictures[1]).code == 200


BAD = {"det_size": ["0", "33", "640,", "64,64,64,64,64", "-32", "64 0", "", "4128", "x", "NaN", "6.4e2.0"],
       "det_threshold": ["0", "nan", "inf", "-1", "1.01", "1e999", "", "0x1", "1,0"], "max_faces": ["-1", "1.5", "100001", "", "all"],
       "min_face": ["-1", "nan", "1e9", ""], "face_metric": ["", "size", "AREA"], "embedding": ["", "raw", "Array"],
       "crops": ["", "yes", "1", "True"]}


@pytest.mark.parametrize("name", sorted(BAD))
def test_values_out_of_range_are_named(worker, pictures, name):
    for value in BAD[name]:
        error = is_envelope(worker.post("/v1/analyze?%s=%s" % (name, value.replace(" ", "%20")), pictures[0]), 422, "invalid_argument")
        assert "'%s'" % name in error["message"] and error["details"]["parameter"] == name and "expected" in error["message"]


@pytest.mark.parametrize("name, value", [
    ("det_size", []), ("det_size", ["640"]), ("det_size", "640"), ("det_size", [64] * 5), ("det_size", None), ("det_size", {}),
    ("det_threshold", "0.5"), ("det_threshold", True), ("det_threshold", 2), ("max_faces", 1.5), ("max_faces", -1),
    ("min_face", [1]), ("face_metric", 1), ("face_metric", None), ("embedding", "raw"), ("embedding", False), ("crops", "true"),
    ("crops", 1), ("attributes", "age"), ("attributes", [1]), ("attributes", {}), ("width", 112), ("threshold", 0.5), ("nix", 1)])
def test_members_out_of_range_are_named(worker, name, value):
    error = is_envelope(worker.post_json("/v1/analyze", {"images": [{"data": "AAAA"}], name: value}), 422, "invalid_argument")
    assert "'%s'" % name in error["message"] and error["details"]["parameter"] == name


@pytest.mark.parametrize("route, query", [("analyze", "det_siz=640"), ("analyze", "threshold=0.4"), ("analyze", "crops=true&crops=true"),
                                          ("analyze", "max_faces=1&max_faces=2"), ("compare", "crops=true"), ("embed", "crops=true"),
                                          ("embed", "embedding=none")])
def test_unknown_and_doubled_parameters_are_refused(worker, pictures, route, query):
    body = {"analyze": [("images", None, pictures[1])], "compare": [("a", None, pictures[1]), ("b", None, pictures[1])],
            "embed": [("crops", None, pictures[1])]}[route]
    error = is_envelope(worker.post_form("/v1/%s?%s" % (route, query), body), 422, "invalid_argument")
    assert "'%s'" % query.split("=")[0] in error["message"] and error["details"]["parameter"] == query.split("=")[0]
    for path in ("/v1/models", "/v1/providers"):
        assert is_envelope(worker.get(path + "?x=1"), 422, "invalid_argument")["details"]["parameter"] == "x"


# ---------------------------------------------------------------- analyze: what is no picture, no form, no JSON

def test_a_body_that_is_no_picture(worker):
    error = is_envelope(worker.post("/v1/analyze", b"no picture"), 422, "bad_image")
    assert error["details"] == {"help": "troubleshooting.md#bad_image"}
    is_envelope(worker.post("/v1/analyze", b""), 422, "bad_image")
    is_envelope(worker.post("/v1/analyze", png(numbered_squares(1))[:2000]), 422, "truncated")
    assert "application/json" in is_envelope(worker.post("/v1/analyze", b"x", "text/plain"), 415, "unsupported")["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]x", b'{"images":[],"images":[]}', b'{"images":[{"data":NaN}]}', b'{"det_threshold":1e999}',
                                  b"\xff\xfe", b"[" * 5000])
def test_what_is_no_json(worker, body):
    is_envelope(worker.post("/v1/analyze", body, "application/json"), 400, "invalid_argument")


@pytest.mark.parametrize("document", [[], {}, {"images": []}, {"images": {}}, {"images": [1]}, {"images": [{}]}, {"images": [{"data": 5}]},
                                      {"images": [{"data": "AAAA", "name": 5}]}, {"images": [{"data": "AAAA", "nmae": "x"}]},
                                      {"image": [{"data": "AAAA"}]}])
def test_json_of_another_shape(worker, document):
    is_envelope(worker.post_json("/v1/analyze", document), 422, "invalid_argument")


def test_json_options_are_members_not_parameters(worker):
    error = is_envelope(worker.post_json("/v1/analyze?max_faces=1", {"images": [{"data": "AAAA"}]}), 422, "invalid_argument")
    assert "members" in error["message"] and error["details"]["parameter"] == "max_faces"


def test_forms_of_another_shape(worker, pictures):
    type, body = multipart([("images", "a.png", pictures[1])])
    is_envelope(worker.post("/v1/analyze", body, "multipart/form-data"), 400, "invalid_argument")
    is_envelope(worker.post("/v1/analyze", body[:-30], type), 400, "invalid_argument")
    error = is_envelope(worker.post_form("/v1/analyze", [("det_size", None, b"640")]), 422, "invalid_argument")
    assert error["details"]["parameter"] == "det_size" and "query" in error["message"]
    is_envelope(worker.post_form("/v1/analyze", []), 422, "invalid_argument")
    many = [{"data": "AA=="}] * 1025
    is_envelope(worker.post_json("/v1/analyze", {"images": many}), 413, "limit")


def test_errors_of_the_server_have_the_same_form(worker):
    is_envelope(worker.get("/v1/analyze"), 405, "method_not_allowed")
    is_envelope(worker.post("/v1/models", b""), 405, "method_not_allowed")


def test_request_ids_come_back(worker, pictures):
    answer = worker.post("/v1/analyze" + NONE, pictures[0], X_Request_Id="mine-1.2_3")
    assert answer.json["request_id"] == answer.headers["x-request-id"] == "mine-1.2_3"
    bad = worker.post("/v1/analyze?x=1", b"x", X_Request_Id="mine-2")
    assert is_envelope(bad, 422, "invalid_argument") and bad.json["request_id"] == "mine-2"


# ---------------------------------------------------------------- compare

def test_compare_says_what_the_command_says(worker, home, runtime, make_pack, tmp_path, pictures):
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, picture in zip(paths, (pictures[1], pictures[3])):
        path.write_bytes(picture)
    facemill = cli.Facemill(home, FM_ORT_LIBRARY=runtime, FM_PACK=str(make_pack("stock")))
    expected = facemill("compare", *paths, "--format", "jsonl").records[0]
    form = worker.post_form("/v1/compare", [("b", "b.png", pictures[3]), ("a", "a.png", pictures[1])]).json
    document = {"a": {"data": base64.b64encode(pictures[1]).decode(), "name": "a.png"},
                "b": {"data": base64.b64encode(pictures[3]).decode(), "name": "b.png"}}
    by_json = worker.post_json("/v1/compare", document).json
    for got in (form, by_json):
        assert set(got) == {"request_id", "similarity", "threshold", "same", "metric", "a", "b"} and got["metric"] == "cosine"
        assert [got[k] for k in ("similarity", "threshold", "same")] == [expected[k] for k in ("similarity", "threshold", "same")]
        for side in "ab":
            assert dict(got[side], path=expected[side]["path"]) == dict(expected[side], name=side + ".png")
    assert form["b"]["faces"] == 3


def test_compare_draws_the_line_where_it_is_asked_to(worker, pictures):
    parts = [("a", None, pictures[1]), ("b", None, pictures[1])]
    same = worker.post_form("/v1/compare?threshold=0.9", parts).json
    assert same["same"] is True and same["threshold"] == 0.9 and same["similarity"] > 0.999
    double = {"data": base64.b64encode(pictures[1]).decode()}
    below = worker.post_json("/v1/compare", {"a": double, "b": double, "threshold": -1}).json
    assert below["threshold"] == -1 and below["same"] is True
    for bad in ("1.5", "nan", "x", ""):
        assert is_envelope(worker.post_form("/v1/compare?threshold=" + bad, parts), 422, "invalid_argument")["details"]["parameter"] == "threshold"


def test_compare_names_the_picture_that_fails(worker, pictures):
    good, none = ("a", None, pictures[1]), ("b", None, pictures[0])
    error = is_envelope(worker.post_form("/v1/compare", [good, none]), 422, "not_found")
    assert "no face" in error["message"] and error["details"]["image"] == "b"
    error = is_envelope(worker.post_form("/v1/compare", [("a", None, b"text"), none]), 422, "bad_image")
    assert error["details"]["image"] == "a"
    for parts, name in (([good], "b"), ([good, good, none], "a"), ([good, none, ("c", None, b"")], "c")):
        error = is_envelope(worker.post_form("/v1/compare", parts), 422, "invalid_argument")
        assert error["details"]["parameter"] == name
    is_envelope(worker.post("/v1/compare", pictures[1]), 415, "unsupported")
    is_envelope(worker.post_json("/v1/compare", {"a": {"data": "AAAA"}}), 422, "invalid_argument")
    is_envelope(worker.post_json("/v1/compare", {"a": {"data": "AAAA"}, "b": {"data": "?"}}), 422, "bad_image")


# ---------------------------------------------------------------- embed

def crop(shade):
    return png(side=SIDE, width=SIDE, squares=[cli.Square(32, 0, 1, 1, shade)])


def raw(shade):
    """The same pixels as crop(shade), without a file around them."""
    pixels = bytearray(SIDE * SIDE * 3)
    on = cli.COLOURS[32, 0]
    for y in range(32, 64):
        for x in range(32, 64):
            pixels[(y * SIDE + x) * 3:(y * SIDE + x) * 3 + 3] = bytes(c * shade for c in on)
    return bytes(pixels)


def test_embed_gives_the_same_for_every_form_of_a_body(worker):
    shades = [255, 200, 90]
    singles = [worker.post("/v1/embed", crop(shade), "image/png").json["embeddings"] for shade in shades]
    assert all(len(one) == 1 for one in singles)
    expected = [one[0] for one in singles]
    assert expected[0] != expected[1]
    pixels = b"".join(raw(shade) for shade in shades)
    forms = [worker.post("/v1/embed?width=112&height=112&count=3", pixels),
             worker.post_form("/v1/embed", [("crops", None, crop(s)) for s in shades]),
             worker.post_form("/v1/embed", [("crop", None, crop(s)) for s in shades]),
             worker.post_json("/v1/embed", {"crops": [{"data": base64.b64encode(crop(s)).decode()} for s in shades]})]
    models = worker.get("/v1/models").json
    for answer in forms:
        assert answer.code == 200, answer.text[:300]
        assert set(answer.json) == {"request_id", "pack_id", "embedding_size", "embeddings"}
        assert answer.json["embeddings"] == expected and answer.json["pack_id"] == models["pack"]["id"]
        assert answer.json["embedding_size"] == len(expected[0]["embedding"]) == models["pack"]["embedding_size"]
    assert worker.post("/v1/embed?width=112&height=112", raw(255)).json["embeddings"] == expected[:1]
    packed = worker.post_json("/v1/embed", {"crops": [{"data": base64.b64encode(crop(255)).decode()}], "embedding": "base64"}).json
    got = floats(packed["embeddings"][0]["embedding"])
    assert all(abs(a - b) < 1e-6 * max(1, abs(b)) for a, b in zip(got, expected[0]["embedding"]))
    assert abs(math.sqrt(sum(v * v for v in got)) - packed["embeddings"][0]["embedding_norm"]) < 1e-3


def test_embed_names_the_size_it_wants(worker, pictures):
    for answer in (worker.post("/v1/embed", pictures[1]), worker.post("/v1/embed?width=100&height=112", bytes(100 * 112 * 3)),
                   worker.post_form("/v1/embed", [("crops", None, crop(255)), ("crops", None, pictures[1])])):
        error = is_envelope(answer, 422, "invalid_argument")
        assert "112 x 112" in error["message"]
    assert "crop 2" in error["message"]


@pytest.mark.parametrize("query, size, name", [("?width=112", SIDE * SIDE * 3, "height"), ("?count=1", SIDE * SIDE * 3, "width"),
                                               ("?width=112&height=112&count=2", SIDE * SIDE * 3, "count"),
                                               ("?width=112&height=112", SIDE * SIDE * 3 - 1, "count"), ("?width=0&height=112", 10, "width"),
                                               ("?width=112&height=1e3.", 10, "height"), ("?count=1025", 10, "count")])
def test_embed_names_what_does_not_fit(worker, query, size, name):
    assert is_envelope(worker.post("/v1/embed" + query, bytes(size)), 422, "invalid_argument")["details"]["parameter"] == name


def test_embed_refuses_what_is_no_crop(worker):
    is_envelope(worker.post("/v1/embed", b"text"), 422, "bad_image")
    is_envelope(worker.post("/v1/embed", b""), 422, "bad_image")
    is_envelope(worker.post_form("/v1/embed?width=112", [("crops", None, crop(1))]), 422, "invalid_argument")
    is_envelope(worker.post_json("/v1/embed", {"crops": [{"data": "?"}]}), 422, "invalid_argument")
    is_envelope(worker.post_json("/v1/embed", {"crops": [{"data": base64.b64encode(crop(1)).decode()}], "embedding": "none"}), 422,
                "invalid_argument")


def test_packs_without_a_recogniser(serve, make_pack, pictures):
    worker = serve("--pack", make_pack("detector"))
    body = worker.post("/v1/analyze?crops=true", pictures[1]).json
    assert set(body["faces"][0]) == {"box", "score", "landmarks", "crop"} and body["faces"][0]["crop"]
    is_envelope(worker.post_form("/v1/compare", [("a", None, pictures[1]), ("b", None, pictures[1])]), 422, "unsupported")
    is_envelope(worker.post("/v1/embed", crop(1)), 422, "unsupported")
    pack = worker.get("/v1/models").json["pack"]
    assert pack["crop_size"] == 0 and pack["embedding_size"] == 0


# ---------------------------------------------------------------- models, providers

def test_models_are_those_that_run(worker):
    body = worker.get("/v1/models").json
    assert body["pack"]["name"] == "stock" and body["pack"]["id"] == worker.started["pack_id"]
    assert {m["task"] for m in body["models"]} == {"detection", "recognition"}
    assert {m["file"].rsplit(".", 1)[0]: m["provider"] for m in body["models"]} == worker.started["providers"]
    for model in body["models"]:
        assert len(model["sha256"]) == 64 and model["max_batch"] >= 1 and model["precision"] == "fp32" and model["loaded"] is True
    said = subprocess.run([PROGRAM, "version", "--format", "jsonl"], stdout=subprocess.PIPE, timeout=60, check=True).stdout
    assert body["version"] == json.loads(said)["version"]


def test_providers_are_those_of_the_command(worker, home, runtime):
    facemill = cli.Facemill(home, FM_ORT_LIBRARY=runtime)
    assert worker.get("/v1/providers").json["providers"] == facemill("providers", "--format", "jsonl").records


def test_providers_know_the_library_that_was_named(home, runtime, make_pack, png_support):
    worker = Worker(home, "/nowhere/libonnxruntime.so", "--ort-library", runtime, "--pack", make_pack("stock"))
    rows = {row["provider"]: row for row in worker.get("/v1/providers").json["providers"]}
    assert worker.close() == 0
    assert rows["ort:cpu"]["available"] is True and runtime in rows["ort:cpu"]["detail"]
