#!/usr/bin/env python3
"""AP50 of face detection on scenes with Pascal VOC boxes (every annotated class is a face), beside insightface's own.

Average precision at IoU 0.5 as the VOC development kit counts it since 2010: detections of all scenes in one list by
falling score; each looks at the annotated box it overlaps most (sides counted as x2 - x1 + 1) and is right when that
overlap is at least 0.5 and the box was not taken yet, wrong otherwise; precision is made monotone from the right and
summed over every step of recall (all points, not eleven). Boxes marked difficult take no part. Both programs run at the
same detector size and the same low score threshold, which ends the curve."""

import argparse
import glob
import os
import tempfile
import xml.etree.ElementTree as ElementTree

import numpy as np

import common

MAY_DIFFER = 0.002  # between facemill and insightface


def read_boxes(path):
    """(boxes [n,4], difficult [n]) of one annotation."""
    boxes, difficult = [], []
    for item in ElementTree.parse(path).getroot().iter("object"):
        bounds = item.find("bndbox")
        boxes.append([float(bounds.findtext(side)) for side in ("xmin", "ymin", "xmax", "ymax")])
        difficult.append((item.findtext("difficult") or "0").strip() == "1")
    return np.array(boxes).reshape(-1, 4), np.array(difficult, dtype=bool)


def read_scenes(folder):
    """{image path: (boxes, difficult)}; annotation and image share their stem."""
    images = {os.path.splitext(name)[0]: os.path.join(folder, "images", name)
              for name in sorted(os.listdir(os.path.join(folder, "images")))}
    scenes = {}
    for path in sorted(glob.glob(os.path.join(folder, "annotations", "*.xml"))):
        stem = os.path.splitext(os.path.basename(path))[0]
        if stem in images:
            scenes[images[stem]] = read_boxes(path)
    return scenes


def overlaps(box, boxes):
    """IoU of one box with many, pixels counted inclusively."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]) + 1
    shared = np.prod(np.maximum(sides, 0), axis=1)
    area = np.prod(box[2:] - box[:2] + 1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2] + 1, axis=1)
    return shared / (area + areas - shared)


def judge(found, scenes):
    """Right (1), wrong (0) or not counted (-1) for each (path, score, box), which are in falling score."""
    taken = {path: np.zeros(len(boxes), dtype=bool) for path, (boxes, _) in scenes.items()}
    verdicts = []
    for path, _, box in found:
        boxes, difficult = scenes[path]
        shares = overlaps(box, boxes) if len(boxes) else np.zeros(1)
        best = int(np.argmax(shares))
        if shares[best] < 0.5 or len(boxes) == 0:
            verdicts.append(0)
        elif difficult[best]:
            verdicts.append(-1)
        else:
            verdicts.append(0 if taken[path][best] else 1)
            taken[path][best] = True
    return np.array(verdicts)


def average_precision(verdicts, positives):
    counted = verdicts[verdicts >= 0]
    right = np.cumsum(counted)
    recall = np.concatenate(([0.0], right / positives))
    precision = np.concatenate((right / np.arange(1, len(counted) + 1), [0.0]))
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * precision[:-1]))


def evaluate(records, scenes):
    found = [(path, face["score"], np.array(face["box"])) for path, record in records.items()
             for face in record.get("faces", [])]
    found.sort(key=lambda item: -item[1])
    verdicts = judge(found, scenes)
    positives = sum(int((~difficult).sum()) for _, difficult in scenes.values())
    return {"ap50": average_precision(verdicts, positives), "scenes": len(scenes), "faces": positives,
            "detections": len(found), "recall": float((verdicts == 1).sum() / positives),
            "errors": sum("error" in record for record in records.values())}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    common.add_program_options(parser, "640")
    parser.add_argument("--data", help="folder with images/ and annotations/; default: data/facemask_dev of FM_SHARED")
    parser.add_argument("--detectors", default="det_500m,scrfd_2.5g")
    parser.add_argument("--det-threshold", default="0.02")
    parser.add_argument("--peer", metavar="PYTHON", help="Python with insightface: measure that beside it")
    options = parser.parse_args()
    data = options.data or os.path.join(common.shared_folder(), "data", "facemask_dev")
    scenes = read_scenes(common.need(data, "the folder of scenes"))
    figures, lines, failed = {}, [], False
    for detector in options.detectors.split(","):
        with tempfile.TemporaryDirectory() as folder:
            pack = common.make_pack(os.path.join(folder, "pack"), common.DETECTORS[detector])
            more = ("--det-threshold", options.det_threshold, "--embedding", "none")
            commands = {"facemill": common.facemill_command(options, pack, *more)}
            if options.peer:
                commands["insightface"] = common.peer_command(options.peer, options, pack, *more)
            row = {name: evaluate(common.analyze(command, list(scenes), folder)[0], scenes)
                   for name, command in commands.items()}
        figures[detector] = row
        for name, result in row.items():
            lines.append("%-11s %-11s AP50 %.4f: %d scenes, %d faces, %d detections from %s on, recall %.4f, errors %d"
                         % (detector, name, result["ap50"], result["scenes"], result["faces"], result["detections"],
                            options.det_threshold, result["recall"], result["errors"]))
        if len(row) == 2:
            row["difference"] = row["facemill"]["ap50"] - row["insightface"]["ap50"]
            failed = failed or abs(row["difference"]) > MAY_DIFFER
            lines.append("%-11s difference %+.5f, allowed %.3f" % (detector, row["difference"], MAY_DIFFER))
    common.report(figures, lines, options.output)
    if failed:
        raise SystemExit(4)


if __name__ == "__main__":
    main()
