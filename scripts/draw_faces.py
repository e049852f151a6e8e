#!/usr/bin/env python3
"""Draw pictures with faces in them, so that the program can be tried and tested without anybody's photographs.

    draw_faces.py FOLDER [--count N] [--seed S]

Writes FOLDER/drawn_1.png ... and prints one JSON line per picture: {"path", "width", "height", "faces": [[x1,y1,x2,y2]..]}.
The same seed gives the same bytes. Standard library only. A face is a stack of soft ellipses: hair, neck, head, brows,
eyes with whites and pupils, nostrils, mouth; skin, light, size and place vary. They are caricatures, good enough for a
face detector to find and an embedder to digest, not for judging accuracy.
"""
import argparse
import json
import math
import os
import random
import struct
import sys
import zlib

SKINS = [(241, 205, 178), (226, 179, 144), (198, 144, 108), (158, 107, 75), (115, 75, 52)]
HAIRS = [(42, 31, 26), (92, 62, 40), (30, 28, 30), (150, 112, 64), (110, 108, 106)]
GROUNDS = [(96, 118, 132), (138, 131, 118), (88, 104, 88), (146, 128, 132), (70, 78, 96)]


class Canvas:
    """Rows of RGB bytes, a vertical gradient to begin with."""

    def __init__(self, width, height, top, bottom):
        self.width, self.height, self.rows = width, height, []
        for y in range(height):
            t = y / max(1, height - 1)
            colour = bytes(int(a + (b - a) * t) for a, b in zip(top, bottom))
            self.rows.append(bytearray(colour * width))

    def ellipse(self, cx, cy, rx, ry, colour, soft=0.12, light=0.0, opacity=1.0):
        """Filled ellipse; `soft` is the share of the radius that fades out, `light` brightens its left and upper side."""
        for y in range(max(0, math.floor(cy - ry)), min(self.height, math.ceil(cy + ry) + 1)):
            dy = (y - cy) / ry
            if dy * dy >= 1:
                continue
            reach = rx * math.sqrt(1 - dy * dy)
            row = self.rows[y]
            for x in range(max(0, math.ceil(cx - reach)), min(self.width, math.floor(cx + reach) + 1)):
                dx = (x - cx) / rx
                alpha = opacity * min(1.0, (1 - math.sqrt(dx * dx + dy * dy)) / soft)
                shade = 1 - light * (0.7 * dx + 0.5 * dy)
                for k in range(3):
                    level = min(255.0, colour[k] * shade)
                    row[3 * x + k] = int(row[3 * x + k] * (1 - alpha) + level * alpha)

    def png(self):
        def chunk(kind, body):
            return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        head = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        body = zlib.compress(b"".join(b"\0" + bytes(row) for row in self.rows), 6)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def draw_face(canvas, rng, cx, cy, size):
    """One face whose head is about `size` pixels high, its middle at (cx, cy). Returns its box."""
    skin, hair = rng.choice(SKINS), rng.choice(HAIRS)
    light = rng.uniform(0.10, 0.22) * rng.choice((-1, 1))
    rx, ry = size * rng.uniform(0.36, 0.40), size * 0.5
    eye_x, eye_y = rx * rng.uniform(0.40, 0.46), cy - ry * rng.uniform(0.06, 0.14)
    shirt = tuple(rng.randint(50, 170) for _ in range(3))

    def darker(factor):
        return tuple(c * factor for c in skin)

    canvas.ellipse(cx, cy + ry * 1.95, rx * 2.1, ry * 1.05, shirt, 0.06, light)
    canvas.ellipse(cx, cy - ry * 0.16, rx * 1.17, ry * 1.06, hair, 0.10, light)
    canvas.ellipse(cx, cy + ry * 0.85, rx * 0.52, ry * 0.62, darker(0.80), 0.15, light)
    for side in (-1, 1):
        canvas.ellipse(cx + side * rx * 0.99, cy + ry * 0.02, rx * 0.14, ry * 0.20, darker(0.88), 0.3, light)
    canvas.ellipse(cx, cy + ry * 0.04, rx, ry * 0.96, skin, 0.10, light)
    canvas.ellipse(cx, cy - ry * 0.86, rx * 0.80, ry * 0.30, hair, 0.35, light)
    for side in (-1, 1):
        ex = cx + side * eye_x
        canvas.ellipse(ex, eye_y, rx * 0.30, ry * 0.17, darker(0.72), 0.9, light, 0.8)  # socket
        canvas.ellipse(ex, eye_y - ry * 0.19, rx * 0.26, ry * 0.050, hair, 0.5, 0, 0.9)  # brow
        canvas.ellipse(ex, eye_y, rx * 0.20, ry * 0.075, (238, 236, 232), 0.25)
        canvas.ellipse(ex, eye_y, rx * 0.095, ry * 0.078, (52, 36, 28), 0.3)
        canvas.ellipse(ex, eye_y - ry * 0.065, rx * 0.22, ry * 0.035, darker(0.35), 0.5)  # lid
        canvas.ellipse(ex - rx * 0.03, eye_y - ry * 0.025, rx * 0.03, ry * 0.02, (250, 250, 250), 0.6)
        canvas.ellipse(cx + side * rx * 0.55, cy + ry * 0.30, rx * 0.30, ry * 0.20,
                       (min(255, skin[0] * 1.05), skin[1] * 0.92, skin[2] * 0.90), 0.95, 0, 0.6)  # cheek
    nose_y = cy + ry * 0.27
    canvas.ellipse(cx + rx * 0.09, cy + ry * 0.10, rx * 0.10, ry * 0.24, darker(0.84), 0.95, 0, 0.7)  # ridge's shadow
    canvas.ellipse(cx - rx * 0.02, cy + ry * 0.13, rx * 0.08, ry * 0.22,
                   tuple(min(255, c * 1.09) for c in skin), 0.95, 0, 0.7)
    canvas.ellipse(cx, nose_y, rx * 0.20, ry * 0.09, darker(0.93), 0.7)
    for side in (-1, 1):
        canvas.ellipse(cx + side * rx * 0.10, nose_y + ry * 0.045, rx * 0.065, ry * 0.030, darker(0.38), 0.6)
    mouth_y, mouth_x = cy + ry * rng.uniform(0.54, 0.58), rx * rng.uniform(0.34, 0.42)
    lip = (skin[0] * 0.80, skin[1] * 0.52, skin[2] * 0.52)
    canvas.ellipse(cx, mouth_y - ry * 0.025, mouth_x, ry * 0.060, lip, 0.4)
    canvas.ellipse(cx, mouth_y + ry * 0.035, mouth_x * 0.80, ry * 0.070, tuple(min(255, c * 1.12) for c in lip), 0.5)
    canvas.ellipse(cx, mouth_y, mouth_x * 0.95, ry * 0.022, darker(0.30), 0.5)
    canvas.ellipse(cx, mouth_y + ry * 0.15, mouth_x * 0.7, ry * 0.05, darker(0.80), 0.95, 0, 0.6)  # below the lip
    return [round(v, 1) for v in (cx - rx, cy - ry * 0.92, cx + rx, cy + ry)]


