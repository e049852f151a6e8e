"""compare, crop, models, providers, doctor, bench, validate, version."""

import json
import os

import pytest

from conftest import Square, builtin_pack, png


def last(ran):
    return ran.records[-1]


def sections(ran):
    found = {}
    for record in ran.records:
        found.setdefault(record["section"], []).append(record)
    return found


def test_version(facemill):
    record = facemill("version", "--format", "jsonl").records[0]
    assert record["version"].count(".") == 2 and {"compiler", "build_type", "decoders", "kernels"} <= set(record)
    assert facemill("--version").records[0] == record
    assert facemill("version", "--format", "table").out.startswith("facemill " + record["version"])


# ---------------------------------------------------------------- compare

def test_compare(working, folder, tmp_path):
    (folder / "other.png").write_bytes(png([Square(16, 1, 30, 8), Square(32, 1, 3, 15, 200), Square(8, 0, 70, 8, 230)]))
    record = working("compare", folder / "a.png", folder / "other.png").records[0]
    assert set(record) == {"similarity", "threshold", "same", "a", "b"} and record["threshold"] == 0.4
    assert record["a"]["faces"] == 1 and record["b"]["faces"] == 3
    same = working("compare", folder / "a.png", folder / "a.png").records[0]
    assert same["similarity"] == pytest.approx(1, abs=1e-6) and same["same"]
    high = working("compare", folder / "a.png", folder / "a.png", "--threshold", 1, "--format", "table").out
    assert "similarity 1.0000" in high
    for step, verdict in ((-1e-3, True), (1e-3, False)):
        threshold = record["similarity"] + step
        assert working("compare", folder / "a.png", folder / "other.png", "--threshold", threshold).records[0]["same"] is verdict


def test_compare_takes_the_largest_face(working, tmp_path):
    small, large = Square(8, 0, 60, 60), Square(32, 0, 6, 6, 240)  # the small one scores higher
    assert small.score > large.score
    (tmp_path / "two.png").write_bytes(png([small, large]))
    record = working("compare", tmp_path / "two.png", tmp_path / "two.png").records[0]
    assert record["a"]["box"] == pytest.approx(large.box, abs=1e-3)


def test_compare_without_a_face_or_recogniser(working, folder, make_pack):
    ran = working("compare", folder / "a.png", folder / "sub" / "d.png", code=1)
    assert ran.records == [{"path": str(folder / "sub" / "d.png"), "error": ran.records[0]["error"]}]
    assert working("compare", folder / "none.png", folder / "a.png", code=1).records[0]["error"]["code"] == "not_found"
    assert "recogniser" in working("compare", folder / "a.png", folder / "a.png", "--pack", make_pack("detector"), code=3).err
    working("compare", folder / "a.png", code=2)


def test_compare_of_faces_that_the_pack_cannot_embed(working, folder, no_landmarks):
    """Without landmarks there is no embedding, and so no verdict."""
    ran = working("compare", folder / "a.png", folder / "b.PNG", "--pack", no_landmarks, code=3)
    assert str(folder / "a.png") in ran.err and "landmarks" in ran.err and "similarity" not in ran.out
    ran = working("compare", folder / "sub" / "d.png", folder / "b.PNG", "--pack", no_landmarks, code=3)
    assert str(folder / "b.PNG") in ran.err


# ---------------------------------------------------------------- crop

def test_crop(working, folder, tmp_path):
    records = working("crop", folder, "--dir", tmp_path / "crops").records
    assert [len(record["faces"]) for record in records] == [1, 2, 3]
    files = [face["crop"] for record in records for face in record["faces"]]
    assert [os.path.basename(name) for name in files][:3] == ["a.face1.png", "b.face1.png", "b.face2.png"]
    assert sorted(os.listdir(tmp_path / "crops")) == sorted(os.path.basename(name) for name in files)
    for size in (112, 224, 256):
        face = working("crop", folder / "a.png", "--dir", tmp_path / str(size), "--size", size).records[0]["faces"][0]
        header = open(face["crop"], "rb").read(24)
        assert header[:4] == b"\x89PNG" and int.from_bytes(header[16:20], "big") == int.from_bytes(header[20:24], "big") == size


