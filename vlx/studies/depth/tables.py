"""The tables of pointing over depth, and the answer that they give."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from vlx.eval.measures.differences import difference
from vlx.eval.measures.statistics import Outcome, summarise
from vlx.studies.depth.measured import outcome
from vlx.studies.found import Number, Table, number_of
from vlx.studies.kept import Facts


class Depth:
    """The rows of the images of one model, as columns whose items are the classes in them."""

    def __init__(self, rows: Mapping[str, Facts]) -> None:
        self.rows = {name: row for name, row in rows.items() if "left_out" not in row}
        self.clusters = [name for name, row in self.rows.items() for _ in row["classes"]]
        first = max((row["layers"] for row in self.rows.values()), key=len, default={})
        self.layers: list[str] = list(first)
        self.grids: list[tuple[int, int]] = [tuple(first[layer]["grid"]) for layer in self.layers]

    @property
    def drops(self) -> list[int]:
        """After which layers the next has a coarser grid."""
        return [at for at in range(len(self.layers) - 1) if self.grids[at + 1] != self.grids[at]]

    @property
    def flat(self) -> list[int]:
        """After which layers the next has the same grid."""
        return [at for at in range(len(self.layers) - 1) if self.grids[at + 1] == self.grids[at]]

    def column(self, layer: str, key: str, method: str | None = None) -> list[Outcome]:
        """One value a class of an image, at a layer."""
        found: list[Outcome] = []
        for row in self.rows.values():
            held = row["layers"].get(layer)
            for at in range(len(row["classes"])):
                if held is None:
                    found.append(Outcome(None, "no_map_there"))
                else:
                    found.append(outcome(held[key][at] if method is None else held[method][at][key]))
        return found

    def of_images(self, key: str) -> list[Outcome]:
        """One value a class of an image, the same at every layer."""
        return [outcome(value) for row in self.rows.values() for value in row[key]]

    def number(self, name: str, column: Sequence[Outcome], *, control: bool = False) -> Number:
        """The mean of a column, images drawn for its interval."""
        return number_of(name, summarise(column, self.clusters), control=control)

    def called(self, at: int) -> str:
        """A layer with its grid."""
        rows, cols = self.grids[at]
        return f"{self.layers[at]} ({rows} x {cols})"


def over_layers(depth: Depth, methods: Sequence[str], of: str, radius: float | int) -> list[Table]:
    """Pointing, own minus wrong and area at each layer by each method, beside what knows nothing."""
    near = f"within {radius:g} pixels of" if radius else "on"

    def activations(said: str, key: str) -> list[Number]:
        return [
            depth.number(
                f"{said}mean activation, {depth.called(at)}{of}", depth.column(layer, key), control=True
            )
            for at, layer in enumerate(depth.layers)
        ]

    def table(title: str, key: str, controls: Sequence[Number], protocol: str) -> Table:
        numbers = [
            depth.number(f"{_SAID[key]}{method}, {depth.called(at)}{of}", depth.column(layer, key, method))
            for method in methods
            for at, layer in enumerate(depth.layers)
        ]
        return Table(f"{title}, layer by layer{of}", (*numbers, *controls), protocol)

    fixed = [
        depth.number(f"{said}{of}", depth.of_images(key), control=True)
        for said, key in (("centre point", "centre"), ("random pixel", "pixel"))
    ]
    return [
        table(
            f"Share of maps whose maximum lies {near} the class", "hit",
            [*activations("", "activation"), *fixed],
            "From the pixels up; every class that an image shows and the model has, on the pixels of the "
            "image. Intervals draw images.",
        ),
        table(
            "Pointing less that of the maps of classes that are not there", "own hit", [],
            "Own minus wrong: 0 where a map is the same whatever is asked.",
        ),
        table(
            "Pixel ROC area against the class", "area", activations("area, ", "area activation"),
            "The probability that a pixel of the class is higher than one outside; .5 knows nothing.",
        ),
    ]  # fmt: skip


_SAID = {"hit": "", "own hit": "own minus wrong, ", "area": "area, "}


def steps(depth: Depth, method: str, of: str) -> Table:
    """What changes from one layer to the next, where the grid stays and where it is coarser."""
    numbers: list[Number] = []
    for said, change in CHANGES.items():
        told = f"{method}: {said}"
        means = {
            name: mean_of([change(depth, one, method) for one in at])
            for name, at in (("where the grid stays", depth.flat), ("across a down-sampling", depth.drops))
            if at
        }
        numbers += [depth.number(f"{told}, {name}{of}", column) for name, column in means.items()]
        if len(means) > 1:
            within, across = means.values()
            less = [difference(one, other, "within") for one, other in zip(across, within, strict=True)]
            numbers.append(depth.number(f"{told}, down-sampling less the rest{of}", less))
        for at in depth.drops:
            name = f"{told}, {depth.called(at)} to {depth.called(at + 1)}{of}"
            numbers.append(depth.number(name, change(depth, at, method)))
    return Table(
        f"From one layer to the next deeper one: {method}{of}",
        tuple(numbers),
        "Pointing gained is the hit at the deeper layer less that at the one below, and so of own minus "
        "wrong; likeness is Spearman's correlation of the two maps of a class on 14 x 14 cells. Of a class "
        "the mean over all such neighbours, then the mean over classes of images.",
    )


def _gained(key: str, depth: Depth, at: int, method: str) -> list[Outcome]:
    """What a score gains from a layer to the next deeper one."""
    below, above = (depth.column(depth.layers[one], key, method) for one in (at, at + 1))
    return [difference(one, other, "below") for one, other in zip(above, below, strict=True)]


def _like(depth: Depth, at: int, method: str) -> list[Outcome]:
    return depth.column(depth.layers[at], "like above", method)


CHANGES: Mapping[str, Callable[[Depth, int, str], list[Outcome]]] = {
    "pointing gained": partial(_gained, "hit"),
    "own minus wrong gained": partial(_gained, "own hit"),
    "likeness": _like,
}
"""What is compared of neighbouring layers."""


def sets(depth: Depth, method: str, of: str) -> Table:
    """The sets of layers between two down-samplings: their means, and what the next deeper one gains."""
    grids = list(dict.fromkeys(depth.grids))
    numbers: list[Number] = []
    for said, key in (("pointing", "hit"), ("own minus wrong", "own hit")):
        means = [
            mean_of(
                [
                    depth.column(layer, key, method)
                    for layer, its in zip(depth.layers, depth.grids, strict=True)
                    if its == grid
                ]
            )
            for grid in grids
        ]
        names = [f"{rows} x {cols}" for rows, cols in grids]
        told = f"{method}: {said} of a set"
        numbers += [
            depth.number(f"{told}, {name}{of}", column) for name, column in zip(names, means, strict=True)
        ]
        for at in range(len(grids) - 1):
            less = [difference(one, two, "below") for one, two in zip(means[at + 1], means[at], strict=True)]
            numbers.append(depth.number(f"{told}, {names[at + 1]} less {names[at]}{of}", less))
    return Table(
        f"Sets of layers with one grid: {method}{of}",
        tuple(numbers),
        "Of a class the mean over the layers of a set that give a map; a difference is that of the next "
        "deeper set and the one below it, which a down-sampling parts.",
    )


def mean_of(columns: Sequence[Sequence[Outcome]]) -> list[Outcome]:
    """Of each item the mean of several columns, over those that have a value."""
    found: list[Outcome] = []
    for mine in zip(*columns, strict=True):
        values = [one.value for one in mine if one.value is not None]
        why = next((one.left_out for one in mine if one.left_out), "undefined")
        found.append(Outcome(sum(values) / len(values)) if values else Outcome(None, why))
    return found


def answer_of(depth: Depth, methods: Sequence[str], name: str) -> str:
    """What the numbers of one model say."""
    method = methods[0]

    def value(layer: str, by: str) -> float | None:
        return summarise(depth.column(layer, "hit", by), depth.clusters).mean

    hits = {layer: value(layer, method) for layer in depth.layers}
    known = {layer: one for layer, one in hits.items() if one is not None}
    centre = summarise(depth.of_images("centre"), depth.clusters).mean
    if not known or centre is None:
        return f"{name}: too few maps have a maximum to say."
    first, last = next(iter(known)), list(known)[-1]
    best = max(known, key=lambda layer: known[layer])
    text = (
        f"{name}: {method} points at {known[last]:.2f} at the last layer ({last}), at {known[first]:.2f} at "
        f"the first ({first}), best at {best} ({known[best]:.2f}); centre {centre:.2f}"
    )
    own = [summarise(depth.column(one, "own hit", method), depth.clusters).mean for one in (last, first)]
    if own[0] is not None and own[1] is not None:
        text += f"; less the maps of what is not there {own[0]:.2f} and {own[1]:.2f}"
    for other in methods[1:]:
        top, bottom = value(last, other), value(first, other)
        if top is not None and bottom is not None:
            text += f"; {other} points at {top:.2f} and {bottom:.2f}"
    if depth.flat and depth.drops:
        across, within = (
            summarise(mean_of([_like(depth, one, method) for one in at]), depth.clusters).mean
            for at in (depth.drops, depth.flat)
        )
        if across is not None and within is not None:
            text += (
                f". Maps of neighbouring layers are alike by {within:.2f} where the grid stays and by "
                f"{across:.2f} across a down-sampling"
            )
    return f"{text}."
