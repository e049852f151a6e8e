#!/usr/bin/env python3
"""Training canvases, composed on the fly: crops of real scenes, single photographs, mosaics, crowds, heads cut out and
put on other grounds, and canvases without a face. Everything follows from one generator.

A face is a row of a label: box (4), points (10), whether each point is known (5), state (FACE or IGNORED). As a command
it writes a sheet of canvases and says how large the faces are, for looking before training."""

import math
import os

import cv2
import numpy as np

from training import data, faces
from training.detector import clutter
from training.label import SURE

FACE, IGNORED = 1, 0
LABEL_COLUMNS = 20
SMALLEST = 7.0   # smaller faces are ignored, in pixels
VISIBLE = 0.4    # faces of which less is seen are ignored
SOURCES = {"lfw": 0.42, "utk": 0.24, "rest": 0.13, "ffhq": 0.21}
# kind of canvas: how often, in the first and in the second pass
KINDS = ({"scene": 0.42, "single": 0.20, "mosaic": 0.15, "crowd": 0.12, "cutouts": 0.07, "empty": 0.04},
         {"scene": 0.36, "single": 0.28, "mosaic": 0.12, "crowd": 0.11, "cutouts": 0.07, "empty": 0.06})
DRAWN = 0.06     # of the scenes are drawn ones


class Photographs:
    """One archive: pictures (in a file, mapped) and, for each usable one, its faces with the main one first."""

    def __init__(self, work, name):
        self.pictures = np.load(os.path.join(work, name + ".npy"), mmap_mode="r")
        labels = np.load(os.path.join(work, name + ".npz"))
        self.entries = []
        picture = labels["picture"]
        starts = np.searchsorted(picture, np.arange(len(self.pictures) + 1))
        columns = [labels[key] for key in ("boxes", "points", "known", "scores")]
        for index, (low, high) in enumerate(zip(starts[:-1], starts[1:])):
            boxes, points, known, scores = (column[low:high] for column in columns)
            sure = np.flatnonzero(scores >= SURE)
            if len(sure):
                side = self.pictures.shape[1]
                main = sure[faces.central(boxes[sure], side, side)]
                order = np.array([main] + [i for i in range(len(boxes)) if i != main])
                self.entries.append((index, boxes[order], points[order], known[order], scores[order] >= SURE))

    def pick(self, rng):
        index, *labels = self.entries[rng.integers(len(self.entries))]
        return [np.asarray(self.pictures[index]), *labels]


def read_scenes(work):
    """[[picture, boxes, points, known, counted]] of photographs, and of drawings."""
    stored = np.load(os.path.join(work, "scenes.npz"))
    names = ("picture", "boxes", "points", "known", "counted")
    rows = [[stored["%s_%d" % (name, index)] for name in names] for index in range(len(stored["drawn"]))]
    return [[row for row, is_drawn in zip(rows, stored["drawn"]) if is_drawn == kind] for kind in (0, 1)]


def turn(rng, scale, angle, stretch=0.05):
    """2x2: scale, rotation in degrees, sometimes mirrored, a little stretched."""
    angle, stretch = math.radians(angle), math.exp(rng.normal(0, stretch))
    mirror = -1 if rng.random() < 0.5 else 1
    c, s = math.cos(angle) * scale, math.sin(angle) * scale
    return np.array([[c * stretch * mirror, -s / stretch], [s * stretch * mirror, c / stretch]])


def about(matrix, source, target):
    """2x3: `matrix` around the point `source`, which lands on `target`."""
    return np.column_stack([matrix, np.asarray(target) - matrix @ source])


