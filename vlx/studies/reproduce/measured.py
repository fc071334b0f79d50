"""Evaluations as tables of a reproduction, the paper's numbers beside them."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vlx.errors import Doubt, Notice
from vlx.eval.baselines import notice_of
from vlx.eval.items.rows import OWN_MINUS_WRONG, SCORE
from vlx.eval.measures.statistics import Summary
from vlx.eval.page.paper import paper_value
from vlx.eval.page.told import plain_name
from vlx.eval.runs.evaluate import evaluate_prepared
from vlx.eval.runs.isolated import allowed_methods
from vlx.eval.runs.repeatable import repeatable
from vlx.eval.runs.request import data_folder, items_for, prepare
from vlx.eval.runs.summary import Measured, from_json
from vlx.eval.tasks.task import Task
from vlx.methods.values import Method
from vlx.studies.found import Number, Table, number_of
from vlx.studies.kept import digest
from vlx.studies.reproduce.asked import Asked, Needs, Role


@dataclass(frozen=True, eq=False)
class Evaluated:
    """One evaluation of one model."""

    task: Task
    found: Measured
    methods: tuple[str, ...]
    """Those that the model allows."""
    model: str
    kind: str
    """What the model was taken as."""


def measured(
    asked: Asked,
    task: Task,
    role: Role,
    needs: Needs,
    methods: Sequence[Method],
    *,
    layer: str | int | None = None,
    **options: Any,
) -> Evaluated:
    """One evaluation of one model by the methods that it allows.

    It is kept in ``evaluations`` below ``asked.out``, and goes on where it was stopped.
    """
    request = asked.request(role, needs, methods=methods, layer=layer, **options)
    models = asked.loaded(role, layer)
    with repeatable(request.threads), warnings.catch_warnings():
        warnings.simplefilter("ignore", Doubt)
        warnings.simplefilter("ignore", Notice)
        taken = task.takes(models)
        items = items_for(task, taken, request, data_folder(request.data))
        given = task.options_for(request.options)
        kept, _ = allowed_methods(task, request.model, taken, items, methods, given)
        asks = replace(request, methods=tuple(kept))
        at = "" if layer is None else f"-{plain_name(str(layer))}"
        short = digest([one.name for one in kept], str(given))[:8]
        folder = asked.out / "evaluations" / f"{task.name}-{plain_name(request.model)}{at}-{short}"
        done = evaluate_prepared(task, asks, prepare(task, asks, models), folder)
    return _read(task, done, request.model, kept)


def _read(task: Task, folder: Path, model: str, methods: Sequence[Method]) -> Evaluated:
    found, settings = from_json((folder / "summary.json").read_text(encoding="utf-8"))
    return Evaluated(task, found, tuple(one.name for one in methods), model, settings["kind"])


def table(
    made: Evaluated,
    *,
    methods: Sequence[Method] | None = None,
    columns: Mapping[str, str] = {SCORE: ""},
    title: str = "",
    published: str | None = None,
    leads: str = SCORE,
    own: str = "",
) -> Table:
    """The scores of the methods, further columns of each, own minus wrong, and the controls.

    ``methods`` are those of the table, where it has not all of them in the order of the evaluation;
    ``columns`` are what is shown of a method, each with what it is called; ``own`` stands before all names;
    ``published`` names the evaluation that the paper's numbers are of, where it is another, and is empty
    where there are none; ``leads`` is the column that they stand beside.
    """
    names = made.methods if methods is None else [one.name for one in methods if one.name in made.methods]
    numbers = [
        number for method in names for number in _of_method(made, method, columns, published, leads, own)
    ]
    protocol = made.found.protocol + "."
    notice = notice_of(names)
    return Table(
        title or made.found.title,
        (*numbers, *_controls(made, names, own)),
        f"{protocol} Notice: {notice}." if notice else protocol,
    )


def between(made: Evaluated, reference: str) -> list[Table]:
    """Each method less the reference, where there are several."""
    numbers = tuple(
        _number(name, one, made.found.median)
        for name, one in made.found.between.items()
        if reference in name.split()
    )
    protocol = "Over the images that both score; images are drawn."
    return [Table("One score less another", numbers, protocol)] if numbers else []


def joined(title: str, *tables: Table) -> Table:
    """Several tables of one protocol as one."""
    numbers = {one.name: one for each in tables for one in each.numbers}
    protocols = dict.fromkeys(one.protocol for one in tables)
    return Table(title, tuple(numbers.values()), " ".join(protocols))


def _of_method(
    made: Evaluated,
    method: str,
    columns: Mapping[str, str],
    published: str | None,
    leads: str,
    own: str,
) -> list[Number]:
    told = {**columns, **({OWN_MINUS_WRONG: "own minus wrong"} if made.task.wrong else {})}
    numbers: list[Number] = []
    for column, called in told.items():
        one = made.found.by_image.get(made.task.label(column, method))
        if one is None:
            continue
        of = made.task.name if published is None else published
        value = paper_value(of, made.kind, method) if column == leads else None
        error = "" if value is None or value.error is None else f" ± {value.error:g}"
        paper = "" if value is None else f"{value.value:g}{error}"
        name = ", ".join(filter(None, (own, method, called)))
        numbers.append(replace(_number(name, one, made.found.median), paper=paper))
    return numbers


def _controls(made: Evaluated, methods: Sequence[str], own: str) -> list[Number]:
    columns = (*made.task.controls, *made.task.across_shared)
    labels = dict.fromkeys(made.task.label(column, method) for column in columns for method in methods)
    known = {label: made.found.by_image[label] for label in labels if label in made.found.by_image}
    return [
        replace(_number(", ".join(filter(None, (own, label))), one, made.found.median), control=True)
        for label, one in known.items()
    ]


def _number(name: str, one: Summary, median: bool) -> Number:
    told = number_of(name, one)
    value, ends = (one.median, one.median_interval) if median else (one.mean, one.interval)
    if value is not None and not math.isfinite(value):
        value = None
    if ends is not None and not all(map(math.isfinite, ends)):
        ends = None
    return replace(told, value=value, interval=ends)
