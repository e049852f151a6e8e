"""/metrics, /healthz and /readyz. The text is read by a parser of Prometheus' text format 0.0.4 that takes nothing for granted."""

import json
import math
import re

import pytest

from conftest import wait_for

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')


class Family:
    def __init__(self, name, help):
        self.name, self.help, self.kind, self.samples = name, help, None, {}


def parse_labels(text):
    found = {}
    while text:
        match = LABEL.match(text)
        assert match, "labels: " + text
        assert match.group(1) not in found, "doubled label: " + text
        found[match.group(1)] = re.sub(r"\\(.)", lambda m: "\n" if m.group(1) == "n" else m.group(1), match.group(2))
        assert match.group(3) or match.end() == len(text)
        text = text[match.end():]
    return found


def parse(text):
    """{family: Family}; its samples by (name, labels). HELP and TYPE come first and once, a family's lines together."""
    families, current = {}, None
    assert text.endswith("\n")
    for line in text.splitlines():
        comment = re.fullmatch(r"# (HELP|TYPE) (%s) (.+)" % NAME, line)
        if comment and comment.group(1) == "HELP":
            assert comment.group(2) not in families, line
            current = families[comment.group(2)] = Family(comment.group(2), comment.group(3))
        elif comment:
            assert current and current.name == comment.group(2) and current.kind is None and not current.samples, line
            current.kind = comment.group(3)
            assert current.kind in ("counter", "gauge", "histogram"), line
        else:
            sample = re.fullmatch(r"(%s)(?:\{(.*)\})? (\S+)" % NAME, line)
            assert sample and current and current.kind, line
            suffixes = ("_bucket", "_sum", "_count") if current.kind == "histogram" else ("",)
            assert sample.group(1) in [current.name + suffix for suffix in suffixes], line
            key = (sample.group(1), tuple(sorted(parse_labels(sample.group(2) or "").items())))
            assert key not in current.samples, line
            value = float(sample.group(3))
            assert math.isfinite(value) and (current.kind == "gauge" or value >= 0), line
            current.samples[key] = value
    return families


def check_histogram(family):
    groups = {}
    for (name, labels), value in family.samples.items():
        rest = tuple(label for label in labels if label[0] != "le")
        group = groups.setdefault(rest, {"buckets": {}})
        if name.endswith("_bucket"):
            bound = dict(labels)["le"]
            group["buckets"][math.inf if bound == "+Inf" else float(bound)] = value
        else:
            group[name.rsplit("_", 1)[1]] = value
    for rest, group in groups.items():
        bounds = sorted(group["buckets"])
        values = [group["buckets"][bound] for bound in bounds]
        assert bounds[-1] == math.inf and values == sorted(values), (family.name, rest)
        assert values[-1] == group["count"] and (group["sum"] == 0 or group["count"] > 0), (family.name, rest)
        assert group["sum"] >= sum((high - low) * bound for low, high, bound in
                                   zip(values, values[1:], bounds)) * 0.999 or not group["count"], (family.name, rest)
    return groups


def test_every_line_is_prometheus(worker, pictures):
    worker.post_form("/detect-batch", [("files", "a", picture) for picture in pictures])
    answer = worker.get("/metrics")
    assert answer.code == 200 and answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = parse(answer.text)
    for family in families.values():
        assert family.help and family.kind and family.name.startswith(("facemill_", "process_")), family.name
        assert (family.kind == "counter") == family.name.endswith("_total"), family.name
        assert family.samples, family.name
        if family.kind == "histogram":
            assert check_histogram(family), family.name
    assert value(families, "facemill_http_request_duration_seconds_sum", method="POST", route="/detect-batch", code="200") > 0
    assert {"facemill_http_requests_total", "facemill_http_request_duration_seconds", "facemill_stage_duration_seconds",
            "facemill_queue_depth", "facemill_queue_capacity", "facemill_batch_size", "facemill_faces_total",
            "facemill_images_total", "facemill_image_errors_total", "facemill_images_cancelled_total",
            "facemill_images_expired_total", "facemill_images_refused_total", "facemill_model_info", "facemill_model_loaded",
            "facemill_pool_bytes", "process_resident_memory_bytes", "facemill_http_connections", "facemill_build_info"} <= set(families)
    stages = {dict(labels)["stage"] for _, labels in families["facemill_stage_duration_seconds"].samples}
    assert value(families, "facemill_stage_duration_seconds_sum", stage="total") > 0
    assert stages == {"queue", "read", "decode", "letterbox", "detect", "postprocess", "align", "embed", "total"}