def test_a_face_that_cannot_be_cut_out_is_its_images_error(working, folder, tmp_path, no_landmarks):
    ran = working("crop", "--recursive", folder, "--dir", tmp_path / "crops", "--pack", no_landmarks, code=1)
    assert ["error" in record for record in ran.records] == [True, True, True, False]
    assert "face 1" in ran.records[0]["error"]["message"] and "landmarks" in ran.records[0]["error"]["message"]
    assert os.listdir(tmp_path / "crops") == [] and "4 images, 0 faces, 3 errors" in ran.summary_line


# ---------------------------------------------------------------- models

def test_models_list_show_verify(working, make_pack, facemill):
    stock = make_pack("stock")
    listed = working("models", "list").records
    assert {"pack", "path", "reason"} == set(listed[0]) and listed[0]["reason"] == "FM_PACK"
    shown = working("models", "show").records
    assert {record["task"] for record in shown} == {"detection", "recognition"}
    for record in shown:
        assert len(record["sha256"]) == 64 and record["parameters"] > 0 and record["input"] and record["outputs"] and record["operators"]
    assert working("models", "show", stock).records == shown
    one = [record for record in shown if record["task"] == "detection"][0]
    alone = working("models", "show", one["path"]).records[0]  # tells of every provider, not of those that are here alone
    assert dict(alone, providers=None) == dict(one, providers=None) and len(alone["providers"]) > len(one["providers"])
    verified = working("models", "verify", stock).records
    assert [record["verdict"] for record in verified] == ["pass"] * 3 and len(verified[-1]["pack_id"]) == 64
    working("models", "show", "no_such_pack", code=3)
    assert "no pack is installed" in facemill("models", "list").err


def test_models_says_who_named_a_pack_that_is_not_there(working):
    for action in ("show", "verify"):
        ran = working("models", action, "/nowhere/at/all", code=3)
        assert "/nowhere/at/all" in ran.err and "the argument of 'models %s' named it" % action in ran.err
        assert "(FM_PACK named it" in working("models", action, code=3, FM_PACK="/nowhere").err
        assert "(--pack named it" in working("models", action, "--pack", "/nowhere", code=3).err


def test_models_verify_fails_on_a_damaged_file(working, make_pack, tmp_path):
    ran = working("models", "verify", make_pack("damaged"), code=4)
    assert "FAIL" in {record["verdict"] for record in ran.records}
    working("models", "sing", code=2)
    working("models", "list", "x", code=2)


# ---------------------------------------------------------------- providers, doctor

def test_providers(working):
    rows = {record["provider"]: record for record in working("providers").records}
    assert rows["ort:cpu"]["available"] and working.environment["FM_ORT_LIBRARY"] in rows["ort:cpu"]["detail"]
    for name, row in rows.items():
        assert row["available"] or (row["reason"] and row["remedy"]), name
    assert "ort:migraphx" in rows["ort:rocm"]["remedy"]


def test_providers_without_any_runtime(facemill):
    ran = facemill("providers", "--ort-library", "/nowhere/libonnxruntime.so", code=3)
    row = [record for record in ran.records if record["provider"] == "ort:cpu"][0]
    assert not row["available"] and row["reason"] and row["remedy"]
    assert "-> " in facemill("providers", "--ort-library", "/nowhere/x.so", "--format", "table", code=3).out


def test_doctor(working):
    found = sections(working("doctor"))
    assert {"machine", "accelerators", "providers", "libraries", "packs", "self-test", "verdict"} == set(found)
    machine = {record["name"]: record["detail"] for record in found["machine"]}
    assert int(machine["cores"].split()[0]) >= 1 and float(machine["memory"].split()[0]) > 0 and machine["features"]
    tests = {record["name"]: record["verdict"] for record in found["self-test"]}
    assert {"alignment", "repetition", "company", "embedding"} <= set(tests)
    assert set(tests.values()) <= {"good", "missing"}, tests
    assert any("onnxruntime" in record["name"] for record in found["libraries"])
    assert found["verdict"][-1]["verdict"] == "good"
    assert any("FM_PACK" in str(record) and "stock" in str(record) for record in found["packs"]), found["packs"]


