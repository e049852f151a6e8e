"""The peer of the worker: FastAPI, uvicorn and insightface's own FaceAnalysis behind POST /detect, one process of it.

Runs in a Python that has them (README.md says how to set one up) and uses nothing of this project. The answer is the
one that `facemill serve` gives on that route. Several processes are started by serve_peer.py, each on its own port, and
connections spread evenly: no proxy costs this peer anything, and none of its processes idles beside a busy one."""

import argparse
import json
import os
import socket
import time

import cv2
import numpy as np
import onnxruntime
import uvicorn
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI, File, HTTPException, Response, UploadFile
from insightface.app import FaceAnalysis

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--pack", required=True, help="folder of ONNX files")
parser.add_argument("--threads", type=int, default=2, help="inside networks")
parser.add_argument("--pool", type=int, default=0, help="requests computed at a time; 0: FastAPI's own 40")
parser.add_argument("--det-size", type=int, default=640)
options = parser.parse_args()

session_options = onnxruntime.SessionOptions()
session_options.intra_op_num_threads = options.threads
session_options.inter_op_num_threads = 1
cv2.setNumThreads(options.threads)
faces_of = FaceAnalysis(name=os.path.abspath(options.pack), allowed_modules=["detection", "recognition"],
                        providers=["CPUExecutionProvider"], sess_options=session_options)
faces_of.prepare(ctx_id=0, det_thresh=0.5, det_size=(options.det_size, options.det_size))
app = FastAPI()


@app.post("/detect")
def detect(file: UploadFile = File(...)):
    began = time.perf_counter()
    bgr = cv2.imdecode(np.frombuffer(file.file.read(), np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise HTTPException(400, "Could not decode image")
    faces = []
    for face in faces_of.get(bgr):
        x1, y1, x2, y2 = (int(value) for value in face.bbox)
        faces.append({"bbox_x": x1, "bbox_y": y1, "bbox_width": x2 - x1, "bbox_height": y2 - y1,
                      "embedding": face.embedding.tolist(), "confidence": float(face.det_score),
                      "landmarks": face.kps.tolist()})
    # Written here: FastAPI's own way over a dict walks through every number first and takes longer.
    return Response(json.dumps({"faces": faces, "image_width": bgr.shape[1], "image_height": bgr.shape[0],
                                "processing_time_ms": 1e3 * (time.perf_counter() - began)}, separators=(",", ":")),
                    media_type="application/json")


@app.on_event("startup")
async def bound_pool():
    if options.pool:
        current_default_thread_limiter().total_tokens = options.pool


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(json.dumps({"listening": ["http://127.0.0.1:%d" % listener.getsockname()[1]]}), flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
