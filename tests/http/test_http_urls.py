"""Pictures fetched from URLs: which hosts, which addresses, how much, and what becomes of redirects."""

import http.server
import socket
import threading

import pytest

from conftest import numbered_squares, png

THREE = png(numbered_squares(3))


class Site:
    """A server of pictures on this machine, and what it was asked."""

    def __init__(self):
        site = self
        self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                site.asked.append((self.path, dict(self.headers)))
                body, code = b"", 200
                if self.path == "/three.png":
                    body = THREE
                elif self.path == "/large":
                    body = THREE + b"\0" * (1 << 20)
                elif self.path == "/text":
                    body = b"no picture"
                elif self.path == "/endless":
                    code = 302
                elif self.path.startswith("/to/"):
                    code = 302
                elif self.path != "/empty":
                    code, body = 404, b"not here"
                self.send_response(code)
                if code == 302:
                    self.send_header("Location", "/endless" if self.path == "/endless" else self.path[len("/to/"):])
                if self.path != "/large":  # whose size is not said before
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = "http://127.0.0.1:%d" % self.port
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


@pytest.fixture
def site():
    site = Site()
    yield site
    site.close()


def fetch(worker, *urls, **fields):
    answer = worker.post_json("/extract", dict({"images": {"urls": list(urls)}}, **fields))
    assert answer.code == 200, answer.text[:500]
    assert len(answer.json["data"]) == len(urls)
    for image in answer.json["data"]:
        assert image["status"] == "ok" or (image["faces"] == [] and image["traceback"])
    return answer.json["data"]


def failure(worker, url, **fields):
    image = fetch(worker, url, **fields)[0]
    assert image["status"] == "failed"
    return image["traceback"]


@pytest.fixture
def allowing(serve, make_pack, site):
    """A worker that fetches from the site, by its address, and from hosts given as well."""
    def start(*hosts, **environment):
        options = [word for host in hosts for word in ("--allow-url-host", host)]
        return serve("--pack", make_pack("stock"), "--allow-url-host", "127.0.0.1:%d" % site.port, *options, **environment)
    return start


def test_off_unless_allowed(worker, site):
    assert "not fetched by this worker" in failure(worker, site.url + "/three.png")
    answer = worker.post_json("/draw_detections", {"images": {"urls": [site.url + "/three.png"]}})
    assert answer.code == 415 and "not fetched" in answer.json["detail"]
    assert site.asked == []


def test_fetched(allowing, site):
    worker = allowing()
    data = fetch(worker, site.url + "/three.png", site.url + "/none", site.url + "/text", site.url + "/empty", site.url + "/three.png")
    assert [(image["status"], len(image["faces"])) for image in data] == [
        ("ok", 3), ("failed", 0), ("failed", 0), ("failed", 0), ("ok", 3)]
    assert "answers 404" in data[1]["traceback"] and "empty" in data[3]["traceback"]
    assert site.asked[0][1]["User-Agent"] == "facemill" and "Accept-Encoding" not in site.asked[0][1]
    drawn = worker.post_json("/draw_detections", {"images": {"urls": [site.url + "/three.png"]}})
    assert drawn.code == 200 and drawn.body[:4] == b"\x89PNG"


def test_urls_go_before_files(allowing, site):
    answer = allowing().post_json("/extract", {"images": {"urls": [site.url + "/three.png"], "data": ["!", "!"]}})
    assert [image["status"] for image in answer.json["data"]] == ["ok"]


def test_hosts_that_are_not_allowed(allowing, site):
    worker = allowing("*.example.com", "pictures.example")
    for url in ("http://127.0.0.1/three.png", "http://127.0.0.2:%d/" % site.port, "https://127.0.0.1/x", "http://localhost:%d/" % site.port,
                "http://example.com/", "http://notexample.com/", "http://a.example.com:81/", "http://pictures.example.evil/",
                "http://pictures.example@127.0.0.3/", "http://[::1]:%d/" % site.port, "http://0/", "http://2130706433/"):
        assert "is not one that pictures are fetched from" in failure(worker, url), url
    for url in ("three.png", "/etc/passwd", "file:///etc/passwd", "ftp://pictures.example/x", "gopher://127.0.0.1:%d/" % site.port, "", "http://",
                "javascript:1"):
        text = failure(worker, url)
        assert "is no http:// or https:// URL" in text or "is not one that pictures" in text, url
    assert site.asked == []


def test_names_of_private_addresses(allowing, site):
    """Allowed by name, but what the name means is this machine."""
    worker = allowing("localhost:%d" % site.port, "*:%d" % site.port)
    for host in ("localhost", "LOCALHOST", "127.0.0.2", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "127.2", "0x7f.3", "169.254.169.254"):
        assert "not public" in failure(worker, "http://%s:%d/three.png" % (host, site.port)), host
    assert site.asked == []
    assert fetch(worker, site.url + "/three.png")[0]["status"] == "ok"


def test_redirects(allowing, site):
    worker = allowing("localhost:%d" % site.port)
    assert fetch(worker, site.url + "/to//three.png")[0]["status"] == "ok"
    assert fetch(worker, site.url + "/to/" + site.url + "/three.png")[0]["status"] == "ok"
    del site.asked[:]
    assert "not public" in failure(worker, site.url + "/to/http://localhost:%d/three.png" % site.port)
    assert "is not one that" in failure(worker, site.url + "/to/http://127.0.0.1:1/three.png")
    assert "is not one that" in failure(worker, site.url + "/to/http://169.254.169.254/latest")
    assert "is no http:// or https:// URL" in failure(worker, site.url + "/to/file:///etc/passwd")
    assert [path.startswith("/to/") for path, _ in site.asked] == [True] * 4
    del site.asked[:]
    assert "redirected too often" in failure(worker, site.url + "/endless")
    assert len(site.asked) == 6


def test_headers_of_the_request(allowing, site):
    headers = {"User-Agent": "a browser", "X-Token": "secret", "Host": "elsewhere", "Content-Length": "5"}
    image = fetch(allowing(), site.url + "/to//three.png", img_req_headers=headers)[0]
    assert image["status"] == "ok"
    (_, first), (_, second) = site.asked
    assert (first["User-Agent"], first["X-Token"]) == ("a browser", "secret")
    assert first["Host"] == "127.0.0.1:%d" % site.port and "Content-Length" not in first
    assert second["User-Agent"] == "facemill" and "X-Token" not in second


def test_no_proxy_of_the_environment(allowing, site):
    worker = allowing(http_proxy="http://127.0.0.1:1", HTTP_PROXY="http://127.0.0.1:1", all_proxy="http://127.0.0.1:1")
    assert fetch(worker, site.url + "/three.png")[0]["status"] == "ok"


def test_too_large(serve, make_pack, site):
    worker = serve("--pack", make_pack("stock"), "--max-body", "200K", "--allow-url-host", "127.0.0.1:%d" % site.port)
    data = fetch(worker, site.url + "/three.png", site.url + "/large", site.url + "/three.png")
    assert [image["status"] for image in data] == ["ok", "failed", "ok"]
    assert "bytes allowed" in data[1]["traceback"]


def test_a_server_that_says_nothing(allowing, site):
    """The request's own deadline ends the wait."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        port = silent.getsockname()[1]
        worker = allowing("127.0.0.1:%d" % port)
        images = {"urls": ["http://127.0.0.1:%d/x" % port]}
        for path, fields in (("/extract", {}), ("/extract", {"embed_only": True}), ("/draw_detections", {})):
            answer = worker.post_json(path, dict({"images": images}, **fields), X_Deadline_Ms="300")
            assert answer.code == 504 and "deadline" in answer.json["detail"]