def test_doctor_decodes_what_this_build_can(working):
    decoders = working("version").records[0]["decoders"].split(",")
    tests = {record["name"]: record["verdict"] for record in sections(working("doctor"))["self-test"]}
    for name in ("jpeg", "png", "webp"):
        assert tests[name] == ("good" if name in decoders else "missing")
    assert tests["heic"] == tests["avif"] == ("good" if "heif" in decoders else "missing")


def test_doctor_without_a_pack_and_without_a_runtime(working, facemill):
    found = sections(working("doctor", FM_PACK=""))
    networks = [record for record in found["self-test"] if record["name"] == "networks"]
    if builtin_pack():
        assert not networks and {"repetition", "company", "embedding"} <= {record["name"] for record in found["self-test"]}
    else:
        assert networks and networks[0]["verdict"] == "skipped" and "--pack" in networks[0]["remedy"]
    ran = facemill("doctor", "--ort-library", "/nowhere/x.so", code=3)
    found = sections(ran)
    assert found["verdict"][0]["verdict"] == "bad"
    assert all(record["remedy"] for record in found["providers"] if record["verdict"] == "missing")
    assert "BAD" in facemill("doctor", "--ort-library", "/nowhere/x.so", "--format", "table", code=3).out


# ---------------------------------------------------------------- bench

def test_bench(working, folder):
    record = working("bench", folder, "--iterations", 3, "--warmup", 1).records[0]
    assert (record["images"], record["faces"], record["errors"]) == (3, 6, 0)
    assert set(record["stages_ms"]) == {"queue", "read", "decode", "letterbox", "detect", "postprocess", "align", "embed", "total"}
    total = record["stages_ms"]["total"]
    assert {"median", "mean", "deviation", "p50", "p90", "p99"} <= set(total)
    assert 0 < total["min"] <= total["p50"] <= total["p90"] <= total["p99"] <= total["max"]
    assert record["images_per_s"]["median"] > 0 and record["faces_per_s"]["median"] > 0 and record["peak_memory_bytes"] > 1 << 20
    table = working("bench", "--iterations", 1, "--warmup", 0, "--format", "table").out
    assert "images/s" in table and "letterbox" in table


def test_bench_of_several_providers_in_one_table(working, folder):
    ran = working("bench", folder / "a.png", "--iterations", 1, "--providers", "ort:cpu,ort:cuda", code=None)
    assert [record["provider"] for record in ran.records] == ["ort:cpu", "ort:cuda"]
    if "error" in ran.records[1]:
        assert ran.code == 1 and "ort:cuda" in ran.records[1]["error"]["message"]
    assert "error" not in ran.records[0]
    working("bench", "/nowhere", "--iterations", 1, "--warmup", 0, code=1)


# ---------------------------------------------------------------- validate

def test_validate_passes_against_itself(working, folder, tmp_path):
    ran = working("validate", "ort:cpu", "ort:cpu,threads=1,batch=1", "--images", folder, "--draw", tmp_path / "out")
    verdict = last(ran)
    assert verdict["verdict"] == "pass" and verdict["images"] == 3 and verdict["faces_a"] == verdict["faces_b"] == 6
    assert verdict["cosine_min"] > 0.999999 and verdict["crop_cosine_min"] > 0.999999 and verdict["box_max"] < 1e-3
    assert verdict["a"]["providers"] and verdict["b"]["pack_id"] == verdict["a"]["pack_id"]
    assert sorted(name.split(".")[0] for name in os.listdir(tmp_path / "out")) == ["a", "b", "c"]
    assert "PASS" in working("validate", "ort:cpu", "ort:cpu", "--images", folder, "--format", "table").out


