"""models show: what files are, what running them takes, which providers run them, and whether they are those of the manifest."""
import hashlib
import json
import os
import shutil

import pytest

from real import KINDS, MINI, SHARED

# Worked out by tests/onnx/check_cost.py from what ONNX Runtime says of every tensor: input, multiply-adds, weights, tensors at once.
KNOWN = {
    "det_500m.onnx": ("1x3x640x640", 733545600, 2505368, 13107200),
    "dlib_resnet_v1.onnx": ("1x3x150x150", 270854144, 22430272, 1327104),
    "w600k_mbf.onnx": ("1x3x112x112", 440444928, 13603360, 3255040),
}


def only(records):
    assert len(records) == 1
    return records[0]


def by_file(records):
    return {record["file"]: record for record in records}


@pytest.fixture
def pack(make_pack, tmp_path):
    """A copy of the `stock` pack that may be changed."""
    folder = tmp_path / "mine"
    shutil.copytree(make_pack("stock"), folder)
    return folder


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_manifest(folder, licence="MIT", **changed):
    """By hand, so that this does not depend on what writes manifests (docs/manifest.md has the form)."""
    models = [{"file": name, "sha256": changed.get(name, digest(folder / name))} for name in ("detector.onnx", "embedder.onnx")]
    models += [{"file": name, "sha256": value} for name, value in changed.items() if name not in ("detector.onnx", "embedder.onnx")]
    text = {"facemill_pack": 1, "name": "mine", "licence": {"name": licence}, "models": models}
    (folder / "manifest.json").write_text(json.dumps(text))


# ---------------------------------------------------------------- figures

def test_a_generated_pack_has_figures(working, make_pack):
    shown = by_file(working("models", "show", make_pack("stock")).records)
    detector, embedder = shown["detector.onnx"], shown["embedder.onnx"]
    assert detector["typical_input"] == "1x3x640x640" and embedder["typical_input"] == "1x3x112x112"
    for record in shown.values():
        assert record["macs"] > 0 and record["weight_bytes"] > 0 and record["activation_bytes"] > 0
        assert record["cost_note"] == record["licence"] == record["expected_sha256"] == ""
        assert record["weight_bytes"] < record["bytes"] and record["status"] == "ok"
    assert detector["activation_bytes"] >= 4 * 3 * 640 * 640


@pytest.mark.parametrize("variant", ["stock", "batched", "unknown", "normalised", "foreign", "det_10g"])
def test_every_generated_graph_is_followed_and_runs(working, make_pack, variant):
    for record in working("models", "show", make_pack(variant)).records:
        assert record["cost_note"] == "" and record["macs"] > 0
        assert [row["provider"] for row in record["providers"] if row["status"] == "ok"] != []
        assert "no_provider" not in {row["status"] for row in record["providers"]}, "of a pack, providers that are not here are left out"


def test_the_table_is_for_people(working, make_pack):
    folder = make_pack("det_10g")
    table = working("models", "show", folder, "--format", "table").out
    assert "13.28 G multiply-adds for 1x3x640x640" in table and " MiB of weights" in table
    assert "2 files in %s" % folder in table and "ort:cpu       runs\n" in table
    assert all(line == line.rstrip() for line in table.splitlines())
    alone = working("models", "show", folder / "embedder.onnx", "--format", "table").out
    assert "files in" not in alone and "not here: " in alone


def test_without_a_runtime_the_graph_is_shown_all_the_same(facemill, make_pack):
    record = only(facemill("models", "show", make_pack("stock") / "detector.onnx", FM_ORT_LIBRARY="/nowhere/lib.so").records)
    assert record["macs"] > 0 and {row["status"] for row in record["providers"]} == {"no_provider"}
    assert all(row["words"] for row in record["providers"])


def test_a_file_that_is_no_graph(working, pack):
    (pack / "detector.onnx").write_bytes(b"no graph at all")
    record = by_file(working("models", "show", pack).records)["detector.onnx"]
    assert record["status"] == "bad_model" and "detector.onnx" in record["note"] and record["providers"] == []
    table = working("models", "show", pack, "--format", "table").out
    assert "bad_model" in table and digest(pack / "detector.onnx") in table


