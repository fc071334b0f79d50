"""Rows to summaries: means with their errors beside the controls."""

import sys
from collections.abc import Iterable

from vlx.eval.items.faults import DAMAGED, Faults
from vlx.eval.items.rows import OWN_MINUS_WRONG, SCORE, Numbers, Row
from vlx.eval.measures.differences import between_methods, difference
from vlx.eval.measures.groups import mean_by_clusters
from vlx.eval.measures.statistics import Outcome, Summary, by_group, summarise_all
from vlx.eval.runs.summary import Measured
from vlx.eval.tasks.task import Task


class Collected:
    """What summaries need of the rows so far: numbers, images and categories, no texts."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._outcomes: dict[str, list[Outcome]] = {}
        self._images: dict[str, list[str]] = {}
        self._categories: dict[str, list[str]] = {}
        self._scores: dict[str, list[Outcome]] = {}
        self._of_scores: dict[str, list[str]] = {}
        self._by_item: dict[str, dict[str, Outcome]] = {}
        self._image_of: dict[str, str] = {}
        self._paired: dict[str, list[Outcome]] = {}
        self._columns: dict[str, dict[str, list[Outcome]]] = {}
        self._first: str | None = None
        self._known: set[str] = set()
        self._faults = Faults()
        self._numbers: list[Numbers] = []

    def add(self, row: Row) -> None:
        """Take one row."""
        self._first = self._first or row.method
        once = {*self._task.shared, *self._task.facts}
        if self._task.across is not None:
            mine = self._columns.setdefault(row.method, {})
            for column, outcome in row.outcomes.items():
                mine.setdefault(column, []).append(outcome)
        for column in self._task.columns:
            if column in self._task.kept or column not in row.outcomes:  # as what was not asked for
                continue
            if row.method == self._first or column not in once:
                label = self._task.label(column, row.method)
                self._outcomes.setdefault(label, []).append(row.outcomes[column])
                self._images.setdefault(label, []).append(row.image)
        self._pair(row)
        self._scores.setdefault(row.method, []).append(row.outcomes[SCORE])
        self._of_scores.setdefault(row.method, []).append(row.image)
        item = sys.intern(row.item)  # one text for all methods
        self._by_item.setdefault(row.method, {})[item] = row.outcomes[SCORE]
        self._image_of[item] = row.image
        self._categories.setdefault(row.method, []).append(row.category)
        # A damaged record, which names no image, has its own name for one; so has an image of one item.
        if row.image != row.item or row.outcomes[SCORE].left_out != "damaged_record":
            self._known.add(row.image)
        if self._task.statistics is not None:
            self._numbers.append(Numbers(row.image, row.method, row.category, row.outcomes))
        if row.method == self._first:
            self._faults.add(row.item, row.outcomes[SCORE].left_out, row.detail)

    def _pair(self, row: Row) -> None:
        """Take the differences of a row's score and its controls, and of what is wrong beside it."""
        for column in self._task.controls if self._task.comparable else ():
            if column not in row.outcomes:
                continue
            label = f"{row.method} minus {column.replace('_', ' ')}"
            less = difference(row.outcomes[SCORE], row.outcomes[column], "control")
            self._paired.setdefault(label, []).append(less)
        if OWN_MINUS_WRONG in row.outcomes:
            what = "classes" if self._task.model_types == ("classifier",) else "words"
            label = f"{row.method} minus wrong {what}"
            self._paired.setdefault(label, []).append(row.outcomes[OWN_MINUS_WRONG])

    def measured(self, protocol: str, seed: int, title: str | None = None) -> Measured:
        """The summaries of all rows so far; the seed is that of the bootstrap."""
        first = self._scores.get(self._first or "", [])
        clusters = self._of_scores.get(self._first or "", [])
        grouped = {name: self._grouped(name, seed) for name in self._scores}
        self._add_across()
        return Measured(
            title=title or self._task.title,
            protocol=protocol,
            items=len(first),
            images=len(self._known),
            damaged=self._faults.count(DAMAGED),
            median=self._task.median,
            alone=summarise_all(self._outcomes, seed=seed),
            by_image=summarise_all(self._outcomes, self._images, seed=seed, middle=self._task.median),
            paired=summarise_all(
                self._paired, dict.fromkeys(self._paired, clusters), seed=seed, middle=self._task.median
            ),
            categories={name: groups for name, (groups, _) in grouped.items()},
            over_categories=self._over_categories(seed)
            if self._task.by_category
            else {name: mean for name, (_, mean) in grouped.items() if mean is not None},
            faults=self._faults.found,
            between={}
            if self._task.statistics
            else between_methods(self._by_item, self._image_of, seed=seed, middle=self._task.median),
            statistics=self._task.statistics(self._numbers, seed) if self._task.statistics else {},
        )

    def _over_categories(self, seed: int) -> dict[str, Summary]:
        """The mean over categories of every row of the table; items come in one order for all methods."""
        categories = self._categories.get(self._first or "", [])
        named = [at for at, name in enumerate(categories) if name]
        if not named:
            return {}
        found: dict[str, Summary] = {}
        for label, outcomes in self._outcomes.items():
            images = self._images[label]
            mine = (
                [outcomes[at] for at in named],
                [categories[at] for at in named],
                [images[at] for at in named],
            )
            found[label] = mean_by_clusters(*mine, seed=seed, medians=self._task.median)
        return found

    def _add_across(self) -> None:
        """The rows that are found from all items at once."""
        for method, columns in self._columns.items():
            assert self._task.across is not None
            for column, outcomes in self._task.across(columns, self._of_scores[method]).items():
                label = self._task.label(column, method)
                self._outcomes[label] = list(outcomes)
                self._images[label] = self._of_scores[method]

    def _grouped(self, method: str, seed: int) -> tuple[dict[str, Summary], Summary | None]:
        """The scores by category, and the mean over categories, where there are any."""
        everything = zip(self._scores[method], self._categories[method], self._of_scores[method], strict=True)
        named = [one for one in everything if one[1]]
        if not named:
            return {}, None
        outcomes, categories, images = zip(*named, strict=True)
        groups = by_group(outcomes, categories, images, seed=seed)
        return groups, mean_by_clusters(outcomes, categories, images, seed=0, medians=self._task.median)


def measured(task: Task, rows: Iterable[Row], protocol: str, seed: int = 0) -> Measured:
    """The summaries of some rows."""
    collected = Collected(task)
    for row in rows:
        collected.add(row)
    return collected.measured(protocol, seed)
