#!/usr/bin/env python3
"""Our own time per picture: everything but the networks and the decoding of the file, for one picture at a time.

Reads `facemill bench` with one thread inside the networks, so that nothing runs beside anything else: the letterbox,
rows and suppression, alignment and crops, and what the hand-over between threads costs, each the median over all
passes. `around` is total less read, decode and the two networks: hand-overs and waiting are in it, the stages above
are parts of it. t1.jpg (1280x886) has 6 faces."""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import common

AROUND_MS, ROWS_MS = 2.0, 0.3  # limits
OWN = ("queue", "letterbox", "postprocess", "align")


def run_bench(options, pack, picture):
    command = [options.program, "bench", "--pack", pack, "--provider", options.provider, "--threads", options.threads,
               "--det-size", options.det_size, "--iterations", str(options.iterations), "--format", "jsonl", picture]
    if options.ort_library:
        command += ["--ort-library", options.ort_library]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit("facemill bench ended with %d" % result.returncode)
    return json.loads(result.stdout.splitlines()[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    common.add_program_options(parser, "640")
    parser.set_defaults(threads="1")
    parser.add_argument("--picture", help="default: images/photos/t1.jpg of FM_SHARED")
    parser.add_argument("--iterations", type=int, default=100)
    options = parser.parse_args()
    picture = options.picture or os.path.join(common.shared_folder(), "images", "photos", "t1.jpg")
    common.need(picture, "the picture")
    with tempfile.TemporaryDirectory() as folder:
        pack = common.make_pack(folder, common.DETECTORS["det_500m"], common.RECOGNISER)
        bench = run_bench(options, pack, picture)
    median = {name: stage["median"] for name, stage in bench["stages_ms"].items()}
    stages = sum(median[name] for name in OWN)
    around = median["total"] - sum(median[name] for name in ("read", "decode", "detect", "embed"))
    figures = {"faces": bench["faces"], "median_ms": median, "own_stages_ms": stages, "around_networks_ms": around}
    good = max(stages, around) < AROUND_MS and median["postprocess"] < ROWS_MS
    lines = ["%-12s %8.3f ms" % item for item in median.items()]
    lines += ["own stages (%s) %.3f ms, total less read, decode and networks %.3f ms: limit %.1f"
              % (" + ".join(OWN), stages, around, AROUND_MS),
              "rows and suppression %.3f ms: limit %.1f" % (median["postprocess"], ROWS_MS),
              "%d faces: %s" % (bench["faces"], "within the limits" if good else "OVER THE LIMIT")]
    common.report(figures, lines, options.output)
    if not good:
        raise SystemExit(4)


if __name__ == "__main__":
    main()
