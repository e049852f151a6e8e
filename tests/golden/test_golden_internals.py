"""Inner functions against stored answers: pixels, letterbox, tensors, alignment, crops, suppression, post-processing.
Those of the recipes for drawn pictures are always there, those of insightface, OpenCV and scikit-image for photographs
with the reference data. Every instruction set must give the same bytes."""

import functools
import os
import platform
import zlib

import numpy as np
import pytest

from internals import Internals

LEVELS = ("scalar", "neon") if platform.machine() in ("aarch64", "arm64") else ("scalar", "avx2", "avx512")
# OpenCV and pillow_heif carry decoders of their own for these two; their last bits need not be those of this machine's
# library. Everything else must be equal to the byte.
OTHER_DECODER = (".heic", ".avif")
GRID_TOLERANCE, GRID_TOLERANCE_OTHER = 1.0, 3.0


def crc(array):
    return "%08x" % zlib.crc32(np.ascontiguousarray(array).tobytes())


def grid_means(bgr):
    """Mean colour of 4x4 cells, row by row."""
    h, w = bgr.shape[:2]
    cells = [bgr[h * r // 4:h * (r + 1) // 4, w * c // 4:w * (c + 1) // 4].reshape(-1, 3).mean(axis=0)
             for r in range(4) for c in range(4)]
    return np.array(cells).ravel()


@pytest.fixture(scope="session")
def internals():
    path = os.environ.get("FM_INTERNALS", "")
    if not os.path.exists(path):
        pytest.skip("no library of inner functions: FM_INTERNALS=%s names none" % path)
    return Internals(path)


@pytest.fixture(scope="session", params=LEVELS)
def device(request, internals):
    device = internals.device(request.param)
    if device is None:
        pytest.skip("this machine has no %s" % request.param)
    yield device
    device.close()


@pytest.fixture(scope="session")
def read(internals, reference):
    """Decoded RGB of a picture; the last few are kept, most are wanted by several tests in a row."""
    return functools.lru_cache(maxsize=8)(lambda name: internals.read(os.path.join(reference.folder, name)))


def exact(name):
    return not name.endswith(OTHER_DECODER)


def test_decoded_pixels(read, reference, worst):
    equal = 0
    for entry in reference.pictures:
        name = entry["image"]
        bgr = read(name)[:, :, ::-1]
        assert bgr.shape == (entry["height"], entry["width"], 3), name
        difference = np.abs(grid_means(bgr) - np.array(entry["grid_mean_bgr"])).max()
        worst.note("grid mean" if exact(name) else "grid mean of %s" % os.path.splitext(name)[1], difference, name)
        assert difference <= (GRID_TOLERANCE if exact(name) else GRID_TOLERANCE_OTHER), name
        same = crc(bgr) == entry["pixels_crc32"]
        equal += same
        assert same or not exact(name), "%s: decoded bytes differ from OpenCV's" % name
    print("decoded bytes equal to the reference's: %d of %d pictures" % (equal, len(reference.pictures)))


def test_exif_orientations_show_one_picture(internals, shared, worst):
    """Portrait_0 (an invalid tag) to Portrait_8 are one photograph, turned in the pixels and back by the tag; each was
    saved anew, so the grid may differ by a level, where a wrong turn or mirror differs by 49 and more."""
    def read(tag):
        return internals.read(os.path.join(shared, "images/orientation/Portrait_%d.jpg" % tag))

    upright = grid_means(read(1))
    for tag in range(9):
        name, picture = "Portrait_%d.jpg" % tag, read(tag)
        assert picture.shape == (1800, 1200, 3), name
        difference = np.abs(grid_means(picture) - upright).max()
        worst.note("grid mean", difference, name)
        assert difference <= GRID_TOLERANCE, name


def test_letterbox_sizes(internals, reference):
    for entry in reference.letterbox["sizes"]:
        for side in (640, 320):
            fit = internals.letterbox_fit(entry["width"], entry["height"], side)
            want = entry["det_%d" % side]
            assert fit == (want["new_width"], want["new_height"], want["scale"]), (entry, side)
    for entry in reference.pictures:
        want = entry["letterbox_640"]
        fit = internals.letterbox_fit(entry["width"], entry["height"], 640)
        assert fit == (want["new_width"], want["new_height"], want["scale"]), entry["image"]


def test_canvas(device, read, reference):
    """The bytes the detector sees, of every picture whose pixels are the reference's."""
    equal = 0
    for entry in reference.pictures:
        rgb = read(entry["image"])
        canvas = device.letterbox(rgb, 640, np.uint8, batch=2, slot=1)[::-1].transpose(1, 2, 0)
        same = crc(canvas) == entry["letterbox_640"]["canvas_crc32"]
        equal += same
        assert same or crc(rgb[:, :, ::-1]) != entry["pixels_crc32"], entry["image"]
    print("canvas CRCs equal: %d of %d" % (equal, len(reference.pictures)))


def test_input_tensor(device, read, reference):
    for entry in reference.letterbox["tensors"]:
        where, side = (entry["image"], entry["det_size"]), entry["det_size"]
        levels = device.letterbox(read(entry["image"]), side, np.uint8)
        assert crc(levels[::-1].transpose(1, 2, 0)) == entry["canvas_crc32"], where
        values = device.letterbox(read(entry["image"]), side, np.float32, batch=3, slot=1)
        np.testing.assert_array_equal(values.ravel()[:8], np.float32(entry["first8"]), str(where))
        assert abs(float(values.mean(dtype=np.float64)) - entry["mean"]) < 1e-6, where
        assert crc(values) == entry["tensor_crc32"], where


def test_alignment_matrices(internals, reference, worst):
    data = reference.alignment
    for index, entry in enumerate(data["sets"] + data["synthetic"]):
        where = entry.get("name") or "%s face %d" % (entry["image"], entry["face_index"])
        for key, side, tolerance in (("matrix", 112, 2e-4), ("matrix_float64", 112, 1e-5),
                                     ("matrix_size_128", 128, 2e-4), ("matrix_size_224", 224, 4e-4)):
            if key in entry:
                difference = np.abs(internals.align_matrix(entry["landmarks"], side) - np.array(entry[key])).max()
                worst.note(key, difference, where)
                assert difference <= tolerance, (where, key)
    assert index >= 13


def test_aligned_crops(device, internals, read, reference, worst):
    """The CRC is OpenCV's own rounding and not demanded; mean and deviation of the crop are, and one pixel. How far a
    crop may be off is checked against a plain double-precision bilinear warp here."""
    equal = 0
    for entry in reference.alignment["sets"]:
        where = "%s face %d" % (entry["image"], entry["face_index"])
        rgb = read(entry["image"])
        matrix = internals.align_matrix(entry["landmarks"], 112)
        bgr = device.warp(rgb, matrix, 112)[:, :, ::-1]
        equal += crc(bgr) == entry["crop_crc32"]
        for key, value in (("crop_mean_bgr", bgr.reshape(-1, 3).mean(0)), ("crop_std_bgr", bgr.reshape(-1, 3).std(0))):
            difference = np.abs(value - np.array(entry[key])).max()
            worst.note(key, difference, where)
            assert difference <= 0.05, (where, key)
        difference = np.abs(bgr[56, 56].astype(int) - entry["crop_pixel_56_56_bgr"]).max()
        worst.note("pixel 56,56", difference, where)
        assert difference <= 1, where
        plain = bilinear_crop(rgb, matrix, 112)[:, :, ::-1].astype(int)
        steps = np.abs(plain - bgr)
        worst.note("levels off bilinear", steps.max(), where)
        worst.note("equal to bilinear", (steps == 0).mean(), where, high_is_bad=False)
        assert steps.max() <= 1 and (steps == 0).mean() >= 0.999, where
    print("crops equal to OpenCV's to the byte: %d of %d" % (equal, len(reference.alignment["sets"])))


def bilinear_crop(rgb, matrix, side):
    """RECIPES D2 in double precision: crop pixel (x, y) is the image at inverse(matrix)(x, y), black outside."""
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    y, x = np.mgrid[:side, :side]
    sx, sy, _ = np.tensordot(inverse, np.stack([x, y, np.ones_like(x)]).astype(float), 1)
    left, top = np.floor(sx).astype(int), np.floor(sy).astype(int)
    fx, fy = (sx - left)[..., None], (sy - top)[..., None]

    def tap(tx, ty):
        inside = (tx >= 0) & (tx < rgb.shape[1]) & (ty >= 0) & (ty < rgb.shape[0])
        level = rgb[np.clip(ty, 0, rgb.shape[0] - 1), np.clip(tx, 0, rgb.shape[1] - 1)].astype(float)
        return np.where(inside[..., None], level, 0.0)

    value = ((tap(left, top) * (1 - fx) + tap(left + 1, top) * fx) * (1 - fy)
             + (tap(left, top + 1) * (1 - fx) + tap(left + 1, top + 1) * fx) * fy)
    return np.floor(value + 0.5).astype(np.uint8)


def test_nms_lists(device, reference):
    for name, data in reference.nms_lists():
        for percent in (30, 40, 50):
            for key, plus_one in (("plus1", True), ("torchvision", False)):
                kept = device.nms(data["boxes"], data["scores"], percent / 100, plus_one)
                want = data["keep_%s_%d" % (key, percent)]
                np.testing.assert_array_equal(kept, want, "%s %d %s" % (name, percent, key))


def test_nms_edge_cases(device, reference):
    for case in reference.nms_edge_cases:
        for key, plus_one in (("keep_plus1", True), ("keep_torchvision", False)):
            kept = device.nms(case["boxes"], case["scores"], case["threshold"], plus_one)
            assert kept.tolist() == case[key], (case["name"], key)


@pytest.fixture(scope="session")
def raw(reference):
    return reference.raw()


def heads_of(raw):
    return [raw["%s_%d" % (kind, stride)] for kind in ("score", "bbox", "kps") for stride in (8, 16, 32)]


def detect(device, raw, heads, **options):
    return device.detect(heads, raw["side"], raw["scale"], **dict({"threshold": raw["threshold"], "anchors": raw["anchors"]}, **options))


def check_rows(rows, raw, worst, where):
    assert len(rows) == len(raw["rows"]), where
    figures = (("box, px", np.abs(rows[:, :4] - raw["rows"][:, :4]).max(), 0.01),
               ("score", np.abs(rows[:, 4] - raw["rows"][:, 4]).max(), 1e-6),
               ("points, px", np.abs(rows[:, 5:15].reshape(-1, 5, 2) - raw["kps"]).max(), 0.01))
    for name, difference, tolerance in figures:
        worst.note(name, difference, where)
        assert difference <= tolerance, (where, name)


def test_scrfd_outputs(device, raw, worst):
    rows = detect(device, raw, heads_of(raw))
    check_rows(rows, raw, worst, "one image")
    assert rows[:, 15].tolist() == raw["rivals"]


@pytest.mark.parametrize("interleaved", (True, False))
def test_scrfd_outputs_of_a_batch(device, raw, worst, interleaved):
    """Image 1 of 3 among others full of faces: rows run cell, image, anchor in the stock files (RECIPES D25), image,
    cell, anchor in files exported with a batch."""
    generator = np.random.default_rng(25)
    batch = []
    for head in heads_of(raw):
        cells = head.reshape(-1, raw["anchors"], head.shape[1])
        images = generator.uniform(0.4, 0.9, (len(cells), 3) + cells.shape[1:]).astype(np.float32)
        images[:, 1] = cells
        batch.append(images if interleaved else images.transpose(1, 0, 2, 3))
    check_rows(detect(device, raw, batch, batch=3, slot=1, interleaved=interleaved), raw, worst, "slot 1 of 3")


def test_rows_of_every_level_are_equal(internals, raw):
    """Levels agree to the last bit at a threshold that keeps hundreds of candidates."""
    devices = [device for device in map(internals.device, LEVELS) if device]
    answers = [detect(device, raw, heads_of(raw), threshold=0.02) for device in devices]
    assert len(answers[0]) > len(raw["rows"])
    for answer in answers[1:]:
        assert answer.tobytes() == answers[0].tobytes()


def test_crops_of_every_level_are_equal(internals, read, reference):
    devices = [device for device in map(internals.device, LEVELS) if device]
    for entry in reference.alignment["sets"]:
        matrix = internals.align_matrix(entry["landmarks"], 112)
        crops = [device.warp(read(entry["image"]), matrix, 112) for device in devices]
        for crop in crops[1:]:
            np.testing.assert_array_equal(crop, crops[0], entry["image"])
