"""One batch of items, each explained for several classes at once: those it guesses, its own, and wrong ones.

As `vlx.eval.items.batch`, where a row needs more than the map of one target.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vlx.errors import NumericError, VlxError
from vlx.eval.data.records import DataError
from vlx.eval.items.batch import Judge
from vlx.eval.items.control_maps import activation_maps, control_maps
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models
from vlx.eval.items.opened import LeftOut, Opened, again, read_items
from vlx.eval.items.rows import SCORE, Row, left_out, row_of
from vlx.eval.measures.maps import Map
from vlx.eval.measures.statistics import Outcome
from vlx.explain import explain
from vlx.explanation import Explanation
from vlx.methods.values import Method
from vlx.passes.forward import Pass
from vlx.passes.targets import Target

Outcomes = Mapping[str, Outcome]


def nothing(_maps: Sequence[Map]) -> Outcomes:
    """No columns."""
    return {}


@dataclass(frozen=True, eq=False)
class Asked:
    """What is explained of one item, and what its maps are worth."""

    targets: tuple[Target, ...]
    """The first is that whose map is scored, beside the controls."""
    score: Judge
    """Of the first map and of every control."""
    extras: Callable[[Sequence[Map]], Outcomes] = nothing
    """Further columns, of all maps of a method."""
    of_centre: Callable[[Map], Outcomes] = field(default=lambda _map: {})
    """Further columns of the centre prior."""
    facts: Outcomes = field(default_factory=dict[str, Outcome])
    """Columns that need no map."""


AskedOf = Callable[[Opened, int], Asked | LeftOut]
"""What is asked of the item at a position; may raise DataError where its truth is damaged."""


def several_rows(
    models: Models,
    items: Sequence[Item],
    methods: Sequence[Method],
    columns: Sequence[str],
    asked_of: AskedOf,
    *,
    seed: int = 0,
) -> list[Row]:
    """Rows of a batch, in the order of the items and, for each, of the methods; faults as `scored_rows`."""
    names = [method.name for method in methods]
    opened, unread = read_items(models.trained, items)
    found = {item.id: left_out(item, names, columns, why.reason, why.detail) for item, why in unread}
    for part in opened:
        asked = [_asked(part, at, asked_of) for at in range(len(part.items))]
        for at, made in enumerate(_measured(models, part, methods, asked, seed)):
            item = part.items[at]
            if isinstance(made, LeftOut):
                made = left_out(item, names, columns, made.reason, made.detail)
            found[item.id] = made
    return [row for item in items for row in found[item.id]]


def _asked(opened: Opened, at: int, asked_of: AskedOf) -> Asked | LeftOut:
    try:
        return asked_of(opened, at)
    except DataError as error:
        return LeftOut("damaged_record", " ".join(str(error).split()))


def _measured(
    models: Models,
    opened: Opened,
    methods: Sequence[Method],
    asked: Sequence[Asked | LeftOut],
    seed: int,
) -> list[list[Row] | LeftOut]:
    results: list[list[Row] | LeftOut] = [one if isinstance(one, LeftOut) else [] for one in asked]
    if all(isinstance(one, LeftOut) for one in asked):
        return results
    own = _explained(opened, opened.passed, [_targets(one) for one in asked], methods)
    unlearned = again(models.shuffled, opened)
    first = [_targets(one)[:1] for one in asked]
    activations = activation_maps(opened.passed, opened.reading_of)
    shuffled = _unlearned(opened, unlearned, first, methods)
    for at, one in enumerate(asked):
        if isinstance(one, LeftOut):
            continue
        item, image = opened.items[at], opened.images[at]
        made = control_maps(item, (image.height, image.width), seed)
        try:
            known = {name: one.score(plane) for name, plane in made.items()}
        except VlxError as error:
            results[at] = LeftOut("damaged_record", " ".join(str(error).split()))
            continue
        known |= {"mean_activation": one.score(activations[at]), **one.of_centre(made["centre_prior"])}
        results[at] = [
            _row(item, method.name, one, own[at][number], shuffled[at][number], {**known, **one.facts})
            for number, method in enumerate(methods)
        ]
    return results


def _row(
    item: Item,
    method: str,
    asked: Asked,
    own: tuple[Explanation, Sequence[int]],
    other: tuple[Explanation, Sequence[int]] | None,
    known: Outcomes,
) -> Row:
    maps = _planes(own)
    unlearned = Outcome(None, "not_finite") if other is None else asked.score(_planes(other)[0])
    outcomes = {SCORE: asked.score(maps[0]), "random_weights": unlearned, **known, **asked.extras(maps)}
    made, places = own
    return row_of(item, method, outcomes, target=made.targets[places[0]].name)


def _targets(asked: Asked | LeftOut) -> tuple[Target, ...]:
    return () if isinstance(asked, LeftOut) else asked.targets


def _planes(made: tuple[Explanation, Sequence[int]]) -> list[Map]:
    explained, places = made
    return [explained.map(number).astype(np.float64) for number in places]


def _explained(
    opened: Opened, passed: Pass, targets: Sequence[tuple[Target, ...]], methods: Sequence[Method]
) -> list[list[tuple[Explanation, Sequence[int]]]]:
    """For each item and method the Explanation of its image, with the places of the item's targets there."""
    asked: list[list[Target]] = [[] for _ in range(passed.batch)]
    places: list[range] = []
    for index, mine in zip(opened.reading_of, targets, strict=True):
        places.append(range(len(asked[index]), len(asked[index]) + len(mine)))
        asked[index] += mine
    made = explain(passed, asked, list(methods))
    return [
        [(one, mine) for one in made[index]] for index, mine in zip(opened.reading_of, places, strict=True)
    ]


def _unlearned(
    opened: Opened, passed: Pass, targets: Sequence[tuple[Target, ...]], methods: Sequence[Method]
) -> Sequence[Sequence[tuple[Explanation, Sequence[int]] | None]]:
    """As above under shuffled weights; None for one item alone where those give no finite numbers."""
    try:
        return _explained(opened, passed, targets, methods)
    except NumericError:
        if len(opened.items) > 1:
            raise
        return [[None] * len(methods)]
