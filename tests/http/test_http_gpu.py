"""The GPU worker's interface, as its clients know it: names, types, codes, and the faces of `facemill analyze`."""

import json

import pytest

from conftest import PROGRAM, cli, multipart, numbered_squares, png

FACE = {"bbox_x": int, "bbox_y": int, "bbox_width": int, "bbox_height": int, "embedding": list, "confidence": float, "landmarks": list}


@pytest.fixture
def analyzed(home, runtime, make_pack, tmp_path):
    """What `facemill analyze` says about pictures."""
    def run(pictures, pack="stock", options=()):
        paths = []
        for number, picture in enumerate(pictures):
            paths.append(tmp_path / ("%d.png" % number))
            paths[-1].write_bytes(picture)
        facemill = cli.Facemill(home, FM_ORT_LIBRARY=runtime)
        return facemill("analyze", "--pack", make_pack(pack), *options, *paths, code=None).records
    return run


def expected(record):
    """A record of analyze in the interface's form."""
    return [{"bbox_x": int(face["box"][0]), "bbox_y": int(face["box"][1]),
             "bbox_width": int(face["box"][2]) - int(face["box"][0]), "bbox_height": int(face["box"][3]) - int(face["box"][1]),
             "embedding": face["embedding"], "confidence": face["score"], "landmarks": face["landmarks"]}
            for face in record["faces"]]


def is_data(data):
    assert list(data) == ["faces", "image_width", "image_height", "processing_time_ms"]
    assert type(data["image_width"]) is int and type(data["image_height"]) is int
    assert type(data["processing_time_ms"]) is float and data["processing_time_ms"] > 0
    for face in data["faces"]:
        assert {name: type(value) for name, value in face.items()} == FACE
        assert len(face["embedding"]) == 512 and all(type(value) in (int, float) for value in face["embedding"])
        assert [len(point) for point in face["landmarks"]] == [2] * 5
    return data


def is_error(answer, code):
    assert answer.code == code, answer.text[:500]
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json) == ["detail"] and isinstance(answer.json["detail"], str) and answer.json["detail"]
    return answer.json["detail"]


# ---------------------------------------------------------------- health

def test_health(worker):
    answer = worker.get("/")
    assert answer.code == 200 and answer.headers["content-type"] == "application/json"
    assert answer.json == {"status": "healthy", "gpu_available": False, "model_loaded": True, "device": "CPU"}


@pytest.mark.parametrize("accept, page", [
    (None, False), ("*/*", False), ("application/json", False), ("text/html, application/json", False),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True), ("text/html", True), ("TEXT/HTML", True),
    ("text/*;q=0.5, application/json;q=0.4", True), ("text/html;q=0.1, */*;q=0.2", False), ("text/html;q=0", False),
    ("application/json;q=0.3, text/html;level=1;q=0.7", True), (";;,,/", False), ("", False)])
def test_browsers_get_the_page(worker, accept, page):
    answer = worker.get("/", **({} if accept is None else {"Accept": accept}))
    assert answer.code == 200 and answer.headers["vary"] == "Accept"
    assert answer.headers["content-type"].startswith("text/html" if page else "application/json")
    assert ("<html" in answer.text) == page and ("content-security-policy" in answer.headers) == page


# ---------------------------------------------------------------- /detect

def test_detect_finds_what_analyze_finds(worker, analyzed, pictures):
    for picture, record in zip(pictures, analyzed(pictures)):
        data = is_data(worker.post_form("/detect", [("file", "a.png", picture)]).json)
        assert data["faces"] == expected(record)
        assert (data["image_width"], data["image_height"]) == (record["width"], record["height"])
    assert len(expected(record)) == 3


def test_size_is_that_of_the_picture(worker):
    data = is_data(worker.post_form("/detect", [("file", "a.png", png([], side=320, width=480))]).json)
    assert data["faces"] == [] and (data["image_width"], data["image_height"]) == (480, 320)


def test_corners_are_cut_before_they_are_subtracted(worker, analyzed):
    """Also beyond the picture's edge, where they are negative."""
    picture = png([cli.Square(32, 0, 0, 0), cli.Square(16, 1, 11, 9, 250)])
    record, = analyzed([picture])
    assert min(face["box"][0] for face in record["faces"]) < -1 and any(value % 1 for face in record["faces"] for value in face["box"])
    assert worker.post_form("/detect", [("file", "a.png", picture)]).json["faces"] == expected(record)


