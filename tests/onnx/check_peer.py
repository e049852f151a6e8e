"""What ONNX Runtime makes of the graphs facemill writes: copies answer alike, a batch equals its single runs read in the
family's row order, bytes equal floats. Bit for bit.

    check_peer.py ONNX_VARIANTS MAKE_TEST_PACK
"""
import glob
import os
import subprocess
import sys
import tempfile

import numpy
import onnx
import onnxruntime

onnxruntime.set_default_logger_severity(3)
MINI = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "packs", "mini", "*.onnx")
SIDE, BATCH = 320, 3


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 2
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def dims(shape, batch):
    fixed = [size if isinstance(size, int) and size > 0 else None for size in shape]
    return [batch if i == 0 else (3 if i == 1 and not size else size or SIDE) for i, size in enumerate(fixed)]


def same(left, right):
    return len(left) == len(right) and all(numpy.array_equal(a, b) for a, b in zip(left, right))


def image_rows(output, image, family, order):
    """The rows of one image of a batch, as a single run has them."""
    columns = output.shape[-1]
    if family == "scrfd" and order == "cell,image,anchor":
        return output.reshape(-1, BATCH, 2, columns)[:, image].reshape(-1, columns)
    return output.reshape(BATCH, -1, columns)[image]


def check_batch(folder, name, single, levels, family, order, pixels):
    singles = [single.run(None, {name: pixels[i:i + 1]}) for i in range(BATCH)]
    together = session(folder + "/batch.onnx").run(None, {name: pixels})
    together_bytes = session(folder + "/batch_bytes.onnx").run(None, {name: levels})
    alike = all(numpy.array_equal(image_rows(output, i, family, order), image_rows_single)
                for k, output in enumerate(together)
                for i in range(BATCH)
                for image_rows_single in [singles[i][k].reshape(-1, output.shape[-1])])
    return {"batch equals singles": alike, "batch of bytes": same(together, together_bytes)}


def check(path, folder, variants):
    out = subprocess.run([variants, path, folder], check=True, capture_output=True, text=True).stdout.split()
    onnx.checker.check_model(onnx.load(folder + "/copy.onnx"))
    single = session(path)
    name, shape = single.get_inputs()[0].name, single.get_inputs()[0].shape
    random = numpy.random.default_rng(1)
    levels = random.integers(0, 256, dims(shape, BATCH), dtype=numpy.uint8)
    plain = levels[:1].astype(numpy.float32)
    results = {"copy": same(single.run(None, {name: plain}), session(folder + "/copy.onnx").run(None, {name: plain}))}
    if out[0] != "none":
        family, order, mean, scale = out[0], out[1], numpy.float32(out[2]), numpy.float32(out[3])
        pixels = (levels.astype(numpy.float32) - mean) * scale
        results["bytes"] = same(single.run(None, {name: pixels[:1]}),
                                session(folder + "/bytes.onnx").run(None, {name: levels[:1]}))
        if os.path.exists(folder + "/batch.onnx"):
            results.update(check_batch(folder, name, single, levels, family, order, pixels))
    return results


def main():
    variants, make_test_pack = sys.argv[1:3]
    failures = 0
    with tempfile.TemporaryDirectory() as root:
        for pack in ("stock", "batched", "unknown", "normalised", "foreign", "det_10g"):
            subprocess.run([make_test_pack, f"{root}/packs/{pack}", "--variant", pack], check=True)
        paths = glob.glob(os.environ.get("FM_SHARED", "") + "/models/*.onnx") + glob.glob(MINI) + glob.glob(root + "/packs/*/*.onnx")
        for number, path in enumerate(sorted(paths)):
            folder = f"{root}/out{number}"
            os.mkdir(folder)
            results = check(path, folder, variants)
            failures += not all(results.values())
            print("/".join(path.split("/")[-2:]), results)
    print(f"{failures} of {len(paths)} files differ")
    return failures > 0


sys.exit(main())