# ---------------------------------------------------------------- manifests

def test_a_manifests_digest_and_licence_are_shown(working, pack):
    write_manifest(pack, licence="Some licence 1.0")
    for record in working("models", "show", pack).records:
        assert record["status"] == "ok" and record["sha256"] == record["expected_sha256"]
        assert record["licence"] == "Some licence 1.0"
    alone = only(working("models", "show", pack / "detector.onnx").records)
    assert alone["licence"] == "Some licence 1.0" and alone["expected_sha256"] == alone["sha256"]
    assert "(the manifest's)" in working("models", "show", pack, "--format", "table").out


def test_a_flipped_byte_is_seen(working, pack):
    write_manifest(pack)
    right = digest(pack / "embedder.onnx")
    content = bytearray((pack / "embedder.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (pack / "embedder.onnx").write_bytes(content)
    shown = by_file(working("models", "show", pack).records)
    assert shown["detector.onnx"]["status"] == "ok"
    assert shown["embedder.onnx"]["status"] == "bad_model" and shown["embedder.onnx"]["expected_sha256"] == right
    assert right in shown["embedder.onnx"]["note"] and digest(pack / "embedder.onnx") in shown["embedder.onnx"]["note"]
    assert "(NOT the manifest's)" in working("models", "show", pack, "--format", "table").out
    working("models", "verify", pack, code=4)


def test_a_file_that_the_manifest_alone_has(working, pack):
    write_manifest(pack, **{"gone.onnx": "0" * 64})
    shown = by_file(working("models", "show", pack).records)
    assert shown["gone.onnx"]["status"] == "not_found" and "manifest.json" in shown["gone.onnx"]["note"]
    assert shown["gone.onnx"]["providers"] == [] and shown["gone.onnx"]["expected_sha256"] == "0" * 64
    working("models", "verify", pack, code=4)


def test_a_file_that_the_manifest_does_not_have(working, pack):
    write_manifest(pack)
    shutil.copy(pack / "embedder.onnx", pack / "other.onnx")
    record = by_file(working("models", "show", pack).records)["other.onnx"]
    assert record["task"] == "" and "not listed" in record["note"] and record["expected_sha256"] == ""


def test_a_broken_manifest_is_said_after_the_files(working, pack):
    (pack / "manifest.json").write_text('{"facemill_pack": 1, "models": 7}')
    ran = working("models", "show", pack, code=3)
    assert "manifest.json" in ran.err


def test_hidden_folders_are_no_packs(facemill, make_pack):
    packs = facemill.home / ".local/share/facemill/packs"
    shutil.copytree(make_pack("stock"), packs / "seen")
    shutil.copytree(make_pack("stock"), packs / ".part")
    assert [record["pack"] for record in facemill("models", "list").records if record.get("reason") == "installed"] == ["seen"]


def test_a_folder_inside_a_folder_of_the_same_name(working, make_pack, tmp_path):
    shutil.copytree(make_pack("stock"), tmp_path / "antelopev2" / "antelopev2")
    assert len(working("models", "show", tmp_path / "antelopev2").records) == 2
    (tmp_path / "other").mkdir()
    shutil.copytree(make_pack("stock"), tmp_path / "other" / "inner")
    working("models", "show", tmp_path / "other", code=3)


# ---------------------------------------------------------------- real files

@pytest.mark.parametrize("kind", KINDS)
def test_every_real_file_is_shown_and_runs(working, kind):
    folder = MINI if kind == "mini" else os.path.join(SHARED, "models")
    shown = by_file(working("models", "show", folder).records)
    assert sorted(shown) == sorted(name for name in os.listdir(folder) if name.endswith(".onnx"))
    for record in shown.values():
        assert record["status"] == "ok" and record["cost_note"] == "" and record["macs"] > 10**6
        assert {row["provider"]: row["status"] for row in record["providers"]}["ort:cpu"] == "ok", record["providers"]
    for name, (typical, macs, weights, activations) in KNOWN.items() if kind == "shared" else ():
        record = shown[name]
        assert (record["typical_input"], record["macs"]) == (typical, macs)
        assert (record["weight_bytes"], record["activation_bytes"]) == (weights, activations)
