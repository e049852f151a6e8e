"""The pack inside the program: in an empty home it finds the faces that the project draws, says once that it is the small one,
answers what its folder on disk answers, and gives way to any pack that is named or installed."""

import json
import os
import random
import re
import shutil
import subprocess
import sys

import pytest

from conftest import PROGRAM, ROOT, Facemill

sys.path.insert(0, os.path.join(ROOT, "scripts"))
sys.dont_write_bytecode = True

import draw_faces  # noqa: E402

SEEDS = (1, 2, 3)
SMALL_SEEDS = (30, 31, 32)
SMALLEST = 60  # pixels of a head from which every drawn face must be found
OVERLAP = 0.4


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, png_support):
    """{path: boxes} of drawn pictures: those of draw_faces.py, and some with heads from SMALLEST on."""
    made = {}
    top = tmp_path_factory.mktemp("drawn")
    for seed in SEEDS:
        rng = random.Random(seed)
        for number in range(1, 7):
            canvas, boxes = draw_faces.draw_picture(rng, 1 + (number - 1) % 3)
            made[top / ("%d_%d.png" % (seed, number))] = (canvas, boxes)
    for seed in SMALL_SEEDS:
        rng = random.Random(seed)
        canvas = draw_faces.Canvas(640, 480, (150, 158, 160), (92, 98, 110))
        places = [(160, 110), (480, 110), (160, 340), (480, 340)]
        sizes = [SMALLEST] + [rng.randint(SMALLEST, 110) for _ in places[1:]]
        made[top / ("small_%d.png" % seed)] = (canvas, [draw_faces.draw_face(canvas, rng, x, y, size) for (x, y), size in zip(places, sizes)])
    for path, (canvas, _) in made.items():
        path.write_bytes(canvas.png())
    return {path: boxes for path, (_, boxes) in made.items()}


@pytest.fixture
def bare(tmp_path, runtime, builtin):
    """An empty home and a runtime: what a newcomer has."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    return Facemill(home, FM_ORT_LIBRARY=runtime)


@pytest.fixture
def two(drawn):
    """Two pictures with a face each."""
    return [path for path, boxes in drawn.items() if len(boxes) == 1][:2]


@pytest.fixture
def on_disk(builtin):
    folder = os.path.join(ROOT, "packs", builtin)
    if not os.path.isdir(folder):
        pytest.skip("the pack inside this build is not the one in packs/")
    return folder


def overlap(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def lines_about(ran, name):
    """The lines on standard error that speak of the pack inside."""
    return [line for line in ran.err.splitlines() if line.startswith("facemill: pack '%s' is built in" % name)]


# ---------------------------------------------------------------- faces

@pytest.mark.parametrize("size", [640, 320])
def test_drawn_faces_are_found_where_they_were_drawn(bare, drawn, size):
    records = {record["path"]: record["faces"] for record in bare("analyze", *drawn, "--det-size", size).records}
    missed, false = [], []
    for path, boxes in drawn.items():
        faces = records[str(path)]
        found = [max((overlap(box, face["box"]) for face in faces), default=0) for box in boxes]
        missed += [(path.name, box, round(most, 2)) for box, most in zip(boxes, found) if most < OVERLAP]
        false += [(path.name, face["box"], face["score"]) for face in faces if all(overlap(box, face["box"]) < OVERLAP for box in boxes)]
        assert all(face["embedding"] and len(face["landmarks"]) == 5 for face in faces)
    total = sum(len(boxes) for boxes in drawn.values())
    assert not missed and not false, "of %d faces %d missed: %s; false: %s" % (total, len(missed), missed, false)
    assert total >= 12 * len(SEEDS) + 4 * len(SMALL_SEEDS)


def test_eyes_nose_and_mouth_are_in_the_box_in_their_order(bare, two):
    for record in bare("detect", *two).records:
        (x1, y1, x2, y2), points = record["faces"][0]["box"], record["faces"][0]["landmarks"]
        assert all(x1 < x < x2 and y1 < y < y2 for x, y in points)
        left_eye, right_eye, nose, left_corner, right_corner = points
        assert left_eye[0] < nose[0] < right_eye[0] and left_corner[0] < nose[0] < right_corner[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_corner[1], right_corner[1])


def test_a_picture_without_faces_has_none(bare, tmp_path):
    canvas = draw_faces.Canvas(400, 300, (150, 158, 160), (92, 98, 110))
    canvas.ellipse(120, 150, 60, 80, (198, 144, 108), 0.1, 0.2)  # a head without a face
    canvas.ellipse(300, 100, 30, 30, (240, 220, 80))
    (tmp_path / "none.png").write_bytes(canvas.png())
    assert bare("detect", tmp_path / "none.png").records[0]["faces"] == []


def test_annotated_copies_are_written(bare, drawn, tmp_path):
    paths = list(drawn)[:3]
    bare("analyze", *paths, "--draw", tmp_path / "boxes")
    copies = sorted(os.listdir(tmp_path / "boxes"))
    assert [name.split(".")[0] for name in copies] == sorted(path.stem for path in paths)
    for path, name in zip(sorted(paths), copies):
        assert (tmp_path / "boxes" / name).read_bytes() != path.read_bytes()
    # what was drawn over is not what was there, and the picture behind it still is
    for record in bare("detect", *[tmp_path / "boxes" / name for name in copies]).records:
        assert (record["width"] > 0) and record["faces"], record


# ---------------------------------------------------------------- compare

def test_compare(bare, two, builtin):
    """Drawn faces are one caricature to a recogniser of people, so the verdict on two of them says nothing; that it follows from
    the similarity and the pack's own threshold does."""
    same = bare("compare", two[0], two[0]).records[0]
    assert same["same"] and same["similarity"] == pytest.approx(1, abs=1e-6)
    other = bare("compare", *two).records[0]
    assert 0 < other["similarity"] < 0.9999
    assert other["same"] is (other["similarity"] >= other["threshold"]) and 0 < other["threshold"] < 1
    assert "(threshold %g, the pack's)" % other["threshold"] in bare("compare", *two, "--format", "table").out
    for threshold, verdict in ((other["similarity"] + 1e-4, "different people"), (other["similarity"] - 1e-4, "the same person")):
        assert verdict in bare("compare", *two, "--threshold", threshold, "--format", "table").out
    assert same["threshold"] == other["threshold"] == bare("compare", *two, "--pack", builtin).records[0]["threshold"]


