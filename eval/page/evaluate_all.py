"""All evaluations that some models and a data folder allow, and one page of them."""

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vlx.errors import VlxError
from vlx.eval.items.models import types_of
from vlx.eval.page.examples import examples, extremes, read_rows
from vlx.eval.page.page import Section, section, write_page
from vlx.eval.runs.evaluate import evaluate_prepared
from vlx.eval.runs.repeatable import repeatable
from vlx.eval.runs.request import Prepared, Request, load_models, prepare
from vlx.eval.tasks.task import Task


def evaluate_all(requests: Sequence[Request], tasks: Sequence[Task], out: Path, *, occluded: int) -> Path:
    """Run every evaluation each model is for, in a folder of its own, and write ``report.html``.

    ``occluded`` bounds the images of costly evaluations: occlusion, deletion and insertion take hundreds of
    forwards an item. A model that cannot be loaded and an evaluation that cannot be made are named on the
    page, with the reason, and the others go on. Returns the page's path; raises VlxError where nothing was
    measured.
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
            for task in tasks:
                if not set(types_of(models.trained)) & set(task.model_types):
                    continue
                mine = _bounded(request, occluded) if task.costly else request
                try:
                    ready = prepare(task, mine, models)
                    folder = evaluate_prepared(
                        task, mine, ready, out / f"{task.name}-{plain_name(request.model)}"
                    )
                    sections.append(_section(task, ready, folder))
                except Exception as error:  # whatever it is, the others' page is written
                    missing.append((f"{task.name} of {request.model}", told_in_a_line(error)))
    return write_page(out / "report.html", sections, missing)


def told_in_a_line(error: Exception) -> str:
    """An error as one line; the traceback of one that nobody foresaw goes to the log."""
    line = " ".join(str(error).split())
    if isinstance(error, VlxError) and line:
        return line
    logging.getLogger(__name__).info("an evaluation failed", exc_info=error)
    return f"{type(error).__name__}: {line}".rstrip(": ")


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


def plain_name(name: str) -> str:
    """A model's name as a part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")
