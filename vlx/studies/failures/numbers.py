"""Mistakes in numbers: how many, where their maps point, and what tells them from what is right."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vlx.eval.measures.differences import difference
from vlx.eval.measures.drawn import Estimate, Statistic, minus, roc_areas, statistic
from vlx.eval.measures.statistics import Outcome, Summary, summarise
from vlx.studies.failures.decided import KINDS, OBJECT, OTHERS, SAID, Kind
from vlx.studies.found import Number, Table, number_of
from vlx.studies.kept import Facts

OWN, OTHER, GROUND = 0, 1, 2
"""Where a maximum lies: on the object that was missed, on another one, on none."""
CONFUSIONS = 10
"""So many of the most frequent confusions are listed."""


@dataclass(frozen=True, eq=False)
class Case:
    """One thing that a model decided, with the image it stands on."""

    model: str
    cluster: str
    image: Path
    text: str
    facts: Facts

    @property
    def kind(self) -> Kind:
        """Of which kind it is."""
        return self.facts["kind"]

    @property
    def wrong(self) -> bool:
        """Whether it is a mistake."""
        return self.facts["wrong"]


def cases_of(model: str, rows: Sequence[Facts], images: Sequence[Path]) -> list[Case]:
    """Everything that a model decided; ``images`` are the files of the rows, wherever the data now lie."""
    return [
        Case(model, row["cluster"], image, row["text"], one)
        for row, image in zip(rows, images, strict=True)
        for one in row["decided"]
    ]


def counts_table(model: str, cases: Sequence[Case], rows: Sequence[Facts], seed: int) -> Table:
    """How many mistakes of each kind there are."""
    found: list[Number] = []
    for kind in kinds_of(cases):
        if kind != "missed":
            mine = [one for one in cases if one.kind == kind]
            shares = summarise([float(one.wrong) for one in mine], [one.cluster for one in mine], seed=seed)
            found.append(number_of(f"{SAID[kind]} that are wrong", shares))
    told = [row for row in rows if row.get("counts", {}).get("objects")]
    if told:
        values = [[1.0] * row["counts"]["missed"] + [0.0] * (_seen(row)) for row in told]
        clusters = [row["cluster"] for row, some in zip(told, values, strict=True) for _ in some]
        shares = summarise([value for some in values for value in some], clusters, seed=seed)
        found.append(number_of("objects that no word names", shares))
    return Table(
        f"{model}: mistakes",
        tuple(found),
        "The share of what the model decided that is a mistake. A class, a word or an answer is wrong where "
        "the image does not show it, or people do not give it. Intervals draw images.",
    )


def _seen(row: Facts) -> int:
    return row["counts"]["objects"] - row["counts"]["missed"]


def kinds_of(cases: Sequence[Case]) -> list[Kind]:
    """The kinds that occur, in their order."""
    return [kind for kind in KINDS if any(one.kind == kind for one in cases)]


def points_table(model: str, kind: Kind, cases: Sequence[Case], methods: Sequence[str], seed: int) -> Table:
    """Where the maps of mistakes of a kind point, beside what knows nothing."""
    wrong = [one for one in cases if one.kind == kind and one.wrong]
    right = [one for one in cases if one.kind == kind and not one.wrong]
    on = f"on {OBJECT[kind]}"
    found: list[Number] = []
    for method in methods:
        for label, column in _columns(method, on).items():
            found.append(number_of(label, _mean(column, wrong, seed), control=label.startswith(OTHER_MAPS)))
        if right:
            mine = _mean(_at("said", OWN)(method), right, seed)
            found.append(number_of(f"{method}: of what is right, on its object", mine))
    for name in ("mean activation", "centre", "random map"):
        column = _of_control(name)
        found.append(number_of(f"{name}, {on}", _mean(column, wrong, seed), control=True))
    area = _mean(lambda one: Outcome(one.facts["area"]) if "area" in one.facts else _NO_OBJECT, wrong, seed)
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


def telling_title(model: str, kind: Kind) -> str:
    """How the table is called that says what tells mistakes."""
    return f"{model}: what tells right {SAID[kind]} from mistakes"


OTHER_MAPS = "neither said nor true"
_NO_OBJECT = Outcome(None, "no_object")
Column = Callable[[Case], Outcome]


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


def _mean(column: Column, cases: Sequence[Case], seed: int) -> Summary:
    return summarise([column(one) for one in cases], [one.cluster for one in cases], seed=seed)


def _at(part: str, where: int) -> Callable[[str], Column]:
    """Whether the map of a part by a method lies there."""

    def of(method: str) -> Column:
        return lambda one: _share(_points(one, method).get(part, _missing(one, method)), where)

    return of


def _points(one: Case, method: str) -> Mapping[str, "list[float] | str"]:
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


SCORERS: Mapping[str, Callable[[Case], "float | None"]] = {
    "confidence": lambda one: one.facts["scores"]["said"]["probability"],
    "evidence": lambda one: one.facts["scores"]["said"]["image"],
    "score without the image": lambda one: one.facts["scores"]["said"]["blank"],
}
"""What may tell mistakes from what is right; the last knows nothing of the image."""


def telling_table(
    model: str, kind: Kind, cases: Sequence[Case], methods: Sequence[str], seed: int
) -> Table | None:
    """How well scores tell what is right from mistakes; None where all is of one kind."""
    mine = [one for one in cases if one.kind == kind]
    if len({one.wrong for one in mine}) < 2:
        return None
    scorers = {**SCORERS, **{f"maximum of {name}": _peak(name) for name in methods}}
    found = [
        _area(name, mine, [scorer], seed, control=name == "score without the image")
        for name, scorer in scorers.items()
    ]
    both = [SCORERS["confidence"], SCORERS["evidence"]]
    found.append(_area("confidence less evidence", mine, both, seed))
    return Table(
        telling_title(model, kind),
        tuple(found),
        "The area under the ROC curve: how often one that is right has the higher score than one that is "
        "wrong, ties counting one half; .5 is chance. Confidence: the probability of what was said. "
        "Evidence: its score less that for features of 0, which is the score without the image. Intervals "
        "draw images.",
    )


def _peak(method: str) -> Callable[[Case], "float | None"]:
    return lambda one: one.facts["peaks"][method]


def _area(
    name: str,
    cases: Sequence[Case],
    scorers: Sequence[Callable[[Case], "float | None"]],
    seed: int,
    *,
    control: bool = False,
) -> Number:
    """The area of a scorer, or that of the first less that of the second."""
    values = [[scorer(one) for scorer in scorers] for one in cases]

    def estimate(_values: Float[np.ndarray, " item"], at: np.ndarray) -> Estimate:
        right = np.array([not cases[number].wrong for number in at], dtype=bool)
        each = [
            roc_areas(np.array([values[number][which] for number in at], dtype=float), right)
            for which in range(len(scorers))
        ]
        return each[0] if len(each) == 1 else minus(*each)

    outcomes = [Outcome(None, "no_evidence") if None in some else Outcome(1.0) for some in values]
    kinds = ["mistakes" if one.wrong else "right" for one in cases]
    found: Statistic = statistic(outcomes, [one.cluster for one in cases], estimate, kinds, seed=seed)
    return Number(
        name, found.value, sum(found.counts.values()), found.interval, found.clusters, control, found.left_out
    )


def confusions(cases: Sequence[Case]) -> list[tuple[str, str, str, int]]:
    """The kind of a mistake, what was said, the truth, and how often; the most frequent first."""
    counts = Counter((one.kind, one.facts["said"], one.facts["truth"]) for one in cases if one.wrong)
    return [(*key, count) for key, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]


def confusions_table(model: str, cases: Sequence[Case]) -> Table | None:
    """The most frequent confusions as counts."""
    wrong = [one for one in cases if one.wrong]
    listed = [one for one in confusions(cases) if one[2]][:CONFUSIONS]
    if not listed:
        return None
    numbers = tuple(
        Number(f"{truth} missed, {said} said ({KINDS[kind]})", count, len(wrong), digits=0)  # type: ignore[index]
        for kind, said, truth, count in listed
    )
    return Table(
        f"{model}: what is taken for what",
        numbers,
        "How often a truth stands against what was said; n is all mistakes of the model; at most "
        f"{CONFUSIONS} lines.",
    )
