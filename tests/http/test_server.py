"""The HTTP server from outside, with routes that know no faces (echo_server.c): raw sockets where the bytes matter."""

import contextlib
import http.client
import json
import os
import queue
import re
import resource
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

PROGRAM = os.environ.get("FM_HTTP_ECHO", "")
pytestmark = pytest.mark.skipif(not PROGRAM, reason="ctest says in FM_HTTP_ECHO what to test")
PATIENCE = 60  # seconds after which something that must happen has not


@contextlib.contextmanager
def saying(echo, word):
    """Say it again and again meanwhile: whoever begins to wait for it late hears it too."""
    over = threading.Event()

    def go_on():
        while not over.wait(0.02):
            echo.say(word)
    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Echo:
    """The program, its addresses and what it says."""

    def __init__(self, *options, listen=("127.0.0.1:0",), before=None, command=None, files=()):
        arguments = (command or []) + [PROGRAM]
        for where in listen:
            arguments += ["--listen", where]
        self.process = subprocess.Popen(arguments + [str(o) for o in options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, preexec_fn=before, pass_fds=files)
        self.lines, self.errors = queue.Queue(), queue.Queue()
        for stream, place in ((self.process.stdout, self.lines), (self.process.stderr, self.errors)):
            threading.Thread(target=self._read, args=(stream, place), daemon=True).start()
        self.addresses = []
        for _ in range(80):
            line = self.line()
            if line in ("exposed", "private"):
                self.exposed = line == "exposed"
                break
            self.addresses.append(line)

    @staticmethod
    def _read(stream, place):
        for line in stream:
            place.put(line.decode().rstrip("\n"))
        place.put(None)

    @staticmethod
    def _next(place):
        line = place.get(timeout=PATIENCE)
        assert line is not None, "the program ended"
        return line

    def line(self):
        return self._next(self.lines)

    def error(self):
        return self._next(self.errors)

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def reload(self):
        self.say("reload")
        return self.line()

    @property
    def port(self):
        return int(self.addresses[0].rsplit(":", 1)[1])

    def connect(self, host="127.0.0.1"):
        return http.client.HTTPConnection(host, self.port, timeout=PATIENCE)

    def raw(self):
        return Raw(socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE))

    def ask(self, method, path, body=None, headers=None):
        connection = self.connect()
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        answer.bytes = answer.read()
        connection.close()
        return answer

    def level(self):
        answer = self.ask("GET", "/level")
        return json.loads(answer.bytes) if answer.status == 200 else None  # no place for us yet

    def wait(self, condition):
        """The level once `condition` holds for it."""
        end = time.monotonic() + PATIENCE
        while True:
            level = self.level()
            if level and condition(level):
                return level
            assert time.monotonic() < end, level
            time.sleep(0.02)

    def count(self, route, code):
        return sum(row["requests"] for row in self.level()["counts"] if row["route"] == route and row["code"] == code)

    def close(self, grace_ms=0):
        """How many requests stayed unanswered."""
        self.say("close %d" % grace_ms)
        number = int(self.line().split()[1])
        assert self.process.wait(timeout=PATIENCE) == 0, self.rest()
        return number

    def rest(self):
        lines = []
        with contextlib.suppress(queue.Empty):
            while True:
                lines.append(self.errors.get(timeout=1))
        return lines

    def end(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            assert self.process.wait(timeout=PATIENCE) == 0, self.rest()
        assert self.process.returncode == 0, self.rest()


class Raw:
    """A connection of which every byte is seen."""

    def __init__(self, sock):
        self.socket, self.left = sock, b""

    def send(self, data):
        self.socket.sendall(data)

    def until(self, end):
        while end not in self.left:
            more = self.socket.recv(65536)
            assert more, "closed after %r" % self.left
            self.left += more
        part, self.left = self.left.split(end, 1)
        return part

    def answer(self, head=False):
        """(code, headers, body) of the next answer."""
        lines = self.until(b"\r\n\r\n").decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
        size = 0 if head else int(headers.get("content-length", 0))
        while len(self.left) < size:
            more = self.socket.recv(65536)
            assert more, "closed in a body"
            self.left += more
        body, self.left = self.left[:size], self.left[size:]
        return int(lines[0].split()[1]), headers, body

    def is_closed(self):
        """Nothing comes any more (waits for the end)."""
        try:
            return self.left == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def rest(self):
        """Everything up to the end of the connection."""
        with contextlib.suppress(ConnectionResetError):
            while True:
                more = self.socket.recv(65536)
                if not more:
                    break
                self.left += more
        return self.left

    def close(self):
        self.socket.close()


@pytest.fixture(scope="session", autouse=True)
def library():
    """Nothing can be tested without it."""
    done = subprocess.run([PROGRAM], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
    if done.returncode == 77:
        pytest.skip(done.stderr.decode())


@pytest.fixture
def start():
    servers = []

    def run(*options, **more):
        servers.append(Echo(*options, **more))
        return servers[-1]

    yield run
    for server in servers:
        server.end()


@pytest.fixture
def echo(start):
    return start()


def get(path, *headers, method="GET", body=b""):
    lines = ["%s %s HTTP/1.1" % (method, path), "Host: x"] + list(headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


# ---- plain HTTP


def test_request_reaches_its_handler(echo):
    answer = echo.ask("POST", "/echo?q=a%20b+c&twice=1&twice=2&empty", b"12345", {"X-Test": "yes", "Content-Type": "text/x"})
    assert answer.status == 200 and answer.getheader("X-Echo") == "yes"
    told = json.loads(answer.bytes)
    assert told["method"] == "POST" and told["path"] == "/echo" and told["type"] == "text/x" and told["size"] == 5
    assert told["header"] == "yes" and told["query"] == "a b c"
    assert told["entries"] == ["q", "a b c", "twice", "1", "twice", "2", "empty", ""]


def test_body_arrives_whole(echo):
    for size in (0, 1, 8191, 8192, 100_000, (1 << 20) - 1, 1 << 20):
        body = os.urandom(size)
        assert echo.ask("POST", "/echo?body", body).bytes == body


def test_chunked_body_arrives_whole(echo):
    pieces = [os.urandom(size) for size in (1, 1000, 300_000, 7)]
    connection = echo.connect()
    connection.request("POST", "/echo?body", iter(pieces), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
    assert connection.getresponse().read() == b"".join(pieces)
    connection.close()


def test_connection_is_kept(echo):
    connection = echo.connect()
    connection.connect()
    first = connection.sock
    for method, path, body, code in (("GET", "/echo", None, 200), ("POST", "/echo", b"x" * 5000, 200), ("GET", "/nothing", None, 404),
                                     ("POST", "/nothing", b"small", 404), ("DELETE", "/echo", None, 405), ("GET", "/slow?ms=1", None, 200),
                                     ("GET", "/busy", None, 503), ("HEAD", "/echo", None, 200), ("GET", "/echo", None, 200)):
        connection.request(method, path, body)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == code and connection.sock is first, path
    connection.close()


def test_http_1_0_closes(echo):
    raw = echo.raw()
    raw.send(b"GET /echo HTTP/1.0\r\n\r\n")
    assert raw.answer()[0] == 200 and raw.is_closed()


def test_pipelined_requests_are_answered_in_order(echo):
    raw = echo.raw()
    raw.send(get("/slow?ms=60&q=1") + get("/echo?q=2") + get("/echo?q=3", "Content-Length: 3", method="POST", body=b"abc") + get("/slow?ms=1&q=4"))
    assert [json.loads(raw.answer()[2])["query"] for _ in range(4)] == ["1", "2", "3", "4"]


def test_head_has_no_body(echo):
    raw = echo.raw()
    raw.send(get("/echo", method="HEAD") + get("/echo"))
    code, headers, _ = raw.answer(head=True)
    second = raw.answer()
    assert code == 200 and second[0] == 200
    # "HEAD" has a letter more than "GET"
    assert int(headers["content-length"]) == int(second[1]["content-length"]) + 1 and headers["x-echo"] == "yes"


def test_unknown_path_has_the_fallbacks_form(echo):
    answer = echo.ask("GET", "/no/such")
    told = json.loads(answer.bytes)
    assert answer.status == 404 and told["code"] == 404 and "/no/such" in told["detail"]
    assert told["request_id"] == answer.getheader("X-Request-Id")


def test_wrong_method_names_the_right_ones(echo):
    answer = echo.ask("PUT", "/echo", b"x")
    assert answer.status == 405 and answer.getheader("Allow") == "GET, HEAD, POST"
    answer = echo.ask("POST", "/busy", b"x")
    assert answer.status == 405 and answer.getheader("Allow") == "GET, HEAD"
    assert isinstance(json.loads(answer.bytes), str)  # that route's own form


def test_refusal_has_retry_after(echo):
    answer = echo.ask("GET", "/busy")
    assert answer.status == 503 and answer.getheader("Retry-After") == "7" and json.loads(answer.bytes) == "no room for '/busy'"


def test_large_answer_to_a_slow_reader(start):
    echo = start()
    raw = echo.raw()
    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    raw.send(get("/echo?answer=5000000"))
    echo.wait(lambda level: level["in_flight"] == 2)  # it cannot be sent at once
    code, headers, body = raw.answer()
    assert code == 200 and len(body) == 5_000_000 and set(body) == {ord("0")}


# ---- ids, deadlines, CORS


def test_request_ids(echo):
    own = {echo.ask("GET", "/echo").getheader("X-Request-Id") for _ in range(20)}
    assert len(own) == 20 and all(re.fullmatch("[0-9a-f]{16}", one) for one in own)
    answer = echo.ask("GET", "/echo", headers={"X-Request-Id": "Abc-1.2_3"})
    assert answer.getheader("X-Request-Id") == "Abc-1.2_3" and json.loads(answer.bytes)["id"] == "Abc-1.2_3"
    assert echo.ask("GET", "/echo", headers={"X-Request-Id": "a" * 128}).getheader("X-Request-Id") == "a" * 128
    for bad in ("a b", "a" * 129, "ä", "<script>", ""):
        assert re.fullmatch("[0-9a-f]{16}", echo.ask("GET", "/echo", headers={"X-Request-Id": bad}).getheader("X-Request-Id")), bad


def test_deadlines(start):
    def deadline(server, **headers):
        return json.loads(server.ask("GET", "/echo", headers={k.replace("_", "-"): v for k, v in headers.items()}).bytes)["deadline_ms"]

    free, bound = start(), start("--deadline", 500)
    assert deadline(free) == 0 and deadline(free, X_Deadline_Ms="250") == 250 and deadline(free, X_Deadline_Ms="0") == 1
    assert deadline(bound) == 500 and deadline(bound, X_Deadline_Ms="250") == 250 and deadline(bound, X_Deadline_Ms="9000") == 500
    for bad in ("soon", "-1", "1.5", "12345678901234567890", ""):
        answer = free.ask("GET", "/echo", headers={"X-Deadline-Ms": bad})
        assert answer.status == 400 and "X-Deadline-Ms" in json.loads(answer.bytes)["detail"], bad


def test_cors_is_off_unless_asked(echo):
    assert echo.ask("GET", "/echo", headers={"Origin": "https://a.example"}).getheader("Access-Control-Allow-Origin") is None
    assert echo.ask("OPTIONS", "/echo").status == 405


def test_cors(start, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("secret\n")
    echo = start("--cors", "https://a.example", "--tokens", tokens)
    answer = echo.ask("OPTIONS", "/echo", headers={"Origin": "https://a.example", "Access-Control-Request-Method": "POST"})
    assert answer.status == 204 and answer.bytes == b"" and answer.getheader("Access-Control-Allow-Origin") == "https://a.example"
    assert answer.getheader("Access-Control-Allow-Methods") == "GET, HEAD, POST, OPTIONS" and answer.getheader("Vary") == "Origin"
    assert "authorization" in answer.getheader("Access-Control-Allow-Headers").lower()
    for path, code in (("/echo", 401), ("/open", 200)):  # a page must be able to read why it was refused
        answer = echo.ask("GET", path)
        assert answer.status == code and answer.getheader("Access-Control-Allow-Origin") == "https://a.example"
        assert "X-Request-Id" in answer.getheader("Access-Control-Expose-Headers")
    assert echo.ask("OPTIONS", "/nothing").status in (401, 404)
    assert start("--cors", "*").ask("GET", "/echo").getheader("Vary") is None


# ---- sizes


def test_too_large_is_refused_before_the_body(start):
    echo = start("--max-body", 1000)
    raw = echo.raw()
    raw.send(get("/echo", "Content-Length: 1001", method="POST"))  # and no byte more
    code, headers, body = raw.answer()
    assert code == 413 and headers["connection"] == "close" and "1001 bytes, at most 1000" in json.loads(body)["detail"]
    assert raw.is_closed()
    assert echo.ask("POST", "/echo", b"x" * 1000).status == 200
    assert echo.count("/echo", 413) == 1


def test_too_large_is_told_to_clients_that_send_first(start):
    echo = start("--max-body", 1000)
    for _ in range(5):
        answer = echo.ask("POST", "/echo", b"x" * 20_000_000)
        assert answer.status == 413 and json.loads(answer.bytes)["code"] == 413


def test_too_large_in_chunks(start):
    echo = start("--max-body", 100_000)
    raw = echo.raw()
    raw.send(get("/echo", "Transfer-Encoding: chunked", method="POST"))
    chunk = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
    for _ in range(11):
        raw.send(chunk)
    code, headers, body = raw.answer()  # and no last chunk
    assert code == 413 and headers["connection"] == "close" and "x-request-id" in headers and "100000" in json.loads(body)["detail"]
    assert raw.is_closed()
    echo.wait(lambda level: level["body_bytes"] == 0 and level["in_flight"] == 1)
    assert echo.count("/echo", 413) == 1


def test_body_where_none_belongs(echo):
    assert echo.ask("GET", "/echo", b"x").status == 413
    assert echo.ask("GET", "/echo", b"").status == 200


def test_expect_continue(start):
    echo = start("--max-body", 1000)
    raw = echo.raw()
    raw.send(get("/echo", "Content-Length: 5", "Expect: 100-continue", method="POST"))
    assert raw.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
    raw.send(b"12345")
    assert raw.answer()[0] == 200
    for path, size, code in (("/echo", 1001, 413), ("/nothing", 5, 404)):
        raw = echo.raw()
        raw.send(get(path, "Content-Length: %d" % size, "Expect: 100-continue", method="POST"))
        assert raw.answer()[0] == code and raw.is_closed(), path


def test_all_bodies_together_are_bounded(start):
    echo = start("--max-body", 1000, "--max-bodies", 2500)
    held = [echo.raw() for _ in range(3)]
    for raw in held[:2]:
        raw.send(get("/slow", "Content-Length: 1000", method="POST", body=b"x" * 1000))
    echo.wait(lambda level: level["body_bytes"] == 2000)
    held[2].send(get("/slow", "Transfer-Encoding: chunked", method="POST", body=b"1f4\r\n" + b"x" * 500 + b"\r\n"))
    echo.wait(lambda level: level["body_bytes"] == 2500)
    answer = echo.ask("POST", "/echo", b"x")
    assert answer.status == 503 and answer.getheader("Retry-After") == "1" and answer.getheader("X-Request-Id")
    held[2].send(b"1\r\nx\r\n")  # too much in the middle of a body
    code, headers, _ = held[2].answer()
    assert code == 503 and headers["retry-after"] == "1" and held[2].is_closed()
    echo.say("go")
    assert [raw.answer()[0] for raw in held[:2]] == [200, 200]
    assert echo.ask("POST", "/echo", b"x").status == 200 and echo.level()["body_bytes"] == 0


def test_headers_too_large(echo):
    raw = echo.raw()
    raw.send(get("/echo", "X-Long: " + "a" * 20_000))
    assert raw.answer()[0] in (413, 414, 431)
    assert echo.ask("GET", "/echo", headers={"X-Test": "a" * 4000}).status == 200


# ---- what is no good request


@pytest.mark.parametrize("request_bytes", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 garbage\r\n\r\n", b"GET\r\n\r\n", b"\xff" * 100 + b"\r\n\r\n"])
def test_what_is_no_request_line_ends_the_connection(echo, request_bytes):
    raw = echo.raw()
    raw.send(request_bytes)
    assert not raw.rest().startswith(b"HTTP/1.1 2")
    assert echo.ask("GET", "/echo").status == 200


@pytest.mark.parametrize("request_bytes", [
    b"GET /echo HTTP/1.1\r\n\r\n",  # no Host
    get("/echo", "Content-Length: -1", method="POST"),
    get("/echo", "Content-Length: 1x", method="POST"),
    get("/echo", "Content-Length: 3", "Content-Length: 4", method="POST", body=b"abcd"),
    get("/echo", "Content-Length: 3", "Transfer-Encoding: chunked", method="POST", body=b"0\r\n\r\n"),
    get("/echo", "Transfer-Encoding: gzip", method="POST", body=b"abc"),
    get("/echo", "Transfer-Encoding: chunked", method="POST", body=b"zz\r\nabc\r\n0\r\n\r\n"),
    get("/echo", "Transfer-Encoding: chunked", method="POST", body=b"3\r\nabcdef\r\n0\r\n\r\n"),
    get("/echo?q=a%00b"),
])
def test_bad_request(echo, request_bytes):
    raw = echo.raw()
    raw.send(request_bytes)
    assert raw.answer()[0] == 400
    rows = echo.wait(lambda level: level["in_flight"] == 1)["counts"]
    assert sum(row["requests"] for row in rows if row["code"] == 400) == 1, rows
    assert echo.ask("GET", "/echo").status == 200


def test_body_longer_than_said_is_the_next_request(echo):
    raw = echo.raw()
    raw.send(get("/echo?body", "Content-Length: 3", method="POST", body=b"abcdef\r\n\r\n"))
    assert raw.answer()[2] == b"abc" and raw.is_closed()


def test_bodies_that_end_early(echo):
    for declared in (10, 500_000):
        for chunked in (False, True):
            raw = echo.raw()
            raw.send(get("/echo", "Transfer-Encoding: chunked" if chunked else "Content-Length: %d" % declared, method="POST",
                         body=b"9\r\nabc" if chunked else b"abc"))
            raw.close()
    echo.wait(lambda level: level["in_flight"] == 1 and level["body_bytes"] == 0 and level["connections"] == 1)
    assert echo.count("/echo", 499) == 4


@pytest.mark.parametrize("request_bytes, answers", [(get("/echo"), 1), (get("/echo") * 3, 3), (b"GET /ec", 0)])
def test_client_that_sends_its_end_at_once_gets_ours(echo, request_bytes, answers):
    raw = echo.raw()
    raw.send(request_bytes)
    raw.socket.shutdown(socket.SHUT_WR)
    begun = time.monotonic()
    assert raw.rest().count(b"HTTP/1.1 200") == answers
    assert time.monotonic() - begun < 50  # and not after the time for idle connections, 60 seconds


# ---- time


def drip(raw, data, seconds):
    """Send a byte now and then until the other side has had enough; how long that took."""
    begun = time.monotonic()
    raw.socket.settimeout(seconds)
    for at in range(len(data)):
        try:
            raw.send(data[at:at + 1])
            if raw.socket.recv(65536) == b"":
                return time.monotonic() - begun
            return time.monotonic() - begun
        except socket.timeout:
            assert time.monotonic() - begun < PATIENCE
        except OSError:
            return time.monotonic() - begun
    return None


def test_idle_connection_is_closed(start):
    raw = start("--idle", 1).raw()
    assert raw.is_closed()


def test_slow_headers_are_cut(start):
    assert drip(start("--idle", 1).raw(), b"GET /echo HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 100, 0.3) is not None


def test_slow_body_is_answered_with_408(start):
    echo = start("--idle", 1)
    raw = echo.raw()
    raw.send(get("/echo", "Content-Length: 1000", method="POST"))
    raw.socket.settimeout(0.3)
    for _ in range(200):
        raw.send(b"x")
        with contextlib.suppress(socket.timeout):
            raw.left = raw.socket.recv(65536)
            break
    code, headers, body = raw.answer()
    assert code == 408 and json.loads(body)["code"] == 408 and "x-request-id" in headers
    echo.wait(lambda level: level["in_flight"] == 1)
    assert echo.count("/echo", 408) == 1


def test_half_a_body_and_silence(start):
    echo = start("--idle", 1)
    raw = echo.raw()
    raw.send(get("/echo", "Content-Length: 1000", method="POST", body=b"half"))
    raw.socket.recv(65536)  # 408, or the end
    echo.wait(lambda level: level["in_flight"] == 1 and level["body_bytes"] == 0)
    assert echo.count("/echo", 408) == 1


def test_slow_reader_is_cut(start):
    echo = start("--idle", 1)
    raw = echo.raw()
    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.send(get("/echo?answer=50000000"))
    echo.wait(lambda level: level["in_flight"] == 2)
    echo.wait(lambda level: level["in_flight"] == 1)


def test_slow_handler_is_not_idle(start):
    assert start("--idle", 1).ask("GET", "/slow?ms=2500").status == 200


# ---- the client has gone


def test_client_that_waits_is_there(echo):
    connection = echo.connect()
    connection.request("GET", "/gone?ms=300")
    assert echo.line() == "watching" and echo.line() == "there"
    assert connection.getresponse().status == 200


@pytest.mark.parametrize("reset", [False, True])
def test_client_that_closes_is_gone(echo, reset):
    raw = echo.raw()
    raw.send(get("/gone"))
    assert echo.line() == "watching"
    if reset:
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    raw.close()
    assert echo.line() == "gone"
    echo.wait(lambda level: level["in_flight"] == 1 and level["connections"] == 1)


def test_half_closed_client_counts_as_gone_over_tcp(echo):
    raw = echo.raw()
    raw.send(get("/gone"))
    assert echo.line() == "watching"
    raw.socket.shutdown(socket.SHUT_WR)
    assert echo.line() == "gone"


def test_half_closed_client_is_there_over_a_unix_socket(start, tmp_path):
    path = str(tmp_path / "s")
    echo = start(listen=("unix:" + path, "127.0.0.1:0"))
    raw = unix(path)
    raw.send(get("/gone?ms=300"))
    assert echo.line() == "watching"
    raw.socket.shutdown(socket.SHUT_WR)
    assert echo.line() == "there"
    raw = unix(path)
    raw.send(get("/gone"))
    assert echo.line() == "watching"
    raw.close()
    assert echo.line() == "gone"


# ---- connections


def test_many_idle_connections_beside_a_working_one(start):
    number = 2000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number + 200:
        if hard != resource.RLIM_INFINITY and hard < number + 200:
            pytest.skip("this machine allows %d open files, %d are needed" % (hard, number + 200))
        resource.setrlimit(resource.RLIMIT_NOFILE, (number + 200, hard))
    # the server raises the limit for itself
    echo = start("--connections", number + 10, before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard)))
    before = echo.level()["memory"]
    idle = []
    for at in range(number):
        raw = echo.raw()
        if at % 2:  # one that was used keeps its memory
            raw.send(get("/echo"))
            assert raw.answer()[0] == 200
        idle.append(raw)
    level = echo.wait(lambda one: one["connections"] == number + 1)
    if os.environ.get("FM_SANITIZED") != "1":
        assert (level["memory"] - before) / number < 20_000, level
    for _ in range(50):
        assert echo.ask("POST", "/slow?ms=1", b"x" * 1000).status == 200
    for raw in idle:
        raw.close()
    echo.wait(lambda one: one["connections"] == 1)


def test_too_many_connections_are_refused(start):
    echo = start("--connections", 5)
    held = [echo.raw() for _ in range(5)]
    for raw in held:
        raw.send(get("/slow"))
    end = time.monotonic() + PATIENCE
    refused = 0
    while refused < 3:  # once all five are in flight nobody can be sent away
        raw = echo.raw()
        raw.send(get("/echo"))
        code, headers, _ = raw.answer()
        assert time.monotonic() < end
        if code == 503:
            assert headers["retry-after"] == "1" and raw.is_closed()
            refused += 1
    for raw in held:  # one may have come to its handler only now: each is let go by a word of its own
        with saying(echo, "go"):
            assert raw.answer()[0] == 200
        raw.close()
    assert echo.wait(lambda level: level["connections"] == 1)["refused_connections"] >= 3


def test_idle_connections_make_room(start):
    echo = start("--connections", 5)
    held = [echo.raw() for _ in range(5)]
    held[0].send(get("/slow"))
    served = 0
    end = time.monotonic() + PATIENCE
    while served < 3:  # from when the others have been idle for a second
        raw = echo.raw()
        raw.send(get("/echo"))
        served += raw.answer()[0] == 200
        raw.close()
        assert time.monotonic() < end
    assert any(raw.is_closed() for raw in held[1:2])  # the one that has been idle for longest
    echo.say("go")
    assert held[0].answer()[0] == 200  # who waits for an answer is left alone


def unix(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    sock.connect(path)
    return Raw(sock)


def test_unix_socket(start, tmp_path):
    path = str(tmp_path / "s")
    echo = start("--log", "json", listen=("unix:" + path,))
    assert echo.addresses == ["unix:" + path] and not echo.exposed
    raw = unix(path)
    raw.send(get("/slow?ms=10"))
    assert raw.answer()[0] == 200
    assert json.loads(echo.error().split(" ", 1)[1])["client"] == "unix"
    refused = subprocess.run([PROGRAM, "--listen", "unix:" + path], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert refused.returncode == 1 and b"another program listens there" in refused.stderr and os.path.exists(path)
    echo.close()
    assert not os.path.exists(path)


def test_stale_unix_socket_is_replaced(start, tmp_path):
    path = str(tmp_path / "s")
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(path)
    stale.close()
    start(listen=("unix:" + path,))
    raw = unix(path)
    raw.send(get("/echo"))
    assert raw.answer()[0] == 200


def test_other_files_are_not_replaced(tmp_path):
    path = tmp_path / "s"
    path.write_text("mine")
    refused = subprocess.run([PROGRAM, "--listen", "unix:%s" % path], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert refused.returncode == 1 and path.read_text() == "mine" and str(path).encode() in refused.stderr


@pytest.mark.parametrize("where", ["8001", "127.0.0.1", "127.0.0.1:x", "::1:8001", "[::1:8001", "127.0.0.1:70000", "unix:", "unix:" + "a" * 200,
                                   "systemd", "no.such.host.invalid:1", ":1"])
def test_address_that_says_nothing(where):
    refused = subprocess.run([PROGRAM, "--listen", where], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert refused.returncode == 1 and refused.stderr.startswith(b"error 1 "), refused.stderr


def test_address_in_use(echo):
    where = "127.0.0.1:%d" % echo.port
    refused = subprocess.run([PROGRAM, "--listen", where], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert refused.returncode == 1 and where.encode() in refused.stderr and b"in use" in refused.stderr


def test_several_addresses(start, tmp_path):
    listen = ["127.0.0.1:0", "127.0.0.2:0", "unix:%s" % (tmp_path / "s")]
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        listen.append("[::1]:0")  # this machine has it
    echo = start(listen=listen)
    assert len(echo.addresses) == len(listen) and not echo.exposed
    for address in echo.addresses:
        if address.startswith("unix:"):
            raw = unix(address[5:])
        else:
            host, port = re.fullmatch(r"http://\[?([^\]]*?)\]?:(\d+)", address).groups()
            raw = Raw(socket.create_connection((host, int(port)), timeout=PATIENCE))
        raw.send(get("/echo"))
        assert raw.answer()[0] == 200, address


def test_exposure(start, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("a\n")
    assert start(listen=("127.0.0.1:0", "0.0.0.0:0")).exposed
    assert not start("--tokens", tokens, listen=("0.0.0.0:0",)).exposed


def test_sockets_of_the_service_manager(start, tmp_path):
    tcp = socket.create_server(("127.0.0.1", 0))
    local = socket.socket(socket.AF_UNIX)
    local.bind(str(tmp_path / "s"))
    local.listen(5)
    program = "exec 3<&%d 4<&%d; LISTEN_PID=$$ LISTEN_FDS=2 exec \"$@\"" % (tcp.fileno(), local.fileno())
    shell = shutil.which("bash")  # whose file descriptors may have two digits
    if shell is None:
        pytest.skip("no bash")
    echo = start(listen=("systemd",), command=[shell, "-c", program, "sh"], files=(tcp.fileno(), local.fileno()))
    assert echo.addresses == ["http://127.0.0.1:%d" % tcp.getsockname()[1], "unix:%s" % (tmp_path / "s")]
    for raw in (Raw(socket.create_connection(tcp.getsockname(), timeout=PATIENCE)), unix(str(tmp_path / "s"))):
        raw.send(get("/echo"))
        assert raw.answer()[0] == 200
    echo.close()
    assert os.path.exists(tmp_path / "s")  # it is not ours
    socket.create_connection(tcp.getsockname(), timeout=PATIENCE)  # waits for the next start


# ---- tokens


def bearer(token):
    return {"Authorization": "Bearer " + token}


def test_tokens(start, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("# people\n\n  first  \r\nsecond\n#third\n")
    tokens.chmod(0o600)
    echo = start("--tokens", tokens)
    for given in (bearer("first"), bearer("second"), {"Authorization": "bearer  second "}):
        assert echo.ask("GET", "/echo", headers=given).status == 200, given
    for given in ({}, bearer(""), bearer("third"), bearer("#third"), bearer("firs"), bearer("firstt"), bearer("# people"),
                  {"Authorization": "first"}, {"Authorization": "Basic first"}):
        answer = echo.ask("GET", "/echo", headers=given)
        assert answer.status == 401 and answer.getheader("WWW-Authenticate").startswith("Bearer"), given
        assert json.loads(answer.bytes)["code"] == 401
    assert echo.ask("GET", "/open").status == 200
    assert echo.ask("GET", "/nothing").status == 401  # nobody may find out what there is
    raw = echo.raw()
    raw.send(get("/echo", "Content-Length: 1000000", method="POST"))
    assert raw.answer()[0] == 401  # before the body


def test_tokens_are_read_again(start, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("old\n")
    tokens.chmod(0o600)
    echo = start("--tokens", tokens)
    tokens.write_text("new\n")
    assert echo.ask("GET", "/echo", headers=bearer("new")).status == 401
    assert echo.reload() == "reloaded"
    assert [echo.ask("GET", "/echo", headers=bearer(t)).status for t in ("old", "new")] == [401, 200]
    tokens.write_text("# none\n")
    assert "has no token" in echo.reload()
    os.remove(tokens)
    assert str(tokens) in echo.reload()
    assert echo.ask("GET", "/echo", headers=bearer("new")).status == 200


def test_token_file_that_others_may_read(start, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("a\n")
    tokens.chmod(0o640)
    assert re.fullmatch("warn .*%s.*chmod 600.*" % re.escape(str(tokens)), start("--tokens", tokens).error())
    tokens.write_text("\n")
    refused = subprocess.run([PROGRAM, "--listen", "127.0.0.1:0", "--tokens", str(tokens)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                             timeout=PATIENCE)
    assert refused.returncode == 1 and b"has no token" in refused.stderr


# ---- TLS


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """Two certificates with their keys."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    for name in ("one", "two"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=" + name, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / (name + ".key")), "-out",
                        str(folder / (name + ".pem"))], check=True, stderr=subprocess.DEVNULL, timeout=PATIENCE)
    return folder


@pytest.fixture
def secure(start, certificates, tmp_path):
    """A server under TLS, whose files may be changed."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    shutil.copy(certificates / "one.pem", certificate)
    shutil.copy(certificates / "one.key", key)
    echo = start("--cert", certificate, "--key", key, "--max-body", 100_000)
    echo.certificate, echo.key = certificate, key
    return echo


def secure_connection(echo):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", echo.port, timeout=PATIENCE, context=context)
    connection.connect()
    return connection


def asked(connection, method="GET", path="/echo", body=None, headers=None):
    connection.request(method, path, body, headers or {}, encode_chunked="Transfer-Encoding" in (headers or {}))
    answer = connection.getresponse()
    return answer.status, answer.read()


def common_name(connection, certificates):
    given = connection.sock.getpeercert(binary_form=True)
    return next(name for name in ("one", "two") if ssl.PEM_cert_to_DER_cert((certificates / (name + ".pem")).read_text()) == given)


def test_tls(secure, certificates):
    assert secure.addresses[0].startswith("https://127.0.0.1:")
    context = ssl.create_default_context(cafile=str(certificates / "one.pem"))
    connection = http.client.HTTPSConnection("127.0.0.1", secure.port, timeout=PATIENCE, context=context)
    body = os.urandom(100_000)
    for path in ("/echo?body", "/slow?ms=5&body"):
        assert asked(connection, "POST", path, body) == (200, body)
    assert connection.sock.version() in ("TLSv1.2", "TLSv1.3")
    assert asked(connection, "POST", "/echo", b"x" * 100_001)[0] == 413


def test_tls_too_large_in_chunks(secure):
    connection = secure_connection(secure)
    code, body = asked(connection, "POST", "/echo", iter([b"x" * 60_000] * 2), {"Transfer-Encoding": "chunked"})
    assert code == 413 and json.loads(body)["code"] == 413


def test_tls_not_spoken(secure):
    raw = secure.raw()
    raw.send(get("/echo"))
    with contextlib.suppress(ConnectionResetError):
        assert not raw.socket.recv(1000).startswith(b"HTTP/1.1 2")
    assert asked(secure_connection(secure))[0] == 200


def test_tls_reload_under_connections(secure, certificates):
    held, busy = secure_connection(secure), secure_connection(secure)
    assert asked(held)[0] == 200
    busy.request("GET", "/slow")  # in flight while certificates change
    shutil.copy(certificates / "two.pem", secure.certificate)
    assert "are not accepted" in secure.reload()  # the key is the old one's
    assert common_name(secure_connection(secure), certificates) == "one"
    shutil.copy(certificates / "two.key", secure.key)
    assert secure.reload() == "reloaded"
    fresh = secure_connection(secure)
    assert common_name(fresh, certificates) == "two" and asked(fresh)[0] == 200
    secure.say("go")
    assert busy.getresponse().status == 200
    assert asked(held)[0] == 200  # over the connection from before
    for _ in range(10):
        assert secure.reload() == "reloaded"
    assert asked(secure_connection(secure))[0] == 200


def test_tls_certificate_is_checked_at_the_start(certificates, tmp_path):
    (tmp_path / "bad.pem").write_text("no certificate\n")
    for certificate, key in ((certificates / "one.pem", certificates / "two.key"), (tmp_path / "bad.pem", certificates / "one.key"),
                             (tmp_path / "missing", certificates / "one.key")):
        refused = subprocess.run([PROGRAM, "--listen", "127.0.0.1:0", "--cert", str(certificate), "--key", str(key)], stdin=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, timeout=PATIENCE)
        assert refused.returncode == 1 and str(certificate).encode() in refused.stderr, refused.stderr
    refused = subprocess.run([PROGRAM, "--listen", "127.0.0.1:0", "--cert", str(certificates / "one.pem")], stdin=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, timeout=PATIENCE)
    assert refused.returncode == 1 and b"only one of them" in refused.stderr


# ---- counts and log


def test_counts(echo):
    for _ in range(3):
        echo.ask("GET", "/echo")
    echo.ask("GET", "/slow?ms=30")
    echo.ask("HEAD", "/echo")
    rows = echo.wait(lambda level: sum(row["requests"] for row in level["counts"] if row["route"] != "/level") == 5)["counts"]
    row = next(row for row in rows if row["route"] == "/echo")
    assert row["method"] == "GET" and row["code"] == 200 and row["requests"] == sum(row["buckets"]) == 4
    row = next(row for row in rows if row["route"] == "/slow")
    assert row["seconds"] >= 0.03 and sum(row["buckets"][:5]) == 0 and sum(row["buckets"]) == 1


def test_access_log_as_text(start):
    echo = start("--log", "text")
    echo.ask("POST", "/echo?q=secret", b"12345", {"X-Request-Id": "me"})
    line = echo.error()
    assert re.fullmatch(r'log \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z 127\.0\.0\.1 "POST /echo" 200 in=5 out=\d+ ms=[\d.]+ id=me', line), line
    raw = echo.raw()
    raw.send(b"GET /a%0Alog%20%22%ff HTTP/1.1\r\nHost: x\r\n\r\n")
    raw.answer()
    assert '"GET /a%0Alog%20%22%FF" 404' in echo.error()


def test_access_log_as_json(start):
    echo = start("--log", "json")
    echo.ask("GET", "/slow?ms=20")
    record = json.loads(echo.error().split(" ", 1)[1])
    assert record["method"] == "GET" and record["path"] == "/slow" and record["code"] == 200 and record["client"] == "127.0.0.1"
    assert record["ms"] >= 20 and record["bytes_in"] == 0 and record["bytes_out"] > 0 and re.fullmatch("[0-9a-f]{16}", record["id"])
    assert record["time"].endswith("Z")


# ---- the end


def test_close_waits_for_answers(start):
    echo = start()
    waiting = [echo.connect() for _ in range(20)]
    for connection in waiting:
        connection.request("GET", "/slow")
    half = echo.raw()
    half.send(get("/echo?body", "Content-Length: 6", method="POST", body=b"abc"))
    echo.wait(lambda level: level["in_flight"] == 22)
    idle = echo.raw()
    idle.send(get("/echo"))
    assert idle.answer()[0] == 200
    echo.say("stop")
    idle.send(get("/echo"))
    code, headers, _ = idle.answer()  # begun before or after the stop was heard
    while code == 200:
        idle.send(get("/echo"))
        code, headers, _ = idle.answer()
    assert code == 503 and headers["connection"] == "close" and headers["retry-after"] == "1" and idle.is_closed()

    def connects():
        with contextlib.suppress(OSError):
            echo.raw().close()
            return True

    end = time.monotonic() + PATIENCE
    while connects():
        assert time.monotonic() < end
    echo.say("go")
    half.send(b"def")
    assert half.answer()[2] == b"abcdef" and half.is_closed()
    assert [connection.getresponse().status for connection in waiting] == [200] * 20
    assert echo.close(PATIENCE * 1000) == 0


def test_close_forsakes_what_takes_too_long(start):
    echo = start()
    waiting = [echo.raw() for _ in range(3)]
    for raw in waiting:
        raw.send(get("/never"))
        assert echo.line() == "kept"
    quick = echo.raw()
    quick.send(get("/slow?ms=10"))
    assert quick.answer()[0] == 200
    assert echo.close(200) == 3
    for raw in waiting:
        code, headers, body = raw.answer()
        assert code == 503 and "stopped" in json.loads(body)["detail"] and raw.is_closed()


def load(echo, stop, answers, lost):
    """Requests over a kept connection until the server does not want any more. Without an answer is lost only what was
    sent on a fresh connection, or after part of an answer: a kept one may be closed at any time while it is idle."""
    connection, fresh = echo.connect(), True
    while not stop.is_set():
        try:
            connection.request("POST", "/slow?ms=3", b"x" * 3000)
            answer = connection.getresponse()
            answer.read()
            answers.append(answer.status)
            fresh = answer.getheader("Connection") == "close"
            if fresh:
                connection.close()
        except ConnectionRefusedError:
            return
        except (OSError, http.client.HTTPException) as problem:
            if fresh:
                lost.append(repr(problem))
            return


def test_stop_under_load_loses_nothing(start):
    for _ in range(3):
        echo = start()
        stop, answers, lost = threading.Event(), [], []
        threads = [threading.Thread(target=load, args=(echo, stop, answers, lost)) for _ in range(16)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + PATIENCE
        while len(answers) < 200:
            assert time.monotonic() < end
            time.sleep(0.005)
        assert echo.close(PATIENCE * 1000) == 0
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert not lost and set(answers) <= {200, 503} and answers.count(200) >= 200 - 16
