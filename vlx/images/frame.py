"""Where the network input lies on the original image, and how maps get back there.

Coordinates are (row, col) and continuous: pixel i covers [i, i + 1), so its centre is i + 0.5.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from vlx.errors import VlxError
from vlx.images.bilinear import linear_weights

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class Frame:
    """The network input of ``input_size`` covers ``box`` of the original image of ``image_size``.

    ``box`` is (top, left, bottom, right) in pixels of the original image. It is the whole image after a
    plain resize, a part of it after a crop, and reaches beyond it after padding.

    >>> frame = vlx.Frame.resized((200, 400), (100, 100))
    >>> frame.to_image(50.0, 50.0)
    (100.0, 200.0)
    >>> frame.cropped(10, 10, 80, 80).box
    (20.0, 40.0, 180.0, 360.0)
    """

    image_size: Size
    input_size: Size
    box: tuple[float, float, float, float]

    def __post_init__(self) -> None:
        top, left, bottom, right = self.box
        if min(*self.image_size, *self.input_size) < 1:
            raise VlxError(f"sizes must be positive: image {self.image_size}, input {self.input_size}")
        if not (top < bottom and left < right and all(map(math.isfinite, self.box))):
            raise VlxError(f"the box {self.box} is empty or not finite: give (top, left, bottom, right)")

    @staticmethod
    def resized(image_size: Size, input_size: Size) -> "Frame":
        """The frame of an image resized as a whole, whatever its proportions."""
        return Frame(image_size, input_size, (0.0, 0.0, float(image_size[0]), float(image_size[1])))

    def cropped(self, top: int, left: int, height: int, width: int) -> "Frame":
        """The frame after a crop of the network input; ``top`` and ``left`` are negative for padding."""
        down, across = self._pixel()
        first_row, first_col = self.box[0] + top * down, self.box[1] + left * across
        box = (first_row, first_col, first_row + height * down, first_col + width * across)
        return replace(self, input_size=(height, width), box=box)

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
        """Maps whose cells divide the network input, on the pixels of the original image.

        Bilinear between the centres of cells, constant beyond the outermost centres, zero outside
        the box. With ``align_corners`` the outermost cells' centres lie on the outermost pixels of the
        box, as in the authors' code.

        >>> frame = vlx.Frame.resized((1, 4), (1, 2))
        >>> frame.on_image(torch.tensor([[0.0, 4.0]]))
        tensor([[0., 1., 3., 4.]])
        """
        top, left, bottom, right = self.box
        rows = _weights(maps.shape[-2], self.image_size[0], top, bottom, align_corners).to(maps)
        cols = _weights(maps.shape[-1], self.image_size[1], left, right, align_corners).to(maps)
        return rows @ maps @ cols.T

    def on_input(self, maps: Float[Tensor, "*target row col"]) -> Float[Tensor, "*target height width"]:
        """Maps whose cells divide the network input, bilinear on its pixels.

        >>> frame = vlx.Frame.resized((1, 8), (1, 4))
        >>> frame.on_input(torch.tensor([[0.0, 4.0]]))
        tensor([[0., 1., 3., 4.]])
        """
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

    def _pixel(self) -> tuple[float, float]:
        """Height and width of one pixel of the network input, in pixels of the original image."""
        top, left, bottom, right = self.box
        return (bottom - top) / self.input_size[0], (right - left) / self.input_size[1]


def _inside(length: int, first: float, last: float) -> Bool[Tensor, " pixel"]:
    centres = torch.arange(length, dtype=torch.float64) + 0.5
    return (centres > first) & (centres < last)


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
