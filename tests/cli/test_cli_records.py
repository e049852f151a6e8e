"""analyze and detect: records, their order, inputs, pictures, summary. Networks with known answers (make_test_pack)."""

import base64
import json
import math
import os
import pty
import select
import struct
import subprocess
import time

import pytest

from conftest import Square, numbered_squares, png


def faces_of(records):
    return [len(record["faces"]) for record in records]


def names_of(records):
    return [os.path.basename(record["path"]) for record in records]


def test_a_line_has_exactly_these_keys_and_the_known_answer(working, tmp_path):
    squares = [Square(8, 0, 20, 20), Square(16, 1, 30, 8, 250), Square(32, 0, 15, 14, 245)]
    (tmp_path / "a.png").write_bytes(png(squares))
    record, = working("analyze", tmp_path / "a.png").records
    assert list(record) == ["path", "width", "height", "faces"]
    assert (record["path"], record["width"], record["height"]) == (str(tmp_path / "a.png"), 640, 640)
    squares.sort(key=lambda square: -square.score)
    assert len(record["faces"]) == 3
    for face, square in zip(record["faces"], squares):
        assert list(face) == ["box", "score", "landmarks", "embedding", "embedding_norm"]
        assert face["box"] == pytest.approx(square.box, abs=1e-3)
        assert face["score"] == pytest.approx(square.score, abs=1e-5)
        assert [len(point) for point in face["landmarks"]] == [2] * 5
        assert len(face["embedding"]) == 512
        assert math.sqrt(sum(v * v for v in face["embedding"])) == pytest.approx(face["embedding_norm"], rel=1e-5)


def test_embedding_forms_are_the_same_numbers(working, folder):
    as_array, = working("analyze", folder / "a.png").records
    as_base64, = working("analyze", folder / "a.png", "--embedding", "base64").records
    without, = working("analyze", folder / "a.png", "--embedding", "none").records
    floats = struct.unpack("<512f", base64.b64decode(as_base64["faces"][0]["embedding"], validate=True))
    narrowed = struct.unpack("512f", struct.pack("512f", *as_array["faces"][0]["embedding"]))
    assert floats == narrowed
    assert "embedding" not in without["faces"][0] and without["faces"][0]["embedding_norm"] > 0


def test_detect_has_no_embeddings(working, folder):
    record, = working("detect", folder / "a.png").records
    assert list(record["faces"][0]) == ["box", "score", "landmarks"]
    working("detect", "--embedding", "none", folder / "a.png", code=2)


def test_a_face_without_embedding_says_so(working, folder, no_landmarks):
    """Once on standard error, and in each record that would have had an embedding."""
    for form in ("array", "base64"):
        ran = working("analyze", "--pack", no_landmarks, folder, "--embedding", form)
        faces = [face for record in ran.records for face in record["faces"]]
        assert len(faces) == 6 and all(list(face) == ["box", "score", "landmarks", "embedding"] for face in faces)
        assert not [face for face in faces if face["embedding"] is not None]
        assert ran.err.count("has no embedding") == 1 and "a.png: face 1" in ran.err and "landmarks" in ran.err
    ran = working("analyze", "--pack", no_landmarks, folder, "--embedding", "none", "--quiet")
    assert ran.err == "" and "embedding" not in ran.records[0]["faces"][0]
    ran = working("detect", "--pack", no_landmarks, folder)
    assert "embedding" not in ran.err and "embedding" not in ran.records[0]["faces"][0]


def test_pack_without_recogniser(working, folder, make_pack):
    record, = working("analyze", "--pack", make_pack("detector"), folder / "a.png").records
    assert list(record["faces"][0]) == ["box", "score", "landmarks"]
    assert "has no embedding" not in working("analyze", "--pack", make_pack("detector"), folder / "a.png").err


