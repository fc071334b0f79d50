"""What a model cannot do is said before a run; what fails on one item leaves out that item alone."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import torch

from vlx.errors import NumericError, VlxError
from vlx.eval.items.faults import DAMAGED, REFUSED
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models, networks
from vlx.eval.items.options import Options
from vlx.eval.items.rows import SCORE, Row, left_out
from vlx.eval.tasks.task import Task
from vlx.methods.values import Method

_TRIED = 32
"""Items that a model may refuse, one after another, before it is said to take none."""
_FAILS = 4
"""Items that it may fail at likewise."""
_FAR = 1_000_000  # a stride of windows that leaves one


def rows_of(
    task: Task, models: Models, items: Sequence[Item], methods: Sequence[Method], options: Options
) -> list[Row]:
    """The rows of a batch as ``task.rows`` makes them, whatever single items do.

    Where a batch fails its halves are measured, down to the items at fault, which are left out as
    ``not_finite`` or ``failed`` with what was raised as the detail. A device that is out of memory or lost
    ends the run.
    """
    try:
        return task.rows(models, items, methods, options)
    except Exception as error:
        if _fatal(error):
            raise
        if len(items) > 1:
            half = len(items) // 2
            parts = items[:half], items[half:]
            return [row for part in parts for row in rows_of(task, models, part, methods, options)]
        reason = "not_finite" if isinstance(error, NumericError) else "failed"
        names, columns = [method.name for method in methods], task.columns_for(options)
        return left_out(items[0], names, columns, reason, _said(error))


def check_model(
    task: Task,
    name: str,
    models: Models,
    items: Sequence[Item],
    methods: Sequence[Method],
    options: Options,
) -> None:
    """Measure items until one has a map, and say in one line why none has.

    Raises VlxError, with what was raised as its cause, where the model cannot be explained so, and where it
    takes none of its first 32 items or has weights that are not finite. Windows that are hidden are cut down
    to one.
    """
    quick = [m if m.windows is None else replace(m, windows=replace(m.windows, stride=_FAR)) for m in methods]
    failed: list[Exception] = []
    refused: list[Row] = []
    spared = False  # whether the model read an item that asks nothing of it, which says little
    for item in islice(_sound(items), _TRIED):
        try:
            first = task.rows(models, [item], quick, replace(options, stride=_FAR))[0]
        except NumericError as error:
            _check_weights(name, models, error)
            return
        except Exception as error:
            if _fatal(error):
                raise
            failed.append(error)
            if len(failed) == _FAILS:
                break
            continue
        if first.target:
            return
        reason = first.outcomes[SCORE].left_out
        refused += [first] if reason in REFUSED else []
        spared = spared or (reason not in REFUSED and reason not in DAMAGED)
    if failed:
        raise VlxError(f"{task.name} cannot be measured with {name}: {_said(failed[0])}") from failed[0]
    if refused and not spared:
        why = refused[0].detail or f"{refused[0].outcomes[SCORE].left_out} in {refused[0].text!r}"
        raise VlxError(
            f"{name} takes none of the first {len(refused)} items of {task.name}, the first: {why}"
        )


def allowed_methods(
    task: Task,
    name: str,
    models: Models,
    items: Sequence[Item],
    methods: Sequence[Method],
    options: Options,
) -> tuple[list[Method], dict[str, str]]:
    """Those of some methods that a model can be explained by, and why not by the others, by their names.

    Raises VlxError, as `check_model`, where there is none.
    """
    kept: list[Method] = []
    refused: dict[str, str] = {}
    first: VlxError | None = None
    for method in methods:
        try:
            check_model(task, name, models, items, [method], options)
            kept.append(method)
        except VlxError as error:
            first = first or error
            refused[method.name] = _said(error.__cause__ if isinstance(error.__cause__, Exception) else error)
    if first is not None and not kept:
        raise first
    return kept, refused


def _sound(items: Sequence[Item]) -> Iterator[Item]:
    """Items whose data may be sound, those of other images first."""
    seen: set[str] = set()
    later: list[Item] = []
    for item in items:
        if not item.left_out:
            if item.cluster in seen:
                later.append(item)
            else:
                seen.add(item.cluster)
                yield item
    yield from later


def _check_weights(name: str, models: Models, error: NumericError) -> None:
    for network in networks(models.trained):
        for weight, values in network.named_parameters():
            if not torch.isfinite(values).all():
                kind = str(values.dtype).removeprefix("torch.")
                raise VlxError(
                    f"weights of {name} are not finite in {kind}, the first: {weight}: give it whole "
                    "weights, or another --precision"
                ) from error


def _fatal(error: Exception) -> bool:
    """Whether nothing more can be measured after this error, whatever the item."""
    lost = isinstance(error, RuntimeError) and "CUDA error" in str(error)
    return lost or isinstance(error, torch.OutOfMemoryError | MemoryError)


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, VlxError) and text else f"{type(error).__name__}: {text}".rstrip(": ")
