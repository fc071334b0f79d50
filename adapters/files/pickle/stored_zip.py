"""Zip archives that hold their entries as they are, as torch.save writes them (PKWARE's APPNOTE)."""

import struct
from dataclasses import dataclass

from vlx.adapters.files.source import Source
from vlx.errors import CheckpointError

_END, _END64, _LOCATOR = struct.Struct("<4s4H2IH"), struct.Struct("<4sQ2H2I4Q"), struct.Struct("<4sIQI")
_ENTRY, _LOCAL = struct.Struct("<4s6H3I5H2I"), struct.Struct("<4s5H3I2H")
_FULL, _COST = 0xFFFFFFFF, 500


@dataclass(frozen=True)
class Entry:
    """Where an entry's bytes lie in the file, and their CRC-32 (0 where it was not taken)."""

    start: int
    size: int
    crc: int


@dataclass(frozen=True)
class _Listed:
    """What the directory says of an entry."""

    at: int
    size: int
    inside: int
    crc: int
    packed: bool


def entries(source: Source) -> dict[str, Entry]:
    """The entries of an archive by name.

    Raises CheckpointError for a TorchScript program, and for entries that are compressed, encrypted,
    listed twice, that lie about their size, or that overlap, none of which torch.save writes.
    """
    count, start, end = _directory(source)
    source.seek(start)
    listed: dict[str, _Listed] = {}
    for _ in range(count):
        source.spend(_COST)
        name, entry = _listed(source)
        if name in listed:
            raise source.broken(f"it lists the entry {name[:80]!a} twice")
        listed[name] = entry
    if source.at != end:
        raise source.broken("its directory of entries has another size than it says")
    if any(name.endswith("/constants.pkl") for name in listed):
        raise CheckpointError(f"{source.name} is a TorchScript program: save its state_dict() instead")
    found = {name: _placed(source, name, entry) for name, entry in listed.items()}
    last = 0
    for entry in sorted(found.values(), key=lambda entry: entry.start):
        if entry.start < last or entry.start + entry.size > start:
            raise source.broken("its entries overlap")
        last = entry.start + entry.size
    return found


def _directory(source: Source) -> tuple[int, int, int]:
    """How many entries there are, and where their directory begins and ends."""
    at = source.size - _END.size
    source.seek(at)
    sign, _, _, _, count, size, start, comment = _END.unpack(source.take(_END.size))
    if sign != b"PK\x05\x06" or comment:
        raise source.broken("its directory of entries is missing at its end")
    if at >= _LOCATOR.size:
        source.seek(at - _LOCATOR.size)
        sign, _, where, _ = _LOCATOR.unpack(source.take(_LOCATOR.size))
        if sign == b"PK\x06\x07":
            source.seek(where)
            sign, _, _, _, _, _, _, count, size, start = _END64.unpack(source.take(_END64.size))
            if sign != b"PK\x06\x06":
                raise source.broken("its directory of entries is not where it says")
    if start + size > at or count * _ENTRY.size > size:
        raise source.broken(f"{count} entries in a directory of {size} bytes at {start}")
    return count, start, start + size


def _listed(source: Source) -> tuple[str, _Listed]:
    """One entry of the directory and its name."""
    sign, _, _, flags, packed, _, _, crc, size, inside, *lengths, at = _ENTRY.unpack(source.take(_ENTRY.size))
    if sign != b"PK\x01\x02":
        raise source.broken(f"no entry of its directory before byte {source.at}")
    name = source.text(source.take(lengths[0]))
    long = _long_numbers(source.take(lengths[1]))
    source.take(lengths[2])
    # What is too large for 32 bits follows in 64, in this order.
    inside, size, at = (long.pop(0) if value == _FULL else value for value in (inside, size, at))
    return name, _Listed(at, size, inside, crc, bool(packed or flags & 1))


def _long_numbers(extra: bytes) -> list[int]:
    """The 64-bit numbers of an entry that is too large, or lies too far, for 32 bits."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            return list(struct.unpack_from(f"<{length // 8}Q", extra, at + 4))
        at += 4 + length
    return []


def _placed(source: Source, name: str, entry: _Listed) -> Entry:
    """Where an entry's bytes lie: after its own header, which must bear the same name."""
    if entry.packed:
        raise source.broken(
            f"it holds compressed entries ({name[:80]!a}), torch.save writes none: unpack a download first"
        )
    if entry.size != entry.inside:
        raise source.broken(f"the entry {name[:80]!a} lies about its size")
    source.seek(entry.at)
    sign, *_, length, more = _LOCAL.unpack(source.take(_LOCAL.size))
    if sign != b"PK\x03\x04" or source.take(length) != name.encode("utf-8", "surrogatepass"):
        raise source.broken(f"the entry {name[:80]!a} is not where it says")
    source.take(more)
    source.need(entry.size, f"bytes of {name[:80]!a}")
    return Entry(source.at, entry.size, entry.crc)
