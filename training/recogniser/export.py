#!/usr/bin/env python3
"""Checkpoint to ONNX: pixel normalisation folded into the first convolution, weights as int8 with a scale per output
channel (or fp16), any number of chips; then compare ONNX Runtime's answers with torch's.

Distilled vectors are a little shorter than the teacher's, so the last layer is scaled until distances near dlib's 0.6
between views (of people that are in no test) are the teacher's again, and 0.6 stays the threshold. The cosine of ours
that such pairs have is the threshold for those who compare directions; it is written beside the network, to FILE.json.
"""

import json
import os

import numpy as np
import torch

from training import data, schedule, store
from training.faces import CHIP_SIDE
from training.recogniser.network import EMBEDDING, Network, embed, from_state, to_chips
from training.recogniser.train import Views

NEAR = (0.45, 0.75)       # distances of the teacher that the scale is taken from
THRESHOLD = (0.57, 0.63)  # and the threshold for cosines: dlib's 0.6
NOTE = ("Face recogniser of the facemill project: dlib_face_recognition_resnet_model_v1 (public domain, Davis King) "
        "made smaller by low rank and distilled from itself; training/README.md says on which pictures.")


def calibrate(vectors, targets):
    """(scale, cosine): the teacher's distance over ours, our cosine at the teacher's threshold; medians of pairs."""
    first, second = np.triu_indices(len(targets), 1)
    wanted = np.linalg.norm(targets[first] - targets[second], axis=1)
    keep = (wanted > NEAR[0]) & (wanted < NEAR[1])
    a, b, wanted = vectors[first[keep]], vectors[second[keep]], wanted[keep]
    scale = np.median(wanted / np.linalg.norm(a - b, axis=1))
    at = (wanted > THRESHOLD[0]) & (wanted < THRESHOLD[1])
    cosines = (a[at] * b[at]).sum(axis=1) / np.linalg.norm(a[at], axis=1) / np.linalg.norm(b[at], axis=1)
    return float(scale), float(np.median(cosines))


def export(network, path, storage, scale):
    writer = store.Writer(storage)
    network.write(writer, "input", "embedding", scale)
    writer.save(path, "input", ["N", 3, CHIP_SIDE, CHIP_SIDE], [("embedding", ["N", EMBEDDING])], NOTE)


def rounded(network, path):
    """The network with the weights of the file, as torch computes it."""
    copy, weights = Network(network.layout, network.ranks), store.read_weights(path)
    with torch.no_grad():
        for name, value in copy.named_parameters():
            value.copy_(torch.tensor(weights[name]))
        copy.mean.zero_()
        copy.stem.weight.mul_(256)  # the file's takes levels as they are; `forward` divides them
    return copy.eval()


def compare(network, path, scale, chips):
    """(largest difference to the same weights in torch, mean and largest distance that rounding the weights moves)."""
    session = data.session(path)
    answers = session.run(None, {"input": np.ascontiguousarray(to_chips(torch.from_numpy(chips)).numpy())})[0]
    alone = session.run(None, {"input": np.ascontiguousarray(to_chips(torch.from_numpy(chips[-1:])).numpy())})[0]
    assert np.abs(answers[-1:] - alone).max() < 1e-4, "a batch changes the answer"
    same = np.abs(answers - embed(rounded(network, path), chips)).max()
    moved = np.linalg.norm(answers - scale * embed(network, chips), axis=1)
    return float(same), float(moved.mean()), float(moved.max())


def main():
    parser = data.arguments(__doc__)
    parser.add_argument("--checkpoint", help="default: WORK/recogniser.pt")
    parser.add_argument("--output", help="default: WORK/mini-rec.onnx")
    parser.add_argument("--storage", choices=("int8", "fp16"), default="int8")
    options = data.parse(parser)
    output = options.output or os.path.join(options.work, "mini-rec.onnx")
    network = from_state(schedule.load(options.checkpoint or os.path.join(options.work, "recogniser.pt"))).eval()
    views = Views(options.work)
    scale, cosine = calibrate(embed(network, views.read(views.held)), views.targets[views.held])
    export(network, output, options.storage, scale)
    with open(output + ".json", "w", encoding="utf-8") as file:
        json.dump({"cosine": round(cosine, 3)}, file)
    macs, parameters = store.count_macs(network, torch.zeros(1, 3, CHIP_SIDE, CHIP_SIDE))
    same, mean, largest = compare(network, output, scale, views.read(views.held[:32]))
    print("%s: %d bytes, %d parameters, %.3f GMAC, last layer times %.4f, threshold for cosines %.3f"
          % (output, os.path.getsize(output), parameters, macs / 1e9, scale, cosine))
    print("ONNX Runtime is at most %.1e from torch with the same weights; %s moves vectors by %.4f (mean), %.4f (most)"
          % (same, options.storage, mean, largest))
    if same > 1e-3:
        raise SystemExit("that is more than rounding errors explain")


if __name__ == "__main__":
    main()
