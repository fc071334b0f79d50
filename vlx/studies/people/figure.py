"""The paper's Figure 5: what raters are shown in both studies, and what they answer."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from vlx.studies.found import Findings, Picture
from vlx.studies.people.analysis import said
from vlx.studies.people.make import Made
from vlx.studies.people.questions import PHOTO, Question, methods_in, pixels_of


def figure_5(discrimination: Made, trust: Made, found: Sequence[Findings]) -> Picture:
    """One image of each study in every visualisation, with the questions, above the measured means."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    first = list(discrimination.questions.values())
    methods = sorted(methods_in(first), key=lambda one: one != PHOTO)
    image = first[0].image
    mine = [one for one in first if one.image == image]
    groups = list(dict.fromkeys(one.group for one in mine))
    drawing = Figure(figsize=(2.1 * len(methods) + 0.4, 2.45 * len(groups) + 5.6), dpi=110, facecolor="white")
    canvas = FigureCanvasAgg(drawing)
    rows = drawing.add_gridspec(len(groups) + 2, 1, hspace=0.22, left=0.17, right=0.98, top=0.93, bottom=0.06)
    drawing.suptitle("What raters are shown (as in the paper's Figure 5)", fontsize=12)
    for row, group in enumerate(groups):
        cells = rows[row].subgridspec(1, len(methods), wspace=0.06)
        for col, method in enumerate(methods):
            one = next(q for q in mine if q.group == group and q.shown == method)
            name = "(a) photo (a control)" if method == PHOTO else f"(b) {said(method)}"
            _show(drawing.add_subplot(cells[col]), pixels_of(one.pictures[0]), name if row == 0 else "")
            if col == 0:
                asked = " or ".join(sorted(one.options))
                drawing.axes[-1].set_ylabel(f"{asked}?\n(made for {one.options[0]})", fontsize=8)
    _pairs(drawing, rows[len(groups)], list(trust.questions.values()))
    _means(drawing, rows[len(groups) + 1], found)
    buffer = io.BytesIO()
    canvas.print_png(buffer)
    title = "The pictures of both studies, and means of simulated raters beside those published of people"
    return Picture(title, buffer.getvalue())


def _show(axes: Any, pixels: np.ndarray, title: str) -> None:
    axes.imshow(pixels)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=8)


def _pairs(drawing: Any, place: Any, questions: Sequence[Question]) -> None:
    """The two models' pictures of one image, by each visualisation."""
    mine = [
        one for one in questions if one.image == questions[0].image and one.shown in methods_in(questions)
    ]
    cells = place.subgridspec(1, 2 * len(mine), wspace=0.06)
    for at, one in enumerate(mine):
        for side, name in enumerate(("better", "weaker")):
            title = f"(c) {said(one.shown)}, {name}"
            _show(drawing.add_subplot(cells[2 * at + side]), pixels_of(one.pictures[side]), title)
            if at == side == 0:
                drawing.axes[-1].set_ylabel(f"both robots said {one.options[0]}", fontsize=8)


def _means(drawing: Any, place: Any, found: Sequence[Findings]) -> None:
    cells = place.subgridspec(1, 2, wspace=0.55)
    for at, (part, ground, label) in enumerate(
        zip(found, (0.5, 0.0), ("share right", "rating, -2 to 2"), strict=True)
    ):
        axes = drawing.add_subplot(cells[at])
        numbers = [one for one in part.tables[0].numbers if not one.control and one.value is not None]
        paper = {one.name.partition(",")[0]: one.value for one in part.tables[-1].numbers}
        for row, one in enumerate(numbers):
            low, high = one.interval or (one.value, one.value)
            axes.plot([low, high], [row, row], color="#7a1f5c", lw=2)
            axes.plot(
                [one.value], [row], "o", color="#7a1f5c", label="simulated raters" if row == 0 else None
            )
            if one.name in paper:
                told = "people, published" if row == 0 else None
                axes.plot([paper[one.name]], [row], "D", mfc="none", color="#1d1d1f", label=told)
        axes.axvline(ground, color="#8a8a92", lw=1, ls="--")
        axes.set_yticks(range(len(numbers)), [one.name for one in numbers], fontsize=8)
        axes.set_ylim(len(numbers) - 0.5, -0.5)
        axes.tick_params(axis="x", labelsize=8)
        axes.set_xlabel(label, fontsize=8)
        axes.legend(fontsize=7, frameon=False, loc="best")
