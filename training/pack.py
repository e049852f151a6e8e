#!/usr/bin/env python3
"""Put both networks into a folder with the manifest that says how to use them (docs/manifest.md)."""

import hashlib
import json
import os
import shutil

from training import data, faces

LICENCE = "MIT, as facemill; made with pictures of research sets: see about"
# What its users should know (docs/manifest.md): of the pack, of the detector, of the recogniser.
ABOUT = [
    "Made by the facemill project for trying it, for tests and for light work; training/README.md says how.",
    "From networks in the public domain (dlib) or under the MIT licence (YuNet, RetinaFace), and from pictures of research"
    " sets (LFW, UTKFace, FFHQ, Face Mask Detection), of which none is in these files.",
    "Those sets' terms speak of the pictures; whoever needs certainty about networks made with them takes another pack, or"
    " trains on pictures of their own.",
    "docs/packs.md says which pack to take for more."]
ABOUT_DETECTOR = [
    "Trained on scenes and composed pictures; boxes from YuNet and from people, landmarks from RetinaFace.",
    "AP50 0.835 on 50 scenes that it never saw (det_500m 0.843, yunet_n 0.767); docs/accuracy.md.",
    "Weak in crowds, where faces are tiny or turned away, and on large faces that the picture's edge cuts."]
ABOUT_RECOGNISER = [
    "dlib's ResNet v1 with factorised convolutions, taught to give dlib's vectors.",
    "Weak where faces are tiny, blurred or turned away."]


def entry(path, **more):
    with open(path, "rb") as file:
        content = file.read()
    return {"file": os.path.basename(path), "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content),
            **more}


def main():
    parser = data.arguments(__doc__)
    parser.add_argument("folder", help="where the pack goes")
    parser.add_argument("--name", default="mini")
    parser.add_argument("--version", default="1")
    parser.add_argument("--score", type=float, default=0.5, help="from which a detection counts")
    options = data.parse(parser)
    detector, recogniser = (os.path.join(options.work, name) for name in ("mini-det.onnx", "mini-rec.onnx"))
    with open(recogniser + ".json", encoding="utf-8") as file:
        match = json.load(file)["cosine"]
    models = [
        entry(detector, task="detection", family="scrfd", pixels={"order": "rgb", "mean": 127.5, "std": 128},
              thresholds={"score": options.score, "nms": 0.4}, about=ABOUT_DETECTOR),
        entry(recogniser, task="recognition", family="arcface", pixels={"order": "rgb", "mean": 0, "std": 1},
              crop={"side": faces.CHIP_SIDE, "points": faces.CHIP_POINTS.tolist()}, thresholds={"match": match},
              metric="cosine", normalised=False, about=ABOUT_RECOGNISER)]
    manifest = {"facemill_pack": 1, "name": options.name, "version": options.version, "licence": {"name": LICENCE},
                "about": ABOUT, "models": models}
    os.makedirs(options.folder, exist_ok=True)
    for path in (detector, recogniser):
        shutil.copy(path, options.folder)
    with open(os.path.join(options.folder, "manifest.json"), "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=2)
        file.write("\n")
    print("%s: %d bytes of networks, match %.3f" % (options.folder, sum(row["bytes"] for row in models), match))


if __name__ == "__main__":
    main()
