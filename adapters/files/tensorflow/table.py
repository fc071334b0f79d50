"""The sorted tables of LevelDB, in which TensorFlow keeps what a checkpoint holds and where."""

from collections.abc import Iterator

import numpy as np

from vlx.adapters.files.proto.wire import varint
from vlx.adapters.files.source import Source
from vlx.adapters.files.tensorflow.crc32c import masked_crc32c

_FOOTER, _TRAILER, _COST = 48, 5, 200
_PLAIN, _SNAPPY, _LARGEST = 0, 1, 16 << 20


def entries(source: Source) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a table, in the order of the keys.

    Raises CheckpointError for blocks that overlap or have another checksum, and for keys out of order.
    """
    if source.size > _LARGEST:
        raise source.broken(f"it has {source.size} bytes, and an index has a few thousand")
    source.seek(source.size - _FOOTER)
    footer = source.inside(source.take(_FOOTER))
    _handle(footer)  # of a block about the table
    last, end = None, 0
    for _, value in _block(source, *_handle(footer)):
        start, size = _handle(source.inside(value))
        if start < end:
            raise source.broken(f"a block begins at {start}, before the one before it ends at {end}")
        end = start + size + _TRAILER
        for key, held in _block(source, start, size):
            if last is not None and key <= last:
                raise source.broken(f"the key {key[:80]!r} is out of order")
            last = key
            yield key, held


def _handle(source: Source) -> tuple[int, int]:
    """Where a block begins and how many bytes it has."""
    return varint(source), varint(source)


def _block(source: Source, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a block; a key is told by what it shares with the one before, and the rest."""
    source.seek(start)
    source.need(size + _TRAILER)
    source.spend(2 * size)
    whole = source.take(size + 1)
    check = int.from_bytes(source.take(4), "little")
    if masked_crc32c(np.frombuffer(whole, np.uint8)) != check:
        raise source.broken(f"the block at {start} does not have the checksum it should")
    if whole[-1] not in (_PLAIN, _SNAPPY):
        raise source.broken(f"the block at {start} is compressed in an unknown way")
    content = whole[:-1] if whole[-1] == _PLAIN else unsnapped(source.inside(whole[:-1]))
    restarts = int.from_bytes(content[-4:], "little")
    end = len(content) - 4 * (restarts + 1)
    if end < 0:
        raise source.broken(f"{restarts} restarts in a block of {len(content)} bytes")
    block, key = source.inside(content[:end]), b""
    while block.remaining:
        shared, rest, length = varint(block), varint(block), varint(block)
        if shared > len(key):
            raise source.broken(f"a key shares {shared} bytes with one of {len(key)}")
        source.spend(_COST + shared + rest + length)
        key = key[:shared] + block.take(rest)
        yield key, block.take(length)


def unsnapped(source: Source) -> bytes:
    """The bytes that snappy packed (google/snappy, format_description.txt)."""
    size = varint(source)
    source.spend(size)
    found = bytearray()
    while source.remaining:
        tag = source.take(1)[0]
        kind, number = tag & 3, tag >> 2
        if kind == 0:
            wide = max(number - 59, 0)
            count = 1 + (int.from_bytes(source.take(wide), "little") if wide else number)
            found += source.take(count)
        else:
            count = 4 + (number & 7) if kind == 1 else 1 + number
            low = int.from_bytes(source.take(4 if kind == 3 else kind), "little")
            back = low + (number >> 3 << 8) if kind == 1 else low
            if not 0 < back <= len(found):
                raise source.broken(f"a copy from {back} bytes back, of {len(found)}")
            piece = bytes(found[len(found) - back :][:count])
            found += (piece * -(-count // len(piece)))[:count]
        if len(found) > size:
            break
    if len(found) != size:
        raise source.broken(f"snappy packed {len(found)} bytes or more where it says {size}")
    return bytes(found)
