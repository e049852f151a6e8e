"""Output that other programs read: CSV beside jsonl, field by field; every record of every command against docs/output.schema.json;
every field in docs/output.md. Networks are small ones with known answers (make_test_pack)."""

import base64
import csv
import io
import itertools
import json
import os
import re
import shutil
import struct
import subprocess

import pytest

from conftest import ROOT, numbered_squares, png

COLUMNS = """path width height face faces x1 y1 x2 y2 score lm1x lm1y lm2x lm2y lm3x lm3y lm4x lm4y lm5x lm5y embedding_norm embedding
crop error_code error_message""".split()
GUIDE = os.path.join(ROOT, "docs", "output.md")


# ---------------------------------------------------------------- CSV

def table_of(text):
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0] == COLUMNS and {len(row) for row in rows} == {len(COLUMNS)}
    return [dict(zip(COLUMNS, row)) for row in rows[1:]]


def expected_rows(record):
    """What csv has for a record of jsonl; numbers as Python reads them, None: an empty column."""
    row = dict.fromkeys(COLUMNS, "")
    row["path"] = record["path"]
    if "error" in record:
        return [dict(row, error_code=record["error"]["code"], error_message=record["error"]["message"])]
    row.update(width=record["width"], height=record["height"], faces=len(record["faces"]))
    rows = []
    for number, face in enumerate(record["faces"], 1):
        numbers = face["box"] + [face["score"]] + [v for point in face["landmarks"] for v in point]
        rows.append(dict(row, face=number, crop=face.get("crop", ""), embedding_norm=face.get("embedding_norm", ""),
                         embedding=face.get("embedding") or "", **dict(zip(COLUMNS[5:20], numbers))))
    return rows or [row]


def bits(number):
    return struct.pack("<f", float(number))


def assert_same(rows, records):
    wanted = [row for record in records for row in expected_rows(record)]
    assert len(rows) == len(wanted)
    for got, want in zip(rows, wanted):
        for column in COLUMNS:
            if isinstance(want[column], list):
                assert [bits(v) for v in got[column].split(" ")] == [bits(v) for v in want[column]], column
            elif isinstance(want[column], (int, float)):
                assert float(got[column]) == want[column] and bits(got[column]) == bits(want[column]), column
            else:
                assert got[column] == want[column], column


@pytest.mark.parametrize("command, arguments", [
    ("analyze", []), ("analyze", ["--embedding", "base64"]), ("analyze", ["--embedding", "none"]), ("detect", [])])
def test_csv_is_jsonl_field_by_field(working, folder, command, arguments):
    (folder / "bad.png").write_bytes(b"no picture")
    arguments = [command, "--recursive", folder, folder / "missing.png"] + arguments
    lines = working(*arguments, "--format", "csv", code=1).out
    rows = table_of(lines)
    assert_same(rows, working(*arguments, "--format", "jsonl", code=1).records)
    assert [row["face"] for row in rows] == ["1", "1", "2", "", "1", "2", "3", "", ""]  # a, b, bad, c, sub/d, missing
    assert lines.endswith("\r\n") and lines.count("\n") == lines.count("\r\n")


def test_csv_of_crops(working, folder, tmp_path):
    arguments = ["crop", folder, "--dir", tmp_path / "crops"]
    rows = table_of(working(*arguments, "--format", "csv").out)
    assert_same(rows, working(*arguments, "--format", "jsonl").records)
    assert len(rows) == 6 and all(os.path.isfile(row["crop"]) for row in rows)


def test_csv_of_a_face_without_embedding(working, folder, no_landmarks):
    for form in ("array", "base64"):
        arguments = ["analyze", folder, "--pack", no_landmarks, "--embedding", form]
        rows = table_of(working(*arguments, "--format", "csv").out)
        assert_same(rows, working(*arguments, "--format", "jsonl").records)
        assert {(row["embedding"], row["embedding_norm"]) for row in rows} == {("", "")} and len(rows) == 6


