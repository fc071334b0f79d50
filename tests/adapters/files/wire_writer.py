"""Writes messages of protocol buffers, a field at a time."""

import struct


def varint(value: int) -> bytes:
    """A whole number, 7 bits a byte; a negative one as 64 bits."""
    value %= 1 << 64
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def whole(number: int, value: int) -> bytes:
    """A field that is a whole number."""
    return varint(number << 3) + varint(value)


def fixed32(number: int, value: int) -> bytes:
    """A field of four bytes."""
    return varint(number << 3 | 5) + struct.pack("<I", value)


def block(number: int, content: bytes) -> bytes:
    """A field that is text, bytes, a packed list or a message."""
    return varint(number << 3 | 2) + varint(len(content)) + content
