"""Where the maps of mistakes point, beside those of what is right and of what knows nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vlx.eval.measures.differences import difference
from vlx.eval.measures.statistics import Outcome
from vlx.studies.failures.decided import KINDS, OBJECT, OTHERS, Kind
from vlx.studies.failures.numbers import Case, Column, mean_of
from vlx.studies.found import Number, Table, number_of

OWN, OTHER, GROUND = 0, 1, 2
"""Where a maximum lies: on the object that was missed, on another one, on none."""


def points_table(model: str, kind: Kind, cases: Sequence[Case], methods: Sequence[str], seed: int) -> Table:
    """Where the maps of mistakes of a kind point, beside what knows nothing."""
    wrong = [one for one in cases if one.kind == kind and one.wrong]
    right = [one for one in cases if one.kind == kind and not one.wrong]
    on = f"on {OBJECT[kind]}"
    found: list[Number] = []
    for method in methods:
        for label, column in _columns(method, on).items():
            found.append(number_of(label, mean_of(column, wrong, seed), control=label.startswith(OTHER_MAPS)))
        if right:
            mine = mean_of(_at("said", OWN)(method), right, seed)
            found.append(number_of(f"{method}: of what is right, on its object", mine))
    for name in ("mean activation", "centre", "random map"):
        column = _of_control(name)
        found.append(number_of(f"{name}, {on}", mean_of(column, wrong, seed), control=True))
    area = mean_of(lambda one: Outcome(one.facts["area"]) if "area" in one.facts else _NO_OBJECT, wrong, seed)
    found.append(number_of(f"random pixel, {on}", area, control=True))
    return Table(
        points_title(model, kind),
        tuple(found),
        f"The share of mistakes whose map has its maximum on the pixels of {OBJECT[kind]}, of another "
        "annotated object, or of none, by instances of the data; ties count by their share; maps without a "
        "maximum are left out, as are mistakes about no annotated object. Contrast: the score of what was "
        "said less that of the truth; elsewhere: its maximum lies on another of the three than that of what "
        "was said. Knowing nothing: classes, words or answers that are neither said nor true, up to "
        f"{OTHERS}, drawn by the seed; the mean activation; the middle of the image; a smooth random map. "
        "Intervals draw images.",
    )


def points_title(model: str, kind: Kind) -> str:
    """How the table is called."""
    return f"{model}: where the maps of mistakes point ({KINDS[kind]})"


OTHER_MAPS = "neither said nor true"
_NO_OBJECT = Outcome(None, "no_object")


def _columns(method: str, on: str) -> dict[str, Column]:
    """What is measured of the maps of mistakes by a method."""
    said, truth, others = _at("said", OWN)(method), _at("truth", OWN)(method), _others(method)
    return {
        f"{method}: what was said, {on}": said,
        f"{method}: what was said, on another object": _at("said", OTHER)(method),
        f"{method}: what was said, on no object": _at("said", GROUND)(method),
        f"{method}: what was said less others, {on}": lambda one: difference(said(one), others(one), "other"),
        f"{method}: the truth, {on}": truth,
        f"{method}: the truth less others, {on}": lambda one: difference(truth(one), others(one), "other"),
        f"{method}: contrast, elsewhere than what was said": _moved("contrast", method),
        f"{OTHER_MAPS}, {method}, {on}": others,
        f"{OTHER_MAPS}, {method}, elsewhere than what was said": _others_moved(method),
    }


def _at(part: str, where: int) -> Callable[[str], Column]:
    """Whether the map of a part by a method lies there."""

    def of(method: str) -> Column:
        return lambda one: _share(_points(one, method).get(part, _missing(one, method)), where)

    return of


def _points(one: Case, method: str) -> Mapping[str, Any]:
    return one.facts.get("points", {}).get(method, {})


def _of_control(name: str) -> Column:
    return lambda one: _share(one.facts.get("controls", {}).get(name), OWN)


def _missing(one: Case, method: str) -> str:
    """Why there is no map to point."""
    return "no_object" if not _points(one, method) else one.facts["why"] or "nothing_missed"


def _share(found: "list[float] | str | None", where: int) -> Outcome:
    if found is None:
        return _NO_OBJECT
    return Outcome(None, found) if isinstance(found, str) else Outcome(found[where])


def _others(method: str) -> Column:
    """The mean over the others that have a maximum."""

    def column(one: Case) -> Outcome:
        if not _points(one, method):
            return _NO_OBJECT
        known = [found[OWN] for found in _points(one, method)["others"] if not isinstance(found, str)]
        return Outcome(float(np.mean(known))) if known else Outcome(None, "no_other")

    return column


def _moved(part: str, method: str) -> Column:
    """Whether a map's maximum lies on another of the three than that of what was said."""

    def column(one: Case) -> Outcome:
        points = _points(one, method)
        said, other = points.get("said", "no_object"), points.get(part, _missing(one, method))
        return _apart(said, other)

    return column


def _others_moved(method: str) -> Column:
    def column(one: Case) -> Outcome:
        points = _points(one, method)
        each = [_apart(points["said"], other) for other in points.get("others", [])]
        known = [found.value for found in each if found.value is not None]
        return (
            Outcome(float(np.mean(known))) if known else Outcome(None, "no_other" if points else "no_object")
        )

    return column


def _apart(said: "list[float] | str", other: "list[float] | str") -> Outcome:
    for found in (said, other):
        if isinstance(found, str):
            return Outcome(None, found)
    return Outcome(1.0 - float(np.dot(said, other)))  # pyright: ignore[reportArgumentType, reportCallIssue]
