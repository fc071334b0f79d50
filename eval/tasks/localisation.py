"""Weakly supervised localisation: the box of a class's map against the true ones (paper 4.1, Table 1)."""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial

import numpy as np

from vlx.eval.items.class_choice import guesses, minus_wrong, own_class, wrong_classes
from vlx.eval.items.class_sources import localisation_items
from vlx.eval.items.crops import crop_told
from vlx.eval.items.item import Item, seed_of
from vlx.eval.items.models import Models, ModelType
from vlx.eval.items.opened import LeftOut, Opened
from vlx.eval.items.options import Options
from vlx.eval.items.rows import OWN_MINUS_WRONG, Row
from vlx.eval.items.several import Asked, several_rows
from vlx.eval.items.truth import Boxes, corners_on_file
from vlx.eval.measures.controls import centre_prior
from vlx.eval.measures.localisation import (
    GUESSES,
    SWEPT,
    Connectivity,
    Corners,
    box_hit,
    classification_error,
    crossed_error,
    map_box,
    map_boxes,
)
from vlx.eval.measures.maps import Map
from vlx.eval.measures.statistics import Outcome
from vlx.eval.tasks.task import Task
from vlx.methods.values import Method
from vlx.passes.targets import Target, label

_OWN = tuple(f"at_{round(100 * share):02d}" for share in SWEPT)
_CENTRE = tuple(f"centre_{name}" for name in _OWN)


def protocol(options: Options, model_type: ModelType) -> str:
    """What is measured."""
    del model_type
    return (
        "Weakly supervised localisation (paper 4.1; ILSVRC CLS-LOC): the share of images whose class "
        "or box is wrong, low is good; the box is that of the largest "
        f"{options.connectivity}-connected segment of the pixels with at least "
        f"{options.threshold:.0%} of the map's maximum, the map of the predicted class's logit drawn "
        "out bilinearly onto the original image before it is cut; a map without a value above 0 has "
        "the whole image as its box and is counted; right is an overlap of at least .5 with any true "
        "box of the class, both ends of a box inclusive; top 5 takes one box for each of the five "
        f"likeliest classes; {crop_told(options.crop)}. Images of the blacklist are left out of all "
        "but the classification errors. Known class: the box of the true class's map alone, whatever "
        "is predicted; own minus wrong: the share of right boxes of the true class's maps minus that "
        f"of up to {options.wrong} classes' that are not in the image, on the same boxes. Best "
        f"threshold: chosen among {SWEPT[0]:.0%} to {SWEPT[-1]:.0%} on one half of the images and "
        "scored on the other, for the known class, and so for the centre prior; other images than "
        "ILSVRC's are scored once for each of their classes. Mean over images"
    )


def _target(options: Options, opened: Opened, at: int) -> Target | LeftOut:
    del options
    return label(guesses(opened, at, 1)[0])


def _rows(models: Models, items: Sequence[Item], methods: Sequence[Method], options: Options) -> list[Row]:
    return several_rows(
        models, items, methods, LOCALISATION.columns_for(options), partial(_asked, options),
        crop=options.crop, seed=options.seed,
    )  # fmt: skip


def _asked(options: Options, opened: Opened, at: int) -> Asked | LeftOut:
    found = own_class(opened, at)
    if isinstance(found, LeftOut):
        return found
    own, mine = found
    truth, image = opened.items[at].truth, opened.images[at]
    assert isinstance(truth, Boxes)
    boxes = corners_on_file(truth, (image.height, image.width))
    likeliest = guesses(opened, at, GUESSES)
    guessed = [own if one in mine else one for one in likeliest]
    # The box of another class is wrong wherever it lies, so that no map of it is needed.
    right = [one for one in likeliest if one in mine]
    wrong = wrong_classes(opened, at, mine, options)
    judge = _Judge(options, boxes, likeliest[0] in mine, len(right), truth.why)
    facts = {
        "class_top_1": Outcome(float(classification_error(guessed, own, 1))),
        "class_top_5": Outcome(float(classification_error(guessed, own))),
    }
    asked = (likeliest[0], *right, own, *wrong)
    return Asked(tuple(map(label, asked)), judge.score, judge.extras, judge.of_centre, facts)


