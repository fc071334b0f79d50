"""Writes Torch7 files in their published layout (torch7's File.lua and TH's DiskFile), binary or ascii."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vlx.adapters.files.torch7.reader import Lua, Vec

KINDS = {
    torch.uint8: "Byte",
    torch.int8: "Char",
    torch.int16: "Short",
    torch.int32: "Int",
    torch.int64: "Long",
    torch.float16: "Half",
    torch.float32: "Float",
    torch.float64: "Double",
}


@dataclass(frozen=True, eq=False)
class Function:
    """A Lua function: its code, the upvalues it closes over, and the tag of 6, 7 or 8 it is written with."""

    code: bytes = b"\x1bLJ\x01"
    upvalues: object = None
    tag: int = 8


class Hash(dict[object, object]):
    """A tds.Hash, or what it was called at first."""

    class_name = "tds.Hash"


@dataclass(frozen=True, eq=False)
class Counter:
    """A tds.AtomicCounter."""

    count: int


def write_t7(
    path: Path, value: object, *, cuda: bool = False, ascii: bool = False, version: str | None = "V 1"
) -> Path:
    """Write a value as ``torch.save(path, value)`` would; returns the path.

    Dicts and sequences become tables (these with keys from 1), `Lua` objects of a class, tensors
    tensors over their whole storage (with ``cuda`` those of a GPU), True and False booleans, None nil.
    What is the same object, or lies in the same storage, is written once and referred to.
    """
    path.write_bytes(_Writer(ascii, cuda, version).written(value))
    return path


class _Writer:
    def __init__(self, ascii: bool, cuda: bool, version: str | None) -> None:
        self.ascii = ascii
        self.place = "Cuda" if cuda else ""
        self.version = version
        self.indices: dict[object, int] = {}
        self.kept: list[object] = []  # so that no two objects share an id

    def numbers(self, form: str, values: Iterable[int | float]) -> bytes:
        """Numbers that are written at once: struct's form, or text on one line."""
        values = list(values)
        if not self.ascii:
            return struct.pack(f"<{len(values)}{form}", *values)
        return b" ".join(b"%.17g" % v if form == "d" else b"%d" % v for v in values) + b"\n" * bool(values)

    def raw(self, blob: bytes) -> bytes:
        return blob + b"\n" * (self.ascii and bool(blob))

    def string(self, text: str | bytes) -> bytes:
        blob = text.encode() if isinstance(text, str) else text
        return self.numbers("i", [len(blob)]) + self.raw(blob)

    def written(self, value: object) -> bytes:
        """The tag of a value and what follows it."""
        if value is None:
            return self.numbers("i", [0])
        if isinstance(value, bool):
            return self.numbers("i", [5]) + self.numbers("i", [value])
        if isinstance(value, int | float):
            return self.numbers("i", [1]) + self.numbers("d", [value])
        if isinstance(value, str | bytes):
            return self.numbers("i", [2]) + self.string(value)
        if isinstance(value, Function) and value.tag == 6:
            return self.numbers("i", [6]) + self.code(value)
        return self.shared(value)

    def code(self, value: Function) -> bytes:
        return self.numbers("i", [len(value.code)]) + self.raw(value.code) + self.written(value.upvalues)

    def index(self, key: object) -> tuple[bytes, bool]:
        """The reference to an object, and whether it is new."""
        new = key not in self.indices
        self.indices.setdefault(key, len(self.indices) + 1)
        return self.numbers("i", [self.indices[key]]), new

    def shared(self, value: object) -> bytes:
        self.kept.append(value)
        index, new = self.index(id(value))
        of_class = isinstance(value, Lua | Tensor | Hash | Vec | Counter)
        tag = value.tag if isinstance(value, Function) else 4 if of_class else 3
        return self.numbers("i", [tag]) + index + (self.content(value) if new else b"")

    def content(self, value: object) -> bytes:
        if isinstance(value, Function):
            return self.code(value)
        if isinstance(value, Lua):
            return self.head(value.class_name) + self.written(value.fields)
        if isinstance(value, Tensor):
            return self.tensor(value)
        if isinstance(value, Counter):
            return self.head("tds.AtomicCounter", "V 0") + self.numbers("q", [value.count])
        if isinstance(value, Vec):
            held = b"".join(map(self.written, value))
            return self.head("tds.Vec", "V 0") + self.numbers("q", [len(value)]) + held
        if isinstance(value, Hash):
            held = b"".join(self.written(part) for pair in value.items() for part in pair)
            return self.head(value.class_name, "V 0") + self.numbers("q", [len(value)]) + held
        if isinstance(value, Mapping):
            pairs = list(value.items())
        else:
            assert isinstance(value, Sequence)
            pairs = list(enumerate(value, 1))
        parts = [self.written(part) for pair in pairs for part in pair]
        return self.numbers("i", [len(pairs)]) + b"".join(parts)

    def head(self, kind: str, version: str | None = None) -> bytes:
        return (self.string(version or self.version) if self.version else b"") + self.string(kind)

    def tensor(self, value: Tensor) -> bytes:
        kind = f"torch.{self.place}{KINDS[value.dtype]}".replace("CudaFloat", "Cuda")
        sizes = list(value.shape) if value.numel() else []
        strides = list(value.stride()) if value.numel() else []
        head = self.head(f"{kind}Tensor") + self.numbers("i", [len(sizes)])
        head += self.numbers("q", sizes) + self.numbers("q", strides)
        head += self.numbers("q", [value.storage_offset() + 1])
        if not value.numel():
            return head + self.written(None)
        index, new = self.index(("storage", value.untyped_storage().data_ptr(), value.dtype))
        head += self.numbers("i", [4]) + index
        return head + (self.storage(f"{kind}Storage", value) if new else b"")

    def storage(self, kind: str, value: Tensor) -> bytes:
        self.kept.append(value)
        whole = torch.empty(0, dtype=value.dtype).set_(value.untyped_storage())
        head = self.head(kind) + self.numbers("q", [len(whole)])
        if not self.ascii or value.dtype.itemsize == 1:
            return head + self.raw(whole.numpy().tobytes())
        return head + self.numbers("d" if value.is_floating_point() else "q", whole.tolist())