def test_unmodified_client(worker, analyzed, pictures):
    """As one writes it from the interface."""
    requests = pytest.importorskip("requests", reason="no requests for Python (Debian: python3-requests)")
    health = requests.get(worker.url + "/", timeout=30)
    assert health.status_code == 200 and health.json()["status"] == "healthy"
    answer = requests.post(worker.url + "/detect", files={"file": ("photo.jpg", pictures[2], "image/jpeg")}, timeout=60)
    assert answer.status_code == 200 and answer.json()["faces"] == expected(analyzed([pictures[2]])[0])
    files = [("files", ("%d.jpg" % i, picture, "image/jpeg")) for i, picture in enumerate(pictures)]
    batch = requests.post(worker.url + "/detect-batch", files=files, timeout=60).json()
    assert [len(result["data"]["faces"]) for result in batch["results"]] == [0, 1, 2, 3]


def test_without_landmarks_and_without_recogniser(serve, make_pack, pictures):
    worker = serve("--pack", make_pack("normalised"))
    faces = worker.post_form("/detect", [("file", "a.png", pictures[2])]).json["faces"]
    assert len(faces) >= 1 and all(face["landmarks"] is None and face["embedding"] == [] for face in faces)


def test_options_of_the_worker_are_in_force(serve, make_pack, pictures):
    worker = serve("--pack", make_pack("stock"), "--max-faces", 1)
    assert len(worker.post_form("/detect", [("file", "a.png", pictures[3])]).json["faces"]) == 1


# ---------------------------------------------------------------- /detect-batch

def test_a_batch_with_bad_pictures(worker, analyzed, pictures):
    parts = [("files", "one.png", pictures[1]), ("files", "bad.txt", b"no picture"), ("files", "three.png", pictures[3]),
             ("files", "empty.png", b""), ("other", "x.png", pictures[1]), ("files", None, pictures[0]),
             ("files", "caf\u00e9 \u4e2d.png", pictures[2])]
    answer = worker.post_form("/detect-batch", [(name, file and file, data) for name, file, data in parts])
    assert answer.code == 200 and list(answer.json) == ["results", "total"] and answer.json["total"] == 6
    names = [result["filename"] for result in answer.json["results"]]
    assert names == ["one.png", "bad.txt", "three.png", "empty.png", "", "caf\u00e9 \u4e2d.png"]
    records = iter(analyzed([pictures[1], pictures[3], pictures[0], pictures[2]]))
    for result, good in zip(answer.json["results"], [True, False, True, False, True, True]):
        assert result["success"] is good
        assert list(result) == ["filename", "success", "data" if good else "error"]
        if good:
            assert is_data(result["data"])["faces"] == expected(next(records))
        else:
            assert isinstance(result["error"], str) and result["error"]


def test_a_batch_is_one_run_of_the_network(serve, make_pack, pictures):
    worker = serve("--pack", make_pack("stock"), "--max-batch", 4, "--max-wait-us", 9000000)
    runs = 'facemill_batch_size_%s{network="detection"%s}'
    before = [worker.metric(runs % ("sum", "")), worker.metric(runs % ("count", ""))]
    order = [3, 0, 2, 1]
    answer = worker.post_form("/detect-batch", [("files", "%d" % i, pictures[i]) for i in order])
    assert [len(result["data"]["faces"]) for result in answer.json["results"]] == order
    after = [worker.metric(runs % ("sum", "")), worker.metric(runs % ("count", ""))]
    assert [b - a for a, b in zip(before, after)] == [4, 1]


# ---------------------------------------------------------------- errors

def test_errors_have_one_form(worker, pictures):
    type, body = multipart([("file", "a.png", pictures[1])])
    assert "file" in is_error(worker.post_form("/detect", [("files", "a.png", pictures[1])]), 422)
    assert "files" in is_error(worker.post_form("/detect-batch", [("file", "a.png", pictures[1])]), 422)
    assert "multipart/form-data" in is_error(worker.post("/detect", pictures[1], "image/png"), 422)
    is_error(worker.post_form("/detect", []), 422)
    is_error(worker.post("/detect", body, "multipart/form-data"), 400)
    is_error(worker.post("/detect", body[:-20], type), 400)
    is_error(worker.post("/detect", b"", type), 400)
    assert "not an image" in is_error(worker.post_form("/detect", [("file", "a.txt", b"no picture")]), 400)
    is_error(worker.post_form("/detect", [("file", "a.png", b"")]), 400)
    is_error(worker.post_form("/detect", [("file", "a.png", pictures[1][:300])]), 400)
    is_error(worker.get("/nothing"), 404)
    assert is_error(worker.get("/detect"), 405) and worker.get("/detect").headers["allow"]
    assert worker.get("/").code == 200


def test_limits_of_pictures(serve, make_pack, pictures):
    worker = serve("--pack", make_pack("stock"), "--max-pixels", 1000, "--max-body", 20000)
    assert "pixels" in is_error(worker.post_form("/detect", [("file", "a.png", pictures[1])]), 413)
    assert len(pictures[1]) < 20000
    is_error(worker.post_form("/detect", [("file", "a.png", b"x" * 30000)]), 413)
