#!/usr/bin/env python3
"""The worker beside FastAPI, uvicorn and Python insightface: same pictures, models and runtime, by turns.

    python3 bench/serve_peer.py --peer peer/bin/python [--require 1.8,2,2] ... [-- OPTIONS OF SERVE]

For every picture and number of connections the peer first shows in one short run each which of its set-ups is fastest
(--setups, PROCESSESxTHREADS or PROCESSESxTHREADSxPOOL, POOL requests computed at a time): that one counts. Then worker
and peer run by turns, `rounds` times; figures are medians. Requests per second counts whole answers: of the worker
those that equal its answer to the picture alone, of the peer those with the right number of faces. Both servers'
answers to a picture must have as many faces, with cosines of at least 0.999. Memory is the proportional set size (PSS) of all of
a server's processes right after its round; the worker has a copy of the peer's runtime library, so that they share no
pages, and of the peer only the fastest set-up is there then. --require has one ratio per picture, at 8 connections,
and wants at most half the peer's memory there."""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile

import numpy as np

import common
import serving
import speed

REQUIRED_AT, MEMORY = 8, 0.5


class Setup:
    """The peer with so many processes: one answering on each address."""

    def __init__(self, options, pack, text):
        numbers = [int(number) for number in text.split("x")]
        processes, threads, pool = numbers + [0] * (3 - len(numbers))
        command = [options.peer, os.path.join(common.HERE, "peer_fastapi.py"), "--pack", pack, "--threads",
                   str(threads), "--pool", str(pool), "--det-size", options.det_size]
        self.servers = []
        for _ in range(processes):
            self.servers.append(serving.Server(command))

    def close(self):
        for server in self.servers:
            server.close()


class Ours:
    def __init__(self, options, pack, more):
        self.servers = [serving.serve(options, pack, more)]

    def close(self):
        code = self.servers[0].close()
        if code:
            sys.exit("the worker ended with %d" % code)


class SameFaces:
    """Of the peer: the answer has as many faces as it should; it ends as an answer does."""

    def __init__(self, body):
        self.faces = body.count(b'"embedding"')

    def same(self, body):
        return body.count(b'"embedding"') == self.faces and body.endswith(b"}")


def compare(ours, theirs):
    """(faces, lowest cosine); ends the program when the work is not the same."""
    left, right = json.loads(ours)["faces"], json.loads(theirs)["faces"]
    if len(left) != len(right):
        sys.exit("not the same work: %d faces here and %d there" % (len(left), len(right)))
    worst = 1.0
    for a, b in zip(left, right):
        u, v = common.embedding(a), common.embedding(b)
        worst = min(worst, float(u @ v / np.linalg.norm(u) / np.linalg.norm(v)))
    if worst < 0.999:
        sys.exit("not the same work: cosine %.6f" % worst)
    return len(left), worst


def run(setup, whole, expected, connections, seconds, warm):
    one = serving.measure(setup.servers, [whole], [expected], connections, seconds, warm)
    if one["failures"]:
        sys.exit("%d of %d answers are wrong: %s" % (one["failures"], one["all_requests"], one["wrong"]))
    return one


def try_setups(options, pack, whole, body, connections):
    """({set-up: requests per second}, faces, lowest cosine, what the peer's answers must be like)."""
    tried = {}
    for name in options.setups.split(","):
        setup = Setup(options, pack, name)
        try:
            code, peer_body = serving.ask(setup.servers[0].address, whole)
            if code != 200:
                sys.exit("the peer answers %d" % code)
            faces, cosine = compare(body, peer_body)
            theirs = SameFaces(peer_body)
            tried[name] = run(setup, whole, theirs, connections, options.trial, options.warm)["requests_per_s"]
        finally:
            setup.close()
    return tried, faces, cosine, theirs


