"""All methods of some models by all evaluations that these allow, with their costs: which one to use.

A folder for each evaluation and model, and another for methods that take many runs, each of which goes on
where it was stopped; the costs of a model are kept too. From them ``methods.json``, ``methods.md`` and
``report.html`` are written.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from vlx.errors import VlxError
from vlx.eval.items.files import file_digest
from vlx.eval.items.item import checked, drawn
from vlx.eval.items.models import Models, types_of, weights_digest
from vlx.eval.items.opened import LeftOut, Opened, again, answers_of, read_items
from vlx.eval.page.methods_advice import markdown, plain
from vlx.eval.page.methods_page import write_methods_page
from vlx.eval.page.methods_table import Column, MethodsTable, column
from vlx.eval.page.told import plain_name, told_in_a_line
from vlx.eval.runs.costs import Cost, Read, cost_of
from vlx.eval.runs.evaluate import evaluate_prepared
from vlx.eval.runs.methods import told
from vlx.eval.runs.repeatable import repeatable
from vlx.eval.runs.request import VERSIONS, Request, asks, data_folder, load_models, prepare, version_of
from vlx.eval.runs.settings import fingerprint_of
from vlx.eval.runs.summary import Measured, from_json
from vlx.eval.tasks.occlusion import OCCLUSION, whole_target
from vlx.eval.tasks.task import Task
from vlx.images.files import write_whole
from vlx.methods.values import METHODS, Method, as_methods, rise, rise_with
from vlx.passes.targets import Target, word

WORDS = 12
"""Targets of the call whose costs are measured, at most."""
FEW_MASKS = 500
"""Of RISE, where it is not named: with its 4000 a map takes as many forwards."""
_TRIED = 40  # texts among which one of as many words is looked for


@dataclass(frozen=True, eq=False)
class _Example:
    """On what costs are measured."""

    told: str
    key: dict[str, str]
    read: Read
    targets: Sequence[Target]
    layer: str


def compared(tasks: Sequence[Task]) -> list[Task]:
    """The evaluations that methods are compared by: whose controls are scored as maps are.

    Deletion and insertion, which run the model for every step of every map, are left out.
    """
    return [
        one for one in tasks
        if one.comparable and not one.methods and one.name not in ("deletion", "insertion")
    ]  # fmt: skip


def usual_methods() -> list[Method]:
    """Every method, RISE with few masks.

    >>> [method.name for method in usual_methods()][:2]
    ['grad_cam', 'hires_cam']
    """
    return [rise_with(count=FEW_MASKS) if one == rise else one for one in METHODS]


def takes_many_runs(method: Method) -> bool:
    """Whether a method changes the image or its features again and again.

    >>> takes_many_runs(vlx.grad_cam), takes_many_runs(vlx.occlusion_with())
    (False, True)
    """
    return method.cam is None and method.rule is None


def evaluate_methods(
    requests: Sequence[Request], tasks: Sequence[Task], out: Path, *, slow: int, fast: bool = False
) -> Path:
    """Measure the methods of each request by every one of the tasks that its model and the data allow.

    Methods that take many runs are measured on ``slow`` images at most, or with ``fast`` not at all. What a
    model cannot do is told on the page, and the rest goes on. Returns the folder; raises VlxError where
    nothing was measured.
    """
    for request in requests:
        as_methods(list(request.methods))  # which names what is no method before anything runs
    tables: list[MethodsTable] = []
    missing: list[tuple[str, str]] = []
    for request in requests:
        with repeatable(request.threads):
            try:
                tables.append(_table(request, tasks, out, missing, slow=slow, fast=fast))
            except Exception as error:
                missing.append((request.model, told_in_a_line(error)))
    tables = [one for one in tables if one.columns]
    write_methods_page(out / "report.html", tables, missing)
    told = {"models": [plain(one) for one in tables], "missing": list(map(list, missing))}
    text = json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(out / "methods.json", f"{text}\n".encode("utf-8", "backslashreplace"))
    said = [*map(markdown, tables), *(f"- not measured: {name}: {reason}" for name, reason in missing)]
    write_whole(out / "methods.md", "\n".join([*said, ""]).encode("utf-8", "backslashreplace"))
    return out


def _table(
    request: Request,
    tasks: Sequence[Task],
    out: Path,
    missing: list[tuple[str, str]],
    *,
    slow: int,
    fast: bool,
) -> MethodsTable:
    models = load_models(request)
    methods = [one for one in as_methods(list(request.methods)) if not (fast and takes_many_runs(one))]
    if not methods:
        raise VlxError("no method is left: give one that does not take many runs, or leave --fast out")
    does = types_of(models.trained)
    mine = [task for task in tasks if set(does) & set(task.model_types)]
    if not mine:
        wanted = ", ".join(task.name for task in tasks)
        raise VlxError(f"{request.model} is a {does[0]}, which none of {wanted} is for")
    example = _example(request, models)
    kept = out / f"costs-{plain_name(request.model)}.json"
    costs, failed = _costs(request, models, methods, example, kept)
    groups = [
        [one for one in methods if one.name in costs and takes_many_runs(one) == many]
        for many in (False, True)
    ]
    columns: list[Column] = []
    for task in mine:
        measure = partial(_measured, request, models, task, out, missing, slow=slow)
        columns += _column(task, [_measurable(task, some) for some in groups], measure)
    names = [one.name for one in methods if one.name in costs]
    return MethodsTable(request.model, example.layer, example.told, names, costs, columns, failed)


def _measurable(task: Task, methods: Sequence[Method]) -> list[Method]:
    """The methods but for those that are the very truth of an evaluation: hiding windows, beside itself."""
    hiding = [one for one in methods if one.windows is not None and one.windows.what == "hide"]
    return [one for one in methods if task.name != OCCLUSION.name or one not in hiding]


def _column(
    task: Task, groups: Sequence[Sequence[Method]], measure: Callable[[Sequence[Method]], Measured | None]
) -> list[Column]:
    """An evaluation of all methods; none where nothing was measured."""
    found = [(measure(some), [one.name for one in some]) for some in groups if some]
    known = [(one, names) for one, names in found if one is not None]
    return [column(task, [one for one, _ in known], [names for _, names in known])] if known else []


def _measured(
    request: Request,
    models: Models,
    task: Task,
    out: Path,
    missing: list[tuple[str, str]],
    methods: Sequence[Method],
    *,
    slow: int,
) -> Measured | None:
    """One evaluation of some methods, in a folder of its own; None where it cannot be made."""
    many = takes_many_runs(methods[0])
    limit = request.options.limit
    bound = min(slow, limit or slow) if many else limit
    mine = replace(request, methods=tuple(methods), options=replace(request.options, limit=bound))
    name = f"{task.name}-{plain_name(request.model)}{'-slow' if many else ''}"
    try:
        folder = evaluate_prepared(task, mine, prepare(task, mine, models), out / name)
        return from_json((folder / "summary.json").read_text(encoding="utf-8"))[0]
    except Exception as error:  # whatever it is, the others are measured
        which = " (methods that take many runs)" if many else ""
        missing.append((f"{task.name} of {request.model}{which}", told_in_a_line(error)))
        return None


def _example(request: Request, models: Models) -> _Example:
    """An image of the data with a text of many words, 12 at most of which count, or its answer or class."""
    folder = data_folder(request.data, request.split)
    models = OCCLUSION.takes(models, questions=asks(folder))
    options = request.options
    items = drawn(checked(OCCLUSION.items(folder, models.type, options)), _TRIED, options.seed)
    longest = sorted(items, key=lambda item: -min(WORDS, len(item.text.split())))  # stable
    for item in longest[:_TRIED]:
        opened, _ = read_items(models.trained, [item], answers=answers_of(models, options))
        targets = _targets(request, opened[0]) if opened else []
        if opened and targets:
            said = f"“{item.text}”" if item.text else item.id
            return _Example(
                f"{said} on {item.image.name}",
                {"image": file_digest(item.image), "text": item.text, "targets": str(len(targets))},
                partial(again, models.trained, opened[0]),
                targets,
                opened[0].passed.layer,
            )
    raise VlxError(
        f"{request.model} reads no image and text of {request.data} of which costs can be measured"
    )


def _targets(request: Request, opened: Opened) -> list[Target]:
    reading = opened.reading(0)
    if reading.kind == "caption" and opened.said is None:
        return [word(at) for at in range(min(WORDS, len(reading.words)))]
    target = whole_target(request.options, opened, 0)
    return [] if isinstance(target, LeftOut) else [target]


def _costs(
    request: Request, models: Models, methods: Sequence[Method], example: _Example, path: Path
) -> tuple[dict[str, Cost], dict[str, str]]:
    """The costs of the methods, and why some have none; those of an earlier run where nothing changed."""
    settings: dict[str, Any] = {
        "model": request.model, "weights": weights_digest(models.trained), "layer": example.layer,
        "device": request.device, "precision": request.precision, "threads": torch.get_num_threads(),
        "versions": {name: version_of(name) for name in VERSIONS}, **example.key,
    }  # fmt: skip
    key = fingerprint_of(settings)
    kept = _kept(path, key)
    found: dict[str, Cost] = {}
    failed: dict[str, str] = {}
    for method in tqdm(methods, desc="costs", disable=not request.progress, leave=False):
        try:
            found[method.name] = kept.get(told(method)) or cost_of(example.read, example.targets, method)
        except Exception as error:
            failed[method.name] = told_in_a_line(error)
            continue
        kept[told(method)] = found[method.name]
        text = json.dumps({"key": key, "costs": {name: asdict(one) for name, one in kept.items()}}, indent=1)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, f"{text}\n".encode())
    return found, failed


def _kept(path: Path, key: str) -> dict[str, Cost]:
    """The costs in a file, by what the settings of a run tell of the method; none of other settings."""
    try:
        facts: Any = json.loads(path.read_text(encoding="utf-8"))
        return {name: Cost(**one) for name, one in facts["costs"].items()} if facts["key"] == key else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
