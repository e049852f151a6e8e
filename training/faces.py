"""Face detectors behind ONNX Runtime, decoded to boxes, scores and five points in picture coordinates: the teachers
(YuNet, RetinaFace mobilenet0.25), ours and its rivals (SCRFD's convention). Pictures are BGR."""

import cv2
import numpy as np

from training import data

STRIDES = (8, 16, 32)
MIRRORED = [1, 0, 2, 4, 3]  # which point is which in the mirror
CHIP_SIDE = 150
# Where the five points stand in the chip of dlib's network
CHIP_POINTS = np.array([[46.75, 45.5], [102.25, 45.5], [74.5, 77.0], [50.7, 103.5], [98.3, 103.5]])
ARCFACE_POINTS = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
                           [70.7299, 92.2041]])


def letterbox(picture, size):
    """(canvas, scale): the picture scaled to a longer side of `size`, at the top left of black sides of n x 32."""
    height, width = picture.shape[:2]
    scale = size / max(height, width)
    new_width, new_height = max(1, int(width * scale)), max(1, int(height * scale))
    canvas = np.zeros((-(-new_height // 32) * 32, -(-new_width // 32) * 32, 3), np.uint8)
    canvas[:new_height, :new_width] = cv2.resize(picture, (new_width, new_height))
    return canvas, scale


def areas(boxes):
    return np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)


def sizes(boxes):
    return np.sqrt(areas(boxes))


def overlaps(first, second):
    """IoU of each with each."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=2)
    return common / np.maximum(areas(first)[:, None] + areas(second)[None] - common, 1e-9)


def suppress(boxes, scores, limit=0.4, most=750):
    """Indices that survive, best first; sides count as x2 - x1 + 1."""
    wide = np.concatenate([boxes[:, :2], boxes[:, 2:] + 1], axis=1)
    order, kept = np.argsort(-scores, kind="stable"), []
    while len(order) and len(kept) < most:
        kept.append(order[0])
        rest = order[1:]
        order = rest[overlaps(wide[order[:1]], wide[rest])[0] <= limit]
    return np.array(kept, dtype=int)


def cells(height, width, stride):
    """Upper left corners of the cells, row by row: [n,2] as x, y."""
    y, x = np.mgrid[:height // stride, :width // stride]
    return np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float32) * stride


class Detector:
    """`decode(canvas, threshold)` of a child gives boxes, scores and points of the canvas."""

    def __init__(self, path):
        self.session = data.session(path)
        self.input = self.session.get_inputs()[0].name

    def run(self, canvas, mean, scale, outputs=None):
        pixels = (canvas.astype(np.float32) - np.float32(mean)) * np.float32(scale)
        return self.session.run(outputs, {self.input: np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])})

    def __call__(self, picture, size=640, threshold=0.02):
        canvas, scale = letterbox(picture, size)
        boxes, scores, points = self.decode(canvas, threshold)
        kept = suppress(boxes, scores)
        return boxes[kept] / scale, scores[kept], points[kept] / scale


class Scrfd(Detector):
    """Scores, boxes, points at strides 8, 16, 32; one anchor per cell or two."""

    def decode(self, canvas, threshold):
        outputs = self.run(canvas[:, :, ::-1], 127.5, 1 / 128)
        outputs = [value.reshape(-1, value.shape[-1]) for value in outputs]
        boxes, scores, points = [], [], []
        for level, stride in enumerate(STRIDES):
            score = outputs[level][:, 0]
            corner = cells(*canvas.shape[:2], stride)
            corner = corner.repeat(len(score) // len(corner), axis=0)
            sure = score >= threshold
            corner, sides = corner[sure], outputs[3 + level][sure] * stride
            boxes.append(np.concatenate([corner - sides[:, :2], corner + sides[:, 2:]], axis=1))
            points.append(outputs[6 + level][sure].reshape(-1, 5, 2) * stride + corner[:, None])
            scores.append(score[sure])
        return np.concatenate(boxes), np.concatenate(scores), np.concatenate(points)


class YuNet(Detector):
    def decode(self, canvas, threshold):
        names = ["%s_%d" % (kind, stride) for kind in ("cls", "obj", "bbox", "kps") for stride in STRIDES]
        outputs = [value.reshape(-1, value.shape[-1]) for value in self.run(canvas, 0, 1, names)]
        boxes, scores, points = [], [], []
        for level, stride in enumerate(STRIDES):
            kind, thing, box, point = outputs[level::3]
            score = np.sqrt(np.clip(kind[:, 0], 0, 1) * np.clip(thing[:, 0], 0, 1))
            sure = score >= threshold
            corner, box = cells(*canvas.shape[:2], stride)[sure], box[sure]
            centre, half = corner + box[:, :2] * stride, np.exp(box[:, 2:]) * stride / 2
            boxes.append(np.concatenate([centre - half, centre + half], axis=1))
            points.append(point[sure].reshape(-1, 5, 2) * stride + corner[:, None])
            scores.append(score[sure])
        return np.concatenate(boxes), np.concatenate(scores), np.concatenate(points)


class RetinaFace(Detector):
    SIDES = {8: (16, 32), 16: (64, 128), 32: (256, 512)}

    def priors(self, height, width):
        rows = []
        for stride, sides in self.SIDES.items():
            centre = cells(height, width, stride) + stride / 2
            rows.append(np.stack([np.column_stack([centre, np.full((len(centre), 2), side)]) for side in sides], 1))
        return np.concatenate([row.reshape(-1, 4) for row in rows]).astype(np.float32)

    def decode(self, canvas, threshold):
        outputs = {value.shape[-1]: value[0] for value in self.run(canvas, (104, 117, 123), 1)}
        scores = outputs[2][:, 1]
        sure = scores >= threshold
        prior, box, point = self.priors(*canvas.shape[:2])[sure], outputs[4][sure], outputs[10][sure]
        centre, side = prior[:, :2], prior[:, 2:]
        middle, half = centre + 0.1 * box[:, :2] * side, side * np.exp(0.2 * box[:, 2:]) / 2
        points = centre[:, None] + 0.1 * point.reshape(-1, 5, 2) * side[:, None]
        return np.concatenate([middle - half, middle + half], axis=1), scores[sure], points


MODELS = {"det_500m": Scrfd, "scrfd_2.5g_bnkps": Scrfd, "yunet_n": YuNet, "retinaface_mnet025": RetinaFace}


def open_detector(name):
    """One of MODELS in the reference data, or the path of a network of ours."""
    if name in MODELS:
        return MODELS[name](data.shared("models", name + ".onnx"))
    return Scrfd(name)


def mirrored_mean(detector, picture, size, threshold=0.5):
    """(boxes, points): faces that are found in the picture and in its mirror image, points averaged."""
    boxes, _, points = detector(picture, size, threshold)
    other, _, seen = detector(np.ascontiguousarray(picture[:, ::-1]), size, threshold)
    if len(boxes) == 0 or len(other) == 0:
        return np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32)
    last = picture.shape[1] - 1
    other = np.stack([last - other[:, 2], other[:, 1], last - other[:, 0], other[:, 3]], axis=1)
    seen = np.stack([last - seen[:, MIRRORED, 0], seen[:, MIRRORED, 1]], axis=2)
    shares = overlaps(boxes, other)
    sure = shares.max(axis=1) >= 0.5
    return boxes[sure], (points[sure] + seen[shares.argmax(axis=1)[sure]]) / 2


def central(boxes, width, height):
    """Index of the box nearest to the middle of the picture."""
    return int(np.hypot(*((boxes[:, :2] + boxes[:, 2:]) / 2 - np.array([width, height]) / 2).T).argmin())


def similarity(source, target):
    """Least-squares rotation, scale and shift that takes the points `source` to `target`: a 2x3 matrix."""
    middle, goal = source.mean(axis=0), target.mean(axis=0)
    a, b = source - middle, target - goal
    left, values, right = np.linalg.svd(b.T @ a / len(a))
    sign = np.array([1.0, np.sign(np.linalg.det(left @ right))])
    scale = (values * sign).sum() / a.var(axis=0).sum()
    turn = scale * left @ np.diag(sign) @ right
    return np.column_stack([turn, goal - turn @ middle])
