"""What a study found: numbers beside those of what knows nothing, pictures, and one answer in words."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from vlx.errors import VlxError
from vlx.eval.measures.statistics import Summary


@dataclass(frozen=True)
class Number:
    """One measured number, as a row of a table."""

    name: str
    """Of what, for example ``Grad-CAM, after the attack``."""
    value: float | None
    """None where it is undefined for so few items."""
    n: int
    """Items that it is found from."""
    interval: tuple[float, float] | None = None
    """95 %, drawing images, or whatever is independent; None where there is none to give."""
    clusters: int | None = None
    """How many images, raters or runs the items come from; None where each item is alone."""
    control: bool = False
    """Whether it belongs to what knows nothing, such as a point in the middle or a random map."""
    left_out: Mapping[str, int] = field(default_factory=dict[str, int])
    """Items without a value, by reason."""
    digits: int = 3
    paper: str = ""
    """What the paper reports of the same, where it does."""

    def __post_init__(self) -> None:
        ends = () if self.interval is None else self.interval
        if not all(map(math.isfinite, (*([] if self.value is None else [self.value]), *ends))):
            raise VlxError(f"{self.name}: {self.value} {self.interval} is no number to tell: leave it out")


def number_of(name: str, found: Summary, *, control: bool = False) -> Number:
    """The mean of a summary as a row.

    >>> from vlx.eval.measures.statistics import summarise
    >>> number_of("hits", summarise([0, 1, 1, 1], ["a", "a", "b", "b"])).value
    0.75
    """
    left_out = {**found.left_out, **({"infinite": found.infinite} if found.infinite else {})}
    return Number(name, found.mean, found.n, found.interval, found.clusters, control, left_out)


@dataclass(frozen=True)
class Table:
    """Numbers of one kind with what they mean."""

    title: str
    """What a number of it is, for example ``Share of maps whose maximum lies on the object``."""
    numbers: tuple[Number, ...]
    protocol: str
    """How they were found, in a sentence or several."""


@dataclass(frozen=True)
class Picture:
    """A figure of a study."""

    title: str
    """What is seen, also for those who cannot see it."""
    png: bytes


@dataclass(frozen=True, eq=False)
class Findings:
    """What a study found."""

    study: str
    """Its name on the command line."""
    title: str
    question: str
    """What was asked, in one sentence."""
    answer: str
    """What the numbers say, in a sentence or two, made from them."""
    tables: tuple[Table, ...]
    settings: Mapping[str, Any]
    """Everything that decides the numbers: models, data, seed and so on; of JSON's types."""
    pictures: tuple[Picture, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict[str, int])
    """What could not be measured, by reason."""
    notes: tuple[str, ...] = ()
    """What a reader has to know: where it differs from the paper, and why."""

    def number(self, name: str) -> Number:
        """The first number of that name. Raises VlxError where there is none."""
        for table in self.tables:
            for one in table.numbers:
                if one.name == name:
                    return one
        names = ", ".join(one.name for table in self.tables for one in table.numbers)
        raise VlxError(f"{self.study} has no number called {name!r}: there are {names}")


def cells(table: Table) -> list[list[str]]:
    """A table as text, its head first; what knows nothing stands below the rest.

    Where the paper reports any of the numbers, its own stand in a column before the last.

    >>> numbers = Number("centre", 0.5, 4, control=True), Number("map", 0.75, 4, (0.5, 1.0))
    >>> cells(Table("Hits", numbers, ""))[1:]
    [['map', '0.750', '0.500 to 1.000', '4', ''], ['centre', '0.500', '', '4', 'knows nothing']]
    """
    beside = any(one.paper for one in table.numbers)
    rows = [["", "value", "95% interval", "n", *(["the paper"] if beside else []), ""]]
    for one in sorted(table.numbers, key=lambda one: one.control):
        told = [f"{count} {reason.replace('_', ' ')}" for reason, count in one.left_out.items() if count]
        if one.clusters is not None and one.clusters != one.n:
            told.insert(0, f"{one.clusters} independent")
        if one.control:
            told.insert(0, "knows nothing")
        ends = "" if one.interval is None else " to ".join(f"{end:.{one.digits}f}" for end in one.interval)
        value = "" if one.value is None else f"{one.value:.{one.digits}f}"
        paper = [one.paper] if beside else []
        rows.append([one.name, value, ends, str(one.n), *paper, "; ".join(told)])
    return rows


def markdown(found: Findings) -> str:
    """The answer, then every table with its protocol below."""
    parts = [f"# {found.title}\n", f"{found.question}\n", f"**{found.answer}**\n"]
    for table in found.tables:
        head, *rows = cells(table)
        lines = [head, ["---", *["---:"] * (len(head) - 2), "---"], *rows]
        parts.append(f"{table.title}\n")
        parts.append("\n".join("| " + " | ".join(map(_in_cell, line)) + " |" for line in lines) + "\n")
        parts.append(f"{table.protocol}\n")
    parts += [f"- {note}" for note in found.notes]
    parts += [f"- left out: {count} {reason}" for reason, count in found.left_out.items() if count]
    return "\n".join(parts) + "\n"


def _in_cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def as_json(found: Findings) -> str:
    """Everything but the pictures as JSON; the same findings give the same bytes."""
    facts = {
        "study": found.study,
        "title": found.title,
        "question": found.question,
        "answer": found.answer,
        "tables": [asdict(one) for one in found.tables],
        "settings": dict(found.settings),
        "left_out": dict(found.left_out),
        "notes": list(found.notes),
        "pictures": [one.title for one in found.pictures],
    }
    return json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str, pictures: Sequence[Picture] = ()) -> Findings:
    """What `as_json` wrote."""
    facts: dict[str, Any] = json.loads(text)
    return Findings(
        study=facts["study"],
        title=facts["title"],
        question=facts["question"],
        answer=facts["answer"],
        tables=tuple(map(_table, facts["tables"])),
        settings=facts["settings"],
        pictures=tuple(pictures),
        left_out=facts["left_out"],
        notes=tuple(facts["notes"]),
    )


def _table(facts: Mapping[str, Any]) -> Table:
    return Table(facts["title"], tuple(map(_number, facts["numbers"])), facts["protocol"])


def _number(facts: Mapping[str, Any]) -> Number:
    given = dict(facts)
    ends = given.pop("interval")
    return Number(**given, interval=None if ends is None else (ends[0], ends[1]))
