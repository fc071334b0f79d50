"""Ablations of Grad-CAM, and every layer of a network, by the same evaluations on the same items.

A folder for each evaluation and model, and of layers for each layer, each of which goes on where it was
stopped. From them ``ablations.json`` or ``layers.json``, the same as Markdown, ``report.html``, its plots
(SVG) and pictures (PNG) are written.
"""

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from vlx.errors import Doubt, VlxError
from vlx.eval.items.models import Models, types_of, with_controls
from vlx.eval.items.opened import Opened, answers_of, read_items
from vlx.eval.page.paper import paper_value
from vlx.eval.page.told import plain_name, told_in_a_line
from vlx.eval.page.variants import Column, Variant, VariantsTable, column
from vlx.eval.page.variants_page import variants_part, write_variants_page
from vlx.eval.page.variants_pictures import Shown, chosen, drawn_layers, drawn_methods
from vlx.eval.page.variants_table import markdown, plain
from vlx.eval.runs.evaluate import evaluate_prepared
from vlx.eval.runs.isolated import allowed_methods
from vlx.eval.runs.repeatable import repeatable
from vlx.eval.runs.request import Request, data_folder, items_for, load_models, prepare
from vlx.eval.tasks.task import Task
from vlx.images.files import write_whole
from vlx.methods.values import Method, as_methods, grad_cam, grad_cam_with
from vlx.passes.stages import stages

ABLATIONS = (
    grad_cam,
    grad_cam_with(rectify=False),
    grad_cam_with(rectify=False, signed="stretched"),
    grad_cam_with(rectify=False, signed="magnitude"),
    grad_cam_with(absolute=True),
    grad_cam_with(pool="max"),
    grad_cam_with(rule="deconvolution"),
    grad_cam_with(rule="guided"),
)
"""Grad-CAM and the design choices of the paper's Table 3, in its order; three readings of no ReLU."""
VARIED = ("localisation", "classes-pointing", "pointing", "area", "attention")
"""The evaluations that variants are measured by unless others are named."""

_ABLATED = (
    "no_relu: Eq. 2 without its ReLU; the paper does not say what becomes of values below 0 then: they stay "
    "(a box, cut at a share of the maximum, does not see them), are stretched to 0 with the whole map, or "
    "count by their magnitude. absolute: the absolute value of each derivative, before the mean over places "
    "(first version of the paper, C.3.2). max_pool: the largest derivative in the place of their mean. "
    "deconvolution, guided: the rule at every ReLU between the score and the layer, not at the layer's own. "
    "The paper: top-1 error on ILSVRC-15 val, VGG-16; one crop or ten: its two versions say both."
)
_LAYERED = (
    "Every layer on which all that follows rests, from the image up: the map after each convolution with its "
    "ReLU (VGG), after each block (ResNet). A dashed line in the plot is where the grid gets coarser."
)


@dataclass(frozen=True, eq=False)
class _Measuring:
    """One model, the evaluations that are for it, and what could not be measured so far."""

    request: Request
    models: Models
    tasks: Sequence[Task]
    out: Path
    missing: list[tuple[str, str]]

    def folder(self, task: Task, models: Models, methods: Sequence[Method], end: str = "") -> Path | None:
        """One evaluation in a folder of its own; None where it cannot be made."""
        name = f"{task.name}-{plain_name(self.request.model)}{end and f'-{plain_name(end)}'}"
        request = replace(self.request, methods=tuple(methods))
        if end:
            request = replace(request, layer=models.trained.layer)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Doubt)  # variants that mean little are what is asked for
                return evaluate_prepared(task, request, prepare(task, request, models), self.out / name)
        except Exception as error:  # whatever it is, the others are measured
            self.missing.append((f"{task.name} of {name}", told_in_a_line(error)))
            return None

    def example(self) -> list[Shown]:
        """Items that are drawn: of the classes of one image, or one item."""
        task = next((one for one in self.tasks if one.wrong and one.name != "localisation"), self.tasks[0])
        models = task.takes(self.models)
        items = items_for(task, models, self.request, data_folder(self.request.data, self.request.split))
        return chosen(task, models, items, self.request.options)


