"""The evaluation commands of bench/: their arithmetic on examples with known answers, and facemill's AP50 on the scenes
of FM_SHARED beside what insightface reaches there (LFW and speed take minutes: bench/README.md)."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir, "bench")
sys.path.insert(0, BENCH)

import ap50  # noqa: E402
import lfw  # noqa: E402

# python3 bench/ap50.py --peer PYTHON with insightface 2.1, ONNX Runtime 1.31.1, OpenCV 5.0.0 at 640, score >= 0.02
INSIGHTFACE_AP50 = {"det_500m": 0.8639, "scrfd_2.5g": 0.8777}
NOT_AVAILABLE = 3


def scene(*boxes):
    return {"a": (np.array(boxes, float).reshape(-1, 4), np.zeros(len(boxes), bool))}


def ap_of(found, scenes):
    record = {"faces": [{"score": score, "box": box} for score, box in found]}
    return ap50.evaluate({"a": record}, scenes)["ap50"]


def test_average_precision_of_known_cases():
    two = scene([0, 0, 9, 9], [20, 20, 29, 29])
    assert ap_of([(0.9, [0, 0, 9, 9]), (0.8, [20, 20, 29, 29])], two) == 1.0
    assert ap_of([(0.9, [0, 0, 9, 9])], two) == 0.5
    assert ap_of([], two) == 0.0
    # wrong, right, wrong, right: precision 1/2 at recall 1/2 and 2/4 at recall 1
    wrong = [(0.9, [50, 50, 59, 59]), (0.7, [60, 60, 69, 69])]
    assert ap_of(wrong + [(0.8, [0, 0, 9, 9]), (0.6, [20, 20, 29, 29])], two) == 0.5
    # a second detection of the same face is wrong; order of the list does not matter, the scores' does
    twice = [(0.7, [20, 20, 29, 29]), (0.9, [0, 0, 9, 9]), (0.8, [0, 0, 9, 9])]
    assert ap_of(twice, two) == pytest.approx(0.5 + 0.5 * 2 / 3)
    # overlap 5 of 10 rows and no more: IoU 50 / 100 counts, one row less does not
    assert ap_of([(0.9, [0, 0, 9, 4])], scene([0, 0, 9, 9])) == 1.0
    assert ap_of([(0.9, [0, 0, 9, 3])], scene([0, 0, 9, 9])) == 0.0


def test_boxes_marked_difficult_do_not_count():
    scenes = {"a": (np.array([[0, 0, 9, 9], [20, 20, 29, 29]], float), np.array([True, False]))}
    assert ap_of([(0.9, [0, 0, 9, 9]), (0.8, [20, 20, 29, 29])], scenes) == 1.0


def test_threshold_comes_from_the_other_folds():
    """Each fold has a perfect cut of its own (0.6 and 0.225) and is judged by the other's."""
    cosines = np.array([0.5, 0.55, 0.65, 0.7, 0.1, 0.15, 0.3, 0.9])
    same = np.array([False, False, True, True, False, False, True, True])
    accuracies, thresholds = lfw.fold_accuracies(cosines, same, np.repeat([0, 1], 4))
    assert thresholds == pytest.approx([0.225, 0.6])  # of the other fold
    assert accuracies == [0.5, 0.75]


def test_pair_without_a_face_is_wrong():
    cosines = np.array([np.nan, 0.1, 0.9, np.nan, 0.1, 0.9])
    same = np.array([False, False, True, True, False, True])
    accuracies, _ = lfw.fold_accuracies(cosines, same, np.repeat([0, 1], 3))
    assert accuracies == pytest.approx([2 / 3, 2 / 3])


def test_lfw_takes_the_face_nearest_the_centre():
    faces = [{"box": [0, 0, 50, 50], "embedding": [1.0, 0.0]}, {"box": [40, 40, 60, 60], "embedding": [0.0, 2.0]}]
    record = {"width": 100, "height": 100, "faces": faces}
    np.testing.assert_allclose(lfw.central_embedding(record), [0, 1])
    assert lfw.central_embedding({"error": {}}) is None and lfw.central_embedding({"faces": []}) is None


def test_ap50_is_insightfaces(shared, tmp_path):
    program = os.environ.get("FM_PROGRAM", "")
    if not os.access(program, os.X_OK):
        pytest.skip("no program: FM_PROGRAM=%s names none" % program)
    figures = tmp_path / "ap50.json"
    command = [sys.executable, "-B", os.path.join(BENCH, "ap50.py"), "--program", program, "--output", str(figures)]
    result = subprocess.run(command, env={**os.environ, "FM_SHARED": shared}, capture_output=True, text=True)
    if "ended with %d:" % NOT_AVAILABLE in result.stderr and "FM_ORT_LIBRARY" not in os.environ:
        pytest.skip("no runtime: " + result.stderr.strip()[-500:])
    assert result.returncode == 0, result.stderr
    print(result.stdout)
    for detector, reference in INSIGHTFACE_AP50.items():
        assert json.loads(figures.read_text())[detector]["facemill"]["ap50"] == pytest.approx(reference, abs=0.002)
