"""Hallucination: whether words of what an image shows can be told from words of what it does not show.

Each word has three scores: the maximum of its map, the nats of it that come from the image, and its own
log-probability. How well each tells words apart is the area under its ROC curve, not a mean over words.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import product
from os.path import isfile
from typing import Any

import numpy as np
from jaxtyping import Float

from vlx.errors import ImageError, TextError
from vlx.eval.items.batch import Scoring, scored_rows
from vlx.eval.items.item import Item
from vlx.eval.items.mentions import doubtful_words, exchanged, own_words
from vlx.eval.items.models import Models, ModelType
from vlx.eval.items.opened import LeftOut, Opened, read_items
from vlx.eval.items.options import Options
from vlx.eval.items.rows import SCORE, Numbers, Row
from vlx.eval.items.truth import Shown
from vlx.eval.measures.drawn import Estimate, Statistic, minus, roc_areas, statistic
from vlx.eval.measures.statistics import Outcome
from vlx.eval.tasks.evidence import evidence
from vlx.eval.tasks.targets import word_target
from vlx.eval.tasks.task import Task
from vlx.images.files import open_image, with_link
from vlx.methods.gradients import values_of
from vlx.methods.values import Method
from vlx.passes.reading import Choices
from vlx.passes.targets import Resolved, Target

FEW = 3
"""Of own words that name what is there, and of those that do not, so many are needed for an area."""
_FIXED = ("evidence", "log_probability", "mean_activation", "random_map")
"""Scorers that are the same for every method."""


def protocol(options: Options, model_type: ModelType) -> str:
    """What is measured."""
    del model_type
    count = options.captions
    which = "every reference caption" if count is None else f"the first {count} reference caption(s)"
    return (
        "Hallucination: the area under the ROC curve (ties count one half) of a score that tells words of "
        "categories that an image shows from words of categories that it does not, by COCO's instances and "
        "the image's captions together (CHAIR, Rohrbach et al. 2018). Exchanged words: one true visual word "
        f"of {which}, drawn by the seed, and the same caption with the commonest word of an absent category, "
        "drawn likewise, that is as many and takes the same article, in its place; captions in lower case; "
        "only the word in that place is scored. Own words: the visual words of the caption that the model "
        f"writes, where {FEW} or more name what is there and as many what is not. Scores: the maximum of the "
        "word's raw map on the pixels of the image, by each method; evidence, the log-probability less that "
        "for features of 0; the log-probability itself, of the head noun at its step. Draws of images for "
        "the intervals. Mean over words of both kinds, in the table of the scores"
    )


def _rows(models: Models, items: Sequence[Item], methods: Sequence[Method], options: Options) -> list[Row]:
    knows = cache(partial(_choices, models.trained, items))
    settled = [one for item in items for one in _settled(models.trained, item, knows)]
    known = cache(_nats)  # of a Pass, for all its items together; forgotten after
    columns = HALLUCINATION.columns
    rows = scored_rows(
        models, settled, methods, columns, word_target, partial(_scoring, known), seed=options.seed
    )
    # The maximum of a centre prior is the same for all, and no control.
    return [replace(row, outcomes={name: row.outcomes[name] for name in columns}) for row in rows]


def _settled(model: Any, item: Item, knows: Callable[[], Choices | None]) -> list[Item]:
    """The words that an item stands for, which of some are only known of a model."""
    if item.left_out or not isinstance(item.truth, Shown):
        return [item]
    if item.truth.others:
        choices = knows()
        return [exchanged(item, () if choices is None else choices)]
    return _said(model, item) if item.truth.own else [item]


def _choices(model: Any, items: Sequence[Item]) -> Choices | None:
    """What a model chooses words from, told by the first text of the items that it can read."""
    for item in items:
        opened, _ = read_items(model, [item]) if item.text and not item.left_out else ([], [])
        if opened:
            return opened[0].reading(0).choices
    return None


def _said(model: Any, item: Item) -> list[Item]:
    """The visual words of what a model writes of an image."""
    if not isfile(item.image):  # or a pipe, from which reading might never come back
        return [replace(item, left_out="no_image", detail=f"no image {with_link(item.image)}")]
    try:
        (said,) = model.generate([open_image(item.image)])
    except OSError:
        return [replace(item, left_out="no_image", detail=f"no image {item.image}")]
    except ImageError as error:
        missing = not item.image.is_file()
        return [replace(item, left_out="no_image" if missing else "damaged_image", detail=str(error))]
    except (AttributeError, NotImplementedError):
        return [replace(item, left_out="no_own_caption")]
    except TextError as error:
        return [replace(item, left_out="said_nothing", detail=str(error))]
    return own_words(item, said) or [replace(item, text=said, left_out="no_visual_word")]


def _nats(opened: Opened) -> dict[int, tuple[Outcome, Outcome]]:
    """The log-probability of each item's word, and what of it comes from the image, where a Pass tells it."""
    asked: list[list[Resolved]] = [[] for _ in range(opened.passed.batch)]
    where: dict[int, tuple[int, int]] = {}
    for at, index in enumerate(opened.reading_of):
        target = word_target(opened, at)
        if isinstance(target, Target):
            where[at] = len(asked[index]), index
            asked[index].append(target.resolve(opened.reading(at)))
    if opened.passed.above is None:
        terms = [[one.terms for one in some] for some in asked]
        scores = values_of(opened.passed, terms, max(map(len, asked))).double().cpu()
        return {at: (_finite(float(scores[one])), Outcome(None, "no_evidence")) for at, one in where.items()}
    scores, blank = (some.double().cpu() for some in evidence(opened.passed, asked))
    return {
        at: (_finite(float(scores[one])), _finite(float((scores - blank)[one]))) for at, one in where.items()
    }


