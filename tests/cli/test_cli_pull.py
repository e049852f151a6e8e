"""Fetching packs, from a server of the test's own with faults to order. After every failure the pack that was there must find
faces as before, and nothing half done may lie around."""

import contextlib
import hashlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time
import zipfile

import pytest

from conftest import PROGRAM, png
from packs import (LICENCE, full_disk, index, need, networks, on_disk, on_terminal, place, pull, server, small_files, stock_zip,
                   zipped)


# ---------------------------------------------------------------- pull

def test_pull_installs_what_was_asked_for(place, index, server):
    ran = pull(place, index())
    record = ran.records[0]
    assert record["outcome"] == "installed" and record["sha256"] == hashlib.sha256(server.data).hexdigest() and record["useful"] == 2
    for words in (server.base, LICENCE, "https://example.org/licence", record["sha256"], "%d bytes" % len(server.data)):
        assert words in ran.err
    assert len(server.seen) == 1 and server.seen[0]["range"] is None
    manifest = json.loads((place.packs / "fresh" / "manifest.json").read_text())
    assert manifest["licence"]["name"] == LICENCE and manifest["source"].startswith(server.base) and manifest["name"] == "fresh"
    assert len(place.run("detect", "--pack", "fresh", place.tmp / "a.png").records[0]["faces"]) == 2
    assert place.parts() == []
    place.check("fresh")
    again = pull(place, index())
    assert again.records[0]["outcome"] == "already installed" and "already installed, digest equal" in again.err and len(server.seen) == 1
    assert place.run("models", "pull", "fresh", "--index", index(), code=0).records[0]["outcome"] == "already installed"
    assert [r["installed"] for r in place.run("models", "list", "--index", index()).records if r.get("known") == "fresh"] == [True]


def test_no_licence_no_request(place, index, server):
    ran = place.run("models", "pull", "fresh", "--index", index(), code=2)
    assert LICENCE in ran.err and "--accept-license" in ran.err and "nothing was fetched" in ran.err
    assert LICENCE in place.run("models", "pull", "fresh", "--index", index(), "--quiet", code=2).err
    pull(place, index())
    count = len(server.seen)
    place.run("models", "pull", "fresh", "--replace", "--index", index(), code=2)
    assert count == 1 and len(server.seen) == 1
    place.kept("fresh")


@pytest.mark.parametrize("answer, code", [("yes\n", 0), ("no\n", 2), ("\n", 2), ("\x04", 2)])
def test_the_licence_is_asked_for_on_a_terminal(place, index, server, answer, code):
    ended, shown, out = on_terminal(place, ["models", "pull", "fresh", "--index", index()], answer)
    assert ended == code and "Do you accept this licence" in shown, shown
    assert len(server.seen) == (1 if code == 0 else 0)
    place.kept(*(["fresh"] if code == 0 else []))


def test_a_download_shows_how_far_it_is(place, index, server):
    command = ["models", "pull", "fresh", "--index", index(), "--accept-license", "--replace"]
    server.faults = [("dribble", 1.5)]
    ended, shown, out = on_terminal(place, command, "")
    lines = re.findall(r"\r\x1b\[K(\d+\.\d) of %.1f MB" % (len(server.data) * 1e-6), shown)
    assert ended == 0 and len(lines) >= 3 and lines == sorted(lines), shown
    assert re.search(r" MB, \d+\.\d MB/s, 0:00:0\d left", shown), shown
    assert shown.count("\r\x1b[K") > len(lines), "the line is taken away when it is no longer true"
    server.faults = [("dribble", 1.5)]
    ended, shown, out = on_terminal(place, command + ["--quiet"], "")
    assert ended == 0 and shown.splitlines() == ["facemill: fresh: licence %s, https://example.org/licence; read the licence for "
                                                 "commercial use" % LICENCE], shown
    server.faults = [("dribble", 0.6)]
    assert " of 0.1 MB" not in place.run(*command).err
    place.kept("fresh")


