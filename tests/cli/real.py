"""Real networks and pictures with faces in them, for the command line's tests: packs/mini on drawn pictures, which are always
there, and insightface's networks on photographs where the reference data is."""

import json
import os
import shutil
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = os.path.abspath(os.environ.get("FM_SHARED") or os.path.join(ROOT, os.pardir, "shared"))
MINI = os.path.join(ROOT, "packs", "mini")
KINDS = ["mini"] + ["shared"] * os.path.isdir(os.path.join(SHARED, "models"))


def draw(folder):
    """Paths of the drawn pictures in `folder`; ctest has drawn them already and says where."""
    if os.path.isdir(os.environ.get("FM_DRAWN", "")):
        return sorted(os.path.join(os.environ["FM_DRAWN"], name) for name in os.listdir(os.environ["FM_DRAWN"]))
    sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
    import draw_pictures
    return sorted(os.path.join(folder, name) for name in draw_pictures.draw_all(str(folder)))


class Real:
    """`pack`; `other`: the same detector with a recogniser that answers otherwise; `pictures`, each with faces, the first with six; `rivals`: pictures
    with faces that two anchors claim alike (expected/README.md); `formats`: pictures in every format there is here."""

    def __init__(self, kind, folder):
        self.kind, self.pack, self.other = kind, folder / "real", folder / "other"
        if kind == "mini":
            shutil.copytree(MINI, self.pack)
            shutil.copytree(MINI, self.other)
            manifest = json.loads((self.other / "manifest.json").read_text())
            for model in manifest["models"]:
                if model["task"] == "recognition":
                    model["pixels"]["order"] = "bgr"
            (self.other / "manifest.json").write_text(json.dumps(manifest))
            self.formats = draw(folder / "drawn")
            self.pictures = sorted((path for path in self.formats if "empty" not in path), key=lambda path: "six" not in path)
            self.rivals = []
        else:
            for pack, recogniser in ((self.pack, "w600k_mbf.onnx"), (self.other, "w600k_mbf_quint8.onnx")):
                pack.mkdir()
                for file in ("det_500m.onnx", recogniser):
                    (pack / file).symlink_to(os.path.join(SHARED, "models", file))
            images = os.path.join(SHARED, "images")
            self.pictures = [os.path.join(images, "photos", name) for name in ("t1.jpg", "couple.jpg", "img1.jpg")]
            self.rivals = [os.path.join(images, "photos", "selfie-many-people.jpg")]
            self.formats = sorted(entry.path for entry in os.scandir(os.path.join(images, "formats")))
