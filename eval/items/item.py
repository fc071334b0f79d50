"""Items of an evaluation: what is explained and against which truth, in one fixed order.

Each item stands for itself, with its part of the annotations, so that it can be sent anywhere. A damaged
record is an item too: it becomes a row that says so.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vlx.eval.data.records import DataError
from vlx.eval.items.truth import (
    Boxes,
    ClassNames,
    HumanAnswers,
    HumanFiles,
    Pixels,
    Present,
    Region,
    Segments,
    Shown,
    Truth,
)


@dataclass(frozen=True, eq=False)
class Item:
    """One thing to explain and to score."""

    id: str
    image: Path
    cluster: str
    """The image; items of one image are not independent."""
    text: str = ""
    """The caption or the question."""
    truth: Truth = None
    word: str = ""
    """The phrase of the caption that is explained, where it is not the whole caption."""
    mention: int = 0
    """Which mention of its category in the caption the word is, from 0."""
    category: str = ""
    """The COCO category of the word, or the type of the question."""
    question_id: int | None = None
    answer: str = ""
    """The most frequent human answer, where it is known."""
    left_out: str = ""
    """Why the item cannot be scored, where that is known before any model runs."""
    detail: str = ""
    """More on that, for a person."""
    shown: tuple[str, ...] | None = None
    """The categories that the image shows or a text on it names; None where that is not known."""
    classes: ClassNames | None = None
    """How its category is found among the classes of a classifier."""


class Damage:
    """Collects the damaged records that readers come upon, as items."""

    def __init__(self) -> None:
        self.items: list[Item] = []

    def __call__(self, error: DataError) -> None:
        """Keep an item for this error."""
        name = f"damaged record {len(self.items) + 1}"
        self.items.append(
            Item(name, Path(), name, left_out="damaged_record", detail=" ".join(str(error).split()))
        )


def drawn(items: Sequence[Item], limit: int | None, seed: int) -> list[Item]:
    """The items of ``limit`` images drawn at random, in their order; None keeps all.

    An image is drawn by a hash of the seed and its id, so the draw does not depend on the order.
    """
    if limit is None:
        return list(items)
    clusters = sorted({item.cluster for item in items}, key=lambda name: seed_of(seed, name))
    kept = set(clusters[:limit])
    return [item for item in items if item.cluster in kept]


def seed_of(seed: int, name: str) -> int:
    """A seed for random numbers that belongs to a name, whatever comes before or after it."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{name}".encode()).digest()[:16], "big")


def checked(items: Iterable[Item]) -> list[Item]:
    """The items with ids of their own: where several records give one id, the later ones are damaged."""
    seen: set[str] = set()
    result: list[Item] = []
    for item in items:
        name, number = item.id, 2
        while name in seen:
            name, number = f"{item.id} ({number})", number + 1
        seen.add(name)
        again = "its id stands twice in the data"
        result.append(
            item if name == item.id else replace(item, id=name, left_out="damaged_record", detail=again)
        )
    return result


def digest(items: Iterable[Item]) -> str:
    """A fingerprint of the items: texts and truth, but no folder in which they happen to lie."""
    total = hashlib.sha256()
    for item in items:
        facts = (
            item.id, item.image.name, item.cluster, item.text, item.word, item.mention, item.category,
            item.question_id, item.answer, item.left_out, _facts(item.truth),
            *(() if item.shown is None else (item.shown,)),
        )  # fmt: skip
        facts = facts if item.classes is None else (*facts, asdict(item.classes))
        total.update(json.dumps(facts).encode() + b"\n")
    return total.hexdigest()


def _facts(truth: Truth) -> Any:
    match truth:
        case Region(box, longest):
            return [box.x, box.y, box.width, box.height, longest]
        case Segments(image, instances):
            return [image.height, image.width, [instance.segmentation for instance in instances]]
        case HumanFiles(paths):
            return [path.name for path in paths]
        case HumanAnswers(answers, common, common_of_type):
            return [*answers, common, common_of_type]
        case Shown(present, known, others, own):
            return [sorted(present), sorted(known), list(map(list, others)), own]
        case Boxes(size, corners, why):
            return [*size, [[one.left, one.top, one.right, one.bottom] for one in corners], why]
        case Present(categories, truths):
            return [categories, [[at, _facts(one)] for at, one in truths]]
        case Pixels():
            return _of_pixels(truth)
        case None:
            return None


def _of_pixels(truth: Pixels) -> Any:
    beside = [[at, list(names)] for at, names in truth.beside]
    if isinstance(truth.truth, Path):
        return [truth.truth.name, truth.label, truth.classes, beside]
    image, drawn = truth.truth.image, truth.truth.instances
    shapes = [[at, one.segmentation] for at, one in drawn]
    return [image.height, image.width, shapes, truth.label, truth.classes, beside]
