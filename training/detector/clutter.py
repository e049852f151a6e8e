"""Rectangles without a face, drawn: plots, text, shapes, patterns and noise. All randomness is the caller's."""

import string

import cv2
import numpy as np

LETTERS = string.ascii_letters + string.digits + "  .,;:-+()%&"


def colour(rng):
    return tuple(int(v) for v in rng.integers(0, 256, 3))


def paper(rng, width, height):
    """Mostly light grounds, as plots and pages have."""
    ground = rng.integers(235, 256, 3) if rng.random() < 0.6 else rng.integers(0, 256, 3)
    return np.full((height, width, 3), ground, np.uint8)


def ink(rng):
    return (int(rng.integers(0, 90)),) * 3 if rng.random() < 0.6 else colour(rng)


def text(rng, width, height):
    page, tone = paper(rng, width, height), ink(rng)
    scale, y = float(rng.uniform(0.25, 1.4)), 0
    font, weight = int(rng.integers(0, 8)), int(rng.integers(1, 3))
    while y < height:
        y += int(scale * rng.uniform(24, 34)) + 2
        line = "".join(rng.choice(list(LETTERS), int(rng.integers(4, 60))))
        cv2.putText(page, line, (int(rng.integers(0, max(1, width // 6))), y), font, scale, tone, weight, cv2.LINE_AA)
    return page


def curves(rng, width, height, page, tone):
    x = np.linspace(0, 1, 80)
    for _ in range(rng.integers(1, 5)):
        y = np.zeros(80)
        for _ in range(rng.integers(1, 4)):  # densities: sums of bells
            y += rng.uniform(0.2, 1) * np.exp(-((x - rng.uniform(0, 1)) / rng.uniform(0.03, 0.3)) ** 2)
        if rng.random() < 0.3:
            y = np.cumsum(rng.normal(0, 0.1, 80)) + 0.5
        y = (y - y.min()) / max(np.ptp(y), 1e-6)
        line = np.column_stack([width * (0.1 + 0.85 * x), height * (0.9 - 0.8 * y * rng.uniform(0.4, 1))])
        shade = colour(rng)
        if rng.random() < 0.5:
            shape = np.concatenate([line, [[width * 0.95, height * 0.9], [width * 0.1, height * 0.9]]]).astype(np.int32)
            filled = page.copy()
            cv2.fillPoly(filled, [shape], shade, cv2.LINE_AA)
            page[:] = cv2.addWeighted(page, 0.5, filled, 0.5, 0)
        cv2.polylines(page, [line.astype(np.int32)], False, tone if rng.random() < 0.4 else shade,
                      int(rng.integers(1, 4)), cv2.LINE_AA)


def bars(rng, width, height, page, _):
    count = int(rng.integers(3, 40))
    step, shade = 0.85 * width / count, colour(rng)
    for i in range(count):
        top = height * (0.9 - 0.8 * rng.random())
        left = int(width * 0.1 + i * step)
        cv2.rectangle(page, (left, int(top)), (int(left + step * 0.8), int(height * 0.9)), shade, -1)


def points(rng, width, height, page, _):
    centre, spread = rng.uniform(0.3, 0.7, 2), rng.uniform(0.05, 0.25, 2)
    shade, radius = colour(rng), int(rng.integers(1, 5))
    for x, y in rng.normal(centre, spread, (int(rng.integers(20, 250)), 2)):
        cv2.circle(page, (int(x * width), int(y * height)), radius, shade, -1, cv2.LINE_AA)


def heat(rng, width, height, page, _):
    """Two-dimensional density: rings of colour around a few middles, as contour plots have."""
    y, x = np.mgrid[:height, :width] / float(max(height, width))
    level = np.zeros((height, width))
    for _ in range(rng.integers(1, 5)):
        cx, cy, spread = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9), rng.uniform(0.05, 0.3)
        level += rng.uniform(0.3, 1) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2 * rng.uniform(0.5, 2)) / spread ** 2)
    steps = int(rng.choice([6, 10, 256]))
    level = np.floor(level / level.max() * (steps - 1)) * (255 / (steps - 1))
    inner = cv2.applyColorMap(level.astype(np.uint8), int(rng.integers(0, 21)))
    margin = int(0.1 * min(width, height))
    page[margin:height - margin, margin:width - margin] = inner[margin:height - margin, margin:width - margin]


def plot(rng, width, height):
    page, tone = paper(rng, width, height), ink(rng)
    if rng.random() < 0.5:
        for at in np.linspace(0.1, 0.95, int(rng.integers(3, 9))):
            grid = (225, 225, 225)
            cv2.line(page, (int(width * at), int(height * 0.1)), (int(width * at), int(height * 0.9)), grid, 1)
            cv2.line(page, (int(width * 0.1), int(height * at)), (int(width * 0.95), int(height * at)), grid, 1)
    (curves, bars, points, heat)[rng.integers(4)](rng, width, height, page, tone)
    corner = (int(width * 0.1), int(height * 0.9))
    cv2.line(page, corner, (int(width * 0.97), corner[1]), tone, 1)
    cv2.line(page, corner, (corner[0], int(height * 0.08)), tone, 1)
    for at in np.linspace(0.15, 0.9, 5):
        label = "%.1f" % rng.uniform(-10, 10)
        size = max(0.25, min(width, height) / 700)
        cv2.putText(page, label, (int(width * at), int(height * 0.96)), 0, size, tone, 1, cv2.LINE_AA)
        cv2.putText(page, label, (1, int(height * at)), 0, size, tone, 1, cv2.LINE_AA)
    return page


def shapes(rng, width, height):
    page = np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8)
    for _ in range(rng.integers(1, 25)):
        at = (int(rng.integers(-5, width + 5)), int(rng.integers(-5, height + 5)))
        to = (int(rng.integers(0, width + 1)), int(rng.integers(0, height + 1)))
        tone, weight = colour(rng), int(rng.choice([-1, 1, 3]))
        radii = (int(rng.integers(1, width // 3 + 3)), int(rng.integers(1, height // 3 + 3)))
        kind = rng.integers(4)
        if kind == 0:
            cv2.line(page, at, to, tone, int(rng.integers(1, 6)), cv2.LINE_AA)
        elif kind == 1:
            cv2.ellipse(page, at, radii, float(rng.integers(180)), 0, 360, tone, weight, cv2.LINE_AA)
        elif kind == 2:
            cv2.rectangle(page, at, to, tone, weight)
        else:
            cv2.circle(page, at, min(radii), tone, weight, cv2.LINE_AA)
    return page


def texture(rng, width, height):
    """Noise at some scale between two colours, or stripes and checks."""
    if rng.random() < 0.4:
        step = int(rng.integers(2, 30))
        y, x = np.mgrid[:height, :width] // step
        level = ((x + (y if rng.random() < 0.5 else 0)) % 2).astype(np.float32)
    else:
        coarse = rng.random((max(2, height // int(rng.integers(2, 40))), max(2, width // int(rng.integers(2, 40)))))
        level = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    first, second = rng.integers(0, 256, (2, 3))
    return np.clip(first + (second - first) * level[..., None], 0, 255).astype(np.uint8)


def draw(rng, width, height):
    """One rectangle [height, width, 3] of any of these kinds."""
    kinds, shares = (plot, text, shapes, texture), (0.35, 0.25, 0.2, 0.2)
    return kinds[rng.choice(len(kinds), p=shares)](rng, width, height)
