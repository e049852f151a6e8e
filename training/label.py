#!/usr/bin/env python3
"""Unpack the photographs and scenes once and label them with the teachers.

Boxes are YuNet's, points the mean of RetinaFace's with its mirrored pass; a face whose points RetinaFace does not give
has a box only. Scenes keep their annotated boxes; what YuNet sees beside them becomes a region that is not counted.
Held-out scenes are not read. Writes WORK/NAME.npy (pictures), WORK/NAME.npz (labels), WORK/scenes.npz."""

import os
import random
import sys
import time

import cv2
import numpy as np

from training import data, faces

sys.path.append(os.path.join(data.ROOT, "scripts"))
import draw_faces  # noqa: E402

LABEL_SIZE = 320
SCENE_SIZES = (640, 1024)
SURE, UNSURE = 0.6, 0.2  # YuNet's scores: a face; less: perhaps one, not counted
DRAWN_SEED = 1000        # the program's own demonstrations and tests draw with small seeds


def points_for(boxes, teacher_boxes, teacher_points):
    """(points [n,5,2], known [n]) of those boxes that the teacher has too."""
    points, known = np.zeros((len(boxes), 5, 2), np.float32), np.zeros(len(boxes), bool)
    if len(boxes) and len(teacher_boxes):
        shares = faces.overlaps(boxes, teacher_boxes)
        known = shares.max(axis=1) >= 0.5
        points[known] = teacher_points[shares.argmax(axis=1)[known]]
    return points, known


def label_photographs(name, work, yunet, retina, limit):
    """Labels of all faces in one row each: which picture, box, score, points, whether those are known."""
    names, pictures = data.read_archive(name, limit)
    border, rows = data.PHOTOGRAPHS[name][2], []
    for index, picture in enumerate(pictures):
        wide = cv2.copyMakeBorder(picture, border, border, border, border, cv2.BORDER_REPLICATE)
        boxes, scores, _ = yunet(wide, LABEL_SIZE, UNSURE)
        points, known = points_for(boxes, *faces.mirrored_mean(retina, wide, LABEL_SIZE))
        rows += [(index, boxes[i] - border, scores[i], points[i] - border, known[i]) for i in range(len(boxes))]
    np.save(os.path.join(work, name + ".npy"), pictures)
    picture, boxes, scores, points, known = (np.array(column) for column in zip(*rows))
    np.savez(os.path.join(work, name + ".npz"), names=np.array(names), picture=picture, known=known,
             boxes=boxes.astype(np.float32), scores=scores.astype(np.float32), points=points.astype(np.float32))
    sure = scores >= SURE
    return "%s: %d pictures, %d sure faces, points of %.1f %%, %d pictures without one" % (
        name, len(names), sure.sum(), 100 * known[sure].mean(), len(names) - len(np.unique(picture[sure])))


def label_scene(picture, boxes, yunet, retina):
    """(boxes, points, known, counted): annotated faces first, then the teacher's others, which are not counted."""
    seen, teacher = [], ([], [])
    for size in SCENE_SIZES:
        found, scores, _ = yunet(picture, size, 0.4)
        seen.append(found)
        for kept, part in zip(teacher, faces.mirrored_mean(retina, picture, size)):
            kept.append(part)
    points, known = points_for(boxes, *(np.concatenate(part) for part in teacher))
    seen = np.concatenate(seen)
    if len(boxes) and len(seen):
        seen = seen[faces.overlaps(seen, boxes).max(axis=1) < 0.3]
    extra = len(seen)
    return (np.concatenate([boxes, seen]).astype(np.float32),
            np.concatenate([points, np.zeros((extra, 5, 2), np.float32)]),
            np.concatenate([known, np.zeros(extra, bool)]), np.arange(len(boxes) + extra) < len(boxes))


def drawn_pictures(count, seed):
    """Pictures of the project's own pencil (scripts/draw_faces.py) with their boxes."""
    rng = random.Random(seed)
    for index in range(count):
        canvas, boxes = draw_faces.draw_picture(rng, 1 + index % 3)
        rows = np.frombuffer(b"".join(bytes(row) for row in canvas.rows), np.uint8)
        yield rows.reshape(canvas.height, canvas.width, 3)[:, :, ::-1].copy(), np.array(boxes, np.float32)


def label_scenes(work, yunet, retina, limit, drawn):
    held_out, stored, counts = data.held_out(), {}, np.zeros(3, int)
    chosen = [(cv2.imread(path), boxes) for stem, path, boxes in data.scenes() if stem not in held_out][:limit]
    kinds = [0] * len(chosen) + [1] * drawn
    for index, (picture, boxes) in enumerate(chosen + list(drawn_pictures(drawn, DRAWN_SEED))):
        labels = label_scene(picture, boxes, yunet, retina)
        counts += [labels[3].sum(), labels[2].sum(), (~labels[3]).sum()]
        stored["picture_%d" % index] = picture
        for name, value in zip(("boxes", "points", "known", "counted"), labels):
            stored["%s_%d" % (name, index)] = value
    np.savez(os.path.join(work, "scenes.npz"), drawn=np.array(kinds), **stored)
    return "scenes: %d and %d drawn, %d faces, %d with points, %d regions not counted" % (
        len(chosen), drawn, *counts)


def main():
    parser = data.arguments(__doc__)
    parser.add_argument("--limit", type=int, help="only so many pictures of each kind, to try things")
    parser.add_argument("--drawn", type=int, default=120, help="pictures of drawn faces")
    parser.add_argument("--only", default=",".join([*data.PHOTOGRAPHS, "scenes"]), help="some of the kinds")
    options = data.parse(parser)
    yunet, retina = faces.open_detector("yunet_n"), faces.open_detector("retinaface_mnet025")
    for name in options.only.split(","):
        started = time.perf_counter()
        if name == "scenes":
            line = label_scenes(options.work, yunet, retina, options.limit, options.drawn)
        else:
            line = label_photographs(name, options.work, yunet, retina, options.limit)
        print("%s, %.0f s" % (line, time.perf_counter() - started), flush=True)


if __name__ == "__main__":
    main()
