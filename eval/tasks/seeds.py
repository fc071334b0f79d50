"""Seeds of weakly supervised segmentation: how far the cells that maps give lie on their objects (paper 4.2).

The numbers that lead are of one confusion matrix over all images, as those of PASCAL VOC's segmentations are;
beside them stands each class of each image by itself, with the controls on the same pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Float

from vlx.eval.data.class_masks import labels_of
from vlx.eval.data.classes import matched
from vlx.eval.data.records import DataError
from vlx.eval.items.class_choice import minus_wrong, own_class, wrong_classes
from vlx.eval.items.class_seeds import ALL_CLASSES, LARGEST_GRADIENT, likeliest, seen_cells
from vlx.eval.items.crops import crop_told
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models, ModelType
from vlx.eval.items.opened import LeftOut, Opened
from vlx.eval.items.options import Options
from vlx.eval.items.rows import OWN_MINUS_WRONG, Numbers, Row
from vlx.eval.items.seed_sources import NOTHING, seed_items
from vlx.eval.items.several import Asked, several_rows
from vlx.eval.items.truth import Pixels
from vlx.eval.measures.drawn import Estimate, Statistic, drawn_statistic, minus
from vlx.eval.measures.maps import Map, Mask, area_average
from vlx.eval.measures.seeds import (
    GRID,
    IGNORED,
    background,
    foreground,
    mean_of_known,
    on_pixels,
    ratio,
    seeds_of,
    smoothed,
)
from vlx.eval.measures.statistics import Outcome
from vlx.eval.tasks.task import Task
from vlx.images.frame import Frame
from vlx.methods.values import Method
from vlx.passes.targets import Target, label

_PARTS = ("hits", "found", "there")
"""Pixels that are found rightly, those found, and those that are there."""
_CENTRE = tuple(f"centre_{name}" for name in _PARTS)
_UNLEARNED = tuple(f"unlearned_{name}" for name in _PARTS)
_SCORES = ("mean IoU", "mean precision", "mean recall")


def protocol(options: Options, model_type: ModelType) -> str:
    """What is measured."""
    del model_type
    at = options.saliency or "the layer explained"
    return (
        f"Seeds for weakly supervised segmentation (paper 4.2; SEC, arXiv 1603.06098) on {GRID[0]} x "
        f"{GRID[1]} cells over the image, each the mean of a map's pixels: of each class that an image shows "
        f"the cells above {options.foreground:.0%} of the maximum of its logit's map, none where that is not "
        f"above 0; of the background the {options.background:.0%} of cells with the lowest |gradient| of the "
        f"sum of all classes' logits at {at}, the largest of all channels, by the median of 3 x 3 cells, "
        "strictly lower than the next. Value: precision, recall and IoU of each class from one confusion "
        "matrix over all pixels of all images (255 ignored), cells that several classes claim given to the "
        "one with fewer cells, then the mean over the classes that are there or found, without the "
        "background, which stands by itself. Table of items: one class of one image alone, IoU, without "
        f"overlaps; {crop_told(options.crop)}. Own minus wrong: less that of the maps of up to "
        f"{options.wrong} classes that the image does not show, on the same pixels. Centre prior: the same "
        "cut of a blob in the centre. Mean over classes of images"
    )


def _target(options: Options, opened: Opened, at: int) -> Target | LeftOut:
    del options
    truth = opened.items[at].truth
    if isinstance(truth, Pixels) and truth.label == 0:
        return ALL_CLASSES
    found = own_class(opened, at)
    return found if isinstance(found, LeftOut) else label(found[0])


def _rows(models: Models, items: Sequence[Item], methods: Sequence[Method], options: Options) -> list[Row]:
    columns = SEEDS.columns_for(options)
    measured = partial(several_rows, columns=columns, crop=options.crop, seed=options.seed)
    classes = [item for item in items if item.category != NOTHING or item.left_out]
    nothing = [item for item in items if item.category == NOTHING and not item.left_out]
    found: dict[str, list[Row]] = {item.id: [] for item in items}
    for row in measured(models, classes, methods, asked_of=partial(_asked, options)) if classes else []:
        found[row.item].append(row)
    lower = _at(models, options.saliency)
    saliency = [LARGEST_GRADIENT]
    for row in measured(lower, nothing, saliency, asked_of=partial(_nothing, options)) if nothing else []:
        found[row.item] += [replace(row, method=method.name) for method in methods]
    return [row for item in items for row in found[item.id]]


def _at(models: Models, layer: str | None) -> Models:
    """The models explained at another layer."""
    if layer is None:
        return models
    name: int | str = int(layer) if layer.lstrip("-").isdecimal() else layer
    return replace(models, trained=models.trained.at(name), make_shuffled=lambda: models.shuffled.at(name))


@dataclass(frozen=True, eq=False)
class _Judge:
    """What cells are worth on the pixels of one class of one image."""

    own: Mask
    counted: Mask

    def parts(self, cells: Mask) -> tuple[int, int, int]:
        """Pixels found rightly, those found, those there."""
        size = (self.own.shape[0], self.own.shape[1])
        found = on_pixels(cells.astype(np.int64), size).astype(bool) & self.counted
        return int((found & self.own).sum()), int(found.sum()), int(self.own.sum())

    def iou(self, cells: Mask) -> Outcome:
        """Intersection over union."""
        hits, found, there = self.parts(cells)
        return Outcome(hits / (found + there - hits)) if found + there else Outcome(None, "empty_mask")

    def shares(self, cells: Mask, prefix: str = "") -> dict[str, Outcome]:
        """Precision and recall."""
        hits, found, there = self.parts(cells)
        return {
            f"{prefix}precision": Outcome(hits / found) if found else Outcome(None, "no_seed"),
            f"{prefix}recall": Outcome(hits / there) if there else Outcome(None, "empty_mask"),
        }

    def counts(self, cells: Mask, names: Sequence[str]) -> dict[str, Outcome]:
        """The parts as columns."""
        return {name: Outcome(float(one)) for name, one in zip(names, self.parts(cells), strict=True)}


def _judge(opened: Opened, at: int) -> _Judge:
    """Raises DataError where the masks do not fit the image."""
    truth, image = opened.items[at].truth, opened.images[at]
    assert isinstance(truth, Pixels)
    labels = labels_of(truth.truth, truth.classes)
    if labels.shape != (image.height, image.width):
        raise DataError(
            f"a mask of {labels.shape[1]} x {labels.shape[0]} pixels for an image of "
            f"{image.width} x {image.height}"
        )
    return _Judge(labels == truth.label, labels != IGNORED)


def _asked(options: Options, opened: Opened, at: int) -> Asked | LeftOut:
    found = own_class(opened, at)
    if isinstance(found, LeftOut):
        return found
    own, mine = found
    judge, truth = _judge(opened, at), opened.items[at].truth
    assert isinstance(truth, Pixels)
    passed, reading = opened.passed, opened.reading_of[at]
    known = [matched(names, opened.reading(at).choices.names) for _, names in truth.beside]
    beside = [likeliest(passed, reading, places) for places in known if places]
    labels = [name for (name, _), places in zip(truth.beside, known, strict=True) if places]
    wrong = wrong_classes(opened, at, mine, options)

    def cells(plane: Map) -> Mask:
        return foreground(area_average(plane, GRID), options.foreground)

    def extras(maps: Sequence[Map]) -> Mapping[str, Outcome]:
        alone = cells(maps[0])
        others = {name: cells(plane) for name, plane in zip(labels, maps[1:], strict=False)}
        # In the order of the classes, which decides between regions of one size.
        every = dict(sorted({truth.label: alone, **others}.items()))
        final = seeds_of(every) == truth.label
        rest = [judge.iou(cells(plane)) for plane in maps[1 + len(labels) :]]
        less = minus_wrong(judge.iou(alone), rest, options)
        return {**judge.shares(alone), **judge.counts(final, _PARTS), **less}

    def of_unlearned(plane: Map | None) -> Mapping[str, Outcome]:
        if plane is None:
            return dict.fromkeys(_UNLEARNED, Outcome(None, "not_finite"))
        return judge.counts(cells(plane), _UNLEARNED)

    return Asked(
        tuple(map(label, (own, *beside, *wrong))),
        lambda plane: judge.iou(cells(plane)),
        extras,
        lambda plane: {**judge.shares(cells(plane), "centre_"), **judge.counts(cells(plane), _CENTRE)},
        of_unlearned=of_unlearned,
    )


def _nothing(options: Options, opened: Opened, at: int) -> Asked:
    """The background of an image: its seeds are counted, and have no score as a map of a class has."""
    judge, frame = _judge(opened, at), opened.passed.frames[opened.reading_of[at]]
    none = Outcome(None, "background")
    less = {OWN_MINUS_WRONG: none} if options.wrong else {}
    empty = dict.fromkeys(("precision", "recall", "centre_precision", "centre_recall"), none)

    def counts(names: Sequence[str], plane: Map) -> Mapping[str, Outcome]:
        return judge.counts(_lowest(plane, frame, options), names)

    def of_unlearned(plane: Map | None) -> Mapping[str, Outcome]:
        if plane is None:
            return dict.fromkeys(_UNLEARNED, Outcome(None, "not_finite"))
        return counts(_UNLEARNED, plane)

    return Asked(
        (ALL_CLASSES,),
        lambda _plane: none,
        lambda maps: {**empty, **less, **counts(_PARTS, maps[0])},
        partial(counts, _CENTRE),
        of_unlearned=of_unlearned,
    )


def _lowest(plane: Map, frame: Frame, options: Options) -> Mask:
    """The cells of the lowest saliency that the network saw; ten crops see all."""
    seen = None if options.crop == "ten" else seen_cells(frame, GRID)
    return background(smoothed(area_average(plane, GRID)), options.background, seen)


Columns = Sequence[str]
Counted = tuple[Float[np.ndarray, "image part class"], list[str]]
"""Counts by image and class, and the images."""


def qualities(rows: Sequence[Numbers], seed: int) -> Mapping[str, Statistic]:
    """Mean precision, recall and IoU of each method's seeds, of the controls', and of the background."""
    methods = list(dict.fromkeys(row.method for row in rows))
    found: dict[str, Statistic] = {}
    for name in methods:
        mine = [row for row in rows if row.method == name and row.category != NOTHING]
        for score in _SCORES:
            found[f"{name}, {score}"] = _statistic(mine, _PARTS, partial(_mean, score), seed)
        found[f"{name}, random weights, mean IoU"] = _statistic(
            mine, _UNLEARNED, partial(_mean, _SCORES[0]), seed
        )
        if name == methods[0]:
            continue
        first = [row for row in rows if row.method == methods[0] and row.category != NOTHING]
        found[f"{methods[0]} minus {name}, mean IoU"] = _difference(first, mine, seed)
    some = [row for row in rows if row.method == methods[0]] if methods else []
    classes = [row for row in some if row.category != NOTHING]
    nothing = [row for row in some if row.category == NOTHING]
    for score in _SCORES:
        found[f"centre prior, {score}"] = _statistic(classes, _CENTRE, partial(_mean, score), seed)
    for score in _SCORES:
        told = f"background, {score.removeprefix('mean ')}"
        found[told] = _statistic(nothing, _PARTS, partial(_mean, score), seed)
        found[f"{told}, random weights"] = _statistic(nothing, _UNLEARNED, partial(_mean, score), seed)
    return found


def _mean(score: str, held: Float[np.ndarray, "image part class"]) -> Estimate:
    """One of the scores as the mean over classes, of one confusion matrix a draw."""

    def estimate(times: Float[np.ndarray, "draw image"]) -> Float[np.ndarray, " draw"]:
        flat = times @ held.reshape(len(held), -1)
        hits, found, there = np.moveaxis(flat.reshape(len(times), *held.shape[1:]), 1, 0)
        whole = {_SCORES[0]: found + there - hits, _SCORES[1]: found, _SCORES[2]: there}[score]
        return mean_of_known(ratio(hits, whole))

    return estimate


def _statistic(
    rows: Sequence[Numbers],
    columns: Columns,
    estimate: Callable[[Float[np.ndarray, "image part class"]], Estimate],
    seed: int,
) -> Statistic:
    (held, images), lost = _counted(rows, columns), dict[str, int]()
    value, interval = drawn_statistic(estimate(held), images, seed=seed)
    for row in rows:
        if (why := row.outcomes[columns[0]].left_out) is not None:
            lost[why] = lost.get(why, 0) + 1
    counts = {"classes of images": len(rows) - sum(lost.values())}
    return Statistic(value, interval, counts, len(images), left_out=dict(sorted(lost.items())))


def _difference(first: Sequence[Numbers], second: Sequence[Numbers], seed: int) -> Statistic:
    """The mean IoU of one method less that of another, over the images of both."""
    (one, images), (other, others) = (_counted(rows, _PARTS) for rows in (first, second))
    if images != others or one.shape != other.shape:
        return Statistic(None, None, {}, 0)
    estimate = minus(_mean(_SCORES[0], one), _mean(_SCORES[0], other))
    value, interval = drawn_statistic(estimate, images, seed=seed)
    return Statistic(value, interval, {"classes of images": len(first)}, len(images))


def _counted(rows: Sequence[Numbers], columns: Columns) -> Counted:
    known = [row for row in rows if row.outcomes[columns[0]].value is not None]
    images = {name: at for at, name in enumerate(sorted({row.image for row in known}))}
    classes = {name: at for at, name in enumerate(sorted({row.category for row in known}))}
    held = np.zeros((len(images), len(columns), len(classes)))
    for row in known:
        values = [row.outcomes[column].value or 0.0 for column in columns]
        held[images[row.image], :, classes[row.category]] += values
    return held, list(images)


SEEDS = Task(
    "seeds",
    "Seeds of segmentation: IoU of the cells that a map claims",
    ("classifier",),
    lambda folder, _type, options: seed_items(folder, options),
    _target,
    _rows,
    protocol,
    extras=("precision", "recall"),
    facts=("centre_precision", "centre_recall"),
    said={"centre_precision": "centre prior, precision", "centre_recall": "centre prior, recall"},
    wrong=True,
    statistics=qualities,
    kept=(*_PARTS, *_CENTRE, *_UNLEARNED),
    span=(0.0, 1.0),
)
