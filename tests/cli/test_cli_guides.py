"""The guides: each command block in README.md and docs/ is run, or says in its first line why not; each place that the program
names is there; each option in them is one of the program's.

A block ```sh is run as one script, block after block of a document in one folder. Its words after `sh`:

    (none)           it must succeed
    exits: N         its last command ends with N
    not-run: WHY     it is not run, for this reason

The folder holds what the documents speak of (`make_folder`): a pack of small networks named buffalo_l, drawn pictures
under the names photo.jpg, a.jpg, photos/, ... (PNG files in truth: names do not matter), lists. ```python blocks run
there too; `python peer` needs insightface, in the environment that FM_PEER_PYTHON names."""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import threading

import pytest

from conftest import PROGRAM, ROOT, Facemill

DOCUMENTS = [os.path.join(ROOT, "README.md")] + sorted(glob.glob(os.path.join(ROOT, "docs", "*.md")))
GUIDES = ["install.md", "providers.md", "troubleshooting.md", "migrate-from-insightface.md", "accuracy.md",
          "output.md", "manifest.md", "packs.md", "serve.md", "deploy.md", "api.md", "client.md"]
KNOWN_LANGUAGES = {"sh", "python", "text", "c", "cmake", "json", "jsonl", "csv", "ini"}
FENCE = re.compile(r"^( *)```(.*)$")


def name(path):
    return os.path.relpath(path, ROOT)


def read(*parts):
    with open(os.path.join(ROOT, *parts), encoding="utf-8") as file:
        return file.read()


def blocks(path):
    """[(line, language, words behind it, text)]"""
    found, start = [], None
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        fence = FENCE.match(line.rstrip("\n"))
        if fence and start is None:
            language, _, words = fence.group(2).strip().partition(" ")
            start, text = number, []
        elif fence:
            found.append((start, language, words.strip(), "".join(text)))
            start = None
        elif start is not None:
            text.append(line)
    assert start is None, "%s:%s: a block that does not end" % (name(path), start)
    return found


def prose(path):
    """The text outside of blocks."""
    return re.sub(r"^ *```.*?^ *```", "", open(path, encoding="utf-8").read(), flags=re.S | re.M)


def anchors(path):
    """As GitHub makes them of headings."""
    found = set()
    for heading in re.findall(r"^#+ +(.+)$", prose(path), flags=re.M):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


def statuses():
    header = read("include", "facemill", "facemill.h")
    body = re.search(r"typedef enum fm_status \{(.*?)\} fm_status;", header, flags=re.S).group(1)
    names = [word.lower() for word in re.findall(r"^\s*FM_(\w+) =", body, flags=re.M)]
    assert names[0] == "ok" and len(names) >= 17
    return names[1:]


def finding_ids():
    """What doctor's source can say, providers apart: those are named at run time."""
    ids = set()
    for path in glob.glob(os.path.join(ROOT, "apps", "facemill", "doctor*.c")):
        for call in re.findall(r"fm_doctor_add\(([^;]*);", open(path, encoding="utf-8").read()):
            word = re.match(r'[^,]+,[^,]+,\s*"([a-z_]+)"', call)
            ids.update(word.groups() if word else [])
    assert {"cores", "gpu_library", "pack", "decoder", "networks", "verdict"} <= ids
    return ids


# ---------------------------------------------------------------- running the blocks

def make_folder(folder, pack, pictures):
    for where in ("buffalo_l", "my_pack", "home/.insightface/models/buffalo_l"):
        shutil.copytree(pack, folder / where)
    names = {"photo.jpg": 1, "picture.jpg": 1, "portrait.jpg": 2, "a.jpg": 1, "b.jpg": 2, "passport.jpg": 1, "selfie.jpg": 1,
             "photos/one.jpg": 1, "photos/two.jpg": 2, "photos/three.jpg": 3, "photos/more/none.jpg": 0}
    (folder / "photos" / "more").mkdir(parents=True)
    for file, faces in names.items():
        (folder / file).write_bytes(pictures[faces])
    (folder / "list.txt").write_text("photo.jpg\na.jpg\n")
    (folder / "notes.txt").write_text("no picture")
    (folder / "bin").mkdir()
    (folder / "bin" / "facemill").symlink_to(PROGRAM)


