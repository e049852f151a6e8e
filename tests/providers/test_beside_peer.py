"""facemill in a Python process that has another ONNX Runtime loaded already: both must go on answering, and answer the
same. FM_PEER_PYTHON names a Python with the packages onnxruntime and numpy; FM_LIBRARY is libfacemill.so, FM_MAKE_PACK
make_test_pack. Whatever is missing skips in words (77)."""
import ctypes
import glob
import os
import shutil
import subprocess
import sys
import tempfile

VALUES, SIDE = 512, 112


class EngineOptions(ctypes.Structure):
    """The first fields of fm_engine_options; struct_size says where ours end."""
    _fields_ = [("struct_size", ctypes.c_size_t), ("pack", ctypes.c_char_p), ("pack_source", ctypes.c_char_p),
                ("providers", ctypes.c_char_p), ("policy", ctypes.c_int), ("provider_options", ctypes.c_void_p),
                ("provider_option_count", ctypes.c_size_t), ("ort_library", ctypes.c_char_p)]


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 2044)]


class ModelInfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char_p) for name in ("task", "family", "file", "provider", "detail")] + [
        ("rest", ctypes.c_char * 256)]


def skip(words):
    print("skipped:", words)
    sys.exit(77)


def another_library(theirs, folder):
    """A file of the runtime that the process does not have loaded: FM_ORT_LIBRARY, or a copy of theirs."""
    named = os.environ.get("FM_ORT_LIBRARY", "")
    if os.path.isfile(named) and os.path.realpath(named) != os.path.realpath(theirs):
        return named
    return shutil.copy(theirs, os.path.join(folder, "libonnxruntime.so.copy"))


def embed(facemill, engine, crops):
    error, out = Error(), (ctypes.c_float * (VALUES * len(crops)))()
    status = facemill.fm_embed_crops(engine, crops.tobytes(), ctypes.c_size_t(len(crops)), out, ctypes.byref(error))
    assert status == 0, error.message.decode()
    return [list(out[i * VALUES:(i + 1) * VALUES]) for i in range(len(crops))]


def beside(library, pack):
    import numpy
    import onnxruntime
    theirs = onnxruntime.InferenceSession(os.path.join(pack, "embedder.onnx"), providers=["CPUExecutionProvider"])
    capi = os.path.join(os.path.dirname(onnxruntime.__file__), "capi")
    other = another_library((glob.glob(os.path.join(capi, "libonnxruntime.so*")) or
                             glob.glob(os.path.join(capi, "onnxruntime_pybind11_state*.so")))[0], pack)
    facemill = ctypes.CDLL(library)
    facemill.fm_engine_model.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    facemill.fm_embed_crops.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p,
                                        ctypes.c_void_p]
    facemill.fm_engine_close.argtypes = [ctypes.c_void_p]
    options = EngineOptions(ctypes.sizeof(EngineOptions), pack.encode(), None, b"ort:cpu", 0, None, 0, other.encode())
    engine, error, info = ctypes.c_void_p(), Error(), ModelInfo()
    status = facemill.fm_engine_open(ctypes.byref(options), ctypes.byref(engine), ctypes.byref(error))
    assert status == 0, error.message.decode()
    assert facemill.fm_engine_model(engine, 1, ctypes.byref(info))
    assert other in info.detail.decode(), info.detail
    loaded = {line.split()[-1] for line in open("/proc/self/maps") if "onnxruntime" in line and ".so" in line}
    assert other in loaded and len(loaded) > 1, loaded

    crops = numpy.random.default_rng(1).integers(0, 256, (4, SIDE, SIDE, 3), dtype=numpy.uint8)
    planes = ((crops.astype(numpy.float32) - 127.5) / 127.5).transpose(0, 3, 1, 2)
    for turn in range(3):  # by turns, so that neither is only ever first or last
        ours = numpy.array(embed(facemill, engine, crops))
        peer = numpy.concatenate([theirs.run(None, {"input.1": plane[None]})[0] for plane in planes])
        assert ours.shape == peer.shape == (4, VALUES) and numpy.abs(peer).max() > 0.1
        assert numpy.abs(ours - peer).max() < 1e-4, f"turn {turn}: {numpy.abs(ours - peer).max()}"
    facemill.fm_engine_close(engine)
    peer = theirs.run(None, {"input.1": planes[:1]})[0]  # and theirs lives on after ours has gone
    assert numpy.abs(ours[0] - peer[0]).max() < 1e-4
    print(f"both answer: onnxruntime {onnxruntime.__version__} and {info.detail.decode()}")


def main():
    if len(sys.argv) == 3:
        return beside(*sys.argv[1:])
    python = os.environ.get("FM_PEER_PYTHON")
    if not python:
        skip("FM_PEER_PYTHON is not set (a Python with onnxruntime)")
    if subprocess.run([python, "-c", "import onnxruntime, numpy"], stderr=subprocess.DEVNULL).returncode:
        skip(f"{python} has no onnxruntime or no numpy")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([os.environ["FM_MAKE_PACK"], folder], check=True)
        sys.exit(subprocess.run([python, __file__, os.environ["FM_LIBRARY"], folder]).returncode)


if __name__ == "__main__":
    main()
