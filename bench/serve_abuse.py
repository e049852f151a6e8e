#!/usr/bin/env python3
"""One hour's worth of abuse of the worker in ten minutes, beside clients that behave well.

    python3 bench/serve_abuse.py [--minutes 10] [--connections 10000] ... [-- OPTIONS OF SERVE]

A process of its own abuses the worker in every way of KINDS below at the same time: headers and bodies that come a byte
at a time, halves of forms, lengths that are wrong, 10,000 connections, pictures whose headers claim any size, bombs,
damaged JSON, random bytes on every route of /openapi.json and on the bare socket. Meanwhile well-behaved clients send
pictures in a closed loop and compare every answer with that of the same picture alone.

At the end the worker must live and stop with 0 when told; every well-behaved request must have been answered rightly;
no abuse may have been answered with 500, or not at all where an answer was due (a client that shuts down its sending
side counts as gone); and when the abusers and their connections are gone, and the well-behaved clients have run once
more, memory (PSS) must be at most --tolerance MiB above what it was after they had run alone at the start: room for
free lists, but not for one bomb that was decoded and kept (450 MB). p50 and p99 of the well-behaved are printed: alone,
and during abuse. Exits with 4 when something of this is not so."""

import argparse
import json
import multiprocessing
import os
import random
import resource
import socket
import struct
import tempfile
import threading
import time
import zlib

import numpy as np

import common
import serving

PAUSE = 0.05  # seconds between two acts of one kind
FORM = "multipart/form-data; boundary=" + serving.BORDER.decode()


# ---- pictures that are none

