"""All methods of one model side by side: what their maps are worth by each evaluation, and what they cost.

What decides is how much better a map is scored than that of a word whose category the image does not show
(own minus wrong), where an evaluation measures it: only that tells whether the map knows the word. Elsewhere
it is the score less that of the control that comes closest to it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from vlx.eval.items.rows import OWN_MINUS_WRONG, SCORE
from vlx.eval.measures.statistics import Summary
from vlx.eval.runs.costs import Cost
from vlx.eval.runs.summary import Measured
from vlx.eval.tasks.task import Task

SHUFFLED = "random_weights"
OF_SCORES = ("random_pixel", "human_agreement")
"""What is beside the scores of some evaluations on their own scale; other facts are of other columns."""
_COSTS: tuple[tuple[str, Callable[[Cost], str]], ...] = (
    ("forwards", lambda cost: str(cost.forwards)),
    ("runs below", lambda cost: str(cost.below)),
    ("runs of the head", lambda cost: str(cost.heads)),
    ("backwards", lambda cost: str(cost.backwards)),
    ("MiB", lambda cost: "–" if cost.memory is None else f"{cost.memory / 2**20:.0f}"),
)
Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Worth:
    """What the maps of one method are worth by one evaluation."""

    score: Summary
    decides: Summary | None
    """Own minus wrong, or the score less the control that comes closest; None where neither is known."""
    against: str
    """What is subtracted there: wrong words, or a control."""


@dataclass(frozen=True, eq=False)
class Column:
    """One evaluation, of all methods that were measured by it."""

    task: Task
    title: str
    protocol: str
    worth: Mapping[str, Worth]
    """By method."""
    controls: Mapping[str, Summary]
    """Controls and what else is beside the methods, by what a row is called; of the run of most items."""
    wrong: bool
    """Whether wrong words decide."""

    @property
    def decides(self) -> str:
        """What decides."""
        return "own − wrong" if self.wrong else "above controls"

    def middle(self, one: Summary) -> tuple[float | None, Interval | None]:
        """What stands for a summary: mean or median, with its interval by image."""
        return (one.median, one.median_interval) if self.task.median else (one.mean, one.interval)

    def decided(self, method: str) -> tuple[float | None, Interval | None]:
        """What decides on a method, with its interval."""
        one = self.worth.get(method)
        return (None, None) if one is None or one.decides is None else self.middle(one.decides)

    def sure(self, method: str) -> bool:
        """Whether the whole interval of what decides lies above 0."""
        _, interval = self.decided(method)
        return interval is not None and interval[0] > 0


@dataclass(frozen=True, eq=False)
class MethodsTable:
    """All methods on one model."""

    model: str
    layer: str
    example: str
    """On what costs were measured."""
    methods: Sequence[str]
    costs: Mapping[str, Cost]
    columns: Sequence[Column]
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])
    """Methods that the model cannot be explained by, with the reasons."""


def column(task: Task, measured: Sequence[Measured], methods: Sequence[Sequence[str]]) -> Column:
    """An evaluation from its runs, each with the methods it measured; the first has most items."""
    worth = {
        name: _worth(task, found, name)
        for found, names in zip(measured, methods, strict=True)
        for name in names
    }
    first = measured[0]
    shared = [task.label(name, "") for name in task.controls if name in task.shared]
    facts = [task.label(name, "") for name in task.facts if name in OF_SCORES]
    controls = {f"control: {one}": first.by_image[one] for one in shared if one in first.by_image}
    shuffled = [first.by_image.get(task.label(SHUFFLED, name)) for name in methods[0]]
    best = max((one for one in shuffled if one is not None), key=partial(_height, task), default=None)
    controls |= {} if best is None else {"control: shuffled weights, the highest": best}
    controls |= {one: first.by_image[one] for one in facts if one in first.by_image}
    return Column(
        task, first.title, first.protocol, worth, controls,
        any(task.label(OWN_MINUS_WRONG, name) in found.by_image for found in measured for name in worth),
    )  # fmt: skip


def _height(task: Task, one: Summary) -> float:
    value = one.median if task.median else one.mean
    return -math.inf if value is None else value


def _worth(task: Task, found: Measured, name: str) -> Worth:
    score = found.by_image[task.label(SCORE, name)]
    wrong = found.by_image.get(task.label(OWN_MINUS_WRONG, name))
    if wrong is not None:
        return Worth(score, wrong, "wrong words")
    leads = {
        control: found.paired[label]
        for control in task.controls
        if (label := f"{name} minus {control.replace('_', ' ')}") in found.paired
    }

    def middle(control: str) -> float:
        value = leads[control].median if task.median else leads[control].mean
        return math.inf if value is None else value

    closest = min(leads, key=middle, default="")
    return Worth(score, leads.get(closest), closest.replace("_", " "))


def cells(table: MethodsTable, digits: int = 3) -> list[list[str]]:
    """The table as text, its head first: the methods by their cost, then the controls."""
    head = ["", "× forward"]
    for one in table.columns:
        head += [one.task.name, f"{one.task.name}: {one.decides}", "n"]
    head += [name for name, _ in _COSTS]
    return [
        head,
        *(_line(table, name, digits) for name in by_cost(table)),
        *_controls(table, digits),
    ]


def by_cost(table: MethodsTable) -> list[str]:
    """The methods, the cheapest first."""
    return sorted(table.methods, key=lambda name: ratio_of(table, name))


def ratio_of(table: MethodsTable, name: str) -> float:
    """The seconds of a method over those of a bare forward; infinite where they were not measured."""
    return table.costs[name].ratio if name in table.costs else math.inf


def _line(table: MethodsTable, name: str, digits: int) -> list[str]:
    cost = table.costs.get(name)
    line = [name, "–" if cost is None else times(cost.ratio)]
    for one in table.columns:
        mine = one.worth.get(name)
        if mine is None:
            line += ["–", "–", "–"]
            continue
        value, interval = one.decided(name)
        told = number(value, digits)
        if interval is not None:
            told += f" [{number(interval[0], digits)}, {number(interval[1], digits)}]"
        line += [
            number(one.middle(mine.score)[0], digits),
            told + (" *" if one.sure(name) else ""),
            str(mine.score.n) if mine.score.n else f"0 ({', '.join(mine.score.left_out)})",
        ]
    return line + ["–" if cost is None else tell(cost) for _, tell in _COSTS]


def _controls(table: MethodsTable, digits: int) -> list[list[str]]:
    """What knows nothing of the target: scores alone."""
    names = list(dict.fromkeys(name for one in table.columns for name in one.controls))
    lines: list[list[str]] = []
    for name in names:
        line = [name, ""]
        for one in table.columns:
            mine = one.controls.get(name)
            line += ["–", "", ""] if mine is None else [number(one.middle(mine)[0], digits), "", str(mine.n)]
        lines.append([*line, *("" for _ in _COSTS)])
    return lines


def note(table: MethodsTable) -> str:
    """How the table is to be read."""
    targets = {cost.targets for cost in table.costs.values()}
    wrong = any(one.wrong for one in table.columns)
    said = (
        "own − wrong: the score of a map less that of the map of a word whose category the image does not "
        "show, on the same truth; " if wrong else ""
    )  # fmt: skip
    above = (
        "above controls: the score less that of the control that comes closest (the same method with "
        "shuffled weights among them), over items that have both; "
        if any(not one.wrong for one in table.columns)
        else ""
    )
    return (
        f"{said}{above}in brackets the 95 % bootstrap interval by image, * where all of it lies above 0; n: "
        "the items with a score, fewer of methods that take many runs. Costs: one call for "
        f"{' or '.join(map(str, sorted(targets)))} target(s) of {table.example}; × forward: the median of "
        "its seconds over those of a bare forward of the whole network, measured in turn; forwards: images "
        "through the whole network; runs below and of the head: images and features through the part below "
        "and above the layer alone; MiB held at most beyond what was there before"
    )


def number(value: float | None, digits: int = 3) -> str:
    """A number as text, a dash where there is none.

    >>> number(0.25), number(None)
    ('0.250', '–')
    """
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def times(ratio: float) -> str:
    """How often a bare forward, as text.

    >>> times(2.55), times(154.6)
    ('2.5', '155')
    """
    return f"{ratio:.0f}" if ratio >= 100 else f"{ratio:.1f}"