class _Judge:
    """What maps of one image are worth: of the first guess, right guesses, its class and wrong ones."""

    def __init__(
        self, options: Options, boxes: tuple[Corners, ...], first_is_right: bool, right: int, why: str
    ) -> None:
        self._options, self._boxes, self._why = options, boxes, why
        self._first_is_right, self._right = first_is_right, right

    def score(self, plane: Map) -> Outcome:
        """The error of the first guess."""
        if self._why:
            return Outcome(None, self._why)
        return Outcome(float(not self._first_is_right or not self._hit(plane)))

    def extras(self, maps: Sequence[Map]) -> Mapping[str, Outcome]:
        """Those of the maps of the guesses, of the true class, and of wrong ones."""
        if self._why:
            less = (OWN_MINUS_WRONG,) if self._options.wrong else ()
            return dict.fromkeys((*LOCALISATION.extras, *_OWN, *less), Outcome(None, self._why))
        hits: dict[int, bool] = {}
        for plane in maps[1:]:
            if id(plane) not in hits:  # one of the guesses may be the true class itself
                hits[id(plane)] = self._hit(plane)
        right, own, wrong = maps[1 : self._right + 1], maps[self._right + 1], maps[self._right + 2 :]
        hit = float(hits[id(own)])
        found = {
            "top_5": Outcome(float(not any(hits[id(one)] for one in right))),
            "known_class": Outcome(1.0 - hit),
            "no_place": Outcome(float(maps[0].max() <= 0)),
        }
        others = [Outcome(float(hits[id(one)])) for one in wrong]
        swept = map_boxes(own, SWEPT, connectivity=self._options.connectivity)
        return found | self._swept(_OWN, swept) | minus_wrong(Outcome(hit), others, self._options)

    def of_centre(self, plane: Map) -> Mapping[str, Outcome]:
        """Those of the centre prior, which has one box for every class."""
        if self._why:
            return dict.fromkeys(("centre_top_5", "centre_known_class", *_CENTRE), Outcome(None, self._why))
        hit = self._hit(plane)
        found = {
            "centre_top_5": Outcome(float(not (self._right and hit))),
            "centre_known_class": Outcome(float(not hit)),
        }
        swept = _centre_boxes((plane.shape[0], plane.shape[1]), self._options.connectivity)
        return found | self._swept(_CENTRE, swept)

    def _hit(self, plane: Map) -> bool:
        box = map_box(plane, self._options.threshold, connectivity=self._options.connectivity)
        return box_hit(box, self._boxes)

    def _swept(self, names: Sequence[str], boxes: Sequence[Corners]) -> dict[str, Outcome]:
        hits = [box_hit(box, self._boxes) for box in boxes]
        return {name: Outcome(float(not hit)) for name, hit in zip(names, hits, strict=True)}


@lru_cache(maxsize=64)
def _centre_boxes(shape: tuple[int, int], connectivity: Connectivity) -> tuple[Corners, ...]:
    """The boxes of the centre prior of images of this shape at all thresholds."""
    return map_boxes(centre_prior(shape), SWEPT, connectivity=connectivity)


def across(columns: Mapping[str, Sequence[Outcome]], images: Sequence[str]) -> dict[str, list[Outcome]]:
    """The errors of the known class at the threshold that is best on the other half of the images."""
    found: dict[str, list[Outcome]] = {}
    for name, swept in (("best_threshold", _OWN), ("centre_best_threshold", _CENTRE)):
        outcomes = list(columns[swept[0]])
        kept = [at for at, one in enumerate(outcomes) if one.value is not None]
        errors = np.array([[columns[column][at].value for column in swept] for at in kept], dtype=float)
        halves = np.array([seed_of(0, f"half {images[at]}") % 2 == 0 for at in kept], dtype=bool)
        both = len(kept) > 0 and bool(halves.any()) and not bool(halves.all())
        scores, chosen = crossed_error(errors, halves) if both else (None, (0, 0))
        threshold = list(outcomes)
        for number, at in enumerate(kept):
            outcomes[at] = Outcome(None, "one_half") if scores is None else Outcome(float(scores[number]))
            used = SWEPT[chosen[0] if halves[number] else chosen[1]]
            threshold[at] = Outcome(None, "one_half") if scores is None else Outcome(used)
        found |= {name: outcomes, name.replace("best", "chosen"): threshold}
    return found


LOCALISATION = Task(
    "localisation",
    "Localisation: errors of the box (low is good)",
    ("classifier",),
    lambda folder, _type, options: localisation_items(folder, options),
    _target,
    _rows,
    protocol,
    extras=("top_5", "known_class", "no_place"),
    facts=("class_top_1", "class_top_5", "centre_top_5", "centre_known_class"),
    said={
        "class_top_1": "classification error, top 1",
        "class_top_5": "classification error, top 5",
        "top_5": "top 5",
        "centre_top_5": "centre prior, top 5",
        "centre_known_class": "centre prior, known class",
        "centre_best_threshold": "centre prior, best threshold",
        "centre_chosen_threshold": "centre prior, chosen threshold",
        "no_place": "maps without a place",
    },
    wrong=True,
    kept=(*_OWN, *_CENTRE),
    shuffled_by_choice=True,
    across=across,
    across_shared=("centre_best_threshold", "centre_chosen_threshold"),
    span=(0.0, 1.0),
)
"""The score is the top-1 error."""
