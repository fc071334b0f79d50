"""One batch of items, each explained for several classes at once: those it guesses, its own, and wrong ones.

As `vlx.eval.items.batch`, where a row needs more than the map of one target.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vlx.errors import NumericError, VlxError
from vlx.eval.data.records import DataError
from vlx.eval.items.batch import Judge
from vlx.eval.items.control_maps import activation_maps, control_maps
from vlx.eval.items.crops import Crop, View, mean_scores, merged, views_of
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models
from vlx.eval.items.opened import LeftOut, Opened, read_items
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
    of_unlearned: Callable[[Map | None], Outcomes] = field(default=lambda _map: {})
    """Further columns of the map under shuffled weights; None where that has no finite numbers."""


AskedOf = Callable[[Opened, int], Asked | LeftOut]
"""What is asked of the item at a position; may raise DataError where its truth is damaged."""


def several_rows(
    models: Models,
    items: Sequence[Item],
    methods: Sequence[Method],
    columns: Sequence[str],
    asked_of: AskedOf,
    *,
    crop: Crop = "model",
    seed: int = 0,
) -> list[Row]:
    """Rows of a batch, in the order of the items and, for each, of the methods; faults as `scored_rows`."""
    names = [method.name for method in methods]
    views = views_of(models.trained, crop)
    opened, unread = read_items(views[0].model, items)
    found = {item.id: left_out(item, names, columns, why.reason, why.detail) for item, why in unread}
    for part in opened:
        seen = _Seen(part, views, [part.passed, *(view.read(part) for view in views[1:])])
        if len(views) > 1:
            part = replace(part, mean=mean_scores(seen.passes))
        asked = [_asked(part, at, asked_of) for at in range(len(part.items))]
        unlearned = views_of(models.shuffled, crop)
        for at, made in enumerate(_measured(seen, unlearned, methods, asked, seed)):
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


@dataclass(frozen=True, eq=False)
class _Seen:
    """Some items through every view of a model."""

    opened: Opened
    views: Sequence[View]
    passes: Sequence[Pass]

    def explained(
        self, targets: Sequence[tuple[Target, ...]], methods: Sequence[Method]
    ) -> "list[list[_Made]]":
        """For each item and method what all its maps are made of."""
        asked: list[list[Target]] = [[] for _ in range(self.passes[0].batch)]
        places: list[range] = []
        for index, mine in zip(self.opened.reading_of, targets, strict=True):
            places.append(range(len(asked[index]), len(asked[index]) + len(mine)))
            asked[index] += mine
        made = [explain(passed, asked, list(methods)) for passed in self.passes]
        return [
            [_Made([one[index][at] for one in made], mine, self, index) for at in range(len(methods))]
            for index, mine in zip(self.opened.reading_of, places, strict=True)
        ]

    def activations(self) -> list[Map]:
        """The mean activation of each item's image."""
        each = [activation_maps(passed, self.opened.reading_of) for passed in self.passes]
        return [
            merged(planes, [passed.frames[index] for passed in self.passes], self.views)
            for index, *planes in zip(self.opened.reading_of, *each, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class _Made:
    """The maps of one item by one method: one Explanation a view, and which of its targets are the item's."""

    explained: Sequence[Explanation]
    places: Sequence[int]
    seen: _Seen
    index: int

    def planes(self) -> list[Map]:
        """The maps of the item's targets on its image."""
        frames = [passed.frames[self.index] for passed in self.seen.passes]
        return [
            merged([one.map(at).astype(np.float64) for one in self.explained], frames, self.seen.views)
            for at in self.places
        ]

    @property
    def target(self) -> str:
        """The name of the first."""
        return self.explained[0].targets[self.places[0]].name


def _measured(
    seen: _Seen,
    unlearned: Sequence[View],
    methods: Sequence[Method],
    asked: Sequence[Asked | LeftOut],
    seed: int,
) -> list[list[Row] | LeftOut]:
    results: list[list[Row] | LeftOut] = [one if isinstance(one, LeftOut) else [] for one in asked]
    if all(isinstance(one, LeftOut) for one in asked):
        return results
    opened = seen.opened
    own = seen.explained([_targets(one) for one in asked], methods)
    activations = seen.activations()
    shuffled = _shuffled(opened, unlearned, [_targets(one)[:1] for one in asked], methods)
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


def _row(item: Item, method: str, asked: Asked, own: _Made, other: _Made | None, known: Outcomes) -> Row:
    maps = own.planes()
    plane = None if other is None else other.planes()[0]
    unlearned = Outcome(None, "not_finite") if plane is None else asked.score(plane)
    outcomes = {SCORE: asked.score(maps[0]), "random_weights": unlearned, **known, **asked.extras(maps)}
    outcomes |= asked.of_unlearned(plane)
    return row_of(item, method, outcomes, target=own.target)


def _targets(asked: Asked | LeftOut) -> tuple[Target, ...]:
    return () if isinstance(asked, LeftOut) else asked.targets


def _shuffled(
    opened: Opened,
    views: Sequence[View],
    targets: Sequence[tuple[Target, ...]],
    methods: Sequence[Method],
) -> Sequence[Sequence[_Made | None]]:
    """The maps under shuffled weights; None for one item alone where those give no finite numbers."""
    try:
        return _Seen(opened, views, [view.read(opened) for view in views]).explained(targets, methods)
    except NumericError:
        if len(opened.items) > 1:
            raise
        return [[None] * len(methods)]
