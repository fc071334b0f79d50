"""Writes TensorFlow V2 checkpoints: tensor_bundle.proto in a LevelDB table, and data files beside it."""

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from tests.adapters.files.wire_writer import block, fixed32, varint, whole
from vlx.adapters.files.tensorflow.crc32c import masked_crc32c

DTYPES = {
    "float32": 1,
    "float64": 2,
    "int32": 3,
    "uint8": 4,
    "int16": 5,
    "int8": 6,
    "complex64": 8,
    "int64": 9,
    "bool": 10,
    "uint16": 17,
    "complex128": 18,
    "float16": 19,
    "uint32": 22,
    "uint64": 23,
}
MAGIC = 0xDB4775248B80FB57


def write_checkpoint(
    prefix: Path,
    arrays: Mapping[str, Tensor | np.ndarray],
    *,
    shards: int = 1,
    block_size: int = 4096,
    restart: int = 16,
    snappy: bool = False,
    text: Mapping[str, bytes] | None = None,
) -> Path:
    """Write ``PREFIX.index`` and ``PREFIX.data-00000-of-0000N`` as ``tf.train.Saver`` does; gives the prefix.

    Variables go to the data files in turn. A block of the index ends after ``block_size`` bytes, a key is
    whole again after ``restart`` ones. ``text`` are variables of strings, by name. With ``snappy`` blocks
    are packed, as TensorFlow 1.0 did.
    """
    data = [bytearray() for _ in range(shards)]
    entries = {"": whole(1, shards) + block(3, whole(1, 1))}
    text = text or {}
    numpy = {name: np.asarray(value) for name, value in arrays.items()}
    for at, name in enumerate(sorted([*numpy, *text])):
        shard = at % shards
        raw = text[name] if name in text else np.ascontiguousarray(numpy[name]).tobytes()
        sizes = () if name in text else numpy[name].shape
        kind = 7 if name in text else DTYPES[numpy[name].dtype.name]
        entries[name] = entry(kind, sizes, shard, len(data[shard]), raw)
        data[shard] += raw
    Path(f"{prefix}.index").write_bytes(table(entries, block_size, restart, snappy))
    for shard, content in enumerate(data):
        Path(f"{prefix}.data-{shard:05d}-of-{shards:05d}").write_bytes(content)
    return prefix


def entry(kind: int, sizes: tuple[int, ...], shard: int, offset: int, raw: bytes) -> bytes:
    """A BundleEntryProto; numbers that are 0 are left out, as proto3 does."""
    shape = b"".join(block(2, whole(1, size)) for size in sizes)
    numbers = ((3, shard), (4, offset), (5, len(raw)))
    held = b"".join(whole(number, value) for number, value in numbers if value)
    return whole(1, kind) + block(2, shape) + held + fixed32(6, masked(raw))


def table(
    entries: Mapping[str, bytes], block_size: int = 4096, restart: int = 16, snappy: bool = False
) -> bytes:
    """A sorted table of keys and values."""
    out, index = bytearray(), dict[bytes, bytes]()
    pending: dict[bytes, bytes] = {}
    for key, value in entries.items():
        pending[key.encode()] = value
        if sum(len(k) + len(v) for k, v in pending.items()) >= block_size:
            index[key.encode() + b"\0"] = add(out, contents(pending, restart), snappy)
            pending = {}
    if pending:
        index[max(pending) + b"\0"] = add(out, contents(pending, restart), snappy)
    about = add(out, contents({}, 1), False)
    listed = add(out, contents(index, 1), snappy)
    return bytes(out) + (about + listed).ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def contents(entries: Mapping[bytes, bytes], restart: int) -> bytes:
    """A block: keys by what they share with the one before, then where keys are whole."""
    out, restarts, last = bytearray(), [0], b""
    for at, (key, value) in enumerate(entries.items()):
        shared = 0
        if at % restart == 0:
            restarts[at // restart :] = [len(out)]
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    return bytes(out) + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def add(out: bytearray, content: bytes, snappy: bool) -> bytes:
    """Put a block with its checksum behind what there is; where it lies."""
    held = snapped(content) if snappy else content
    at = len(out)
    out += held + bytes([snappy])
    out += struct.pack("<I", masked(held + bytes([snappy])))
    return varint(at) + varint(len(held))


def snapped(content: bytes) -> bytes:
    """Packed by snappy: bytes as they are, and a copy where four bytes repeat the four before."""
    out, at, plain = bytearray(varint(len(content))), 0, bytearray()

    def flush() -> None:
        while plain:
            piece = plain[:60]
            out.append((len(piece) - 1) << 2)
            out.extend(piece)
            del plain[:60]

    while at < len(content):
        if at >= 4 and content[at : at + 4] == content[at - 4 : at] and at + 4 <= len(content):
            flush()
            out += bytes([1, 4])  # copy 4 bytes from 4 bytes back
            at += 4
        else:
            plain.append(content[at])
            at += 1
    flush()
    return bytes(out)


def masked(raw: bytes) -> int:
    """The masked CRC-32C: bit by bit where there are few bytes."""
    if len(raw) > 4096:
        return masked_crc32c(np.frombuffer(raw, np.uint8))
    crc = 0xFFFFFFFF
    for byte in raw:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
