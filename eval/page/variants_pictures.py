"""Pictures of one target by all variants of a map, as in the paper's Fig. 13 to 16 and 22."""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from vlx.errors import Doubt, VlxError
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models
from vlx.eval.items.opened import LeftOut, Opened, answers_of, read_items
from vlx.eval.items.options import Options
from vlx.eval.tasks.task import Task
from vlx.explain import explain
from vlx.explanation import Explanation
from vlx.methods.values import Method
from vlx.passes.targets import Target
from vlx.show.figures import layer_figure

_TRIED = 40  # items among which one with several targets is looked for
_MOST = 2  # targets of one image that are drawn


@dataclass(frozen=True, eq=False)
class Shown:
    """One item with its target, read by the model."""

    opened: Opened
    target: Target


def chosen(task: Task, models: Models, items: Sequence[Item], options: Options) -> list[Shown]:
    """The first image with two targets, both of them; else the first item with one, if any has."""
    found: dict[str, list[Shown]] = {}
    for item in items[:_TRIED]:
        opened, _ = read_items(models.trained, [item], answers=answers_of(models, options))
        target = task.target(options, opened[0], 0) if opened else LeftOut("unread")
        if opened and not isinstance(target, LeftOut):
            mine = found.setdefault(item.cluster, [])
            mine.append(Shown(opened[0], target))
            if len(mine) == _MOST:
                return mine
    return next(iter(found.values()), [])[:1]


def drawn_methods(shown: Sequence[Shown], methods: Sequence[Method]) -> list[tuple[str, bytes]]:
    """Each target by all methods at the layer of the model, with its name."""
    pictures: list[tuple[str, bytes]] = []
    for one in shown:
        made = explain(one.opened.passed, [[one.target]], list(methods))
        pictures.append(_picture(made[0], [_short(method.name) for method in methods]))
    return pictures


def drawn_layers(
    shown: Sequence[Shown], models: Models, layers: Sequence[str | int], method: Method
) -> list[tuple[str, bytes]]:
    """Each target at all layers by one method, with its name."""
    pictures: list[tuple[str, bytes]] = []
    for one in shown:
        made: list[Explanation] = []
        for layer in layers:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", Doubt)
                    opened, _ = read_items(models.trained.at(layer), one.opened.items[:1])
                    made += explain(opened[0].passed, [[one.target]], method) if opened else []
            except VlxError:
                continue  # its row says why
        if made:
            pictures.append(_picture(made, [one.provenance.layer for one in made]))
    return pictures


def _short(method: str) -> str:
    return method if method == "grad_cam" else method.removeprefix("grad_cam_").replace("_", " ")


def _picture(made: Sequence[Explanation], names: Sequence[str]) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    layer_figure(made, names=names).save(buffer, "PNG")
    return made[0].targets[0].name, buffer.getvalue()
