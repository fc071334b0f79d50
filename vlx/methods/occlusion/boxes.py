"""Boxes: the rows and columns of a map that a change reaches, others in each image, and what lies in them.

All boxes of a batch are of one size, that of the largest, so that what lies in them is one tensor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

Images = Float[Tensor, "_batch _channel _row _col"]
One = Float[Tensor, "1 _channel _row _col"]


@dataclass(frozen=True, eq=False)
class Span:
    """So many rows, or columns, from a start of its own in each image."""

    starts: Int[np.ndarray, " batch"]
    length: int

    @property
    def places(self) -> Int[np.ndarray, "batch place"]:
        """The rows or columns themselves."""
        return self.starts[:, None] + np.arange(self.length)

    def same(self, other: "Span") -> bool:
        """Whether another holds the same rows or columns of every image."""
        return self.length == other.length and np.array_equal(self.starts, other.starts)

    def joined(self, other: "Span", count: int) -> "Span":
        """From the first to the last of both, of ``count``; of the longest length for every image."""
        first = np.minimum(self.starts, other.starts)
        end = np.maximum(self.starts + self.length, other.starts + other.length)
        length = int((end - first).max())
        return Span(np.minimum(first, count - length), length)

    def moved(self, by: int) -> "Span":
        """The same, counted from so much earlier."""
        return Span(self.starts + by, self.length) if by else self


class Box(NamedTuple):
    """Rows and columns."""

    rows: Span
    cols: Span

    def same(self, other: "Box") -> bool:
        """Whether another holds the same places of every image."""
        return self.rows.same(other.rows) and self.cols.same(other.cols)

    def joined(self, other: "Box", shape: Sequence[int]) -> "Box":
        """The smallest that holds both, of a map of some rows and columns."""
        return Box(self.rows.joined(other.rows, shape[0]), self.cols.joined(other.cols, shape[1]))

    @property
    def places(self) -> int:
        """How many places of an image it holds."""
        return self.rows.length * self.cols.length


@dataclass(frozen=True)
class Axis:
    """How a layer's outputs read its inputs along one axis."""

    extent: int
    """Inputs from the first to the last that one output reads."""
    stride: int
    padding: int

    def reached(self, changed: Span, count: int) -> Span:
        """Those of ``count`` outputs that read a changed input; of the longest length for every image."""
        before = changed.starts + self.padding - (self.extent - 1)
        after = changed.starts + self.padding + changed.length - 1
        first = np.clip(-(-before // self.stride), 0, count - 1)
        last = np.clip(after // self.stride, first, count - 1)
        length = int((last - first).max()) + 1
        return Span(np.minimum(first, count - length), length)

    def read(self, outputs: Span) -> Span:
        """The inputs that some outputs read, counted from the edge of the padding."""
        return Span(outputs.starts * self.stride, (outputs.length - 1) * self.stride + self.extent)

    def around(self, length: int, count: int) -> tuple[int, int]:
        """How much of what ``count`` outputs read lies before, and behind, so many inputs."""
        end = (count - 1) * self.stride + self.extent
        return self.padding, max(end - self.padding - length, 0)


Axes = tuple[Axis, Axis]
"""Of rows and columns."""


def around(found: Images, axes: Axes, counts: Sequence[int], value: float) -> Images:
    """Inputs with all that so many outputs read of what lies around them."""
    rows, cols = (
        axis.around(length, count) for axis, length, count in zip(axes, found.shape[2:], counts, strict=True)
    )
    return functional.pad(found, (*cols, *rows), value=value) if any((*rows, *cols)) else found


def difference(images: Images, first: One) -> Box:
    """The rows and columns where the images differ from the first."""
    change = (images - first).abs_().amax(1)  # not a number is not 0 either
    return Box(_marked(change.amax(2)), _marked(change.amax(1)))


def everywhere(count: int, shape: Sequence[int]) -> Box:
    """All rows and columns of so many images."""
    rows, cols = (Span(np.zeros(count, int), length) for length in shape)
    return Box(rows, cols)


def part_of(images: Images, box: Box) -> Images:
    """The part of each image in a box; of one image, that of each box."""
    shape = images.shape[2:]
    places = _flat(box.rows.places, box.cols.places, shape[1])
    if len(images) > 1:
        places = places + _item(len(images), shape.numel())
    found = images.permute(0, 2, 3, 1).flatten(0, 2).index_select(0, _index(places, images))
    return found.unflatten(0, places.shape).permute(0, 3, 1, 2)


def pasted(whole: One, part: Box, changed: Images, at: Box) -> Images:
    """Part of a map for each image, with what changed pasted in, as far as it lies inside."""
    found = part_of(whole, part)
    height, width = part.rows.length, part.cols.length
    down, right = (span.places - of.starts[:, None] for span, of in zip(at, part, strict=True))
    inside = ((down >= 0) & (down < height))[:, :, None] & ((right >= 0) & (right < width))[:, None, :]
    target = (_flat(down, right, width) + _item(len(down), height * width))[inside]
    source = changed.permute(0, 2, 3, 1).flatten(0, 2)
    if not inside.all():
        source = source[_index(inside, whole)]
    found.permute(0, 2, 3, 1).flatten(0, 2).index_copy_(0, _index(target, whole), source)
    return found


def _marked(change: Float[Tensor, "batch place"]) -> Span:
    """From the first to the last that is not 0, of the longest length for every image."""
    marks: Bool[np.ndarray, "batch place"] = change.ne(0).cpu().numpy()
    count = marks.shape[1]
    first = marks.argmax(1)
    last = np.where(marks.any(1), count - 1 - marks[:, ::-1].argmax(1), first)
    length = int((last - first).max()) + 1
    return Span(np.minimum(first, count - length), length)


def _flat(
    rows: Int[np.ndarray, "batch row"], cols: Int[np.ndarray, "batch col"], width: int
) -> Int[np.ndarray, "batch row col"]:
    """Places by their number in a map that is read row by row."""
    return rows[:, :, None] * width + cols[:, None, :]


def _item(count: int, size: int) -> Int[np.ndarray, "batch 1 1"]:
    """Where each of several maps of one size begins."""
    return np.arange(count)[:, None, None] * size


def _index(places: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(places.ravel()).to(like.device)
