"""Weights of Caffe (``.caffemodel``): the blobs of its layers (caffe.proto, layers of V1 and of today)."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vlx.adapters.files.proto.wire import Field, fields, numbers, signed, text
from vlx.adapters.files.source import Format, Source, reading

_LAYERS_V1, _LAYERS = 2, 100
_NAME, _BLOBS = {_LAYERS_V1: 4, _LAYERS: 1}, {_LAYERS_V1: 6, _LAYERS: 7}
_OLD_SIZES, _DATA, _SHAPE, _DOUBLES = (1, 2, 3, 4), 5, 7, 8
_DIMENSIONS, _COST = 32, 400


def read_caffemodel(path: str | Path) -> dict[str, list[Tensor]]:
    """The weights of each layer that has some, by the layer's name, in the file's order.

    A convolution has (out, in, height, width) and a bias, a linear layer (out, in). Files of V1 write
    four sizes always: a bias is (1, 1, 1, out) there, a linear layer (1, 1, out, in). A file cut off right
    after a layer reads as one that ends there: see that the layers that are needed are there.

    Raises CheckpointError for a file that is missing, truncated, hostile, or no caffemodel.
    """
    with reading(path, "caffemodel", Format.JSON) as source:  # a network's name may begin with a brace
        found: dict[str, list[Tensor]] = {}
        for field in fields(source, source.size):
            if field.number in _NAME and field.is_bytes:
                name, blobs = _layer(source, field)
                if blobs and name in found:
                    raise source.broken(f"two layers are named {name[:80]!a}")
                if blobs:
                    found[name] = blobs
        if not found:
            raise source.broken("it holds no layer with weights (a .prototxt has none: give the .caffemodel)")
        return found


def layer_names(path: str | Path) -> list[str]:
    """The names of all layers of a ``.caffemodel``, in the file's order, those without weights too."""
    names: list[str] = []
    with reading(path, "caffemodel", Format.JSON) as source:
        for layer in fields(source, source.size):
            if layer.number not in _NAME or not layer.is_bytes:
                continue
            source.seek(layer.start)
            names += [
                text(source, part)
                for part in fields(source, layer.stop)
                if part.number == _NAME[layer.number]
            ]
    return names


def _layer(source: Source, layer: Field) -> tuple[str, list[Tensor]]:
    name, blobs = "", list[Tensor]()
    source.seek(layer.start)
    for field in fields(source, layer.stop):
        if field.number == _NAME[layer.number]:
            name = text(source, field)
        elif field.number == _BLOBS[layer.number] and field.is_bytes:
            source.spend(_COST)
            blobs.append(_blob(source, field))
    return name, blobs


@dataclass
class _Numbers:
    """Where the numbers of a blob lie: one after the other, or in parts."""

    dtype: torch.dtype
    parts: list[tuple[int, int]]

    def take(self, source: Source, field: Field) -> None:
        self.parts.append((field.start, field.stop))


def _blob(source: Source, blob: Field) -> Tensor:
    singles, doubles = _Numbers(torch.float32, []), _Numbers(torch.float64, [])
    old: dict[int, int] = {}
    shape: list[int] | None = None
    source.seek(blob.start)
    for field in fields(source, blob.stop):
        if field.number in _OLD_SIZES and not field.fixed:
            old[field.number] = signed(field.value)
        elif field.number == _SHAPE and field.is_bytes:
            shape = _shape(source, field)
        elif field.number in (_DATA, _DOUBLES) and field.fixed:
            (singles if field.number == _DATA else doubles).take(source, field)
    if shape is None or old:  # Caffe goes by the four old sizes where there are any
        shape = [old.get(at, 0) for at in _OLD_SIZES] if old else []
    return _tensor(source, singles if singles.parts else doubles, shape)


def _shape(source: Source, shape: Field) -> list[int]:
    sizes: list[int] = []
    source.seek(shape.start)
    for field in fields(source, shape.stop):
        if field.number == 1:
            sizes += [signed(size) for size in numbers(source, field)]
    return sizes


def _tensor(source: Source, held: _Numbers, sizes: list[int]) -> Tensor:
    """The tensor of a blob, whose numbers are read in place."""
    length = sum(stop - start for start, stop in held.parts)
    if len(sizes) > _DIMENSIONS or min(sizes, default=0) < 0:
        raise source.broken(f"a blob of sizes {sizes!r:.80}")
    if math.prod(sizes) * held.dtype.itemsize != length:
        raise source.broken(f"a blob of sizes {sizes!r:.80} and {length} bytes of numbers")
    source.spend(length)
    raw, at = torch.empty(length, dtype=torch.uint8), 0
    for start, stop in held.parts:
        source.seek(start)
        source.fill(raw[at : at + stop - start])
        at += stop - start
    return raw.view(held.dtype).reshape(sizes)
