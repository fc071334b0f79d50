"""An image with what is true of it, by the data, and what is not: classes, with where they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from vlx.eval.data.classes import matched
from vlx.eval.items.class_choice import classes_of
from vlx.eval.items.item import Item, seed_of
from vlx.eval.items.opened import LeftOut
from vlx.eval.items.truth import Boxes, Segments, region_of
from vlx.eval.measures.maps import Mask
from vlx.images.files import open_image
from vlx.passes.forward import Pass
from vlx.passes.targets import Target, label

WRONG = 3
"""So many other classes, answers or words are explained beside the true ones."""
TOLD = 5
"""A model tells what is among so many of the likeliest, where only one choice can be right."""


@dataclass(frozen=True, eq=False)
class Thing:
    """Something true of an image, and where it is."""

    name: str
    target: Target
    mask: Mask
    """On the pixels of the image, as far as the network sees them."""
    known: bool
    """Whether the model tells it: more probable than not, or among its five likeliest."""


@dataclass(frozen=True, eq=False)
class Case:
    """One image and text with what is true of it, and what is not."""

    passed: Pass
    goal: Target
    """What an attack drives to: not there."""
    goal_name: str
    things: tuple[Thing, ...]
    wrong: tuple[Target, ...]
    """Neither true nor the goal."""
    objects: Mask
    """Every object of the image that the data know."""


def case_of_classes(
    model: Any, items: Sequence[Item], target: str | None = None, seed: int = 0
) -> Case | LeftOut:
    """The classes that an image shows, of its items, and others that it does not show, drawn by the seed.

    ``target`` is the first of those in the place of a drawn one. Raises ImageError and DataError for a
    damaged image or truth, UnknownChoice for a target that the model does not know.
    """
    image = open_image(items[0].image)
    passed: Pass = model.read([image])
    reading, scores = passed.readings[0], passed.scores[0, 0].detach()
    labels, size = reading.choices.names, (image.height, image.width)
    told = _told(passed)
    things, objects, own = list[Thing](), np.zeros(size, bool), set[int]()
    for item in items:
        assert item.classes is not None
        assert isinstance(item.truth, Segments | Boxes)
        mask = region_of(item.truth, size)
        objects |= mask
        mine = classes_of(item.classes, labels)
        own.update(mine)
        if mine:
            best = max(mine, key=scores.tolist().__getitem__)
            things.append(Thing(item.category, label(best), mask & seen_of(passed), best in told))
    if not things:
        return LeftOut("unknown_class")
    assert items[0].classes is not None
    found = [matched(names, labels) for names in items[0].classes.wrong]
    absent = [places[0] for places in found if places and not own.intersection(places)]
    if not absent:
        rest = [at for at in range(len(labels)) if at not in own]
        absent = Random(seed_of(seed, f"target {items[0].cluster}")).sample(rest, min(len(rest), WRONG + 1))
    if target is not None:
        at = reading.choices.index(target)
        if at in own:
            return LeftOut("target_is_there")
        absent = [at, *(one for one in absent if one != at)]
    if not absent:
        return LeftOut("nothing_absent")
    goal, *others = absent[: WRONG + 1]
    return Case(passed, label(goal), labels[goal], tuple(things), tuple(map(label, others)), objects)


def _told(passed: Pass) -> set[int]:
    """The classes that a model tells of an image."""
    row = passed.scores[0, 0].detach()
    if passed.readings[0].odds == "sigmoid":
        return set((row > 0).nonzero()[:, 0].tolist())
    return set(row.topk(min(TOLD, len(row))).indices.tolist())


def seen_of(passed: Pass) -> Mask:
    """The pixels of the image that the network sees."""
    return passed.frames[0].covered().numpy()
