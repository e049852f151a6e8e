"""What goes wrong: error records, exit codes, full disks, closed pipes, interrupts."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from conftest import numbered_squares, png


def test_one_bad_image_is_a_record_and_never_the_end(working, folder, pictures):
    (folder / "b1.png").write_bytes(b"this is no picture")
    (folder / "b2.png").write_bytes(pictures[2][:len(pictures[2]) // 2])
    (folder / "b3.png").write_bytes(b"")
    ran = working("detect", folder, folder / "missing.png", code=1)
    by_name = {os.path.basename(record["path"]): record for record in ran.records}
    assert list(by_name) == ["a.png", "b.PNG", "b1.png", "b2.png", "b3.png", "c.png", "missing.png"]
    assert list(by_name["b1.png"]) == ["path", "error"] and list(by_name["b1.png"]["error"]) == ["code", "message", "help"]
    codes = {name: record["error"]["code"] for name, record in by_name.items() if "error" in record}
    assert codes["b1.png"] == codes["b3.png"] == "bad_image"
    assert codes["b2.png"] in ("truncated", "bad_image") and codes["missing.png"] == "not_found"
    assert len(by_name["c.png"]["faces"]) == 3 and "4 errors" in ran.summary_line
    table = working("detect", folder, "--format", "table", code=1).out
    assert "error: bad_image" in table


@pytest.fixture
def open_folder():
    """A folder that every user can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)


def test_unreadable_file_and_folder(working, folder, make_pack, open_folder):
    shutil.copytree(folder, open_folder / "photos")
    shutil.copytree(make_pack("stock"), open_folder / "pack")
    working.environment["FM_PACK"] = str(open_folder / "pack")
    (open_folder / "photos" / "b.PNG").chmod(0)
    (open_folder / "photos" / "sub").chmod(0)
    user = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    if user:  # who may read everything
        library = open_folder / os.path.basename(working.environment["FM_ORT_LIBRARY"])
        shutil.copy(working.environment["FM_ORT_LIBRARY"], library)  # the set-up's lies in root's own folder
        working.environment["FM_ORT_LIBRARY"] = str(library)
        if not shutil.which("setpriv") or subprocess.run(user + ["test", "-r", working.program]).returncode:
            pytest.skip("run by root, who may read everything, and no other user can reach %s" % working.program)
    done = subprocess.run(user + [working.program, "detect", "--recursive", str(open_folder / "photos")], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=working.environment, timeout=60)
    (open_folder / "photos" / "sub").chmod(0o755)
    records = {os.path.basename(r["path"]): r for r in map(json.loads, done.stdout.decode().splitlines())}
    assert done.returncode == 1, done.stderr
    assert records["b.PNG"]["error"]["code"] == "io" and records["sub"]["error"]["code"] == "io"
    assert len(records["c.png"]["faces"]) == 3


def test_full_disk(working, folder, tmp_path):
    ran = working("detect", folder, "--output", "/dev/full", code=5)
    assert "/dev/full" in ran.err and "No space left" in ran.err
    with open("/dev/full", "w") as full:
        done = subprocess.run([working.program, "detect", str(folder)], stdout=full, stderr=subprocess.PIPE,
                              env=working.environment, timeout=60)
    assert done.returncode == 5 and b"standard output" in done.stderr
    working("version", "--output", "/dev/full", code=5)
    assert "nowhere" in working("detect", folder, "--output", "/nowhere/x", code=5).err
    assert "folder" in working("detect", folder, "--output", tmp_path, code=5).err
    assert "/nowhere" in working("detect", folder, "--summary", "/nowhere/s.json", code=5).err
    (tmp_path / "file").write_text("")
    working("detect", folder, "--draw", tmp_path / "file" / "x", code=5)


