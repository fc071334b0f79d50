"""Which part of a picture each value of a tensor is computed from: its receptive field, padding included.

A field is four tensors of the shape of the values: the first and the last edge of each value's part, along
rows and columns, in pixels of the picture; of a clip two more, in frames. What is computed from no pixel is
empty: it lasts from +inf to -inf, so that the field of several values together is always the lowest and the
highest edge.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle
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
    begin: Tensor | None = None
    """Of a clip alone: the first edge in time, and the last."""
    end: Tensor | None = None

    @property
    def edges(self) -> tuple[Tensor, ...]:
        """First and last along rows, first and last along columns; of a clip first and last in time."""
        space = self.top, self.bottom, self.left, self.right
        return space if self.begin is None or self.end is None else (*space, self.begin, self.end)

    @property
    def axes(self) -> int:
        """2 of a picture, 3 of a clip."""
        return len(self.edges) // 2

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
        found = (outermost(edge, -1, keepdim=True).expand(shape) for edge, outermost in self._outermost())
        return Field(*found)

    def beside(self, other: "Field") -> "Field":
        """The field of what is computed from both."""
        both = zip(self.edges, other.edges, cycle((torch.minimum, torch.maximum)), strict=False)
        return Field(*(outermost(mine, others) for mine, others, outermost in both))

    def _outermost(self) -> Iterable[tuple[Tensor, Callable[..., Tensor]]]:
        """The edges, each with what tells the outermost of several of its kind."""
        return zip(self.edges, cycle((torch.amin, torch.amax)), strict=False)


def field_of_picture(picture: Float[Tensor, "batch channel *frame height width"]) -> Field:
    """The field of pixels: each its own; of a clip (batch, channel, frame, height, width) in each frame.

    >>> field_of_picture(torch.zeros(1, 3, 2, 4)).left[0, 0, 0]
    tensor([0., 1., 2., 3.])
    """
    height, width = picture.shape[-2:]
    rows = torch.arange(height, dtype=torch.float32, device=picture.device)[:, None].expand(picture.shape)
    cols = torch.arange(width, dtype=torch.float32, device=picture.device).expand(picture.shape)
    if picture.ndim < 5:
        return Field(rows, rows + 1, cols, cols + 1)
    frames = torch.arange(picture.shape[2], dtype=torch.float32, device=picture.device)
    frames = frames[:, None, None].expand(picture.shape)
    return Field(rows, rows + 1, cols, cols + 1, frames, frames + 1)


def empty_field(values: Tensor, axes: int = 2) -> Field:
    """The field of values that no pixel takes part in, such as a class token."""
    low = torch.full((), inf, device=values.device).expand(values.shape)
    high = torch.full((), -inf, device=values.device).expand(values.shape)
    return Field(*(low, high) * axes)


def through_windows(field: Field, reaches: Sequence[Reach], shape: torch.Size) -> Field | None:
    """The field of maps (batch, channel, row, col) that windows over the last two axes give.

    Reaches are of rows and of columns; of a clip, (batch, channel, time, row, col), of time behind them. None
    where the values of a map do not lie in rows and columns, and where there are other axes.
    """
    if len(reaches) != field.axes:
        return None
    edges: list[Tensor] = []
    for number, (reach, axis) in enumerate(zip(reaches, _AXES, strict=False)):
        low = _along(field.edges[2 * number], axis, torch.amin, field.axes)
        high = _along(field.edges[2 * number + 1], axis, torch.amax, field.axes)
        if low is None or high is None:
            return None
        for line, at in zip((low, high), reach, strict=True):
            edges.append(_lying(_at(line, at.to(line)), axis).expand(shape))
    return Field(*edges)


_AXES = (-2, -1, -3)
"""Rows, columns, time."""


def _along(
    edge: Tensor, axis: int, outermost: Callable[..., Tensor], axes: int
) -> Float[Tensor, " place"] | None:
    """The edges along an axis, of all channels together; None where they differ across the other axes."""
    plane = outermost(edge.flatten(0, -axes - 1), 0)
    line = plane.movedim(axis, -1).flatten(0, -2)[0]
    return line if bool(line.isfinite().all() and (plane == _lying(line, axis)).all()) else None


def _lying(line: Float[Tensor, " place"], axis: int) -> Tensor:
    """A line along one of the last axes."""
    return line.view(-1, *[1] * (-axis - 1))


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


def each_axis(given: Any, axes: int = 2) -> tuple[int, ...]:
    """A number for rows, for columns and for time, of one for all or of one for each as torch orders them.

    >>> each_axis(3), each_axis((1, 2, 3), 3)
    ((3, 3), (2, 3, 1))
    """
    listed = [int(one) for one in given] if isinstance(given, list | tuple) else [int(given)]
    listed = listed * axes if len(listed) == 1 else listed
    return tuple(listed[at] for at in _AXES[:axes])
