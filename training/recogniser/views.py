#!/usr/bin/env python3
"""Views of the training pictures and what the teacher says of them.

A view is a picture aligned to the chip by its five points, shifted, turned, sheared and mirrored a little, perhaps
blended with another person's, then changed in light, colour, sharpness, noise, compression or partly covered. Its
target is the mean of the teacher's vectors of the view and of its mirror image. Writes WORK/views_SET.npy (chips) and
WORK/views_SET.npz (targets, pictures); several sets, made with different seeds, are trained together."""

import os
import time

import cv2
import numpy as np

from training import data, faces
from training.label import SURE
from training.recogniser.network import EMBEDDING, TEACHER

SIDE = faces.CHIP_SIDE
BATCH = 16
# Tight crops end beside the face, photographs do not: mostly mirrored borders
BORDERS, BORDER_SHARES = (cv2.BORDER_REFLECT_101, cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT), (0.6, 0.2, 0.2)


def read_pictures(work):
    """[(picture BGR, matrix to the chip)] of every photograph with a sure main face and known points."""
    rows = []
    for name in data.RECOGNITION:
        pictures = np.load(os.path.join(work, name + ".npy"), mmap_mode="r")
        labels = np.load(os.path.join(work, name + ".npz"))
        usable = np.flatnonzero(labels["known"] & (labels["scores"] >= SURE))
        boxes, points, picture = labels["boxes"], labels["points"], labels["picture"]
        for index in np.unique(picture[usable]):
            own = usable[picture[usable] == index]
            main = own[faces.central(boxes[own], *pictures.shape[1:3])]
            rows.append((pictures[index], faces.similarity(points[main].astype(float), faces.CHIP_POINTS)))
    return rows


def align(rng, picture, matrix):
    """The chip with a little random geometry around the middle of the face."""
    middle, scale, angle = np.array([75.0, 75.0]), np.exp(rng.normal(0, 0.05)), np.deg2rad(rng.normal(0, 4))
    stretch, shear = np.exp(rng.normal(0, 0.03)), rng.normal(0, 0.03)
    c, s = np.cos(angle), np.sin(angle)
    change = scale * np.array([[c, -s], [s, c]]) @ np.array([[stretch, shear], [0, 1 / stretch]])
    if rng.random() < 0.5:
        change = change @ np.diag([-1.0, 1.0])
    shift = middle + rng.normal(0, 2.7, 2) - change @ middle
    whole = np.column_stack([change @ matrix[:, :2], change @ matrix[:, 2] + shift])
    border = BORDERS[rng.choice(len(BORDERS), p=BORDER_SHARES)]
    return cv2.warpAffine(np.asarray(picture), whole, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=border)


def blend(rng, first, second):
    """Of two people: everywhere by a share, or along a soft straight line."""
    share = np.float32(rng.uniform(0.25, 0.75))
    if rng.random() < 0.5:
        angle, middle = rng.uniform(0, 2 * np.pi), np.array([75, 75]) + rng.normal(0, 15, 2)
        y, x = np.mgrid[:SIDE, :SIDE]
        distance = (x - middle[0]) * np.cos(angle) + (y - middle[1]) * np.sin(angle)
        share = (1 / (1 + np.exp(-distance / rng.uniform(3, 15))))[..., None]
    return (first * share + second * (1 - share)).astype(np.uint8)


def photometry(rng, chip):
    levels = chip.astype(np.float32)
    if rng.random() < 0.8:
        levels = 255 * (levels / 255) ** np.float32(np.exp(rng.normal(0, 0.25)))
        levels = (levels - 128) * np.float32(np.exp(rng.normal(0, 0.15))) + np.float32(128 + rng.normal(0, 12))
        levels *= np.exp(rng.normal(0, 0.06, 3)).astype(np.float32)
        grey = levels.mean(axis=2, keepdims=True)
        levels = grey + (levels - grey) * np.float32(0 if rng.random() < 0.06 else np.exp(rng.normal(0, 0.25)))
    if rng.random() < 0.1:  # light from one side
        levels *= (1 + rng.uniform(-0.5, 0.5) * np.linspace(-1, 1, SIDE, dtype=np.float32))[None, :, None]
    if rng.random() < 0.3:
        small = int(SIDE / rng.uniform(1.2, 3.2))
        levels = cv2.resize(cv2.resize(levels, (small, small), interpolation=cv2.INTER_AREA), (SIDE, SIDE))
    if rng.random() < 0.2:
        levels += rng.standard_normal(levels.shape, np.float32) * np.float32(rng.uniform(1, 10))
    chip = np.clip(levels, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        coded = cv2.imencode(".jpg", chip, [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(25, 85))])[1]
        chip = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    if rng.random() < 0.1:  # something in front
        width, height = rng.integers(20, 65, 2)
        left, top = rng.integers(0, SIDE - width), rng.integers(0, SIDE - height)
        chip[top:top + height, left:left + width] = rng.integers(0, 256, 3)
    return chip


def make_view(rng, pictures, index, blended):
    chip = align(rng, *pictures[index])
    if rng.random() < blended:
        chip = blend(rng, chip, align(rng, *pictures[rng.integers(len(pictures))]))
    return photometry(rng, chip)[..., ::-1]


class Teacher:
    def __init__(self, threads):
        self.session = data.session(data.shared("models", TEACHER), threads)
        self.input = self.session.get_inputs()[0].name

    def vectors(self, chips):
        levels = np.ascontiguousarray(chips.transpose(0, 3, 1, 2), dtype=np.float32)
        return self.session.run(None, {self.input: levels})[0]

    def __call__(self, chips):
        return (self.vectors(chips) + self.vectors(chips[:, :, ::-1])) / 2


def main():
    parser = data.arguments(__doc__)
    parser.add_argument("--set", default="a", help="the name of what is made; the seed should differ from set to set")
    parser.add_argument("--views", type=int, default=4, help="of each picture")
    parser.add_argument("--blended", type=float, default=0.4, help="share of views with a second person in them")
    parser.add_argument("--limit", type=int, help="only so many views, to try things")
    options = data.parse(parser)
    rng, pictures, teacher = np.random.default_rng(options.seed), read_pictures(options.work), Teacher(options.threads)
    order = np.concatenate([rng.permutation(len(pictures)) for _ in range(options.views)])[:options.limit]
    path, started = os.path.join(options.work, "views_%s" % options.set), time.perf_counter()
    chips = np.lib.format.open_memmap(path + ".npy", "w+", np.uint8, (len(order), SIDE, SIDE, 3))
    targets = np.empty((len(order), EMBEDDING), np.float32)
    for low in range(0, len(order), BATCH):
        part = slice(low, min(low + BATCH, len(order)))
        chips[part] = [make_view(rng, pictures, index, options.blended) for index in order[part]]
        targets[part] = teacher(chips[part])
        if low % (256 * BATCH) == 0:
            print("%d of %d views, %.0f s" % (low, len(order), time.perf_counter() - started), flush=True)
    np.savez(path + ".npz", targets=targets, picture=order)
    print("%s: %d views of %d pictures, %.0f s" % (path, len(order), len(pictures), time.perf_counter() - started))


if __name__ == "__main__":
    main()