def test_validate_fails_with_4(working, folder, make_pack):
    """Another threshold finds fewer faces; another network embeds otherwise; other sizes move boxes."""
    verdict = last(working("validate", "ort:cpu", "ort:cpu,det-threshold=0.85", "--images", folder, code=4))
    assert verdict["verdict"] == "fail" and verdict["missing_in_b"] > 0 and verdict["missing_in_a"] == 0
    verdict = last(working("validate", "ort:cpu", "pack=%s" % make_pack("normalised"), "--images", folder, code=4))
    assert verdict["verdict"] == "fail"
    assert "FAIL" in working("validate", "ort:cpu", "det-threshold=0.85", "--images", folder, "--format", "table", code=4).out


def test_validate_sets_faces_at_the_threshold_apart(working, tmp_path):
    """0.001 is what rounding can do, 0.004 is another answer."""
    squares = [Square(32, 0, 5, 5), Square(32, 0, 14, 14, 225)]
    (tmp_path / "a.png").write_bytes(png(squares))
    for above, code, apart, missing in ((0.001, 0, 1, 0), (0.004, 4, 0, 1)):
        side = "det-threshold=%.6f" % (squares[1].score + above)
        verdict = last(working("validate", "ort:cpu", side, "--images", tmp_path / "a.png", code=code))
        assert (verdict["apart_at_threshold"], verdict["missing_in_b"], verdict["compared"]) == (apart, missing, 1)


def test_validate_limits(working, folder):
    """A limit that nothing can meet fails; nothing to compare fails."""
    verdict = last(working("validate", "ort:cpu", "ort:cpu", "--images", folder, "--limit-cosine", 1, code=4))
    assert verdict["over_limit"] == 6 and verdict["crops_over_limit"] == 6
    assert last(working("validate", "ort:cpu", "ort:cpu", "--images", folder / "sub", code=4))["compared"] == 0


def test_validate_bad_pictures_and_sides(working, folder):
    (folder / "bad.png").write_bytes(b"no picture")
    ran = working("validate", "ort:cpu", "ort:cpu", "--images", folder, code=1)
    assert last(ran)["verdict"] == "pass" and last(ran)["errors"] == 1
    assert [record["error"]["side"] for record in ran.records if "error" in record] == ["both"]
    assert "side B: precision" in working("validate", "ort:cpu", "precision=fp99", "--images", folder, code=2).err
    assert "--packs" in working("validate", "ort:cpu", "packs=x", "--images", folder, code=2).err
    working("validate", "ort:cpu", "pack=/nowhere", "--images", folder, code=3)
    working("validate", "ort:cpu", "ort:cpu", "--images", "/nowhere", code=1)


def test_validate_of_faces_that_cannot_be_cut_out(working, folder, no_landmarks):
    """Error records of those pictures, and the verdict of the others."""
    ran = working("validate", "ort:cpu", "ort:cpu", "--recursive", "--images", folder, "--pack", no_landmarks, code=4)
    errors = [record["error"] for record in ran.records if "error" in record]
    assert [error["side"] for error in errors] == ["both"] * 3 and "landmarks" in errors[0]["message"]
    assert last(ran)["errors"] == 3 and last(ran)["images"] == 4 and last(ran)["compared"] == 0
    working("validate", "ort:cpu", "ort:cpu", "--images", folder, "--pack", no_landmarks, code=1)


def test_validate_real_recogniser_against_another(working, real):
    """Its quantised twin, or the same one fed blue for red; and against itself in other batches."""
    picture = real.pictures[0]
    verdict = last(working("validate", "pack=%s" % real.pack, "pack=%s" % real.other, "--provider", "ort:cpu", "--images", picture, code=4))
    assert verdict["verdict"] == "fail" and verdict["over_limit"] + verdict["apart_rivals"] == 6 and verdict["missing_in_b"] == 0
    assert verdict["crops_over_limit"] == 6
    images = [word for path in [picture] + real.rivals for word in ("--images", path)]
    verdict = last(working("validate", "ort:cpu", "batch=1", "--pack", real.pack, *images))
    assert verdict["verdict"] == "pass" and verdict["images"] == 1 + len(real.rivals)
    assert verdict["compared"] + verdict["apart_rivals"] == verdict["faces_a"] == 6 * verdict["images"]
    assert verdict["apart_rivals"] > 0 or not real.rivals