@pytest.fixture
def place(tmp_path, runtime, make_pack, png_support, pictures):
    decoders = Facemill(tmp_path)("version", "--format", "jsonl").records[0]["decoders"].split(",")
    if "jpeg" not in decoders:
        pytest.skip("this build writes no JPEG, which --draw needs (FM_WITH_JPEG)")
    make_folder(tmp_path, make_pack("stock"), pictures)
    facemill = Facemill(tmp_path / "home", FM_ORT_LIBRARY=runtime)
    return tmp_path, dict(facemill.environment, PATH="%s:%s" % (tmp_path / "bin", os.environ["PATH"]))


@pytest.fixture
def served(place):
    """A worker beside it, on a socket that the folder's curl speaks to whatever address it is given."""
    folder, environment = place
    if not shutil.which("curl"):
        pytest.skip("no curl, which the guide's blocks use (Debian: curl)")
    (folder / "home" / ".curlrc").write_text('unix-socket = "worker.sock"\nmax-time = 60\nno-progress-meter\n')
    with open(folder / "worker.log", "wb") as log:
        worker = subprocess.Popen([PROGRAM, "serve", "--pack", "buffalo_l", "--listen", "unix:worker.sock", "--format", "jsonl"],
                                  cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
    watch = threading.Timer(60, worker.kill)
    watch.start()
    started = worker.stdout.readline()
    watch.cancel()
    assert started, (folder / "worker.log").read_text()
    yield place
    worker.terminate()
    worker.wait(60)
    worker.stdout.close()


def run_block(command, text, place):
    folder, environment = place
    done = subprocess.run(command + [text], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=120)
    return done.returncode, done.stdout.decode(errors="replace")


def needs_worker(path):
    """Does a block speak to one that no block starts?"""
    ran = [text for _, language, words, text in blocks(path) if language == "sh" and not words.startswith("not-run:")]
    return any("curl " in text for text in ran) and not any("facemill serve" in text for text in ran)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_command_block_runs_or_says_why_not(path, request):
    ran, marked, bad = 0, 0, []
    place = None
    for line, language, words, text in blocks(path):
        at = "%s:%d" % (name(path), line)
        if language not in KNOWN_LANGUAGES:
            shown = re.search(r"^(\$ )?(facemill|sh|pip|cmake|apt-get|make) ", text, flags=re.M)
            assert not shown, at + ": commands, but not ```sh"
        if language not in ("sh", "python") or words == "peer":
            continue
        if words.startswith("not-run:"):
            assert len(words) > len("not-run: ") + 5, at + ": not-run without a reason"
            marked += 1
            continue
        expected = re.fullmatch(r"(?:exits: (\d+))?", words)
        assert expected, "%s: '%s' is neither nothing, nor 'exits: N', nor 'not-run: WHY'" % (at, words)
        place = place or request.getfixturevalue("served" if needs_worker(path) else "place")
        code, said = run_block(["sh", "-euc"] if language == "sh" else [sys.executable, "-c"], text, place)
        ran += 1
        if code != int(expected.group(1) or 0):
            bad.append("%s ended with %d:\n%s%s" % (at, code, text, said[-1500:]))
    print("%s: %d blocks run, %d marked" % (name(path), ran, marked))
    assert not bad, "\n".join(bad)


def test_most_of_the_guides_is_run():
    """The mark is for what cannot run, not for what is not liked."""
    commands = [words for path in DOCUMENTS for _, language, words, _ in blocks(path) if language == "sh"]
    ran = [words for words in commands if not words.startswith("not-run:")]
    assert len(ran) >= 30 and len(ran) >= len(commands) // 2, "%d of %d blocks are run" % (len(ran), len(commands))


@pytest.fixture
def peer():
    python = os.environ.get("FM_PEER_PYTHON")
    if not python or subprocess.run([python, "-c", "import insightface, cv2"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no insightface: name a Python that has it with FM_PEER_PYTHON (bench/README.md)")
    return python


def test_worked_example_beside_insightface(tmp_path, runtime, peer, shared):
    """The guide's two blocks as they stand, with real models and a photograph."""
    models = tmp_path / "home" / ".insightface" / "models" / "buffalo_l"
    models.mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "facemill").symlink_to(PROGRAM)
    for file in ("det_500m.onnx", "w600k_mbf.onnx"):
        shutil.copy(os.path.join(shared, "models", file), models)
    shutil.copy(os.path.join(shared, "images", "photos", "t1.jpg"), tmp_path / "photo.jpg")
    facemill = Facemill(tmp_path / "home", FM_ORT_LIBRARY=runtime)
    place = tmp_path, dict(facemill.environment, PATH="%s:%s" % (tmp_path / "bin", os.environ["PATH"]))
    found = blocks(os.path.join(ROOT, "docs", "migrate-from-insightface.md"))
    index = [i for i, block in enumerate(found) if block[1:3] == ("python", "peer")]
    assert len(index) == 1 and "facemill analyze" in found[index[0] - 1][3]
    code, said = run_block(["sh", "-euc"], found[index[0] - 1][3], place)
    assert code == 0, said
    code, said = run_block([peer, "-c"], found[index[0]][3], place)
    counts = re.search(r"(\d+) faces there, (\d+) here", said)
    rows = re.findall(r"box within ([\d.]+) pixels, score ([\d.]+) and ([\d.]+), cosine ([\d.]+)", said)
    assert code == 0 and counts and counts.group(1) == counts.group(2) and len(rows) == int(counts.group(1)) > 1, said
    assert max(float(row[0]) for row in rows) < 0.5 and min(float(row[3]) for row in rows) > 0.9999, said
    assert all(abs(float(row[1]) - float(row[2])) < 0.002 for row in rows), said
    print(said)


# ---------------------------------------------------------------- every place is there

def test_every_error_code_and_every_finding_has_its_section(facemill):
    there = anchors(os.path.join(ROOT, "docs", "troubleshooting.md"))
    providers = {row["provider"].replace(":", "_") for row in facemill("providers", "--format", "jsonl", code=None).records}
    wanted = set(statuses()) | finding_ids() | providers
    assert wanted - there == set(), "no section in docs/troubleshooting.md: %s" % sorted(wanted - there)
    for path in glob.glob(os.path.join(ROOT, "apps", "facemill", "*.c")):
        for file, section in re.findall(r"([\w-]+\.md)#([\w-]+)", open(path, encoding="utf-8").read()):
            assert section in anchors(os.path.join(ROOT, "docs", file)), "%s names %s#%s" % (name(path), file, section)


SITUATIONS = ["The GPU is not used", "CUDA or cuDNN has the wrong version", "Out of memory on the GPU",
              "A model fails to load", "The GPU is not faster", "Connection refused",
              "Pictures come out turned, or boxes are beside the faces",
              "No faces in close-ups, or small faces are missed"]


def test_what_people_come_with_has_a_section():
    """Each with what to do: at least one command or option."""
    with open(os.path.join(ROOT, "docs", "troubleshooting.md"), encoding="utf-8") as file:
        sections = re.split(r"^## ", file.read(), flags=re.MULTILINE)
    found = {section.split("\n", 1)[0]: section for section in sections}
    for title in SITUATIONS:
        assert title in found and re.search(r"facemill |--[a-z]", found[title]), title


@pytest.mark.parametrize("guide", ["install.md", "providers.md"])
def test_every_provider_of_a_runtime_has_its_row(facemill, guide):
    with open(os.path.join(ROOT, "docs", guide), encoding="utf-8") as file:
        rows = [line for line in file.read().splitlines() if line.startswith("|")]
    names = [record["provider"] for record in facemill("providers", code=None).records]
    assert len(names) == 10
    for name in names:
        if name.startswith("ort:"):
            assert any("`%s`" % name in row for row in rows), name


@pytest.mark.parametrize("environment", [{}, {"FM_CPU_MASK": "scalar"}, {"FM_ORT_LIBRARY": "/nowhere/libonnxruntime.so"}])
def test_doctor_names_a_section_for_each_finding(working, environment):
    there = anchors(os.path.join(ROOT, "docs", "troubleshooting.md"))
    records = working("doctor", "--format", "jsonl", code=None, **environment).records
    assert len(records) > 20
    for record in records:
        assert record["help"] == "troubleshooting.md#" + record["id"] and record["id"] in there, record
    table = working("doctor", "--format", "table", code=None, **environment).out
    for line in table.splitlines():
        if line.startswith(("  --", "  skip", "  BAD")):
            words = table[table.index(line):].split("\n", 2)
            assert "troubleshooting.md#" in words[0] + words[1], line


@pytest.mark.parametrize("arguments, section", [
    (["analyse"], "invalid_argument"),
    (["analyze", "--pac", "x", "a.png"], "invalid_argument"),
    (["analyze"], "invalid_argument"),
    (["crop", "a.png"], "invalid_argument"),
    (["analyze", "--pack", "nowhere", "a.png"], "not_found"),
    (["analyze", "--provider", "ort:dml", "a.png"], "no_provider"),
    (["analyze", "--ort-library", "/nowhere/libonnxruntime.so", "a.png"], "no_provider"),
    (["analyze", "--provider", "ort:cpu", "--precision", "fp16", "a.png"], "unsupported"),
    (["version", "--output", "/nowhere/x"], "io"),
    (["analyze", "--output", "/dev/full", "a.png"], "io"),
    (["analyze", "--pack", "text", "a.png"], None)])
def test_errors_end_with_their_section(working, folder, monkeypatch, arguments, section):
    monkeypatch.chdir(folder)
    (folder / "text").mkdir()
    (folder / "text" / "model.onnx").write_text("<html>not found</html>")
    ran = working(*arguments, code=None)
    assert ran.code not in (0, 1)
    last = ran.err.splitlines()[-1]
    place = re.fullmatch(r"facemill: help: troubleshooting\.md#(\w+)", last)
    assert place and place.group(1) in anchors(os.path.join(ROOT, "docs", "troubleshooting.md")), ran.err
    assert section in (None, place.group(1))
    if len(arguments) > 1:
        quiet = working(arguments[0], "--quiet", *arguments[1:], code=ran.code).err
        assert "help:" not in quiet and quiet.strip(), quiet


def test_records_of_errors_name_their_section_and_runs_end_with_the_summary(working, folder, tmp_path):
    (folder / "bad.png").write_bytes(b"no picture")
    ran = working("detect", folder, folder / "missing.png", code=1)
    errors = {os.path.basename(r["path"]): r["error"] for r in ran.records if "error" in r}
    assert {error["code"] for error in errors.values()} == {"bad_image", "not_found"}
    assert all(error["help"] == "troubleshooting.md#" + error["code"] for error in errors.values())
    assert "5 images" in ran.summary_line and "help:" not in ran.err
    rows = working("bench", folder / "a.png", "--providers", "ort:cpu,ort:dml", "--iterations", 1, "--warmup", 0, code=1).records
    assert rows[1]["error"]["help"] == "troubleshooting.md#" + rows[1]["error"]["code"]
    pairs = working("validate", "ort:cpu", "ort:cpu", "--images", folder, code=None).records
    broken = [record["error"] for record in pairs if "error" in record]
    assert broken and all(error["help"] == "troubleshooting.md#" + error["code"] for error in broken)


def test_links_between_documents(tmp_path):
    for path in DOCUMENTS + [os.path.join(ROOT, "bench", "README.md")]:
        for target, section in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", prose(path)):
            file = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
            assert os.path.isfile(file), "%s links to %s" % (name(path), target)
            assert section in anchors(file), "%s links to %s#%s, which is not there" % (name(path), name(file), section)


# ---------------------------------------------------------------- what they say is so

def test_every_option_in_the_guides_is_one(facemill):
    helps, everything = {}, ""
    commands = re.findall(r"^  ([a-z]+) ", facemill("--help").out.split("Commands:")[1].split("\n\n")[0], flags=re.M)
    for command in commands:
        helps[command] = set(re.findall(r"--[a-z][a-z-]*", facemill(command, "--help").out))
        everything += " ".join(helps[command]) + " "
    known = set(everything.split()) | {"--help", "--version"}
    for path in [os.path.join(ROOT, "docs", guide) for guide in GUIDES] + DOCUMENTS[:1]:
        scripts = "\n".join(text for _, language, _, text in blocks(path) if language == "sh").replace("\\\n", " ")
        spans = re.findall(r"`([^`\n]+)`", prose(path))
        lines = [span for span in spans if span.startswith("facemill ")]
        for line in lines + re.findall(r"^(facemill [^#|>\n]*)", scripts, flags=re.M):
            words = line.split()
            if words[1] in helps:
                for option in re.findall(r"(?<=\s)--[a-z][a-z-]*", line):
                    assert option in helps[words[1]] | known & {"--help"}, "%s: '%s' has no %s" % (name(path), words[1], option)
            else:
                assert words[1] in ("COMMAND", "--help", "--version"), "%s: no command '%s'" % (name(path), words[1])
        for span in spans:
            option = re.match(r"--[a-z][a-z-]*", span) if path != DOCUMENTS[0] else None  # README also speaks of bench/
            assert not option or option.group() in known, "%s: no command has %s" % (name(path), span)


def test_install_names_the_packages_that_setup_installs():
    setup = re.search(r'build_packages="([^"]*)"', read("scripts", "setup.sh")).group(1).split()
    guide = re.search(r"^apt-get install --no-install-recommends ((?:.*\\\n)*.*)$", read("docs", "install.md"), flags=re.M)
    assert sorted(guide.group(1).replace("\\\n", " ").split()) == sorted(setup)


def test_documents_list_the_guides():
    readme = read("README.md")
    for guide in GUIDES:
        assert "docs/" + guide in readme, "README.md does not lead to " + guide
