"""What the machine, a model folder or a picture does not give: memory, detectors, readable files, whole or upright files."""

import json
import os
import pathlib
import random
import re
import resource
import shutil
import struct
import tempfile
import time
import zlib

import pytest

from conftest import Square, numbered_squares, png

MIB = 1 << 20


def address_space(size):
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size))


@pytest.fixture
def limited(working):
    """Sanitizers reserve terabytes of addresses for themselves: nothing can be limited there."""
    if working("version", before=address_space(1024 * MIB), code=None).code != 0:
        pytest.skip("this build does not start with 1 GiB of address space (a sanitizer's?), so that memory cannot be limited")
    return working


@pytest.fixture
def jpegs(working):
    if "jpeg" not in working("version").records[0]["decoders"].split(","):
        pytest.skip("this build writes no JPEG (FM_WITH_JPEG)")


def jpeg_of(working, picture, folder):
    """The PNG as the program's own JPEG: drawn without a face, so that nothing is drawn."""
    path = folder / "plain.png"
    path.write_bytes(picture)
    working("detect", path, "--det-threshold", 1, "--draw", folder / "plain")
    return (folder / "plain" / "plain.faces.jpg").read_bytes()


def jpeg_size(data):
    """Width and height, from the frame header."""
    at = 2
    while not 0xc0 <= data[at + 1] <= 0xc2:
        at += 2 + int.from_bytes(data[at + 2:at + 4], "big")
    return int.from_bytes(data[at + 7:at + 9], "big"), int.from_bytes(data[at + 5:at + 7], "big")


def boxes(ran):
    return [face["box"] for record in ran.records for face in record["faces"]]


# ---------------------------------------------------------------- memory

def test_memory_that_no_machine_of_this_size_has_is_5(limited, folder):
    """Lanes of 256 pictures of 4096 x 4096, where 6 GiB may be used."""
    ran = limited("detect", folder, "--provider", "ort:cpu", "--det-size", 4096, "--batch", 256, "--threads", 1,
                  before=address_space(6144 * MIB), code=5)
    assert ran.out == "" and "not enough memory" in ran.err and "--batch" in ran.err, ran.err