def evaluate_ablations(
    requests: Sequence[Request],
    tasks: Sequence[Task],
    out: Path,
    *,
    methods: Sequence[Method | str] = ABLATIONS,
) -> Path:
    """Measure design choices of Grad-CAM (Table 3) by each evaluation a model is for; returns the folder.

    Each is compared with the first of ``methods``. Those that a model does not allow are named on the page.
    Raises VlxError where nothing was measured.
    """
    made = as_methods(list(methods))
    return _evaluated(requests, tasks, out, "ablations", partial(_ablations, methods=made))


def evaluate_layers(
    requests: Sequence[Request], tasks: Sequence[Task], out: Path, *, layers: Sequence[str | int] = ()
) -> Path:
    """Measure the maps at every layer of a model (Fig. 13, appendix G), or at these; returns the folder.

    Each is compared with the same method at the last. Raises VlxError where nothing was measured.
    """
    return _evaluated(requests, tasks, out, "layers", partial(_layers, layers=layers))


def varied(tasks: Sequence[Task], names: Sequence[str]) -> list[Task]:
    """The evaluations of these names, or those that variants are usually measured by."""
    return [one for one in tasks if one.name in (names or VARIED)]


def _evaluated(
    requests: Sequence[Request],
    tasks: Sequence[Task],
    out: Path,
    name: str,
    table_of: Callable[[_Measuring], VariantsTable],
) -> Path:
    tables, missing = measured_variants(requests, tasks, out, table_of)
    write_variants_page(out / "report.html", tables, missing)
    text = json.dumps({"models": list(map(plain, tables)), "missing": list(map(list, missing))}, indent=1)
    write_whole(out / f"{name}.json", f"{text}\n".encode())
    said = [*map(markdown, tables), *(f"- not measured: {what}: {why}\n" for what, why in missing)]
    write_whole(out / f"{name}.md", "\n".join(said).encode("utf-8", "backslashreplace"))
    for table in tables:
        stem = f"{name}-{plain_name(table.model)}"
        for one in variants_part(table).evaluations:
            write_whole(out / f"{stem}-{one.column.task.name}.svg", one.plot.encode())
        for number, (_, picture) in enumerate(table.pictures, 1):
            write_whole(out / f"{stem}-{number}.png", picture)
    return out


def measured_variants(
    requests: Sequence[Request],
    tasks: Sequence[Task],
    out: Path,
    table_of: "Callable[[_Measuring], VariantsTable] | None" = None,
) -> tuple[list[VariantsTable], list[tuple[str, str]]]:
    """The tables of some models, by default of the ablations, and what could not be measured."""
    tables: list[VariantsTable] = []
    missing: list[tuple[str, str]] = []
    for request in requests:
        with repeatable(request.threads):
            try:
                models = load_models(request)
                does = types_of(models.trained)
                mine = [task for task in tasks if set(does) & set(task.model_types)]
                if not mine:
                    wanted = ", ".join(task.name for task in tasks)
                    raise VlxError(f"{request.model} is a {does[0]}, which none of {wanted} is for")
                found = (table_of or _ablations)(_Measuring(request, models, mine, out, missing))
            except Exception as error:
                missing.append((request.model, told_in_a_line(error)))
                continue
            tables += [found] if found.columns else []
    return tables, missing


