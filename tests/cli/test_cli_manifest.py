"""A pack's manifest, as a user meets it: thresholds, damage, mistakes."""

import hashlib
import json
import shutil

import pytest

from conftest import Square, png


@pytest.fixture
def pack(tmp_path, make_pack):
    """A pack of one's own, and a function that writes its manifest."""
    folder = tmp_path / "mine"
    shutil.copytree(make_pack("stock"), folder)

    def write(detector=None, embedder=None, **top):
        models = [dict(file="detector.onnx", **(detector or {})), dict(file="embedder.onnx", **(embedder or {}))]
        (folder / "manifest.json").write_text(json.dumps(dict(facemill_pack=1, models=models, **top)))

    return folder, write


@pytest.fixture
def two(tmp_path):
    paths = [tmp_path / "one.png", tmp_path / "two.png"]
    for path, square in zip(paths, (Square(32, 0, 6, 6), Square(32, 1, 6, 6))):
        path.write_bytes(png([square]))
    return paths


def test_compare_takes_the_packs_threshold(working, pack, two):
    folder, write = pack
    run = lambda *more: working("compare", *two, "--pack", folder, *more)
    assert run().records[0]["threshold"] == 0.4
    assert "(threshold 0.4, the default)" in run("--format", "table").out
    write(embedder={"thresholds": {"match": 0.35}})
    assert run().records[0]["threshold"] == 0.35
    assert "(threshold 0.35, the pack's)" in run("--format", "table").out
    assert run("--threshold", 0.4).records[0]["threshold"] == 0.4
    assert "(threshold 0.4, as asked for)" in run("--threshold", 0.4, "--format", "table").out
    write(embedder={"thresholds": {"match": 1.0}, "metric": "euclidean"})
    assert run().records[0]["threshold"] == 0.5
    assert "manifest" in working("compare", "--help").out


def test_the_packs_verdict(working, pack, two):
    folder, write = pack
    similarity = working("compare", *two, "--pack", folder).records[0]["similarity"]
    assert 0.01 < similarity < 0.99
    for match, same in ((similarity - 0.005, True), (similarity + 0.005, False)):
        write(embedder={"thresholds": {"match": match}})
        assert working("compare", *two, "--pack", folder).records[0]["same"] is same


def test_what_a_pack_says_of_itself_is_shown_and_kept(working, pack, facemill):
    folder, write = pack
    texts, weak = ["Made by nobody, from nothing: \u00e9\u00e8.", "For trying, under \"no\" terms."], ["Weak in the dark."]
    write(embedder={"about": weak}, about=texts)
    shown = {record["file"]: record for record in working("models", "show", folder).records}
    assert {file: record["about"] for file, record in shown.items()} == {"detector.onnx": [], "embedder.onnx": weak}
    assert [record["pack_about"] for record in shown.values()] == [texts, texts]
    alone = working("models", "show", folder / "embedder.onnx").records[0]
    assert (alone["about"], alone["pack_about"]) == (weak, texts)
    table = working("models", "show", folder, "--format", "table").out.splitlines()
    assert table[-2:] == ["  about         " + text for text in texts]
    assert table.count("  about         " + weak[0]) == 1 and len([line for line in table if "  about  " in line]) == 3
    facemill("models", "add", folder, "--name", "kept", "--licence", "MIT")
    written = json.loads((facemill.home / ".local/share/facemill/packs/kept/manifest.json").read_text())
    assert written["about"] == texts and [model.get("about") for model in written["models"]] == [None, weak]
    write(about=texts + ["two\nlines"])
    ran = working("analyze", "none.png", "--pack", folder, code=3)
    assert "about is 'two" in ran.err and "at most 16 texts" in ran.err


def test_a_file_without_a_manifest_says_nothing_of_itself(working, make_pack):
    for record in working("models", "show", make_pack("stock")).records:
        assert record["about"] == [] and record["pack_about"] == []


def test_damage_is_found_before_use(working, pack, two):
    folder, write = pack
    model = folder / "embedder.onnx"
    good = hashlib.sha256(model.read_bytes()).hexdigest()
    write(embedder={"sha256": good})
    working("analyze", two[0], "--pack", folder)
    damaged = bytearray(model.read_bytes())
    damaged[-1] ^= 1
    model.write_bytes(damaged)
    ran = working("analyze", two[0], "--pack", folder, code=3)
    assert good in ran.err and hashlib.sha256(damaged).hexdigest() in ran.err and "facemill models verify" in ran.err
    model.unlink()
    assert "has no file 'embedder.onnx'" in working("analyze", two[0], "--pack", folder, code=3).err


def test_mistakes_name_the_member(working, pack, two):
    folder, write = pack
    write(detector={"pixels": {"mean": 127.5, "std": 0}})
    ran = working("detect", two[0], "--pack", folder, code=3)
    assert "models[0].pixels.std is 0" in ran.err and str(folder / "manifest.json") in ran.err
    (folder / "manifest.json").write_text('{"facemill_pack": 1,\n "models": [}')
    assert "line 2" in working("detect", two[0], "--pack", folder, code=3).err


def test_somebody_elses_manifest_changes_nothing(working, pack, two):
    folder, _ = pack
    before = working("detect", two[0], "--pack", folder).out
    (folder / "manifest.json").write_text('{"name": "a page", "manifest_version": 3}')
    assert working("detect", two[0], "--pack", folder).out == before
