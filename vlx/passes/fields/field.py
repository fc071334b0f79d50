"""Which part of a picture each value of a tensor is computed from: its receptive field, padding included.

A field is four tensors of the shape of the values: the first and the last edge of each value's part, along
rows and columns, in pixels of the picture. What is computed from no pixel is empty: it lasts from +inf to
-inf, so that the field of several values together is always the lowest and the highest edge.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

Reach = tuple[Float[Tensor, "_"], Float[Tensor, "_"]]
"""For each output of a window along an axis, the first and the last input that it reads. Not rounded, and
beyond the input where the window is."""


@dataclass(frozen=True, eq=False)
class Field:
    """The edges of the parts of a picture, each of the shape of the values."""

    top: Tensor
    bottom: Tensor
    left: Tensor
    right: Tensor

    @property
    def edges(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """First and last along rows, first and last along columns."""
        return self.top, self.bottom, self.left, self.right

    @property
    def extent(self) -> float:
        """How much of the picture a value is computed from on average, by the sides of its part."""
        down, across = self.bottom - self.top, self.right - self.left
        known = down.isfinite() & across.isfinite()
        return float((down + across)[known].mean()) if bool(known.any()) else inf

    def moved(self, move: Callable[[Tensor], Tensor]) -> "Field":
        """The field of values that were only put elsewhere."""
        return Field(*map(move, self.edges))

    def over_last(self, shape: torch.Size) -> "Field":
        """The field of sums over the last axis, which then has another length."""
        first, last = (self.top, self.left), (self.bottom, self.right)
        low = [edge.amin(-1, keepdim=True).expand(shape) for edge in first]
        high = [edge.amax(-1, keepdim=True).expand(shape) for edge in last]
        return Field(low[0], high[0], low[1], high[1])

    def beside(self, other: "Field") -> "Field":
        """The field of what is computed from both."""
        return Field(
            torch.minimum(self.top, other.top), torch.maximum(self.bottom, other.bottom),
            torch.minimum(self.left, other.left), torch.maximum(self.right, other.right),
        )  # fmt: skip


def field_of_picture(picture: Float[Tensor, "batch channel height width"]) -> Field:
    """The field of pixels: each its own.

    >>> field_of_picture(torch.zeros(1, 3, 2, 4)).left[0, 0, 0]
    tensor([0., 1., 2., 3.])
    """
    height, width = picture.shape[-2:]
    rows = torch.arange(height, dtype=torch.float32, device=picture.device)[:, None].expand(picture.shape)
    cols = torch.arange(width, dtype=torch.float32, device=picture.device).expand(picture.shape)
    return Field(rows, rows + 1, cols, cols + 1)


def empty_field(values: Tensor) -> Field:
    """The field of values that no pixel takes part in, such as a class token."""
    low = torch.full((), inf, device=values.device).expand(values.shape)
    high = torch.full((), -inf, device=values.device).expand(values.shape)
    return Field(low, high, low, high)


def through_windows(field: Field, rows: Reach, cols: Reach, shape: torch.Size) -> Field | None:
    """The field of maps (batch, channel, row, col) that windows over the last two axes give.

    None where the values of a map do not lie in rows and columns.
    """
    edges: list[Tensor] = []
    for first, last, reach, axis in ((0, 1, rows, -2), (2, 3, cols, -1)):
        low = _along(field.edges[first], axis, torch.amin)
        high = _along(field.edges[last], axis, torch.amax)
        if low is None or high is None:
            return None
        for line, at in zip((low, high), reach, strict=True):
            found = _at(line, at.to(line)).view((-1, 1) if axis == -2 else (1, -1))
            edges.append(found.expand(shape))
    return Field(*edges)


def _along(edge: Tensor, axis: int, outermost: Callable[..., Tensor]) -> Float[Tensor, " place"] | None:
    """The edges along an axis, of all channels together; None where they differ across the other axis."""
    plane = outermost(edge.flatten(0, -3), 0)
    line = plane.select(-1 if axis == -2 else -2, 0)
    spread = line[:, None] if axis == -2 else line[None, :]
    return line if bool(line.isfinite().all() and (plane == spread).all()) else None


def _at(line: Float[Tensor, " place"], at: Float[Tensor, " out"]) -> Float[Tensor, " out"]:
    """Edges between and beyond those of the places, which go on as they do at the end."""
    if len(line) == 1:
        return line.expand(at.shape)
    below = at.floor().clamp(0, len(line) - 2).long()
    return line[below] + (at - below) * (line[below + 1] - line[below])


def sliding(count: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> Reach:
    """What the windows of a convolution or a pool read along an axis."""
    first = torch.arange(count, dtype=torch.float32) * stride - padding
    return first, first + dilation * (kernel - 1)


def spreading(count: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> Reach:
    """What the outputs of a transposed convolution read along an axis."""
    last = (torch.arange(count, dtype=torch.float32) + padding) / stride
    return last - dilation * (kernel - 1) / stride, last


def dividing(count: int, length: int) -> Reach:
    """What adaptive pools read along an axis."""
    at = torch.arange(count)
    return (at * length // count).float(), (((at + 1) * length - 1) // count).float()


def resizing(count: int, length: int, align_corners: bool) -> Reach:
    """Where resampling reads along an axis, as a single point."""
    at = torch.arange(count, dtype=torch.float32)
    point = at * ((length - 1) / max(count - 1, 1)) if align_corners else (at + 0.5) * length / count - 0.5
    return point, point


def shifting(count: int, before: int) -> Reach:
    """What is read along an axis after ``before`` places were put in front."""
    at = torch.arange(count, dtype=torch.float32) - before
    return at, at


def pair(given: Any) -> tuple[int, int]:
    """Two numbers, of rows and of columns, of one or two."""
    listed = [int(one) for one in given] if isinstance(given, list | tuple) else [int(given)]
    return (listed[0], listed[-1])
