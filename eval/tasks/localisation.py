"""Weakly supervised localisation: the box of a class's map against the true ones (paper 4.1, Table 1)."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

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
from vlx.eval.measures.localisation import (
    GUESSES,
    SWEPT,
    Corners,
    box_hit,
    classification_error,
    crossed_error,
    localisation_error,
    map_box,
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
    guessed = [own if one in mine else one for one in guesses(opened, at, GUESSES)]
    likeliest = guesses(opened, at, GUESSES)
    wrong = wrong_classes(opened, at, mine, options)
    box = partial(map_box, threshold=options.threshold, connectivity=options.connectivity)
    judge = _Judge(options, boxes, own, guessed, truth.why, box)
    facts = {
        "class_top_1": Outcome(float(classification_error(guessed, own, 1))),
        "class_top_5": Outcome(float(classification_error(guessed, own))),
    }
    asked = (*likeliest, own, *wrong)
    return Asked(tuple(map(label, asked)), judge.score, judge.extras, judge.of_centre, facts)


class _Judge:
    """What maps of one image are worth."""

    def __init__(
        self,
        options: Options,
        boxes: tuple[Corners, ...],
        own: int,
        guessed: Sequence[int],
        why: str,
        box: Callable[[Map], Corners],
    ) -> None:
        self._options, self._boxes, self._own = options, boxes, own
        self._guessed, self._why, self._box = guessed, why, box

    def score(self, plane: Map) -> Outcome:
        """The error of the first guess."""
        return self._error([plane])

    def extras(self, maps: Sequence[Map]) -> Mapping[str, Outcome]:
        """Those of the maps of the guesses, of the true class, and of wrong ones."""
        count = len(self._guessed)
        if self._why:
            less = (OWN_MINUS_WRONG,) if self._options.wrong else ()
            return dict.fromkeys((*LOCALISATION.extras, *_OWN, *less), Outcome(None, self._why))
        own, wrong = maps[count], maps[count + 1 :]
        hit = self._hit(own)
        found = {
            "top_5": self._error(maps[:count]),
            "known_class": Outcome(1.0 - hit),
            "no_place": Outcome(float(maps[0].max() <= 0)),
        }
        others = [Outcome(self._hit(one)) for one in wrong]
        return found | self._swept(_OWN, own) | minus_wrong(Outcome(hit), others, self._options)

    def of_centre(self, plane: Map) -> Mapping[str, Outcome]:
        """Those of the centre prior, which has one box for every class."""
        if self._why:
            return dict.fromkeys(("centre_top_5", "centre_known_class", *_CENTRE), Outcome(None, self._why))
        known = Outcome(1.0 - self._hit(plane))
        top = self._error([plane] * len(self._guessed))
        return {"centre_top_5": top, "centre_known_class": known} | self._swept(_CENTRE, plane)

    def _error(self, maps: Sequence[Map]) -> Outcome:
        if self._why:
            return Outcome(None, self._why)
        guessed = [(one, self._box(plane)) for one, plane in zip(self._guessed, maps, strict=False)]
        return Outcome(float(localisation_error(guessed, self._own, self._boxes)))

    def _hit(self, plane: Map) -> float:
        return float(box_hit(self._box(plane), self._boxes))

    def _swept(self, names: Sequence[str], plane: Map) -> dict[str, Outcome]:
        boxes = [map_box(plane, share, connectivity=self._options.connectivity) for share in SWEPT]
        hits = [box_hit(box, self._boxes) for box in boxes]
        return {name: Outcome(float(not hit)) for name, hit in zip(names, hits, strict=True)}


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
    across=across,
    across_shared=("centre_best_threshold", "centre_chosen_threshold"),
    crops=True,
    span=(0.0, 1.0),
)
"""The score is the top-1 error."""
