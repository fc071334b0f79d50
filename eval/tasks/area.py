"""Pixel ROC area: whether a word's map ranks the pixels of its object above the others."""

from collections.abc import Sequence
from functools import partial

from vlx.eval.items.batch import Scoring, scored_rows
from vlx.eval.items.control_maps import control_maps
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models, ModelType
from vlx.eval.items.opened import Opened
from vlx.eval.items.options import Options
from vlx.eval.items.rows import Row
from vlx.eval.items.sources import word_items
from vlx.eval.items.truth import Segments, mask_of
from vlx.eval.measures.area import area_share, energy, roc_area, soft_iou
from vlx.eval.tasks.targets import word_target
from vlx.eval.tasks.task import Task
from vlx.eval.tasks.wrong_targets import in_its_place, protocol_of_wrong
from vlx.methods.values import Method
from vlx.passes.targets import Target


def protocol(options: Options, model_type: ModelType) -> str:
    """What is measured."""
    del model_type
    count = options.captions
    which = "all reference captions" if count is None else f"the first {count} reference caption(s)"
    return (
        "Pixel ROC area: the probability that a pixel of the object has a higher value in the visual word's "
        "map than one outside, equal values one half, against the union mask of its COCO category, crowds "
        f"included; {which} of each image, visual words by the built-in lexicon, the head noun's "
        "log-probability at its own step explained under teacher forcing; chance is .5, which a flat map or "
        "one of zeros has too; soft-IoU (the sum of the lower of map and mask over that of the higher) and "
        "energy (the share of the map on the mask) of the map without its negative part, its maximum 1, maps "
        "without a positive value left out; of a uniform map both are the share of the object; words whose "
        "category is absent from the image, or covers it, left out, and words whose head noun the model does "
        "not know. "
        f"{protocol_of_wrong(options)}Mean over words"
    )


def _rows(models: Models, items: Sequence[Item], methods: Sequence[Method], options: Options) -> list[Row]:
    return scored_rows(
        models, items, methods, AREA.columns_for(options), word_target, partial(_scoring, options.seed),
        seed=options.seed, wrong_of=in_its_place(options),
    )  # fmt: skip


def _scoring(seed: int, opened: Opened, at: int, target: Target) -> Scoring:
    del target
    item, image = opened.items[at], opened.images[at]
    assert isinstance(item.truth, Segments)
    mask = mask_of(item.truth)
    blind = control_maps(item, (image.height, image.width), seed)
    facts = {
        f"{name}_{column}": measure(blind[control], mask)
        for name, control in (("centre", "centre_prior"), ("random", "random_map"))
        for column, measure in (("soft_iou", soft_iou), ("energy", energy))
    }
    return Scoring(
        lambda plane: roc_area(plane, mask),
        {"soft_iou": lambda plane: soft_iou(plane, mask), "energy": lambda plane: energy(plane, mask)},
        {"area_share": area_share(mask), **facts},
    )


AREA = Task(
    "area",
    "Pixel ROC area: a word's object above the rest of its map (chance is .5)",
    ("captioner",),
    lambda folder, _type, options: word_items(folder, options),
    lambda _options, opened, at: word_target(opened, at),
    _rows,
    protocol,
    wrong=True,
    extras=("soft_iou", "energy"),
    facts=("area_share", "centre_soft_iou", "random_soft_iou", "centre_energy", "random_energy"),
    said={
        "soft_iou": "soft-IoU",
        "area_share": "uniform map, soft-IoU and energy",
        "centre_soft_iou": "centre prior, soft-IoU",
        "centre_energy": "centre prior, energy",
        "random_soft_iou": "random map, soft-IoU",
        "random_energy": "random map, energy",
    },
    span=(0.0, 1.0),
)