def log_uniform(rng, low, high):
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def warp(rng, picture, matrix, width, height, border):
    """warpAffine that halves large pictures first, so that small faces are not made of stray pixels."""
    scale, shrunk = math.sqrt(abs(np.linalg.det(matrix[:, :2]))), 1
    while scale * shrunk < 0.55 and min(picture.shape[:2]) > 8:
        picture = cv2.resize(picture, (picture.shape[1] // 2, picture.shape[0] // 2), interpolation=cv2.INTER_AREA)
        shrunk *= 2
    offset = matrix[:, 2] + matrix[:, :2] @ np.full(2, (shrunk - 1) / 2)
    matrix = np.column_stack([matrix[:, :2] * shrunk, offset])
    fill = clutter.colour(rng)
    return cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=fill)


def move(matrix, boxes, points):
    """Boxes keep their kind of shape under rotation: half sides add up as lengths of the turned axes."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    half = np.sqrt(((boxes[:, 2:] - boxes[:, :2]) / 2) ** 2 @ (matrix[:, :2] ** 2).T)
    points = points @ matrix[:, :2].T + matrix[:, 2]
    if np.linalg.det(matrix[:, :2]) < 0:
        points = points[:, faces.MIRRORED]
    return np.concatenate([centre - half, centre + half], axis=1), points


class Composer:
    def __init__(self, work, seed, second=False):
        self.kinds, self.rng = KINDS[second], np.random.default_rng(seed)
        self.photographs = [Photographs(work, name) for name in SOURCES]
        self.scenes, self.drawn = read_scenes(work)

    # ------------------------------------------------------------------ parts

    def photograph(self):
        shares = list(SOURCES.values())
        return self.photographs[self.rng.choice(len(shares), p=np.array(shares) / sum(shares))].pick(self.rng)

    def angle(self):
        rng, chance = self.rng, self.rng.random()
        return 0.0 if chance < 0.3 else rng.normal(0, 8) if chance < 0.8 else rng.uniform(-35, 35)

    def border(self):
        return (cv2.BORDER_CONSTANT, cv2.BORDER_REPLICATE)[self.rng.integers(2)]

    def note(self, labels, rows, area):
        """Add faces to the labels, cut to `area` (x, y, width, height of the canvas); rows are in its coordinates."""
        left, top, width, height = area
        for box, points, known, counted in zip(*rows):
            cut = np.array([max(box[0], 0), max(box[1], 0), min(box[2], width), min(box[3], height)])
            if (cut[2:] <= cut[:2]).any():
                continue
            seen = np.prod(cut[2:] - cut[:2]) / np.prod(box[2:] - box[:2])
            if seen < 0.05:
                continue
            inside = (points >= 0).all(axis=1) & (points < (width, height)).all(axis=1) & known
            large = math.sqrt(np.prod(cut[2:] - cut[:2])) >= SMALLEST
            state = FACE if counted and seen >= VISIBLE and large else IGNORED
            labels.append(np.concatenate([cut + (left, top, left, top), (points + (left, top)).ravel(), inside,
                                          [state]]))

    def empty_patch(self, width, height):
        """A place without a face in a photograph or scene; drawn clutter when none is found or by chance."""
        rng = self.rng
        for _ in range(8):
            chance = rng.random()
            if chance < 0.3:
                break
            picture, boxes = self.photograph()[:2] if chance < 0.6 else self.scenes[rng.integers(len(self.scenes))][:2]
            rows, columns = picture.shape[:2]
            zoom = log_uniform(rng, 0.5, 2.5)
            shrink = min(1, 0.9 * columns / (width / zoom), 0.9 * rows / (height / zoom)) * rng.uniform(0.5, 1)
            w, h = max(2, int(width / zoom * shrink)), max(2, int(height / zoom * shrink))
            x, y = rng.integers(0, max(1, columns - w)), rng.integers(0, max(1, rows - h))
            if ((boxes[:, :2] < (x + w, y + h)) & (boxes[:, 2:] > (x, y))).all(axis=1).any():
                continue
            patch = picture[y:y + h, x:x + w]
            if rng.random() < 0.3:
                patch = patch[::-1]
            return cv2.resize(patch, (width, height), interpolation=cv2.INTER_AREA if h > height else cv2.INTER_LINEAR)
        return clutter.draw(rng, width, height)

    def occlude(self, view, box, points):
        """Sometimes a drawn mask, sunglasses or something in front."""
        rng, chance, size = self.rng, self.rng.random(), math.sqrt(max(np.prod(box[2:] - box[:2]), 1))
        if chance < 0.12:
            self.draw_mask(view, box, points)
        elif chance < 0.16:
            for x, y in points[:2]:
                cv2.ellipse(view, (int(x), int(y)), (max(1, int(size * 0.17)), max(1, int(size * 0.12))), 0, 0, 360,
                            (int(rng.integers(0, 60)),) * 3, -1, cv2.LINE_AA)
        elif chance < 0.24:
            w, h = (max(2, int(size * rng.uniform(0.2, 0.7))) for _ in range(2))
            x, y = (int(rng.uniform(box[i], box[i + 2]) - side / 2) for i, side in enumerate((w, h)))
            x, y = max(0, x), max(0, y)
            target = view[y:y + h, x:x + w]
            if target.size:
                target[:] = rng.integers(0, 256, 3) if rng.random() < 0.5 else self.empty_patch(*target.shape[1::-1])

    def draw_mask(self, view, box, points):
        """Cloth from the bridge of the nose to below the chin, as wide as the face."""
        rng = self.rng
        tone = [(245, 245, 245), (230, 200, 150), (20, 20, 20), clutter.colour(rng)][rng.integers(4)]
        tone = tuple(int(np.clip(level + rng.normal(0, 15), 0, 255)) for level in tone)
        mouth, across = (points[3] + points[4]) / 2, points[1] - points[0]
        down = mouth - (points[0] + points[1]) / 2
        across = across / (np.linalg.norm(across) + 1e-6)
        half = across * (box[2] - box[0]) * rng.uniform(0.42, 0.52)
        bridge, chin = points[2] - down * rng.uniform(0, 0.35), mouth + down * rng.uniform(0.4, 0.75)
        middle = bridge + across * (((box[0] + box[2]) / 2 - bridge[0]) * across[0])
        outline = [middle - half, bridge, middle + half, middle + half * 0.8 + down * 0.7, chin + half * 0.4,
                   chin - half * 0.4, middle - half * 0.8 + down * 0.7]
        cv2.fillPoly(view, [np.round(np.array(outline) * 8).astype(np.int32)], tone, cv2.LINE_AA, 3)

    def tile(self, canvas, labels, area, smallest, largest, cut=0.25):
        """One photograph in a rectangle, its main face of a share of the shorter side; now and then no face. `cut` is
        how far, as a share of the sides, a face may be from the middle where there is no room for it."""
        rng, (left, top, width, height) = self.rng, area
        view = canvas[top:top + height, left:left + width]
        if rng.random() < 0.1:
            view[:] = self.empty_patch(width, height)
            return
        picture, boxes, points, known, sure = self.photograph()
        size = max(6.5, min(width, height) * log_uniform(rng, smallest, largest))
        matrix = turn(rng, size / faces.sizes(boxes[:1])[0], self.angle())
        room = np.maximum([width - size, height - size], (cut * width, cut * height)) / 2
        target = np.array([width, height]) / 2 + rng.uniform(-0.8, 0.8, 2) * room
        matrix = about(matrix, (boxes[0, :2] + boxes[0, 2:]) / 2, target)
        view[:] = warp(rng, picture, matrix, width, height, self.border())
        boxes, points = move(matrix, boxes, points)
        if rng.random() < 0.5:
            view[:] = cv2.convertScaleAbs(view, alpha=rng.uniform(0.6, 1.4), beta=rng.normal(0, 15))
        if known[0]:
            self.occlude(view, boxes[0], points[0])
        self.note(labels, (boxes, points, known, sure), area)

    def cutout(self, canvas, labels, size):
        """A head along a soft ellipse on what is there, where no other face is."""
        rng, side = self.rng, int(size * 1.9) + 2
        room = canvas.shape[0] - side
        if room <= 0:
            return
        left, top = (int(v) for v in rng.integers(0, room, 2))
        if any((row[:2] < (left + side, top + side)).all() and (row[2:4] > (left, top)).all() for row in labels):
            return
        picture, boxes, points, known, sure = (part if i == 0 else part[:1] for i, part in
                                               enumerate(self.photograph()))
        angle = self.angle()
        matrix = turn(rng, size / faces.sizes(boxes)[0], angle)
        matrix = about(matrix, (boxes[0, :2] + boxes[0, 2:]) / 2, (side / 2, side / 2))
        head = warp(rng, picture, matrix, side, side, cv2.BORDER_REPLICATE)
        boxes, points = move(matrix, boxes, points)
        if known[0]:
            self.occlude(head, boxes[0], points[0])
        share, reach = np.zeros((side, side), np.float32), size * rng.uniform(0.58, 0.85)
        cv2.ellipse(share, (side // 2, int(side / 2 - 0.04 * size)), (int(reach * 0.9), int(reach * 1.1)), angle, 0,
                    360, 1.0, -1, cv2.LINE_AA)
        share = cv2.blur(share, (int(size * 0.12) | 1,) * 2)[..., None]
        view = canvas[top:top + side, left:left + side]
        view[:] = (view + (head.astype(np.float32) - view) * share).astype(np.uint8)
        self.note(labels, (boxes, points, known, sure), (left, top, side, side))

    def cutouts_beside(self, canvas, labels, chance):
        """More faces where there is room: every face of a canvas teaches something."""
        if self.rng.random() < chance:
            for _ in range(self.rng.integers(1, 6)):
                self.cutout(canvas, labels, log_uniform(self.rng, 9, 90))

    # ------------------------------------------------------------------ kinds

    def scene(self, canvas, labels):
        """A crop of a scene, three times of four around one of its faces."""
        rng, side = self.rng, canvas.shape[0]
        pool = self.drawn if self.drawn and rng.random() < DRAWN else self.scenes
        picture, boxes, points, known, counted = pool[rng.integers(len(pool))]
        height, width = picture.shape[:2]
        scale = 640 / max(height, width) * log_uniform(rng, 0.4 * math.sqrt(side / 320), 2.4)
        angle = self.angle() / 2 if rng.random() < 0.4 else 0.0
        if rng.random() < 0.75 and counted.any():
            box = boxes[rng.choice(np.flatnonzero(counted))]
            source, target = (box[:2] + box[2:]) / 2, rng.uniform(0.1, 0.9, 2) * side
            scale = min(scale, 0.8 * side / max(faces.sizes(box[None])[0], 1))
        else:
            source, target = rng.uniform(0, 1, 2) * (width, height), (side / 2, side / 2)
        matrix = about(turn(rng, scale, angle), source, target)
        canvas[:] = warp(rng, picture, matrix, side, side, self.border())
        self.note(labels, (*move(matrix, boxes, points), known, counted), (0, 0, side, side))
        self.cutouts_beside(canvas, labels, 0.45)

    def single(self, canvas, labels):
        side = canvas.shape[0]
        self.tile(canvas, labels, (0, 0, side, side), 0.25, 1.15, 0.8)
        self.cutouts_beside(canvas, labels, 0.5)

    def mosaic(self, canvas, labels):
        """Rectangles cut in two again and again."""
        rng, side = self.rng, canvas.shape[0]
        limit, areas = rng.choice([80, 120, 180]) * side / 320, [(0, 0, side, side)]
        while areas:
            left, top, width, height = areas.pop()
            longer = max(width, height)
            if longer > 2 * limit or (longer > limit and rng.random() < 0.6):
                share = rng.uniform(0.3, 0.7)
                if width >= height:
                    cut = int(width * share)
                    areas += [(left, top, cut, height), (left + cut, top, width - cut, height)]
                else:
                    cut = int(height * share)
                    areas += [(left, top, width, cut), (left, top + cut, width, height - cut)]
            else:
                self.tile(canvas, labels, (left, top, width, height), 0.38, 1.1)

    def crowd(self, canvas, labels):
        rng, side = self.rng, canvas.shape[0]
        across = int(rng.integers(2, 9))
        columns = np.linspace(0, side, across + 1).astype(int)
        rows = np.linspace(0, side, max(2, int(across * rng.uniform(0.7, 1.3))) + 1).astype(int)
        for left, right in zip(columns[:-1], columns[1:]):
            for top, bottom in zip(rows[:-1], rows[1:]):
                self.tile(canvas, labels, (left, top, right - left, bottom - top), 0.38, 1.1)

    def empty(self, canvas, _):
        side = canvas.shape[0]
        if self.rng.random() < 0.6:
            canvas[:] = self.empty_patch(side, side)
            return
        for left in (0, side // 2):
            for top in (0, side // 2):
                canvas[top:top + side // 2, left:left + side // 2] = self.empty_patch(side // 2, side // 2)

    def cutouts(self, canvas, labels):
        self.empty(canvas, labels)
        for _ in range(self.rng.integers(1, 8)):
            self.cutout(canvas, labels, log_uniform(self.rng, 8, 0.5 * canvas.shape[0]))

    def photometry(self, canvas):
        """Light, colour, blur, noise and compression of the whole."""
        rng, side = self.rng, canvas.shape[0]
        if rng.random() < 0.8:
            curve = (np.arange(256) / 255) ** math.exp(rng.normal(0, 0.2)) * 255
            gain = rng.uniform(0.7, 1.35) * rng.normal(1, 0.06, 3)
            canvas = cv2.LUT(canvas, np.clip(curve[:, None] * gain + rng.normal(0, 14), 0, 255).astype(np.uint8)[None])
        if rng.random() < 0.12:
            canvas = cv2.cvtColor(cv2.cvtColor(canvas, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        chance = rng.random()
        if chance < 0.10:
            canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.5, 1.6))
        elif chance < 0.17:
            smaller = (int(side * rng.uniform(0.4, 0.8)),) * 2
            canvas = cv2.resize(cv2.resize(canvas, smaller, interpolation=cv2.INTER_AREA), (side, side))
        elif chance < 0.20:
            length = int(rng.integers(3, 8))
            canvas = cv2.blur(canvas, (length, 1) if rng.random() < 0.5 else (1, length))
        if rng.random() < 0.12:
            noise = rng.standard_normal(canvas.shape, np.float32) * rng.uniform(2, 20)
            canvas = np.clip(canvas + noise, 0, 255).astype(np.uint8)
        if rng.random() < 0.25:
            coded = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 90))])[1]
            canvas = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        return canvas

    def compose(self, side):
        """(canvas [side, side, 3] BGR, labels [n, LABEL_COLUMNS])."""
        canvas, labels = np.empty((side, side, 3), np.uint8), []
        kind = self.rng.choice(list(self.kinds), p=list(self.kinds.values()))
        getattr(self, kind)(canvas, labels)
        return self.photometry(canvas), np.array(labels, np.float32).reshape(-1, LABEL_COLUMNS)


def mark(canvas, labels):
    for row in labels:
        tone = (0, 255, 0) if row[19] == FACE else (0, 0, 255)
        cv2.rectangle(canvas, tuple(int(v) for v in row[:2]), tuple(int(v) for v in row[2:4]), tone, 1)
        for (x, y), known in zip(row[4:14].reshape(5, 2), row[14:19]):
            if known:
                cv2.circle(canvas, (int(x), int(y)), 1, (0, 255, 255), -1)
    return canvas


def main():
    parser = data.arguments(__doc__)
    parser.add_argument("--count", type=int, default=400, help="canvases to measure")
    parser.add_argument("--side", type=int, default=320)
    parser.add_argument("--second", action="store_true", help="of the second pass")
    parser.add_argument("--sheet", help="write the first 24 here, labels drawn")
    options = data.parse(parser)
    composer, sizes, shown, empty = Composer(options.work, options.seed, options.second), [], [], 0
    for index in range(options.count):
        canvas, labels = composer.compose(options.side)
        known = labels[labels[:, 19] == FACE]
        sizes.append(faces.sizes(known[:, :4]))
        empty += len(known) == 0
        if index < 24:
            shown.append(mark(np.ascontiguousarray(canvas), labels))
    sizes = np.concatenate(sizes)
    print("%d canvases of %d: %.1f faces each, %.0f %% without; sizes %s; over 120 px %.1f %% of the faces, %.1f %% of "
          "the area" % (options.count, options.side, len(sizes) / options.count, 100 * empty / options.count,
                        np.percentile(sizes, (5, 25, 50, 75, 95)).round().astype(int).tolist(),
                        100 * (sizes > 120).mean(), 100 * (sizes[sizes > 120] ** 2).sum() / (sizes ** 2).sum()))
    if options.sheet:
        rows = [np.concatenate(shown[i:i + 6], axis=1) for i in range(0, 24, 6)]
        cv2.imwrite(options.sheet, np.concatenate(rows))


if __name__ == "__main__":
    main()
