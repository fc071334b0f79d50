"""One self-contained page of several evaluations: measured beside the paper, plots, best and worst items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vlx.eval.items.rows import SCORE
from vlx.eval.page.examples import Example
from vlx.eval.page.paper import PaperValue, paper_value
from vlx.eval.page.plots import category_plot, distribution_plot, means_plot, statistics_plot
from vlx.eval.page.side_by_side import Cells, localisation_table, masks_table, notice_below
from vlx.eval.page.variants_page import VariantsPart
from vlx.eval.page.written import drawn, need_parts, write_or_say
from vlx.eval.runs.methods import name_in
from vlx.eval.runs.summary import Measured, fault_lines, from_json
from vlx.eval.runs.tables import statistics_cells, statistics_note, table_cells, table_note
from vlx.eval.tasks.classes_occlusion import CLASSES_OCCLUSION
from vlx.eval.tasks.localisation import LOCALISATION
from vlx.eval.tasks.task import Task
from vlx.show.html import part, policy, rendered


@dataclass(frozen=True, eq=False)
class Section:
    """One evaluation of one model on a page."""

    task: Task
    found: Measured
    settings: Mapping[str, Any]
    best: Sequence[Example]
    worst: Sequence[Example]
    means: str
    """SVG, as are the other plots."""
    distribution: str
    categories: str
    """Empty where items have no categories; of the statistics where there are any."""

    @property
    def table(self) -> list[list[str]]:
        """The summaries as text."""
        return table_cells(self.found.alone, 3, self.found.by_image, median=self.found.median)

    @property
    def note(self) -> str:
        """The protocol, and how errors were found."""
        return table_note(self.found.alone, self.found.protocol, self.found.by_image)

    @property
    def faults(self) -> list[str]:
        """What is damaged, what the model does not take, and what failed, with the first of each reason."""
        return fault_lines(self.found)

    @property
    def statistics(self) -> list[list[str]]:
        """What was asked for where it is no mean over items; the head alone where it is one."""
        return statistics_cells(self.found.statistics)

    @property
    def of_statistics(self) -> str:
        """How their intervals were found."""
        return statistics_note(self.found.statistics)

    @property
    def differences(self) -> list[list[str]]:
        """Score minus control, on the items that have both."""
        return table_cells(self.found.paired, median=self.found.median)

    @property
    def between(self) -> list[list[str]]:
        """One method's score minus another's, on the items that both score."""
        return table_cells(self.found.between, median=self.found.median)

    def measured(self, name: str) -> tuple[float | None, tuple[float, float] | None]:
        """What stands for the scores of a method, mean or median, and its interval by image."""
        one = self.found.by_image[self.task.label(SCORE, name)]
        return (one.median, one.median_interval) if self.found.median else (one.mean, one.interval)

    @property
    def beside(self) -> list[tuple[str, PaperValue | None]]:
        """Each method with what the paper reports of it."""
        task, model_type = self.settings["task"], self.settings["kind"]
        names = map(name_in, self.settings["methods"])
        return [(name, paper_value(task, model_type, name)) for name in names]


def section(
    task: Task,
    folder: Path,
    rows: Sequence[Mapping[str, Any]],
    best: Sequence[Example],
    worst: Sequence[Example],
) -> Section:
    """What a page shows of the finished evaluation in a folder; ``rows`` are those of its table."""
    found, settings = from_json((folder / "summary.json").read_text(encoding="utf-8"))
    methods = list(map(name_in, settings["methods"]))
    labels = [task.label(SCORE, method) for method in methods]
    told = {name: paper_value(settings["task"], settings["kind"], name) for name in methods}
    return Section(
        task=task,
        found=found,
        settings=settings,
        best=best,
        worst=worst,
        means=means_plot(
            found.by_image, labels, {n: one.value for n, one in told.items() if one}, median=found.median
        ),
        distribution=distribution_plot(spread(task, rows, methods), labels, ratio=task.span is None),
        categories=statistics_plot(found.statistics)
        if found.statistics
        else category_plot(found.categories[methods[0]], median=found.median)
        if found.categories[methods[0]]
        else "",
    )


def spread(task: Task, rows: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> dict[str, np.ndarray]:
    """The values of each method and control, by the label of its row."""
    values: dict[str, list[float]] = {}
    for row in rows:
        first = row["method"] == methods[0]
        shown = (SCORE, *task.controls) if first else (SCORE,)
        for column in shown:
            if row.get(column) is not None:
                values.setdefault(task.label(column, row["method"]), []).append(row[column])
    return {name: np.array(found) for name, found in values.items()}


def write_page(
    path: Path,
    sections: Sequence[Section],
    missing: Sequence[tuple[str, str]],
    variants: Sequence[VariantsPart] = (),
) -> Path:
    """Write the page; ``missing`` are evaluations that could not be made, with the reasons.

    Raises VlxError where nothing was measured, which the page then says too.
    """
    write_or_say(path, page(sections, missing, variants))
    need_parts(sections, missing)
    return path


def page(
    sections: Sequence[Section], missing: Sequence[tuple[str, str]], variants: Sequence[VariantsPart] = ()
) -> str:
    """The page as HTML text."""
    from markupsafe import Markup

    style = part("vlx.eval.page", "evaluation.css")
    return rendered(
        "vlx.eval.page",
        "evaluation.html",
        {"drawn": drawn, "number": _number},
        title="Explanations, measured",
        sections=sections,
        beside=side_by_side(sections),
        variants=variants,
        missing=missing,
        style=Markup(style),
        policy=policy(style),
    )


def side_by_side(sections: Sequence[Section]) -> list[tuple[str, Cells, str]]:
    """Tables of several sections, or of many rows of one, with a title and the notice that is due."""
    boxes = [(one.found, one.settings) for one in sections if one.task.name == LOCALISATION.name]
    made = [("Localisation side by side (as Table 1)", localisation_table(boxes))] if boxes else []
    for one in sections:
        if one.task.name == CLASSES_OCCLUSION.name:
            names = list(map(name_in, one.settings["methods"]))
            cells = masks_table(one.found, names, one.settings.get("option window"))
            made.append((f"Faithfulness by the size of the mask: {one.settings['model']}", cells))
    return [(title, cells, notice_below(cells)) for title, cells in made]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".replace("-", "\N{MINUS SIGN}")
