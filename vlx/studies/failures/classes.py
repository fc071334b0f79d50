"""What classifiers decide: classes that the image does not show, against the likeliest that it does.

A model that was trained to choose one class says one. One with a probability for each class (sigmoid) says as
many as the image shows categories. The classes that count are those of the data's categories: whether any
other is there, nobody annotated.
"""

from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Any

from PIL import Image

from vlx.eval.data.classes import matched, plain_name
from vlx.eval.data.folder import DataFolder
from vlx.eval.data.published import ILSVRC_BOXES, ILSVRC_TRUTH
from vlx.eval.items.class_choice import classes_of
from vlx.eval.items.class_sources import guess_items, localisation_items
from vlx.eval.items.item import Item, seed_of
from vlx.eval.items.options import Options
from vlx.eval.items.truth import Boxes, Present, filled
from vlx.passes.reading import Reading
from vlx.passes.targets import Target, label
from vlx.studies.failures.decided import OTHERS, Decided, Job, Read, Where, objects_in, where


def class_jobs(folder: DataFolder, options: Options) -> list[Job]:
    """One for each image of COCO, VOC or ILSVRC."""
    if folder.has(ILSVRC_TRUTH) or folder.has(ILSVRC_BOXES):
        return [Job(item, partial(_of_one, options, item)) for item in localisation_items(folder, options)]
    return [Job(item, partial(_of_several, options, item)) for item in guess_items(folder, options, 1)]


def _of_several(options: Options, item: Item, model: Any, image: Image.Image) -> Read:
    """An image that shows any number of categories."""
    assert isinstance(item.truth, Present)
    passed = model.read([image])
    reading, scores = passed.readings[0], passed.scores[0, 0].detach().double().tolist()
    places = _places(item.truth, reading.choices.names)
    best = {number: max(mine, key=scores.__getitem__) for number, mine in enumerate(places) if mine}
    ranked = sorted(best, key=lambda number: -scores[best[number]])
    shown = [number for number, _ in item.truth.truths]
    there = [number for number in ranked if number in shown]
    count = max(1, len(there)) if reading.odds == "sigmoid" else 1
    said = ranked[:count]
    missed = [number for number in there if number not in said]
    counts = {"unknown_class": sum(number not in best for number in shown)}
    if not there:
        return Read(passed, (), counts=counts)
    absent = [number for number in ranked if number not in shown and number not in said]
    others = _drawn([best[number] for number in absent], options, item)
    size, objects = (image.height, image.width), objects_in(item.truth)
    found: list[Decided] = []
    for number in said:
        right = number in shown
        against = missed[0] if missed else None
        about = number if right else against
        name = None if about is None else item.truth.categories[about][0]
        found.append(
            Decided(
                "class", not right, _called(reading, best[number]), label(best[number]),
                truth="" if right or against is None else _called(reading, best[against]),
                truth_target=None if right or against is None else label(best[against]),
                others=others,
                where=None if name is None else where(objects, [name], size),
            )
        )  # fmt: skip
    return Read(passed, tuple(found), counts=counts)


def _places(present: Present, labels: Sequence[str]) -> list[tuple[int, ...]]:
    """The classes of the model that are of each category.

    A label that is called as another category is that one's: a kite is no bird where the data have kites.
    """
    owner = {plain_name(names[0]): number for number, names in enumerate(present.categories) if names}
    return [
        tuple(at for at in matched(names, labels) if owner.get(plain_name(labels[at]), number) == number)
        for number, names in enumerate(present.categories)
    ]


def _of_one(options: Options, item: Item, model: Any, image: Image.Image) -> Read:
    """An image of ILSVRC, which has one class."""
    assert item.classes is not None
    passed = model.read([image])
    reading, scores = passed.readings[0], passed.scores[0, 0].detach().double().tolist()
    mine = classes_of(item.classes, reading.choices.names)
    if not mine:
        return Read(passed, (), counts={"unknown_class": 1})
    said, truth = max(range(len(scores)), key=scores.__getitem__), max(mine, key=scores.__getitem__)
    right = said in mine
    rest = [place for place in range(len(scores)) if place not in mine and place != said]
    drawn = Decided(
        "class", not right, _called(reading, said), label(said),
        truth="" if right else _called(reading, truth),
        truth_target=None if right else label(truth),
        others=_drawn(rest, options, item),
        where=_boxes(item, (image.height, image.width)),
    )  # fmt: skip
    return Read(passed, (drawn,))


def _boxes(item: Item, size: tuple[int, int]) -> Where | None:
    """The boxes of the class, filled; other objects of the image are not annotated."""
    if not isinstance(item.truth, Boxes) or not item.truth.corners or item.truth.why:
        return None
    own = filled(item.truth, size)
    return Where(own, own & False)


def _drawn(places: Sequence[int], options: Options, item: Item) -> tuple[Target, ...]:
    """Some of the classes that are neither said nor there."""
    random = Random(seed_of(options.seed, f"other {item.id}"))
    return tuple(map(label, random.sample(list(places), min(OTHERS, len(places)))))


def _called(reading: Reading, place: int) -> str:
    """A class by the first of the names that stand in its label between commas."""
    return reading.choices.names[place].partition(",")[0].strip() or reading.choices.called(place)
