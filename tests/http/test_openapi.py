"""The OpenAPI document: every route of the program is in it, its examples and the worker's real answers are as it says. With
FM_SCHEMATHESIS (the program of that name) schemathesis tries what the document promises."""

import base64
import glob
import json
import os
import re
import subprocess

import pytest

from conftest import PROGRAM, ROOT

DOCUMENT = os.path.join(ROOT, "service", "http", "openapi.json")
METHODS = {"get", "post", "put", "delete", "patch", "head", "options", "trace"}

jsonschema = pytest.importorskip("jsonschema", reason="no jsonschema for Python (Debian: python3-jsonschema)")


def document():
    with open(DOCUMENT, encoding="utf-8") as file:
        return json.load(file)


def routes_in_source():
    """(method, path) of every row of the route tables."""
    found = set()
    for path in glob.glob(os.path.join(ROOT, "service", "http", "routes_*.c")):
        with open(path, encoding="utf-8") as file:
            text = re.sub(r"\.(method|path)\s*=\s*", "", file.read())
        found |= set(re.findall(r'\{\s*"([A-Z]+)",\s*"(/[^"]*)"', text))
    return found


def validator(schema, whole):
    """References are looked up in the document, which is what '#/components/...' means there."""
    resolver = jsonschema.RefResolver("", whole)
    return jsonschema.Draft202012Validator(schema, resolver=resolver)


def resolve(value, whole):
    while "$ref" in value:
        at = whole
        for key in value["$ref"][2:].split("/"):
            at = at[key.replace("~1", "/").replace("~0", "~")]
        value = at
    return value