# ---------------------------------------------------------------- the line

COMMANDS = {
    "analyze": lambda one, other, out: [one, other],
    "detect": lambda one, other, out: [one, other],
    "compare": lambda one, other, out: [one, other],
    "crop": lambda one, other, out: [one, other, "--dir", out],
    "bench": lambda one, other, out: [one, "--iterations", 1, "--warmup", 0, "--providers", "ort:cpu,ort:cpu"],
    "validate": lambda one, other, out: ["ort:cpu", "ort:cpu,threads=1", "--images", one],
}


def test_validate_against_itself(bare, drawn):
    """Its recogniser takes crops of a side that ArcFace has not: no face is an error for that."""
    pictures = next(iter(drawn)).parent
    verdict = bare("validate", "ort:cpu", "ort:cpu,threads=1,batch=1", "--images", pictures).records[-1]
    total = sum(len(boxes) for boxes in drawn.values())
    assert verdict["verdict"] == "pass" and verdict["errors"] == 0 and verdict["faces_a"] == verdict["faces_b"] == total
    assert verdict["compared"] + verdict["apart_rivals"] + verdict["apart_at_threshold"] == total and verdict["compared"] > total / 2
    assert verdict["cosine_min"] > 0.99999


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_once_which_pack_it_is(bare, two, tmp_path, builtin, command, on_disk):
    arguments = [command] + COMMANDS[command](*two, tmp_path / "out")
    ran = bare(*arguments)
    assert len(lines_about(ran, builtin)) == 1 and ran.err.splitlines()[0] == lines_about(ran, builtin)[0], ran.err
    assert lines_about(bare(*arguments, "--quiet"), builtin) == []
    for named in (builtin, "builtin:" + builtin, on_disk):
        ran = bare(*arguments, "--pack", named)
        assert lines_about(ran, builtin) == [] and "facemill models pull" not in ran.err, ran.err
        assert lines_about(bare(*arguments, FM_PACK=named), builtin) == []
    config = bare.home / ".config" / "facemill" / "config"
    config.parent.mkdir(parents=True)
    config.write_text("pack = %s\n" % builtin)
    assert lines_about(bare(*arguments), builtin) == []


def test_the_line_comes_before_the_first_record(bare, two, builtin):
    done = subprocess.run([PROGRAM, "detect"] + [str(path) for path in two], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=bare.environment)
    lines = done.stdout.decode().splitlines()
    assert lines[0].startswith("facemill: pack '%s' is built in" % builtin) and lines[1].startswith('{"path"'), lines[0]
    assert sum("models pull" in line for line in lines) == 1