def test_closed_pipe_ends_quietly(working, folder):
    process = subprocess.Popen([working.program, "analyze"] + [str(folder)] * 200, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=working.environment)
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read().decode()
    assert process.wait(timeout=60) == 0 and err == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_finishes_what_is_in_flight(working, folder, tmp_path, number):
    out = tmp_path / "out.jsonl"
    process = subprocess.Popen([working.program, "analyze", "--output", str(out), "--summary", str(tmp_path / "s.json"),
                                "--from-file", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=working.environment)
    process.stdin.write(b"%s\n" % os.fsencode(folder / "c.png") * 20)
    process.stdin.flush()
    part = tmp_path / "out.jsonl.part"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (part.exists() and part.read_bytes().count(b"\n") >= 20):
        time.sleep(0.02)
    process.send_signal(number)
    time.sleep(0.2)
    try:
        process.stdin.write(b"%s\n" % os.fsencode(folder / "c.png") * 1000)
        process.stdin.close()
    except BrokenPipeError:
        pass
    err = process.stderr.read().decode()
    assert process.wait(timeout=60) == 128 + number
    lines = part.read_text().splitlines()
    assert not out.exists() and 20 <= len(lines) < 1020 and all("faces" in json.loads(line) for line in lines)
    assert "interrupted" in err.splitlines()[-1] and str(part) in err
    assert json.loads((tmp_path / "s.json").read_text())["interrupted"] is True


@pytest.mark.parametrize("arguments", [["-"], ["--from-file", "-"], ["--from-file", "/dev/fd/{descriptor}"]])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_waiting_for_input(working, folder, tmp_path, number, arguments):
    """Nothing comes, and nobody closes it."""
    reader, writer = os.pipe()
    arguments = [argument.format(descriptor=reader) for argument in arguments]
    process = subprocess.Popen([working.program, "detect", str(folder / "a.png")] + arguments, stdin=reader, pass_fds=[reader],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=working.environment)
    try:
        assert json.loads(process.stdout.readline())["faces"]
        assert process.poll() is None
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
        assert process.returncode == 128 + number and out == b""
        assert "interrupted: 1 images, 1 faces, 0 errors" in err.decode().splitlines()[-1]
    finally:
        process.kill()
        os.close(reader)
        os.close(writer)


def test_second_interrupt_stops_at_once(working, folder):
    """The first waits for the images in flight, whose records nobody reads."""
    process = subprocess.Popen([working.program, "analyze"] + [str(folder / "c.png")] * 200, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=working.environment)
    process.stdout.readline()
    time.sleep(1)  # the pipe is full by now
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 130


@pytest.mark.parametrize("redirection, words", [("<&-", "Bad file descriptor"), ("</tmp", "Is a directory")])
def test_unreadable_standard_input_is_not_called_empty(working, folder, tmp_path, redirection, words):
    def run(*arguments):
        done = subprocess.run(["sh", "-c", 'exec "$0" "$@" ' + redirection, working.program] + [str(a) for a in arguments],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=working.environment, timeout=60)
        assert done.returncode == 1, done.stderr
        return json.loads(done.stdout.splitlines()[0])

    record = run("detect", "-", "--summary", tmp_path / "s.json")
    assert record["error"] == {"code": "io", "message": "cannot read standard input: " + words, "help": "troubleshooting.md#io"}
    record = run("detect", "--from-file", "-")
    assert record["error"] == {"code": "io", "message": "cannot read list '-': " + words, "help": "troubleshooting.md#io"}


def test_closed_standard_streams_are_not_taken_by_files(working, folder, tmp_path):
    """A job without standard output must not write its records into whatever was opened first."""
    done = subprocess.run(["sh", "-c", 'exec "$0" "$@" >&- 2>&-', working.program, "detect", str(folder), "--summary",
                           str(tmp_path / "s.json")], env=working.environment, timeout=60)
    assert done.returncode == 5 and "path" not in (tmp_path / "s.json").read_text().split("pack_path")[0]


def test_one_picture_that_cannot_be_drawn_is_a_record(working, folder, tmp_path):
    """JPEG ends at 65500 pixels. The others are drawn, and a folder that cannot be written still ends the job."""
    if "jpeg" not in working("version").records[0]["decoders"].split(","):
        pytest.skip("this build writes no JPEG (FM_WITH_JPEG)")
    (folder / "b0.png").write_bytes(png(side=8, width=70000))
    ran = working("detect", folder, "--draw", tmp_path / "drawn", "--max-width", 100000, code=1)
    assert ["error" in record for record in ran.records] == [False, False, True, False] and "70000" in ran.out
    assert "4 images, 6 faces, 1 errors" in ran.summary_line
    assert sorted(os.listdir(tmp_path / "drawn")) == ["a.faces.jpg", "b.faces.jpg", "c.faces.jpg"]
    (tmp_path / "full" / "a.faces.jpg").mkdir(parents=True)
    working("detect", folder, "--draw", tmp_path / "full", code=5)


def test_no_runtime_is_3_with_the_remedy(facemill, folder, make_pack):
    for command in (["analyze", folder], ["compare", folder / "a.png", folder / "b.PNG"], ["bench", "--iterations", "1"],
                    ["models", "verify"], ["validate", "ort:cpu", "ort:cpu", "--images", folder],
                    ["crop", folder, "--dir", folder / "crops"]):
        ran = facemill(*command, "--pack", make_pack("stock"), "--ort-library", "/nowhere/libonnxruntime.so", code=3)
        assert "onnxruntime" in ran.err.lower() and "/nowhere/libonnxruntime.so" in ran.err, ran.err


def test_no_pack_is_3(working, folder, tmp_path):
    ran = working("analyze", folder, "--pack", "no_such_pack", code=3)
    assert "no_such_pack" in ran.err
    (tmp_path / "empty").mkdir()
    assert "empty" in working("analyze", folder, "--pack", tmp_path / "empty", code=3).err
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.onnx").write_bytes(b"\x08\x07garbage")
    working("analyze", folder, "--pack", tmp_path / "bad", code=3)
    assert "FM_PACK" in working("analyze", folder, FM_PACK="/nowhere", code=3).err


def test_deadline_is_an_error_record(working, folder):
    (folder / "big.png").write_bytes(png(numbered_squares(1), side=4800))
    records = working("detect", *[folder / "big.png"] * 4, "--deadline", 1, code=1).records
    assert {record["error"]["code"] for record in records if "error" in record} == {"deadline"}
