#!/usr/bin/env python3
"""Images per second of facemill beside Python insightface: same pictures, models, threads and runtime.

Both programs are started anew for every measurement, by turns, over 1 copy and over 4 copies of a set of pictures
(real files of their own, so that nothing can be remembered between them) and write the embedding of every face. The
difference of the two wall clocks is the time of 3 sets without start and loading: rate = 3 * pictures / difference. One
round warms up and is not counted; the figures are medians over the others. Before any speed is believed, both must have
found the same number of faces in every picture, and the embeddings must agree."""

import argparse
import glob
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

import numpy as np

import common

COPIES = 4


def copy_pictures(sources, folder):
    """COPIES lists of paths; every path is a file of its own."""
    sets = []
    for copy in range(COPIES):
        target = os.path.join(folder, "copy%d" % copy)
        os.mkdir(target)
        sets.append([shutil.copyfile(source, os.path.join(target, os.path.basename(source))) for source in sources])
    return sets


def wheel_library(python):
    """The ONNX Runtime library of the peer's wheel, for facemill to use the same."""
    code = "import onnxruntime, os; print(os.path.dirname(onnxruntime.__file__))"
    folder = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    found = sorted(glob.glob(os.path.join(folder, "capi", "libonnxruntime.so*")))
    if not found:
        sys.exit("no libonnxruntime.so in %s: name one with --ort-library" % folder)
    return found[-1]


def compare_answers(ours, theirs):
    """Face count of the set and the lowest cosine; ends the program when the counts differ."""
    worst, faces = 1.0, 0
    for path, record in ours.items():
        a, b = record.get("faces"), theirs[path].get("faces")
        if a is None or b is None or len(a) != len(b):
            sys.exit("not the same work: %s has %s faces here and %s there" % (path, a and len(a), b and len(b)))
        for left, right in zip(a, b):
            u, v = common.embedding(left), common.embedding(right)
            worst = min(worst, float(u @ v / np.linalg.norm(u) / np.linalg.norm(v)))
        faces += len(a)
    return faces, worst


def measure(commands, sets, rounds, folder):
    """{name: [rate per round]} and the last answers; who starts changes from round to round."""
    whole = [path for copy in sets for path in copy]
    rates, answers = {name: [] for name in commands}, {}
    for number in range(rounds + 1):
        order = list(commands) if number % 2 else list(commands)[::-1]
        seconds = {}
        for paths in (sets[0], whole):
            for name in order:
                answers[name], seconds[name, len(paths)] = common.analyze(commands[name], paths, folder)
        for name in order:
            one, four = seconds[name, len(sets[0])], seconds[name, len(whole)]
            rate = (len(whole) - len(sets[0])) / (four - one)
            if number:
                rates[name].append(rate)
            print("round %d %-11s 1 copy %.2f s, %d copies %.2f s: %.2f images/s%s" % (
                number, name, one, COPIES, four, rate, "" if number else " (warm-up)"), file=sys.stderr, flush=True)
    return rates, answers


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    common.add_program_options(parser, "640")
    parser.add_argument("--peer", metavar="PYTHON", required=True, help="Python with insightface")
    parser.add_argument("--peer-no-spinning", action="store_true", help="let the peer's threads sleep; not its default")
    parser.add_argument("--images", help="folder of JPEGs; default: images/photos of FM_SHARED")
    parser.add_argument("--detector", default="det_500m", choices=sorted(common.DETECTORS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--require", type=float, help="exit with 4 when facemill is not this many times as fast")
    options = parser.parse_args()
    if options.provider == "ort:cpu" and not options.ort_library:
        options.ort_library = wheel_library(options.peer)
    images = common.need(options.images or os.path.join(common.shared_folder(), "images", "photos"), "pictures")
    sources = sorted(glob.glob(os.path.join(images, "*.jpg")))
    with tempfile.TemporaryDirectory() as folder:
        pack = common.make_pack(os.path.join(folder, "pack"), common.DETECTORS[options.detector], common.RECOGNISER)
        spinning = ("--no-spinning",) if options.peer_no_spinning else ()
        commands = {"facemill": common.facemill_command(options, pack, "--embedding", "array"),
                    "insightface": common.peer_command(options.peer, options, pack, *spinning)}
        rates, answers = measure(commands, copy_pictures(sources, folder), options.rounds, folder)
        faces, worst = compare_answers(answers["facemill"], answers["insightface"])
    medians = {name: statistics.median(values) for name, values in rates.items()}
    ratio = medians["facemill"] / medians["insightface"]
    by_round = [ours / theirs for ours, theirs in zip(rates["facemill"], rates["insightface"])]
    figures = {"provider": options.provider, "ort_library": options.ort_library, "threads": options.threads,
               "det_size": options.det_size, "detector": options.detector, "images": len(sources), "copies": COPIES,
               "faces_of_all_copies": faces, "cosine_min": worst, "rates": rates, "medians": medians, "ratio": ratio,
               "ratios_by_round": by_round}
    common.report(figures, [
        "%d pictures, %d faces per set, equal counts, lowest cosine %.7f" % (len(sources), faces // COPIES, worst),
        "facemill %s: %.2f images/s (%.2f to %.2f)" % (options.provider, medians["facemill"], min(rates["facemill"]),
                                                       max(rates["facemill"])),
        "insightface: %.2f images/s (%.2f to %.2f)" % (medians["insightface"], min(rates["insightface"]),
                                                       max(rates["insightface"])),
        "ratio of the medians %.2f; by round %s" % (ratio, " ".join("%.2f" % value for value in by_round)),
    ], options.output)
    if options.require is not None and ratio < options.require:
        raise SystemExit(4)


if __name__ == "__main__":
    main()
