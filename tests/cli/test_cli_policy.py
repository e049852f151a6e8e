"""Which provider runs: policy and audit, doctor's three situations, and options that must be seen to have an effect.

scripts/test.sh runs these tests on two runtimes; what only one with OpenVINO can show is in test_cli_openvino.py."""

import json
import shutil

import pytest

from conftest import Facemill, Square, png

NONE = {"VIRTUAL_ENV": "", "CONDA_PREFIX": "", "PYTHONPATH": "", "LD_LIBRARY_PATH": ""}


def rows_of(ran):
    return {row["provider"]: row for row in ran.records}


@pytest.fixture(scope="session")
def rows(runtime, tmp_path_factory):
    """What the runtime under test offers."""
    return rows_of(Facemill(tmp_path_factory.mktemp("home"), FM_ORT_LIBRARY=runtime)("providers", code=None))


@pytest.fixture
def plain(working, rows):
    if rows["ort:openvino"]["available"]:
        pytest.skip("needs ONNX Runtime without OpenVINO; this one has it: " + rows["ort:openvino"]["detail"])
    return working


@pytest.fixture
def no_cuda(rows):
    if rows["ort:cuda"]["available"]:
        pytest.skip("ort:cuda works here, so nothing passes it over")
    return rows["ort:cuda"]


@pytest.fixture
def no_runtime(facemill):
    """No ONNX Runtime that could be found: none named, nothing in the data folder, the system or a Python environment."""
    facemill.environment.update(NONE)
    found = rows_of(facemill("providers", code=None))["ort:cpu"]
    if found["available"]:
        pytest.skip("an ONNX Runtime is installed where the program looks by itself: " + found["detail"])
    return facemill


def summary_of(program, tmp_path, *arguments, **options):
    ran = program(*arguments, "--summary", tmp_path / "summary.json", **options)
    return ran, json.loads((tmp_path / "summary.json").read_text())


def embedder_faces(ran):
    return sum(len(record["faces"]) for record in ran.records if "embedding_norm" in record["faces"][0])


# ---------------------------------------------------------------- ordered and strict

def test_ordered_takes_the_first_that_works_and_says_why_not_the_others(working, rows, no_cuda, folder, tmp_path):
    """The middle one with OpenVINO, the last without; on standard error and in the summary, each with its remedy."""
    chosen = "ort:openvino" if rows["ort:openvino"]["available"] else "ort:cpu"
    ran, summary = summary_of(working, tmp_path, "analyze", "--provider", "ort:cuda,ort:openvino,ort:cpu", folder)
    assert set(summary["providers"].values()) == {chosen} and len(summary["providers"]) == 2 and embedder_faces(ran) == 6
    assert ran.summary_line.count(" on " + chosen) == 2
    refused = [no_cuda] + ([rows["ort:openvino"]] if chosen == "ort:cpu" else [])
    assert set(summary["passed_over"]) == set(summary["providers"])
    for words in [ran.err] + list(summary["passed_over"].values()):
        for row in refused:
            assert row["provider"] in words and row["reason"] in words and row["remedy"] in words
        assert chosen not in words.replace("runs on %s;" % chosen, "").replace(" on %s" % chosen, "")
    assert "CUDAExecutionProvider" in no_cuda["reason"] or ".so" in no_cuda["reason"], "names neither provider nor library"


def test_strict_on_what_is_not_there(plain, folder):
    ran = plain("analyze", "--provider", "ort:openvino", folder, code=3)
    assert ran.out == "" and "OpenVINOExecutionProvider" in ran.err and "setup_openvino.sh" in ran.err


def test_no_runtime_at_all_is_3_with_the_remedy(no_runtime, folder, make_pack):
    for provider in ([], ["--provider", "ort:cpu"], ["--provider", "ort:cuda,ort:cpu"]):
        ran = no_runtime("analyze", "--pack", make_pack("stock"), folder, *provider, code=3)
        assert ran.out == ""
        for words in ("no ONNX Runtime library was found", "set-up", "pip install onnxruntime", "--ort-library"):
            assert words in ran.err


# ---------------------------------------------------------------- validate

def test_validate_tells_another_recogniser_apart(working, real):
    """The quantised one of the same weights, or the same one fed blue for red."""
    verdict = working("validate", "ort:cpu,pack=%s" % real.pack, "ort:cpu,pack=%s" % real.other, "--images", real.pictures[1],
                      code=4).records[-1]
    assert verdict["verdict"] == "fail" and verdict["over_limit"] == verdict["compared"] > 0
    assert verdict["crops_over_limit"] == verdict["faces_a"]  # those with a rival too
    assert verdict["cosine_min"] < 0.999 and verdict["box_max"] == 0  # the detector is the same


