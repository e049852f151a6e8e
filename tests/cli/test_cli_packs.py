"""Installing packs from files: add, remove, list, verify. After every failure the pack that was there must find faces as
before, and nothing half done may lie around."""

import hashlib
import json
import os
import re
import shutil
import zipfile

import pytest

from conftest import png
from packs import (LICENCE, encrypted, entry, full_disk, index, networks, on_terminal, patched, place, pull, server,
                   stock_zip, zipped)
from real import KINDS, MINI, SHARED


# ---------------------------------------------------------------- add

def test_add_a_folder_a_file_and_a_zip(place, make_pack, stock_zip):
    ran = place.run("models", "add", make_pack("stock"), "--name", "folder", "--licence", "MIT", "--licence-url", "https://example.org/l")
    assert ran.records[0]["outcome"] == "installed" and ran.records[0]["files"] == 2
    assert len(ran.err.splitlines()) == 1 and "assumed" in ran.err
    manifest = json.loads((place.packs / "folder" / "manifest.json").read_text())
    assert manifest["name"] == "folder" and manifest["licence"] == {"name": "MIT", "url": "https://example.org/l"}
    assert all(len(model["sha256"]) == 64 for model in manifest["models"])
    ran = place.run("models", "add", place.archive(stock_zip, "packed.zip"))
    assert ran.records[0]["pack"] == "packed" and "licence of 'packed' is unknown" in ran.err
    ran = place.run("models", "add", sorted(make_pack("stock").glob("emb*.onnx"))[0], "--name", "one")
    assert "no detector" in ran.err
    place.check("folder", "one", "packed")
    for name in ("folder", "packed"):
        assert len(place.run("detect", "--pack", name, place.tmp / "a.png").records[0]["faces"]) == 2
        assert [r["verdict"] for r in place.run("models", "verify", name).records] == ["pass"] * 3


def test_model_options_reach_the_manifest(place, make_pack):
    file = sorted(make_pack("stock").glob("emb*.onnx"))[0].name
    place.run("models", "add", make_pack("stock"), "--name", "bgr", "--model-option", file + ":order=bgr", "--model-option", file + ":match=0.3")
    manifest = json.loads((place.packs / "bgr" / "manifest.json").read_text())
    model = [model for model in manifest["models"] if model["file"] == file][0]
    assert model["pixels"]["order"] == "bgr" and model["thresholds"]["match"] == 0.3
    ran = place.run("models", "add", make_pack("stock"), "--name", "no", "--model-option", file + ":order=blue", code=2)
    assert "order" in ran.err
    place.kept("bgr")


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_used_says_why_and_how_it_could_be(place, kind):
    """A network of side 150, for which no crop is known: the words that refuse it lead to a pack that works."""
    folder = place.tmp / "strange"
    folder.mkdir()
    models, file = (MINI, "mini-rec.onnx") if kind == "mini" else (os.path.join(SHARED, "models"), "dlib_resnet_v1.onnx")
    shutil.copy(os.path.join(models, file), folder)
    reasons = {file: "no aligned crop of 150x150 is known"}
    for source in (folder / file, folder):
        err = place.run("models", "add", source, "--name", "new", code=3).err
        for other, reason in reasons.items():
            assert "%s: %s" % (other, reason) in err, err
        assert "say what it is: --model-option FILE:points=... --model-option FILE:side=... (docs/manifest.md)" in err, err
        assert "listed in the manifest" not in err, err
        if kind == "shared":
            shutil.copy(os.path.join(models, "pose_quality.onnx"), folder)
            reasons["pose_quality.onnx"] = "attribute network (input 96x96)"
    err = place.run("models", "add", folder, "--name", "old", "--replace", "--model-option", file + ":side=150", code=3).err
    assert "no aligned crop of 150x150" in err, err
    place.check()
    ran = place.run("models", "add", folder, "--name", "new", "--model-option", file + ":side=150", "--model-option",
                    file + ":points=53,60 97,60 75,86 57,110 93,110")
    assert ran.records[0]["useful"] == 1
    place.check("new")


