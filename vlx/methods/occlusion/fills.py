"""What is hidden with: a colour, the mean colour of the image, the image itself blurred, or zeros.

A square of a colour that is nowhere in the image is an object of its own: the network sees it, and the score
falls for what was put there, not for what was taken away.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from PIL import ImageColor
from torch import Tensor

from vlx.errors import VlxError

Pixels = Float[np.ndarray, "_channel _height _width"]
NAMES = ("mean", "blur", "zero")
"""The mean colour of this image, this image strongly blurred, what the network sees as 0."""

Fill = str | tuple[int, int, int] | None
"""One of `NAMES`; a colour, as red, green and blue of 0 to 255; None for the colour that the preprocessing
subtracts where that is the mean colour of its data, as in the paper, and the mean of the image elsewhere."""

Colour = Callable[[Sequence[float]], Float[Tensor, " channel"]]
"""What a colour (red, green, blue of 0 to 1) becomes in the network input."""

_PLAIN = (0.0, 0.5, 1.0)  # black, middle grey and white: what is subtracted without a look at any data
_NEAR = 0.01


def checked_fill(given: Any) -> Fill:
    """A fill as it is kept: a name, or a colour as three whole numbers. Raises VlxError for anything else.

    >>> checked_fill("#808080"), checked_fill("white"), checked_fill("blur")
    ((128, 128, 128), (255, 255, 255), 'blur')
    """
    if given is None or (isinstance(given, str) and given in NAMES):
        return given
    try:
        colour = ImageColor.getrgb(given) if isinstance(given, str) else tuple(map(operator.index, given))
    except (ValueError, TypeError):
        colour = ()
    if len(colour) != 3 or not all(0 <= part <= 255 for part in colour):
        raise VlxError(
            f"no fill {given!r}: give mean, blur, zero, a colour such as '#808080' or 'white', or its red, "
            "green and blue as whole numbers of 0 to 255"
        )
    return colour


def fill_name(fill: Fill) -> str:
    """A fill as a part of a name; empty for None.

    >>> fill_name((128, 0, 255)), fill_name("blur")
    ('8000ff', 'blur')
    """
    return "".join(f"{part:02x}" for part in fill) if isinstance(fill, tuple) else fill or ""


def filling(
    image: Pixels,
    fill: Fill,
    size: int,
    colour: Colour | None = None,
    seen: Bool[np.ndarray, "_height _width"] | None = None,
) -> np.ndarray:
    """What windows of ``size`` pixels are filled with, in terms of the network input.

    One value for each channel, or a whole image. ``colour`` says what a colour becomes in the network input;
    ``seen`` are the pixels that show the image, where others pad it. Raises VlxError for a colour without it.
    """
    if isinstance(fill, tuple):
        if colour is None:
            raise VlxError(
                f"the model does not say what the colour #{fill_name(fill)} becomes in its input "
                "(colour of vlx.Below): hide with mean, blur or zero"
            )
        return _values(colour([part / 255 for part in fill]))
    if fill == "blur":
        from scipy import ndimage  # not for whoever only names a fill

        return ndimage.gaussian_filter(image, (0, size, size), mode="nearest")
    if fill == "zero" or (fill is None and colour is not None and subtracts_a_mean(colour)):
        return np.zeros(len(image))
    shown = image.reshape(len(image), -1) if seen is None or not seen.any() else image[:, seen]
    return shown.mean(1, dtype=np.float64)


def subtracts_a_mean(colour: Colour) -> bool:
    """Whether 0 in the network input is the mean colour of some data: a colour, and no plain grey.

    Where a preprocessing subtracts a half or nothing, 0 is middle grey or black, which no data had as mean.

    >>> from vlx.images import Preprocess, imagenet
    >>> subtracts_a_mean(imagenet().colour), subtracts_a_mean(Preprocess(mean=(0.5, 0.5, 0.5)).colour)
    (True, False)
    """
    black, white = (_values(colour([level] * 3)) for level in (0.0, 1.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        zero = black / (black - white)
    inside = bool(((zero > -_NEAR) & (zero < 1 + _NEAR)).all())
    return inside and not any(np.abs(zero - plain).max() < _NEAR for plain in _PLAIN)


def _values(colour: Tensor) -> Float[np.ndarray, " channel"]:
    return colour.detach().double().cpu().numpy()
