"""Where the network input of an image processor lies on the image: measured, whatever it does.

Three pictures of the image's size go through the processor: a black one, a white one, and one whose
red and blue rise from left to right and whose green rises from top to bottom. White less black tells
where there is image and where padding, and undoes the normalisation; what is left of the third is the
place of each pixel on the image. So squashing, cropping, padding, tiling and thumbnails need no rules.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vlx.errors import ImageError
from vlx.images.frame import Frame, Size

Views = Callable[[Image.Image], Float[Tensor, "view 3 row col"]]
"""What a processor makes of an image: one picture, or several tiles and perhaps a thumbnail."""
_CLOSE = 0.005  # of the image's side: an edge this near to the image's is the image's


@dataclass(frozen=True)
class Layout:
    """How the views of one image lie on it: ``rows`` x ``cols`` tiles that make one picture."""

    tiles: tuple[int, ...]
    """The views that are tiles, row by row."""
    rows: int
    cols: int
    frame: Frame
    """The frame of the picture that the tiles make."""


def measured(views: Views, image: Size) -> Layout:
    """Find how a processor lays out an image of this size.

    Of several views, one that shows what all others show is a thumbnail, and no tile. Raises
    ImageError where a view shows nothing of the image, or tiles do not make a grid.
    """
    if min(image) < 2:
        raise ImageError(
            f"an image of {image[1]} x {image[0]} pixels is a line, on which nothing has a place: "
            "give one of at least 2 pixels a side"
        )
    black, white, ramps = (views(picture).double().cpu() for picture in _pictures(image))
    frames = [_frame(*parts, image) for parts in zip(black, white, ramps, strict=True)]
    if len(frames) == 1:
        return Layout((0,), 1, 1, frames[0])
    whole = _thumbnail(frames)
    tiles, rows, cols = _arranged({at: frame for at, frame in enumerate(frames) if at != whole})
    black, white, ramps = (joined_tiles(made[list(tiles)], rows, cols) for made in (black, white, ramps))
    return Layout(tiles, rows, cols, _frame(black, white, ramps, image))


def joined_tiles(
    tiles: Float[Tensor, "tile channel row col"], rows: int, cols: int
) -> Float[Tensor, "channel height width"]:
    """Tiles, row by row, as one picture."""
    grid = tiles.unflatten(0, (rows, cols)).permute(2, 0, 3, 1, 4)
    return grid.flatten(3, 4).flatten(1, 2)


def _pictures(size: Size) -> tuple[Image.Image, Image.Image, Image.Image]:
    height, width = size
    ramps = np.empty((height, width, 3))
    ramps[:, :, [0, 2]] = ((np.arange(width) + 0.5) / width)[None, :, None]
    ramps[:, :, 1] = ((np.arange(height) + 0.5) / height)[:, None]
    plain = np.zeros((height, width, 3), np.uint8)
    rising = (ramps * 255).round().astype(np.uint8)
    return Image.fromarray(plain), Image.fromarray(plain + 255), Image.fromarray(rising)


def _frame(
    black: Float[Tensor, "3 row col"],
    white: Float[Tensor, "3 row col"],
    ramps: Float[Tensor, "3 row col"],
    image: Size,
) -> Frame:
    span = white - black
    there = (span.abs() > 0.5 * span.abs().amax((1, 2), keepdim=True)).all(0)
    share = (ramps - black) / torch.where(there, span, torch.ones_like(span))
    if min(len(there.any(axis).nonzero()) for axis in (0, 1)) < 2:
        raise ImageError(_too_thin(image))
    top, bottom = _side(share[1], there, image[0], 0)
    left, right = _side(share[0], there, image[1], 1)
    found, whole = (top, left, bottom, right), (0.0, 0.0, float(image[0]), float(image[1]))
    edges = zip(found, whole, (*image, *image), strict=True)
    if not (top < bottom and left < right):
        raise ImageError(_too_thin(image))
    box = tuple(edge if abs(at - edge) <= _CLOSE * side else at for at, edge, side in edges)
    return Frame(image, (black.shape[1], black.shape[2]), (box[0], box[1], box[2], box[3]))


def _side(share: Float[Tensor, "row col"], there: Tensor, length: int, axis: int) -> tuple[float, float]:
    """Where the first and the last edge of the view lie along an axis, in pixels of the image."""
    inside = there.any(1 - axis).nonzero().flatten()
    count = there.shape[axis]
    first, last = int(inside[0]), int(inside[-1])
    margin = (last - first + 1) // 8  # where resampling looks beyond the edge of the image
    at = torch.arange(first + margin, last + 1 - margin)
    if len(at) < 2:
        at = torch.arange(first, last + 1)
    across = share.index_select(axis, at)
    weight = there.index_select(axis, at).to(share)
    values = (across * weight).sum(1 - axis) / weight.sum(1 - axis).clamp_min(1) * length
    slope, start = np.polyfit((at.double() + 0.5).numpy(), values.numpy(), 1)
    return float(start), float(start + slope * count)


def _too_thin(image: Size) -> str:
    return (
        f"the processor leaves nothing of an image of {image[1]} x {image[0]} pixels: "
        "give one that is larger or less thin"
    )


def _thumbnail(frames: Sequence[Frame]) -> int | None:
    """The view that shows what all others show, if there is one."""
    for at, frame in enumerate(frames):
        top, left, bottom, right = frame.box
        middles = [_middle(other) for place, other in enumerate(frames) if place != at]
        if all(top < row < bottom and left < col < right for row, col in middles):
            return at
    return None


def _middle(frame: Frame) -> tuple[float, float]:
    top, left, bottom, right = frame.box
    return (top + bottom) / 2, (left + right) / 2


def _arranged(frames: dict[int, Frame]) -> tuple[tuple[int, ...], int, int]:
    """The tiles row by row, and how many rows and columns they make."""
    tall = sum(frame.box[2] - frame.box[0] for frame in frames.values()) / len(frames)
    wide = sum(frame.box[3] - frame.box[1] for frame in frames.values()) / len(frames)
    top = min(frame.box[0] for frame in frames.values())
    left = min(frame.box[1] for frame in frames.values())
    places = {
        (round((frame.box[0] - top) / tall), round((frame.box[1] - left) / wide)): at
        for at, frame in frames.items()
    }
    rows, cols = max(row for row, _ in places) + 1, max(col for _, col in places) + 1
    if len(places) != len(frames) or rows * cols != len(frames):
        raise ImageError(f"{len(frames)} tiles do not make a grid: give this model smaller images")
    return tuple(places[row, col] for row in range(rows) for col in range(cols)), rows, cols
