"""The peer: insightface's own FaceAnalysis over a list of pictures, writing the lines that `facemill analyze` writes.

Runs in a Python that has insightface, onnxruntime and OpenCV (README.md says how to set one up) and uses nothing of
this project, so that a difference in answers or in speed is a difference between the two programs."""

import argparse
import json
import os

import cv2
import numpy as np
import onnxruntime
from insightface.app import FaceAnalysis


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pack", required=True, help="folder of ONNX files")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--det-size", default="640", help="640, or 128,640")
    parser.add_argument("--det-threshold", type=float, default=0.5)
    parser.add_argument("--embedding", choices=("array", "none"), default="array")
    parser.add_argument("--no-spinning", action="store_true", help="threads sleep between runs; not the default")
    parser.add_argument("--format", choices=("jsonl",), default="jsonl")
    parser.add_argument("--output", required=True)
    parser.add_argument("--from-file", required=True, help="paths, one per line")
    return parser.parse_args()


def open_app(options):
    session_options = onnxruntime.SessionOptions()
    session_options.intra_op_num_threads = options.threads
    session_options.inter_op_num_threads = 1
    if options.no_spinning:
        session_options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    cv2.setNumThreads(options.threads)
    modules = ["detection", "recognition"] if options.embedding == "array" else ["detection"]
    app = FaceAnalysis(name=os.path.abspath(options.pack), allowed_modules=modules, providers=["CPUExecutionProvider"],
                       sess_options=session_options)
    sizes = [(int(side), int(side)) for side in options.det_size.split(",")]
    app.prepare(ctx_id=0, det_thresh=options.det_threshold, det_size=sizes)
    return app


def face_fields(face):
    fields = {"box": face.bbox.tolist(), "score": float(face.det_score), "landmarks": face.kps.tolist()}
    if face.embedding is not None:
        fields["embedding"] = face.embedding.tolist()
        fields["embedding_norm"] = float(np.linalg.norm(face.embedding))
    return fields


def main():
    options = arguments()
    app = open_app(options)
    with open(options.from_file, encoding="utf-8") as file:
        paths = file.read().splitlines()
    with open(options.output, "w", encoding="utf-8") as output:
        for path in paths:
            bgr = cv2.imread(path)
            if bgr is None:
                record = {"path": path, "error": {"code": "bad_image", "message": "cv2.imread gives nothing"}}
            else:
                faces = [face_fields(face) for face in app.get(bgr)]
                record = {"path": path, "width": bgr.shape[1], "height": bgr.shape[0], "faces": faces}
            output.write(json.dumps(record, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
