"""What the numbers of mistakes say, in words that are made from them."""

from collections.abc import Mapping, Sequence

from vlx.show.evidence import signed
from vlx.studies.failures.decided import OBJECT, SAID, Kind
from vlx.studies.failures.numbers import Case, evidence_title, kinds_of, telling_title
from vlx.studies.failures.pointing import OTHER_MAPS, points_title
from vlx.studies.found import Number, Table

Part = tuple[str, Sequence[Case], Sequence[str]]
"""The name of a model, what it decided, and the methods."""
_MORE: Mapping[Kind, str] = {
    "class": "it misnamed what it saw",
    "hallucinated": "it misnamed what it saw",
    "missed": "it was looking at just this object",
    "answer": "it was looking at it",
}
"""What it means that maps of what was said find the object more often than those of others do."""


def answers_of(parts: Sequence[Part], tables: Sequence[Table]) -> list[str]:
    """A few sentences a model and kind of mistakes, by the first method."""
    found: list[str] = []
    for name, cases, methods in parts:
        for kind in kinds_of(cases):
            mine = [one for one in cases if one.kind == kind]
            if any(one.wrong for one in mine):
                found.append(_of_kind(name, kind, mine, methods[0], tables))
    return found or ["No mistake was made on these data."]


def _of_kind(name: str, kind: Kind, cases: Sequence[Case], method: str, tables: Sequence[Table]) -> str:
    wrong, n, unit = sum(one.wrong for one in cases), len(cases), cases[0].facts["unit"]
    numbers = _numbers(points_title(name, kind), tables)
    truth = _of_truth(kind, method, numbers)
    if kind == "missed":
        told = [f"{name} leaves {wrong} objects unsaid{truth and f': {truth}'}"]
    else:
        said = _of_said(kind, method, numbers)
        told = [f"{name}: {wrong} of {n} {SAID[kind]} wrong{said and f'; {said}'}", truth]
    told += [_evidence(unit, _numbers(evidence_title(name, kind), tables)), _telling(name, kind, tables)]
    return " ".join(f"{one}." for one in told if one)


def _evidence(unit: str, numbers: Mapping[str, Number]) -> str:
    """What the image gave what was said, and the truth."""
    said, truth = numbers.get("what was said, in mistakes"), numbers.get("the truth in its place")
    share = numbers.get("share of truths that the image speaks for")
    if said is None or truth is None or said.value is None or truth.value is None:
        return ""
    above = "" if share is None or share.value is None else f", which it speaks for in {share.value:.0%}"
    gives = f"what was said {signed(said.value)} {unit} and the truth {signed(truth.value)}"
    return f"The image gives {gives}{above}"


def _of_said(kind: Kind, method: str, numbers: Mapping[str, Number]) -> str:
    on = f"on {OBJECT[kind]}"
    said, others = numbers.get(f"{method}: what was said, {on}"), numbers.get(f"{OTHER_MAPS}, {method}, {on}")
    ground = numbers.get(f"{method}: what was said, on no object")
    if said is None or said.value is None or others is None or others.value is None:
        return ""
    nowhere = "" if ground is None or ground.value is None else f", and on no object in {ground.value:.0%}"
    sign = _sign(numbers.get(f"{method}: what was said less others, {on}"))
    meaning = {1: _MORE[kind], -1: "it was looking elsewhere", 0: "that is no sure difference"}[sign]
    return (
        f"the map of what was said ({method}) is highest {on} in {said.value:.0%} (those of others, neither "
        f"said nor true, in {others.value:.0%}: {meaning}){nowhere}"
    )


def _of_truth(kind: Kind, method: str, numbers: Mapping[str, Number]) -> str:
    on = f"on {OBJECT[kind]}"
    truth, others = numbers.get(f"{method}: the truth, {on}"), numbers.get(f"{OTHER_MAPS}, {method}, {on}")
    if truth is None or truth.value is None or others is None or others.value is None:
        return ""
    sign = _sign(numbers.get(f"{method}: the truth less others, {on}"))
    meaning = {1: "more than others", -1: "less than others", 0: "as others"}[sign]
    beside = f" (others in {others.value:.0%}: {meaning})" if kind == "missed" else f" ({meaning})"
    if kind == "missed":
        return f"the map of the word that is missing is highest on its object in {truth.value:.0%}{beside}"
    return f"The map of the truth is highest there in {truth.value:.0%}{beside}"


def _telling(name: str, kind: Kind, tables: Sequence[Table]) -> str:
    numbers = _numbers(telling_title(name, kind), tables)
    known = {key: numbers[key] for key in ("confidence", "evidence") if key in numbers}
    told = [f"{key} {one.value:.2f}" for key, one in known.items() if one.value is not None]
    better = {1: ", so confidence is the better sign", -1: ", so evidence is the better sign", 0: ""}
    sure = better[_sign(numbers.get("confidence less evidence"))] if len(told) == 2 else ""
    return f"What tells right from wrong (area under the ROC curve): {', '.join(told)}{sure}" if told else ""


def _numbers(title: str, tables: Sequence[Table]) -> dict[str, Number]:
    return {one.name: one for table in tables if table.title == title for one in table.numbers}


def _sign(found: Number | None) -> int:
    """1 or -1 where an interval lies on one side of 0."""
    if found is None or found.interval is None:
        return 0
    low, high = found.interval
    return 1 if low > 0 else -1 if high < 0 else 0
