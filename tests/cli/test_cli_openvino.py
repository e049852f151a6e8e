"""What only a runtime with OpenVINO can show: falling back, strictness, its answers beside the CPU's. It may be the runtime under
test, or another that is set up on this machine (scripts/setup_openvino.sh); without one the whole file is one skip."""

import json
import re
import subprocess

import pytest

from conftest import PROGRAM
from test_cli_policy import embedder_faces, findings


def find_library():
    """The library with OpenVINO that the program finds in the environment the tests were started in."""
    done = subprocess.run([PROGRAM, "providers", "--format", "jsonl"], stdout=subprocess.PIPE, timeout=60)
    row = next(row for row in map(json.loads, done.stdout.decode().splitlines()) if row["provider"] == "ort:openvino")
    if not row["available"]:
        pytest.skip("the tests of OpenVINO: no runtime with it is here (scripts/setup_openvino.sh): " + row["reason"],
                    allow_module_level=True)
    return re.search(r"\((/[^,)]+)", row["detail"]).group(1)


LIBRARY = find_library()


@pytest.fixture
def openvino(working):
    working.environment["FM_ORT_LIBRARY"] = LIBRARY
    return working


def test_strict_names_the_node_that_would_run_elsewhere(openvino, folder, make_pack):
    for policy in ([], ["--policy", "strict"]):
        ran = openvino("analyze", "--pack", make_pack("foreign"), "--provider", "ort:openvino", *policy, folder, code=3)
        assert ran.out == ""
        for words in ("embedder.onnx", "ort:openvino", "'foreign_pool'", "LpPool", "--policy ordered"):
            assert words in ran.err
    openvino("analyze", "--provider", "ort:openvino", folder)  # the same without that node


def test_ordered_runs_it_and_says_what_ran_elsewhere(openvino, folder, make_pack):
    for arguments in (["--provider", "ort:openvino,ort:cpu"], ["--provider", "ort:openvino", "--policy", "ordered"]):
        ran = openvino("analyze", "--pack", make_pack("foreign"), *arguments, folder)
        assert embedder_faces(ran) == 6 and "embedder on ort:openvino" in ran.summary_line
        warning, = [line for line in ran.err.splitlines() if "foreign_pool" in line]
        assert "1 of 3 nodes ran elsewhere" in warning and "CPUExecutionProvider" in warning and "embedder.onnx" in warning


def test_validate_openvino_against_cpu(openvino, folder):
    verdict = openvino("validate", "ort:cpu", "ort:openvino", "--images", folder).records[-1]
    assert verdict["verdict"] == "pass" and verdict["compared"] == 6 and verdict["cosine_min"] > 0.99999
    assert set(verdict["a"]["providers"].values()) == {"ort:cpu"} and set(verdict["b"]["providers"].values()) == {"ort:openvino"}


def test_validate_openvino_against_cpu_on_real_models(openvino, real):
    images = [word for picture in real.pictures for word in ("--images", picture)]
    verdict = openvino("validate", "ort:cpu", "ort:openvino", "--pack", real.pack, *images).records[-1]
    assert verdict["verdict"] == "pass" and verdict["images"] == len(real.pictures) and verdict["compared"] >= 6
    assert verdict["missing_in_a"] == verdict["missing_in_b"] == 0 and verdict["crop_cosine_min"] > 0.9999


def test_doctor_on_the_openvino_library(openvino):
    found = findings(openvino("doctor"))
    for name in ("ort:openvino", "ort:cpu"):
        row = found["providers", name]
        assert row["verdict"] == "good" and row["remedy"] is None and openvino.environment["FM_ORT_LIBRARY"] in row["detail"]
    assert [key for key in found if key[0] == "libraries" and key[1].startswith("libopenvino")]
    assert found["self-test", "company"]["verdict"] == found["self-test", "embedding"]["verdict"] == "good"
    assert found["verdict", "facemill"]["verdict"] == "good"


def test_an_option_that_it_does_not_know_is_refused(openvino, folder):
    arguments = ["detect", folder / "a.png", "--provider", "ort:openvino"]
    openvino(*arguments)
    ran = openvino(*arguments, "--provider-option", "ort:openvino:no_such_key=1", code=None)
    assert ran.code in (2, 3) and "--provider-option" in ran.err and ran.out == ""


def test_nodes_that_run_elsewhere_are_named(openvino, make_pack):
    """It leaves LpPool to the CPU."""
    record, = openvino("models", "show", make_pack("foreign") / "embedder.onnx").records
    row = {row["provider"]: row for row in record["providers"]}["ort:openvino"]
    assert row["status"] == "ok" and "LpPool" in row["words"]
