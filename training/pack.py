#!/usr/bin/env python3
"""Put both networks into a folder with the manifest that says how to use them (docs/manifest.md)."""

import hashlib
import json
import os
import shutil

from training import data, faces

LICENCE = "made by the facemill project from public-domain and MIT networks; pictures: research sets"


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
              thresholds={"score": options.score, "nms": 0.4}),
        entry(recogniser, task="recognition", family="arcface", pixels={"order": "rgb", "mean": 0, "std": 1},
              crop={"side": faces.CHIP_SIDE, "points": faces.CHIP_POINTS.tolist()}, thresholds={"match": match},
              metric="cosine", normalised=False)]
    manifest = {"facemill_pack": 1, "name": options.name, "version": options.version, "licence": {"name": LICENCE},
                "models": models}
    os.makedirs(options.folder, exist_ok=True)
    for path in (detector, recogniser):
        shutil.copy(path, options.folder)
    with open(os.path.join(options.folder, "manifest.json"), "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=2)
        file.write("\n")
    print("%s: %d bytes of networks, match %.3f" % (options.folder, sum(row["bytes"] for row in models), match))


if __name__ == "__main__":
    main()