def test_a_picture_larger_than_memory_is_a_record(limited, folder):
    """2.7 GB of pixels where 2 GiB may be used, by one bit each in the file. The others are done."""
    side = 30000

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    (folder / "b0.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)) +
                                    chunk(b"IDAT", zlib.compress(bytes((1 + side // 8) * side), 1)) + chunk(b"IEND", b""))
    ran = limited("detect", folder, "--provider", "ort:cpu", "--max-pixels", side * side, before=address_space(2048 * MIB), code=1)
    assert [record["error"]["code"] if "error" in record else len(record["faces"]) for record in ran.records] == \
        [1, 2, "out_of_memory", 3]
    assert "memory" in ran.records[2]["error"]["message"] and "30000" in ran.records[2]["error"]["message"]
    assert limited("detect", folder, code=1).records[2]["error"]["code"] == "limit"  # as it is by default


def test_little_memory_is_said_and_never_a_crash(limited, folder, tmp_path):
    """From too little for the program's own libraries to enough, each step ends in words. The runtime's own clean-up after a
    failed allocation may end the process (docs/PITFALLS.md: shown without a line of ours): counted apart, and never often.
    That ours follows nothing that was not made is what providers_starved shows."""
    refused, theirs = 0, []
    for size in range(64, 512, 16):
        ran = limited("analyze", folder, "--provider", "ort:cpu", "--threads", 2, before=address_space(size * MIB), code=None)
        words = ran.err + ran.out
        if ran.code == -11 or ran.code == -6 and re.search(r"terminate called|free\(\)|munmap_chunk|double free", ran.err):
            theirs.append((size, ran.code))
        elif ran.code == 127 and "memory for thread-local data" in ran.err:
            theirs.append((size, ran.code))  # the C library's own words, for a library that was opened at run time
        elif ran.code == 127 and "error while loading shared libraries" in ran.err:
            pass  # not even started
        else:
            assert ran.code in (0, 1, 3, 5), (size, ran.code, words)
            if ran.code:
                refused += 1
                assert "memory" in words or "bad_alloc" in words or "failed to map" in words, (size, ran.code, words)
    print("%d refused in words, ended by the runtime: %s" % (refused, theirs))
    assert refused > 0 and len(theirs) < 4, theirs


# ---------------------------------------------------------------- packs

def test_pack_without_a_detector_is_3(working, folder, make_pack, tmp_path):
    (tmp_path / "half").mkdir()
    shutil.copy(make_pack("stock") / "embedder.onnx", tmp_path / "half")
    for command in ("analyze", "detect"):
        ran = working(command, folder, "--pack", tmp_path / "half", code=3)
        assert ran.out == "" and "detector" in ran.err and str(tmp_path / "half") in ran.err


@pytest.mark.parametrize("damage", ["cut", "empty", "noise"])
def test_damaged_model_is_3_and_named(working, folder, make_pack, tmp_path, damage):
    shutil.copytree(make_pack("stock"), tmp_path / "pack")
    model = tmp_path / "pack" / "detector.onnx"
    data = model.read_bytes()
    model.write_bytes({"cut": data[:len(data) // 2], "empty": b"", "noise": random.Random(1).randbytes(len(data))}[damage])
    ran = working("detect", folder, "--pack", tmp_path / "pack", code=3)
    assert ran.out == "" and "detector.onnx" in ran.err


def test_unreadable_model_is_3_and_named(working, folder, make_pack):
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)  # pytest's own folders are for one user only
        pack = pathlib.Path(name) / "pack"
        shutil.copytree(make_pack("stock"), pack)
        (pack / "detector.onnx").chmod(0)

        def nobody():
            if os.getuid() == 0:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)

        try:
            readable = working("models", "show", pack / "embedder.onnx", before=nobody, code=None).code == 0
        except PermissionError:
            readable = False
        if not readable:
            pytest.skip("root may read everything, and no other user can reach %s" % working.program)
        ran = working("detect", "--pack", pack, "-", before=nobody, stdin=png(), code=3)
        assert ran.out == "" and "detector.onnx" in ran.err and "Permission denied" in ran.err


# ---------------------------------------------------------------- pictures

def test_accept_truncated_makes_a_result_of_what_is_there(working, jpegs, folder, tmp_path):
    """Three faces in the upper half; the file ends below them."""
    picture = png(numbered_squares(3))
    for name, data, part in (("cut.jpg", jpeg_of(working, picture, tmp_path), 0.9), ("cut.png", picture, 0.97)):
        (folder / name).write_bytes(data[:int(len(data) * part)])
        error, = working("detect", folder / name, code=1).records
        assert error["error"]["code"] == "truncated" and name in error["error"]["message"], error
        record, = working("detect", folder / name, "--accept-truncated").records
        assert (record["width"], record["height"], len(record["faces"])) == (640, 640, 3)
    (folder / "none.jpg").write_bytes(b"")
    working("detect", folder / "none.jpg", "--accept-truncated", code=1)


def exif(orientation):
    """An APP1 segment with the one entry."""
    tiff = b"II*\0" + struct.pack("<IH", 8, 1) + struct.pack("<HHIHH", 0x112, 3, 1, orientation, 0) + struct.pack("<I", 0)
    return b"\xff\xe1" + struct.pack(">H", 8 + len(tiff)) + b"Exif\0\0" + tiff


WIDTH, HEIGHT = 480, 640  # of the upright picture
STORED = {  # where a square's column and row are in a file of that orientation, with c columns and r rows when upright
    1: lambda x, y, c, r: (x, y), 2: lambda x, y, c, r: (c - x, y), 3: lambda x, y, c, r: (c - x, r - y),
    4: lambda x, y, c, r: (x, r - y), 5: lambda x, y, c, r: (y, x), 6: lambda x, y, c, r: (y, c - x),
    7: lambda x, y, c, r: (r - y, c - x), 8: lambda x, y, c, r: (r - y, x)}


def stored_jpeg(working, squares, orientation, folder):
    turned = []
    for square in squares:
        cells = WIDTH // square.stride - 1, HEIGHT // square.stride - 1
        turned.append(Square(square.stride, square.anchor, *STORED[orientation](square.column, square.row, *cells), square.level))
    side, width = (HEIGHT, WIDTH) if orientation < 5 else (WIDTH, HEIGHT)
    jpeg = jpeg_of(working, png(turned, side=side, width=width), folder)
    assert jpeg_size(jpeg) == (width, side)
    return jpeg[:2] + exif(orientation) + jpeg[2:]


@pytest.mark.parametrize("orientation", sorted(STORED))
def test_coordinates_are_those_of_the_upright_picture(working, jpegs, tmp_path, orientation):
    """The same faces, whichever way the file stores them; without its EXIF it gives others."""
    squares = [Square(32, 0, 4, 5), Square(32, 1, 8, 14, 245), Square(16, 1, 22, 9, 250)]
    upright, turned, bare = tmp_path / "upright.jpg", tmp_path / "turned.jpg", tmp_path / "bare.jpg"
    upright.write_bytes(stored_jpeg(working, squares, 1, tmp_path))
    turned.write_bytes(stored_jpeg(working, squares, orientation, tmp_path))
    bare.write_bytes(turned.read_bytes().replace(exif(orientation), b""))
    expected, record = working("detect", upright, turned).records
    assert (record["width"], record["height"]) == (WIDTH, HEIGHT) and len(record["faces"]) == len(expected["faces"]) == 3
    for face, other in zip(record["faces"], expected["faces"]):
        assert face["box"] == pytest.approx(other["box"], abs=0.05)
        assert [x for point in face["landmarks"] for x in point] == \
            pytest.approx([x for point in other["landmarks"] for x in point], abs=0.05)
    for box, square in zip(sorted(boxes(working("detect", turned))), sorted(square.box for square in squares)):
        assert box == pytest.approx(square, abs=1)  # JPEG's colours are not quite those painted
    if orientation > 1:
        assert sorted(boxes(working("detect", bare)))[0] != pytest.approx(min(s.box for s in squares), abs=5)


def test_validate_draws_both_sides_beside_one_another(working, jpegs, folder, tmp_path):
    (folder / "wide.png").write_bytes(png(numbered_squares(1), side=320, width=640))
    working("validate", "ort:cpu", "ort:cpu", "--images", folder, "--draw", tmp_path / "out")
    sizes = {name: jpeg_size((tmp_path / "out" / name).read_bytes()) for name in os.listdir(tmp_path / "out")}
    assert sizes == {"a.validate.jpg": (1280, 640), "b.validate.jpg": (1280, 640), "c.validate.jpg": (1280, 640),
                     "wide.validate.jpg": (1280, 320)}


# ---------------------------------------------------------------- corrupt files

VARIANTS = 500


def corrupt(data, chance):
    """One of the ways in which files break; never the file itself."""
    data, way = bytearray(data), chance.randrange(6)
    at = chance.randrange(len(data))
    head = chance.randrange(min(len(data), 600))
    if way == 0:
        del data[at:]  # ends early
    elif way == 1:
        data[head] ^= 1 << chance.randrange(8)  # one bit of the headers
    elif way == 2:
        for _ in range(20):
            data[chance.randrange(len(data))] = chance.randrange(256)
    elif way == 3:
        data[at:at + 4096] = bytes(len(data[at:at + 4096]))  # a block that was never written
    elif way == 4:
        del data[head:head + chance.randrange(1, 64)]  # bytes lost
    else:
        for _ in range(4):  # lengths and sizes
            place = chance.randrange(min(len(data), 600) - 4)
            data[place:place + 4] = chance.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\xff\xff"])
    return bytes(data)


def test_500_corrupt_variants_of_real_images(working, real, tmp_path):
    """Of photographs in every format, or of drawn pictures in two."""
    sources = [pathlib.Path(path) for path in real.formats]
    if real.kind == "shared":
        for part in ("photos", "orientation"):
            sources += sorted((sources[0].parents[1] / part).iterdir())
    sources = [path for path in sources if path.stat().st_size < 900000]
    assert len({path.suffix for path in sources}) >= {"shared": 5, "mini": 2}[real.kind]
    chance = random.Random(20)
    for i in range(VARIANTS):
        path = sources[i % len(sources)]
        place = tmp_path / "in" / str(i % 7)
        place.mkdir(parents=True, exist_ok=True)
        (place / ("%03d%s" % (i, path.suffix))).write_bytes(corrupt(path.read_bytes(), chance))
    began = time.monotonic()
    ran = working("detect", "--recursive", tmp_path / "in", "--summary", tmp_path / "s.json", code=1)
    seconds = time.monotonic() - began
    shutil.rmtree(tmp_path / "in")  # 150 MB
    records, summary = ran.records, json.loads((tmp_path / "s.json").read_text())
    errors = [record["error"] for record in records if "error" in record]
    print("%d variants: %d errors (%s) in %.1f s, peak %d MiB" % (VARIANTS, len(errors), ", ".join(
        sorted({error["code"] for error in errors})), seconds, summary["peak_memory_bytes"] // MIB))
    assert len({record["path"] for record in records}) == len(records) == VARIANTS
    assert all(("faces" in record) != ("error" in record) for record in records)
    assert all(error["message"] for error in errors)
    assert {error["code"] for error in errors} <= {"bad_image", "truncated", "limit", "unsupported"}
    assert (summary["images"], summary["errors"]) == (VARIANTS, len(errors)) and 50 < len(errors) < VARIANTS
    assert seconds < 100 and summary["peak_memory_bytes"] < 2048 * MIB


def test_no_corrupt_variant_takes_long_alone(working, real, tmp_path):
    """One variant of each real picture, each by itself with two seconds to go: a late one would be a `deadline` record."""
    chance = random.Random(21)
    (tmp_path / "in").mkdir()
    for i, path in enumerate(map(pathlib.Path, real.formats * 4)):
        broken = tmp_path / "in" / ("%02d%s" % (i, path.suffix))
        broken.write_bytes(corrupt(path.read_bytes(), chance))
    ran = working("detect", tmp_path / "in", "--deadline", 2000, "--queue-depth", 1, code=None)
    assert ran.code in (0, 1) and len(ran.records) == 36
    assert not [record for record in ran.records if record.get("error", {}).get("code") == "deadline"]