def test_what_its_manifest_calls_unused_is_said_to_be(place, make_pack):
    folder = place.tmp / "none"
    folder.mkdir()
    shutil.copy(make_pack("stock") / "embedder.onnx", folder)
    (folder / "manifest.json").write_text(json.dumps({"facemill_pack": 1, "models": [{"file": "embedder.onnx", "task": "none"}]}))
    assert "embedder.onnx: for nothing that is run here, as its manifest says" in place.run("models", "add", folder, code=3).err
    place.kept()


def assumption(err):
    """What the one note says was assumed; "" without one."""
    notes = [line for line in err.splitlines() if "assumed" in line]
    assert len(notes) <= 1, err
    if not notes:
        return ""
    assert "--model-option embedder.onnx:KEY=VALUE" in notes[0], err
    return re.search(r"assumed (.*?);", notes[0]).group(1)


def test_what_was_assumed_of_a_recogniser_is_said(place, make_pack):
    pack, whole = make_pack("stock"), "order rgb, mean 127.5, std 127.5"

    def add(*options, source=pack):
        chosen = [word for option in options for word in ("--model-option", "embedder.onnx:" + option)]
        return assumption(place.run("models", "add", source, "--name", "new", "--replace", "--licence", LICENCE, *chosen).err)

    assert add() == whole and add("match=0.3") == whole and add(source=pack / "embedder.onnx") == whole
    assert add("order=bgr") == "mean 127.5, std 127.5" and add("mean=127.5", "std=128") == "order rgb"
    assert add("order=rgb", "mean=127.5", "std=127.5") == ""
    assert add(source=pack / "detector.onnx") == ""
    assert place.run("models", "add", pack, "--name", "new", "--replace", "--quiet").err == ""
    assert add(source=place.packs / "new") == "", "it came with a manifest that says all of it"
    came = place.tmp / "came"
    shutil.copytree(pack, came)
    (came / "manifest.json").write_text(json.dumps({"facemill_pack": 1, "models": [{"file": "embedder.onnx", "pixels": {"order": "bgr"}}]}))
    assert add(source=came) == "mean 127.5, std 127.5"


@pytest.mark.parametrize("prefix", ["antelopev2/antelopev2/", "antelopev2/", ""])
def test_nested_folders_as_antelopev2_has_them(place, make_pack, prefix):
    data = zipped([(prefix + "README.md", b"words"), ("__MACOSX/" + prefix + "._x.onnx", b"clutter"), (prefix + "notes.bin", b"x")] +
                  networks(make_pack("stock"), prefix) + [("LICENSE", b"terms")][:1 if prefix else 0])
    ran = place.run("models", "add", place.archive(data, "antelopev2.zip"), "--licence", "non-commercial research")
    assert "notes.bin" in ran.err and "left out" in ran.err
    installed = {file.name for file in (place.packs / "antelopev2").iterdir()}
    assert {"README.md", "manifest.json"} | {name for name, _ in networks(make_pack("stock"))} <= installed
    assert ("LICENSE" in installed) == bool(prefix) and not any(name.startswith("._") for name in installed)
    assert len(place.run("detect", "--pack", "antelopev2", place.tmp / "a.png").records[0]["faces"]) == 2
    place.kept("antelopev2")


def test_a_nested_folder_is_flattened_too(place, make_pack):
    inner = place.tmp / "top" / "antelopev2"
    shutil.copytree(make_pack("stock"), inner)
    place.run("models", "add", place.tmp / "top")
    assert (place.packs / "top" / "manifest.json").is_file()
    shutil.copytree(make_pack("stock"), place.tmp / "top" / "other")
    ran = place.run("models", "add", place.tmp / "top", "--name", "two", code=3)
    assert "'antelopev2/'" in ran.err and "'other/'" in ran.err
    place.kept("top")


