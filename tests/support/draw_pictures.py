#!/usr/bin/env python3
"""The pictures that tests take where no photographs are: faces drawn by scripts/draw_faces.py, small and large, one to
six of them, none in the last; and one as a JPEG that lies on its side and says so in its Exif part.

    draw_pictures.py FOLDER

The same bytes of pixels every time. Standard library only."""
import os
import random
import shutil
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
sys.dont_write_bytecode = True

import draw_faces  # noqa: E402

TURNED = os.path.join(ROOT, "tests", "golden", "mini", "turned.jpg")  # from drawn_turned below
GROUND = ((150, 158, 160), (92, 98, 110))
# name: seed, and either how many faces draw_faces puts side by side, or width, height and (x, y, size) of each
PICTURES = {
    "one.png": (11, 1),
    "two.png": (12, 2),
    "three.png": (13, 3),
    "six.png": (24, 6),
    "portrait.png": (15, 300, 640, [(150, 150, 130), (140, 460, 170)]),
    "small.png": (26, 400, 240, [(60, 70, 44), (150, 80, 56), (250, 70, 40), (340, 90, 64), (120, 180, 48)]),
    "large.png": (17, 420, 480, [(210, 225, 290)]),
    "empty.png": (18, 320, 200, []),
}
DRAWN_TURNED = (19, 2)


def draw(seed, *what):
    """A canvas."""
    rng = random.Random(seed)
    if len(what) == 1:
        return draw_faces.draw_picture(rng, what[0])[0]
    width, height, faces = what
    canvas = draw_faces.Canvas(width, height, *GROUND)
    for face in faces:
        draw_faces.draw_face(canvas, rng, *face)
    return canvas


def draw_all(folder):
    """Every picture into `folder`; their names."""
    os.makedirs(folder, exist_ok=True)
    for name, what in PICTURES.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(draw(*what).png())
    names = list(PICTURES)
    if os.path.exists(TURNED):
        shutil.copyfile(TURNED, os.path.join(folder, "turned.jpg"))
        names.append("turned.jpg")
    return names


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    draw_all(sys.argv[1])