# ---------------------------------------------------------------- doctor

def findings(ran):
    return {(record["section"], record["name"]): record for record in ran.records}


def test_doctor_on_the_plain_wheel(plain):
    found = findings(plain("doctor"))
    assert found["providers", "ort:cpu"]["verdict"] == "good" and found["verdict", "facemill"]["verdict"] == "good"
    missing = found["providers", "ort:openvino"]
    assert missing["verdict"] == "missing" and "OpenVINOExecutionProvider" in missing["detail"]
    assert "setup_openvino.sh" in missing["remedy"]
    assert not [key for key, row in found.items() if key[0] == "providers" and row["verdict"] == "missing" and not row["remedy"]]


def test_doctor_without_a_runtime(no_runtime, make_pack):
    ran = no_runtime("doctor", "--pack", make_pack("stock"), code=3)
    found = findings(ran)
    verdict = found["verdict", "networks"]
    assert verdict["verdict"] == "bad" and "providers" in verdict["remedy"]
    for (section, name), row in found.items():
        if section == "providers" and name.startswith("ort:"):
            assert row["verdict"] == "missing" and "no ONNX Runtime library was found" in row["detail"], name
            assert "set-up" in row["remedy"] and "--ort-library" in row["remedy"], name
    assert found["self-test", "networks"]["verdict"] == "skipped" and found["self-test", "alignment"]["verdict"] == "good"
    assert not [row for row in ran.records if row["verdict"] == "bad" and row["section"] != "verdict"]


# ---------------------------------------------------------------- options that contradict one another, or the machine

@pytest.mark.parametrize("arguments, words", [
    (["--policy", "strict", "--provider", "ort:cpu,ort:cuda"], ["strict", "not 2", "ordered"]),
    (["--policy", "ordered"], ["ordered", "--provider"]),
    (["--policy", "strict"], ["strict", "--provider"]),
    (["--policy", "auto", "--provider", "ort:cpu"], ["auto", "ordered"]),
    (["--device", "cpu", "--provider", "ort:cuda"], ["ort:cuda", "accelerator", "CPU"]),
    (["--device", "cpu", "--provider", "ort:cpu,ort:cuda"], ["ort:cuda", "accelerator", "CPU"]),
    (["--device", "3", "--provider", "ort:cpu"], ["device 3", "ort:cpu", "--device cpu"]),
    (["--provider", "ort:nope"], ["ort:nope", "ort:cpu"]),
    (["--provider-option", "ort:nope:a=b"], ["ort:nope"]),
])
def test_contradictions_are_2_and_say_what_instead(working, folder, arguments, words):
    ran = working("detect", folder, *arguments, code=2)
    assert ran.out == "" and not [word for word in words if word not in ran.err], ran.err


def test_a_device_that_is_not_there_is_3(working, no_cuda, folder):
    ran = working("detect", folder, "--device", 7, code=3)
    assert ran.out == "" and "ort:cuda" in ran.err and no_cuda["reason"] in ran.err and " on ort:cpu" not in ran.err
    assert " on ort:cpu" in working("detect", folder, "--device", "cpu", "--policy", "ordered", "--provider", "ort:cpu").summary_line


def test_provider_options_reach_the_runtime(working, folder):
    """An option by which the runtime itself refuses to run on the CPU; the same with 0 changes nothing."""
    option = "ort:cpu:session.disable_cpu_ep_fallback="
    ran = working("detect", folder, "--provider", "ort:cpu", "--provider-option", option + "1", code=3)
    assert "fallback to CPU EP has been explicitly disabled" in ran.err
    working("detect", folder, "--provider", "ort:cpu", "--provider-option", option + "0")


@pytest.mark.parametrize("provider", [["--provider", "ort:cpu"], ["--provider", "ort:cpu", "--policy", "ordered"], []])
def test_a_misspelled_provider_option_is_named(working, folder, provider):
    """Whichever policy: refused or warned of, the words must reach the one who wrote it."""
    ran = working("detect", folder, *provider, "--provider-option", "ort:cpu:nokey=1", code=None)
    assert "nokey" in ran.err and (ran.code in (2, 3) or not provider), ran.err


def test_option_of_a_provider_that_does_not_run_is_said(working, folder):
    ran = working("detect", folder, "--provider", "ort:cpu", "--provider-option", "ort:cuda:a=b")
    warning, = [line for line in ran.err.splitlines() if "ort:cuda:a" in line and "detector.onnx" in line]
    assert "no effect" in warning and "ort:cpu" in warning


# ---------------------------------------------------------------- options seen to have an effect