def test_csv_embedding_forms_are_the_same_numbers(working, folder):
    plain, = table_of(working("analyze", folder / "a.png", "--format", "csv").out)
    packed, = table_of(working("analyze", folder / "a.png", "--format", "csv", "--embedding", "base64").out)
    assert b"".join(bits(v) for v in plain["embedding"].split()) == base64.b64decode(packed["embedding"], validate=True)
    assert len(plain["embedding"].split()) == 512


STRANGE = ["a,b.png", 'say "x".png', '"', "two\nlines.png", "cr\rlf\r\n.png", "=1+2.png", "+1", "-1", "@sum(a1)", "'q", " blank ", "é,ü.png", "\t"]


def test_csv_of_strange_paths(working, tmp_path, pictures):
    """Exactly the name, whatever a spreadsheet would like to see in it; nothing is put before it."""
    top = tmp_path / "in"
    top.mkdir()
    for name in STRANGE:
        (top / name).write_bytes(pictures[1])
    names = [str(top / name) for name in STRANGE] + [str(top / ("missing" + name)) for name in STRANGE]
    for before, cwd in ((str(top) + "/", None), ("./", top)):
        arguments = [name.replace(str(top) + "/", before) for name in names]
        done = subprocess.run([working.program, "detect", "--format", "csv", "--"] + arguments, env=working.environment, cwd=cwd,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60)
        rows = table_of(done.stdout.decode())
        assert done.returncode == 1 and [row["path"] for row in rows] == arguments
        assert [row["error_code"] for row in rows] == [""] * len(STRANGE) + ["not_found"] * len(STRANGE)
    done = subprocess.run([working.program, "detect", "--format", "csv", "--", "=1+2.png", "-1"], env=working.environment, cwd=top,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60)
    assert [row["path"] for row in table_of(done.stdout.decode())] == ["=1+2.png", "-1"]


