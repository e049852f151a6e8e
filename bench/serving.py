"""What the commands about the worker share: `facemill serve` as a process, its memory, CPU time and metrics, and the
load generator. The generator is Python: epoll and raw sockets, requests built beforehand, answers taken by
Content-Length and compared as bytes. Its CPU time stands beside the worker's in every round: a program in C would pay
only where that is more than a hundredth of the worker's."""

import json
import os
import re
import select
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import numpy as np

import common

PATIENCE = 60  # seconds after which something that must happen has not
BORDER = b"----facemill-load"
TICKS = os.sysconf("SC_CLK_TCK")
CLOSING = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
# What may differ between two answers about the same picture.
VOLATILE = re.compile(rb'"(?:processing_time_ms|took_ms|request_id|total_ms|read_imgs_ms|embed_all_ms|took|timings)":'
                      rb'(?:\{[^{}]*\}|"[^"]*"|[-+.eE\d]+)')


# ---- processes

def family(process):
    """The numbers of a process and of all that it started, as far as they still run."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name, encoding="utf-8", errors="replace") as file:
                    parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                pass
    found, more = set(), {process}
    while more:
        found |= more
        more = {child for child, parent in parents.items() if parent in more} - found
    return found & set(parents)


def pss_bytes(process):
    """Proportional set size: shared pages count once over the processes that share them."""
    total = 0
    for number in family(process):
        try:
            with open("/proc/%d/smaps_rollup" % number, encoding="utf-8") as file:
                total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
        except OSError:
            pass
    return total


def cpu_seconds(process):
    total = 0
    for number in family(process):
        try:
            with open("/proc/%d/stat" % number, encoding="utf-8", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


class Server:
    """A process that serves HTTP. `first_line` of its standard output tells that it is ready."""

    def __init__(self, command, environment=None):
        self.command = command
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors,
                                        env=dict(os.environ, **(environment or {})))
        watch = threading.Timer(PATIENCE, self.process.kill)
        watch.start()
        line = self.process.stdout.readline()
        watch.cancel()
        if not line:
            code = self.process.wait(PATIENCE)
            sys.exit("%s\nended with %d:\n%s" % (shlex.join(command), code, self.said()[-2000:]))
        self.first_line = json.loads(line)
        self.url = self.first_line["listening"][0]
        where = urllib.parse.urlsplit(self.url)
        self.address = (where.hostname, where.port)
        self.number = self.process.pid

    def said(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def metrics(self):
        """{sample as it stands in /metrics: value}."""
        code, body = ask(self.address, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        if code != 200:
            sys.exit("/metrics answered %d" % code)
        lines = (line.rpartition(" ") for line in body.decode().splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def close(self):
        """The exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process.stdout.close()
        return code


def serve(options, pack, more=(), listen="127.0.0.1:0"):
    """`facemill serve` with the options that every command has, and `more`. pack None: `more` says which."""
    command = [options.program, "serve", "--listen", listen, "--format", "jsonl", "--provider", options.provider,
               "--threads", options.threads, "--det-size", options.det_size, *more]
    if pack:
        command += ["--pack", pack]
    if options.ort_library:
        command += ["--ort-library", options.ort_library]
    return Server(command)


def split_arguments():
    """(arguments of the command, those after `--`, which go to `facemill serve` as they are)."""
    arguments = sys.argv[1:]
    if "--" not in arguments:
        return arguments, []
    where = arguments.index("--")
    return arguments[:where], arguments[where + 1:]


def add_picture_option(parser, default):
    parser.add_argument("--picture", action="append", metavar="FILE",
                        help="may be repeated; connections take them by turns; default: %s of images/photos" % default)


def pictures(options, *defaults):
    """[(name, bytes)]."""
    folder = os.path.join(common.shared_folder(), "images", "photos")
    paths = options.picture or [os.path.join(folder, name) for name in defaults]
    return [(os.path.basename(path), read(common.need(path, "a picture"))) for path in paths]


def read(path):
    with open(path, "rb") as file:
        return file.read()


# ---- requests and answers

def form(parts):
    """The multipart body of [(field, file name, bytes)]."""
    head = b'--%s\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\nContent-Type: image/jpeg\r\n\r\n'
    body = b"".join(head % (BORDER, field, name.encode()) + data + b"\r\n" for field, name, data in parts)
    return body + b"--" + BORDER + b"--\r\n"


def request(route, body, content_type, method=b"POST", headers=b""):
    head = (b"%s %s HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n%s"
            b"Content-Type: %s\r\nContent-Length: %d\r\n\r\n")
    return head % (method, route.encode(), headers, content_type.encode(), len(body)) + body


def picture_request(route, name, data):
    """How `route` takes one picture."""
    if route.startswith("/v1/analyze"):
        return request(route, data, "image/jpeg")
    field = b"files" if route.startswith("/detect-batch") else b"file"
    return request(route, form([(field, name, data)]), "multipart/form-data; boundary=" + BORDER.decode())


