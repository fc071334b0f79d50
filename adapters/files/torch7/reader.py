"""Torch7 files (``.t7``): tables, tensors and objects of classes as plain values (torch7's File.lua)."""

import re
import struct
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from types import GeneratorType
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from vlx.adapters.files.source import Format, Source, reading
from vlx.errors import quietly

_NUMBERS = {
    "Byte": torch.uint8,
    "Char": torch.int8,
    "Short": torch.int16,
    "Int": torch.int32,
    "Long": torch.int64,
    "Half": torch.float16,
    "Float": torch.float32,
    "Double": torch.float64,
}
ELEMENTS = {f"torch.{device}{name}": dtype for device in ("", "Cuda") for name, dtype in _NUMBERS.items()}
ELEMENTS["torch.Cuda"] = torch.float32
"""The element type of ``NAMETensor`` and ``NAMEStorage``."""

DEEPEST = 5_000
"""Objects inside objects that are followed; a graph of nngraph takes four for each of its nodes."""

_NIL, _NUMBER, _STRING, _TABLE, _OBJECT, _BOOLEAN, _FUNCTION, _OLD_CLOSURE, _CLOSURE = range(9)
_PAIR, _ENTRY, _DIMENSIONS = 150, 16, 64
_OWN = ("tds.Hash", "tds_hash", "tds.Vec", "tds.AtomicCounter")
"""Classes of torch's package tds, which write themselves: a whole number, then the objects they hold. Its
first versions called a Hash ``tds_hash``."""
_WHOLE = 2.0**53

Unfinished = Generator[None, Any, Any]
"""A value that is being read: it waits for one part after the other and returns itself."""


class Table(dict[object, object]):
    """A Lua table, or a ``tds.Hash``: a dict that may be a key itself, as in Lua by its identity."""

    __slots__ = ()
    __hash__ = object.__hash__  # pyright: ignore[reportAssignmentType] # a dict has none


class Vec(list[object]):
    """A ``tds.Vec``: a list that may be a key itself."""

    __slots__ = ()
    __hash__ = object.__hash__  # pyright: ignore[reportAssignmentType] # a list has none


@dataclass(frozen=True, eq=False, slots=True)
class Lua:
    """An object of a Lua class, as ``nn.Linear`` or ``nngraph.Node``: its class and its fields."""

    class_name: str
    # Graphs refer to each other many times over: to show them whole would never end.
    fields: dict[object, object] = field(default_factory=Table, repr=False)


def read_t7(path: str | Path) -> object:
    """The value that a Torch7 file holds, binary or ascii.

    Tables become dicts with whole numbers as int, tensors and storages `torch.Tensor` that share memory
    where the file shares it (those of a GPU come to the CPU), objects of classes `Lua`; what is
    referred to twice is one object. Of torch's package tds a Hash becomes a dict, a Vec a list, a counter
    an int. Functions become None and are never run. Strings that are not
    UTF-8 are taken as Latin-1.

    Raises CheckpointError for a file that is missing, truncated, hostile, or no Torch7 file.
    """
    with reading(path, "Torch7 file", Format.T7) as source:
        plain = source.take(min(2, source.size))[1:] == b"\n"
        source.seek(0)
        value = _Reader(source, _Ascii(source) if plain else _Binary(source)).whole()
        if source.remaining:
            raise source.broken(f"{source.remaining} bytes follow its one object")
        return value


class _Binary:
    """Numbers as a 64-bit little-endian machine writes them."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def whole(self) -> int:
        return int.from_bytes(self.source.take(4), "little", signed=True)

    def longs(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}q", self.source.take(8 * count))

    def real(self) -> float:
        return struct.unpack("<d", self.source.take(8))[0]

    def raw(self, count: int) -> bytes:
        return self.source.take(count)

    def numbers(self, count: int, dtype: torch.dtype) -> Shaped[Tensor, " element"]:
        return self.source.tensor(count, dtype)


class _Ascii:
    """Numbers as text: what is written at once on one line; bytes as they are, then a line's end."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def whole(self) -> int:
        return int(self.source.line(24))

    def longs(self, count: int) -> tuple[int, ...]:
        found = tuple(map(int, self.source.line(24 * count).split())) if count else ()
        if len(found) != count:
            raise self.source.broken(f"{len(found)} numbers where {count} should be")
        return found

    def real(self) -> float:
        return float(self.source.line(64))

    def raw(self, count: int) -> bytes:
        taken = self.source.take(count)
        if count and self.source.take(1) != b"\n":
            raise self.source.broken(f"no line ends after {count} bytes")
        return taken

    def numbers(self, count: int, dtype: torch.dtype) -> Shaped[Tensor, " element"]:
        if dtype.itemsize == 1:
            taken = self.raw(count)
            self.source.spend(count)
            return torch.frombuffer(bytearray(taken), dtype=dtype) if count else torch.empty(0, dtype=dtype)
        self.source.need(2 * count, f"bytes of {count} numbers")
        self.source.spend(count * dtype.itemsize)
        line = self.source.line(self.source.remaining) if count else b""
        with quietly():  # of what is no number, which leaves too few
            element = np.dtype(str(dtype).removeprefix("torch."))
            found = np.fromstring(line, element, sep=" ")
        if len(found) != count:
            raise self.source.broken(f"{len(found)} numbers where {count} should be")
        return torch.from_numpy(found)


