"""What a model decided about an image, right or wrong, and what it missed there.

A mistake is a thing said that is not so, with the truth that it stands against: the two scores are explained,
and their difference. What is right is kept too: numbers of mistakes mean something only beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from PIL import Image

from vlx.eval.data.folder import DataFolder
from vlx.eval.data.published import ILSVRC_BOXES, ILSVRC_TRUTH, INSTANCES, VOC_BOXES
from vlx.eval.items.class_sources import guess_items
from vlx.eval.items.item import Item
from vlx.eval.items.options import Options
from vlx.eval.items.truth import Boxes, Present, Segments, region_of
from vlx.eval.measures.maps import Mask
from vlx.passes.forward import Pass
from vlx.passes.targets import Target

Kind = Literal["class", "hallucinated", "missed", "answer"]
KINDS: Mapping[Kind, str] = {
    "class": "wrong class",
    "hallucinated": "word of what is not there",
    "missed": "object that is not said",
    "answer": "wrong answer",
}
"""The kinds of mistakes, as a person calls them."""
SAID: Mapping[Kind, str] = {
    "class": "classes",
    "hallucinated": "object words",
    "missed": "objects",
    "answer": "answers",
}
"""What each kind is one of."""
OBJECT: Mapping[Kind, str] = {
    "class": "the object that was missed",
    "hallucinated": "the object that was missed",
    "missed": "the object that is not said",
    "answer": "the object asked about",
}
"""The object that matters in a mistake of each kind."""
OTHERS = 3
"""So many others, neither said nor true, are explained beside a mistake: the control of its maps."""


@dataclass(frozen=True, eq=False)
class Where:
    """Which pixels are of the object that matters, and which of any other annotated object."""

    own: Mask
    rest: Mask


@dataclass(frozen=True, eq=False)
class Decided:
    """One thing that a model decided."""

    kind: Kind
    wrong: bool
    said: str
    said_target: Target
    truth: str = ""
    """What it missed; empty of what is right, and where nothing is missing."""
    truth_target: Target | None = None
    why: str = ""
    """Why the truth has no target, such as ``no_word``."""
    others: tuple[Target, ...] = ()
    where: Where | None = None
    """Of a mistake around the object that was missed, of what is right around its own; None where the data
    have no object of it."""
    at: int | None = None
    """The word of the caption, from 0."""


@dataclass(frozen=True, eq=False)
class Read:
    """An image that a model read, and all that it decided there."""

    passed: Pass
    decided: tuple[Decided, ...]
    text: str = ""
    """The caption it wrote, or the question."""
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    """What else is counted, such as objects that the image shows."""


@dataclass(frozen=True, eq=False)
class Job:
    """An image, or a question on it, and what a model decides there."""

    item: Item
    read: Callable[[Any, Image.Image], Read]
    """Of a model and the image as it is shown to the model. May raise ImageError and TextError of the model,
    DataError of damaged data."""


Objects = Mapping[str, "Segments | Boxes"]
"""Where an image shows what, by category."""


def objects_of(folder: DataFolder) -> dict[str, Objects]:
    """What each image shows, by the image; nothing where a folder has no objects of COCO or VOC."""
    if folder.has(ILSVRC_TRUTH) or folder.has(ILSVRC_BOXES):
        return {}
    if not (folder.has(VOC_BOXES) or folder.has(INSTANCES)):
        return {}
    found: dict[str, Objects] = {}
    for item in guess_items(folder, Options(), 1):
        if isinstance(item.truth, Present):
            found[item.cluster] = objects_in(item.truth)
    return found


def objects_in(present: Present) -> Objects:
    """What one image shows, by the first name of each category."""
    return {present.categories[at][0]: where for at, where in present.truths}


def where(objects: Objects, own: Sequence[str], size: tuple[int, int]) -> Where | None:
    """The pixels of some categories, and those of all others that an image of (height, width) shows.

    None where it shows none of them. Raises DataError where a mask is damaged.
    """
    if not any(name in objects for name in own):
        return None
    mine, rest = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
    for name, truth in objects.items():
        part = region_of(truth, size)
        if name in own:
            mine |= part
        else:
            rest |= part
    return Where(mine, rest & ~mine)
