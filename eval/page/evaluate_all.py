"""All evaluations that some models and a data folder allow, and one page of them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vlx.eval.baselines import c_mwp
from vlx.eval.items.models import types_of
from vlx.eval.page.evaluate_variants import VARIED, measured_variants
from vlx.eval.page.examples import examples, extremes, read_rows
from vlx.eval.page.page import Section, section, write_page
from vlx.eval.page.told import plain_name, told_in_a_line
from vlx.eval.page.variants_page import variants_part
from vlx.eval.runs.evaluate import evaluate_prepared
from vlx.eval.runs.repeatable import repeatable
from vlx.eval.runs.request import Prepared, Request, load_models, prepare
from vlx.eval.tasks.task import Task
from vlx.methods.values import class_activation_map, grad_cam, gradient, guided_grad_cam

COMPARED = {
    "localisation": (grad_cam, class_activation_map, guided_grad_cam, gradient, c_mwp),
    "classes-pointing": (grad_cam, class_activation_map, c_mwp),
    "classes-reject": (grad_cam, c_mwp),
}
"""What is compared where no method is asked for, as far as a model allows it: what the paper compares."""


def evaluate_all(requests: Sequence[Request], tasks: Sequence[Task], out: Path, *, occluded: int) -> Path:
    """Run every evaluation each model is for, in a folder of its own, and write ``report.html``.

    Where no method is asked for, it is Grad-CAM, and of classifiers what the paper compares it with; they are
    ablated too, as by `evaluate_ablations`. ``occluded`` bounds the images of costly evaluations: occlusion,
    deletion and insertion take hundreds of forwards an item. A model that cannot be loaded and an evaluation
    that cannot be made are named on the page, with the reason, and the others go on. Returns the page's path;
    raises VlxError where nothing was measured.
    """
    sections: list[Section] = []
    missing: list[tuple[str, str]] = []
    for request in requests:
        with repeatable(request.threads):
            try:
                models = load_models(request)
            except Exception as error:
                missing.append((request.model, told_in_a_line(error)))
                continue
            for named in tasks:
                if not set(types_of(models.trained)) & set(named.model_types):
                    continue
                task = replace(named, usual=COMPARED.get(named.name, named.usual))
                mine = _bounded(request, occluded) if task.costly else request
                try:
                    ready = prepare(task, mine, models)
                    folder = evaluate_prepared(
                        task, mine, ready, out / f"{task.name}-{plain_name(request.model)}"
                    )
                    sections.append(_section(task, ready, folder))
                    told = f"{task.name} of {request.model}"
                    missing += [(f"{told}: {name}", why) for name, why in ready.left_out.items()]
                except Exception as error:  # whatever it is, the others' page is written
                    missing.append((f"{task.name} of {request.model}", told_in_a_line(error)))
    boxed = {part.settings["model"] for part in sections if part.task.name == "localisation"}
    classifying = [one for one in requests if one.model in boxed]
    ablated = [one for one in tasks if one.name in VARIED and one.model_types == ("classifier",)]
    tables, other = measured_variants(classifying, ablated, out / "ablations") if classifying else ([], [])
    return write_page(out / "report.html", sections, [*missing, *other], list(map(variants_part, tables)))


def _bounded(request: Request, images: int) -> Request:
    limit = request.options.limit
    fewer = images if limit is None else min(images, limit)
    return replace(request, options=replace(request.options, limit=fewer))


def _section(task: Task, ready: Prepared, folder: Path) -> Section:
    rows = read_rows(folder)
    method = ready.methods[0]
    scores = {row["item"]: row["score"] for row in rows if row["method"] == method.name}
    options = ready.settings.options
    best, worst = (
        examples(task, ready.models, ready.items, method, options, {name: scores[name] for name in names})
        for names in extremes(rows, method.name)
    )
    return section(task, folder, rows, best, worst)
