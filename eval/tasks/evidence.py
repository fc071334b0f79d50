"""Evidence: how many nats of each word of a caption come from the image, by the class of the word.

No map is made. A function word follows from the words before it, so that the image should add little to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from vlx.errors import VlxError
from vlx.eval.data.lexicon import tokenize
from vlx.eval.items.item import Item
from vlx.eval.items.mentions import OBJECT, caption_words
from vlx.eval.items.models import Models, ModelType
from vlx.eval.items.opened import LeftOut, Opened, again, read_items
from vlx.eval.items.options import Options
from vlx.eval.items.rows import SCORE, Numbers, Row, left_out, row_of
from vlx.eval.measures.drawn import Estimate, Statistic, means_of, minus, statistic
from vlx.eval.measures.statistics import Outcome
from vlx.eval.tasks.task import Task
from vlx.methods.gradients import values_of
from vlx.methods.maps import blank_scores
from vlx.methods.values import Method, integrated_gradients
from vlx.passes.forward import Pass
from vlx.passes.targets import Resolved, Target, word
from vlx.word_classes import CLASSES, FUNCTION

NATS = replace(integrated_gradients, name="evidence")
"""What stands in the place of a method: its map adds up to the evidence, and shows examples on a page."""
FUNCTION_WORDS = "function words"


def protocol(options: Options, model_type: ModelType) -> str:
    """What is measured."""
    del model_type
    count = options.captions
    which = "all reference captions" if count is None else f"the first {count} reference caption(s)"
    return (
        "Evidence: the log-probability of a word at its step, under teacher forcing, less that of the same "
        "word with the same words before it where the features of the layer are 0, in nats: what the image "
        f"adds; every word of {which} that the model knows; object: the head noun of a visual word by the "
        "built-in lexicon; the other classes by closed lists, content what none holds. Function words are "
        f"those of the classes {', '.join(sorted(FUNCTION - {'punctuation'}))}. Mean over words"
    )


def evidence(
    passed: Pass, asked: Sequence[Sequence[Resolved]]
) -> tuple[Float[Tensor, "target item"], Float[Tensor, "target item"]]:
    """The scores of the targets of each item of a Pass, and those for features of 0; 0 beyond an item's own.

    Raises VlxError where the Pass cannot run again what lies above its layer.
    """
    blank = blank_scores(passed, asked)
    if blank is None:
        raise VlxError(
            f"{passed.model} gives no way to run again what lies above layer {passed.layer}: give its Pass "
            "above=seen.above(…), by which evidence is measured"
        )
    return values_of(passed, [[one.terms for one in some] for some in asked], len(blank)), blank


def target_of(opened: Opened, at: int) -> Target | LeftOut:
    """The word of the item at a position, where the model reads and knows it."""
    item, reading = opened.items[at], opened.reading(at)
    said = [one.text for one in reading.words]
    bare = [tokenize(one)[:1] == [item.word] or one.lower() == item.word for one in said]
    places = [number for number, same in enumerate(bare) if same]
    if item.mention >= len(places):
        return LeftOut("other_tokens", f"the model reads {' '.join(said)!r}")
    if said[places[item.mention]] in reading.unknown:
        return LeftOut("unknown_word")
    return word(places[item.mention])


def _rows(models: Models, items: Sequence[Item], methods: Sequence[Method], options: Options) -> list[Row]:
    del methods, options
    names = [NATS.name]
    opened, unread = read_items(models.trained, items)
    found = {item.id: left_out(item, names, EVIDENCE.columns, why.reason, why.detail) for item, why in unread}
    for part in opened:
        found |= _measured(models.shuffled, part)
    return [row for item in items for row in found[item.id]]


def _measured(shuffled: Any, opened: Opened) -> dict[str, list[Row]]:
    """The rows of the items of one Pass, by the items' ids."""
    found: dict[str, list[Row]] = {}
    asked: list[list[Resolved]] = [[] for _ in range(opened.passed.batch)]
    where: dict[int, tuple[int, int]] = {}
    for at, index in enumerate(opened.reading_of):
        target, item = target_of(opened, at), opened.items[at]
        if isinstance(target, LeftOut):
            found[item.id] = left_out(item, [NATS.name], EVIDENCE.columns, target.reason, target.detail)
        else:
            where[at] = len(asked[index]), index
            asked[index].append(target.resolve(opened.reading(at)))
    if not where:
        return found
    scores, blank = (some.double().tolist() for some in evidence(opened.passed, asked))
    other, other_blank = (some.double().tolist() for some in evidence(again(shuffled, opened), asked))
    for at, (number, index) in where.items():
        value, without = scores[number][index], blank[number][index]
        outcomes = {
            SCORE: _finite(value - without),
            "random_weights": _finite(other[number][index] - other_blank[number][index]),
            "log_probability": _finite(value),
            "blank": _finite(without),
        }
        item, unknown = opened.items[at], len(opened.reading(at).unknown)
        name = asked[index][number].name
        found[item.id] = [row_of(item, NATS.name, outcomes, target=name, unknown=unknown)]
    return found


def _finite(value: float) -> Outcome:
    return Outcome(value) if np.isfinite(value) else Outcome(None, "not_finite")


def by_class(rows: Sequence[Numbers], seed: int) -> Mapping[str, Statistic]:
    """The mean evidence of each class of words, and how far objects lie above function words."""
    found = {kind: _mean(rows, {kind}, seed) for kind in (OBJECT, *CLASSES)}
    found = {kind: one for kind, one in found.items() if sum(one.counts.values())}
    functions = [row for row in rows if row.category in FUNCTION]
    if functions:
        found[FUNCTION_WORDS] = _mean(rows, FUNCTION, seed)
    both = [row for row in rows if row.category in FUNCTION or row.category == OBJECT]
    kinds = [OBJECT if row.category == OBJECT else FUNCTION_WORDS for row in both]
    if len(set(kinds)) == 2:

        def difference(values: Float[np.ndarray, " item"], at: np.ndarray) -> Estimate:
            objects = np.array([kinds[number] == OBJECT for number in at], dtype=bool)
            return minus(means_of(values, objects), means_of(values, ~objects))

        found[f"{OBJECT} minus {FUNCTION_WORDS}"] = _over(both, kinds, difference, seed)
    return found


def _mean(rows: Sequence[Numbers], kinds: "frozenset[str] | set[str]", seed: int) -> Statistic:
    mine = [row for row in rows if row.category in kinds]

    def mean(values: Float[np.ndarray, " item"], _at: np.ndarray) -> Estimate:
        return means_of(values, np.ones(len(values), bool))

    return _over(mine, ["words"] * len(mine), mean, seed)


def _over(rows: Sequence[Numbers], kinds: Sequence[str], estimate: Any, seed: int) -> Statistic:
    outcomes, images = [row.outcomes[SCORE] for row in rows], [row.image for row in rows]
    return statistic(outcomes, images, estimate, kinds, seed=seed)


EVIDENCE = Task(
    "evidence",
    "Evidence: nats of a word that come from the image (0: none)",
    ("captioner",),
    lambda folder, _type, options: caption_words(folder, options),
    lambda _options, opened, at: target_of(opened, at),
    _rows,
    protocol,
    controls=("random_weights",),
    facts=("log_probability", "blank"),
    said={"blank": "log probability without the image"},
    shared=(),
    methods=(NATS,),
    statistics=by_class,
)
