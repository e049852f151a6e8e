#!/usr/bin/env python3
"""The worker under load: requests per second, latency, batches, memory; and does it reach the engine's own speed?

    python3 bench/serve_load.py [--connections 1,8,32,128] [--require-share 0.9] ... [-- OPTIONS OF SERVE]

A closed loop: every connection sends its next picture when it has its answer. The worker is started here, warmed, asked
for each picture alone; every answer under load must be the same as that one, byte for byte (boxes, scores, embeddings)
but for times. Latency is from the first byte sent to the last received. p50 and p99 are over all requests of a round;
figures are medians over the rounds. With --require-share the same pictures run through `facemill bench` (or, with
--submitters PROGRAM, bench/submitters.c) before every round with 32 connections: the worker's rate must be that share
of it. --against 'OPTIONS' (may be repeated) starts another worker with these options more, measured by turns."""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile

import common
import serving

SHARE_AT = 32  # connections at which the share counts
NUMBERS = ("requests_per_s", "p50_ms", "p99_ms", "mean_ms", "server_cpu_seconds", "own_cpu_seconds", "pss_bytes",
           "overhead_ms", "mean_detect_batch", "mean_embed_batch")


def arguments(own):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    common.add_program_options(parser, "640")
    serving.add_picture_option(parser, "t1.jpg")
    parser.add_argument("--pack", help="default: det_500m and w600k_mbf of FM_SHARED")
    parser.add_argument("--route", default="/detect", help="/detect, /detect-batch or /v1/analyze[?...]")
    parser.add_argument("--connections", default="1,8,32,128")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warm", type=float, default=2, help="seconds before, not counted")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", action="append", default=[], metavar="'OPTIONS'")
    parser.add_argument("--submitters", metavar="PROGRAM", help="bench/submitters.c in the place of facemill bench")
    parser.add_argument("--in-process-iterations", type=int, default=3)
    parser.add_argument("--require-share", type=float, help="of the in-process rate, at %d connections" % SHARE_AT)
    parser.add_argument("--require-against", type=float, help="lowest ratio to every --against, at every connections")
    parser.add_argument("--require-overhead", type=float, metavar="MS",
                        help="most that HTTP and JSON may take with 1 connection: latency less the engine's total; p50 "
                             "over the requests of /v1/analyze, whose answers say that total, else difference of means")
    parser.add_argument("--require-mean-batch", type=float, help="of detection, at %d connections" % SHARE_AT)
    return parser.parse_args(own)


def in_process(options, pack, paths, folder, more):
    """Images per second without HTTP, with as many pictures together as connections."""
    batch = more[more.index("--max-batch") + 1] if "--max-batch" in more else None
    if options.submitters:
        command = [options.submitters, "--pack", pack, "--providers", options.provider, "--threads", options.threads,
                   "--det-size", options.det_size, "--clients", str(SHARE_AT), "--rounds", "1", "--seconds",
                   str(options.seconds)] + (["--batch", batch] if batch else []) + paths
    else:
        copies = os.path.join(folder, "copies")
        os.makedirs(copies, exist_ok=True)
        links = [os.path.join(copies, "%d%s" % (i, os.path.splitext(paths[i % len(paths)])[1]))
                 for i in range(2 * SHARE_AT)]
        for i, link in enumerate(links):
            if not os.path.lexists(link):
                os.symlink(os.path.abspath(paths[i % len(paths)]), link)
        command = [options.program, "bench", "--pack", pack, "--provider", options.provider, "--threads",
                   options.threads, "--det-size", options.det_size, "--iterations",
                   str(options.in_process_iterations), "--warmup", "1", "--format", "jsonl"]
        command += ["--batch", batch] if batch else []
        command += ["--ort-library", options.ort_library] if options.ort_library else []
        command += links
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit("%s ended with %d" % (shlex.join(command[:2]), result.returncode))
    if options.submitters:
        return json.loads(result.stdout)["loops"]["images_per_second"]
    return json.loads(result.stdout.splitlines()[0])["images_per_s"]["median"]


def one_round(server, requests, expected, connections, options):
    before = server.metrics()
    figures = serving.measure([server], requests, expected, connections, options.seconds, options.warm)
    after = server.metrics()
    figures["batches"] = serving.batches(before, after)
    figures["engine_total_mean_ms"] = serving.stage_mean_ms(before, after, "total")
    paired = figures["beyond_engine_p50_ms"]
    means = figures["mean_with_warm_ms"] - figures["engine_total_mean_ms"]  # both over all since `before`
    figures["overhead_ms"] = means if paired is None else paired
    for name, network in (("mean_detect_batch", "detection"), ("mean_embed_batch", "recognition")):
        figures[name] = figures["batches"].get(network, {}).get("mean", 0.0)
    return figures


def summary(rounds):
    """Medians over the rounds; failures and batch sizes over all of them."""
    medians = {name: statistics.median(one[name] for one in rounds) for name in NUMBERS}
    medians["overhead_is"] = "difference of means" if rounds[0]["beyond_engine_p50_ms"] is None else "p50"
    medians["failures"] = sum(one["failures"] for one in rounds)
    medians["all_requests"] = sum(one["all_requests"] for one in rounds)
    sizes = {}
    for one in rounds:
        for network, what in one["batches"].items():
            for bound, count in what["by_size"].items():
                sizes.setdefault(network, {}).setdefault(bound, 0)
                sizes[network][bound] += count
    sizes = {name: dict(sorted(bounds.items(), key=lambda item: float(item[0]))) for name, bounds in sizes.items()}
    return dict(medians, batch_sizes=sizes)


