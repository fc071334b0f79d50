"""The truth that maps of an item are scored against, and where it lies on the pixels of the image file."""

from dataclasses import dataclass
from pathlib import Path

from vlx.eval.data.coco import CocoImage, Instance, joined_mask
from vlx.eval.data.densecap import resized_size
from vlx.eval.measures.boxes import Box
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


Truth = Region | Segments | HumanFiles | HumanAnswers | Shown | None


def box_on_file(region: Region, size: tuple[int, int]) -> Box:
    """The box on the pixels of the image file, whose (height, width) is ``size``."""
    if region.longest is None or region.longest == max(size):
        return region.box
    height, width = resized_size(size, region.longest)
    return region.box.scaled(size[1] / width, size[0] / height)


def mask_of(segments: Segments) -> Mask:
    """The pixels of all instances; raises DataError where one is damaged."""
    return joined_mask(segments.instances, segments.image)
