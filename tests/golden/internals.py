"""The test-only library of inner functions (internals.c), as Python calls it: numpy arrays in, numpy arrays out."""

import ctypes

import numpy as np

HEADS = 3
WORDS = 1024


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


class Internals:
    def __init__(self, path):
        library = self.library = ctypes.CDLL(path)
        for name in ("fm_test_image_rgb", "fm_test_device_open"):
            getattr(library, name).restype = ctypes.c_void_p
        library.fm_test_nms.restype = ctypes.c_size_t
        for name in ("fm_test_image_rgb", "fm_test_image_close", "fm_test_device_close"):
            getattr(library, name).argtypes = [ctypes.c_void_p]

    def read(self, path):
        """Upright RGB8 [h,w,3] of a file, as fm_image_read gives it."""
        with open(path, "rb") as file:
            data = file.read()
        image, size, words = ctypes.c_void_p(), (ctypes.c_int * 2)(), ctypes.create_string_buffer(WORDS)
        status = self.library.fm_test_image_open(data, ctypes.c_size_t(len(data)), ctypes.byref(image), size, words,
                                                 ctypes.c_size_t(WORDS))
        if status:
            raise OSError("%s: status %d: %s" % (path, status, words.value.decode()))
        width, height = size
        rows = ctypes.string_at(self.library.fm_test_image_rgb(image), width * height * 3)
        self.library.fm_test_image_close(image)
        return np.frombuffer(rows, np.uint8).reshape(height, width, 3)

    def letterbox_fit(self, width, height, side):
        size, scale = (ctypes.c_int * 2)(), ctypes.c_double()
        self.library.fm_test_letterbox_fit(width, height, side, size, ctypes.byref(scale))
        return size[0], size[1], scale.value

    def align_matrix(self, landmarks, side):
        m = np.zeros((2, 3))
        points = np.ascontiguousarray(landmarks, np.float32)
        return m if self.library.fm_test_align_matrix(pointer(points), side, pointer(m)) else None

    def device(self, level):
        """The CPU device of one instruction set; None when this machine has it not."""
        handle = self.library.fm_test_device_open(level.encode())
        return Device(self.library, handle) if handle else None


class Device:
    def __init__(self, library, handle):
        self.library, self.handle = library, ctypes.c_void_p(handle)

    def close(self):
        self.library.fm_test_device_close(self.handle)

    def letterbox(self, rgb, side, dtype, batch=1, slot=0):
        """Network input [3,side,side], planes R, G, B: levels for uint8, (level - 127.5) / 128 for float32."""
        values = np.zeros((3, side, side), dtype)
        height, width = rgb.shape[:2]
        status = self.library.fm_test_letterbox(self.handle, pointer(rgb), width, height, side, int(dtype == np.uint8),
                                                batch, slot, pointer(values))
        assert status == 0, "letterbox: status %d" % status
        return values

    def warp(self, rgb, matrix, side):
        crop = np.zeros((side, side, 3), np.uint8)
        m = np.ascontiguousarray(matrix, np.float64)
        height, width = rgb.shape[:2]
        status = self.library.fm_test_warp(self.handle, pointer(rgb), width, height, pointer(m), side, pointer(crop))
        assert status == 0, "warp: status %d" % status
        return crop

    def nms(self, boxes, scores, threshold, plus_one):
        boxes = np.ascontiguousarray(boxes, np.float32).reshape(-1, 4)
        scores = np.ascontiguousarray(scores, np.float32)
        kept = np.zeros(len(boxes) + 1, np.int32)
        count = self.library.fm_test_nms(self.handle, pointer(boxes), pointer(scores), ctypes.c_size_t(len(boxes)),
                                         ctypes.c_float(threshold), int(plus_one), pointer(kept))
        return kept[:count]

    def detect(self, outputs, side, scale, threshold=0.5, batch=1, slot=0, interleaved=True, anchors=2):
        """Faces [n,17] of one image from SCRFD's nine raw outputs: box, score, points, rivals, their shift."""
        outputs = [np.ascontiguousarray(output, np.float32) for output in outputs]
        pointers = (ctypes.c_void_p * (3 * HEADS))(*(output.ctypes.data for output in outputs))
        rows, count = np.zeros((1000, 17), np.float32), ctypes.c_size_t()
        status = self.library.fm_test_detect(self.handle, pointers, anchors, batch, slot, int(interleaved), side,
                                             ctypes.c_double(scale), ctypes.c_float(threshold), pointer(rows),
                                             ctypes.c_size_t(len(rows)), ctypes.byref(count))
        assert status == 0, "detect: status %d" % status
        return rows[:count.value]