def value(families, name, **labels):
    family = families[re.sub(r"_(bucket|sum|count)$", "", name) if name not in families else name]
    return family.samples.get((name, tuple(sorted(labels.items()))), 0)


def test_counters_count(serve, make_pack, pictures):
    worker = serve("--pack", make_pack("stock"), "--queue-depth", 7)
    first = parse(worker.get("/metrics").text)
    assert value(first, "facemill_queue_capacity") == 7 and value(first, "facemill_queue_depth") == 0
    for _ in range(2):
        assert worker.post_form("/detect", [("file", "a.png", pictures[2])]).code == 200
    assert worker.post_form("/detect", [("file", "a.png", b"no picture")]).code == 400
    assert worker.post_form("/detect-batch", [("files", "a", picture) for picture in pictures]).code == 200
    assert worker.get("/elsewhere").code == 404
    after = parse(worker.get("/metrics").text)

    def grown(name, **labels):
        return value(after, name, **labels) - value(first, name, **labels)
    assert grown("facemill_http_requests_total", method="POST", route="/detect", code="200") == 2
    assert grown("facemill_http_requests_total", method="POST", route="/detect", code="400") == 1
    assert grown("facemill_http_request_duration_seconds_count", method="POST", route="/detect-batch", code="200") == 1
    assert sum(sample for (_, labels), sample in after["facemill_http_requests_total"].samples.items()
               if dict(labels)["route"] == "other") == 1
    assert grown("facemill_images_total") == 7 and grown("facemill_image_errors_total") == 1
    assert grown("facemill_faces_total") == 2 + 2 + 0 + 1 + 2 + 3
    assert grown("facemill_batch_size_sum", network="detection") == 6
    assert grown("facemill_batch_size_sum", network="recognition") == 10
    assert grown("facemill_stage_duration_seconds_count", stage="total") == 6
    assert grown("facemill_images_refused_total") == grown("facemill_images_expired_total") == 0
    assert value(after, "facemill_model_loaded", file="detector.onnx") == 1
    assert value(after, "process_resident_memory_bytes") > 1e6 and value(after, "facemill_pool_bytes") > 1e5
    providers = {dict(labels)["task"]: dict(labels)["provider"] for _, labels in after["facemill_model_info"].samples}
    assert providers == {"detection": "ort:cpu", "recognition": "ort:cpu"}


def test_labels_are_escaped(serve, make_pack, tmp_path):
    folder = tmp_path / 'pack "with" \\ marks'
    folder.mkdir()
    for file in make_pack("stock").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    worker = serve("--pack", folder)
    families = parse(worker.get("/metrics").text)
    (_, labels), = families["facemill_pack_info"].samples
    assert dict(labels)["name"] == folder.name == worker.started["pack"]


def test_alive_and_ready(worker):
    for path, words in (("/healthz", "alive\n"), ("/readyz", "ready\n")):
        answer = worker.get(path)
        assert (answer.code, answer.text) == (200, words) and answer.headers["content-type"].startswith("text/plain")


def test_monitoring_needs_the_token_and_health_does_not(serve, make_pack, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("secret-token\n")
    tokens.chmod(0o600)
    worker = serve("--pack", make_pack("stock"), "--token-file", tokens)
    assert [worker.get(path).code for path in ("/", "/healthz", "/readyz")] == [200] * 3
    refused = worker.get("/metrics")
    assert refused.code == 401 and list(refused.json) == ["detail"]
    assert worker.get("/metrics", Authorization="Bearer secret-token").code == 200