def one_case(options, ours, pack, whole, connections):
    """Figures of one picture with so many connections."""
    mine = serving.references(ours.servers[0].address, [whole])[0]
    body = serving.ask(ours.servers[0].address, whole)[1]
    tried, faces, cosine, theirs = try_setups(options, pack, whole, body, connections)
    best = max(tried, key=tried.get)
    rounds, peer = {"worker": [], "peer": []}, Setup(options, pack, best)
    try:
        for number in range(options.rounds):
            for name in ("worker", "peer") if number % 2 else ("peer", "worker"):
                setup, expected = (ours, mine) if name == "worker" else (peer, theirs)
                rounds[name].append(run(setup, whole, expected, connections, options.seconds, options.warm))
    finally:
        peer.close()
    medians = {name: {field: statistics.median(one[field] for one in ones) for field in
                      ("requests_per_s", "p50_ms", "p99_ms", "pss_bytes", "server_cpu_seconds", "own_cpu_seconds")}
               for name, ones in rounds.items()}
    return {"connections": connections, "faces": faces, "cosine_min": cosine, "tried": tried, "setup": best,
            "medians": medians, "rounds": rounds,
            "ratio": medians["worker"]["requests_per_s"] / medians["peer"]["requests_per_s"],
            "ratios_by_round": [a["requests_per_s"] / b["requests_per_s"]
                                for a, b in zip(rounds["worker"], rounds["peer"])],
            "memory_ratio": medians["worker"]["pss_bytes"] / medians["peer"]["pss_bytes"]}


def arguments(own):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    common.add_program_options(parser, "640")
    parser.add_argument("--peer", metavar="PYTHON", required=True, help="Python with FastAPI and insightface")
    parser.add_argument("--setups", default="1x2,2x1,1x2x1,1x2x2,2x1x1")
    parser.add_argument("--picture", action="append", metavar="FILE",
                        help="may be repeated; default: t1.jpg, examples_obama.jpg and one of LFW")
    parser.add_argument("--connections", default="1,8")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warm", type=float, default=2)
    parser.add_argument("--trial", type=float, default=5, help="seconds for each set-up of the peer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--require", help="lowest ratio per picture, with commas, at %d connections" % REQUIRED_AT)
    options = parser.parse_args(own)
    shared = common.shared_folder()
    options.picture = options.picture or [os.path.join(shared, *path) for path in (
        ("images", "photos", "t1.jpg"), ("images", "photos", "examples_obama.jpg"),
        ("data", "lfw10x10", "Tony_Blair", "Tony_Blair_0001.jpg"))]
    options.counts = [int(text) for text in options.connections.split(",")]
    options.limits = [float(text) for text in options.require.split(",")] if options.require else []
    if options.limits and (len(options.limits) != len(options.picture) or REQUIRED_AT not in options.counts):
        parser.error("--require needs one ratio per picture, and %d among --connections" % REQUIRED_AT)
    if options.provider == "ort:cpu" and not options.ort_library:
        options.ort_library = speed.wheel_library(options.peer)
    return options


def main():
    own, more = serving.split_arguments()
    options = arguments(own)
    cases, missed, lines = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        pack = common.make_pack(os.path.join(folder, "pack"), common.DETECTORS["det_500m"], common.RECOGNISER)
        if options.ort_library:
            options.ort_library = shutil.copy(options.ort_library, folder)
        ours = Ours(options, pack, more)
        try:
            for number, (name, data) in enumerate(serving.pictures(options)):
                whole = serving.picture_request("/detect", name, data)
                for connections in options.counts:
                    case = dict(one_case(options, ours, pack, whole, connections), picture=name)
                    cases.append(case)
                    a, b = case["medians"]["worker"], case["medians"]["peer"]
                    lines.append("%s (%d faces), %d connections: worker %.2f requests/s, p99 %.1f ms, %.0f MiB; peer "
                                 "%s %.2f requests/s, p99 %.1f ms, %.0f MiB; ratio %.2f (%s), memory %.2f" % (
                                     name, case["faces"], connections, a["requests_per_s"], a["p99_ms"],
                                     a["pss_bytes"] / 2**20, case["setup"], b["requests_per_s"], b["p99_ms"],
                                     b["pss_bytes"] / 2**20, case["ratio"],
                                     " ".join("%.2f" % ratio for ratio in case["ratios_by_round"]),
                                     case["memory_ratio"]))
                    print(lines[-1], file=sys.stderr, flush=True)
                    if connections == REQUIRED_AT and options.limits:
                        if case["ratio"] < options.limits[number]:
                            missed.append("%s: ratio %.2f is below %g" % (name, case["ratio"], options.limits[number]))
                        if case["memory_ratio"] > MEMORY:
                            missed.append("%s: memory %.2f of the peer's" % (name, case["memory_ratio"]))
        finally:
            ours.close()
    common.report({"provider": options.provider, "ort_library": options.ort_library, "threads": options.threads,
                   "serve_options": more, "cases": cases, "missed": missed},
                  lines + ["MISSED: " + words for words in missed], options.output)
    if missed:
        raise SystemExit(4)


if __name__ == "__main__":
    main()
