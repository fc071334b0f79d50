"""Where the network input lies on the original image, and how maps get back there.

Coordinates are (row, col) and continuous: pixel i covers [i, i + 1), so its centre is i + 0.5.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from vlx.errors import VlxError
from vlx.images.bilinear import linear_weights

Size = tuple[int, int]
"""Height and width in pixels."""
Centres = tuple[tuple[float, ...], tuple[float, ...]]
"""Where the rows and the columns of a grid lie, by their middles in pixels of the network input."""


@dataclass(frozen=True)
class Frame:
    """The network input of ``input_size`` covers ``box`` of the original image of ``image_size``.

    ``box`` is (top, left, bottom, right) in pixels of the original image. It is the whole image after a
    plain resize, a part of it after a crop, and reaches beyond it after padding.

    The cells of a map divide the network input evenly, unless it has as many rows and columns as
    ``centres``, which then say where its cells look. Of a convolution without padding, the outer cells do
    not reach the border of the input.

    >>> frame = vlx.Frame.resized((200, 400), (100, 100))
    >>> frame.to_image(50.0, 50.0)
    (100.0, 200.0)
    >>> frame.cropped(10, 10, 80, 80).box
    (20.0, 40.0, 180.0, 360.0)
    """

    image_size: Size
    input_size: Size
    box: tuple[float, float, float, float]
    centres: Centres | None = None

    def __post_init__(self) -> None:
        top, left, bottom, right = self.box
        if min(*self.image_size, *self.input_size) < 1:
            raise VlxError(f"sizes must be positive: image {self.image_size}, input {self.input_size}")
        if not (top < bottom and left < right and all(map(math.isfinite, self.box))):
            raise VlxError(f"the box {self.box} is empty or not finite: give (top, left, bottom, right)")
        if self.centres is not None and not all(map(_rising, self.centres)):
            raise VlxError(f"the centres of cells {self.centres} do not rise from the first to the last")

    @staticmethod
    def resized(image_size: Size, input_size: Size) -> "Frame":
        """The frame of an image resized as a whole, whatever its proportions."""
        return Frame(image_size, input_size, (0.0, 0.0, float(image_size[0]), float(image_size[1])))

    def cropped(self, top: int, left: int, height: int, width: int) -> "Frame":
        """The frame after a crop of the network input; ``top`` and ``left`` are negative for padding."""
        down, across = self._pixel()
        first_row, first_col = self.box[0] + top * down, self.box[1] + left * across
        box = (first_row, first_col, first_row + height * down, first_col + width * across)
        return replace(self, input_size=(height, width), box=box, centres=None)

    def to_image(self, row: float, col: float) -> tuple[float, float]:
        """A point of the network input as a point of the original image."""
        down, across = self._pixel()
        return self.box[0] + row * down, self.box[1] + col * across

    def to_network(self, row: float, col: float) -> tuple[float, float]:
        """A point of the original image as a point of the network input."""
        down, across = self._pixel()
        return (row - self.box[0]) / down, (col - self.box[1]) / across

    def on_image(
        self, maps: Float[Tensor, "*target row col"], *, align_corners: bool = False
    ) -> Float[Tensor, "*target height width"]:
        """Maps on the network input, on the pixels of the original image.

        Bilinear between the centres of cells, constant beyond the outermost centres, zero outside
        the box. With ``align_corners`` the outermost cells' centres lie on the outermost pixels of the
        box, as in the authors' code.

        >>> frame = vlx.Frame.resized((1, 4), (1, 2))
        >>> frame.on_image(torch.tensor([[0.0, 4.0]]))
        tensor([[0., 1., 3., 4.]])
        >>> near = vlx.Frame((1, 4), (1, 2), frame.box, centres=((0.5,), (0.5, 1.0)))
        >>> near.on_image(torch.tensor([[0.0, 4.0]]))
        tensor([[0., 2., 4., 4.]])
        """
        top, left, bottom, right = self.box
        placed = None if align_corners else self._placed(maps)
        rows, cols = (
            _weights(maps.shape[axis - 2], self.image_size[axis], first, last, align_corners)
            if placed is None
            else _centred(placed[axis], self.input_size[axis], self.image_size[axis], first, last)
            for axis, first, last in ((0, top, bottom), (1, left, right))
        )
        return rows.to(maps) @ maps @ cols.to(maps).T

    def on_input(self, maps: Float[Tensor, "*target row col"]) -> Float[Tensor, "*target height width"]:
        """Maps on the network input, bilinear on its pixels.

        >>> frame = vlx.Frame.resized((1, 8), (1, 4))
        >>> frame.on_input(torch.tensor([[0.0, 4.0]]))
        tensor([[0., 1., 3., 4.]])
        """
        placed = self._placed(maps)
        if placed is not None:
            rows, cols = (
                _centred(line, length, length, 0.0, float(length)).to(maps)
                for line, length in zip(placed, self.input_size, strict=True)
            )
            return rows @ maps @ cols.T
        flat = maps.reshape(-1, 1, *maps.shape[-2:])
        wide = F.interpolate(flat, self.input_size, mode="bilinear", align_corners=False)
        return wide.reshape(*maps.shape[:-2], *self.input_size)

    def covered(self) -> Bool[Tensor, "height width"]:
        """The pixels of the original image whose centre the network saw.

        >>> vlx.Frame.resized((1, 4), (1, 4)).cropped(0, 1, 1, 2).covered()
        tensor([[False,  True,  True, False]])
        """
        top, left, bottom, right = self.box
        rows = _inside(self.image_size[0], top, bottom)
        cols = _inside(self.image_size[1], left, right)
        return rows[:, None] & cols[None, :]

    def _placed(self, maps: Tensor) -> Centres | None:
        """The centres of a map's cells, where they are those of this frame."""
        return self.centres if self.centres and tuple(map(len, self.centres)) == maps.shape[-2:] else None

    def _pixel(self) -> tuple[float, float]:
        """Height and width of one pixel of the network input, in pixels of the original image."""
        top, left, bottom, right = self.box
        return (bottom - top) / self.input_size[0], (right - left) / self.input_size[1]


