#!/usr/bin/env python3
"""What happens to requests when the worker is told to stop, gets another pack, or is killed.

    python3 bench/serve_signals.py [--only term,swap,kill] ... [-- OPTIONS OF SERVE]

term: SIGTERM under load. Every request that was sent at least 0.1 s before it must be answered rightly; later ones may
also be answered with 503 or find their connection closed. New connections must be refused within a second; the
exit code must be 0.
swap: the config file names another pack, SIGHUP, under load, several times. No request may be lost; every answer must
be that of one of the two packs alone; each swap must have happened, and after it the new pack answers all.
kill: `facemill analyze --worker` has its worker killed. The engine here must give its first record within --fallback
seconds; when a worker is back at that address it must get pictures again within --return seconds; the records must be
complete and the same bytes as those of `facemill analyze` alone.
Exits with 4 when one of these is not so."""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import common
import serving

MARGIN = 0.1  # seconds: what was sent whole so long before the signal was accepted


def wait_for(what, words):
    end = time.monotonic() + serving.PATIENCE
    while time.monotonic() < end:
        if what():
            return
        time.sleep(0.02)
    sys.exit("%s did not happen within %d s" % (words, serving.PATIENCE))


class Event:
    """Something that is done once, after so many seconds of a load."""

    def __init__(self, seconds, action):
        self.due, self.action, self.at = time.perf_counter() + seconds, action, None

    def __call__(self, now):
        if self.at is None and now >= self.due:
            self.at = time.perf_counter()
            self.action()


# ---- term

class Ending(serving.Load):
    """A load that does not connect again."""

    def on_lost(self, client):
        client.began = 0.0


def knock(address, began, state):
    """Connect again and again, until refused 20 times in a row; when a connection was last taken."""
    refused = 0
    while refused < 20 and time.perf_counter() < began + 30:
        try:
            socket.create_connection(address, timeout=1).close()
            state["last_taken"], refused = time.perf_counter() - began, 0
        except OSError:
            refused += 1
        time.sleep(0.02)
    state["refused"] = refused >= 20


def term(options, pack, requests, more):
    server = serving.serve(options, pack, more)
    try:
        expected = serving.references(server.address, requests)
        load, state = Ending([server.address], requests, expected, options.connections), {"last_taken": 0.0}
        knocking = []

        def stop():
            server.process.send_signal(signal.SIGTERM)
            knocking.append(threading.Thread(target=knock, args=(server.address, time.perf_counter(), state)))
            knocking[0].start()

        event = Event(options.seconds, stop)
        answers = load.run(options.seconds + 10, event)
        knocking[0].join()
    finally:
        code = server.close()
    right = [a for a in answers if serving.is_right(a)]
    accepted = [a for a in answers if a[0] < event.at - MARGIN]
    under_way = [a for a in accepted if a[1] > event.at]
    bad = [a for a in accepted if not serving.is_right(a)]
    later = [a for a in answers if a[0] >= event.at - MARGIN]
    odd = [a for a in later if not serving.is_right(a) and a[3] not in (0, 503)]
    figures = {"answers": len(answers), "accepted": len(accepted), "under_way_at_signal": len(under_way),
               "accepted_not_answered_rightly": len(bad), "later": len(later),
               "later_answered": sum(map(serving.is_right, later)), "later_503": sum(1 for a in later if a[3] == 503),
               "later_closed": sum(1 for a in later if a[3] == 0), "later_otherwise": len(odd),
               "last_connection_taken_after_s": state["last_taken"], "refused": state["refused"], "exit_code": code,
               "last_answer_after_s": max((a[1] for a in right), default=event.at) - event.at, "wrong": load.examples}
    good = not bad and not odd and under_way and code == 0 and state["refused"] and state["last_taken"] < 1.0
    return bool(good), figures


# ---- swap

def swap(options, packs, requests, more):
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "config")

        def choose(pack):
            with open(config + ".new", "w", encoding="utf-8") as file:
                file.write("pack = %s\n" % pack)
            os.replace(config + ".new", config)

        both = [[] for _ in requests]
        for pack in packs[::-1]:  # the first one last: that runs when the load begins
            choose(pack)
            server = serving.serve(options, None, ["--config", config, *more])
            for found, one in zip(both, serving.references(server.address, requests)):
                found.insert(0, one)
            if pack != packs[0]:
                server.close()
        if any(one[0].constant == one[1].constant for one in both):
            sys.exit("both packs give the same answer: nothing would be seen")
        try:
            load, swaps = serving.Load([server.address], requests, both, options.connections), []

            def look(now):
                if len(swaps) < options.swaps and now >= due[0]:
                    choose(packs[(len(swaps) + 1) % 2])
                    server.process.send_signal(signal.SIGHUP)
                    swaps.append(time.perf_counter())
                    due[0] = now + options.seconds

            due = [time.perf_counter() + options.seconds]
            answers = load.run(options.seconds * (options.swaps + 1), look)
            happened = server.metrics()["facemill_swaps_total"]
            words = server.said()
        finally:
            code = server.close()
    bad = [a for a in answers if not serving.is_right(a)]
    took, late = [], 0
    for number, at in enumerate(swaps):
        until = swaps[number + 1] if number + 1 < len(swaps) else float("inf")
        fresh = (number + 1) % 2
        here = sorted(a for a in answers if at <= a[0] < until and a[4] >= 0)  # by their begin
        old = [a[0] - at for a in here if a[4] != fresh]
        took.append(max(old, default=0.0))
        late += not here or here[-1][4] != fresh
    figures = {"answers": len(answers), "lost_or_wrong": len(bad), "swaps_asked": len(swaps), "swaps": happened,
               "last_request_to_old_pack_after_s": took, "not_swapped_in_time": late, "exit_code": code,
               "wrong": load.examples, "log": words[-1000:]}
    return not bad and happened == options.swaps and not late and code == 0, figures


