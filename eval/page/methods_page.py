"""The page of all methods: one table a model, worth drawn against cost, and the advice that follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vlx.eval.page.methods_advice import advice
from vlx.eval.page.methods_table import Column, MethodsTable, by_cost, cells, note
from vlx.eval.page.plots import worth_plot
from vlx.eval.page.written import write_parts


@dataclass(frozen=True, eq=False)
class ModelPart:
    """One model on the page."""

    table: MethodsTable
    cells: Sequence[Sequence[str]]
    note: str
    advice: Sequence[str]
    plots: Sequence[tuple[Column, str]]
    """Each evaluation with its plot, SVG."""


def model_part(table: MethodsTable) -> ModelPart:
    """What the page shows of one model."""
    plots = [(one, plot(table, one)) for one in table.columns]
    return ModelPart(table, cells(table), note(table), advice(table), plots)


def plot(table: MethodsTable, one: Column) -> str:
    """What decides on each method by one evaluation, over what the method costs."""
    points = [
        (name, table.costs[name].ratio, value, interval)
        for name in by_cost(table)
        for value, interval in (one.decided(name),)
        if name in table.costs and value is not None
    ]
    return worth_plot(points, one.decides, ratio=one.task.span is None)


def write_methods_page(
    path: Path, tables: Sequence[MethodsTable], missing: Sequence[tuple[str, str]]
) -> Path:
    """Write the page. Raises VlxError where nothing was measured, which the page then says too."""
    return write_parts(
        path, "methods.html", "Methods, measured", [model_part(one) for one in tables], missing
    )