def lines_of(name, connections, one):
    sizes = "; ".join("%s %s" % (network, " ".join("<=%s:%d" % item for item in by_size.items()))
                      for network, by_size in one["batch_sizes"].items())
    return ["%-20s %4d connections: %8.2f requests/s, p50 %.2f ms, p99 %.2f ms, %d of %d failed, CPU %.2f s worker, "
            "%.2f s here, memory %.0f MiB" % (
                name, connections, one["requests_per_s"], one["p50_ms"], one["p99_ms"], one["failures"],
                one["all_requests"], one["server_cpu_seconds"], one["own_cpu_seconds"], one["pss_bytes"] / 2**20),
            "%-20s %4s mean batch %.2f detection, %.2f recognition; runs by size: %s; latency less engine %.3f ms (%s)"
            % ("", "", one["mean_detect_batch"], one["mean_embed_batch"], sizes, one["overhead_ms"],
               one["overhead_is"])]


def verdicts(options, table, inside):
    """Words for every limit that was missed, and the ratios."""
    missed, ratios = [], {}
    mine = {connections: one for (name, connections), one in table.items() if name == "worker"}
    if options.require_share and SHARE_AT not in mine:
        sys.exit("--require-share needs %d among --connections" % SHARE_AT)
    if inside:
        ratios["share"] = mine[SHARE_AT]["requests_per_s"] / statistics.median(inside)
        if options.require_share and ratios["share"] < options.require_share:
            missed.append("share %.3f is below %g" % (ratios["share"], options.require_share))
    for (name, connections), one in table.items():
        if one["failures"]:
            missed.append("%s, %d connections: %d answers are wrong" % (name, connections, one["failures"]))
        if name == "worker":
            continue
        ratio = mine[connections]["requests_per_s"] / one["requests_per_s"]
        ratios["%s, %d" % (name, connections)] = ratio
        if options.require_against and ratio < options.require_against:
            missed.append("%.3f times '%s' at %d connections" % (ratio, name, connections))
    if options.require_overhead and 1 in mine and mine[1]["overhead_ms"] > options.require_overhead:
        missed.append("overhead %.3f ms" % mine[1]["overhead_ms"])
    if options.require_mean_batch and mine[SHARE_AT]["mean_detect_batch"] < options.require_mean_batch:
        missed.append("mean batch %.2f" % mine[SHARE_AT]["mean_detect_batch"])
    return missed, ratios


def main():
    own, more = serving.split_arguments()
    options = arguments(own)
    connections = [int(text) for text in options.connections.split(",")]
    named = serving.pictures(options, "t1.jpg")
    photos = os.path.join(common.shared_folder(), "images", "photos")
    paths = options.picture or [os.path.join(photos, name) for name, _ in named]
    requests = [serving.picture_request(options.route, name, data) for name, data in named]
    rounds, inside, servers = {}, [], {}
    with tempfile.TemporaryDirectory() as folder:
        pack = options.pack or common.make_pack(os.path.join(folder, "pack"), common.DETECTORS["det_500m"],
                                                common.RECOGNISER)
        try:
            servers["worker"] = serving.serve(options, pack, more)
            for text in options.against:
                servers[text] = serving.serve(options, pack, more + shlex.split(text))
            expected = serving.references(servers["worker"].address, requests)
            for number in range(options.rounds):
                order = list(servers) if number % 2 else list(servers)[::-1]
                for count in connections:
                    if options.require_share and count == SHARE_AT:
                        inside.append(in_process(options, pack, paths, folder, more))
                        print("round %d in process: %.2f images/s" % (number, inside[-1]), file=sys.stderr, flush=True)
                    for name in order:
                        one = one_round(servers[name], requests, expected, count, options)
                        rounds.setdefault((name, count), []).append(one)
                        print("round %d %s, %d connections: %.2f requests/s, %d failures %s" % (
                            number, name, count, one["requests_per_s"], one["failures"], one["wrong"] or ""),
                            file=sys.stderr, flush=True)
        finally:
            codes = {name: server.close() for name, server in servers.items()}
    table = {key: summary(ones) for key, ones in rounds.items()}
    missed, ratios = verdicts(options, table, inside)
    missed += ["%s ended with %d" % item for item in codes.items() if item[1]]
    lines = ["%s %s on %s, %s threads" % (options.route, " ".join(name for name, _ in named), options.provider,
                                          options.threads)]
    for (name, count), one in table.items():
        lines += lines_of(name, count, one)
    if inside:
        lines.append("in process %.2f images/s" % statistics.median(inside))
    lines += ["ratio %s: %.3f" % item for item in ratios.items()] + ["MISSED: " + words for words in missed]
    figures = {"route": options.route, "pictures": [name for name, _ in named], "provider": options.provider,
               "threads": options.threads, "det_size": options.det_size, "serve_options": more,
               "seconds": options.seconds, "in_process_images_per_s": inside, "ratios": ratios, "missed": missed,
               "runs": [{"name": name, "connections": count, "median": table[name, count], "rounds": ones}
                        for (name, count), ones in rounds.items()]}
    common.report(figures, lines, options.output)
    if missed:
        raise SystemExit(4)


if __name__ == "__main__":
    main()
