"""Batches on Ray Data: actors hold a model each, a killed one is replaced and its batch done again.

Ray must find the data under the same path and the package on every node; results are written by the
process that asks, so only it needs the folder of the results.
"""

import logging
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

from vlx.errors import VlxError
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models
from vlx.eval.items.rows import Row, as_text, from_text
from vlx.eval.runs.batches import Work, batch_items
from vlx.eval.runs.isolated import rows_of
from vlx.eval.runs.methods import chosen_methods
from vlx.eval.runs.repeatable import repeatable
from vlx.eval.runs.request import Request, load_models
from vlx.eval.runs.settings import Settings
from vlx.eval.tasks.all import TASKS
from vlx.eval.tasks.task import Task

Load = Callable[[Request], Models]


class Worker:
    """One actor: loads the model once, then measures batches as they come."""

    def __init__(self, task: str, request: Request, settings: Settings, load: Load) -> None:
        self._task = next(one for one in TASKS if one.name == task)
        self._settings = settings
        self._methods = chosen_methods(self._task, request.methods)
        with repeatable(settings.threads):
            self._models = replace(load(request), taken_as=settings.model_type)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """The rows of each batch of items, as text."""
        made: list[str] = []
        for packed in batch["items"]:
            with repeatable(self._settings.threads):
                items: Sequence[Item] = pickle.loads(packed)
                options = self._settings.options
                made.append(as_text(rows_of(self._task, self._models, items, self._methods, options)))
        return {"number": list(batch["number"]), "rows": made}


def ray_work(
    task: Task,
    request: Request,
    items: Sequence[Item],
    settings: Settings,
    load: Load = load_models,
) -> Work:
    """Measure batches on the Ray cluster of this environment, or on one started here for the purpose.

    ``load`` is called in each actor. Raises VlxError where Ray is not installed or a worker fails.
    """
    ray = need_ray()
    gpu = request.device.startswith("cuda")
    theirs = replace(request, device="cuda" if gpu else request.device)  # an actor sees only its own GPU

    def work(numbers: Sequence[int]) -> Iterator[tuple[int, list[Row]]]:
        here = _begin(ray)
        try:
            packed = [
                {"number": number, "items": pickle.dumps(list(batch_items(items, settings.batch, number)))}
                for number in numbers
            ]
            done = ray.data.from_items(packed, override_num_blocks=len(packed)).map_batches(
                Worker,
                fn_constructor_args=(task.name, theirs, settings, load),
                batch_size=1,
                compute=ray.data.ActorPoolStrategy(size=min(request.workers, len(packed))),
                num_gpus=1 if gpu else 0,
                num_cpus=settings.threads,
            )  # Ray Data restarts actors and repeats their tasks without bound unless told otherwise
            for row in done.iter_rows():
                yield int(row["number"]), from_text(row["rows"])
        except ray.exceptions.RayError as error:
            raise VlxError(f"a worker of Ray failed: {_reason(error)}") from None
        finally:
            if here:
                ray.shutdown()

    return work


def need_ray() -> Any:
    """The module ray with ray.data. Raises VlxError in one line where it is not installed."""
    try:
        import_module("ray.data")
        return import_module("ray")
    except ImportError:
        raise VlxError("--engine ray needs Ray: pip install 'vlx[ray]'") from None


def _begin(ray: Any) -> bool:
    """Join or start Ray unless that was done before; whether it was done here."""
    ray.data.DataContext.get_current().enable_progress_bars = False
    if ray.is_initialized():
        return False
    ray.init(log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return True


def _reason(error: BaseException) -> str:
    """The last line of the worker's own traceback, which Ray quotes in full."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].strip().removeprefix("vlx.errors.VlxError: ")
