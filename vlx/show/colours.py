"""From maps to colours: named scalings, one colour mapping, and overlays on the photo.

There is one mapping for all pictures. A value is divided by the maximum of its scale and nothing else
happens to it: no squaring, no inversion. Scales that begin at 0 use the perceptually uniform ramp
``inferno`` from its purple upwards; scales with negative values use ``RdBu`` reversed, symmetric about
0, so that red speaks for the target and blue against it. Over a photo the ramp's opacity rises evenly
from 0 at value 0 to `OPACITY` at a third of the scale and stays there. The photo below is grey, so
that every colour comes from the map, and a place without evidence shows the bare photo.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from vlx.errors import VlxError
from vlx.explanation import Explained, Explanation, Scaling
from vlx.images.frame import Frame

OPACITY = 0.75
"""Opacity of an overlay from a third of its scale on; below, it falls evenly to 0 at value 0."""
_DARKEST = 0.25  # where on inferno a ramp begins; below it is nearly black


@dataclass(frozen=True)
class Scale:
    """The values that a colour scale covers: 0 to ``high``, or -``high`` to ``high`` if signed."""

    high: float
    signed: bool = False

    @property
    def low(self) -> float:
        """The value at the beginning of the scale."""
        return -self.high if self.signed else 0.0

    def share(self, maps: Float[np.ndarray, "*plane"]) -> Float[np.ndarray, "*plane"]:
        """The maps divided by the scale's end, kept within its two ends; a new array."""
        if self.high <= 0:
            return np.zeros_like(maps, dtype=np.float64)
        return np.clip(np.asarray(maps, np.float64) / self.high, -1.0 if self.signed else 0.0, 1.0)


def unit(plane: Float[np.ndarray, "*plane"]) -> Float[np.ndarray, "*plane"]:
    """The array stretched so that its minimum is 0 and its maximum 1; a new array.

    A constant array becomes 0. This hides how strong the evidence is: `shared_scale` keeps it.

    >>> unit(np.array([2.0, 3.0, 4.0]))
    array([0. , 0.5, 1. ])
    """
    low, high = float(plane.min()), float(plane.max())
    if high <= low:
        return np.zeros_like(plane, dtype=np.float64)
    return (np.asarray(plane, np.float64) - low) / (high - low)


def shared_scale(maps: Sequence[Float[np.ndarray, "*plane"]]) -> Scale:
    """One scale for several maps: 0 to their maximum, or symmetric about 0 if any value is negative.

    >>> shared_scale([np.array([0.0, 2.0]), np.array([1.0, 4.0])])
    Scale(high=4.0, signed=False)
    """
    low = min((float(plane.min()) for plane in maps), default=0.0)
    high = max((float(plane.max()) for plane in maps), default=0.0)
    return Scale(max(high, -low), signed=True) if low < 0 else Scale(max(high, 0.0))


def scales(explanation: Explanation, scaling: Scaling = "common") -> tuple[Scale, ...]:
    """The colour scale of each target.

    Single words, answers and classes share one scale, unless each has its ``own``. A target of several words,
    such as the whole caption, is a sum and always has one: on the shared one it would hide the words. Raises
    VlxError for another scaling.
    """
    maps, targets = explanation.grid_maps, explanation.targets
    if scaling not in get_args(Scaling):
        raise VlxError(f"scale {scaling!r}: give common, one for all words, or own, one for each")
    if scaling == "own":
        return tuple(shared_scale([plane]) for plane in maps)
    together = [plane for plane, target in zip(maps, targets, strict=True) if on_shared_scale(target)]
    shared = shared_scale(together)
    return tuple(
        shared if on_shared_scale(target) else shared_scale([plane])
        for plane, target in zip(maps, targets, strict=True)
    )


def only(explanation: Explanation, targets: Sequence[str | int]) -> Explanation:
    """The same with some of its targets alone, by name or position, in this order.

    Raises VlxError for none, and for one that was not explained.
    """
    places = [explanation.index(one) for one in ([targets] if isinstance(targets, str) else targets)]
    if not places:
        raise VlxError("no target to draw: give at least one word, answer or class that was explained")
    some = tuple(explanation.targets[at] for at in places)
    return replace(explanation, raw=explanation.raw[places], targets=some)


def on_shared_scale(target: Explained) -> bool:
    """Whether a target is one word, answer or class, and so is drawn on the shared scale."""
    return len(target.words) <= 1


@cache
def ramp(signed: bool = False) -> UInt8[np.ndarray, "256 4"]:
    """The overlay's colour and opacity, RGBA bytes, from the beginning of a scale to its end."""
    import matplotlib

    at = np.linspace(0, 1, 256)
    if signed:
        table = matplotlib.colormaps["RdBu_r"](at)
        distance = np.abs(2 * at - 1)
    else:
        table = matplotlib.colormaps["inferno"](_DARKEST + (1 - _DARKEST) * at)
        distance = at
    table[:, 3] = np.minimum(3 * distance, 1) * OPACITY
    colours = (table * 255).round().astype(np.uint8)
    colours.setflags(write=False)  # shared by the cache
    return colours


def tint(plane: Float[np.ndarray, "row col"], scale: Scale) -> UInt8[np.ndarray, "row col 4"]:
    """The colours and opacities of a map, RGBA."""
    share = scale.share(plane)
    at = (share + 1) / 2 if scale.signed else share
    return ramp(scale.signed)[(at * 255).round().astype(np.intp)]


def overlay(photo: Image.Image, plane: Float[np.ndarray, "height width"], scale: Scale) -> Image.Image:
    """The photo in grey under the coloured map, of the photo's size."""
    under = photo.convert("L").convert("RGBA")
    return Image.alpha_composite(under, Image.fromarray(tint(plane, scale))).convert("RGB")


def gradient_picture(raw: Float[np.ndarray, "3 height width"]) -> Image.Image:
    """Signed RGB gradients as the paper shows them: one minimum and maximum for all three channels.

    Zero is one and the same grey all over a picture, a little lighter or darker from picture to
    picture. A constant array, such as one of zeros, is mid-grey all over.
    """
    shown = unit(raw) if raw.min() < raw.max() else np.full(raw.shape, 0.5)
    bytes_ = np.rint(shown * 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(bytes_.transpose(1, 2, 0)))


def reduced(explanation: Explanation, longest: int) -> tuple[Image.Image, Frame]:
    """The photo with its longer side at most ``longest`` pixels, and the frame on that photo."""
    photo, frame = explanation.image, explanation.frame
    factor = longest / max(photo.size)
    if factor >= 1:
        return photo.copy(), frame
    size = max(1, round(photo.height * factor)), max(1, round(photo.width * factor))
    down, across = size[0] / photo.height, size[1] / photo.width
    top, left, bottom, right = frame.box
    box = (top * down, left * across, bottom * down, right * across)
    small = photo.resize((size[1], size[0]), Image.Resampling.LANCZOS)
    return small, replace(frame, image_size=size, box=box)


def target_picture(explanation: Explanation, target: int, scale: Scale, *, longest: int = 480) -> Image.Image:
    """One target's map over the photo, or its gradients on the photo's pixels, ready to look at."""
    photo, frame = reduced(explanation, longest)
    raw = explanation.raw[target]
    if not explanation.at_pixels:
        return overlay(photo, frame.on_image(torch.from_numpy(raw)).numpy(), scale)
    return gradient_picture(frame.on_image(torch.from_numpy(raw)).numpy())
