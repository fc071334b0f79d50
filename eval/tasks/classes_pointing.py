"""The pointing game of classes (Zhang et al. 2016, arXiv 1608.00507), and with reject (paper 4.3, D)."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from vlx.eval.data.classes import matched
from vlx.eval.items.batch import Judge
from vlx.eval.items.class_choice import minus_wrong, own_class, wrong_classes
from vlx.eval.items.class_sources import class_items, guess_items
from vlx.eval.items.crops import crop_told
from vlx.eval.items.item import Item, seed_of
from vlx.eval.items.models import Models, ModelType
from vlx.eval.items.opened import LeftOut, Opened
from vlx.eval.items.options import Options
from vlx.eval.items.rows import Row
from vlx.eval.items.several import Asked, several_rows
from vlx.eval.items.truth import Boxes, Present, Segments, region_of
from vlx.eval.measures.maps import Map, Mask
from vlx.eval.measures.pointing import centre_hit, chance_hit, first_maximum, pointing_hit
from vlx.eval.measures.reject import Candidates, crossed_accuracy, reject_accuracy, reject_curve
from vlx.eval.measures.statistics import Outcome
from vlx.eval.tasks.task import Task
from vlx.methods.values import Method
from vlx.passes.targets import Target, label

GUESSED = 5
"""So many categories of an image are asked for, of which some may be absent."""
SMALL = 0.25
"""A class that covers less of its image, and is not alone in it, is of the difficult part."""


def _how(options: Options) -> str:
    """What both protocols say."""
    return (
        f"a maximum is a hit below {options.radius:g} pixels of the original image from a pixel of "
        "the class (its filled boxes in VOC, its masks with crowds in COCO); the first maximum in "
        "reading order; the logit of the likeliest of the model's classes that are of the category "
        f"explained, as --classes says or by their names, others left out; {crop_told(options.crop)}"
    )


def protocol(options: Options, model_type: ModelType) -> str:
    """What is measured."""
    del model_type
    return (
        "Pointing game of classes (Zhang et al. 2016): each category that an image shows is asked "
        f"for; {_how(options)}; a category all of whose objects are marked as difficult is left out. "
        f"Difficult part: categories that cover less than {SMALL:.0%} of their image and are not "
        "alone in it (derived: the published lists are not used). Own minus wrong: the hit of the "
        f"category's map minus the mean of those of up to {options.wrong} categories that the image "
        "does not show, on the same pixels. Mean over pairs of image and category; the field's "
        "number is the mean over categories below"
    )


def reject_protocol(options: Options, model_type: ModelType) -> str:
    """What is measured with reject."""
    del model_type
    return (
        f"Pointing game with reject (paper 4.3, appendix D): the {GUESSED} likeliest of the data's "
        "categories in each image, those the model has; one whose raw map has its maximum below a "
        "threshold is refused: right for an absent category, wrong for a present one; accepted, a "
        f"present one is right where it points at it, an absent one is wrong; {_how(options)}. The "
        "threshold is chosen on one half of the images and reported on the other; beside it the best "
        "of all, which flatters, whether presence alone is told right the same way, and refusing "
        "nothing. Mean over guesses"
    )


def _rows(models: Models, items: Sequence[Item], methods: Sequence[Method], options: Options) -> list[Row]:
    return several_rows(
        models, items, methods, CLASSES_POINTING.columns_for(options), partial(_asked, options),
        crop=options.crop, seed=options.seed,
    )  # fmt: skip


def _target(options: Options, opened: Opened, at: int) -> Target | LeftOut:
    del options
    found = own_class(opened, at)
    return found if isinstance(found, LeftOut) else label(found[0])


def _asked(options: Options, opened: Opened, at: int) -> Asked | LeftOut:
    found = own_class(opened, at)
    if isinstance(found, LeftOut):
        return found
    own, mine = found
    item, image = opened.items[at], opened.images[at]
    assert isinstance(item.truth, Segments | Boxes)
    assert item.classes is not None
    mask = region_of(item.truth, (image.height, image.width))
    hard = item.classes.others > 0 and float(mask.mean()) < SMALL
    hit = partial(_hit, mask, options)
    centre, chance = (_part(made, hard) for made in (_of_centre(mask, options), _chance(mask, options)))
    facts = {
        "centre_point": _of_centre(mask, options),
        "random_pixel": _chance(mask, options),
        "centre_point_difficult": centre,
        "random_pixel_difficult": chance,
    }
    wrong = wrong_classes(opened, at, mine, options)
    return Asked(tuple(map(label, (own, *wrong))), hit, partial(_extras, hit, hard, options), facts=facts)


def _hit(mask: Mask, options: Options, plane: Map) -> Outcome:
    return pointing_hit(plane, mask, tolerance=options.radius, points=first_maximum)


def _of_centre(mask: Mask, options: Options) -> Outcome:
    return centre_hit(mask, tolerance=options.radius)


def _chance(mask: Mask, options: Options) -> Outcome:
    return chance_hit(mask, tolerance=options.radius)


def _part(outcome: Outcome, hard: bool) -> Outcome:
    return outcome if hard else Outcome(None, "not_difficult")


def _extras(hit: Judge, hard: bool, options: Options, maps: Sequence[Map]) -> Mapping[str, Outcome]:
    own = hit(maps[0])
    less = minus_wrong(own, [hit(one) for one in maps[1:]], options)
    return {"difficult": _part(own, hard), **less}


def _reject_rows(
    models: Models, items: Sequence[Item], methods: Sequence[Method], options: Options
) -> list[Row]:
    return several_rows(
        models, items, methods, CLASSES_REJECT.columns_for(options), partial(_reject_asked, options),
        crop=options.crop, seed=options.seed,
    )  # fmt: skip


def _guess(opened: Opened, at: int) -> tuple[int, int] | LeftOut:
    """The category that is asked for in an item, and the class of the model that is explained."""
    item = opened.items[at]
    scores: list[float] = opened.scores(at)[0].tolist()
    assert isinstance(item.truth, Present)
    names = opened.reading(at).choices.names
    places = [matched(one, names) for one in item.truth.categories]
    best = [
        (max(mine, key=lambda place: scores[place]), number) for number, mine in enumerate(places) if mine
    ]
    if len(best) <= item.mention:
        return LeftOut("unknown_class", f"the model has {len(best)} of the data's categories")
    place, number = sorted(best, key=lambda pair: -scores[pair[0]])[item.mention]
    return number, place


def _reject_target(options: Options, opened: Opened, at: int) -> Target | LeftOut:
    del options
    found = _guess(opened, at)
    return found if isinstance(found, LeftOut) else label(found[1])


def _reject_asked(options: Options, opened: Opened, at: int) -> Asked | LeftOut:
    found = _guess(opened, at)
    if isinstance(found, LeftOut):
        return found
    item, image = opened.items[at], opened.images[at]
    assert isinstance(item.truth, Present)
    truth = dict(item.truth.truths).get(found[0])
    mask = None if truth is None else region_of(truth, (image.height, image.width))

    def pointed(plane: Map) -> Outcome:
        """Accepted whatever its maximum."""
        return Outcome(0.0) if mask is None else Outcome(_hit(mask, options, plane).value or 0.0)

    return Asked(
        (label(found[1]),),
        pointed,
        lambda maps: {"maximum": Outcome(float(maps[0].max()))},
        facts={"present": Outcome(float(mask is not None))},
    )


def across(columns: Mapping[str, Sequence[Outcome]], images: Sequence[str]) -> dict[str, list[Outcome]]:
    """What is right at a threshold on the maximum that is chosen on the other half of the images."""
    kept = [at for at, one in enumerate(columns["maximum"]) if one.value is not None]
    names = ("with_reject", "best_of_all", "presence", "refuse_all")
    found = {name: list(columns["maximum"]) for name in names}
    if not kept:
        return found
    told = {
        name: np.array([columns[name][at].value for at in kept], dtype=float)
        for name in ("maximum", "present", "score")
    }
    items = Candidates(told["maximum"], told["present"] > 0, told["score"])
    halves = np.array([seed_of(0, f"half {images[at]}") % 2 == 0 for at in kept], dtype=bool)
    both = bool(halves.any()) and not bool(halves.all())
    scores = {
        "with_reject": crossed_accuracy(items, halves) if both else None,
        "best_of_all": reject_accuracy(items, reject_curve(items).best[0]),
        "presence": crossed_accuracy(items, halves, location=False) if both else None,
        "refuse_all": reject_accuracy(items, float("inf")),
    }
    for name, values in scores.items():
        for number, at in enumerate(kept):
            found[name][at] = Outcome(None, "one_half") if values is None else Outcome(float(values[number]))
    return found


CLASSES_POINTING = Task(
    "classes-pointing",
    "Pointing game of classes: hits of the maximum",
    ("classifier",),
    lambda folder, _type, options: class_items(folder, options),
    _target,
    _rows,
    protocol,
    extras=("difficult",),
    wrong=True,
    facts=("centre_point", "random_pixel", "centre_point_difficult", "random_pixel_difficult"),
    said={
        "difficult": "difficult part",
        "centre_point_difficult": "centre point, difficult part",
        "random_pixel_difficult": "random pixel, difficult part",
    },
    by_category=True,
    shuffled_by_choice=True,
    span=(0.0, 1.0),
)
CLASSES_REJECT = Task(
    "classes-reject",
    "Pointing game with reject: right guesses",
    ("classifier",),
    lambda folder, _type, options: guess_items(folder, options, GUESSED),
    _reject_target,
    _reject_rows,
    reject_protocol,
    facts=("present",),
    said={
        "score": "refusing nothing",
        "with_reject": "threshold of the other half",
        "best_of_all": "best threshold of all",
        "presence": "presence alone, threshold of the other half",
        "refuse_all": "refusing everything",
    },
    kept=("maximum",),
    shuffled_by_choice=True,
    across=across,
    across_shared=("refuse_all",),
    span=(0.0, 1.0),
)