def operations(whole):
    for path, item in whole["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield path, method, operation


def test_every_route_of_the_program_is_in_the_document():
    documented = {(method.upper(), path) for path, method, _ in operations(document())}
    there = routes_in_source()
    assert len(there) > 10 and {("POST", "/v1/analyze"), ("GET", "/openapi.json"), ("POST", "/detect"), ("GET", "/")} <= there
    assert there == documented, "only in the program: %s; only in the document: %s" % (there - documented, documented - there)


def test_the_document_is_sound():
    whole = document()
    assert whole["openapi"].startswith("3.1.") and whole["servers"] == [{"url": "http://127.0.0.1:8001"}]
    version = json.loads(subprocess.run([PROGRAM, "version", "--format", "jsonl"], stdout=subprocess.PIPE, timeout=60).stdout)["version"]
    assert whole["info"]["version"] == version
    used = set(re.findall(r'"\$ref": "#/components/(\w+)/([^"]+)"', json.dumps(whole)))
    have = {(kind, name) for kind in ("schemas", "responses", "parameters", "headers") for name in whole["components"][kind]}
    assert used == have, "not there: %s; not used: %s" % (used - have, have - used)
    for schema in whole["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    names = [operation["operationId"] for _, _, operation in operations(whole)]
    assert len(names) == len(set(names)) and all(op["summary"] for _, _, op in operations(whole))


def test_the_envelope_has_every_error_code():
    """Those of fm_status, and the ones that only HTTP has."""
    with open(os.path.join(ROOT, "include", "facemill", "facemill.h"), encoding="utf-8") as file:
        body = re.search(r"typedef enum fm_status \{(.*?)\} fm_status;", file.read(), flags=re.S).group(1)
    statuses = [word.lower() for word in re.findall(r"^\s*FM_(\w+) =", body, flags=re.M)][1:]
    schemas = document()["components"]["schemas"]
    assert schemas["PictureError"]["properties"]["code"]["enum"] == statuses
    codes = schemas["Error"]["properties"]["error"]["properties"]["code"]["enum"]
    assert codes == statuses + ["unauthorized", "method_not_allowed", "timeout"]
    with open(os.path.join(ROOT, "service", "http", "v1_write.c"), encoding="utf-8") as file:
        said = re.findall(r'return "([a-z_]+)";', file.read())
    assert set(said) <= set(codes)
    with open(os.path.join(ROOT, "docs", "api.md"), encoding="utf-8") as file:
        guide = file.read()
    assert [code for code in codes if "| `%s`" % code not in guide] == []


def test_examples_validate():
    whole, count = document(), 0
    for path, method, operation in operations(whole):
        bodies = [operation.get("requestBody", {})] + [resolve(answer, whole) for answer in operation["responses"].values()]
        for body in bodies:
            for kind, content in body.get("content", {}).items():
                examples = [e["value"] for e in content.get("examples", {}).values()] + ([content["example"]] if "example" in content else [])
                for example in examples:
                    errors = list(validator(content["schema"], whole).iter_errors(example))
                    assert not errors, "%s %s, %s: %s" % (method, path, kind, errors[0])
                    count += 1
                    if isinstance(example, dict) and isinstance(content["schema"], dict) and "Error" in str(content["schema"].get("$ref")):
                        assert list(validator(content["schema"], whole).iter_errors(dict(example, more=1))), "a schema that takes anything"
    assert count >= 25, count


def check(whole, path, method, answer):
    responses = whole["paths"][path][method]["responses"]
    response = resolve(responses.get(str(answer.code)) or responses["default"], whole)
    kind = answer.headers["content-type"].split(";")[0]
    assert kind in response["content"], "%s %s answered %d with %s" % (method, path, answer.code, kind)
    if kind == "application/json":
        errors = list(validator(response["content"][kind]["schema"], whole).iter_errors(answer.json))
        assert not errors, "%s %s, %d: %s" % (method, path, answer.code, errors[0])


def test_the_worker_serves_it_with_its_own_address(worker):
    served = worker.get("/openapi.json")
    assert served.code == 200 and served.headers["content-type"] == "application/json"
    assert served.json == dict(document(), servers=[{"url": worker.url}])
    named = worker.get("/openapi.json", Host="faces.example:99").json
    assert named["servers"] == [{"url": "http://faces.example:99"}]
    for odd in ('x"},{"url":"y', "a/b", "a b"):
        assert worker.get("/openapi.json", Host=odd).json["servers"] == [{"url": worker.url}]


def test_real_answers_are_as_the_document_says(worker, pictures):
    whole = document()
    plain = base64.b64encode(pictures[2]).decode()
    for path in ("/v1/models", "/v1/providers", "/openapi.json", "/", "/healthz", "/readyz", "/metrics", "/ping", "/info", "/health"):
        answer = worker.get(path)
        assert answer.code == 200, path
        check(whole, path, "get", answer)
        if path.startswith("/v1"):
            check(whole, path, "get", worker.get(path + "?nix=1"))
    for query in ("", "?embedding=base64&crops=true", "?embedding=none", "?det_size=33", "?attributes=age"):
        check(whole, "/v1/analyze", "post", worker.post("/v1/analyze" + query, pictures[2]))
    for body, type in ((b"text", "image/png"), (b"text", "text/plain"), (b"{", "application/json"), (b"", "image/png")):
        for path in ("/v1/analyze", "/v1/compare", "/v1/embed"):
            check(whole, path, "post", worker.post(path, body, type))
    form = [("images", "a.png", pictures[2]), ("images", "b.png", b"text")]
    check(whole, "/v1/analyze", "post", worker.post_form("/v1/analyze", form))
    check(whole, "/v1/analyze", "post", worker.post_json("/v1/analyze", {"images": [{"data": plain, "name": "x"}, {"data": "?"}]}))
    compared = worker.post_json("/v1/compare", {"a": {"data": plain}, "b": {"data": plain}})
    assert compared.code == 200
    check(whole, "/v1/compare", "post", compared)
    embedded = worker.post("/v1/embed?width=112&height=112", bytes(112 * 112 * 3))
    assert embedded.code == 200
    check(whole, "/v1/embed", "post", embedded)
    check(whole, "/detect", "post", worker.post_form("/detect", [("file", "a.png", pictures[2])]))
    check(whole, "/detect", "post", worker.post_form("/detect", [("nix", None, b"x")]))
    check(whole, "/detect-batch", "post", worker.post_form("/detect-batch", [("files", "a.png", pictures[2]), ("files", "b", b"text")]))
    entries = {"facial-recognition": {"detection": {"modelName": "stock", "options": {"minScore": 0.5}},
                                      "recognition": {"modelName": "stock", "options": {}}}}
    for asked in (entries, {"facial-recognition": {"detection": {"modelName": "stock"}}}, {"x": 1}):
        check(whole, "/predict", "post", worker.post_form("/predict", [("entries", None, json.dumps(asked).encode()), ("image", "a.png", pictures[2])]))
    for path in ("/extract", "/draw_detections"):
        asked = {"images": {"data": [plain]}, "return_landmarks": True, "return_face_data": True, "verbose_timings": True}
        check(whole, path, "post", worker.post_json(path, asked))
        check(whole, path, "post", worker.post_json(path, {"images": {"data": [plain, "?"]}, "extract_embedding": False}))
        check(whole, path, "post", worker.post_json(path, {"images": {"data": [plain, "?"]}, "embed_only": True}))
        check(whole, path, "post", worker.post_json(path, {}))
    check(whole, "/multipart/draw_detections", "post", worker.post_form("/multipart/draw_detections", [("file", "a.png", pictures[2])]))


def test_schemathesis_finds_nothing(worker, tmp_path):
    program = os.environ.get("FM_SCHEMATHESIS")
    if not program:
        pytest.skip("no schemathesis: install it into a virtual environment and name its program with FM_SCHEMATHESIS")
    config = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schemathesis.toml")
    command = [os.path.abspath(program), "--config-file", config, "run", worker.url + "/openapi.json", "--seed", "1", "--no-color"]
    done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=1800)
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said[-8000:]
    print(said[-1500:])
