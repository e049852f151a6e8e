#!/usr/bin/env python3
"""Judge detectors beside one another: AP50, recall and false faces on annotated scenes, points on LFW, pictures whose
faces are counted. Names are networks of the reference data (det_500m, yunet_n, retinaface_mnet025) or ONNX files of
ours.

AP50 is bench/ap50.py's. In the lines for larger faces the smaller ones neither help nor hurt, while every unmatched
detection counts as false, whatever its size."""

import os

import cv2
import numpy as np

from training import data, faces
import ap50  # of bench, where training.data looks too

NEVER_TRAINED = {"photos/t1.jpg": 6, "photos/selfie-many-people.jpg": 6, "photos/bald_guys.jpg": None,
                 "photos/couple.jpg": None, "photos/dogs.jpg": None, "formats/density_plot.png": 0,
                 "formats/denali.webp": 0, "formats/data_crop_no_face.png": 0}
SMALL = 16           # pixels of the scaled picture
LFW_PICTURES = 300


class Scenes:
    """Detections of one detector on scenes, kept so that several figures can be taken from them."""

    def __init__(self, detector, scenes, size, threshold):
        self.found, self.truth, self.scale = {}, {}, {}
        for stem, path, boxes in scenes:
            picture = cv2.imread(path)
            self.found[stem] = detector(picture, size, threshold)[:2]
            self.truth[stem], self.scale[stem] = boxes, size / max(picture.shape[:2])

    def small(self, stem, boxes, smallest):
        return faces.sizes(boxes) * self.scale[stem] < smallest

    def judged(self, stems, smallest):
        """(verdicts in falling score, scores, faces that count)."""
        truth, rows = {}, []
        for stem in stems:
            boxes, scores = self.found[stem]
            truth[stem] = (self.truth[stem].astype(float), self.small(stem, self.truth[stem], smallest))
            rows += [(stem, score, box) for box, score in zip(boxes.astype(float), scores)]
        rows.sort(key=lambda row: -row[1])
        scores = np.array([row[1] for row in rows])
        return ap50.judge(rows, truth), scores, sum(int((~small).sum()) for _, small in truth.values())

    def line(self, stems, smallest, thresholds):
        verdicts, scores, count = self.judged(stems, smallest)
        words = ["AP50 %.4f (%d faces)" % (ap50.average_precision(verdicts, count), count)]
        for threshold in thresholds:
            taken = verdicts[scores >= threshold]
            right, wrong = (taken == 1).sum(), (taken == 0).sum()
            words.append("at %.2f recall %.3f, precision %.3f, %.2f false per scene"
                         % (threshold, right / count, right / max(right + wrong, 1), wrong / len(stems)))
        return "; ".join(words)


def scene_lines(detector, options):
    scenes = data.scenes()[:options.limit]
    stems = [stem for stem, _, _ in scenes]
    unseen = [stem for stem in stems if stem in data.held_out()]
    found = Scenes(detector, scenes, options.size, options.threshold)
    for name, chosen in (("unseen", unseen), ("all", stems)):
        for smallest in (0, SMALL):
            yield "%d scenes, %s, %s: %s" % (len(chosen), name, ">= %d px" % smallest if smallest else "all sizes",
                                             found.line(chosen, smallest, options.thresholds))


def point_lines(detector, options):
    """Mean distance of the five points from RetinaFace's mirrored mean, as a share of the face, on LFW."""
    retina, size_of_truth = faces.open_detector("retinaface_mnet025"), 320
    _, pictures = data.read_archive("lfw", min(LFW_PICTURES, options.limit or LFW_PICTURES))
    truth = [faces.mirrored_mean(retina, picture, size_of_truth) for picture in pictures]
    for size in (320, 640):
        apart, missed = [], 0
        for picture, (boxes, points) in zip(pictures, truth):
            if len(boxes) == 0:
                continue
            main = faces.central(boxes, *picture.shape[1::-1])
            found, _, own = detector(picture, size, 0.5)
            shares = faces.overlaps(boxes[main:main + 1], found)[0] if len(found) else np.zeros(1)
            if shares.max() < 0.5:
                missed += 1
                continue
            distance = np.linalg.norm(own[shares.argmax()] - points[main], axis=1).mean()
            apart.append(distance / faces.sizes(boxes[main:main + 1])[0])
        if not apart:
            yield "LFW at %d: none of %d found" % (size, missed)
            continue
        yield "LFW at %d: points %.4f of the face (median), %.4f (95 %%); %d of %d not found" % (
            size, np.median(apart), np.percentile(apart, 95), missed, len(apart) + missed)


def picture_lines(detector, options):
    for name, wanted in NEVER_TRAINED.items():
        picture, words = cv2.imread(data.shared("images", name)), []
        for size in (640, 320):
            scores = detector(picture, size, 0.2)[1]
            counts = "/".join(str((scores >= threshold).sum()) for threshold in options.thresholds)
            words.append("at %d %s, best %s" % (size, counts, " ".join("%.2f" % score for score in scores[:8])))
        yield "%s (%s faces): %s" % (name, "?" if wanted is None else wanted, "; ".join(words))


def main():
    parser = data.arguments(__doc__)
    parser.add_argument("detectors", nargs="*", help="default: WORK/mini-det.onnx and the three others")
    parser.add_argument("--size", type=int, default=640, help="longer side of the scenes")
    parser.add_argument("--threshold", type=float, default=0.02, help="where the curve of AP50 ends")
    parser.add_argument("--thresholds", type=lambda text: [float(part) for part in text.split(",")],
                        default=[0.3, 0.4, 0.5, 0.6])
    parser.add_argument("--limit", type=int, help="only so many scenes and photographs, to try things")
    options = data.parse(parser)
    names = options.detectors or [os.path.join(options.work, "mini-det.onnx"), "det_500m", "yunet_n",
                                  "retinaface_mnet025"]
    for name in names:
        print("=== %s" % name)
        detector = faces.open_detector(name)
        for lines in (scene_lines, point_lines, picture_lines):
            for line in lines(detector, options):
                print("  " + line, flush=True)


if __name__ == "__main__":
    main()
