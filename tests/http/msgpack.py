"""MessagePack as far as the tests need it, so that they need no module for it."""

import struct


def pack(value):
    """Shortest forms of nil, truths, ints, floats (double), texts, bytes, lists, dicts."""
    if value is None or value is True or value is False:
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int):
        return struct.pack("b", value) if -32 <= value < 128 else b"\xd3" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode()
        return (bytes([0xA0 | len(text)]) if len(text) < 32 else b"\xda" + struct.pack(">H", len(text))) + text
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    if isinstance(value, list):
        return b"\xdc" + struct.pack(">H", len(value)) + b"".join(pack(item) for item in value)
    return b"\xde" + struct.pack(">H", len(value)) + b"".join(pack(key) + pack(item) for key, item in value.items())


class Single(float):
    """A float that came in single precision."""


def unpack(data):
    value, end = _unpack(data, 0)
    assert end == len(data)
    return value


NUMBERS = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q", 0xCA: ">f", 0xCB: ">d"}
TEXTS = {0xD9: ">B", 0xDA: ">H", 0xDB: ">I"}


def _unpack(data, at):
    kind, at = data[at], at + 1
    if kind < 0x80 or kind >= 0xE0:
        return kind - (256 if kind >= 0xE0 else 0), at
    if kind in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[kind], at
    if kind in NUMBERS:
        size = struct.calcsize(NUMBERS[kind])
        value = struct.unpack(NUMBERS[kind], data[at:at + size])[0]
        return Single(value) if kind == 0xCA else value, at + size
    if 0xA0 <= kind <= 0xBF or kind in TEXTS:
        length = kind & 31
        if kind in TEXTS:
            size = struct.calcsize(TEXTS[kind])
            length, at = struct.unpack(TEXTS[kind], data[at:at + size])[0], at + size
        assert at + length <= len(data)
        return data[at:at + length].decode(), at + length
    assert kind in (0xDD, 0xDF), hex(kind)
    count, at = struct.unpack(">I", data[at:at + 4])[0], at + 4
    items = []
    for _ in range(count * (2 if kind == 0xDF else 1)):
        item, at = _unpack(data, at)
        items.append(item)
    return dict(zip(items[::2], items[1::2])) if kind == 0xDF else items, at
