"""Variants of a map side by side, such as ablations of a method or the layers of a network.

Each is compared with one of them, its reference, over the items that both score.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

from vlx.eval.items.rows import OWN_MINUS_WRONG, SCORE, need_pyarrow
from vlx.eval.measures.differences import between_methods
from vlx.eval.measures.statistics import Outcome, Summary
from vlx.eval.runs.summary import Measured, from_json
from vlx.eval.tasks.task import Task

_BESIDE = ("random_weights", "mean_activation")
"""Controls that differ between variants."""
_FACTS = ("class_top_1", "centre_point", "random_pixel")
"""Facts on the scale of the scores."""
KNOWN = "known_class"
_SMALL_COUNTS = ("no_place",)


@dataclass(frozen=True)
class Variant:
    """One row: a method at a layer, and what it is compared with."""

    name: str
    method: str
    reference: str
    facts: tuple[str, ...] = ()
    """Further cells, such as its grid; see `VariantsTable.facts`."""


@dataclass(frozen=True, eq=False)
class Worth:
    """What the maps of one variant are worth by one evaluation; images are the clusters."""

    score: Summary
    difference: Summary | None
    """Its score less that of its reference, over the items that both score; None of the reference itself."""
    wrong: Summary | None
    """Own minus wrong."""
    more: Mapping[str, Summary]
    """Further columns of its maps, by what a table calls them."""
    known: Summary | None
    """Of localisation the difference of the error for the known class, which no wrong guess hides."""
    beside: Mapping[str, Summary]
    """The controls that belong to it."""


@dataclass(frozen=True, eq=False)
class Column:
    """One evaluation of all variants that were measured by it."""

    task: Task
    title: str
    protocol: str
    worth: Mapping[str, Worth]
    """By variant."""
    controls: Mapping[str, tuple[Summary, Mapping[str, Summary]]]
    """What is the same for all: its score, and what it has in the further columns."""
    paper: Mapping[str, float] = field(default_factory=dict[str, float])
    """The paper's value of a variant."""

    def middle(self, one: Summary) -> tuple[float | None, tuple[float, float] | None]:
        """What stands for a summary: mean or median, with its interval by image."""
        return (one.median, one.median_interval) if self.task.median else (one.mean, one.interval)


@dataclass(frozen=True, eq=False)
class VariantsTable:
    """All variants of one model."""

    model: str
    what: str
    """For a heading, such as *Ablations of Grad-CAM*."""
    note: str
    """How the variants are meant."""
    variants: Sequence[Variant]
    facts: Sequence[str]
    """What the further cells of the variants are called."""
    columns: Sequence[Column]
    left_out: Mapping[str, str]
    """Variants that the model does not allow, with the reasons."""
    pictures: Sequence[tuple[str, bytes]] = ()
    """PNG of one target each by all variants, with what it shows."""


def column(
    task: Task, folders: Mapping[str, Path], variants: Sequence[Variant], paper: Mapping[str, float]
) -> Column:
    """An evaluation from the folders of its runs, by variant."""
    summaries = {
        path: from_json((path / "summary.json").read_text(encoding="utf-8"))[0]
        for path in set(folders.values())
    }
    scores = cache(partial(_scores, task))
    worth: dict[str, Worth] = {}
    for one in variants:
        if one.name not in folders:
            continue
        path = folders[one.name]
        known = {other.name: other.method for other in variants if other.name in folders}
        less: Mapping[str, Summary] = {}
        if one.reference != one.name and one.reference in known:
            base = scores(folders[one.reference])[known[one.reference]]
            less = _differences(task, base, scores(path)[one.method])
        worth[one.name] = _worth(task, summaries[path], one.method, less)
    first = summaries[next(iter(folders.values()))]
    return Column(task, first.title, first.protocol, worth, _controls(task, first), paper)


def _worth(task: Task, found: Measured, method: str, less: Mapping[str, Summary]) -> Worth:
    more = {name: found.by_image[label] for name, label in _more(task, found, method).items()}
    beside = {
        name: found.by_image[label]
        for name in _BESIDE
        if (label := task.label(name, method)) in found.by_image
    }
    wrong = found.by_image.get(task.label(OWN_MINUS_WRONG, method))
    score = found.by_image[task.label(SCORE, method)]
    return Worth(score, less.get(SCORE), wrong, more, less.get(KNOWN), beside)


def _more(task: Task, found: Measured, method: str) -> dict[str, str]:
    """The labels of the further columns of a method's maps, by what they are called in themselves."""
    named = {name: task.label(name, method) for name in (*task.extras, "best_threshold")}
    return {
        task.said.get(name, name.replace("_", " ")): label
        for name, label in named.items()
        if label in found.by_image and name not in _SMALL_COUNTS
    }


def _controls(task: Task, found: Measured) -> dict[str, tuple[Summary, dict[str, Summary]]]:
    controls: dict[str, tuple[Summary, dict[str, Summary]]] = {}
    for name in (
        *(one for one in task.shared if one not in _BESIDE),
        *(f for f in _FACTS if f in task.facts),
    ):
        label = task.label(name, "")
        if label not in found.by_image:
            continue
        short = name.removesuffix("_prior")
        more = {
            task.said.get(extra, extra.replace("_", " ")): found.by_image[other]
            for extra in (*task.extras, "best_threshold")
            if (other := task.label(f"{short}_{extra}", "")) in found.by_image
        }
        controls[label] = found.by_image[label], more
    return controls


Scores = tuple[Mapping[str, Mapping[str, Outcome]], Mapping[str, str]]
"""By column the score of each item, and its image."""


def _scores(task: Task, folder: Path) -> dict[str, Scores]:
    """The scores of each method in a folder."""
    need_pyarrow()
    from pyarrow import parquet

    columns = [SCORE, *([KNOWN] if KNOWN in task.extras else [])]
    reasons = {one: "left_out" if one == SCORE else f"{one}_left_out" for one in columns}
    wanted = ["item", "image", "method", *columns, *reasons.values()]
    found: dict[str, tuple[dict[str, dict[str, Outcome]], dict[str, str]]] = {}
    for row in parquet.read_table(folder / "results.parquet", columns=wanted).to_pylist():
        outcomes, images = found.setdefault(row["method"], ({one: {} for one in columns}, {}))
        images[row["item"]] = row["image"]
        for one, reason in reasons.items():
            outcomes[one][row["item"]] = Outcome(row[one], row[reason])
    return {method: made for method, made in found.items()}


def _differences(task: Task, first: Scores, second: Scores) -> dict[str, Summary]:
    """The differences of the scores, and of what else is compared, by column."""
    images = {**first[1], **second[1]}
    return {
        name: between_methods(
            {"reference": first[0][name], "mine": second[0][name]}, images, middle=task.median
        )["mine minus reference"]
        for name in first[0]
    }
