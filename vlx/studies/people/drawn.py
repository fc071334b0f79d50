"""The questions of an image, with their pictures: by each visualisation, and attention checks."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool
from PIL import Image

from vlx.errors import VlxError
from vlx.explain import explain
from vlx.explanation import Explanation
from vlx.passes.targets import label
from vlx.show.colours import shared_scale, target_picture
from vlx.studies.people.found_images import Shown, class_of, read_image
from vlx.studies.people.questions import CHECK, PHOTO, Question, jpeg_of, mask_png

LONGEST = 320  # pixels of a picture's longer side
_FADED = 0.08  # what is left of a photo's colours around the object of an attention check


def discrimination_of(model: Any, shown: Shown, methods: Sequence[str]) -> list[Question]:
    """Both categories of an image in each visualisation: which of the two is shown?"""
    image = shown.image()
    run = read_image(model, image)
    classes = [class_of(item, run) for item in shown.items]
    pictures = _pictures(model, image, classes, methods)
    masks = [shown.mask(at, image) for at in (0, 1)]
    found: list[Question] = []
    for at, category in enumerate(shown.names):
        for method in methods:
            picture, over_photo, empty = pictures[method][at]
            options = (category, shown.names[1 - at])
            both = (masks[at], masks[1 - at])
            found.append(_question(shown, category, method, options, [picture], both, over_photo, empty))
    return found


def trust_of(models: Sequence[Any], shown: Shown, category: str, methods: Sequence[str]) -> list[Question]:
    """One category in each visualisation of two models, the better first: which is more reliable?"""
    image, at = shown.image(), shown.names.index(category)
    each: list[dict[str, list[_Drawn]]] = []
    for model in models:
        of = class_of(shown.items[at], read_image(model, image))
        each.append(_pictures(model, image, [of], methods))
    mask = shown.mask(at, image)
    found: list[Question] = []
    for method in methods:
        drawn = [one[method][0] for one in each]
        pictures, empty = [one[0] for one in drawn], any(one[2] for one in drawn)
        options = (category, category)
        found.append(_question(shown, category, method, options, pictures, (mask,), drawn[0][1], empty))
    return found


def discrimination_check(shown: Shown, at: int, other: str) -> Question:
    """One object alone, the rest of the photo faded: which of two is shown, it or what the image has not?"""
    image = shown.image()
    mask = shown.mask(at, image)
    options, both = (shown.names[at], other), (mask, ~mask)
    return _question(shown, shown.names[at], CHECK, options, [_alone(image, mask)], both, False, False)


def trust_check(shown: Shown, at: int) -> Question:
    """A robot that kept the object alone, beside one that kept a piece of the same form elsewhere."""
    image = shown.image()
    mask = shown.mask(at, image)
    pictures = [_alone(image, mask), _alone(image, _elsewhere(mask))]
    options = (shown.names[at], shown.names[at])
    return _question(shown, shown.names[at], CHECK, options, pictures, (mask,), False, False)


_Drawn = tuple[Image.Image, bool, bool]
"""A picture, whether it lies over the photo, and whether it shows no evidence."""


def _pictures(
    model: Any, image: Image.Image, classes: Sequence[int | None], methods: Sequence[str]
) -> dict[str, list[_Drawn]]:
    """A picture of each class by each method."""
    known = [label(one) for one in classes if one is not None]
    if len(known) != len(classes):
        raise VlxError("the model has no class of a category that is asked for")
    named = [one for one in methods if one != PHOTO]
    found: dict[str, list[_Drawn]] = {}
    if named:
        (made,) = explain(read_image(model, image), known, named)
        found = dict(zip(named, map(_all_drawn, made), strict=True))
    grey = image.convert("L").convert("RGB")
    return {**found, PHOTO: [(grey, True, True)] * len(classes)}


def _all_drawn(made: Explanation) -> list[_Drawn]:
    drawn: list[_Drawn] = []
    for at, plane in enumerate(made.grid_maps):
        empty = not bool(np.abs(plane).max() > 0 if made.at_pixels else plane.max() > 0)
        picture = target_picture(made, at, shared_scale([plane]), longest=LONGEST)
        drawn.append((picture, not made.at_pixels, empty))
    return drawn


def _question(
    shown: Shown,
    category: str,
    method: str,
    options: tuple[str, str],
    pictures: Sequence[Image.Image],
    masks: Sequence[Bool[np.ndarray, "height width"]],
    over_photo: bool,
    empty: bool,
) -> Question:
    small = [_small(one) for one in pictures]
    group = f"{shown.id}/{category}"
    return Question(
        f"{group}/{method}", shown.id, group, method, options, tuple(map(jpeg_of, small)),
        tuple(mask_png(one, small[0].size) for one in masks), over_photo, empty,
    )  # fmt: skip


def _small(picture: Image.Image) -> Image.Image:
    small = picture.copy()
    small.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    return small


def _alone(image: Image.Image, mask: Bool[np.ndarray, "height width"]) -> Image.Image:
    """The photo in which all but some pixels is faded to grey."""
    pixels = np.asarray(image, np.float64)
    faded = 128 + (pixels - 128) * _FADED
    return Image.fromarray(np.where(mask[..., None], pixels, faded).astype(np.uint8))


def _elsewhere(mask: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """The mask moved round by half the image, to where it meets itself least."""
    down, across = mask.shape[0] // 2, mask.shape[1] // 2
    moved = [np.roll(mask, by, (0, 1)) for by in ((down, across), (down, 0), (0, across))]
    return min((one & ~mask for one in moved), key=lambda one: -int(one.sum()))


def renamed(question: Question, name: str) -> Question:
    """The same question under another name and in a group of its own."""
    return replace(question, name=name, group=name)