def test_folders_by_name_and_recursive(working, folder):
    records = working("detect", folder).records
    assert names_of(records) == ["a.png", "b.PNG", "c.png"] and faces_of(records) == [1, 2, 3]
    records = working("detect", "--recursive", folder).records
    assert names_of(records) == ["a.png", "b.PNG", "c.png", "d.png"] and faces_of(records) == [1, 2, 3, 0]


def test_folders_give_files_and_no_pipes(working, folder):
    """A pipe would be waited for without end; a link to nothing is worth its error record."""
    os.mkfifo(folder / "a.jpg")
    (folder / "link.png").symlink_to(folder / "a.jpg")
    (folder / "nothing.png").symlink_to(folder / "nowhere")
    (folder / "folder.png").mkdir()
    ran = working("detect", folder, code=1)
    assert names_of(ran.records) == ["a.png", "b.PNG", "c.png", "nothing.png"]
    assert ran.records[3]["error"]["code"] == "not_found"


def test_a_link_back_up_ends(working, folder):
    (folder / "sub" / "up").symlink_to(folder)
    assert len(working("detect", "--recursive", folder).records) == 4


def test_named_files_are_taken_whatever_they_are_called(working, folder, pictures):
    (folder / "picture.txt").write_bytes(pictures[2])
    assert faces_of(working("detect", folder / "picture.txt").records) == [2]


def test_order_is_that_of_the_inputs(working, folder):
    """Sizes differ, so that later ones would be done earlier; more inputs than fit in flight."""
    (folder / "big.png").write_bytes(png(numbered_squares(1), side=3200))
    names = ["big.png", "a.png", "c.png", "b.PNG", "sub/d.png"] * 60
    ran = working("detect", *[folder / name for name in names])
    assert [record["path"] for record in ran.records] == [str(folder / name) for name in names]
    assert faces_of(ran.records)[1:5] == [1, 3, 2, 0]