def _scoring(
    known: Callable[[Opened], dict[int, tuple[Outcome, Outcome]]], opened: Opened, at: int, target: Target
) -> Scoring:
    del target
    item = opened.items[at]
    assert isinstance(item.truth, Shown)
    score, nats = known(opened)[at]
    return Scoring(
        lambda plane: Outcome(float(plane.max())),
        facts={
            "evidence": nats,
            "log_probability": score,
            "present": Outcome(float(item.category in item.truth.present)),
            "own_caption": Outcome(float(item.truth.own)),
        },
    )


def _finite(value: float) -> Outcome:
    return Outcome(value) if np.isfinite(value) else Outcome(None, "not_finite")


def areas(rows: Sequence[Numbers], seed: int) -> Mapping[str, Statistic]:
    """The area under the ROC curve of every scorer, of exchanged words and of own ones, and differences."""
    methods = list(dict.fromkeys(row.method for row in rows))
    found: dict[str, Statistic] = {}
    for own, name in ((False, "exchanged words"), (True, "own words")):
        mine = [row for row in rows if row.outcomes["own_caption"].value == float(own)]
        counts = [sum(_present(row) == kind for row in mine if row.method == methods[0]) for kind in (0, 1)]
        if min(counts) < (FEW if own else 1):
            continue
        first = [row for row in mine if row.method == methods[0]]
        for column in _FIXED:
            found[f"{name}: {column.replace('_', ' ')}"] = _area(first, [column], seed)
        found[f"{name}: evidence minus log probability"] = _area(first, ["evidence", "log_probability"], seed)
        for method, column in product(methods, (SCORE, "random_weights")):
            told = method if column == SCORE else f"{method}, random weights"
            by_method = [row for row in mine if row.method == method]
            found[f"{name}: maximum of {told}"] = _area(by_method, [column], seed)
        for method in methods:
            by_method = [row for row in mine if row.method == method]
            label = f"{name}: maximum of {method} minus log probability"
            found[label] = _area(by_method, [SCORE, "log_probability"], seed)
    return found


def _area(rows: Sequence[Numbers], columns: Sequence[str], seed: int) -> Statistic:
    """The area of a column, or that of the first less that of the second, over rows that have both."""

    def estimate(_values: Float[np.ndarray, " item"], at: np.ndarray) -> Estimate:
        present = np.array([_present(rows[number]) == 1 for number in at], dtype=bool)
        each = [
            roc_areas(np.array([rows[number].outcomes[column].value for number in at], dtype=float), present)
            for column in columns
        ]
        return each[0] if len(each) == 1 else minus(*each)

    outcomes = [
        next((row.outcomes[column] for column in columns if row.outcomes[column].value is None), Outcome(1.0))
        for row in rows
    ]
    kinds = ["present" if _present(row) == 1 else "absent" for row in rows]
    return statistic(outcomes, [row.image for row in rows], estimate, kinds, seed=seed)


def _present(row: Numbers) -> float | None:
    return row.outcomes["present"].value


def _target(_options: Options, opened: Opened, at: int) -> Target | LeftOut:
    truth = opened.items[at].truth
    if isinstance(truth, Shown) and truth.others:
        return LeftOut("no_other_word", "its caption is changed where it is measured")
    return word_target(opened, at)


HALLUCINATION = Task(
    "hallucination",
    "Hallucination: words of what is there told from words of what is not (area under the ROC curve)",
    ("captioner",),
    lambda folder, _type, options: doubtful_words(folder, options),
    _target,
    _rows,
    protocol,
    controls=("random_weights",),
    facts=("mean_activation", "random_map", "evidence", "log_probability", "present", "own_caption"),
    shared=(),
    statistics=areas,
)
