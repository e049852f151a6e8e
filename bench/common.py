"""What the evaluation commands share: where things are, temporary packs, running a program that writes faces as
JSON Lines (facemill, or peer_insightface.py, which writes the same lines), and reading those lines."""

import argparse
import base64
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
DETECTORS = {"det_500m": "det_500m.onnx", "scrfd_2.5g": "scrfd_2.5g_bnkps.onnx"}
RECOGNISER = "w600k_mbf.onnx"


def shared_folder():
    """The folder of test data: FM_SHARED, or `shared` beside the project."""
    return os.path.abspath(os.environ.get("FM_SHARED") or os.path.join(ROOT, os.pardir, "shared"))


def need(path, what):
    """`path`, or the end of the program in words."""
    if not os.path.exists(path):
        sys.exit("%s is not there: %s. Set FM_SHARED to the folder of test data, or name it." % (what, path))
    return path


def make_pack(folder, *files):
    """Fill `folder` with links to the named files of shared/models: a pack."""
    os.makedirs(folder, exist_ok=True)
    for name in files:
        target = need(os.path.join(shared_folder(), "models", name), "a model")
        link = os.path.join(folder, name)
        if not os.path.lexists(link):
            os.symlink(target, link)
    return folder


def list_option(paths, folder):
    """A file for --from-file, so that many paths fit on no command line."""
    handle, name = tempfile.mkstemp(suffix=".txt", dir=folder, text=True)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.writelines(path + "\n" for path in paths)
    return name


def analyze(command, paths, folder):
    """Run `command` (program and options) over `paths`; returns ({path: record}, seconds of the whole process)."""
    output = os.path.join(folder, "faces.jsonl")
    whole = [*command, "--format", "jsonl", "--output", output, "--from-file", list_option(paths, folder)]
    started = time.perf_counter()
    result = subprocess.run(whole, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - started
    if result.returncode not in (0, 1):
        sys.exit("%s\nended with %d:\n%s" % (shlex.join(whole), result.returncode, result.stderr[-2000:]))
    with open(output, encoding="utf-8") as file:
        records = {record["path"]: record for record in map(json.loads, file)}
    os.unlink(output)
    missing = [path for path in paths if path not in records]
    if missing:
        sys.exit("%s\nwrote no line for %d of %d pictures, first %s"
                 % (shlex.join(whole), len(missing), len(paths), missing[0]))
    return records, seconds


def embedding(face):
    """The raw vector of a face, from --embedding array or base64 (little-endian float32)."""
    value = face["embedding"]
    if isinstance(value, str):
        return np.frombuffer(base64.b64decode(value), dtype="<f4")
    return np.asarray(value, dtype=np.float32)


def default_program():
    """FM_PROGRAM, what was built here, or facemill of PATH."""
    built = os.path.join(ROOT, "build", "apps", "facemill", "facemill")
    return os.environ.get("FM_PROGRAM") or (built if os.access(built, os.X_OK) else "facemill")


def program_name(text):
    """A program that can be run, checked before pictures are unpacked and copied."""
    if shutil.which(text) is None:
        raise argparse.ArgumentTypeError("no program '%s': build it (make), or name one here or in FM_PROGRAM" % text)
    return text


def add_program_options(parser, det_size):
    parser.add_argument("--program", type=program_name, default=default_program(), help="facemill to measure")
    parser.add_argument("--provider", default="ort:cpu")
    parser.add_argument("--ort-library", help="ONNX Runtime's library file; default: the program searches")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--det-size", default=det_size)
    parser.add_argument("--output", help="write the figures here as JSON too")


def facemill_command(options, pack, *more):
    command = [options.program, "analyze", "--pack", pack, "--provider", options.provider, "--threads", options.threads,
               "--det-size", options.det_size, "--quiet", *more]
    if options.ort_library:
        command += ["--ort-library", options.ort_library]
    return command


def peer_command(python, options, pack, *more):
    return [python, os.path.join(HERE, "peer_insightface.py"), "--pack", pack, "--threads", options.threads,
            "--det-size", options.det_size, *more]


def report(figures, lines, output):
    """Words on standard output, figures as JSON in a file when asked."""
    print("\n".join(lines))
    if output:
        with open(output, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)
            file.write("\n")
