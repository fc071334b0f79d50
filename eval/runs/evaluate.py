"""One evaluation from what a person asks for to its results, on the engine that is asked for."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from vlx.errors import VlxError
from vlx.eval.runs.batches import local_work, run_batches
from vlx.eval.runs.isolated import check_model
from vlx.eval.runs.ray_engine import ray_work
from vlx.eval.runs.repeatable import repeatable
from vlx.eval.runs.request import Prepared, Request, controlled, prepare
from vlx.eval.tasks.task import Task


def evaluate(task: Task, request: Request, out: Path, model: Any = None) -> Path:
    """Run one evaluation as asked, or the rest of it; returns the folder of the results.

    ``model`` is one of your own, which ``request.model`` then only names; it runs on the local engine.
    """
    if model is not None and request.engine != "local":
        raise VlxError("a model of your own runs on the local engine: other processes cannot load it")
    with repeatable(request.threads):
        loaded = None if model is None else controlled(model, request)
        return evaluate_prepared(task, request, prepare(task, request, loaded), out)


def evaluate_prepared(task: Task, request: Request, ready: Prepared, out: Path) -> Path:
    """Measure what is missing in ``out`` on the engine that is asked for."""
    if request.engine == "ray":
        asked = replace(request, methods=tuple(ready.methods))
        work = ray_work(task, asked, ready.items, ready.settings)
    elif request.workers != 1:
        raise VlxError(f"--workers {request.workers} is for --engine ray: run several shards instead")
    else:
        work = local_work(task, ready.models, ready.items, ready.methods, ready.settings)
    check = partial(
        check_model, task, request.model, ready.models, ready.items, ready.methods, request.options
    )
    try:
        return run_batches(
            task, ready.settings, work, out, items=ready.items, check=check, shard=request.shard,
            progress=request.progress,
        )  # fmt: skip
    except torch.OutOfMemoryError:
        raise VlxError(
            f"the device is out of memory with {request.batch} items in a batch: give a smaller --batch"
        ) from None
