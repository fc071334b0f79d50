"""A file that is not trusted: told from its first bytes, read in bounds, its errors in one line."""

import io
import json
import math
import struct
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor

from vlx.errors import CheckpointError

ROOM = 64 << 20
"""Bytes of memory that reading may take beyond twice the file's size."""

_CUT, _REASON = 1 << 20, 250
_LFS = b"version https://git-lfs"


class Format(Enum):
    """What a file is by its first (or last) bytes, where these tell."""

    PAGE = "a web page"
    ZIP = "a zip archive, as torch.save writes"
    LEGACY = "an older torch file"
    TAR = "a tar archive, as torch 0.1 wrote"
    PICKLE = "a pickle"
    T7 = "a Torch7 file"
    SAFETENSORS = "a safetensors file"
    TABLE = "a TensorFlow table"
    HDF5 = "an HDF5 file"
    GZIP = "a gzip archive"
    JSON = "JSON text"
    IMAGE = "an image"


_STARTS = (
    (b"PK\x03\x04", Format.ZIP),
    (b"PK\x05\x06", Format.ZIP),
    (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19", Format.LEGACY),
    *((bytes((0x80, protocol)), Format.PICKLE) for protocol in range(2, 6)),
    *((struct.pack("<2i", tag, 1), Format.T7) for tag in (3, 4, 8)),
    *((b"%d\n1\n" % tag, Format.T7) for tag in (3, 4, 8)),
    (b"\x89HDF\r\n\x1a\n", Format.HDF5),
    (b"\x1f\x8b", Format.GZIP),
    (b"\x89PNG", Format.IMAGE),
    (b"\xff\xd8\xff", Format.IMAGE),
)
_TABLE_END = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"


def format_of(file: Path) -> Format | None:
    """What a file is by its bytes alone, or None where these do not tell."""
    with file.open("rb") as opened:
        head = opened.read(512)
        opened.seek(max(file.stat().st_size - 8, 0))
        tail = opened.read(8)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return Format.PAGE
    for start, found in _STARTS:
        if head.startswith(start):
            return found
    if head[257:262] == b"ustar":
        return Format.TAR
    if tail == _TABLE_END:
        return Format.TABLE
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < file.stat().st_size:
        return Format.SAFETENSORS
    return Format.JSON if text.startswith((b"{", b"[")) else None


def check_there(path: str | Path, what: str = "weight file") -> Path:
    """The path of a file that exists and holds what was to be downloaded.

    Raises CheckpointError for a file that is missing or empty, a Git LFS pointer, or a web page.
    """
    file = Path(path)
    if not file.is_file():
        raise CheckpointError(f"no {what} {file}")
    with file.open("rb") as opened:
        head = opened.read(len(_LFS))
    if not head:
        raise CheckpointError(f"{file} is truncated: it is empty; download it again")
    if head == _LFS:
        raise CheckpointError(f"{file} is a Git LFS pointer, not the weights: run git lfs pull")
    if format_of(file) is Format.PAGE:
        raise CheckpointError(f"{file} is a web page saved in its place: open its address in a browser")
    return file


def read_json(path: str | Path, what: str) -> Any:
    """The value of a file of JSON text; raises CheckpointError for one that is missing or damaged."""
    try:
        return json.loads(check_there(path, what).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is truncated or no JSON text: {error}") from None


def damaged(file: str | Path, size: int, what: str, reason: str) -> CheckpointError:
    """The error of a file that cannot be read: what it was read as, and why that fails."""
    if size == _CUT:
        return CheckpointError(
            f"{file} is truncated at exactly 1,048,576 bytes, the limit of a host: download it from elsewhere"
        )
    line = reason.splitlines()[0] if reason else "no reason told"
    return CheckpointError(f"{file} is truncated or no {what}: {line[:_REASON]}")


class Source:
    """An open file that gives no more than it holds and keeps count of the memory it unfolds to."""

    def __init__(self, opened: io.BufferedIOBase, size: int, name: str, what: str) -> None:
        self._opened = opened
        self.size = size
        self.name = name
        self.what = what
        self.at = 0
        self._whole: Source = self
        self._spent = 0
        opened.seek(0)

    def inside(self, part: bytes) -> "Source":
        """A source of bytes that were in this one; the memory it unfolds to counts here."""
        source = Source(io.BytesIO(part), len(part), self.name, self.what)
        source._whole = self._whole
        return source

    @property
    def remaining(self) -> int:
        """Bytes from here to the end."""
        return self.size - self.at

    def broken(self, reason: str) -> CheckpointError:
        """The error to raise where the file contradicts itself."""
        return damaged(self.name, self._whole.size, self.what, reason)

    def need(self, count: int, what: str = "bytes") -> None:
        """Raise CheckpointError unless so many bytes remain."""
        if not 0 <= count <= self.remaining:
            raise self.broken(f"{count} {what} are said to follow at byte {self.at}, {self.remaining} do")

    def spend(self, count: int) -> None:
        """Count memory that is about to be taken; raises CheckpointError beyond twice the file's size."""
        whole = self._whole
        whole._spent += count
        if whole._spent > 2 * whole.size + ROOM:
            raise whole.broken("it would unfold to more than twice its size")

    def seek(self, at: int) -> None:
        """Go on reading at this byte."""
        if not 0 <= at <= self.size:
            raise self.broken(f"it points to byte {at} of {self.size}")
        self._opened.seek(at)
        self.at = at

    def take(self, count: int) -> bytes:
        """The next bytes."""
        self.need(count)
        taken = self._opened.read(count)
        if len(taken) != count:
            raise self.broken(f"it ends at byte {self.at + len(taken)}")
        self.at += count
        return taken

    def text(self, raw: bytes, errors: str = "surrogatepass") -> str:
        """What bytes say in UTF-8."""
        # One letter beyond Latin-1 makes every letter take 2 or 4 bytes.
        self.spend(64 + len(raw) * (1 if raw.isascii() else 5))
        return raw.decode("utf-8", errors)

    def old_text(self, raw: bytes) -> str:
        """What bytes say in UTF-8, or else in Latin-1."""
        try:
            return self.text(raw, "strict")
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    def line(self, longest: int) -> bytes:
        """The next bytes up to a line's end, without it."""
        taken = self._opened.readline(max(min(longest, self.remaining), 0) + 1)
        self.at += len(taken)
        if not taken.endswith(b"\n"):
            raise self.broken(f"a line before byte {self.at} does not end")
        return taken[:-1]

    def fill(self, into: UInt8[Tensor, " byte"]) -> None:
        """Read the next bytes into memory that is there."""
        self.need(len(into))
        if len(into) and self._opened.readinto(into.numpy().data) != len(into):
            raise self.broken(f"it ends before byte {self.at + len(into)}")
        self.at += len(into)

    def tensor(self, count: int, dtype: torch.dtype) -> Shaped[Tensor, " element"]:
        """The next elements, as they lie in the file: little-endian and without gaps."""
        length = count * dtype.itemsize
        self.need(length, f"bytes of {count} numbers")
        self.spend(length)
        raw = torch.empty(length, dtype=torch.uint8)
        self.fill(raw)
        return raw.view(dtype)

    def strided(
        self, storage: Shaped[Tensor, " element"], offset: int, sizes: Sequence[int], strides: Sequence[int]
    ) -> Tensor:
        """The tensor of some sizes and strides (in elements) that begins at an offset of a storage."""
        numbers = (offset, *sizes, *strides)
        if len(sizes) != len(strides) or min(numbers) < 0 or max(numbers) >= 1 << 63:
            raise self.broken(f"a tensor of {len(sizes)} sizes and {len(strides)} strides that cannot be")
        count = math.prod(sizes)
        last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
        if count and last >= len(storage):
            raise self.broken(f"a tensor of sizes {tuple(sizes)} reaches beyond its {len(storage)} numbers")
        if count > len(storage):  # it repeats elements: whoever copies it takes the memory
            self.spend(count * storage.itemsize)
        if not count:
            return storage.new_empty(tuple(sizes))
        return storage.as_strided(tuple(sizes), tuple(strides), storage.storage_offset() + offset)


@contextmanager
def reading(file: str | Path, what: str, *formats: Format) -> Generator[Source, None, None]:
    """Open a file to read it as ``what``; whatever fails inside ends in one CheckpointError.

    Where its bytes tell what the file is, and that is none of ``formats``, the error says so.
    """
    path = check_there(file, what)
    found = format_of(path)
    if found is not None and found not in formats:
        raise CheckpointError(f"{path} is {found.value}, no {what}")
    with path.open("rb") as opened:
        source = Source(opened, path.stat().st_size, str(path), what)
        with one_line(source):
            yield source


@contextmanager
def one_line(source: Source) -> Generator[None, None, None]:
    """Turn every failure of reading a source into a CheckpointError."""
    try:
        yield
    except CheckpointError:
        raise
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError, struct.error) as error:
        reason = f"{error}" or type(error).__name__
        raise source.broken(f"{reason} (before byte {source.at})") from None