def test_lists_and_standard_input(working, folder, pictures, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("%s\n\n%s\r\n" % (folder / "c.png", folder / "a.png"))
    second.write_text(str(folder / "b.PNG"))  # no newline at its end
    ran = working("detect", folder / "a.png", "--from-file", first, "--from-file", second)
    assert faces_of(ran.records) == [1, 3, 1, 2]
    ran = working("detect", "--from-file", "-", stdin=first.read_bytes())
    assert faces_of(ran.records) == [3, 1]
    ran = working("detect", "-", stdin=pictures[3])
    assert ran.records[0]["path"] == "-" and faces_of(ran.records) == [3]
    assert "empty" in working("detect", "-", stdin=b"", code=1).records[0]["error"]["message"]
    assert working("detect", "-", "--max-file-size", 100, stdin=pictures[3], code=1).records[0]["error"]["code"] == "limit"
    record = working("detect", "--from-file", tmp_path / "none", code=1).records[0]
    assert record["error"]["code"] == "not_found" and "none" in record["error"]["message"]


def test_lists_with_strange_lines(working, folder, tmp_path):
    """Longer than any path, with a zero byte, without an end: error records, and the lines around them count."""
    name = os.fsencode(folder / "a.png")
    (tmp_path / "list").write_bytes(b"%s\n%s\n%s\0%s\n\n%s\r\r\n%s" % (name, b"x" * 40000, name, name, name, name))
    records = working("detect", "--from-file", tmp_path / "list", code=1).records
    assert [record["error"]["code"] if "error" in record else len(record["faces"]) for record in records] == \
        [1, "limit", "invalid_argument", 1, 1]
    (tmp_path / "long").write_bytes((name + b"\n") * 3000)  # longer than any buffer
    assert len(working("detect", "--from-file", tmp_path / "long").records) == 3000


def test_options_reach_the_engine(working, folder):
    assert faces_of(working("detect", folder / "c.png", "--max-faces", 1).records) == [1]
    assert faces_of(working("detect", folder / "c.png", FM_MAX_FACES=2).records) == [2]
    assert faces_of(working("detect", folder / "c.png", "--det-threshold", 0.999).records) == [0]
    assert faces_of(working("detect", folder / "c.png", "--min-face", 1000).records) == [0]
    assert working("detect", folder / "c.png", "--max-pixels", 1000, code=1).records[0]["error"]["code"] == "limit"
    strict = working("detect", folder / "c.png", "--provider", "ort:nothing", code=None)
    assert strict.code in (2, 3) and "ort:nothing" in strict.err


def test_summary(working, folder, tmp_path):
    ran = working("analyze", folder, "--provider", "ort:cpu", "--summary", tmp_path / "s.json")
    assert "\x1b" not in ran.err and "\r" not in ran.err and " left" not in ran.err  # no progress into a pipe
    summary = json.loads((tmp_path / "s.json").read_text())
    for key in ("images", "faces", "errors", "seconds", "images_per_s", "pack", "providers"):
        assert key in summary
    assert (summary["images"], summary["faces"], summary["errors"]) == (3, 6, 0)
    assert summary["pack"] == "stock" and summary["pack_reason"] == "FM_PACK" and len(summary["pack_id"]) == 64
    assert len(summary["providers"]) == 2 and set(summary["providers"].values()) == {"ort:cpu"}
    assert [(model["file"], model["task"], model["provider"], model["precision"]) for model in summary["models"]] == \
        [("detector.onnx", "detection", "ort:cpu", "fp32"), ("embedder.onnx", "recognition", "ort:cpu", "fp32")]
    assert all({"detail", "max_batch", "lanes", "input_u8"} <= set(model) for model in summary["models"])
    assert summary["images_per_s"] == pytest.approx(3 / summary["seconds"])
    for words in ("3 images, 6 faces, 0 errors", "pack stock (FM_PACK)", " on ort:cpu"):
        assert words in ran.summary_line
    assert working("analyze", folder, "--quiet").err == ""


def test_why_the_pack_was_chosen(working, folder, make_pack):
    stock = make_pack("stock")
    config = working.home / ".config" / "facemill" / "config"
    config.parent.mkdir(parents=True)
    config.write_text("pack = %s\n" % stock)
    assert "pack stock (config)" in working("detect", folder / "a.png", FM_PACK="").summary_line
    assert "pack batched (FM_PACK)" in working("detect", folder / "a.png", FM_PACK=make_pack("batched")).summary_line
    assert "pack stock (--pack)" in working("detect", folder / "a.png", "--pack", stock, FM_PACK="/none").summary_line


def test_insightface_folder_only_when_named(working, folder, make_pack):
    place = working.home / ".insightface" / "models"
    place.mkdir(parents=True)
    (place / "buffalo_x").symlink_to(make_pack("stock"))
    assert "pack buffalo_x (--pack)" in working("detect", folder / "a.png", "--pack", "buffalo_x", FM_PACK="").summary_line
    ran = working("detect", folder / "a.png", FM_PACK="", code=None)
    assert "buffalo_x (" not in ran.err


def test_what_was_passed_over_is_said(working, folder):
    ran = working("detect", "--provider", "ort:cuda,ort:cpu", folder / "a.png")
    assert "passed over: ort:cuda" in ran.err and "on ort:cpu" in ran.summary_line


def test_drawn_copies_have_names_of_their_own(working, folder, tmp_path, pictures):
    (folder / "sub" / "a.png").write_bytes(pictures[2])
    before = (folder / "a.png").read_bytes()
    working("detect", "--recursive", folder, "--draw", tmp_path / "out" / "drawn")
    names = sorted(os.listdir(tmp_path / "out" / "drawn"))
    assert [name.split(".")[0] for name in names] == ["a-2", "a", "b", "c", "d"]
    assert all(name.endswith((".faces.jpg", ".faces.png")) for name in names)
    assert (tmp_path / "out" / "drawn" / names[1]).read_bytes()[:2] in (b"\xff\xd8", b"\x89P")
    assert (folder / "a.png").read_bytes() == before


def test_output_file_is_complete_or_not_there(working, folder, tmp_path):
    out = tmp_path / "faces.jsonl"
    ran = working("detect", folder, "--output", out)
    assert ran.out == "" and len(out.read_text().splitlines()) == 3
    assert not (tmp_path / "faces.jsonl.part").exists()
    assert json.loads(out.read_text().splitlines()[0])["faces"]


def test_table(working, folder):
    ran = working("analyze", folder, "--format", "table")
    lines = ran.out.splitlines()
    assert lines[0].split()[:3] == ["image", "size", "face"] and len(lines) == 1 + 1 + 2 + 3
    assert "640x640" in lines[1] and lines[1].split()[2] == "1"


def test_table_shows_control_characters_and_does_not_send_them(working, folder, tmp_path, pictures):
    """A file's name must not clear the screen or forge a row. jsonl has the name as it is."""
    name = "é\x1b[2J\n\x9b1mx\x7f.png"
    (tmp_path / name).write_bytes(pictures[1])
    out = working("analyze", tmp_path / name, tmp_path / ("missing" + name), "--format", "table", code=1).out
    assert not [character for character in out if (ord(character) < 32 and character != "\n") or 127 <= ord(character) < 160]
    assert len(out.splitlines()) == 3
    assert out.count("é\\x1B[2J\\x0A\\xC2\\x9B1mx\\x7F.png") == 2 + out.count("there is no file")
    assert working("detect", tmp_path / name).records[0]["path"] == str(tmp_path / name)
    table = working("compare", tmp_path / name, tmp_path / name, "--format", "table").out
    assert "\x1b" not in table and "\\x1B[2J" in table
    ran = working("crop", folder / "a.png", "--dir", tmp_path / "\x1b[2J", "--format", "table")
    assert "\x1b" not in ran.out and "\\x1B[2J" in ran.out


def terminal(working, arguments, stdout=True, list_pieces=()):
    """Run on a pseudo-terminal; everything it showed, and the exit code. {list} in an argument names a pipe that the
    pieces are written into, a second apart."""
    master, slave = pty.openpty()
    reader, writer = os.pipe()
    named = [str(a).replace("{list}", "/dev/fd/%d" % reader) for a in arguments]
    process = subprocess.Popen([working.program] + named, env=working.environment, stdin=slave, pass_fds=[reader],
                               stdout=slave if stdout else subprocess.DEVNULL, stderr=slave)
    os.close(reader)
    os.close(slave)
    for number, piece in enumerate(list_pieces):
        time.sleep(number and 1)
        os.write(writer, piece)
    os.close(writer)
    shown = b""
    while True:
        ready, _, _ = select.select([master], [], [], 60)
        try:
            piece = os.read(master, 65536) if ready else b""
        except OSError:
            piece = b""
        if not piece:
            break
        shown += piece
    os.close(master)
    return shown.decode(), process.wait(timeout=60)


def test_terminal_gets_a_table_and_progress(working, folder):
    shown, code = terminal(working, ["detect", folder])
    assert code == 0 and "x1 y1 x2 y2" in shown and '"path"' not in shown
    shown, code = terminal(working, ["detect"] + [folder] * 300, stdout=False)
    assert code == 0 and " of 900 images" in shown and "left" in shown and "errors" in shown
    assert shown.rstrip().splitlines()[-1].split("\x1b[K")[-1].startswith("facemill: 900 images")
    shown, code = terminal(working, ["detect", "--quiet"] + [folder] * 50, stdout=False)
    assert code == 0 and shown == ""


def test_a_list_from_a_pipe_is_read_once(working, folder, tmp_path):
    """On a terminal the inputs are counted for the progress line: a second reader would take half of them."""
    half = (os.fsencode(folder / "a.png") + b"\n") * 40
    shown, code = terminal(working, ["detect", "--output", tmp_path / "out", "--from-file", "{list}"], list_pieces=[half, half])
    assert code == 0 and "facemill: 80 images" in shown and len((tmp_path / "out").read_text().splitlines()) == 80
