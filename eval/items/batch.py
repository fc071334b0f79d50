"""One batch of items through a model: its maps made and scored, rows out.

Items of one image and text share one reading of the Pass, and all their maps come from one product.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from PIL import Image

from vlx.errors import NumericError, VlxError
from vlx.eval.data.records import DataError
from vlx.eval.items.control_maps import activation_maps, control_maps
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models
from vlx.eval.items.opened import Answers, LeftOut, Opened, again, read_items
from vlx.eval.items.rows import OWN_MINUS_WRONG, SCORE, Row, left_out, row_of
from vlx.eval.measures.maps import Map
from vlx.eval.measures.statistics import Outcome
from vlx.eval.measures.wrong import own_minus_wrong
from vlx.explain import explain
from vlx.explanation import Explanation
from vlx.methods.values import Method
from vlx.passes.forward import Pass
from vlx.passes.targets import Target

Judge = Callable[[Map], Outcome]
"""What a map is worth."""


@dataclass(frozen=True, eq=False)
class Scoring:
    """How the maps of one item are scored."""

    score: Judge
    """Of the method's map and of every control."""
    extras: Mapping[str, Judge] = field(default_factory=dict[str, Judge])
    """Further columns, of the method's map alone."""
    facts: Mapping[str, Outcome] = field(default_factory=dict[str, Outcome])
    """Columns that need no map."""


@dataclass(frozen=True, eq=False)
class TargetMap:
    """What a method shows for one target."""

    plane: Map
    """On the pixels of the item's image."""
    target: str
    """The target's name."""


TargetOf = Callable[[Opened, int], Target | LeftOut]
"""The target of the item at a position."""
ScoringOf = Callable[[Opened, int, Target], Scoring | LeftOut]
"""How its maps are scored; may raise DataError where the truth is damaged or does not fit the image."""
WrongOf = Callable[[Opened, int, Target], Mapping[str, Target] | LeftOut]
"""What is explained beside its target that the image does not show, by the words (see `wrong_targets`)."""


def scored_rows(
    models: Models,
    items: Sequence[Item],
    methods: Sequence[Method],
    columns: Sequence[str],
    target_of: TargetOf,
    scoring_of: ScoringOf,
    *,
    seed: int = 0,
    view: Callable[[Image.Image], Image.Image] | None = None,
    answers: Answers | None = None,
    wrong_of: WrongOf | None = None,
) -> list[Row]:
    """Rows of a batch, in the order of the items and, for each, of the methods.

    ``view`` changes every image before the model sees it; maps lie on what it gives. ``answers`` says
    which are explained of a model that writes them (see `answers_of`). With ``wrong_of`` the rows have the
    column ``own_minus_wrong`` too. Data that are damaged, and what the model does not take, become rows that
    say so; any other error of the model or the method is raised (see `vlx.eval.runs.isolated`).
    """
    names = [method.name for method in methods]
    opened, unread = read_items(models.trained, items, view, answers)
    found = {item.id: left_out(item, names, columns, why.reason, why.detail) for item, why in unread}
    for part in opened:
        for at, made in enumerate(_measured(models, part, methods, target_of, scoring_of, seed, wrong_of)):
            item = part.items[at]
            if isinstance(made, LeftOut):
                made = left_out(item, names, columns, made.reason, made.detail)
            found[item.id] = made
    return [row for item in items for row in found[item.id]]


def maps_of(
    opened: Opened, passed: Pass, targets: Sequence[Target | LeftOut], method: Method
) -> list[TargetMap | None]:
    """The map of each item's target; None where there is no target.

    ``passed`` is the items' own Pass or that of another model on the same readings (see `again`).
    """
    alone = [[target] if isinstance(target, Target) else [] for target in targets]
    return [drawn[0]() if drawn else None for drawn in several_maps_of(opened, passed, alone, method)]


def several_maps_of(
    opened: Opened, passed: Pass, targets: Sequence[Sequence[Target]], method: Method
) -> list[list[Callable[[], TargetMap]]]:
    """The maps of each item's targets, all from one product; a call lays one on the pixels of the image."""
    asked: list[list[Target]] = [[] for _ in range(passed.batch)]
    places: list[list[tuple[int, int]]] = []
    for index, wanted in zip(opened.reading_of, targets, strict=True):
        places.append([(index, len(asked[index]) + number) for number in range(len(wanted))])
        asked[index] += wanted
    explained = explain(passed, asked, method)
    return [[partial(_on_image, explained[index], number) for index, number in mine] for mine in places]


def _on_image(explained: Explanation, number: int) -> TargetMap:
    return TargetMap(explained.map(number).astype(np.float64), explained.targets[number].name)