class _Reader:
    """Reads objects one inside the other without recursion, however deep they lie."""

    def __init__(self, source: Source, form: _Binary | _Ascii) -> None:
        self.source = source
        self.form = form
        self.known: dict[int, object] = {}

    def whole(self) -> object:
        """The next object with all its parts."""
        waiting: list[Unfinished] = []
        made = self._begin()
        while True:
            if isinstance(made, GeneratorType):
                if len(waiting) == DEEPEST:
                    raise self.source.broken(f"it nests objects deeper than {DEEPEST}")
                waiting.append(cast(Unfinished, made))
                made = None  # to start it
            if not waiting:
                return made
            try:
                waiting[-1].send(made)
            except StopIteration as done:
                waiting.pop()
                made = done.value
            else:
                made = self._begin()

    def _begin(self) -> object:
        """The next object, or the generator of one that has parts."""
        tag = self.form.whole()
        if tag == _NIL:
            return None
        if tag == _NUMBER:
            self.source.spend(32)
            return _number(self.form.real())
        if tag == _STRING:
            return self._string()
        if tag == _BOOLEAN:
            return bool(self.form.whole())
        if tag == _FUNCTION:
            return self._function()
        if tag not in (_TABLE, _OBJECT, _OLD_CLOSURE, _CLOSURE):
            raise self.source.broken(f"unknown kind of object {tag} before byte {self.source.at}")
        index = self.form.whole()
        if index in self.known:
            return self.known[index]
        self.source.spend(400)
        if tag == _TABLE:
            return self._table(index)
        return self._object(index) if tag == _OBJECT else self._function(index)

    def _string(self) -> str:
        return self.source.old_text(self.form.raw(self.form.whole()))

    def _table(self, index: int) -> Unfinished:
        return self._pairs(index, self.form.whole())

    def _pairs(self, index: int, count: int) -> Unfinished:
        table = self.known[index] = Table()
        self.source.need(4 * count, f"bytes of {count} pairs")
        for _ in range(count):
            key = yield
            value = yield
            if key is None:  # a function
                continue
            if key in table:
                raise self.source.broken(f"a table has a key twice before byte {self.source.at}")
            self.source.spend(_PAIR)
            table[key] = value
        return table

    def _vec(self, index: int, count: int) -> Unfinished:
        vec = self.known[index] = Vec()
        self.source.need(2 * count, f"bytes of {count} values")
        for _ in range(count):
            value = yield
            self.source.spend(_ENTRY)
            vec.append(value)
        return vec

    def _function(self, index: int | None = None) -> Unfinished:
        self.form.raw(self.form.whole())
        if index is not None:
            self.known[index] = None
        yield  # its upvalues, which may hold what is referred to later
        return None

    def _object(self, index: int) -> object:
        name = self._string()
        if re.fullmatch(r"V \d+", name):  # the oldest files go without a version
            name = self._string()
        if name in _OWN:
            count = self.form.longs(1)[0]
            if name == "tds.AtomicCounter":
                self.known[index] = count
                return count
            return self._vec(index, count) if name == "tds.Vec" else self._pairs(index, count)
        return self._of_class(index, name)

    def _of_class(self, index: int, name: str) -> Unfinished:
        element = ELEMENTS.get(name.removesuffix("Tensor").removesuffix("Storage"))
        if element is None:
            made = self.known[index] = Lua(name)
            fields = yield
            if not isinstance(fields, Table):
                raise self.source.broken(f"an object of {name[:80]!a} is not written as a table of fields")
            object.__setattr__(made, "fields", fields)  # it was known before its fields were
            return made
        if name.endswith("Storage"):
            self.known[index] = self.form.numbers(self.form.longs(1)[0], element)
        else:
            dimensions = self.form.whole()
            if not 0 <= dimensions <= _DIMENSIONS:
                raise self.source.broken(f"a tensor of {dimensions} dimensions")
            sizes, strides = self.form.longs(dimensions), self.form.longs(dimensions)
            offset = self.form.longs(1)[0]
            storage = yield
            if storage is None or not sizes:  # in Lua no dimensions are no elements
                storage, offset, sizes, strides = torch.empty(0, dtype=element), 1, (0,), (1,)
            if not isinstance(storage, Tensor) or storage.dtype != element or storage.dim() != 1:
                raise self.source.broken(f"a {name} has no storage of its kind")
            self.known[index] = self.source.strided(storage, offset - 1, sizes, strides)
        return self.known[index]


def _number(value: float) -> int | float:
    return int(value) if abs(value) < _WHOLE and value == int(value) else value
