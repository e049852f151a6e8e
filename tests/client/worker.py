"""A worker for tests that answers as it is told, in either interface, and counts what it is asked. Nothing in it knows faces: what
it answers follows from the bytes that it got, so that a test sees which picture an answer belongs to."""

import base64
import http.server
import json
import re
import socket
import struct
import threading

WAIT_S = 60


def embedding_of(picture):
    return [float(len(picture)), 0.1, -2.5, float(sum(picture[:64]))]


def v1_answer(picture, faces=1):
    values = struct.pack("<4f", *embedding_of(picture))
    face = {"box": [1.5, 2.25, 30.125, 40.0625], "score": 0.875, "landmarks": [[k + 0.5, k + 1.25] for k in range(5)],
            "embedding": base64.b64encode(values).decode(), "embedding_norm": 12.5}
    return {"width": 640, "height": 480, "faces": [face] * faces, "request_id": "r1"}


def gpu_answer(picture, faces=1):
    face = {"bbox_x": 1, "bbox_y": 2, "bbox_width": 29, "bbox_height": 38, "embedding": embedding_of(picture),
            "confidence": 0.875, "landmarks": [[k, k + 1] for k in range(5)]}
    return {"faces": [face] * faces, "image_width": 640, "image_height": 480, "processing_time_ms": 1.5}


# Behaviours: functions of (handler, picture) that answer one request for faces.

def good(handler, picture):
    handler.send_json(200, handler.worker.answer(picture))


def answers(code, document, **headers):
    """`document` is JSON, or bytes as they are."""
    return lambda handler, picture: handler.send_json(code, document, headers)


def cut(handler, picture):
    """An answer that ends in its middle."""
    whole = json.dumps(handler.worker.answer(picture)).encode()
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(whole))
    handler.wfile.write(whole[:len(whole) // 2])
    handler.close_connection = True


def hang_up(handler, picture):
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def endless(handler, picture):
    """Answers until nobody listens any more."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    handler.close_connection = True
    try:
        while True:
            handler.wfile.write(b" " * 1000000)
    except OSError:
        handler.worker.cut_off.set()


def in_turn(*behaviours):
    """One behaviour for each request, the last one for all that follow."""
    left = list(behaviours)
    lock = threading.Lock()

    def behave(handler, picture):
        with lock:
            now = left.pop(0) if len(left) > 1 else left[0]
        now(handler, picture)
    return behave


class Held:
    """A behaviour that holds requests until release()."""

    def __init__(self, behaviour=good):
        self.behaviour, self.open, self.count = behaviour, threading.Event(), threading.Semaphore(0)

    def __call__(self, handler, picture):
        self.count.release()
        assert self.open.wait(WAIT_S)
        self.behaviour(handler, picture)

    def wait_for(self, number):
        """Until so many further requests are held."""
        for _ in range(number):
            assert self.count.acquire(timeout=WAIT_S)

    def release(self):
        self.open.set()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = WAIT_S

    def setup(self):
        super().setup()
        self.worker = self.server.worker
        with self.worker.lock:
            self.worker.connections.append(self.connection)

    def log_message(self, *words):
        pass

    def send_json(self, code, document, headers={}):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        worker = self.worker
        with worker.lock:
            worker.probes.append(self.path)
        if worker.token and self.headers.get("Authorization") != "Bearer " + worker.token:
            self.send_json(401, {"error": {"code": "unauthorized", "message": "a token is needed"}})
        elif worker.health is not None:
            worker.health(self, b"")
        elif worker.gpu and self.path == "/":
            self.send_json(200, {"status": "healthy", "gpu_available": False, "model_loaded": True, "device": "CPU"})
        elif not worker.gpu and self.path == "/v1/models":
            self.send_json(200, {"version": "1", "pack": {"name": "fake", "id": worker.pack_id}, "models": []})
        else:
            self.send_json(404, {"detail": "Not Found"})
        worker.probed.release()

    def do_POST(self):
        worker = self.worker
        body = self.rfile.read(int(self.headers["Content-Length"]))
        picture = body
        if worker.gpu:
            boundary = re.search(r"boundary=(.+)", self.headers["Content-Type"]).group(1).encode()
            head, _, rest = body.partition(b"\r\n\r\n")
            assert head.startswith(b"--" + boundary) and b'name="file"' in head and b"filename=" in head, head
            picture = rest[:rest.index(b"\r\n--" + boundary + b"--")]
        with worker.lock:
            worker.requests.append((self.path, self.headers.get("Content-Type"), len(picture), dict(self.headers)))
            worker.outstanding += 1
            worker.most = max(worker.most, worker.outstanding)
        try:
            if self.path.split("?")[0] == ("/detect" if worker.gpu else "/v1/analyze"):
                worker.behaviour(self, picture)
            else:
                self.send_json(404, {"detail": "Not Found"})
        except OSError:
            self.close_connection = True
        finally:
            with worker.lock:
                worker.outstanding -= 1


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, address):
        pass  # a killed worker's


class Worker:
    """with Worker() as worker: it answers at worker.url."""

    def __init__(self, gpu=False, token=None):
        self.gpu, self.token = gpu, token
        self.answer = gpu_answer if gpu else v1_answer
        self.pack_id = "a" * 64
        self.behaviour, self.health = good, None
        self.lock = threading.Lock()
        self.requests, self.probes, self.connections = [], [], []
        self.outstanding = self.most = 0
        self.cut_off = threading.Event()
        self.probed = threading.Semaphore(0)
        self.port = 0
        self.server = None
        self.start()

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.port

    def start(self):
        """Again at the same port after kill()."""
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.server.worker = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def kill(self):
        """As if the process had been killed: no further connections, the open ones are cut."""
        self.server.shutdown()
        self.server.server_close()
        with self.lock:
            for connection in self.connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.connections = []
        self.server = None

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        if self.server:
            self.kill()