def test_resume_in_a_later_run(place, index, server):
    server.faults = [("cut", 40000), ("status", 404)]
    ran = pull(place, index(), code=3)
    assert "404" in ran.err and place.parts() == [".part-fresh", ".part-fresh.json"]
    assert (place.packs / ".part-fresh").stat().st_size == 40000
    place.check()
    pull(place, index())
    last = server.seen[-1]
    assert last["range"] == "bytes=40000-" and last["if_range"] == '"one"' and last["sent"] == len(server.data) - 40000
    place.check("fresh")


def test_resume_within_a_run(place, index, server):
    server.faults = [("cut", 30000), ("status", 503), ("cut", 30000)]
    ran = pull(place, index())
    assert "trying again" in ran.err
    assert [record["range"] for record in server.seen] == [None, "bytes=30000-", "bytes=30000-", "bytes=60000-"]
    assert sum(record["sent"] for record in server.seen) == len(server.data)
    place.kept("fresh")


def test_gives_up_after_three_retries(place, index, server):
    server.faults = [("status", 503)] * 9
    ran = pull(place, index(), code=3)
    assert "503" in ran.err and len(server.seen) == 4 and ran.err.splitlines()[-1].endswith("#not_found")
    place.kept()


def test_kill_in_the_middle(place, index, server):
    server.faults = [("stall", 50000)]
    process = subprocess.Popen([PROGRAM, "models", "pull", "fresh", "--accept-license", "--index", str(index())], env=place.run.environment,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    part = place.packs / ".part-fresh"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (part.exists() and part.stat().st_size == 50000):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=30) == -signal.SIGKILL and part.stat().st_size == 50000
    place.check()
    server.go.set()
    pull(place, index())
    assert server.seen[-1]["range"] == "bytes=50000-" and server.seen[-1]["sent"] == len(server.data) - 50000
    place.check("fresh")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_keeps_what_was_fetched(place, index, server, number):
    server.faults = [("stall", 50000)]
    process = subprocess.Popen([PROGRAM, "models", "pull", "fresh", "--accept-license", "--index", str(index())], env=place.run.environment,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    part = place.packs / ".part-fresh"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (part.exists() and part.stat().st_size == 50000):
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number and b"interrupted" in err and b"50000 bytes" in err and part.stat().st_size == 50000
    place.check()


def test_a_server_without_ranges_sends_all_again(place, index, server):
    server.faults, server.ranges = [("cut", 40000), ("status", 404)], False
    pull(place, index(), code=3)
    ran = pull(place, index())
    assert "the whole file again" in ran.err and server.seen[-1]["range"] == "bytes=40000-" and server.seen[-1]["sent"] == len(server.data)
    place.kept("fresh")


@pytest.mark.parametrize("etag, modified", [('"one"', None), (None, "Sat, 21 Nov 2026 10:00:00 GMT"), (None, None), ('W/"one"', None)])
def test_a_file_that_changed_in_between_is_fetched_anew(place, index, server, make_pack, etag, modified):
    server.etag, server.modified = etag, modified
    server.faults = [("cut", 40000), ("status", 404)]
    pull(place, index(), code=3)
    server.data = zipped([("note.txt", b"x" * 1000)] + networks(make_pack("stock")))
    server.etag, server.modified = etag and '"two"', modified and "Sun, 22 Nov 2026 10:00:00 GMT"
    pull(place, index())
    last = server.seen[-1]
    assert last["sent"] == len(server.data)
    assert last["if_range"] == (None if etag and etag.startswith("W/") else etag or modified)
    place.kept("fresh")


def test_a_part_longer_than_the_file_begins_anew(place, index, server):
    server.faults = [("cut", 40000), ("status", 404)]
    pull(place, index(), code=3)
    with open(place.packs / ".part-fresh", "ab") as part:
        part.write(bytes(len(server.data)))
    pull(place, index())
    place.kept("fresh")


def test_a_wrong_digest_is_refused(place, index, server):
    wrong = index(sha256="0" * 64)
    for arguments in ([], ["--replace"]):
        ran = pull(place, wrong, *arguments, code=4)
        assert "0" * 64 in ran.err and hashlib.sha256(server.data).hexdigest() in ran.err and ran.out == ""
        assert place.parts() == []
        place.check()
    server.data = b"<html>please log in</html>"
    ran = pull(place, index(sha256=hashlib.sha256(b"x").hexdigest(), size=None), code=4)
    place.check()


def test_another_size_is_refused_before_it_is_fetched(place, index, server):
    for size in (len(server.data) - 1, len(server.data) + 1):
        ran = pull(place, index(size=size), code=3)
        assert str(size) in ran.err and str(len(server.data)) in ran.err
        place.kept()
    server.length = False
    assert pull(place, index(size=len(server.data) - 1), code=1).err
    place.kept()


def test_without_a_published_digest_the_found_one_is_said(place, index, server):
    ran = pull(place, index(sha256=None))
    assert "no published digest" in ran.err and hashlib.sha256(server.data).hexdigest() in ran.err
    ran = pull(place, index(sha256=None), code=2)
    assert "--replace" in ran.err
    assert pull(place, index(sha256=None), "--replace").records[0]["outcome"] == "replaced"
    place.kept("fresh")


def test_files_of_a_known_pack_are_checked_where_the_archive_cannot_be(place, server, make_pack):
    """buffalo_s has no published digest of the archive, but its networks have."""
    need("curl")
    data = networks(make_pack("stock"))
    server.data = zipped([("det_500m.onnx", data[0][1]), ("w600k_mbf.onnx", data[1][1])])
    ran = place.run("models", "pull", "buffalo_s", "--mirror", server.base + "/m/", "--accept-license", code=4)
    assert "det_500m.onnx" in ran.err and "5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a" in ran.err
    assert server.seen[0]["path"] == "/m/buffalo_s.zip" and "deleted" in ran.err and place.parts() == []
    place.kept()


def test_networks_under_other_names_are_refused(place, server, make_pack):
    """An archive without a digest: each network that has one must be there."""
    need("curl")
    stock = networks(make_pack("stock"))
    server.data = zipped([("detector.onnx", stock[0][1]), ("embedder.onnx", stock[1][1])])
    for name, file in (("buffalo_s", "det_500m.onnx"), ("raccoon_s", "w600k_mbf.onnx")):
        ran = place.run("models", "pull", name, "--mirror", server.base, "--accept-license", code=4)
        assert file in ran.err and "nothing was installed" in ran.err and ran.out == "" and place.parts() == [], ran.err
        place.kept()


def test_real_networks_through_the_known_table(place, server, shared, make_pack):
    """A network with its published digest, which only the reference data has, among others. What is there of buffalo_s's recogniser was
    made anew from copies, so that a whole buffalo_s cannot be put together; unit_packs has that with a table of its own."""
    need("curl")
    names = ("det_500m.onnx", "w600k_mbf.onnx")
    real = {name: open(os.path.join(shared, "models", name), "rb").read() for name in names}
    stock = networks(make_pack("stock"))
    renamed = {"detector.onnx": stock[0][1], "embedder.onnx": stock[1][1]}

    def pull(name, files, code):
        server.data = zipped(files.items())
        return place.run("models", "pull", name, "--mirror", server.base, "--accept-license", code=code)

    def refused(name, files, words):
        ran = pull(name, files, 4)
        assert words in ran.err and "nothing was installed" in ran.err and ran.out == "" and place.parts() == [], ran.err
        place.kept()

    refused("buffalo_s", {names[0]: real[names[0]]}, "w600k_mbf.onnx")
    refused("buffalo_s", {names[1]: real[names[1]], "detector.onnx": stock[0][1]}, "det_500m.onnx")
    refused("buffalo_s", real, "w600k_mbf.onnx")
    ran = pull("raccoon_s", renamed, 4)
    assert "no published digest of the whole, only of w600k_mbf.onnx: the rest cannot be compared" in ran.err
    place.kept()


def test_what_is_no_archive_does_not_stay(place, index, server):
    for data in (b"<html>please log in</html>", b"PK\3\4" + bytes(200), b""):
        server.data = data
        ran = pull(place, index(sha256=None, size=None), code=None)
        assert ran.code in (3, 4) and "what was fetched was deleted" in ran.err and place.parts() == [], ran.err
        place.kept()


@pytest.mark.parametrize("digest", ["published", None])
def test_quiet_shows_what_is_accepted(place, index, server, digest):
    ran = pull(place, index(**({} if digest else {"sha256": None})), "--quiet")
    assert LICENCE in ran.err and "https://example.org/licence" in ran.err and server.base not in ran.err
    assert ("no published digest" in ran.err) == (digest is None) and len(ran.err.splitlines()) == (1 if digest else 2)
    if digest:
        assert pull(place, index(), "--quiet").err == "", "nothing is accepted where this very pack is installed"


@pytest.mark.parametrize("mirror", ["/m?token=1", "/m/#x", "?", "#"])
def test_a_mirror_is_a_folder(place, server, mirror):
    need("curl")
    ran = place.run("models", "pull", "buffalo_l", "--mirror", server.base + mirror, "--accept-license", code=2)
    assert "--mirror" in ran.err and "'?' or '#'" in ran.err and server.seen == []
    place.kept()


def test_a_server_that_knows_no_such_range(place, index, server):
    """However often and in whatever order a server says so, the failure has words."""
    for answers in ([416, 416], [503, 503, 503, 416]):
        server.faults = [("cut", 40000), ("status", 404)]
        pull(place, index(), code=3)
        server.faults = [("status", answer) for answer in answers]
        ran = pull(place, index(), code=3)
        assert server.base in ran.err and str(answers[-1]) in ran.err and "--mirror" in ran.err, ran.err
        assert server.faults == []
        (place.packs / ".part-fresh").unlink()
    server.faults = [("cut", 40000), ("status", 404)]
    pull(place, index(), code=3)
    server.faults = [("status", 416)]
    assert "416" in pull(place, index()).err
    place.kept("fresh")


@pytest.mark.parametrize("name", [".part-fresh", ".part-fresh.json"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_a_part_that_is_no_file(place, index, server, name, kind):
    {"pipe": os.mkfifo, "folder": os.mkdir, "link": lambda path: os.symlink(place.tmp / "a.png", path)}[kind](place.packs / name)
    before = (place.tmp / "a.png").read_bytes()
    ran = pull(place, index(), code=5)
    assert name in ran.err and ("regular" in ran.err or "directory" in ran.err) and server.seen == []
    assert (place.tmp / "a.png").read_bytes() == before
    place.kept()


def test_a_packs_folder_that_is_a_link(place, index, server, make_pack):
    """On another disk, say. Adding, replacing, fetching and removing work as ever."""
    elsewhere = place.tmp / "elsewhere"
    place.packs.rename(elsewhere)
    place.packs.symlink_to(elsewhere)
    assert place.run("models", "add", make_pack("stock"), "--name", "new", "--licence", LICENCE).records[0]["outcome"] == "installed"
    ran = place.run("models", "add", make_pack("normalised"), "--name", "new", "--licence", LICENCE, "--replace")
    assert ran.records[0]["outcome"] == "replaced"
    assert pull(place, index()).records[0]["outcome"] == "installed"
    assert pull(place, index(), "--replace").records[0]["outcome"] == "replaced"
    place.run("models", "remove", "new")
    assert place.packs.is_symlink() and place.parts() == []
    place.check("fresh")


def test_a_mirror_that_lies_is_found_out(place, server):
    need("curl")
    ran = place.run("models", "pull", "buffalo_l", "--mirror", server.base, "--accept-license", code=4)
    assert "80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f" in ran.err
    place.kept()


def test_a_replacement_that_fails_keeps_the_old_pack(place, index, server, make_pack):
    server.data = zipped(networks(make_pack("normalised")), zipfile.ZIP_DEFLATED)
    largest = max(len(data) for _, data in networks(make_pack("normalised")))
    assert len(server.data) < largest - 1000, "else unpacking meets no limit that fetching does not meet"

    def limit(size):
        return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    def replace(code, before=None, **row):
        ran = place.run("models", "pull", "old", "--index", index("old", **row), "--accept-license", "--replace", code=code, before=before)
        if code:
            assert ran.out == ""
            place.check()
        return ran

    assert "0" * 64 in replace(4, sha256="0" * 64).err
    server.faults = [("cut", len(server.data) // 2), ("status", 404)]
    assert "404" in replace(3).err and place.parts() == [".part-old", ".part-old.json"]
    assert "too large" in replace(5, limit(len(server.data) * 3 // 4)).err.lower()
    assert "too large" in replace(5, limit(largest - 500)).err.lower()
    ran = replace(0)
    assert ran.records[0]["outcome"] == "replaced" and place.names() == ["old"] and place.parts() == []
    assert {name: data for name, data in networks(place.packs / "old")} == dict(networks(make_pack("normalised")))


def test_redirects(place, index, server):
    server.faults = [("redirect", "/elsewhere/x.zip")]
    pull(place, index())
    assert [record["path"] for record in server.seen] == ["/packs/fresh.zip", "/elsewhere/x.zip"]
    for target in ("file:///etc/passwd", "ftp://127.0.0.1/x"):
        server.faults = [("redirect", target)]
        assert "protocol" in pull(place, index(), "--replace", code=3).err.lower(), target
    server.faults = [("redirect", "/again.zip")] * 20
    assert pull(place, index(), "--replace", code=3).err
    place.kept("fresh")


def test_urls_that_are_none(place, index):
    for url in ("file:///etc/passwd", "ftp://127.0.0.1/x.zip", "packs/fresh.zip", "http://"):
        assert pull(place, index(url=url), code=None).code in (2, 3)
    port = 1  # nobody listens there
    ran = pull(place, index(url="http://127.0.0.1:%d/x.zip" % port), code=3)
    assert "127.0.0.1:1" in ran.err and "--mirror" in ran.err
    place.kept()


def test_a_proxy_of_the_environment_is_used(place, index, server):
    pull(place, index(url="http://pack.invalid/fresh.zip"), http_proxy=server.base, no_proxy="", NO_PROXY="")
    assert server.seen[0]["path"] == "http://pack.invalid/fresh.zip"
    place.kept("fresh")


def test_two_at_once(place, index, server):
    server.delay = 1.5
    command = [PROGRAM, "models", "pull", "fresh", "--accept-license", "--index", str(index())]
    both = [subprocess.Popen(command, env=place.run.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    ended = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert sorted(json.loads(out)["outcome"] for out, _ in ended) == ["already installed", "installed"]
    second = [err.decode() for out, err in ended if b"already" in out][0]
    assert "waiting" in second and "digest equal" in second and len(server.seen) == 1
    place.check("fresh")


def test_unknown_packs_and_wrong_indexes(place, index, tmp_path):
    ran = place.run("models", "pull", "nothing", "--accept-license", code=3)
    assert "buffalo_l" in ran.err and "models add" in ran.err
    place.run("models", "pull", "../x", "--accept-license", code=3)
    ran = place.run("models", "pull", "yunet", "--accept-license", code=3)
    assert "YuNet" in ran.err
    for text, words in (("{", "index.json"), ("{}", "packs"), ('{"packs": [{}]}', "name"), ('{"packs": [{"name": "../x", "url": "u", "licence": "l"}]}', "../x"),
                        ('{"packs": [{"name": "x", "url": "u"}]}', "licence"), ('{"packs": [{"name": "x", "url": "u", "licence": "l", "sha256": "12"}]}', "sha256"),
                        ('{"packs": [{"name": "x", "url": "u", "licence": "l", "size": -1}]}', "size")):
        (tmp_path / "index.json").write_text(text)
        ran = place.run("models", "pull", "x", "--index", tmp_path / "index.json", code=2)
        assert words in ran.err, ran.err
    place.run("models", "list", "--index", "/nowhere", code=3)
    place.kept()


# ---------------------------------------------------------------- full disks

def test_a_file_size_limit_leaves_nothing_half_installed(place, index, server, stock_zip, make_pack):
    ran = pull(place, index(), code=5, before=small_files)
    assert "too large" in ran.err.lower()
    place.check()
    for source in (place.archive(stock_zip), make_pack("stock")):
        ran = place.run("models", "add", source, "--name", "old", "--replace", code=5, before=small_files)
        assert "too large" in ran.err.lower() and ran.out == ""
        place.check()
    pull(place, index())
    assert server.seen[-1]["range"] == "bytes=60000-"
    place.check("fresh")


@pytest.mark.parametrize("length", [True, False])
def test_a_full_disk_while_fetching(place, index, server, length):
    server.length = length
    code, said = full_disk(place, 80, ["models", "pull", "fresh", "--accept-license", "--index", index(size=None)])
    assert code == 5 and "free" in said and re.search(r"\d+ (bytes )?(are )?(free|bytes free)", said), said
    assert "\nfresh" not in said and ".new" not in said.split("help:")[1], said


@pytest.mark.parametrize("part", ["fetching", "unpacking", "describing"])
def test_a_full_disk_keeps_the_pack_that_was_to_be_replaced(place, index, server, make_pack, part):
    old, new = place.packs / "old", [len(data) for _, data in networks(make_pack("normalised"))]
    server.data = zipped(networks(make_pack("normalised")))
    room = on_disk(file.stat().st_size for file in old.iterdir()) + 4  # and the sidecar of the download
    room += {"fetching": on_disk([len(server.data) // 2]), "unpacking": on_disk([len(server.data)]) + 8,
             "describing": on_disk([len(server.data)] + new) + 4}[part]
    code, said = full_disk(place, room, ["models", "pull", "old", "--index", index("old"), "--accept-license", "--replace"], old)
    assert code == 5 and "old is as it was" in said and ".new-" not in said.split("help:")[1], said
    faces = [json.loads(line)["faces"] for line in said.splitlines() if line.startswith("{") and "faces" in line]
    assert [len(found) for found in faces] == [2], said


# ---------------------------------------------------------------- nothing is fetched without being asked for

@pytest.fixture
def proxy():
    """A socket that counts who comes, and sends everybody away."""
    listener, came = socket.create_server(("127.0.0.1", 0)), []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                caller = listener.accept()[0]
                came.append(caller)
                with caller, contextlib.suppress(OSError):
                    caller.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    threading.Thread(target=serve, daemon=True).start()
    yield "http://127.0.0.1:%d" % listener.getsockname()[1], came
    listener.close()


def test_nothing_is_fetched_without_being_asked_for(place, proxy, make_pack):
    need("curl")
    url, came = proxy
    environment = {name: url for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")}
    environment.update(no_proxy="", NO_PROXY="")
    picture = place.tmp / "a.png"
    commands = [(0, "models", "list"), (0, "models", "list", "--format", "table"), (0, "models", "show", "old"), (3, "models", "show", "buffalo_l"),
                (0, "models", "verify", "old"), (3, "models", "verify", "buffalo_l"), (None, "doctor"), (0, "providers"),
                (0, "analyze", "--pack", "old", picture), (3, "analyze", "--pack", "buffalo_l", picture), (3, "detect", "--pack", "sface", picture),
                (0, "models", "add", make_pack("stock"), "--name", "new"), (0, "models", "remove", "new"), (2, "models", "pull", "buffalo_l")]
    for code, *command in commands:
        place.run(*command, code=code, **environment)
        assert came == [], command
    place.run("models", "pull", "buffalo_l", "--accept-license", code=3, **environment)
    assert came, "where something is fetched, this test sees it"
    place.check()
