"""Where the reference data and the working folder are, and what every script here needs of them."""

import argparse
import os
import sys
import tarfile

import cv2
import numpy as np
import onnxruntime

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.append(os.path.join(ROOT, "bench"))
import ap50  # noqa: E402  of bench, as what it imports

cv2.setNumThreads(1)

# name: archive below the reference data, side it is stored at, border added for the teachers (the crops are tight)
PHOTOGRAPHS = {
    "lfw": ("data/lfw_pairs.tar", 250, 0),
    "utk": ("train/utk_train.tar", 200, 40),
    "rest": ("train/lfw_rest.tar", 200, 25),
    "ffhq": ("train/ffhq256.tar", 256, 64),
}
RECOGNITION = ("utk", "rest", "ffhq")  # never "lfw": its people are the test
HELD_OUT = os.path.join(HERE, "detector", "held_out.txt")


def shared(*parts):
    """A path below the folder of reference data: FM_SHARED, or `shared` beside the project."""
    return os.path.join(os.environ.get("FM_SHARED") or os.path.join(ROOT, os.pardir, "shared"), *parts)


def arguments(description):
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--work", default=os.path.join(HERE, "work"), help="folder for everything that is made")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    return parser


def parse(parser):
    options = parser.parse_args()
    os.makedirs(options.work, exist_ok=True)
    return options


def session(path, threads=1):
    if not os.path.exists(path):
        sys.exit("%s is not there: make it first, or set FM_SHARED to the folder of reference data" % path)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 3
    return onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])


def read_archive(name, limit=None):
    """(names, pictures [n, side, side, 3] BGR) of one row of PHOTOGRAPHS; `limit` takes an even spread of that many."""
    archive, side, _ = PHOTOGRAPHS[name]
    names, pictures = [], []
    with tarfile.open(shared(archive)) as tar:
        members = [member for member in tar.getmembers() if member.name.endswith(".jpg")]
        members = members[::max(1, len(members) // limit)][:limit] if limit else members
        for member in members:
            picture = cv2.imdecode(np.frombuffer(tar.extractfile(member).read(), np.uint8), cv2.IMREAD_COLOR)
            if picture is None:
                continue
            if picture.shape[:2] != (side, side):
                picture = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
            names.append(member.name)
            pictures.append(picture)
    return names, np.stack(pictures)


def held_out():
    """The stems of the scenes that no training sees."""
    with open(HELD_OUT, encoding="utf-8") as file:
        return {line.strip() for line in file if line.strip() and not line.startswith("#")}


def scenes():
    """[(stem, path, boxes [n,4])] of all scenes with annotations, by name."""
    found = ap50.read_scenes(shared("data", "facemask_dev"))
    return [(os.path.splitext(os.path.basename(path))[0], path, boxes.astype(np.float32))
            for path, (boxes, _) in found.items()]


def save_atomically(write, path):
    """`write(temporary path)`, then put it in place: whoever is interrupted keeps the former file."""
    write(path + ".part")
    os.replace(path + ".part", path)