def draw_picture(rng, faces):
    """A picture with `faces` faces side by side."""
    sizes = [rng.randint(84, 190) for _ in range(faces)]
    width = sum(int(s * 1.45) for s in sizes) + 80
    height = int(max(sizes) * 2.1) + 40
    ground = rng.choice(GROUNDS)
    canvas = Canvas(width, height, tuple(min(255, c + 26) for c in ground), tuple(max(0, c - 26) for c in ground))
    boxes, left = [], 40
    for size in sizes:
        cell = int(size * 1.45)
        boxes.append(draw_face(canvas, rng, left + cell / 2, height * 0.46 + rng.uniform(-0.08, 0.08) * size, size))
        left += cell
    return canvas, boxes


def main():
    parser = argparse.ArgumentParser(description="draw pictures with faces in them")
    parser.add_argument("folder")
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    os.makedirs(arguments.folder, exist_ok=True)
    rng = random.Random(arguments.seed)
    for number in range(1, arguments.count + 1):
        canvas, boxes = draw_picture(rng, 1 + (number - 1) % 3)
        path = os.path.join(arguments.folder, "drawn_%d.png" % number)
        with open(path, "wb") as file:
            file.write(canvas.png())
        print(json.dumps({"path": path, "width": canvas.width, "height": canvas.height, "faces": boxes}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