def _inside(length: int, first: float, last: float) -> Bool[Tensor, " pixel"]:
    centres = torch.arange(length, dtype=torch.float64) + 0.5
    return (centres > first) & (centres < last)


def _rising(line: Sequence[float]) -> bool:
    return len(line) > 0 and all(map(math.isfinite, line)) and all(a < b for a, b in pairwise(line))


def _centred(
    line: Sequence[float], pixels: int, length: int, first: float, last: float
) -> Float[Tensor, "pixel cell"]:
    """As `_weights`, for cells whose centres lie at these pixels of the network input."""
    centres = torch.arange(length, dtype=torch.float64) + 0.5
    at = (centres - first) / (last - first) * pixels
    weights = torch.from_numpy(linear_weights(np.interp(at.numpy(), line, np.arange(len(line))), len(line)))
    return weights * _inside(length, first, last)[:, None]


def _weights(
    cells: int, length: int, first: float, last: float, align_corners: bool
) -> Float[Tensor, "pixel cell"]:
    """Row i holds the weights of the cells at pixel i; all zero outside [first, last]."""
    centres = torch.arange(length, dtype=torch.float64) + 0.5
    if align_corners:
        spread = max(last - first - 1, 1e-9)
        at = (centres - 0.5 - first) / spread * (cells - 1)
    else:
        at = (centres - first) / (last - first) * cells - 0.5
    weights = torch.from_numpy(linear_weights(at.numpy(), cells))
    return weights * _inside(length, first, last)[:, None]


def frame_of(*, centres: Any = None, **sides: Any) -> Frame:
    """A frame as it was saved; older files have no centres.

    >>> frame_of(image_size=[4, 6], input_size=[2, 3], box=[0.0, 0.0, 4.0, 6.0]).box
    (0.0, 0.0, 4.0, 6.0)
    """
    placed = None if centres is None else (tuple(centres[0]), tuple(centres[1]))
    named = {name: tuple(sides[name]) for name in ("image_size", "input_size", "box")}
    return Frame(**named, centres=placed)
