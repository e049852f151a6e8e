"""Which cell answers for which face, and what wrong answers cost."""

import numpy as np
import torch
from torch.nn import functional

from training import faces
from training.detector.canvas import FACE

# stride: sizes of the faces that it answers for; they overlap, so that some faces have two strides
RANGES = {8: (0, 56), 16: (28, 144), 32: (88, 1e9)}
NEARNESS = 1.5       # cells whose corner is this many strides from a face's middle, or
CENTRAL = 0.4        # this share of its size, whichever is less
LAST_OF_STRIDE = (40, 112)  # sizes up to which stride 8 and 16 give the one cell that every face gets
BOX_SHARE = 2.0
POINTS = (3.0, 0.02)       # share of the points' loss and its beta;
LATE_POINTS = (8.0, 0.01)  # of the last quarter: boxes are good by then, points are not
LARGE, LARGE_WEIGHT = 100, 2.0  # faces over this size are few on the canvases: their boxes and points count twice


def all_cells(side):
    """[n,3]: corner and stride of every cell of a square canvas, in the order of the network's maps."""
    return np.concatenate([np.column_stack([faces.cells(side, side, stride),
                                            np.full((side // stride) ** 2, stride, np.float32)])
                           for stride in faces.STRIDES])


def assign(labels, cells):
    """(cells that answer, label row of each, weight of every cell): ignored faces take their cells out."""
    weights = np.ones(len(cells), np.float32)
    for row in labels[labels[:, 19] != FACE]:
        inside = (cells[:, :2] >= row[:2] - 2).all(axis=1) & (cells[:, :2] <= row[2:4] + 2).all(axis=1)
        weights[inside] = 0
    known = labels[labels[:, 19] == FACE]
    if len(known) == 0:
        return np.zeros(0, np.int64), known, weights
    size, stride = faces.sizes(known[:, :4]), cells[:, 2:]
    distance = np.abs(cells[:, None, :2] - (known[:, :2] + known[:, 2:4])[None] / 2).max(axis=2)
    low, high = (np.array([RANGES[int(s)][i] for s in cells[:, 2]])[:, None] for i in (0, 1))
    answers = (size >= low) & (size < high) & (distance <= np.minimum(NEARNESS * stride, CENTRAL * size))
    own_stride = np.array(faces.STRIDES)[np.searchsorted(LAST_OF_STRIDE, size, side="right")]
    nearest = np.where(stride == own_stride, distance, 1e9).argmin(axis=0)
    index = np.arange(len(known))
    answers[nearest, index] = True
    cost = np.where(answers, distance / size, 1e9)
    cost[nearest, index] *= 0.5
    chosen = np.flatnonzero(answers.any(axis=1))
    weights[chosen] = 1
    return chosen, known[cost[chosen].argmin(axis=1)], weights


def batch_targets(labels, cells):
    """Of a list of labels: (picture of each answering cell, cell, label row, weights [n, cells])."""
    rows = [assign(label, cells) for label in labels]
    picture = np.concatenate([np.full(len(row[0]), index) for index, row in enumerate(rows)]).astype(np.int64)
    return picture, np.concatenate([row[0] for row in rows]), np.concatenate([row[1] for row in rows]).astype(
        np.float32), np.stack([row[2] for row in rows])


def box_quality(boxes, goals):
    """(IoU, DIoU) of each with its own."""
    low, high = torch.maximum(boxes[:, :2], goals[:, :2]), torch.minimum(boxes[:, 2:], goals[:, 2:])
    common = (high - low).clamp(min=0).prod(dim=1)
    area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0.1).prod(dim=1)
    shared = common / (area + (goals[:, 2:] - goals[:, :2]).prod(dim=1) - common)
    span = (torch.maximum(boxes[:, 2:], goals[:, 2:]) - torch.minimum(boxes[:, :2], goals[:, :2])).clamp(min=0.1)
    apart = (boxes[:, :2] + boxes[:, 2:] - goals[:, :2] - goals[:, 2:]).square().sum(dim=1) / 4
    return shared, shared - apart / span.square().sum(dim=1)


def loss(maps, targets, cells, points_weight=POINTS):
    """(sum, [score, box, points, mean IoU]): quality focal loss with the IoU as its goal, DIoU, smooth L1 of the points
    as a share of the face."""
    picture, cell, rows, weights = targets
    answers = torch.cat([level.permute(0, 2, 3, 1).flatten(1, 2) for level in maps], dim=1).float()
    own, corner, stride = answers[picture, cell], cells[cell, :2], cells[cell, 2:]
    boxes = torch.cat([corner - own[:, 1:3] * stride, corner + own[:, 3:5] * stride], dim=1)
    shared, quality = box_quality(boxes, rows[:, :4])
    reached = shared.detach().clamp(0, 1)
    logits, goals = answers[..., 0], torch.zeros_like(answers[..., 0])
    goals[picture, cell] = reached
    focus = (logits.sigmoid() - goals).abs().square()
    each = functional.binary_cross_entropy_with_logits(logits, goals, reduction="none") * focus * weights
    score = each.sum() / max(len(cell), 1)
    size = (rows[:, 2:4] - rows[:, :2]).prod(dim=1).sqrt()
    heavier = torch.where(size > LARGE, LARGE_WEIGHT, 1.0)
    share = (0.3 + reached) * heavier
    box = ((1 - quality) * share).sum() / share.sum().clamp(min=1)
    points = own[:, 5:].reshape(-1, 5, 2) * stride[:, None] + corner[:, None]
    apart = (points - rows[:, 4:14].reshape(-1, 5, 2)) / size[:, None, None]
    each = functional.smooth_l1_loss(apart, torch.zeros_like(apart), beta=points_weight[1], reduction="none").sum(dim=2)
    known = rows[:, 14:19] * heavier[:, None]
    point = (each * known).sum() / known.sum().clamp(min=1)
    return score + BOX_SHARE * box + points_weight[0] * point, [score, box, point, reached.sum() / max(len(cell), 1)]