def _ablations(measuring: _Measuring, methods: Sequence[Method] = ABLATIONS) -> VariantsTable:
    request, kept, refused = measuring.request, list(methods), dict[str, str]()
    variants = [Variant(one.name, one.name, methods[0].name) for one in methods]
    columns: list[Column] = []
    for task in measuring.tasks:
        try:
            kept, refused = _allowed(measuring, task, kept, refused)
        except VlxError as error:
            measuring.missing.append((f"{task.name} of {request.model}", told_in_a_line(error)))
            continue
        folder = measuring.folder(task, measuring.models, kept)
        if folder is not None:
            paper = _of_paper(task, [one.name for one in kept])
            columns.append(column(task, {one.name: folder for one in kept}, variants, paper))
    pictures = drawn_methods(measuring.example(), kept) if columns else []
    return VariantsTable(
        request.model, "Ablations of Grad-CAM", _ABLATED, variants, (), columns, refused, pictures
    )  # fmt: skip


def _allowed(
    measuring: _Measuring, task: Task, methods: Sequence[Method], refused: dict[str, str]
) -> tuple[list[Method], dict[str, str]]:
    request = measuring.request
    models = task.takes(measuring.models)
    items = items_for(task, models, request, data_folder(request.data, request.split))
    kept, others = allowed_methods(
        task, request.model, models, items, methods, task.options_for(request.options)
    )
    return kept, refused | others


def _of_paper(task: Task, names: Sequence[str]) -> dict[str, float]:
    if task.name != "localisation":
        return {}
    told = {name: paper_value("ablations", "classifier", name) for name in names}
    return {name: one.value for name, one in told.items() if one is not None}


def _layers(measuring: _Measuring, layers: Sequence[str | int] = ()) -> VariantsTable:
    request, trained = measuring.request, measuring.models.trained
    if not callable(getattr(trained, "at", None)):
        raise VlxError(f"{request.model} is explained at one layer alone: its adapter has no at(layer)")
    shown = measuring.example()
    if not shown:
        raise VlxError(f"{request.model} reads nothing of {request.data} that it has a target of")
    methods = as_methods(list(request.methods))
    names = list(layers) or list(stages(shown[0].opened.passed))
    variants: list[Variant] = []
    folders: dict[str, dict[str, Path]] = {task.name: {} for task in measuring.tasks}
    refused: dict[str, str] = {}
    reached: list[str | int] = []
    for name in reversed(names):  # the last is what others are compared with
        try:
            models = with_controls(trained.at(name), request.options.seed)
            grid = _grid(models.trained, shown[0].opened, measuring)
        except VlxError as error:
            refused[str(name)] = told_in_a_line(error)
            continue
        reached.insert(0, name)
        for task in measuring.tasks:
            folder = measuring.folder(task, models, methods, str(name))
            if folder is not None:
                folders[task.name] |= {_called(name, one, methods): folder for one in methods}
        last = reached[-1]
        some = [_variant(name, one, methods, last, grid) for one in methods]
        variants = [*some, *variants]
    columns = [
        column(task, folders[task.name], variants, {}) for task in measuring.tasks if folders[task.name]
    ]
    pictures = drawn_layers(shown, measuring.models, reached, methods[0])
    return VariantsTable(
        request.model, "Every layer", _LAYERED, variants, ("grid",), columns, refused, pictures
    )  # fmt: skip


def _variant(name: Any, method: Method, methods: Sequence[Method], last: Any, grid: str) -> Variant:
    reference = _called(last, method, methods)
    return Variant(_called(name, method, methods), method.name, reference, (grid,))


def _called(layer: str | int, method: Method, methods: Sequence[Method]) -> str:
    return f"{layer}, {method.name}" if len(methods) > 1 else str(layer)


def _grid(model: Any, opened: Opened, measuring: _Measuring) -> str:
    """Rows and columns of a layer."""
    answers = answers_of(measuring.models, measuring.request.options)
    read, unread = read_items(model, opened.items[:1], answers=answers)
    if not read:
        raise VlxError(unread[0][1].detail or unread[0][1].reason)
    passed = read[0].passed
    rows, cols = passed.grid(passed.features.detach()).shape[-2:]
    return f"{rows} × {cols}"