def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, data, colour=2, depth=8):
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def bomb(width, height):
    """A whole PNG of zeros: a thousandth of its pixels in size."""
    packer, row = zlib.compressobj(9), bytes(64 * (3 * width + 1))
    parts = [packer.compress(row) for _ in range(height // 64)]
    return png(width, height - height % 64, b"".join(parts) + packer.flush())


def claim_jpeg(data, width, height):
    """A JPEG whose frame header says another size."""
    at = 2
    while data[at] == 0xFF and data[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + struct.unpack(">H", data[at + 2:at + 4])[0]
    return data[:at + 5] + struct.pack(">HH", height, width) + data[at + 9:]


# ---- the abuser

class Abuse:
    """All kinds, a thread each."""

    def __init__(self, address, end, picture, bombs, routes, connections, seed):
        self.address, self.end, self.picture, self.bombs, self.routes = address, end, picture, bombs, routes
        self.connections, self.seed = connections, seed
        self.counts, self.bad, self.lock = {}, [], threading.Lock()

    def running(self):
        return time.time() < self.end

    def note(self, kind, what, sent=b""):
        with self.lock:
            key = "%s: %s" % (kind, what)
            self.counts[key] = self.counts.get(key, 0) + 1
            if what in ("500", "no answer") and len(self.bad) < 20:
                self.bad.append({"kind": kind, "answer": what, "request": repr(bytes(sent[:600]))})

    def send(self, kind, whole, due=False, end=None, wait=30):
        """Send `whole`, note the code of the answer. due: one must come. end: shut down the sending side after it,
        which to the worker is a client that has gone; unset: where no answer is due."""
        end = not due if end is None else end
        try:
            with serving.connect(self.address) as connection:
                connection.settimeout(wait)
                try:
                    connection.sendall(whole)
                    if end:
                        connection.shutdown(socket.SHUT_WR)
                except OSError:
                    pass  # it has answered and closed already
                head = b""
                while b"\r\n" not in head:
                    got = connection.recv(4096)
                    if not got:
                        break
                    head += got
                code = head[9:12].decode(errors="replace") if head.startswith(b"HTTP/1.") else ""
        except socket.timeout:
            code = "silent"
        except OSError:
            code = "closed"
        code = code or "closed"
        self.note(kind, "no answer" if due and code in ("silent", "closed") else code, whole)

    # Every kind below is one act; `draw` is its own random.Random.

    def slow_header(self, kind, draw):
        """Fifty connections that send a header a byte at a time."""
        self.trickle(kind, b"POST /detect HTTP/1.1\r\nHost: a\r\nX-Slow: " + b"a" * 4000, draw)

    def slow_body(self, kind, draw):
        """The same with the body of a picture that would be good."""
        self.trickle(kind, serving.picture_request("/detect", "a.jpg", self.picture), draw, begin=250)

    def trickle(self, kind, whole, draw, begin=1):
        held = []
        try:
            for _ in range(50):
                held.append(serving.connect(self.address))
                held[-1].sendall(whole[:begin])
            for i in range(begin, begin + draw.randint(5, 60)):
                if not self.running():
                    break
                for connection in held:
                    try:
                        connection.sendall(whole[i:i + 1])
                    except OSError:
                        self.note(kind, "closed")
                time.sleep(0.5)
            self.note(kind, "held")
        except OSError:
            self.note(kind, "refused")
        finally:
            for connection in held:
                connection.close()

    def half_form(self, kind, draw):
        whole = serving.picture_request(draw.choice(("/detect", "/detect-batch", "/v1/analyze")), "a.jpg", self.picture)
        self.send(kind, whole[:draw.randint(100, len(whole) - 1)])

    def half_form_kept(self, kind, draw):
        """Half of it, and the connection stays for a while."""
        whole = serving.picture_request("/detect", "a.jpg", self.picture)
        self.send(kind, whole[:len(whole) // 2], end=False, wait=draw.uniform(0.1, 3))

    def damaged_form(self, kind, draw):
        part = b"--" + serving.BORDER + b"\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n"
        body = draw.choice((part * 20000, part[:-2] + b"X" * 100000, b"--" + serving.BORDER + b"--", b"",
                            part + self.picture, (b"--" + serving.BORDER + b"\r\n\r\n\r\n") * 5000,
                            part.replace(b"name=", b"name*=") + b"\r\n--" + serving.BORDER + b"--\r\n"))
        kind_of = draw.choice((FORM, "multipart/form-data", "multipart/form-data; boundary=", FORM + "x",
                               "multipart/form-data; boundary=\"" + "b" * 5000))
        self.send(kind, serving.request(draw.choice(("/detect", "/detect-batch", "/predict", "/v1/analyze")), body,
                                        kind_of), due=True)

    def wrong_length(self, kind, draw):
        body = serving.form([(b"file", "a.jpg", self.picture)])
        head = b"POST /detect HTTP/1.1\r\nHost: a\r\nContent-Type: " + FORM.encode() + b"\r\n"
        lengths = (b"Content-Length: %d" % (len(body) + 1000), b"Content-Length: %d" % (len(body) // 2),
                   b"Content-Length: -1", b"Content-Length: 99999999999999999999999", b"Content-Length: 0x10",
                   b"Content-Length: 10\r\nContent-Length: 20", b"Content-Length: 900000000000", b"Content-Length:",
                   b"Transfer-Encoding: chunked\r\nContent-Length: %d" % len(body), b"Transfer-Encoding: chunked",
                   b"Transfer-Encoding: gzip, chunked", b"Expect: 200-maybe\r\nContent-Length: 10")
        self.send(kind, head + draw.choice(lengths) + b"\r\n\r\n" + body)

    def announced(self, kind, draw):
        """Thirty connections that announce 60 MB each and send a thousand bytes: two gigabytes that never come."""
        held = []
        head = b"POST /detect HTTP/1.1\r\nHost: a\r\nContent-Length: 62000000\r\nContent-Type: %s\r\n\r\n"
        head = head % FORM.encode()
        try:
            for _ in range(30):
                held.append(serving.connect(self.address))
                held[-1].sendall(head + self.picture[:1000])
            time.sleep(draw.uniform(0.5, 3))
            self.note(kind, "held")
        except OSError:
            self.note(kind, "refused")
        finally:
            for connection in held:
                connection.close()
        time.sleep(1)

    def many_connections(self, kind, draw):
        """10,000 at a time; some idle, some with a line, some with a request whose answer nobody reads."""
        held, last = [], struct.pack("ii", 1, 0)  # ends them without waiting states
        lines = (b"", b"GET", b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
                 b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n")
        try:
            for i in range(self.connections):
                if not self.running():
                    break
                held.append(socket.create_connection(self.address, timeout=10))
                held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, last)
                line = lines[i % len(lines)]
                if line:
                    held[-1].sendall(line)
            self.note(kind, "%d held" % len(held))
            wait = min(time.time() + draw.uniform(5, 20), self.end)
            while time.time() < wait:
                time.sleep(0.2)
        except OSError as error:
            self.note(kind, "refused after %d: %s" % (len(held) // 100 * 100, error.strerror or error))
        finally:
            for connection in held:
                connection.close()
        time.sleep(2)

    def giant_claims(self, kind, draw):
        side = lambda: draw.choice((30000, 30001, 65500, 12000))
        bitmap = b"BM" + struct.pack("<IIIIiiHHI", 60, 0, 54, 40, 2**31 - 1, -2**31, 1, 24, 0) + bytes(40)
        data = draw.choice((lambda: claim_jpeg(self.picture, side(), side()),
                            lambda: png(side(), side(), zlib.compress(bytes(1000))),
                            lambda: png(0x7fffffff, 0x7fffffff, b""), lambda: png(0xffffffff, 1, b"x"),
                            lambda: png(30000, 30000, zlib.compress(bytes(5000)), 6, 16),
                            lambda: bitmap, lambda: b"P6 99999 99999 255\n" + bytes(100)))()
        route = draw.choice(("/detect", "/v1/analyze", "/detect-batch"))
        self.send(kind, serving.picture_request(route, "a", data), due=True)

    def zip_bomb(self, kind, draw):
        """144 and 149 million pixels in half a megabyte: within the limits, so that they are decoded. One in 5 s."""
        self.send(kind, serving.picture_request("/detect", "a.png", draw.choice(self.bombs)), due=True, wait=120)
        time.sleep(5)

    def bomb_left(self, kind, draw):
        """A bomb whose client does not wait."""
        whole = serving.picture_request("/detect", "a.png", self.bombs[0])
        self.send(kind, whole, end=False, wait=0.05)
        time.sleep(8)

    def damaged_json(self, kind, draw):
        body = draw.choice((b"", b"{", b"[" * 100000, b'{"images":' * 20000, b'{"images":{"data":["%%%"]}}', b"nul",
                            b'{"images":{"data":[1e999]}}', b'{"a":"\xff\xfe"}', b'{"a":1,"a":2}', b'"\\ud800"',
                            b'{"images":{"data":["' + b"A" * 300000 + b'"]}}', b'{"threshold":1e-400}', b"\x00" * 1000,
                            b'{"images":{"data":' + b'["QUFB",' * 5000, b"1" * 200000,
                            b'{"images":{"urls":["file:///"]}}',
                            b'{"images":{"urls":["http://127.0.0.1:1/"]}}', b'{"image":"' + b"/9j/" * 1000 + b'"}'))
        self.send(kind, serving.request(draw.choice(("/v1/analyze", "/v1/compare", "/v1/embed", "/extract",
                                                     "/draw_detections")), body, "application/json"), due=True)

    def random_routes(self, kind, draw):
        """Random bytes, or a damaged picture or form, on any route with any of its content types."""
        path, method, types = draw.choice(self.routes)
        body = draw.choice((lambda: draw.randbytes(draw.randint(0, 3000)), lambda: draw.randbytes(200000),
                            lambda: self.damaged(draw), lambda: serving.form([(b"file", "a", self.damaged(draw))]),
                            lambda: serving.form([(b"entries", "", draw.randbytes(50)),
                                                  (b"image", "a", self.picture)])))()
        query = draw.choice(("", "", "?" + "".join(draw.choice("abc=&%?/+0") for _ in range(30)),
                             "?det_size=%ff&max_faces=-1"))
        kind_of = (draw.choice(types) if types else "application/octet-stream").replace("*", "jpeg")
        kind_of = FORM if kind_of.startswith("multipart/") else kind_of
        method = draw.choice((method, method, method, "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "TRACE", "BREW"))
        self.send(kind, serving.request(path + query, body, kind_of, method.encode()), due=True, end=False, wait=60)

    def damaged(self, draw):
        data = bytearray(self.picture)
        for _ in range(draw.randint(1, 200)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        return bytes(data)

    def random_socket(self, kind, draw):
        line = draw.choice((draw.randbytes(2000), b"GET " + b"/" * 100000 + b" HTTP/1.1\r\n\r\n",
                            b"\x16\x03\x01" + draw.randbytes(300), b"GET / HTTP/9.9\r\n\r\n",
                            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20000,
                            b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"y" * 200000 + b"\r\n\r\n", b"\r\n" * 5000,
                            b"GET /%00%ff%zz HTTP/1.1\r\nHost: a\r\n\r\n",
                            b"GET /" + draw.randbytes(50) + b" HTTP/1.1\r\n\r\n",
                            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 500))
        self.send(kind, line)

    KINDS = ("slow_header", "slow_body", "half_form", "half_form_kept", "damaged_form", "wrong_length", "announced",
             "many_connections", "giant_claims", "zip_bomb", "bomb_left", "damaged_json", "random_routes",
             "random_socket")

    def repeat(self, kind):
        draw = random.Random("%s %s" % (self.seed, kind))
        while self.running():
            try:
                getattr(self, kind)(kind, draw)
            except Exception as error:  # a fault of this program: shown at the end
                self.note(kind, "FAULT %s: %s" % (type(error).__name__, error))
                time.sleep(1)
            time.sleep(PAUSE)

    def run(self, kinds):
        threads = [threading.Thread(target=self.repeat, args=(kind,)) for kind in kinds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def abuse_process(pipe, kinds, *arguments):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.nice(5)
    abuse = Abuse(*arguments)
    abuse.run(kinds)
    pipe.send((abuse.counts, abuse.bad, time.process_time()))


# ---- around it

class Patient(serving.Load):
    """Well-behaved clients over all the time; samples the memory of the worker."""

    def __init__(self, server, *more):
        super().__init__(*more)
        self.server, self.next, self.memory, self.dead = server, 0.0, [], False

    def on_lost(self, client):
        try:
            super().on_lost(client)
        except OSError:
            self.dead = self.stopped = True  # nobody listens any more

    def look(self, now):
        if now >= self.next and self.server.process.poll() is None:
            self.next = now + 1
            self.memory.append(serving.pss_bytes(self.server.number))


def behave(server, requests, expected, clients, seconds):
    load = Patient(server, [server.address], requests, expected, clients)
    answers = load.run(seconds, load.look)
    wrong = [a for a in answers if not serving.is_right(a)]
    times = [1e3 * (a[1] - a[0]) for a in answers if serving.is_right(a)]
    codes = {}
    for answer in wrong:
        codes[str(answer[3])] = codes.get(str(answer[3]), 0) + 1
    return {"requests": len(answers), "wrong": len(wrong), "wrong_by_code": codes, "examples": load.examples,
            "p50_ms": float(np.percentile(times, 50)) if times else None,
            "p99_ms": float(np.percentile(times, 99)) if times else None, "worst_ms": max(times, default=None),
            "pss_peak_bytes": max(load.memory, default=0), "alive": not load.dead and server.process.poll() is None}


def settle(server, seconds):
    """Wait until the abusers' connections are gone; how long that took."""
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        metrics = server.metrics()
        if metrics["facemill_http_connections"] <= 1 and metrics["facemill_queue_depth"] == 0:
            break
        time.sleep(0.5)
    return time.monotonic() - began, metrics


def arguments(own):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    common.add_program_options(parser, "640")
    serving.add_picture_option(parser, "examples_obama.jpg, t1.jpg")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--alone", type=float, default=20, metavar="S", help="seconds without abuse, before and after")
    parser.add_argument("--clients", type=int, default=4, help="that behave well")
    parser.add_argument("--connections", type=int, default=10000)
    parser.add_argument("--kinds", default=",".join(Abuse.KINDS))
    parser.add_argument("--seed", default="1")
    parser.add_argument("--settle", type=float, default=120, metavar="S",
                        help="until the abusers' connections are gone")
    parser.add_argument("--tolerance", type=float, default=64, metavar="MIB")
    parser.add_argument("--require-p99", type=float, metavar="MS", help="of the well-behaved, during abuse")
    return parser.parse_args(own)


def run(options, pack, more):
    named = serving.pictures(options, "examples_obama.jpg", "t1.jpg")
    requests = [serving.picture_request("/detect", name, data) for name, data in named]
    bombs = [bomb(12000, 12000), bomb(30000, 4992)]  # the largest that the limits let through
    server = serving.serve(options, pack, more)
    figures, child = {}, None
    try:
        expected = serving.references(server.address, requests)
        described = json.loads(serving.ask(server.address, b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n")[1])
        routes = [(path, method.upper(), list(what.get("requestBody", {}).get("content", {})))
                  for path, methods in described["paths"].items() for method, what in methods.items()]
        figures["alone"] = behave(server, requests, expected, options.clients, options.alone)
        figures["pss_before_bytes"] = serving.pss_bytes(server.number)
        ours, theirs = multiprocessing.Pipe()
        end = time.time() + 60 * options.minutes
        child = multiprocessing.Process(target=abuse_process, args=(
            theirs, options.kinds.split(","), server.address, end, named[0][1], bombs, routes,
            options.connections, options.seed))
        child.start()
        figures["during"] = behave(server, requests, expected, options.clients, 60 * options.minutes)
        if ours.poll(300):
            figures["abuse"], figures["abuse_bad"], figures["abuser_cpu_seconds"] = ours.recv()
        figures["alive"] = server.process.poll() is None
        if figures["alive"]:
            figures["settled_after_s"], metrics = settle(server, options.settle)
            figures["connections_left"] = metrics["facemill_http_connections"]
            figures["body_bytes_left"] = metrics["facemill_http_body_bytes"]
            figures["refused_connections"] = metrics["facemill_http_refused_connections_total"]
            figures["after"] = behave(server, requests, expected, options.clients, options.alone)
            figures["pss_after_bytes"] = serving.pss_bytes(server.number)
    finally:
        if child and child.is_alive():
            child.terminate()
        figures["exit_code"] = server.close()
        figures["log"] = server.said()[-3000:]
    return figures


def verdicts(options, figures):
    missed = []
    if not figures.get("alive"):
        missed.append("the worker died")
    for phase in ("alone", "during", "after"):
        one = figures.get(phase)
        if one and one["wrong"]:
            missed.append("%s: %d of %d well-behaved requests were not answered rightly: %s" % (
                phase, one["wrong"], one["requests"], one["wrong_by_code"]))
        if not one or not one["requests"]:
            missed.append("%s: no answers at all" % phase)
    if figures["exit_code"]:
        missed.append("exit code %d" % figures["exit_code"])
    if "abuse" not in figures:
        missed.append("the abuser did not end")
    for kind in options.kinds.split(","):
        least = "%s: %s" % (kind, "%d held" % options.connections if kind == "many_connections" else "")
        if not any(what.startswith(least) for what in figures.get("abuse", {})):
            missed.append("no abuse of the kind '%s'" % least)
    missed += ["abuse: %s %d times" % item for item in figures.get("abuse", {}).items()
               if item[0].endswith((": 500", ": no answer")) or "FAULT" in item[0]]
    if figures.get("connections_left", 0) > 1 or figures.get("body_bytes_left", 0):
        missed.append("%d connections and %d bytes of bodies are left" % (figures["connections_left"],
                                                                          figures["body_bytes_left"]))
    grown = (figures.get("pss_after_bytes", 0) - figures["pss_before_bytes"]) / 2**20
    if grown > options.tolerance:
        missed.append("memory is %.0f MiB above its level" % grown)
    if options.require_p99 and figures["during"]["p99_ms"] > options.require_p99:
        missed.append("p99 %.1f ms" % figures["during"]["p99_ms"])
    return missed


def main():
    own, more = serving.split_arguments()
    options = arguments(own)
    with tempfile.TemporaryDirectory() as folder:
        pack = common.make_pack(os.path.join(folder, "pack"), common.DETECTORS["det_500m"], common.RECOGNISER)
        figures = run(options, pack, more)
    missed = verdicts(options, figures)
    lines = ["abuse   %-40s %d" % item for item in sorted(figures.get("abuse", {}).items())]
    for phase in ("alone", "during", "after"):
        if phase in figures:
            one = figures[phase]
            lines.append("%-7s %d well-behaved requests, %d wrong, p50 %.1f ms, p99 %.1f ms, worst %.1f ms, memory at "
                         "most %.0f MiB" % (
                             phase, one["requests"], one["wrong"], one["p50_ms"] or 0, one["p99_ms"] or 0,
                             one["worst_ms"] or 0, one["pss_peak_bytes"] / 2**20))
    lines.append("memory %.0f MiB before, %.0f MiB after (limit: %.0f MiB more), settled after %.1f s" % (
        figures["pss_before_bytes"] / 2**20, figures.get("pss_after_bytes", 0) / 2**20, options.tolerance,
        figures.get("settled_after_s", -1)))
    lines += [json.dumps(one) for one in figures.get("abuse_bad", [])]
    common.report(dict(figures, missed=missed), lines + ["MISSED: " + words for words in missed], options.output)
    if missed:
        raise SystemExit(4)


if __name__ == "__main__":
    main()
