#!/usr/bin/env python3
"""Checkpoint to ONNX: normalisation folded into the convolutions, weights as fp16, nine outputs in SCRFD's order, any
number of pictures of any sides that are multiples of 32; then compare ONNX Runtime's answers with torch's."""

import os

import numpy as np
import torch

from training import data, store
from training.detector.network import CHANNELS, Network, normalise
from training.faces import STRIDES

MAY_DIFFER = 0.02  # what fp16 changes, as a share of the value or of 1 when that is larger
NOTE = ("Face detector of the facemill project, trained from scratch on labels of YuNet and RetinaFace mobilenet0.25 "
        "(both MIT); training/README.md says on which pictures.")


def load(path):
    network = Network()
    network.load_state_dict(torch.load(path, weights_only=True)["average"])
    return network.eval()


def export(network, path):
    writer = store.Writer("fp16")
    writer.constant("region", np.zeros(0, np.float32))
    writer.constant("twice", np.array([1, 1, 2, 2], np.float32))
    maps, outputs = network.write(writer, "input.1"), []
    for kind, (name, columns) in enumerate((("score", 1), ("bbox", 4), ("kps", 10))):
        writer.integers("rows_%s" % name, [0, -1, columns])
        for level, stride in enumerate(STRIDES):
            value = writer.node("Transpose", [maps[level][kind]], perm=[0, 2, 3, 1])
            output = "%s_%d" % (name, stride)
            if kind == 0:
                value = writer.node("Reshape", [value, "rows_%s" % name])
                writer.node("Sigmoid", [value], output)
            else:
                writer.node("Reshape", [value, "rows_%s" % name], output)
            outputs.append((output, ["N", "cells_%d" % stride, columns]))
    writer.save(path, "input.1", ["N", 3, "H", "W"], outputs, NOTE)


def torch_answers(network, pictures):
    with torch.no_grad():
        maps = network(pictures)
    rows = [value.permute(0, 2, 3, 1).reshape(len(pictures), -1, CHANNELS).numpy() for value in maps]
    scores = [1 / (1 + np.exp(-row[:, :, :1])) for row in rows]
    return scores + [row[:, :, 1:5] for row in rows] + [row[:, :, 5:] for row in rows]


def compare(network, path):
    """The largest difference over batches and sizes; each picture of a batch must equal the same picture alone."""
    session, rng, worst = data.session(path), np.random.default_rng(0), 0.0
    for count, height, width in ((1, 640, 640), (3, 320, 320), (3, 352, 480)):
        levels = torch.from_numpy(rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8))
        pictures = normalise(levels).contiguous()
        answers = session.run(None, {"input.1": pictures.numpy()})
        alone = session.run(None, {"input.1": pictures[-1:].numpy()})
        for answer, single, expected in zip(answers, alone, torch_answers(network, pictures)):
            assert answer.shape == expected.shape, (answer.shape, expected.shape)
            assert np.abs(answer[-1:] - single).max() < 1e-3, "a batch changes the answer"
            worst = max(worst, float((np.abs(answer - expected) / np.maximum(1, np.abs(expected))).max()))
    return worst


def main():
    parser = data.arguments(__doc__)
    parser.add_argument("--checkpoint", help="default: WORK/detector.pt")
    parser.add_argument("--output", help="default: WORK/mini-det.onnx")
    options = data.parse(parser)
    output = options.output or os.path.join(options.work, "mini-det.onnx")
    network = load(options.checkpoint or os.path.join(options.work, "detector.pt"))
    export(network, output)
    macs, parameters = store.count_macs(network, torch.zeros(1, 3, 640, 640))
    worst = compare(network, output)
    print("%s: %d bytes, %d parameters, %.3f GMAC at 640x640, at most %.4f from torch"
          % (output, os.path.getsize(output), parameters, macs / 1e9, worst))
    if worst > MAY_DIFFER:
        raise SystemExit("that is more than %s" % MAY_DIFFER)


if __name__ == "__main__":
    main()
