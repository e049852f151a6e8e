#!/usr/bin/env python3
"""Answers for tests/golden/mini: what packs/mini finds in drawn pictures when everything around the two networks is done
by the recipes in numpy, without any of facemill's code.

    make_expected_mini.py

Run it with a Python that has onnxruntime, numpy and OpenCV whenever the networks of packs/mini or the drawing change; it
takes half a minute. OpenCV decodes the pictures and checks the resize; the rest is written out here: resize, letterbox,
SCRFD's heads with any number of anchors, suppression with +1, similarity transform by singular values, bilinear warp in
double precision. What the manifest says (order, mean, std, crop, thresholds) is read from it. A second run gives the
same bytes."""
import hashlib
import json
import os
import sys
import tempfile
import zlib

import cv2
import numpy as np
import onnxruntime

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
sys.dont_write_bytecode = True

import draw_pictures  # noqa: E402

PACK = os.path.join(ROOT, "packs", "mini")
OUT = os.path.join(HERE, "mini")
TEMPLATE_112 = np.float32([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
STRIDES = (8, 16, 32)
SETTINGS = {"640": (640,), "320": (320,), "320,640": (320, 640)}
RAW_PICTURE, RAW_SIDE = "two.png", 160
SCORE_EDGE, TIE = 5e-4, 1e-5  # nearer to the threshold, or to a rival, no picture may come: another runtime may differ


# ---------------------------------------------------------------- pixels

def crc(array):
    return "%08x" % zlib.crc32(np.ascontiguousarray(array).tobytes())


def grid_means(bgr):
    h, w = bgr.shape[:2]
    return [round(float(v), 3) for r in range(4) for c in range(4)
            for v in bgr[h * r // 4:h * (r + 1) // 4, w * c // 4:w * (c + 1) // 4].reshape(-1, 3).mean(axis=0)]


def resize(image, new_width, new_height):
    """Bilinear in 11-bit weights; at the borders the horizontal pass drops its weight, the vertical one only its row."""
    height, width = image.shape[:2]

    def positions(new, old):
        f = ((np.arange(new) + 0.5) * (1.0 / (new / old)) - 0.5).astype(np.float32)
        p = np.floor(f)
        return p.astype(np.int64), f - p

    def weights(t):
        return (np.rint((np.float32(1) - t) * np.float32(2048)).astype(np.int64), np.rint(t * np.float32(2048)).astype(np.int64))

    x, tx = positions(new_width, width)
    tx[(x < 0) | (x >= width - 1)] = 0
    x = np.clip(x, 0, width - 1)
    w0, w1 = weights(tx)
    source = image.astype(np.int64)
    rows = source[:, x] * w0[:, None] + source[:, np.minimum(x + 1, width - 1)] * w1[:, None]
    y, ty = positions(new_height, height)
    b0, b1 = (w[:, None, None] for w in weights(ty))
    upper, lower = rows[np.clip(y, 0, height - 1)] >> 4, rows[np.clip(y + 1, 0, height - 1)] >> 4
    return np.clip((((b0 * upper) >> 16) + ((b1 * lower) >> 16) + 2) >> 2, 0, 255).astype(np.uint8)


def fit(width, height, side):
    """New width and height, and the scale of both axes. The quotient is binary floating point and is cut off."""
    ratio = height / width
    new_width, new_height = (int(side / ratio), side) if ratio > 1 else (side, int(side * ratio))
    return new_width, new_height, new_height / height


def canvas_of(image, side):
    new_width, new_height, scale = fit(image.shape[1], image.shape[0], side)
    small = resize(image, new_width, new_height)
    assert (small == cv2.resize(image, (new_width, new_height))).all(), "the resize written out is not OpenCV's"
    canvas = np.zeros((side, side, 3), np.uint8)
    canvas[:new_height, :new_width] = small
    return canvas, scale


def tensor(bgr, pixels):
    """1x3xHxW as the manifest's `pixels` wants it."""
    levels = bgr if pixels["order"] == "bgr" else bgr[:, :, ::-1]
    return np.ascontiguousarray(((levels.astype(np.float32) - np.float32(pixels["mean"])) / np.float32(pixels["std"]))
                                .transpose(2, 0, 1)[None])


def warp(image, matrix, side):
    """Crop pixel (x, y) is the picture at inverse(matrix)(x, y): bilinear, black outside."""
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    y, x = np.mgrid[:side, :side]
    sx = inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]
    sy = inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]
    left, top = np.floor(sx).astype(int), np.floor(sy).astype(int)
    fx, fy = (sx - left)[..., None], (sy - top)[..., None]
    height, width = image.shape[:2]

    def tap(ty, tx):
        levels = image[np.clip(ty, 0, height - 1), np.clip(tx, 0, width - 1)].astype(np.float64)
        levels[(ty < 0) | (ty >= height) | (tx < 0) | (tx >= width)] = 0
        return levels

    value = ((tap(top, left) * (1 - fx) + tap(top, left + 1) * fx) * (1 - fy)
             + (tap(top + 1, left) * (1 - fx) + tap(top + 1, left + 1) * fx) * fy)
    return np.floor(value + 0.5).astype(np.uint8)


def similarity(source, target, real=np.float64):
    """Umeyama 1991: the least-squares rotation, scale and shift, by singular values, with the reflection guard."""
    source, target = np.asarray(source, real), np.asarray(target, real)
    from_mean, to_mean = source.mean(0), target.mean(0)
    covariance = (target - to_mean).T @ (source - from_mean) / len(source)
    sign = np.array([1, np.sign(np.linalg.det(covariance))], real)
    u, values, v = np.linalg.svd(covariance)
    guard = np.array([1, np.sign(np.linalg.det(u) * np.linalg.det(v))], real)
    rotation = u @ np.diag(guard) @ v
    scale = (values * sign).sum() / (source - from_mean).var(axis=0).sum()
    return np.hstack([scale * rotation, (to_mean - scale * rotation @ from_mean)[:, None]])


def template(side):
    if side % 112 == 0:
        return TEMPLATE_112 * np.float32(side / 112)
    return TEMPLATE_112 * np.float32(side / 128) + np.float32([8 * side / 128, 0])


# ---------------------------------------------------------------- faces

def decode(heads, side, scale):
    """All rows of one image: box, score, points in picture pixels; heads are (scores, boxes, points) of three strides."""
    rows = []
    for k, stride in enumerate(STRIDES):
        scores, boxes, points = (np.asarray(heads[k + 3 * part], np.float32) for part in range(3))
        cells = side // stride
        anchors = len(scores) // (cells * cells)
        y, x = np.divmod(np.arange(cells * cells).repeat(anchors), cells)
        centre = np.float32(np.stack([x, y], 1) * stride)
        box = np.hstack([centre - boxes[:, :2] * stride, centre + boxes[:, 2:] * stride])
        marks = np.tile(centre, 5) + points * stride
        rows.append(np.hstack([box / np.float32(scale), scores.reshape(-1, 1), marks / np.float32(scale)]))
    return np.vstack(rows).astype(np.float32)


def overlaps(box, boxes, plus):
    w = np.maximum(0, np.minimum(box[2], boxes[:, 2]) - np.maximum(box[0], boxes[:, 0]) + plus)
    h = np.maximum(0, np.minimum(box[3], boxes[:, 3]) - np.maximum(box[1], boxes[:, 1]) + plus)
    area = (box[2] - box[0] + plus) * (box[3] - box[1] + plus)
    areas = (boxes[:, 2] - boxes[:, 0] + plus) * (boxes[:, 3] - boxes[:, 1] + plus)
    return w * h / (area + areas - w * h)


def suppress(boxes, scores, threshold, plus):
    """Kept indices, best first; of equals the earlier one."""
    boxes, kept = np.asarray(boxes, np.float32), []
    order = np.argsort(-np.asarray(scores), kind="stable")
    with np.errstate(invalid="ignore"):
        while order.size:
            kept.append(int(order[0]))
            order = order[1:][~(overlaps(boxes[order[0]], boxes[order[1:]], np.float32(plus)) > np.float32(threshold))]
    return kept


def rivals(rows, kept, thresholds, gap):
    """For each kept row: how many that it suppressed score within `gap` of it and lie elsewhere."""
    found = []
    for row in kept:
        near = (overlaps(row, rows, np.float32(1)) > thresholds["nms"]) & (rows[:, 4] >= row[4] - gap)
        found.append(int((np.abs(rows[near][:, :4] - row[:4]).max(axis=1) > 1e-3).sum()))
    return found


class Pack:
    def __init__(self):
        with open(os.path.join(PACK, "manifest.json"), encoding="utf-8") as file:
            manifest = json.load(file)
        self.sha256, self.session, self.model = {}, {}, {}
        for model in manifest["models"]:
            with open(os.path.join(PACK, model["file"]), "rb") as file:
                data = file.read()
            self.sha256[model["file"]] = hashlib.sha256(data).hexdigest()
            assert self.sha256[model["file"]] == model["sha256"], model["file"] + " is not the manifest's"
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 2
            self.session[model["task"]] = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
            self.model[model["task"]] = model

    def run(self, task, values):
        session = self.session[task]
        return session.run(None, {session.get_inputs()[0].name: values})

    def heads(self, canvas):
        """Scores, boxes, points of strides 8, 16, 32, told apart by their width and length."""
        outputs = [output[0] if output.ndim == 3 else output
                   for output in self.run("detection", tensor(canvas, self.model["detection"]["pixels"]))]
        return sorted(outputs, key=lambda output: ((1, 4, 10).index(output.shape[1]), -len(output)))

    def detect(self, image, sides, where):
        thresholds = self.model["detection"]["thresholds"]
        rows = []
        for side in sides:
            canvas, scale = canvas_of(image, side)
            rows.append(decode(self.heads(canvas), side, scale))
        rows = np.vstack(rows)
        edge = np.abs(rows[:, 4] - thresholds["score"]).min()
        rows = rows[rows[:, 4] >= thresholds["score"]]
        kept = rows[suppress(rows[:, :4], rows[:, 4], thresholds["nms"], 1)]
        if edge < SCORE_EDGE or any(rivals(rows, kept, thresholds, TIE)):
            sys.exit("%s at %s stands on the edge (%g from the threshold): change its seed in %s"
                     % (where, sides, edge, draw_pictures.__file__))
        return kept

    def embed(self, image, points):
        model = self.model["recognition"]
        matrix = similarity(points, model["crop"]["points"])
        crop = warp(image, matrix, model["crop"]["side"])
        return self.run("recognition", tensor(crop, model["pixels"]))[0][0].astype(np.float64)


# ---------------------------------------------------------------- the files

def digits(values, count=5):
    return [round(float(v), count) for v in np.ravel(values)]


def face_record(pack, image, row):
    embedding = pack.embed(image, row[5:15].reshape(5, 2))
    norm = np.linalg.norm(embedding)
    return {"bbox": digits(row[:4]), "det_score": round(float(row[4]), 7), "kps": [digits(p) for p in row[5:15].reshape(5, 2)],
            "embedding_norm": round(float(norm), 6), "embedding": digits(embedding / norm, 6)}


def picture_record(pack, name, image):
    height, width = image.shape[:2]
    canvas, scale = canvas_of(image, 640)
    new_width, new_height, _ = fit(width, height, 640)
    return {"image": name, "width": width, "height": height, "pixels_crc32": crc(image), "grid_mean_bgr": grid_means(image),
            "letterbox_640": {"new_width": new_width, "new_height": new_height, "scale": scale, "canvas_crc32": crc(canvas)},
            "faces": {setting: [face_record(pack, image, row) for row in pack.detect(image, sides, name)]
                      for setting, sides in SETTINGS.items()}}


def letterbox_record(images):
    sizes = [(640, 640), (1280, 886), (320, 200), (333, 777), (1537, 2120), (4032, 3024), (37, 1999), (641, 639), (100, 101)]
    keys = ("new_width", "new_height", "scale")
    record = {"sizes": [dict(width=w, height=h, **{"det_%d" % side: dict(zip(keys, fit(w, h, side))) for side in (640, 320)})
                        for w, h in sizes], "tensors": []}
    for name, side in (("six.png", 640), ("small.png", 640), ("three.png", 320)):
        canvas, _ = canvas_of(images[name], side)
        values = tensor(canvas, {"order": "rgb", "mean": 127.5, "std": 128})
        record["tensors"].append({"image": name, "det_size": side, "canvas_crc32": crc(canvas), "tensor_crc32": crc(values),
                                  "mean": float(values.mean(dtype=np.float64)), "first8": [float(v) for v in values.ravel()[:8]]})
    return record


def alignment_record(images, pictures):
    def matrices(points, sides):
        record = {"landmarks": [digits(p) for p in points]}
        points = np.float32(record["landmarks"])
        record["matrix"] = similarity(points, template(112), np.float32).astype(float).tolist()
        record["matrix_float64"] = similarity(points, template(112)).tolist()
        record.update({"matrix_size_%d" % side: similarity(points, template(side)).tolist() for side in sides})
        return record

    sets = []
    for picture in pictures:
        for index, face in enumerate(picture["faces"]["640"][:2]):
            record = dict(image=picture["image"], face_index=index, **matrices(face["kps"], (128, 224)))
            crop = warp(images[picture["image"]], np.array(record["matrix_float64"]), 112)
            record.update(crop_mean_bgr=crop.reshape(-1, 3).mean(0).tolist(), crop_std_bgr=crop.reshape(-1, 3).std(0).tolist(),
                          crop_pixel_56_56_bgr=crop[56, 56].tolist(), crop_crc32=crc(crop))
            sets.append(record)
    mirrored = np.float32(sets[0]["landmarks"]) * np.float32([-1, 1]) + np.float32([400, 0])
    return {"sets": sets, "synthetic": [dict(name="mirrored", **matrices(mirrored, ())),
                                        dict(name="the template itself", **matrices(TEMPLATE_112, ()))]}


def nms_cases():
    """Overlaps at and beside the threshold, ties, nothing inside, one box and none."""
    cases = []
    for name, boxes, scores in (("half of the area, without +1", [[0, 0, 10, 10], [0, 0, 10, 5]], [0.9, 0.8]),
                                ("half of the area, with +1", [[0, 0, 9, 9], [0, 0, 9, 4]], [0.9, 0.8]),
                                ("edges that touch", [[0, 0, 10, 10], [10, 0, 20, 10]], [0.9, 0.8]),
                                ("equal scores", [[0, 0, 10, 10], [1, 0, 11, 10], [40, 0, 50, 10]], [0.7, 0.7, 0.7]),
                                ("the later one is better", [[0, 0, 10, 10], [1, 0, 11, 10]], [0.6, 0.7]),
                                ("one", [[3, 3, 8, 9]], [0.5]), ("none", [], [])):
        record = {"name": name, "boxes": boxes, "scores": scores, "threshold": 0.5}
        for key, plus in (("keep_plus1", 1), ("keep_torchvision", 0)):
            record[key] = suppress(np.reshape(np.float32(boxes), (-1, 4)), np.float32(scores), 0.5, plus)
        cases.append(record)
    return cases


def nms_list():
    """400 boxes in heaps, a third of them with scores of their neighbours, no overlap near a threshold."""
    generator = np.random.default_rng(4)
    while True:
        centre = generator.uniform(50, 550, (60, 2))[generator.integers(0, 60, 400)] + generator.normal(0, 9, (400, 2))
        half = generator.uniform(12, 40, (400, 2))
        boxes = np.float32(np.hstack([centre - half, centre + half]))
        scores = np.float32(np.round(generator.uniform(0.5, 1, 400), 2))
        found = np.concatenate([overlaps(box, boxes.astype(float), plus) for box in boxes.astype(float) for plus in (0, 1)])
        if np.abs(found[:, None] - [0.3, 0.4, 0.5]).min() > 2e-6:
            break
    arrays = {"boxes": boxes, "scores": scores}
    for percent in (30, 40, 50):
        for key, plus in (("plus1", 1), ("torchvision", 0)):
            arrays["keep_%s_%d" % (key, percent)] = np.int32(suppress(boxes, scores, percent / 100, plus))
    return arrays


def raw_arrays(pack, image):
    """The detector's nine outputs for one picture, and the faces in them."""
    canvas, scale = canvas_of(image, RAW_SIDE)
    heads, thresholds = pack.heads(canvas), pack.model["detection"]["thresholds"]
    rows = decode(heads, RAW_SIDE, scale)
    rows = rows[rows[:, 4] >= thresholds["score"]]
    kept = rows[suppress(rows[:, :4], rows[:, 4], 0.4, 1)]
    arrays = {"%s_%d" % (kind, stride): heads[3 * part + k].astype(np.float32)
              for part, kind in enumerate(("score", "bbox", "kps")) for k, stride in enumerate(STRIDES)}
    return dict(arrays, rows=kept[:, :5], kps=kept[:, 5:].reshape(-1, 5, 2), rivals=rivals(rows, kept, {"nms": 0.4}, 0.002),
                side=RAW_SIDE, scale=scale, anchors=len(heads[0]) // (RAW_SIDE // STRIDES[0]) ** 2, threshold=thresholds["score"])


def write_turned():
    """The picture that lies on its side: pixels turned to the left, orientation 6 in the Exif part."""
    canvas = draw_pictures.draw(*draw_pictures.DRAWN_TURNED)
    bgr = np.frombuffer(b"".join(canvas.rows), np.uint8).reshape(canvas.height, canvas.width, 3)[:, :, ::-1]
    jpeg = cv2.imencode(".jpg", np.ascontiguousarray(np.rot90(bgr)), [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
    entry = bytes.fromhex("0112 0003 00000001 0006 0000".replace(" ", ""))
    exif = b"Exif\0\0" + b"MM\0*" + (8).to_bytes(4, "big") + (1).to_bytes(2, "big") + entry + bytes(4)
    with open(draw_pictures.TURNED, "wb") as file:
        file.write(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])


def write_json(name, record):
    """One line per picture, face or entry: short files whose changes can be read."""
    lines = []
    for key, value in record.items():
        body = json.dumps(value)
        if isinstance(value, list) and len(body) > 120:
            body = "[\n  %s\n ]" % ",\n  ".join(json.dumps(entry) for entry in value)
        lines.append(" %s: %s" % (json.dumps(key), body))
    with open(os.path.join(OUT, name), "w", encoding="utf-8") as file:
        file.write("{\n%s\n}\n" % ",\n".join(lines))


def main():
    if len(sys.argv) != 1:
        sys.exit(__doc__.strip())
    pack = Pack()
    os.makedirs(OUT, exist_ok=True)
    if not os.path.exists(draw_pictures.TURNED):
        write_turned()
    with tempfile.TemporaryDirectory() as folder:
        images = {name: cv2.imread(os.path.join(folder, name)) for name in draw_pictures.draw_all(folder)}
    pictures = [picture_record(pack, name, image) for name, image in images.items()]
    write_json("expected.json", {
        "made_by": "tests/golden/make_expected_mini.py", "models": pack.sha256,
        "versions": {"onnxruntime": onnxruntime.__version__, "numpy": np.__version__, "opencv": cv2.__version__},
        "images": pictures, "letterbox": letterbox_record(images), "nms_edge_cases": nms_cases()})
    write_json("alignment.json", alignment_record(images, pictures))
    np.savez_compressed(os.path.join(OUT, "arrays.npz"), **{"nms_" + key: value for key, value in nms_list().items()},
                        **raw_arrays(pack, images[RAW_PICTURE]))
    for picture in pictures:
        print("%-14s %4dx%-4d faces: %s" % (picture["image"], picture["width"], picture["height"], ", ".join(
            "%d at %s" % (len(faces), setting) for setting, faces in picture["faces"].items())))
    print("%d bytes in %s" % (sum(os.path.getsize(os.path.join(OUT, name)) for name in os.listdir(OUT)), OUT))


if __name__ == "__main__":
    main()