def test_the_line_names_a_command_that_works(bare, two, builtin):
    """Up to where the licence is asked for: nothing is fetched here."""
    line = lines_about(bare("detect", two[0]), builtin)[0]
    command = re.search(r"facemill (models pull \w+)$", line).group(1).split()
    known = [record for record in bare("models", "list").records if record.get("known") == command[2]]
    assert len(known) == 1 and known[0]["sha256"] and known[0]["not_here"] is None and "," in known[0]["about"]
    assert ("non-commercial" in known[0]["licence"]) == ("non-commercial" in line) and "accept its licence" in line
    for guide in ("README.md", "docs/packs.md"):
        assert builtin != "mini" or line in open(os.path.join(ROOT, guide), encoding="utf-8").read().splitlines(), guide
    ran = bare(*command, code=2)
    assert "is not accepted: nothing was fetched" in ran.err and "--accept-license" in ran.err


def test_the_summary_says_why(bare, two, tmp_path, builtin):
    ran = bare("analyze", *two, "--summary", tmp_path / "s.json")
    assert "; pack %s (built-in); " % builtin in ran.summary_line
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["pack"] == builtin and summary["pack_reason"] == "built-in" and summary["pack_path"] == "builtin:" + builtin


# ---------------------------------------------------------------- the same pack on disk, and others

def test_it_answers_what_its_folder_answers(bare, drawn, tmp_path, on_disk, builtin):
    paths = list(drawn)[:8]
    said = {}
    for name in ("builtin:" + builtin, builtin, on_disk):
        ran = bare("analyze", *paths, "--pack", name, "--summary", tmp_path / "s.json")
        said[name] = (ran.out, json.loads((tmp_path / "s.json").read_text())["pack_id"])
    unnamed = bare("analyze", *paths, "--summary", tmp_path / "s.json")
    said[None] = (unnamed.out, json.loads((tmp_path / "s.json").read_text())["pack_id"])
    assert len({text for text, _ in said.values()}) == 1 and len({number for _, number in said.values()}) == 1


def install(home, source, name):
    shutil.copytree(source, home / ".local/share/facemill/packs" / name)


def test_an_installed_pack_of_its_name_wins(bare, two, make_pack, builtin):
    install(bare.home, make_pack("stock"), builtin)
    for arguments, reason in (([], "installed"), (["--pack", builtin], "--pack")):
        ran = bare("detect", two[0], *arguments)
        assert "(%s); detector on" % reason in ran.summary_line and lines_about(ran, builtin) == [], ran.err
    assert "(--pack); detector on" not in bare("detect", two[0], "--pack", "builtin:" + builtin).summary_line
    rows = [(row["pack"], row["reason"]) for row in bare("models", "list").records if "pack" in row]
    assert rows == [(builtin, "installed"), (builtin, "built-in")]


def test_any_installed_pack_and_fm_pack_win(bare, two, make_pack, builtin):
    stock = make_pack("stock")
    ran = bare("detect", two[0], FM_PACK=stock)
    assert "pack stock (FM_PACK); " in ran.summary_line and lines_about(ran, builtin) == []
    install(bare.home, stock, "zzz")
    ran = bare("detect", two[0])
    assert "pack zzz (installed); " in ran.summary_line and lines_about(ran, builtin) == []
    assert "pack %s (FM_PACK); " % builtin in bare("detect", two[0], FM_PACK=builtin).summary_line


def test_a_pack_in_insightfaces_folder_is_still_used_only_when_named(bare, two, make_pack, builtin):
    shutil.copytree(make_pack("stock"), bare.home / ".insightface/models/mine")
    assert "(built-in); " in bare("detect", two[0]).summary_line
    assert "pack mine (--pack); " in bare("detect", two[0], "--pack", "mine").summary_line


# ---------------------------------------------------------------- models

def test_models_list(bare, make_pack, builtin):
    ran = bare("models", "list")
    assert [row for row in ran.records if "pack" in row] == [{"pack": builtin, "path": "builtin:" + builtin, "reason": "built-in"}]
    assert ran.err.startswith("facemill: no pack is installed beside the built-in one; 'facemill models pull NAME'") and ran.err.count("\n") == 1
    assert bare("models", "list", "--quiet").err == ""
    table = bare("models", "list", "--format", "table").out
    assert re.search(r"^%s +built-in +builtin:%s$" % (builtin, builtin), table, flags=re.M) and "\n\nKnown packs" in table
    install(bare.home, make_pack("stock"), "mine")
    assert bare("models", "list").err == ""


