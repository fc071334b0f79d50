"""Answers sorted: what each counts as, and whose count at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vlx.studies.people.answers import Answers
from vlx.studies.people.key import Key
from vlx.studies.people.questions import CHECK, counted

PASSED = 0.8
"""The share of the checks a rater answered that must be right; half of them must be answered."""


@dataclass(frozen=True)
class Judged:
    """One answer that counts."""

    rater: str
    image: str
    question: str
    shown: str
    value: float
    """1 right and 0 wrong, or -2 to 2 for the better model."""
    place: int
    """The answer as it stands on the page."""
    first: float
    """Whether the object was chosen whose name comes first in the alphabet; of trust the value again."""


@dataclass(frozen=True, eq=False)
class Heard:
    """The answers of a study, sorted."""

    key: Key
    judged: Sequence[Judged]
    """Of all raters, without the checks."""
    passed: frozenset[str]
    """The raters whose answers count."""
    failed: Mapping[str, str]
    """The others, with why."""
    left_out: Mapping[str, int]

    def of(self, shown: str, *, everyone: bool = False) -> list[Judged]:
        """The answers to one visualisation, of those that passed or of everyone."""
        return [one for one in self.judged if one.shown == shown and (everyone or one.rater in self.passed)]

    @property
    def shown(self) -> list[str]:
        """The visualisations, in the order in which the study has them."""
        return [one for one in self.key.facts["methods"] if any(j.shown == one for j in self.judged)]


def heard(key: Key, answers: Answers) -> Heard:
    """Sort answers, and leave raters out who failed the attention checks."""
    judged: list[Judged] = []
    checks: dict[str, list[bool]] = {rater: [] for rater, _ in answers.of}
    for (rater, code), line in answers.of.items():
        name, turned = key.codes[code]
        about = key.questions[name]
        value = counted(key.kind, line.answer, turned)
        if about.shown == CHECK:
            checks[rater].append(value > 0)
            continue
        first = value
        if key.kind == "discrimination":
            first = float((about.options[0] < about.options[1]) == bool(value))
        judged.append(Judged(rater, about.image, name, about.shown, value, line.answer, first))
    planned = {
        rater: sum(key.questions[key.codes[code][0]].shown == CHECK for code in key.raters[rater])
        for rater in checks
    }
    failed = {rater: why for rater, mine in checks.items() if (why := _why_failed(mine, planned[rater]))}
    return Heard(key, judged, frozenset(checks) - set(failed), failed, answers.left_out)


def _why_failed(checks: Sequence[bool], planned: int) -> str:
    if len(checks) * 2 < planned:
        return f"answered {len(checks)} of {planned} attention checks"
    if planned and sum(checks) < PASSED * len(checks):
        return f"{sum(checks)} of {len(checks)} attention checks right"
    return ""