def _measured(
    models: Models,
    opened: Opened,
    methods: Sequence[Method],
    target_of: TargetOf,
    scoring_of: ScoringOf,
    seed: int,
    wrong_of: WrongOf | None,
) -> list[list[Row] | LeftOut]:
    count = len(opened.items)
    targets = [target_of(opened, at) for at in range(count)]
    results: list[list[Row] | LeftOut] = [t if isinstance(t, LeftOut) else [] for t in targets]
    if all(isinstance(target, LeftOut) for target in targets):
        return results
    activations = activation_maps(opened.passed, opened.reading_of)
    judges = [_judged(opened, at, targets[at], scoring_of, activations[at], seed) for at in range(count)]
    wrongs = [_wrong(opened, at, targets[at], wrong_of) for at in range(count)]
    unlearned = again(models.shuffled, opened)
    for method in methods:
        own = _own_maps(opened, targets, wrongs, method)
        other = _unlearned_maps(opened, unlearned, targets, method)
        for at, (judge, mine, shuffled) in enumerate(zip(judges, own, other, strict=True)):
            if isinstance(judge, LeftOut):
                results[at] = judge
            elif mine:
                results[at] = _added(results[at], opened, at, method, judge, mine, shuffled, wrongs[at])
    return results


def _wrong(
    opened: Opened, at: int, target: Target | LeftOut, wrong_of: WrongOf | None
) -> Mapping[str, Target] | LeftOut | None:
    """What is explained beside an item's target; None where nothing is asked for."""
    if wrong_of is None or isinstance(target, LeftOut):
        return None
    return wrong_of(opened, at, target)


def _own_maps(
    opened: Opened,
    targets: Sequence[Target | LeftOut],
    wrongs: Sequence[Mapping[str, Target] | LeftOut | None],
    method: Method,
) -> list[list[Callable[[], TargetMap]]]:
    """The maps of each item's target and of what is wrong beside it, which is there for finite numbers alone.

    Of one item alone, where the wrong ones give no finite numbers, the map of its target.
    """
    alone = [[target] if isinstance(target, Target) else [] for target in targets]
    beside = [list(wrong.values()) if isinstance(wrong, Mapping) else [] for wrong in wrongs]
    asked = [[*own, *others] for own, others in zip(alone, beside, strict=True)]
    try:
        return several_maps_of(opened, opened.passed, asked, method)
    except NumericError:
        if len(opened.items) > 1 or not any(beside):
            raise
        return several_maps_of(opened, opened.passed, alone, method)


def _unlearned_maps(
    opened: Opened, passed: Pass, targets: Sequence[Target | LeftOut], method: Method
) -> list[TargetMap | None]:
    """The maps under shuffled weights; None for one item alone where those give no finite numbers."""
    try:
        return maps_of(opened, passed, targets, method)
    except NumericError:
        if len(opened.items) > 1:
            raise
        return [None]


def _judged(
    opened: Opened, at: int, target: Target | LeftOut, scoring_of: ScoringOf, activation: Map, seed: int
) -> tuple[Scoring, dict[str, Outcome]] | LeftOut:
    """How an item is scored, with the outcomes that are the same for every method."""
    if isinstance(target, LeftOut):
        return target
    item, image = opened.items[at], opened.images[at]
    try:
        scoring = scoring_of(opened, at, target)
    except DataError as error:
        return LeftOut("damaged_record", " ".join(str(error).split()))
    if isinstance(scoring, LeftOut):
        return scoring
    made = control_maps(item, (image.height, image.width), seed)
    try:  # these maps are sound, so that it is the truth that does not fit the image
        known = {name: scoring.score(plane) for name, plane in made.items()}
    except VlxError as error:
        return LeftOut("damaged_record", " ".join(str(error).split()))
    return scoring, {"mean_activation": scoring.score(activation), **known, **scoring.facts}


def _added(
    rows: list[Row] | LeftOut,
    opened: Opened,
    at: int,
    method: Method,
    judge: tuple[Scoring, dict[str, Outcome]],
    drawn: Sequence[Callable[[], TargetMap]],
    shuffled: TargetMap | None,
    wrong: Mapping[str, Target] | LeftOut | None,
) -> list[Row]:
    scoring, known = judge
    mine = drawn[0]()
    outcomes = {SCORE: scoring.score(mine.plane), **known}
    outcomes["random_weights"] = (
        Outcome(None, "not_finite") if shuffled is None else scoring.score(shuffled.plane)
    )
    outcomes |= {name: extra(mine.plane) for name, extra in scoring.extras.items()}
    detail = ""
    if isinstance(wrong, LeftOut):
        outcomes[OWN_MINUS_WRONG] = Outcome(None, wrong.reason)
    elif wrong is not None:
        others = [scoring.score(one().plane) for one in drawn[1:]] or [Outcome(None, "not_finite")]
        outcomes[OWN_MINUS_WRONG] = own_minus_wrong(outcomes[SCORE], others)
        detail = f"wrong words: {', '.join(wrong)}"
    unknown = len(opened.reading(at).unknown)
    row = row_of(opened.items[at], method.name, outcomes, target=mine.target, unknown=unknown, detail=detail)
    return [*(rows if isinstance(rows, list) else []), row]