def test_a_manifest_above_keeps_folders_inside(place, make_pack):
    """insightface's V2 may name files in folders of the pack."""
    tasks = {"detection": {"file": "networks/detector.onnx"}, "recognition": {"file": "more/embedder.onnx", "embedding_dimension": 512}}
    manifest = json.dumps({"manifest_version": 2, "model_id": "v2", "license": "MODEL.LICENSE", "tasks": tasks})
    files = dict(networks(make_pack("stock")))
    data = zipped([("v2/manifest.json", manifest), ("v2/MODEL.LICENSE", "terms"), ("v2/networks/detector.onnx", files["detector.onnx"]),
                   ("v2/more/embedder.onnx", files["embedder.onnx"])])
    record = place.run("models", "add", place.archive(data, "v2.zip")).records[0]
    assert record["files"] == record["useful"] == 2
    assert (place.packs / "v2" / "manifest.json").read_text() == manifest and (place.packs / "v2" / "MODEL.LICENSE").is_file()
    assert len(place.run("detect", "--pack", "v2", place.tmp / "a.png").records[0]["faces"]) == 2
    place.kept("v2")


def hostile(make_pack):
    good = networks(make_pack("stock"))
    name, data = good[0]
    stored = zipped(good)
    return {
        "traversal": (zipped(good + [("../evil.onnx", data)]), "../evil.onnx", "climbs out"),
        "deep traversal": (zipped(good + [("a/../../evil.txt", b"x")]), "a/../../evil.txt", "climbs out"),
        "absolute": (zipped(good + [("/tmp/evil.onnx", data)]), "/tmp/evil.onnx", "absolute"),
        "backslash": (zipped(good + [("..\\evil.onnx", data)]), "..\\evil.onnx", "backslash"),
        "control character": (zipped(good + [("a\nb.txt", b"x")]), "a\\x0Ab.txt", "control character"),
        "symlink": (zipped(good + [(entry("link.onnx", 0o120777), b"/etc/passwd")]), "link.onnx", "symbolic link"),
        "symlinked folder": (zipped(good + [(entry("out", 0o120777), b"/tmp"), ("out/x.txt", b"x")]), "out", "symbolic link"),
        "device": (zipped(good + [(entry("zero.onnx", 0o020666), b"")]), "zero.onnx", "device"),
        "duplicate": (zipped(good + [(name, b"x")]), name, "two entries"),
        "encrypted": (encrypted(stored), name, "encrypted"),
        "longer than it says": (patched(zipped(good, zipfile.ZIP_DEFLATED), b"PK\1\2", 24, lambda size: size - 5, "<I"), name, ""),
        "shorter than it says": (patched(zipped(good, zipfile.ZIP_DEFLATED), b"PK\1\2", 24, lambda size: size + 5, "<I"), name, ""),
        "huge": (patched(stored, b"PK\1\2", 24, lambda size: 0xfffffff0, "<I"), name, ""),
        "bomb": (zipped([("bomb.onnx", bytes(64 << 20))], zipfile.ZIP_DEFLATED), "bomb.onnx", "200 times"),
        "damaged bytes": (stored.replace(data[100:140], bytes(40), 1), name, "damaged"),
        "cut off": (stored[:len(stored) // 2], "", "no zip file"),
        "too many": (zipped(good + [("t%d.txt" % i, b"") for i in range(600)]), "602", "512"),
        "two folders": (zipped(networks(make_pack("stock"), "a/") + networks(make_pack("stock"), "b/")), "'a/' and 'b/'", "two folders"),
        "no network": (zipped([("readme.txt", b"x")]), "", "no .onnx file"),
        "empty": (zipped([]), "", "no .onnx file"),
        "not a network": (zipped([("x.onnx", b"<html>404</html>")]), "x.onnx", "nothing was installed"),
        "other packing": (zipped(good, zipfile.ZIP_LZMA), name, "neither stored nor deflated"),
    }


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_archives_are_refused_and_named(place, make_pack):
    for kind, (data, named, why) in hostile(make_pack).items():
        for arguments in (["--name", "new"], ["--name", "old", "--replace"]):
            ran = place.run("models", "add", place.archive(data), *arguments, code=None)
            assert ran.code in (1, 3) and ran.out == "", (kind, ran.code, ran.out, ran.err)
            assert named in ran.err and why in ran.err, (kind, ran.err)
            place.kept()
    assert not (place.packs.parent / "evil.onnx").exists() and not os.path.exists("/tmp/evil.onnx")
    place.check()


@pytest.mark.parametrize("name", ["../x", "..", ".", ".hidden", "a/b", "/tmp/x", "", "x" * 200, "a b", "-x", "ä"])
def test_names_that_are_none_are_refused(place, make_pack, name):
    place.run("models", "add", make_pack("stock"), "--name=" + name, code=2)
    if not name.startswith("-"):
        assert place.run("models", "remove", name, code=2).err
    place.kept()


def test_an_installed_name_is_kept_without_replace(place, make_pack):
    other = make_pack("normalised")
    ran = place.run("models", "add", other, "--name", "old", code=2)
    assert "--replace" in ran.err and "--name" in ran.err
    place.kept()
    ran = place.run("models", "add", other, "--name", "old", "--replace")
    assert ran.records[0]["outcome"] == "replaced" and place.names() == ["old"] and place.state() != place.before
    assert {name for name, _ in networks(other)} == {file.name for file in (place.packs / "old").glob("*.onnx")}
    place.run("models", "verify", "old")


def test_what_is_no_pack_is_said(place, tmp_path):
    (tmp_path / "x.txt").write_text("words")
    (tmp_path / "empty").mkdir()
    for source, words, code in (("x.txt", "neither a zip file", 3), ("empty", "no .onnx file", 3), ("nowhere", "there is no file", 3)):
        ran = place.run("models", "add", tmp_path / source, "--name", "x", code=code)
        assert words in ran.err
    for action in ("add", "pull", "remove"):
        place.run("models", action, code=2)
        place.run("models", action, "a", "b", code=2)
    place.kept()


def test_leftovers_of_killed_runs_are_put_right(place, make_pack):
    for name in (".new-a.AbCdEf", ".gone-old.AbCdEf", ".old-old.AbCdEf"):
        shutil.copytree(make_pack("stock"), place.packs / name / "pack")
    shutil.copytree(place.packs / "old", place.packs / ".old-lost.AbCdEf" / "pack")
    (place.packs / ".mine").mkdir()
    assert [r["pack"] for r in place.run("models", "list").records if r.get("reason") == "installed"] == ["old"]
    place.run("models", "add", make_pack("stock"), "--name", "next")
    assert place.names() == [".mine", "lost", "next", "old"] and place.state() == place.before
    assert len(place.run("detect", "--pack", "lost", place.tmp / "a.png").records[0]["faces"]) == 2


def lines_are_visible(err):
    assert not [letter for letter in err if ord(letter) < 32 and letter != "\n" or 127 <= ord(letter) < 160], repr(err)
    return err


def test_what_an_archive_says_cannot_speak_to_the_terminal(place, make_pack):
    good = networks(make_pack("stock"))
    for name, shown in (("a\033[2Jb.txt", "a\\x1B[2Jb.txt"), ("a\nfacemill: ok", "a\\x0Afacemill: ok"), ("../\u009b2J", "../\\xC2\\x9B2J")):
        err = lines_are_visible(place.run("models", "add", place.archive(zipped(good + [(name, b"x")])), "--name", "new", code=3).err)
        assert shown in err and len(err.splitlines()) == 2, repr(err)
    err = lines_are_visible(place.run("models", "add", place.tmp / "no\033[2J\nwhere.onnx", code=3).err)
    assert "no\\x1B[2J\\x0Awhere.onnx" in err
    assert "x\\x1B[2J" in lines_are_visible(place.run("models", "x\033[2J", code=2).err)
    folder = place.tmp / "folder"
    shutil.copytree(make_pack("stock"), folder)
    (folder / "un\033[2Jused").write_text("x")
    err = lines_are_visible(place.run("models", "add", folder, "--name", "noted").err)
    assert "'un\\x1B[2Jused' is left out" in err
    place.kept("noted")


HOSTILE_TERMS = {"licence": "good\033[2J\nfacemill: free for all", "licence_url": "https://example.org/\033[1A"}


def test_a_licence_that_is_not_accepted_is_named_visibly(place, index):
    err = place.run("models", "pull", "fresh", "--index", index(**HOSTILE_TERMS), code=2).err
    line = [line for line in err.splitlines() if "is not accepted" in line][0]
    assert "(good\\x1B[2J\\x0Afacemill: free for all, https://example.org/\\x1B[1A)" in lines_are_visible(line), line
    place.kept()


def test_what_an_index_says_cannot_speak_to_the_terminal(place, index):
    """The text that is shown for acceptance is somebody else's."""
    path = index(**HOSTILE_TERMS)
    err = lines_are_visible(place.run("models", "pull", "fresh", "--index", path, code=2).err)
    assert not re.search("^facemill: free", err, flags=re.M), err
    command = ["models", "pull", "fresh", "--index", path]
    ended, shown, out = on_terminal(place, command, "no\n")
    assert ended != 0 and "\033[2J" not in shown and not re.search("^facemill: free", shown, flags=re.M), repr(shown)
    place.kept()


def sources(place, files, name):
    """The same files as a folder and as a zip file."""
    folder = place.tmp / name
    folder.mkdir()
    for file, data in files:
        (folder / file).write_bytes(data if isinstance(data, bytes) else data.encode())
    return [folder, place.archive(zipped(files), name + ".zip")]


def test_a_foreign_manifest_is_left_out(place, make_pack):
    for source in sources(place, networks(make_pack("stock")) + [("manifest.json", '{"foo": 1}')], "foreign"):
        err = place.run("models", "add", source, "--name", "new", "--replace").err
        assert "'%s': its 'manifest.json' is no manifest of a pack and is left out" % source in err, err
        assert json.loads((place.packs / "new" / "manifest.json").read_text())["facemill_pack"] == 1
    assert (place.tmp / "foreign" / "manifest.json").read_text() == '{"foo": 1}', "the source keeps its own"
    assert [r["verdict"] for r in place.run("models", "verify", "new").records] == ["pass"] * 3
    place.kept("new")


def test_words_name_the_source_and_no_folder_that_is_gone(place, make_pack):
    good = networks(make_pack("stock"))
    broken = [("no json", "{", ()), ("wrong field", '{"facemill_pack": 1, "models": 7}', ()),
              ("wrong digest", json.dumps({"facemill_pack": 1, "models": [{"file": "embedder.onnx", "sha256": "0" * 64}]}), ()),
              ("missing file", json.dumps({"facemill_pack": 1, "models": [{"file": "gone.onnx"}]}), ()),
              ("option", None, ("--model-option", "embedder.onnx:order=blue")), ("option's file", None, ("--model-option", "x.onnx:order=bgr")),
              ("licence url", None, ("--licence-url", "x" * 3000))]
    for number, (kind, manifest, options) in enumerate(broken):
        files = good + ([("manifest.json", manifest)] if manifest else [])
        folder, archive = sources(place, files, "source%d" % number)
        for source in (folder, archive):
            err = place.run("models", "add", source, "--name", "new", *options, code=2 if options else 3).err
            assert ".new-" not in err and str(place.packs) not in err, (kind, err)
            assert "'%s'" % archive in err if source == archive else str(folder) in err or "embedder.onnx" in err, (kind, err)
        if kind == "no json":
            assert "'%s' entry 'manifest.json'" % archive in err, err
    err = place.run("models", "add", make_pack("stock") / "embedder.onnx", "--name", "new", "--model-option", "x.onnx:order=bgr", code=2).err
    assert ".new-" not in err and "embedder.onnx'" in err, err
    place.kept()


def test_a_licence_cannot_be_given_to_insightfaces_manifest(place, make_pack):
    tasks = {"detection": {"file": "detector.onnx"}, "recognition": {"file": "embedder.onnx", "embedding_dimension": 512}}
    manifest = json.dumps({"manifest_version": 2, "model_id": "v2", "license": "MODEL.LICENSE", "tasks": tasks})
    files = networks(make_pack("stock")) + [("manifest.json", manifest), ("MODEL.LICENSE", b"terms")]
    for source in sources(place, files, "v2"):
        for option in (("--licence", "MIT"), ("--licence-url", "https://example.org/l")):
            err = place.run("models", "add", source, "--name", "new", *option, code=2).err
            assert "'%s' has insightface's manifest" % source in err and "--licence" in err, err
    place.kept()
    place.run("models", "add", source, "--name", "new")
    assert (place.packs / "new" / "manifest.json").read_text() == manifest


def test_a_licence_is_taken_whole_or_not_at_all(place, make_pack):
    err = place.run("models", "add", make_pack("stock"), "--name", "new", "--licence", "x" * 128, code=2).err
    assert "128 bytes" in err and "127" in err, err
    place.kept()
    record = place.run("models", "add", make_pack("stock"), "--name", "new", "--licence", "x" * 127).records[0]
    assert record["licence"] == "x" * 127
    assert json.loads((place.packs / "new" / "manifest.json").read_text())["licence"]["name"] == "x" * 127
    ended, shown, out = on_terminal(place, ["models", "add", make_pack("stock"), "--name", "more"], "y" * 200 + "\n")
    assert ended == 2 and "200 bytes" in shown, shown


def test_files_that_are_no_zip_files_cannot_be_used(place, stock_zip):
    for name, data in (("garbage.zip", b"garbage" * 99), ("zero.zip", b""), ("prefix.zip", b"#!/bin/sh\n" * 50 + stock_zip)):
        err = place.run("models", "add", place.archive(data, name), code=3).err
        assert "'%s' is neither a zip file" % (place.tmp / name) in err, err
    place.kept()


def test_a_wrong_model_option_is_said_as_it_is_written(place, make_pack):
    err = place.run("models", "add", make_pack("stock"), "--model-option", "x", code=2).err
    assert "FILE:KEY=VALUE" in err and "PROVIDER" not in err, err
    assert "PROVIDER:KEY=VALUE" in place.run("detect", "--provider-option", "x", place.tmp / "a.png", code=2).err
    place.kept()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full, which cannot be written")
def test_an_answer_that_cannot_be_written_comes_after_the_pack(place, make_pack):
    place.run("models", "add", make_pack("stock"), "--name", "new", "--output", "/dev/full", code=5)
    place.kept("new")


# ---------------------------------------------------------------- remove

def test_remove(place, make_pack):
    place.run("models", "add", make_pack("stock"), "--name", "gone")
    assert place.run("models", "remove", "gone").records[0]["outcome"] == "removed"
    place.kept()
    ran = place.run("models", "remove", "gone", code=3)
    assert "no pack 'gone' is installed" in ran.err


def test_remove_never_follows_a_link(place, make_pack):
    outside = place.tmp / "outside"
    shutil.copytree(make_pack("stock"), outside)
    (place.packs / "link").symlink_to(outside)
    ran = place.run("models", "add", make_pack("stock"), "--name", "link", "--replace", code=2)
    assert "link" in ran.err and len(list(outside.iterdir())) >= 2
    ran = place.run("models", "remove", "link")
    assert "not what it leads to" in ran.err and len(list(outside.glob("*.onnx"))) == 2
    place.kept()


# ---------------------------------------------------------------- list, verify

INSIGHTFACE = "https://github.com/deepinsight/insightface/releases/download/"
RESEARCH = "InsightFace models: non-commercial research only"
ZOO = "https://github.com/opencv/opencv_zoo/raw/47534e27c9851bb1128ccc0102f1145e27f23f98/models/"

# Name: URL, published SHA-256, licence. A second copy of the program's table, so that a slip in either is seen.
KNOWN = {
    "buffalo_l": (INSIGHTFACE + "v0.7/buffalo_l.zip", "80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f", RESEARCH),
    "buffalo_m": (INSIGHTFACE + "v0.7/buffalo_m.zip", "d98264bd8f2dc75cbc2ddce2a14e636e02bb857b3051c234b737bf3b614edca9", RESEARCH),
    "buffalo_s": (INSIGHTFACE + "v0.7/buffalo_s.zip", None, RESEARCH),
    "buffalo_sc": (INSIGHTFACE + "v0.7/buffalo_sc.zip", "57d31b56b6ffa911c8a73cfc1707c73cab76efe7f13b675a05223bf42de47c72", RESEARCH),
    "antelopev2": (INSIGHTFACE + "v0.7/antelopev2.zip", "8e182f14fc6e80b3bfa375b33eb6cff7ee05d8ef7633e738d1c89021dcf0c5c5", RESEARCH),
    "raccoon_s": (INSIGHTFACE + "model-zoo/raccoon_s.zip", None, RESEARCH),
    "raccoon_l": (INSIGHTFACE + "model-zoo/raccoon_l.zip", None, RESEARCH),
    "yunet": (ZOO + "face_detection_yunet/face_detection_yunet_2023mar.onnx",
              "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4", "MIT"),
    "sface": (ZOO + "face_recognition_sface/face_recognition_sface_2021dec.onnx",
              "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79", "Apache-2.0"),
    "auraface": ("https://huggingface.co/fal/AuraFace-v1/resolve/af6d057c9b0ec4071d4c49c80e3539258798b609/glintr100.onnx",
                 "a7933ea5330113b01c9b60351d8f4c33003f145d8470ac5f0e52ee2effe25c60", "Apache-2.0"),
}


def test_list_has_known_packs_with_their_terms(place, index):
    records = [record for record in place.run("models", "list", "--index", index()).records if "known" in record]
    known = {record["known"]: record for record in records}
    assert len(known) == len(records) and known.pop("fresh")["licence"] == LICENCE
    for record in known.values():
        assert record["licence_url"].startswith("https://") and record["terms"] and not record["installed"]
    assert {name: (record["url"], record["sha256"], record["licence"]) for name, record in known.items()} == KNOWN
    table = place.run("models", "list", "--format", "table").out
    assert "no published digest" in table and "no commercial use" in table and "about 326 MB" in table
    assert re.search(r"^old +installed", table, flags=re.M)


def test_verify_finds_a_flipped_byte(place):
    file = sorted((place.packs / "old").glob("*.onnx"))[0]
    data = bytearray(file.read_bytes())
    data[-20] ^= 1
    file.write_bytes(data)
    ran = place.run("models", "verify", "old", code=4)
    verdicts = {record["file"]: record["verdict"] for record in ran.records if "file" in record}
    assert verdicts[file.name] == "FAIL" and list(verdicts.values()).count("FAIL") == 1
    note = [record["note"] for record in ran.records if record.get("file") == file.name][0]
    assert place.before[file.name] in note and hashlib.sha256(data).hexdigest() in note


def changed_manifest(place, change):
    path = place.packs / "old" / "manifest.json"
    manifest = json.loads(path.read_text())
    for model in manifest["models"]:
        if model["file"] == "embedder.onnx":
            change(model)
    path.write_text(json.dumps(manifest))


def test_verify_misses_the_manifest_of_an_installed_pack(place, make_pack):
    (place.packs / "old" / "manifest.json").unlink()
    ran = place.run("models", "verify", "old", code=4)
    files = {record["file"]: record for record in ran.records if "file" in record}
    assert files["manifest.json"]["verdict"] == "FAIL" and "--replace" in files["manifest.json"]["note"]
    assert files["embedder.onnx"]["verdict"] == "pass" and "no digest: not compared" in files["embedder.onnx"]["note"]
    assert re.search(r"^FAIL +manifest\.json", place.run("models", "verify", "old", "--format", "table", code=4).out, flags=re.M)


def test_verify_says_what_it_did_not_compare(place, make_pack):
    for record in place.run("models", "verify", make_pack("stock")).records:
        assert record["verdict"] == "pass" and ("check" in record or record["note"] == "no digest: not compared"), record
    assert not [record for record in place.run("models", "verify", "old").records if record.get("note")]
    changed_manifest(place, lambda model: model.pop("sha256"))
    table = place.run("models", "verify", "old", "--format", "table").out
    assert table.count("no digest: not compared") == 1 and re.search("^pass +embedder.onnx .*not compared$", table, flags=re.M), table


def test_verify_compares_the_size_of_each_file(place):
    changed_manifest(place, lambda model: model.update(bytes=model["bytes"] + 1))
    verdicts = {record["file"]: record for record in place.run("models", "verify", "old", code=4).records if "file" in record}
    assert verdicts["embedder.onnx"]["verdict"] == "FAIL" and "its manifest says" in verdicts["embedder.onnx"]["note"]
    assert verdicts["detector.onnx"]["verdict"] == "pass"


# ---------------------------------------------------------------- what add asks

def test_add_asks_on_a_terminal(place, make_pack):
    ended, shown, out = on_terminal(place, ["models", "add", make_pack("stock")], "asked\nBSD-3-Clause\n\n")
    assert ended == 0 and "Name of the pack [stock]" in shown and "Licence that" in shown, shown
    assert json.loads((place.packs / "asked" / "manifest.json").read_text())["licence"]["name"] == "BSD-3-Clause"
    ended, shown, out = on_terminal(place, ["models", "add", make_pack("stock"), "--quiet"], "")
    assert ended == 0 and shown == "" and json.loads(out)["pack"] == "stock"
    place.kept("asked", "stock")


@pytest.mark.parametrize("answers, order, assumed", [
    ("\n", "rgb", "mean 127.5, std 127.5"), ("bgr\n", "bgr", "mean 127.5, std 127.5"), ("rgb\n", "rgb", "mean 127.5, std 127.5"),
    ("blue\nbgr\n", "bgr", "mean 127.5, std 127.5"), ("\x04", "rgb", "order rgb, mean 127.5, std 127.5")])
def test_add_asks_for_the_channel_order(place, make_pack, answers, order, assumed):
    command = ["models", "add", make_pack("stock"), "--name", "new", "--licence", LICENCE]
    ended, shown, out = on_terminal(place, command, answers)
    assert ended == 0 and shown.count("Channel order that 'embedder.onnx' was trained with, rgb or bgr [rgb]: ") == max(1, answers.count("\n")), shown
    models = {model["file"]: model for model in json.loads((place.packs / "new" / "manifest.json").read_text())["models"]}
    assert models["embedder.onnx"]["pixels"]["order"] == order and models["detector.onnx"]["pixels"]["order"] == "rgb"
    assert assumption(shown) == assumed
    assert [record["verdict"] for record in place.run("models", "verify", "new").records] == ["pass"] * 3
    place.kept("new")


def test_add_asks_for_no_order_that_is_known(place, make_pack):
    command = ["models", "add", "--name", "new", "--licence", LICENCE]
    for source, *more in ((make_pack("stock"), "--model-option", "embedder.onnx:order=bgr"), (place.packs / "old", "--replace"),
                          (make_pack("stock") / "detector.onnx", "--replace")):
        ended, shown, out = on_terminal(place, command + [source] + more, "")
        assert ended == 0 and "Channel order" not in shown, shown
    place.kept("new")


# ---------------------------------------------------------------- full disks

@pytest.mark.parametrize("method, words", [(zipfile.ZIP_DEFLATED, "no room"), (None, "no room")])
def test_a_full_disk_while_installing(place, make_pack, method, words):
    source = place.archive(zipped(networks(make_pack("stock")), method)) if method else make_pack("stock")
    code, said = full_disk(place, 80, ["models", "add", source, "--name", "fresh"])
    assert code == 5 and words in said and "free" in said, said
    assert "/packs/fresh" in said and "\nfresh" not in said and ".new" not in said, said


def test_a_disk_full_before_the_manifest(place, make_pack):
    """Room for the networks, none for what is written about them."""
    size = sum(-(-len(data) // 4096) * 4 for _, data in networks(make_pack("stock")))
    code, said = full_disk(place, size, ["models", "add", make_pack("stock"), "--name", "fresh"])
    assert code == 5 and "No space left" in said, said
    assert "/packs/fresh" in said and "\nfresh" not in said and ".new" not in said, said
