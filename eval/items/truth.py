"""The truth that maps of an item are scored against, and where it lies on the pixels of the image file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlx.eval.data.class_masks import Overlaid
from vlx.eval.data.coco import CocoImage, Instance, joined_mask
from vlx.eval.data.densecap import resized_size
from vlx.eval.data.records import DataError
from vlx.eval.measures.boxes import Box
from vlx.eval.measures.localisation import Corners
from vlx.eval.measures.maps import Mask


@dataclass(frozen=True)
class Region:
    """The box that a caption describes, in pixels of an image whose longest side is ``longest``."""

    box: Box
    longest: int | None = None
    """None where the box lies on the image file itself."""


@dataclass(frozen=True, eq=False)
class Segments:
    """The instances of one category in one image; none where it is absent."""

    image: CocoImage
    instances: tuple[Instance, ...]


@dataclass(frozen=True)
class HumanFiles:
    """The attention maps of one question, annotators in order."""

    paths: tuple[Path, ...]


@dataclass(frozen=True)
class HumanAnswers:
    """What people answered to one question, and what they answer most often."""

    answers: tuple[str, ...]
    common: str
    """The most frequent answer to all questions."""
    common_of_type: str
    """The most frequent answer to questions of this one's type."""


@dataclass(frozen=True)
class Shown:
    """Which categories an image shows, for words that may name one it does not show."""

    present: frozenset[str]
    """By the instances of the image, or as a word of one of its captions may name it (see `shown_in`)."""
    known: frozenset[str]
    """Those that the annotations look for: one that is known and not present is absent."""
    others: tuple[tuple[str, str], ...] = ()
    """Words of absent categories with these, in the order in which one is taken for the item's word; none
    where the caption is to be read as it is."""
    own: bool = False
    """Whether the model writes the caption."""


@dataclass(frozen=True)
class Boxes:
    """The boxes of one class in one image."""

    size: tuple[int, int]
    """Height and width of the image that they were drawn on; 0 where that is not told."""
    corners: tuple[Corners, ...]
    """None where the data have no box of the image."""
    why: str = ""
    """Why the boxes do not count, such as ``blacklisted``; empty where they do."""


@dataclass(frozen=True, eq=False)
class Present:
    """What an image shows of the categories of its data."""

    categories: tuple[tuple[str, ...], ...]
    """All categories, each by the names that a model may have for it."""
    truths: tuple[tuple[int, "Segments | Boxes"], ...]
    """The places of those that the image shows, with where."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """The class of each pixel of an image, of which one is meant."""

    truth: "Path | Overlaid"
    """A palette file, or instances over one another."""
    label: int
    """The one that is meant; 0 is the background."""
    classes: int
    """The highest label there can be."""
    beside: tuple[tuple[int, tuple[str, ...]], ...] = ()
    """The other classes that the image shows, each by the names that a model may have for it."""


Truth = Region | Segments | HumanFiles | HumanAnswers | Shown | Boxes | Present | Pixels | None


@dataclass(frozen=True)
class ClassNames:
    """How an item's class is found among those of a model."""

    names: tuple[str, ...]
    """Any of which the model may have it by."""
    index: int | None = None
    """Its place among all classes of ILSVRC by sorted WordNet ids; None of other data."""
    of: int = 0
    """How many classes there are by that order."""
    wrong: tuple[tuple[str, ...], ...] = ()
    """Categories that the image does not show, in a random order; empty where any other class is one."""
    others: int = 0
    """How many other categories the image shows."""


def box_on_file(region: Region, size: tuple[int, int]) -> Box:
    """The box on the pixels of the image file, whose (height, width) is ``size``."""
    if region.longest is None or region.longest == max(size):
        return region.box
    height, width = resized_size(size, region.longest)
    return region.box.scaled(size[1] / width, size[0] / height)


def mask_of(segments: Segments) -> Mask:
    """The pixels of all instances; raises DataError where one is damaged."""
    return joined_mask(segments.instances, segments.image)


def corners_on_file(boxes: Boxes, size: tuple[int, int]) -> tuple[Corners, ...]:
    """The boxes on the pixels of the image file, whose (height, width) is ``size``.

    Raises DataError where they were drawn on an image of other proportions, such as one lying on its side.
    """
    height, width = boxes.size
    if boxes.size in ((0, 0), size):
        return boxes.corners
    down, across = size[0] / height, size[1] / width
    if max(down, across) > 1.05 * min(down, across):
        raise DataError(
            f"boxes of an image of {width} x {height} pixels, whose file has {size[1]} x {size[0]}"
        )
    return tuple(
        Corners(one.left * across, one.top * down, (one.right + 1) * across - 1, (one.bottom + 1) * down - 1)
        for one in boxes.corners
    )


def filled(boxes: Boxes, size: tuple[int, int]) -> Mask:
    """The pixels of the image file that any of the boxes covers, both ends inclusive; errors as above."""
    mask = np.zeros(size, dtype=bool)
    for one in corners_on_file(boxes, size):
        top, left = max(round(one.top), 0), max(round(one.left), 0)
        mask[top : max(round(one.bottom) + 1, 0), left : max(round(one.right) + 1, 0)] = True
    return mask


def region_of(truth: "Segments | Boxes", size: tuple[int, int]) -> Mask:
    """The pixels of a class on the image file: the masks of its instances, or its boxes, filled."""
    return mask_of(truth) if isinstance(truth, Segments) else filled(truth, size)