def test_csv_of_bytes_that_are_not_utf8(working, tmp_path, pictures):
    """The file stays readable as UTF-8, and says of the name what jsonl says."""
    names = [b"a\xff\xfe.png", b"\xe9,\"\xc3.png", b"cut\xe2\x82", b"\xf0\x9f\x98", b"quote\xc3\".png", b"\xed\xa0\x80.png"]
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(pictures[1])
    arguments = [os.path.join(os.fsencode(tmp_path), name) for name in names]

    def out(form):
        return subprocess.run([working.program.encode(), b"detect", b"--format", form] + arguments, env=working.environment, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout.decode("utf-8")
    rows, records = table_of(out(b"csv")), [json.loads(line) for line in out(b"jsonl").splitlines()]
    assert len(rows) == len(names) and all("\N{REPLACEMENT CHARACTER}" in row["path"] for row in rows)
    assert_same(rows, records)


def test_csv_into_a_file_beside_drawings(working, folder, tmp_path):
    plain = working("detect", folder, "--format", "csv").out
    ran = working("detect", folder, "--format", "csv", "--output", tmp_path / "f.csv", "--draw", tmp_path / "drawn", "--summary", tmp_path / "s")
    assert ran.out == "" and (tmp_path / "f.csv").read_bytes().decode() == plain and len(os.listdir(tmp_path / "drawn")) == 3
    assert json.loads((tmp_path / "s").read_text())["faces"] == 6 and not (tmp_path / "f.csv.part").exists()


def test_csv_to_a_reader_that_goes_away(working, folder):
    script = '"$0" detect --format csv "$@" | head -n 1; test "${PIPESTATUS[0]}" -eq 0'
    done = subprocess.run(["bash", "-c", script, working.program] + [str(folder)] * 400, env=working.environment, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stdout.decode().rstrip("\r\n")) == (0, ",".join(COLUMNS)), done.stderr


def test_csv_has_points_in_a_locale_with_commas(working, folder):
    names = subprocess.run(["locale", "-a"], stdout=subprocess.PIPE).stdout.decode().split()
    german = [name for name in names if name.startswith("de_DE")] or (["de_DE.UTF-8"] if os.environ.get("LOCPATH") else [])
    if not german:
        pytest.skip("no locale with a decimal comma here (localedef -i de_DE -f UTF-8)")
    plain = working("analyze", folder, "--format", "csv").out
    assert working("analyze", folder, "--format", "csv", LC_ALL=german[0], LANG=german[0]).out == plain


@pytest.mark.parametrize("command", ["compare", "models", "providers", "doctor", "bench", "validate", "version"])
def test_other_commands_refuse_csv(facemill, tmp_path, command):
    config = tmp_path / "c"
    config.write_text("format = csv\n")
    for arguments, environment, place in ((["--format", "csv"], {}, "--format"), ([], {"FM_FORMAT": "csv"}, "FM_FORMAT"),
                                          (["--config", config], {}, "config")):
        ran = facemill(command, *arguments, code=2, **environment)
        assert ran.out == "" and ran.err.startswith("facemill: %s: " % place)
        for words in ("analyze", "detect", "crop", "'facemill %s'" % command):
            assert words in ran.err
    facemill("version", "--format", "table", FM_FORMAT="csv")
    facemill("version", "--help", FM_FORMAT="csv")


# ---------------------------------------------------------------- the schema

@pytest.fixture(scope="session")
def schema():
    with open(os.path.join(ROOT, "docs", "output.schema.json"), encoding="utf-8") as file:
        return json.load(file)


@pytest.fixture(scope="session")
def check(schema):
    """check(record, kind, ...): it is valid as one of these kinds."""
    jsonschema = pytest.importorskip("jsonschema", reason="no python3-jsonschema")
    jsonschema.Draft202012Validator.check_schema(schema)
    validators = {kind: jsonschema.Draft202012Validator(dict(schema["$defs"][kind], **{"$defs": schema["$defs"]})) for kind in schema["$defs"]}

    def run(record, *kinds):
        problems = []
        for kind in kinds:
            found = [("/".join(map(str, error.absolute_path)), error.message[:300]) for error in validators[kind].iter_errors(record)]
            if not found:
                run.seen.add(kind)
                run.keys.setdefault(kind, set()).update(paths_of(record))
                return kind
            problems.append((kind, found))
        raise AssertionError("%s is no record of %s: %s" % (json.dumps(record)[:500], kinds, problems))
    run.seen, run.keys = set(), {}
    return run


FREE = {"providers", "passed_over", "a.providers", "b.providers", "a.passed_over", "b.passed_over"}  # keys are files' names


def paths_of(value, prefix=""):
    """"faces[].box" and so on, of everything in a record."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield prefix + key
            if prefix + key not in FREE or isinstance(inner, list):
                yield from paths_of(inner, prefix + key + ".")
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, dict):
                yield from paths_of(inner, prefix[:-1] + "[].")


def paths_of_schema(part, schema, prefix=""):
    part = schema["$defs"][part["$ref"].rsplit("/", 1)[1]] if "$ref" in part else part
    for key, inner in part.get("properties", {}).items():
        yield prefix + key
        yield from paths_of_schema(inner, schema, prefix + key + ".")
    items = part.get("items", {})
    if "properties" in items or "$ref" in items:
        yield from paths_of_schema(items, schema, prefix[:-1] + "[].")


def expand(path):
    """"a.{b,c}" into "a.b" and "a.c"."""
    pieces = [piece[1:-1].split(",") if piece.startswith("{") else [piece] for piece in re.split(r"(\{[^}]*\})", path)]
    return {"".join(words) for words in itertools.product(*pieces)}


def documented():
    """{kind: its fields} of docs/output.md."""
    kinds, fields = {}, set()
    for line in open(GUIDE, encoding="utf-8"):
        heading = re.match(r"### `(\w+)`:", line)
        if line.startswith("#"):
            fields = kinds.setdefault(heading.group(1), set()) if heading else set()
        row = re.match(r"\| `([^`]+)`", line)
        if row:
            fields.update(expand(row.group(1)))
    return kinds


def test_guide_and_schema_have_the_same_fields(schema):
    kinds = {kind: part for kind, part in schema["$defs"].items() if not kind.startswith("part_")}
    told = documented()
    assert set(told) == set(kinds) == {row["$ref"].rsplit("/", 1)[1] for row in schema["anyOf"]}
    for kind, part in kinds.items():
        assert told[kind] == set(paths_of_schema(part, schema)), "record '%s': %s" % (kind, told[kind] ^ set(paths_of_schema(part, schema)))


def test_every_object_of_the_schema_is_closed(schema):
    """Otherwise a field that nobody described would pass."""
    def walk(part, at):
        if isinstance(part, dict):
            if "properties" in part and part.get("type") == "object":
                assert part["additionalProperties"] is False, at
                assert set(part["required"]) <= set(part["properties"]), at
                for name, inner in part["properties"].items():
                    assert "description" in inner, at + "/" + name
            for key, inner in part.items():
                walk(inner, at + "/" + key)
    walk(schema["$defs"], "")


def test_a_field_that_nobody_described_fails(check):
    good = {"pack": "x", "path": "/x", "reason": "installed"}
    assert check(good, "pack") == "pack"
    for bad in (dict(good, more=1), {"pack": "x", "path": "/x"}, dict(good, reason=None)):
        with pytest.raises(AssertionError):
            check(bad, "pack")


def test_guide_has_exit_codes_error_codes_and_columns(facemill):
    guide = open(GUIDE, encoding="utf-8").read()
    codes = facemill("--help").out.split("Exit codes:\n")[1]
    for number, words in re.findall(r"^  ([\d, ]+?)  (.*)$", codes, flags=re.M):
        assert re.search(r"^\| %s \| %s" % (number, re.escape(words.split(":")[0])), guide, flags=re.M), words
    header = open(os.path.join(ROOT, "include", "facemill", "facemill.h"), encoding="utf-8").read()
    names = re.findall(r"^\s*FM_(\w+) =", re.search(r"enum fm_status \{(.*?)\}", header, flags=re.S).group(1), flags=re.M)
    listed = re.findall(r"^\| `(\w+)` \|", guide.split("## Error codes")[1].split("\n## ")[0], flags=re.M)
    assert listed == [name.lower() for name in names if name != "OK"]
    columns = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", guide.split("## CSV")[1].split("\n## ")[0], flags=re.M)
    assert sorted(re.findall(r"`(\w+)`", " ".join(columns))) == sorted(COLUMNS)


# ---------------------------------------------------------------- real output

def version_of(facemill, check):
    record, = facemill("version", "--format", "jsonl").records
    check(record, "version")
    return record["output_version"]


def test_image_records(working, folder, tmp_path, no_landmarks, check):
    (folder / "bad.png").write_bytes(b"no picture")
    runs = [["analyze", "--recursive", folder], ["analyze", folder, "--embedding", "base64"], ["analyze", folder, "--embedding", "none"],
            ["analyze", folder, "--pack", no_landmarks], ["detect", folder, folder / "missing.png"], ["crop", folder, "--dir", tmp_path / "c"]]
    for arguments in runs:
        kinds = [check(record, "error" if "error" in record else "image") for record in working(*arguments, code=1).records]
        assert "error" in kinds and "image" in kinds
    for field in ("faces[].embedding", "faces[].embedding_norm", "faces[].crop", "error.help"):
        assert field in check.keys["image"] | check.keys["error"]


def test_summary_and_version(working, folder, tmp_path, check):
    for arguments in (["analyze", folder], ["detect", folder, "--provider", "ort:cuda,ort:cpu"], ["crop", folder, "--dir", tmp_path / "c"]):
        working(*arguments, "--summary", tmp_path / "s.json")
        summary = json.loads((tmp_path / "s.json").read_text())
        check(summary, "summary")
        assert summary["output_version"] == version_of(working, check) == 1


def test_pair(working, folder, check):
    check(working("compare", folder / "a.png", folder / "c.png").records[0], "pair")
    for record in working("compare", folder / "a.png", folder / "sub" / "d.png", code=1).records:
        check(record, "error")


def test_models(working, folder, make_pack, tmp_path, check):
    (tmp_path / "broken").mkdir()
    shutil.copy(make_pack("stock") / "detector.onnx", tmp_path / "broken")
    (tmp_path / "broken" / "text.onnx").write_text("<html>")
    listed = [check(record, "pack", "known_pack") for record in working("models", "list").records]
    assert "pack" in listed
    for name in (make_pack("stock"), make_pack("stock") / "detector.onnx", tmp_path / "broken"):
        assert {check(record, "model_file") for record in working("models", "show", name).records} == {"model_file"}
    for name, code in ((make_pack("stock"), 0), (tmp_path / "broken", None)):
        records = working("models", "verify", name, code=code).records
        assert [check(record, "model_check", "model_run") for record in records[-1:]] in (["model_run"], ["model_check"])
        assert {check(record, "model_check", "model_run") for record in records} <= {"model_check", "model_run"}
    assert {"model_check", "model_run"} <= check.seen


def test_models_added_and_removed(working, make_pack, tmp_path, check):
    home = tmp_path / "data"
    ran = working("models", "add", make_pack("stock"), "--name", "mine", "--licence", "MIT", code=None, XDG_DATA_HOME=home)
    if "not in this build" in ran.err:
        pytest.skip("this build adds no packs: " + ran.err.splitlines()[0])
    assert ran.code == 0, ran.err
    again = working("models", "add", make_pack("stock"), "--name", "mine", "--replace", XDG_DATA_HOME=home)
    gone = working("models", "remove", "mine", XDG_DATA_HOME=home)
    for record in ran.records + again.records + gone.records:
        check(record, "changed_pack")
    assert [run.records[0]["outcome"] for run in (ran, again, gone)] == ["installed", "replaced", "removed"]


def test_providers_and_doctor(working, facemill, check):
    for run in (working, facemill):
        assert {check(record, "provider") for record in run("providers", "--format", "jsonl", code=None).records} == {"provider"}
        assert {check(record, "finding") for record in run("doctor", "--format", "jsonl", code=None).records} == {"finding"}


def test_bench(working, folder, check):
    ran = working("bench", folder / "a.png", "--providers", "ort:cpu,ort:dml", "--iterations", 1, "--warmup", 0, code=1)
    assert [check(record, "bench", "bench_error") for record in ran.records] == ["bench", "bench_error"]


def test_validate(working, folder, check, make_pack):
    (folder / "bad.png").write_bytes(b"no picture")
    for sides in (["ort:cpu", "ort:cpu"], ["ort:cpu", "det-threshold=0.99"], ["ort:cpu", "pack=%s" % make_pack("normalised")]):
        kinds = [check(record, "picture", "picture_error", "verdict")
                 for record in working("validate", *sides, "--images", folder, code=None).records]
        assert kinds[-1] == "verdict" and "picture_error" in kinds
    assert "picture" in check.seen


def test_print_config(facemill, check):
    for command in re.findall(r"^  ([a-z]+) ", facemill("--help").out.split("Commands:")[1].split("\n\n")[0], flags=re.M):
        record, = facemill(command, "--print-config", FM_PROVIDER_OPTION="a:b=c", FM_IMAGES="x;y").records
        check(record, "config")
        assert record["output_version"] == 1 and record["command"] == command


def test_error_records_on_an_exhausted_limit(working, tmp_path, check):
    (tmp_path / "a.png").write_bytes(png(numbered_squares(1)))
    record, = working("detect", tmp_path / "a.png", "--max-pixels", 100, code=1).records
    assert check(record, "error") and record["error"]["code"] == "limit"
