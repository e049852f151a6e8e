"""One face of an expected answer beside one that the program wrote."""

import numpy as np

BOX_PX, POINT_PX, SCORE, COSINE = 0.5, 0.5, 0.002, 0.9999
TIE = 1e-5  # scores closer than this may change places: ten times what runtimes were seen to differ by


def iou(a, b):
    shared = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


def match(want, got, where):
    """Position in `got` of every expected face: the one that overlaps most. Order may differ between ties alone."""
    assert len(got) == len(want), "%s: %d faces, expected %d" % (where, len(got), len(want))
    places = [int(np.argmax([iou(np.array(face["box"]), np.array(other["box"])) for other in got])) for face in want]
    assert sorted(places) == list(range(len(want))), "%s: faces are not the same: %s" % (where, places)
    for i, place in enumerate(places):
        for j in range(i):
            tied = want[j]["score"] - want[i]["score"] < TIE
            assert places[j] < place or tied, "%s: order of faces %d, %d" % (where, j, i)
    return places


def compare_face(want, got, worst, where):
    box = np.abs(np.array(got["box"]) - want["box"]).max()
    score = abs(got["score"] - want["score"])
    worst.note("box, px", box, where)
    worst.note("score", score, where)
    assert box <= BOX_PX and score <= SCORE, where
    if "points" not in want:
        return False
    points = np.abs(np.array(got["landmarks"]) - want["points"]).max()
    u, v = np.array(got["embedding"]), np.array(want["embedding"])
    cosine = u @ v / np.linalg.norm(u) / np.linalg.norm(v)
    worst.note("points, px", points, where)
    worst.note("cosine", cosine, where, high_is_bad=False)
    worst.note("embedding norm, relative", abs(got["embedding_norm"] / want["norm"] - 1), where)
    assert points <= POINT_PX and cosine > COSINE, where
    assert abs(got["embedding_norm"] / want["norm"] - 1) < 0.001, where
    return True
