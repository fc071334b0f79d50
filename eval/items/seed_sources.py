"""Items of seeds: each class that each image shows, and its background, with the class of each pixel."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from vlx.eval.data.class_masks import ClassMasks, Masked, labels_of, read_masks, shown
from vlx.eval.data.classes import names_of, read_classes
from vlx.eval.data.folder import DataFolder
from vlx.eval.data.records import DataError
from vlx.eval.items.class_sources import WRONG
from vlx.eval.items.item import Damage, Item, seed_of
from vlx.eval.items.options import Options
from vlx.eval.items.truth import ClassNames, Pixels

NOTHING = "background"
"""The category of items of the background."""


def seed_items(folder: DataFolder, options: Options) -> list[Item]:
    """For each image its classes, then its background; masks are read once here to tell which it shows."""
    damage = Damage()
    masks = read_masks(folder, damage)
    return [*_items(masks, options), *damage.items]


def _items(masks: ClassMasks, options: Options) -> Iterator[Item]:
    for image in masks.images:
        item = Item(f"{image.id}/{NOTHING}", image.path, image.id, text=NOTHING, category=NOTHING)
        try:
            if image.lost:
                raise DataError(image.lost)
            there = shown(labels_of(image.truth, len(masks.names)))
        except DataError as error:
            yield replace(item, left_out="damaged_record", detail=" ".join(str(error).split()))
            continue
        yield from _of_image(image, there, masks.names, options)
        yield replace(item, truth=Pixels(image.truth, 0, len(masks.names)))


def _of_image(
    image: Masked, there: Sequence[int], categories: Sequence[str], options: Options
) -> Iterator[Item]:
    given = None if options.classes is None else read_classes(options.classes)
    names = {label: names_of(categories[label - 1], given) for label in there}
    absent = [name for label, name in enumerate(categories, 1) if label not in names]
    for label in there:
        category = categories[label - 1]
        item = Item(f"{image.id}/{category}", image.path, image.id, text=category, category=category)
        mixed = random.Random(seed_of(options.seed, f"wrong {item.id}")).sample(absent, len(absent))
        wrong = tuple(found for name in mixed if (found := names_of(name, given)))[:WRONG]
        beside = tuple((other, names[other]) for other in there if other != label)
        yield replace(
            item,
            truth=Pixels(image.truth, label, len(categories), beside),
            classes=ClassNames(names[label], wrong=wrong, others=len(beside)),
        )