CORNER, CENTRE = Square(32, 0, 3, 4), Square(16, 1, 20, 20)  # 176 x 208 pixels and 96 x 112


@pytest.fixture
def corner_and_centre(tmp_path):
    (tmp_path / "two.png").write_bytes(png([CORNER, CENTRE]))
    return tmp_path / "two.png"


def boxes(ran):
    return [face["box"] for record in ran.records for face in record["faces"]]


def test_face_metric_decides_which_face_is_kept(working, corner_and_centre):
    assert len(boxes(working("detect", corner_and_centre))) == 2
    for metric, expected in ((["--face-metric", "area"], CORNER), (["--face-metric", "centre"], CENTRE), ([], CENTRE)):
        kept, = boxes(working("detect", corner_and_centre, "--max-faces", 1, *metric))
        assert kept == pytest.approx(expected.box, abs=1e-3), metric


def test_min_face_is_the_shorter_side(working, corner_and_centre):
    side = CENTRE.box[2] - CENTRE.box[0]
    assert side < CENTRE.box[3] - CENTRE.box[1]
    assert len(boxes(working("detect", corner_and_centre, "--min-face", side - 0.5))) == 2
    kept, = boxes(working("detect", corner_and_centre, "--min-face", side + 0.5))
    assert kept == pytest.approx(CORNER.box, abs=1e-3)
    assert len(boxes(working("detect", corner_and_centre, "--min-face-size", side + 0.5))) == 1


def test_log_level(working, no_cuda, folder):
    lines = {}
    for level in ("debug", "info", "warn", "off"):
        ran = working("detect", folder, "--log-level", level)
        lines[level] = [line for line in ran.err.splitlines() if "policy: ort:cuda passed over" in line]
    assert len(lines["info"]) == 2 and no_cuda["reason"] in lines["info"][0] and no_cuda["remedy"] in lines["info"][0]
    assert lines["debug"] == lines["info"] and lines["warn"] == lines["off"] == []


# ---------------------------------------------------------------- defaults that others rely on

@pytest.mark.parametrize("command, option, value", [
    ("bench", "warmup", "3"), ("validate", "limit-cosine", "0.999"), ("validate", "limit-box", "2"), ("validate", "limit-landmark", "1"),
    ("analyze", "det-size", "640"), ("analyze", "max-faces", "0"), ("analyze", "precision", "auto"), ("analyze", "embedding", "array"),
])
def test_defaults(facemill, command, option, value):
    rows = {row["option"]: row for row in json.loads(facemill(command, "--print-config").out)["options"]}
    assert (rows[option]["value"], rows[option]["source"]) == (value, "default")


def test_default_threshold_is_a_half(working, facemill, tmp_path):
    """Said in --help, and true: of two faces on either side of it one is found."""
    line, = [line for line in facemill("detect", "--help").out.splitlines() if "Lowest score of a face" in line]
    assert "0.5" in line
    squares = [Square(32, 0, 4, 5, level) for level in range(190, 256)]
    below = max((s for s in squares if s.score < 0.5), key=lambda s: s.score)
    above = min((s for s in squares if s.score > 0.5), key=lambda s: s.score)
    assert below.score > 0.45 and above.score < 0.55
    (tmp_path / "a.png").write_bytes(png([below, Square(32, 0, 14, 14, above.level)]))
    face, = working("detect", tmp_path / "a.png").records[0]["faces"]
    assert face["score"] == pytest.approx(above.score, abs=1e-5)
    assert len(working("detect", tmp_path / "a.png", "--det-threshold", 0.45).records[0]["faces"]) == 2


def test_the_runtime_leaves_no_trace_and_asks_nobody(working, folder):
    """ONNX Runtime's telemetry keeps a device id in the cache folder, from its start on, unless it was told before."""
    working("analyze", folder, "--provider", "ort:cpu")
    left = [str(path.relative_to(working.home)) for path in working.home.rglob("*")]
    assert left == [], left


def test_quiet_has_no_warnings(working, folder, make_pack, tmp_path):
    """A manifest's own input size is worth a warning beside another wish, and none with --quiet."""
    pack = tmp_path / "sized"
    shutil.copytree(make_pack("stock"), pack)
    (pack / "manifest.json").write_text(json.dumps({"facemill_pack": 1, "models": [
        {"file": "detector.onnx", "input": {"width": 320, "height": 320}}, {"file": "embedder.onnx"}]}))
    assert "320x320" in working("detect", folder, "--pack", pack).err
    assert working("detect", folder, "--pack", pack, "--quiet").err == ""
    assert "320x320" in working("detect", folder, "--pack", pack, "--quiet", "--log-level", "warn").err
