"""How images are brought to a classifier: its own way, squashed, their centre, or ten crops.

Ten crops are those of Krizhevsky et al. 2012: the four corners and the middle of the image at 8/7 of the size
of the network input, each also mirrored. Scores are the means of their probabilities, maps the means over the
crops that see a pixel: the generator of CAM merges them on the image too (the paper does not say).
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from PIL import ImageOps
from torch import Tensor

from vlx.errors import VlxError
from vlx.eval.items.opened import Opened, again
from vlx.eval.measures.maps import Map
from vlx.images.frame import Frame
from vlx.images.preprocess import Preprocess, ShortSide, Squash
from vlx.passes.forward import Pass

Crop = Literal["model", "squash", "centre", "ten"]
_LARGER = 8 / 7


@dataclass(frozen=True, eq=False)
class View:
    """A model that sees one part of each image."""

    model: Any
    mirrored: bool = False

    def read(self, opened: Opened) -> Pass:
        """The images of some items, seen so."""
        if not self.mirrored:
            return again(self.model, opened)
        return again(self.model, replace(opened, images=tuple(map(ImageOps.mirror, opened.images))))


def views_of(model: Any, crop: Crop) -> list[View]:
    """The views of a model; the first is not mirrored. It stays as it is.

    Raises VlxError where the model does not say how it prepares images.
    """
    if crop == "model":
        return [View(model)]
    held = getattr(model, "preprocess", None)
    size = held.window or getattr(held.resize, "size", None) if isinstance(held, Preprocess) else None
    if not isinstance(held, Preprocess) or size is None:
        name = getattr(model, "name", type(model).__name__)
        raise VlxError(f"{name} has no preprocess of one size, which --crop {crop} needs: leave it out")
    if crop == "squash":
        return [View(_with(model, replace(held, resize=Squash(size), window=None, corner=None)))]
    short = ShortSide(round(max(size) * _LARGER))
    if crop == "centre":
        kept = held.resize if isinstance(held.resize, ShortSide) else short
        return [View(_with(model, replace(held, resize=kept, window=size, corner=None)))]
    large = round(size[0] * _LARGER), round(size[1] * _LARGER)
    down, right = large[0] - size[0], large[1] - size[1]
    corners = [(down // 2, right // 2), (0, 0), (0, right), (down, 0), (down, right)]
    models = [_with(model, replace(held, resize=Squash(large), window=size, corner=one)) for one in corners]
    return [View(one, mirrored) for mirrored in (False, True) for one in models]


def mean_scores(passes: Sequence[Pass]) -> Float[Tensor, "item step choice"]:
    """The mean of the probabilities of several views."""
    total = _shares(passes[0])
    for one in passes[1:]:
        total = total + _shares(one)
    return total / len(passes)


def _shares(passed: Pass) -> Float[Tensor, "item step choice"]:
    """The probabilities that a model was trained for: of all classes together, or of each by itself."""
    scores = passed.scores.detach().float()
    return scores.sigmoid() if passed.readings[0].odds == "sigmoid" else scores.softmax(-1)


def merged(planes: Sequence[Map], frames: Sequence[Frame], views: Sequence[View]) -> Map:
    """One map of those of several views, each on the image as the view saw it; 0 where none did."""
    if len(planes) == 1:
        return planes[0]
    total, count = np.zeros_like(planes[0]), np.zeros_like(planes[0])
    for plane, frame, view in zip(planes, frames, views, strict=True):
        seen = frame.covered().numpy()
        total += plane[:, ::-1] if view.mirrored else plane
        count += seen[:, ::-1] if view.mirrored else seen
    return total / np.maximum(count, 1)


def crop_told(crop: Crop) -> str:
    """What a protocol says of it."""
    how = {
        "model": "images cropped or squashed as the model prepares them; one crop",
        "squash": "images squashed to the network input, whatever their proportions; one crop",
        "centre": "the centre crop of each image; one crop",
        "ten": "ten crops of each image squashed to 8/7 of the network input, probabilities averaged, maps "
        "averaged over the crops that see a pixel",
    }[crop]
    return (
        f"{how}, maps brought back to the pixels of the original image and 0 where the network did not look"
    )


def _with(model: Any, preprocess: Preprocess) -> Any:
    other = copy.copy(model)
    other.preprocess = preprocess
    return other
