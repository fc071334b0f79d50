"""Mistakes in numbers: how many, where their maps point, and what tells them from what is right."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vlx.eval.measures.drawn import Estimate, Statistic, minus, roc_areas, statistic
from vlx.eval.measures.statistics import Outcome, Summary, summarise
from vlx.studies.failures.decided import KINDS, SAID, Kind
from vlx.studies.found import Number, Table, number_of
from vlx.studies.kept import Facts

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
        "the data do not annotate it in the image, or people do not give it. Intervals draw images.",
    )


def _seen(row: Facts) -> int:
    return row["counts"]["objects"] - row["counts"]["missed"]


def kinds_of(cases: Sequence[Case]) -> list[Kind]:
    """The kinds that occur, in their order."""
    return [kind for kind in KINDS if any(one.kind == kind for one in cases)]


Column = Callable[[Case], Outcome]


def mean_of(column: Column, cases: Sequence[Case], seed: int) -> Summary:
    """The mean of what is measured of some cases; intervals draw images."""
    return summarise([column(one) for one in cases], [one.cluster for one in cases], seed=seed)


def evidence_table(model: str, kind: Kind, cases: Sequence[Case], seed: int) -> Table | None:
    """What the image gives mistakes, their truths and what is right; None where no evidence is known."""
    mine = [one for one in cases if one.kind == kind and _evidence(one, "said").value is not None]
    wrong, right = ([one for one in mine if one.wrong == which] for which in (True, False))
    if not wrong:
        return None
    said, truth = (partial(_evidence, part=part) for part in ("said", "truth"))
    found = [
        number_of("what was said, in mistakes", mean_of(said, wrong, seed)),
        number_of("the truth in its place", mean_of(truth, wrong, seed)),
        number_of("share of truths that the image speaks for", mean_of(_spoken_for, wrong, seed)),
    ]
    found += [number_of("what was said, where it is right", mean_of(said, right, seed))] if right else []
    return Table(
        evidence_title(model, kind),
        tuple(found),
        f"The mean of how many {wrong[0].facts['unit']} come from the image: the score less that for "
        "features of 0. The image speaks for a truth where that is above 0. Intervals draw images.",
    )


def _evidence(one: Case, part: str) -> Outcome:
    score = one.facts["scores"].get(part)
    if score is None:
        return Outcome(None, one.facts["why"] or "nothing_missed")
    return Outcome(None, "no_evidence") if score["image"] is None else Outcome(score["image"])


def _spoken_for(one: Case) -> Outcome:
    found = _evidence(one, "truth")
    return found if found.value is None else Outcome(float(found.value > 0))


def evidence_title(model: str, kind: Kind) -> str:
    """How the table of evidence is called."""
    return f"{model}: evidence of mistakes ({KINDS[kind]})"


def telling_title(model: str, kind: Kind) -> str:
    """How the table is called that says what tells mistakes."""
    return f"{model}: what tells right {SAID[kind]} from mistakes"


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


def confusions(cases: Sequence[Case]) -> list[tuple[Kind, str, str, int]]:
    """The kind of a mistake, what was said, the truth, and how often; the most frequent first.

    Of objects that are not said the truth alone is told: what was said in their place may be right.
    """
    counts: Counter[tuple[Kind, str, str]] = Counter(
        (one.kind, "" if one.kind == "missed" else one.facts["said"], one.facts["truth"])
        for one in cases
        if one.wrong
    )
    return [(*key, count) for key, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]


def confusions_table(model: str, cases: Sequence[Case]) -> Table | None:
    """The most frequent confusions as counts."""
    wrong = [one for one in cases if one.wrong]
    listed = [one for one in confusions(cases) if one[2]][:CONFUSIONS]
    if not listed:
        return None
    numbers = tuple(
        Number(_confused(kind, said, truth), float(count), len(wrong), digits=0)
        for kind, said, truth, count in listed
    )
    return Table(
        f"{model}: what is taken for what",
        tuple(numbers),
        "How often a truth stands against what was said; n is all mistakes of the model; at most "
        f"{CONFUSIONS} lines.",
    )


def _confused(kind: Kind, said: str, truth: str) -> str:
    return f"{truth} not said" if kind == "missed" else f"{truth} missed, {said} said ({KINDS[kind]})"