# ---- kill

def read_lines(stream, lines):
    for line in stream:
        lines.append((time.perf_counter(), line))


def kill(options, pack, named, more):
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for i in range(options.pictures):
            name, data = named[i % len(named)]
            paths.append(os.path.join(folder, "%04d-%s" % (i, name)))
            with open(paths[-1], "wb") as file:
                file.write(data)
        command = common.facemill_command(options, pack, "--embedding", "base64", "--format", "jsonl", "--from-file",
                                          common.list_option(paths, folder))
        alone = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()
        server = serving.serve(options, pack, more)
        back = None
        command.remove("--quiet")
        client = subprocess.Popen([*command, "--worker", server.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        lines, words = [], []
        readers = [threading.Thread(target=read_lines, args=pair) for pair in ((client.stdout, lines),
                                                                               (client.stderr, words))]
        for reader in readers:
            reader.start()
        try:
            wait_for(lambda: len(lines) >= options.pictures // 5 or client.poll() is not None, "a fifth of the records")
            killed = time.perf_counter()
            server.process.kill()
            server.process.wait()
            wait_for(lambda: sum(at > killed for at, _ in lines) >= options.pictures // 5 or client.poll() is not None,
                     "another fifth of the records")
            back = serving.serve(options, pack, more, listen="%s:%d" % server.address)
            returned, own = time.perf_counter(), back.metrics()["facemill_images_total"]
            first = None
            while client.poll() is None and first is None and time.perf_counter() < returned + serving.PATIENCE:
                if back.metrics()["facemill_images_total"] > own:
                    first = time.perf_counter() - returned
                time.sleep(0.02)
            code = client.wait(10 * serving.PATIENCE)
            for reader in readers:
                reader.join()
        finally:
            client.kill()
            server.close()
            if back:
                back.close()
    said = [(at, line.decode(errors="replace").strip()) for at, line in words]
    told = [at - killed for at, line in said if "no worker answers" in line]
    after = [at - killed for at, _ in lines if at > killed]
    gaps = [b - a for a, b in zip([0.0] + after, after)]
    # Records of the worker may still come out after the kill: the first one of the engine here follows its message.
    fallback = min((at for at in after if told and at >= told[0]), default=None)
    same = sorted(line.rstrip(b"\n") for _, line in lines) == sorted(alone)
    figures = {"pictures": options.pictures, "records": len(lines), "same_bytes_as_alone": same, "exit_code": code,
               "said_after_s": told[0] if told else None, "first_record_here_after_s": fallback,
               "longest_gap_after_kill_s": max(gaps, default=None), "worker_used_again_after_s": first,
               "messages": [line for _, line in said]}
    good = (same and code == 0 and fallback is not None and fallback <= options.fallback and first is not None and
            first <= options.back)
    return good, figures


def main():
    own, more = serving.split_arguments()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    common.add_program_options(parser, "640")
    serving.add_picture_option(parser, "examples_obama.jpg, t1.jpg")
    parser.add_argument("--only", default="term,swap,kill")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5, help="of load before a signal")
    parser.add_argument("--swaps", type=int, default=4)
    parser.add_argument("--pictures", type=int, default=400, help="of the analysis whose worker is killed")
    parser.add_argument("--fallback", type=float, default=1.0, metavar="S")
    parser.add_argument("--return", type=float, default=5.0, metavar="S", dest="back")
    options = parser.parse_args(own)
    named = serving.pictures(options, "examples_obama.jpg", "t1.jpg")
    requests = [serving.picture_request("/detect", name, data) for name, data in named]
    results, lines = {}, []
    with tempfile.TemporaryDirectory() as folder:
        packs = [common.make_pack(os.path.join(folder, name), file, common.RECOGNISER)
                 for name, file in common.DETECTORS.items()]
        runs = {"term": lambda: term(options, packs[0], requests, more),
                "swap": lambda: swap(options, packs, requests, more),
                "kill": lambda: kill(options, packs[0], named, more)}
        for name in options.only.split(","):
            good, figures = runs[name]()
            results[name] = dict(figures, good=good)
            lines.append("%s: %s" % (name, "as it must be" if good else "MISSED"))
            lines += ["    %s: %s" % (key, json.dumps(value)) for key, value in figures.items()]
            print(lines[-len(figures) - 1], file=sys.stderr, flush=True)
    common.report(results, lines, options.output)
    if not all(one["good"] for one in results.values()):
        raise SystemExit(4)


if __name__ == "__main__":
    main()
