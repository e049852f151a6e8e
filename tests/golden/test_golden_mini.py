"""`facemill analyze` end to end with packs/mini on drawn pictures, against what the recipes give for the same networks in
numpy and another build of ONNX Runtime (make_expected_mini.py): at 640, at 320 and both joined, on every provider that
is here. Needs a runtime, and nothing beside the project. The tolerances are those of photographs (faces.py)."""

import json
import os
import subprocess

import pytest

from conftest import MINI_PACK
from faces import compare_face, match

PROGRAM = os.environ.get("FM_PROGRAM", "")
PROVIDERS = ("ort:cpu", "ort:openvino")
NOT_AVAILABLE = 3


@pytest.fixture(scope="session")
def providers():
    """Those of PROVIDERS that are here; none at all skips, unless FM_ORT_LIBRARY promised one."""
    if not os.access(PROGRAM, os.X_OK):
        pytest.skip("no program: FM_PROGRAM=%s names none" % PROGRAM)
    listed = subprocess.run([PROGRAM, "providers", "--format", "jsonl"], stdout=subprocess.PIPE, text=True).stdout
    rows = {row["provider"]: row for row in map(json.loads, listed.splitlines())}
    if not rows["ort:cpu"]["available"] and "FM_ORT_LIBRARY" not in os.environ:
        pytest.skip("no ONNX Runtime: " + rows["ort:cpu"]["reason"])
    return [name for name in PROVIDERS if rows[name]["available"]]


def analyze(folder, *arguments, **environment):
    """Records by the picture's name."""
    done = subprocess.run([PROGRAM, "analyze", "--format", "jsonl", *arguments, folder], env={**os.environ, **environment},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    return {os.path.basename(record["path"]): record for record in map(json.loads, done.stdout.splitlines())}


def compare(records, mini, setting, worst, where):
    assert sorted(records) == sorted(entry["image"] for entry in mini.pictures)
    faces = 0
    for entry in mini.pictures:
        name, record = entry["image"], records[entry["image"]]
        assert "error" not in record, record
        assert (record["width"], record["height"]) == (entry["width"], entry["height"]), name
        want = [{"box": face["bbox"], "score": face["det_score"], "points": face["kps"], "embedding": face["embedding"],
                 "norm": face["embedding_norm"]} for face in entry["faces"][setting]]
        for index, place in enumerate(match(want, record["faces"], "%s, %s" % (where, name))):
            compare_face(want[index], record["faces"][place], worst, "%s, %s face %d" % (where, name, index))
            faces += 1
    print("%s: %d pictures, %d faces" % (where, len(mini.pictures), faces))
    assert faces > 10


@pytest.mark.parametrize("setting", ("640", "320", "320,640"))
def test_same_faces(providers, mini, worst, setting):
    assert providers
    for provider in providers:
        records = analyze(mini.folder, "--pack", MINI_PACK, "--provider", provider, "--det-size", setting)
        compare(records, mini, setting, worst, "%s at %s" % (provider, setting))


def test_the_pack_inside_the_library_is_the_folders(providers, mini, worst):
    """In a build without one, the answer is that."""
    arguments = ("--pack", "builtin:mini", "--provider", "ort:cpu", "--det-size", "640")
    probe = subprocess.run([PROGRAM, "models", "show", "builtin:mini"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if "no pack inside" not in probe.stderr:
        compare(analyze(mini.folder, *arguments), mini, "640", worst, "builtin:mini")
    else:
        done = subprocess.run([PROGRAM, "analyze", *arguments, mini.folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert done.returncode == NOT_AVAILABLE and "no pack inside" in done.stderr and done.stdout == ""


@pytest.mark.parametrize("mask", ("scalar", "avx2", "avx512"))
def test_instruction_sets_find_the_same(providers, mini, mask):
    """Every level of the kernels writes the same records, to the last digit."""
    arguments = ("--pack", MINI_PACK, "--provider", "ort:cpu", "--det-size", "320")
    masked = analyze(mini.folder, *arguments, FM_CPU_MASK=mask)
    assert masked == analyze(mini.folder, *arguments)
