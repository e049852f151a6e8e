#!/usr/bin/env python3
"""LFW: are two pictures the same person? 6,000 pairs in 10 folds, as the data set's own protocol has it.

Every picture goes through `facemill analyze` once. Of several faces the one whose box centre is nearest to the centre
of the picture counts. Two pictures are the same person when the cosine of their raw embeddings is above a threshold;
for each fold the threshold is the one that is right most often on the other nine (of equally good ones the middle).
A picture without a face makes each of its pairs wrong, whatever the threshold. Beside that: how many pairs are right at
the threshold that the pack's manifest has (nothing is fitted then), and how many of the same people are accepted where
one in a thousand of the others is (over all pairs at once)."""

import argparse
import json
import os
import tarfile
import tempfile

import numpy as np

import common


def read_pairs(path):
    """[(file, file, same, fold)]; the first line says folds and pairs per half fold."""
    with open(path, encoding="utf-8") as file:
        rows = [line.split() for line in file if line.strip()]
    folds, half = int(rows[0][0]), int(rows[0][1])

    def picture(name, number):
        return os.path.join(name, "%s_%04d.jpg" % (name, int(number)))

    pairs = []
    for index, row in enumerate(rows[1:]):
        same = len(row) == 3
        left, right = ((row[0], row[1]), (row[0], row[2])) if same else ((row[0], row[1]), (row[2], row[3]))
        pairs.append((picture(*left), picture(*right), same, index // (2 * half)))
    if len(pairs) != folds * 2 * half:
        raise SystemExit("%s announces %d pairs and has %d" % (path, folds * 2 * half, len(pairs)))
    return pairs


def extract(archive, folder):
    """Unpack once; the folder that holds pairs.txt."""
    target = os.path.join(folder, "lfw")
    if not os.path.exists(os.path.join(target, "pairs.txt")):
        with tarfile.open(archive) as tar:
            members = [m for m in tar.getmembers() if (m.isfile() or m.isdir()) and ".." not in m.name
                       and not os.path.isabs(m.name)]
            tar.extractall(folder, members=members)
    return target


def central_embedding(record):
    """Unit vector of the face nearest the centre; None without a face."""
    if not record.get("faces"):
        return None
    centre = np.array([record["width"], record["height"]]) / 2

    def distance(face):
        x1, y1, x2, y2 = face["box"]
        return np.hypot(*(np.array([(x1 + x2) / 2, (y1 + y2) / 2]) - centre))

    vector = common.embedding(min(record["faces"], key=distance)).astype(np.float64)
    return vector / np.linalg.norm(vector)


def best_threshold(cosines, same):
    """The cut with the most right answers: same when cosine > cut. Pairs without a cosine (NaN) are always wrong."""
    known = ~np.isnan(cosines)
    values = np.unique(cosines[known])
    cuts = np.concatenate(([-1.0], (values[1:] + values[:-1]) / 2, [1.0]))
    positives, negatives = np.sort(cosines[known & same]), np.sort(cosines[known & ~same])
    accepted = len(positives) - np.searchsorted(positives, cuts, side="right")
    right = accepted + np.searchsorted(negatives, cuts, side="right")
    best = np.flatnonzero(right == right.max())
    return cuts[best[len(best) // 2]]


def fold_accuracies(cosines, same, folds):
    accuracies, thresholds = [], []
    for fold in np.unique(folds):
        test = folds == fold
        threshold = best_threshold(cosines[~test], same[~test])
        with np.errstate(invalid="ignore"):
            right = np.where(np.isnan(cosines[test]), False, (cosines[test] > threshold) == same[test])
        accuracies.append(float(right.mean()))
        thresholds.append(float(threshold))
    return accuracies, thresholds


def manifest_threshold(pack):
    """The cosine from which two faces are one person, as the pack's manifest has it; None when it does not say."""
    path = os.path.join(pack, "manifest.json")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        models = json.load(file).get("models", [])
    rows = [row for row in models if isinstance(row, dict) and row.get("task") == "recognition"]
    if not rows or rows[0].get("metric") != "cosine":
        return None
    return rows[0].get("thresholds", {}).get("match")


def accepted_at(cosines, same, rate):
    """Share of the same-person pairs whose cosine is above that of all but `rate` of the other pairs."""
    known = np.nan_to_num(cosines, nan=-2.0)
    bar = np.sort(known[~same])[::-1][int(rate * (~same).sum())]
    return float((known[same] > bar).mean())


def evaluate(records, root, pairs, fixed):
    vectors = {path: central_embedding(record) for path, record in records.items()}
    cosines = np.full(len(pairs), np.nan)
    for index, (left, right, _, _) in enumerate(pairs):
        a, b = vectors[os.path.join(root, left)], vectors[os.path.join(root, right)]
        if a is not None and b is not None:
            cosines[index] = a @ b
    same, folds = np.array([p[2] for p in pairs]), np.array([p[3] for p in pairs])
    accuracies, thresholds = fold_accuracies(cosines, same, folds)
    figures = {"tar_at_far_1e-3": accepted_at(cosines, same, 1e-3)}
    if fixed is not None:
        with np.errstate(invalid="ignore"):
            right = np.where(np.isnan(cosines), False, (cosines >= fixed) == same)
        figures.update(fixed_threshold=fixed, fixed_accuracy=float(right.mean()))
    return {**figures, "accuracy": float(np.mean(accuracies)), "deviation": float(np.std(accuracies)), "folds": accuracies,
            "thresholds": thresholds, "pairs": len(pairs), "pairs_without_face": int(np.isnan(cosines).sum()),
            "images": len(records), "images_without_face": sum(v is None for v in vectors.values()),
            "errors": sum("error" in r for r in records.values())}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    common.add_program_options(parser, "640")
    parser.add_argument("--pack", help="folder of ONNX files; default: det_500m + w600k_mbf of FM_SHARED")
    parser.add_argument("--peer", metavar="PYTHON", help="ask insightface in this Python instead of facemill")
    parser.add_argument("--cache", help="folder to unpack the pictures to and keep; default: a temporary one")
    parser.add_argument("--require", type=float, help="exit with 4 when the accuracy is below this, in percent")
    options = parser.parse_args()
    archive = common.need(os.path.join(common.shared_folder(), "data", "lfw_pairs.tar"), "LFW")
    with tempfile.TemporaryDirectory() as folder:
        root = extract(archive, options.cache or folder)
        pairs = read_pairs(os.path.join(root, "pairs.txt"))
        paths = sorted({os.path.join(root, name) for pair in pairs for name in pair[:2]})
        pack = options.pack or common.make_pack(os.path.join(folder, "pack"), common.DETECTORS["det_500m"],
                                                common.RECOGNISER)
        command = (common.peer_command(options.peer, options, pack) if options.peer
                   else common.facemill_command(options, pack, "--embedding", "base64"))
        records, seconds = common.analyze(command, paths, folder)
        figures = evaluate(records, root, pairs, manifest_threshold(pack))
    figures.update(seconds=seconds, det_size=options.det_size, program="insightface" if options.peer else "facemill")
    fixed = ("; at the manifest's %.3f: %.2f %%" % (figures["fixed_threshold"], 100 * figures["fixed_accuracy"])
             if "fixed_threshold" in figures else "")
    common.report(figures, [
        "%s, det size %s: %.2f %% of %d pairs right, 10 folds (deviation %.2f)"
        % (figures["program"], options.det_size, 100 * figures["accuracy"], figures["pairs"],
           100 * figures["deviation"]),
        "best thresholds %.3f on average, TAR at FAR 1e-3 %.2f %%%s"
        % (np.mean(figures["thresholds"]), 100 * figures["tar_at_far_1e-3"], fixed),
        "%d of %d pictures without a face (%d pairs), %d errors, %.0f s"
        % (figures["images_without_face"], figures["images"], figures["pairs_without_face"], figures["errors"],
           seconds),
    ], options.output)
    if options.require is not None and 100 * figures["accuracy"] < options.require:
        raise SystemExit(4)


if __name__ == "__main__":
    main()