def test_models_show_and_verify(bare, builtin, on_disk):
    shown = bare("models", "show").records
    assert shown == bare("models", "show", builtin).records == bare("models", "show", "builtin:%s/" % builtin).records
    manifest = json.load(open(os.path.join(on_disk, "manifest.json"), encoding="utf-8"))
    assert [(row["file"], row["sha256"], row["about"]) for row in shown] == [(m["file"], m["sha256"], m.get("about", [])) for m in manifest["models"]]
    for row in shown:
        assert row["status"] == "ok" and row["sha256"] == row["expected_sha256"] and row["path"] == "builtin:%s/%s" % (builtin, row["file"])
        assert row["pack_about"] == manifest["about"] and row["pack_about"] and row["licence"]
        assert "ok" in [one["status"] for one in row["providers"] if one["provider"] == "ort:cpu"]
        alone = bare("models", "show", row["path"]).records
        assert len(alone) == 1 and dict(alone[0], providers=None) == dict(row, providers=None) and len(alone[0]["providers"]) > len(row["providers"])
    table = bare("models", "show", "--format", "table").out
    for text in manifest["about"]:
        assert "\n  about         %s\n" % text in table
    assert "files in builtin:%s\n" % builtin in table
    verified = bare("models", "verify", builtin).records
    assert [row["verdict"] for row in verified] == ["pass"] * 3 and "no digest" not in str(verified)


def test_it_cannot_be_removed_or_added(bare, builtin, make_pack):
    for name in (builtin, "builtin:" + builtin):
        ran = bare("models", "remove", name, code=3)
        assert "pack '%s' is part of the program and cannot be removed" % name in ran.err
        ran = bare("models", "add", name, "--name", "x", code=3)
        assert "pack '%s' is part of the program and needs no installing" % name in ran.err
    assert "no pack 'nope' is installed" in bare("models", "remove", "nope", code=3).err
    packs = bare.home / ".local/share/facemill/packs"
    assert [name for name in os.listdir(packs) if not name.startswith(".")] == []
    ran = bare("models", "add", make_pack("stock"), "--name", builtin, "--licence", "MIT")
    assert "'%s' names the installed pack from now on; the one that is built in is 'builtin:%s'" % (builtin, builtin) in ran.err
    assert bare("models", "remove", builtin).records[0]["outcome"] == "removed"
    assert bare("models", "verify", builtin).records[-1]["verdict"] == "pass"


def test_a_name_that_is_not_inside(bare, two, builtin):
    ran = bare("detect", "--pack", "builtin:nope", two[0], code=3)
    assert "there is no pack 'builtin:nope' (--pack named it): the pack that is built in is builtin:%s;" % builtin in ran.err
    assert "(FM_PACK named it)" in bare("detect", two[0], FM_PACK="builtin:nope", code=3).err
    for path in ("builtin:", "builtin:%sx" % builtin, "builtin:%s/nope.onnx" % builtin):
        assert "there is no pack '%s'" % path in bare("detect", "--pack", path, two[0], code=3).err


# ---------------------------------------------------------------- doctor

def packs_of(ran):
    return [record for record in ran.records if record["section"] == "packs"]


def test_doctor_says_that_there_is_a_stronger_one(bare, make_pack, builtin):
    ran = bare("doctor")
    found = packs_of(ran)
    assert len(found) == 1 and found[0]["verdict"] == "note" and found[0]["name"] == builtin and found[0]["id"] == "pack"
    assert re.fullmatch(r"facemill models pull \w+", found[0]["remedy"]) and "built-in" in found[0]["detail"]
    tests = {record["name"]: record["verdict"] for record in ran.records if record["section"] == "self-test"}
    assert tests["repetition"] == tests["company"] == tests["embedding"] == "good"
    table = bare("doctor", "--format", "table").out
    assert re.search(r"^  note %s .*\n +-> facemill models pull \w+; see troubleshooting.md#pack$" % builtin, table, flags=re.M)
    assert [row["verdict"] for row in packs_of(bare("doctor", "--pack", builtin))] == ["info", "info"]
    install(bare.home, make_pack("stock"), "mine")
    assert [(row["name"], row["verdict"]) for row in packs_of(bare("doctor"))] == [("mine", "info"), (builtin, "info")]
