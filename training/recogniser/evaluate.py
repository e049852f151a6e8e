#!/usr/bin/env python3
"""LFW, 6,000 pairs in 10 folds: a detector finds and aligns, recognisers are judged beside one another.

Names are w600k_mbf and dlib_resnet_v1 of the reference data, or ONNX files of ours. Of several faces the one nearest to
the middle counts; a picture without a face makes its pairs wrong. For each fold the threshold is the best of the other
nine (bench/lfw.py). The fixed thresholds are dlib's 0.6 (Euclidean, of the vectors as they are) and the cosine that the
export found to be the same on training pictures: nothing was fitted to these pairs. TAR at FAR 1e-3 is over all 3,000 +
3,000 pairs."""

import json
import os

import cv2
import numpy as np

from training import data, faces
import lfw  # of bench, where training.data looks too

FIXED = 0.6
BATCH = 16
ALIGNED_112 = ("w600k_mbf",)  # whatever else takes dlib's chip


class Recogniser:
    def __init__(self, name):
        self.name, reference = name, data.shared("models", name + ".onnx")
        self.session = data.session(reference if os.path.exists(reference) else name)
        self.input = self.session.get_inputs()[0].name
        small = name in ALIGNED_112
        self.side, self.points = (112, faces.ARCFACE_POINTS) if small else (faces.CHIP_SIDE, faces.CHIP_POINTS)
        self.mean, self.spread = (127.5, 127.5) if small else (0.0, 1.0)
        self.metrics = ("cosine",) if small else ("euclidean", "cosine")
        self.fixed = {} if small else {"euclidean": FIXED}
        if os.path.exists(name + ".json"):
            with open(name + ".json", encoding="utf-8") as file:
                self.fixed.update(json.load(file))

    def chip(self, picture, points):
        matrix = faces.similarity(points.astype(float), self.points)
        return cv2.warpAffine(picture, matrix, (self.side, self.side), flags=cv2.INTER_LINEAR)[..., ::-1]

    def vectors(self, chips):
        levels = (np.ascontiguousarray(chips.transpose(0, 3, 1, 2), np.float32) - self.mean) / np.float32(self.spread)
        return np.concatenate([self.session.run(None, {self.input: levels[low:low + BATCH]})[0]
                               for low in range(0, len(levels), BATCH)])


def find_points(detector, paths, size):
    """Five points of the face nearest to the middle, None without one."""
    points = []
    for path in paths:
        picture = cv2.imread(path)
        boxes, _, found = detector(picture, size, 0.5)
        points.append(found[faces.central(boxes, *picture.shape[1::-1])] if len(boxes) else None)
    return points


def similarities(vectors, pairs, metric):
    """Larger is more alike, NaN without a face; Euclidean distances d as 1 - d."""
    first, second = (vectors[pairs[:, i]] for i in (0, 1))
    if metric == "euclidean":
        return 1 - np.linalg.norm(first - second, axis=1)
    return (first * second).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)


def accepted_at(likeness, same, rate):
    """Share of the same-person pairs that are more alike than all but `rate` of the others."""
    others = np.sort(np.nan_to_num(likeness[~same], nan=-9))[::-1]
    bar = others[int(rate * len(others))]
    return float((np.nan_to_num(likeness[same], nan=-9) > bar).mean())


def judge(recogniser, paths, points, pairs, same, folds):
    known = np.array([part is not None for part in points])
    chips = np.stack([recogniser.chip(cv2.imread(path), part) for path, part in zip(paths, points) if part is not None])
    found = recogniser.vectors(chips)
    vectors = np.full((len(paths), found.shape[1]), np.nan, np.float32)
    vectors[known] = found
    for metric in recogniser.metrics:
        likeness = similarities(vectors, pairs, metric).astype(float)
        accuracies, thresholds = lfw.fold_accuracies(likeness, same, folds)
        cut = np.mean(thresholds)
        words = "%s, %s: %.2f %% (deviation %.2f), threshold %.3f, TAR at FAR 1e-3 %.1f %%" % (
            os.path.basename(recogniser.name), metric, 100 * np.mean(accuracies), 100 * np.std(accuracies),
            1 - cut if metric == "euclidean" else cut, 100 * accepted_at(likeness, same, 1e-3))
        if metric in recogniser.fixed:
            fixed = recogniser.fixed[metric]
            accepted = likeness > (1 - fixed if metric == "euclidean" else fixed)
            words += "; at %.3f: %.2f %%" % (fixed, 100 * np.where(np.isnan(likeness), False, accepted == same).mean())
        yield words


def main():
    parser = data.arguments(__doc__)
    parser.add_argument("recognisers", nargs="*", help="default: WORK/mini-rec.onnx, dlib_resnet_v1, w600k_mbf")
    parser.add_argument("--detector", action="append", help="default: WORK/mini-det.onnx and det_500m")
    parser.add_argument("--size", type=int, default=256, help="longer side for the detector")
    parser.add_argument("--limit", type=int, help="only so many pairs, evenly spread, to try things")
    options = data.parse(parser)
    root = lfw.extract(data.shared("data", "lfw_pairs.tar"), options.work)
    rows = lfw.read_pairs(os.path.join(root, "pairs.txt"))
    rows = rows[::max(1, len(rows) // options.limit)] if options.limit else rows
    names = sorted({name for row in rows for name in row[:2]})
    index, paths = {name: i for i, name in enumerate(names)}, [os.path.join(root, name) for name in names]
    pairs = np.array([[index[row[0]], index[row[1]]] for row in rows])
    same, folds = np.array([row[2] for row in rows]), np.array([row[3] for row in rows])
    for name in options.detector or [os.path.join(options.work, "mini-det.onnx"), "det_500m"]:
        points = find_points(faces.open_detector(name), paths, options.size)
        print("%s at %d: %d of %d pictures without a face" % (os.path.basename(name), options.size,
                                                              sum(part is None for part in points), len(paths)))
        if all(part is None for part in points):
            continue
        for recogniser in options.recognisers or [os.path.join(options.work, "mini-rec.onnx"), "dlib_resnet_v1",
                                                  "w600k_mbf"]:
            for line in judge(Recogniser(recogniser), paths, points, pairs, same, folds):
                print("  " + line, flush=True)


if __name__ == "__main__":
    main()
