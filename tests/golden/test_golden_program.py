"""`facemill analyze` end to end against insightface's answers for 35 pictures (FM_SHARED/expected/insightface.json):
both detectors at 640, and det_500m at 128 and 640 joined. Pixels, letterbox and crops are exact here, so the tolerances
are those of another fp32 runtime: no face is allowed to jump to a rival anchor."""

import json
import os
import subprocess

import pytest

from faces import compare_face, match

NOT_AVAILABLE = 3

SETTINGS = {  # name: (detector's file, --det-size, key of the expected answer)
    "det_500m": ("det_500m.onnx", "640", "det_500m"),
    "scrfd_2.5g": ("scrfd_2.5g_bnkps.onnx", "640", "scrfd_2.5g"),
    "det_500m at 128,640": ("det_500m.onnx", "128,640", "det_500m_128_and_640"),
}


@pytest.fixture(scope="session")
def program():
    path = os.environ.get("FM_PROGRAM", "")
    if not os.access(path, os.X_OK):
        pytest.skip("no program: FM_PROGRAM=%s names none" % path)
    return path


@pytest.fixture(scope="session")
def analyze(program, shared, tmp_path_factory):
    """Run one setting over pictures; the bytes written. Without a runtime library the test is skipped, unless
    FM_ORT_LIBRARY promised one."""

    def run(setting, names, **environment):
        detector, sizes, _ = SETTINGS[setting]
        folder = tmp_path_factory.mktemp("analyze")
        pack = folder / "pack"
        pack.mkdir()
        for file in (detector, "w600k_mbf.onnx"):
            (pack / file).symlink_to(os.path.join(shared, "models", file))
        paths = folder / "paths.txt"
        paths.write_text("".join(os.path.join(shared, name) + "\n" for name in names))
        output = folder / "faces.jsonl"
        result = subprocess.run([program, "analyze", "--pack", str(pack), "--provider", "ort:cpu", "--det-size", sizes,
                                 "--format", "jsonl", "--from-file", str(paths), "--output", str(output)],
                                env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True)
        if result.returncode == NOT_AVAILABLE and "FM_ORT_LIBRARY" not in os.environ:
            pytest.skip("no runtime: " + result.stderr.strip())
        assert result.returncode == 0, result.stderr
        return output.read_bytes()

    return run


def expected_faces(entry, key):
    """Faces with box, score and, where the answer holds them, points and embedding. The joined sizes store boxes and
    scores only; a face that came from 640 is the face of the answer at 640."""
    if key != "det_500m_128_and_640":
        return [{"box": f["bbox"], "score": f["det_score"], "points": f["kps"], "embedding": f["embedding"],
                 "norm": f["embedding_norm"]} for f in entry[key]["faces"]]
    at_640 = {tuple(face["box"]): face for face in expected_faces(entry, "det_500m")}
    return [at_640.get(tuple(row[:4]), {"box": row[:4], "score": row[4]}) for row in entry[key]["rows"]]


@pytest.mark.parametrize("setting", SETTINGS)
def test_same_faces(analyze, expected, worst, setting):
    images = expected("insightface.json")["images"]
    records = [json.loads(line) for line in analyze(setting, [entry["image"] for entry in images]).splitlines()]
    assert len(records) == len(images)
    assert all(r["path"].endswith(e["image"]) for r, e in zip(records, images)), "order of the lines"
    faces = embeddings = 0
    for entry, record in zip(images, records):
        name = entry["image"]
        assert "error" not in record, record
        assert (record["width"], record["height"]) == (entry["width"], entry["height"]), name
        want = expected_faces(entry, SETTINGS[setting][2])
        for index, place in enumerate(match(want, record["faces"], name)):
            faces += 1
            embeddings += compare_face(want[index], record["faces"][place], worst, "%s face %d" % (name, index))
    print("%s: %d pictures, %d faces, %d embeddings" % (setting, len(images), faces, embeddings))


@pytest.mark.parametrize("mask", ("scalar", "avx2", "avx512"))
def test_instruction_sets_write_the_same_bytes(analyze, expected, mask):
    names = [entry["image"] for entry in expected("insightface.json")["images"]]
    assert analyze("det_500m", names, FM_CPU_MASK=mask) == analyze("det_500m", names)
