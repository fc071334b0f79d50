"""Messages of protocol buffers, field by field (the wire format of protobuf's documentation)."""

from collections.abc import Iterator
from dataclasses import dataclass

from vlx.adapters.files.source import Source

_MOST = 1 << 64


@dataclass(frozen=True)
class Field:
    """One field of a message: its number, and a number or the place of its bytes."""

    number: int
    value: int
    """Of a whole number, or of 4 or 8 bytes taken as one; 0 where the field has bytes."""
    start: int
    stop: int
    fixed: int
    """4 or 8 where it is so many bytes, else 0; fields of bytes have -1."""

    @property
    def is_bytes(self) -> bool:
        """Whether it is text, bytes, a packed list or a message."""
        return self.fixed < 0


def varint(source: Source) -> int:
    """A whole number of 1 to 10 bytes, 7 bits each, the lowest first."""
    value = shift = 0
    while True:
        byte = source.take(1)[0]
        value |= (byte & 127) << shift
        if byte < 128:
            return value % _MOST
        shift += 7
        if shift > 63:
            raise source.broken(f"a number does not end before byte {source.at}")


def signed(value: int) -> int:
    """A whole number that may be negative, as int32 and int64 are written."""
    return value - _MOST if value >= _MOST // 2 else value


def fields(source: Source, stop: int) -> Iterator[Field]:
    """The fields of the message from here to ``stop``; where the reader goes in between does not matter.

    Raises CheckpointError for fields that reach beyond the message, and for groups.
    """
    while source.at < stop:
        source.spend(100)
        key = varint(source)
        number, form = key >> 3, key & 7
        if form == 0:
            value = varint(source)
            found = Field(number, value, source.at, source.at, 0)
        elif form in (1, 5):
            width = 8 if form == 1 else 4
            start = source.at
            found = Field(number, int.from_bytes(source.take(width), "little"), start, source.at, width)
        elif form == 2:
            length = varint(source)
            found = Field(number, 0, source.at, source.at + length, -1)
        else:
            raise source.broken(f"an unknown field {key} before byte {source.at}")
        if found.stop > stop or not number:
            raise source.broken(f"field {number} reaches beyond its message before byte {source.at}")
        yield found
        source.seek(found.stop)


def text(source: Source, field: Field) -> str:
    """The text of a field."""
    if not field.is_bytes:
        raise source.broken(f"field {field.number} is no text")
    source.seek(field.start)
    return source.text(source.take(field.stop - field.start))


def numbers(source: Source, field: Field) -> list[int]:
    """The whole numbers of a field that repeats: one, or all of them packed."""
    if not field.is_bytes:
        return [field.value]
    source.seek(field.start)
    found: list[int] = []
    while source.at < field.stop:
        source.spend(40)
        found.append(varint(source))
    if source.at != field.stop:
        raise source.broken(f"field {field.number} ends amid a number")
    return found