def connect(address):
    connection = socket.create_connection(address, timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def engine_ms(body):
    """What /v1/analyze says that the engine took; NaN for other routes."""
    at = body.rfind(b'"total_ms":')
    return float(body[at + 11:body.index(b"}", at)].split(b",")[0]) if at >= 0 else float("nan")


def whole_answer(buffer):
    """(code, begin of the body, its end) when all of the answer is there, else None."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    found = LENGTH.search(buffer, 0, end + 2)
    size = int(found.group(1)) if found else 0
    return (int(buffer[9:12]), end + 4, end + 4 + size) if len(buffer) >= end + 4 + size else None


def ask(address, whole, timeout=PATIENCE):
    """One request on a connection of its own: (code, body)."""
    with connect(address) as connection:
        connection.settimeout(timeout)
        connection.sendall(whole)
        buffer = bytearray()
        while True:
            got = connection.recv(1 << 18)
            buffer += got
            answer = whole_answer(buffer)
            if answer:
                return answer[0], bytes(buffer[answer[1]:answer[2]])
            if not got:
                raise ConnectionError("the connection ended after %d bytes of an answer" % len(buffer))


class Reference:
    """The answer to a request that ran alone, less what may differ."""

    def __init__(self, body):
        self.constant = VOLATILE.sub(b"", body)
        first = VOLATILE.search(body)
        self.head = body[:first.start()] if first else body

    def same(self, body):
        return body.startswith(self.head) and VOLATILE.sub(b"", body) == self.constant


def references(address, requests):
    """A Reference for each request, asked alone; ends the program when one cannot be answered or is not stable."""
    answers = []
    for whole in requests:
        (code, body), (_, again) = ask(address, whole), ask(address, whole)
        if code != 200:
            sys.exit("asked alone, the server answers %d: %s" % (code, body[:300].decode(errors="replace")))
        answers.append(Reference(body))
        if not answers[-1].same(again):
            sys.exit("the same request alone has two answers: %s" % body[:300].decode(errors="replace"))
    return answers


# ---- load

class Client:
    """One connection with one request under way at a time."""

    __slots__ = ("address", "socket", "buffer", "left", "began", "which", "turn")

    def __init__(self, address, turn):
        self.address, self.turn, self.socket, self.left = address, turn, None, None
        self.buffer, self.began, self.which = bytearray(), 0.0, 0


def is_right(answer):
    """Of Load.answers."""
    return answer[3] == 200 and answer[4] >= 0


class Load:
    """Closed loop: `connections` keep-alive connections, spread evenly over `addresses`; each sends its next request
    when it has its answer. `expected` holds a Reference for each request (or a list of them, or None: not checked)."""

    def __init__(self, addresses, requests, expected, connections):
        self.requests, self.expected = requests, [
            value if value is None or isinstance(value, list) else [value] for value in expected]
        self.poll = select.epoll()
        self.clients = [Client(addresses[i % len(addresses)], i) for i in range(connections)]
        self.by_number = {}
        # (begin, end, which request, code or 0: connection lost, which reference or -1, the engine's own ms or NaN)
        self.answers = []
        self.examples = {}  # of wrong answers, by code
        self.stopped = False

    def open(self, client):
        client.socket = connect(client.address)
        client.socket.setblocking(False)
        self.by_number[client.socket.fileno()] = client
        self.poll.register(client.socket, select.EPOLLIN)

    def close(self, client):
        if client.socket:
            self.by_number.pop(client.socket.fileno(), None)
            self.poll.unregister(client.socket)
            client.socket.close()
        client.socket = client.left = None
        client.buffer.clear()

    def send(self, client):
        """Begin the next request."""
        if self.stopped:
            client.began = 0.0
            return
        client.which = client.turn % len(self.requests)
        client.turn += 1
        client.left = memoryview(self.requests[client.which])
        client.began = time.perf_counter()
        self.push(client)

    def push(self, client):
        try:
            client.left = client.left[client.socket.send(client.left):]
        except BlockingIOError:
            pass
        except OSError:
            client.left = None
            return  # reading will say so
        self.poll.modify(client.socket, select.EPOLLIN | (select.EPOLLOUT if client.left else 0))

    def judge(self, client, began, ended, which, code, body):
        reference = -1
        if self.expected[which] is None:
            reference = 0
        elif code == 200:
            reference = next((i for i, one in enumerate(self.expected[which]) if one.same(body)), -1)
        if (reference < 0 or code != 200) and code not in self.examples:
            self.examples[code] = bytes(body[:400]).decode(errors="replace")
        self.answers.append((began, ended, which, code, reference, engine_ms(body)))

    def lost(self, client):
        """The connection ended; a request that was under way has no answer."""
        began = client.began
        self.close(client)
        if began:
            self.judge(client, began, time.perf_counter(), client.which, 0, b"the connection ended without an answer")
        client.began = 0.0
        self.on_lost(client)

    def on_lost(self, client):
        """The connection is closed: connect again. A failure ends the program, as the server is gone."""
        if not self.stopped:
            self.open(client)
            self.send(client)

    def take(self, client):
        try:
            got = client.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            got = b""
        if not got:
            self.lost(client)
            return
        client.buffer += got
        answer = whole_answer(client.buffer)
        if not answer:
            return
        ended, began, which = time.perf_counter(), client.began, client.which
        code, start, end = answer
        body = bytes(client.buffer[start:end])
        if CLOSING.search(client.buffer, 0, start):
            self.close(client)
            client.began = 0.0
            self.on_lost(client)
        else:
            client.buffer.clear()
            self.send(client)
        self.judge(client, began, ended, which, code, body)

    def run(self, seconds, every=None):
        """Load for so long, then wait for the answers under way. every: called about 20 times a second."""
        for client in self.clients:
            if client.socket is None:
                self.open(client)
            self.send(client)
        end, tick = time.perf_counter() + seconds, 0.0
        while True:
            now = time.perf_counter()
            if now >= end:
                self.stopped = True
                if not any(client.began for client in self.clients):
                    break
                if now > end + PATIENCE:
                    for client in self.clients:
                        if client.began:
                            self.lost(client)
                    break
            for number, events in self.poll.poll(0.05):
                client = self.by_number.get(number)
                if client and events & select.EPOLLOUT and client.left:
                    self.push(client)
                if client and events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                    self.take(client)
            if every and now >= tick:
                every(now)
                tick = now + 0.05
        for client in self.clients:
            self.close(client)
        self.poll.close()
        return self.answers


def measure(servers, requests, expected, connections, seconds, warm):
    """Load the servers for `warm` + `seconds`; figures of the latter."""
    load = Load([server.address for server in servers], requests, expected, connections)
    at, marks = [], {}
    begin = time.perf_counter()

    def look(now):
        if now >= begin + warm and "begin" not in marks:
            marks["begin"] = (now, sum(cpu_seconds(s.number) for s in servers), time.process_time())
        at.append(now)

    load.run(warm + seconds, look)
    began, cpu, own = marks["begin"]
    until = begin + warm + seconds
    ended = time.perf_counter()
    cpu = sum(cpu_seconds(s.number) for s in servers) - cpu
    own = time.process_time() - own
    inside = [answer for answer in load.answers if began <= answer[1] < until]
    good = [answer for answer in inside if is_right(answer)]
    failures = sum(1 for answer in load.answers if not is_right(answer))
    times = np.array([answer[1] - answer[0] for answer in good]) * 1e3 if good else np.array([np.nan])
    beyond = float(np.median(times - [answer[5] for answer in good])) if good else float("nan")
    return {"connections": connections, "requests": len(good), "requests_per_s": len(good) / (until - began),
            "p50_ms": float(np.percentile(times, 50)), "p99_ms": float(np.percentile(times, 99)),
            "mean_ms": float(times.mean()),
            "mean_with_warm_ms": 1e3 * float(np.mean([a[1] - a[0] for a in load.answers])),
            "all_requests": len(load.answers), "failures": failures,
            "beyond_engine_p50_ms": None if np.isnan(beyond) else beyond, "server_cpu_seconds": cpu,
            "own_cpu_seconds": own, "wall_seconds": ended - began,
            "pss_bytes": sum(pss_bytes(s.number) for s in servers), "wrong": load.examples}


BUCKET = re.compile(r'facemill_batch_size_bucket\{network="(\w+)",le="([^"]+)"\}')


def batches(before, after):
    """{network: {"runs", "mean", "by_size": {upper bound: runs}}} between two readings of /metrics."""
    result = {}
    for sample in after:
        found = BUCKET.fullmatch(sample)
        if found:
            network, bound = found.groups()
            result.setdefault(network, {})[bound] = after[sample] - before.get(sample, 0)
    for network, cumulated in result.items():
        below, sizes = 0, {}
        for bound, count in cumulated.items():  # in the order of the document, which rises
            sizes[bound] = int(count - below)
            below = count
        name = 'facemill_batch_size_%%s{network="%s"}' % network
        runs, items = (after[name % what] - before.get(name % what, 0) for what in ("count", "sum"))
        result[network] = {"runs": int(runs), "mean": items / runs if runs else 0.0,
                           "by_size": {bound: count for bound, count in sizes.items() if count}}
    return result


def stage_mean_ms(before, after, stage):
    name = 'facemill_stage_duration_seconds_%%s{stage="%s"}' % stage
    total, count = (after[name % what] - before.get(name % what, 0) for what in ("sum", "count"))
    return 1e3 * total / count if count else 0.0
