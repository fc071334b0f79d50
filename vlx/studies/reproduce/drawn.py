"""Pictures of a reproduction: targets of some images by several methods, as cells of a sheet."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from vlx.errors import Doubt, VlxError
from vlx.eval.items.item import Item
from vlx.eval.items.opened import LeftOut, Opened, answers_of, read_items
from vlx.eval.runs.request import items_for
from vlx.eval.tasks.task import Task
from vlx.explain import explain
from vlx.explanation import Explanation
from vlx.images.files import png_of
from vlx.methods.values import Method
from vlx.passes.targets import Target
from vlx.show.colours import scales, target_picture
from vlx.show.figures import describe
from vlx.show.sheets import Cell, Line, sheet
from vlx.studies.found import Picture
from vlx.studies.reproduce.asked import Asked, Needs, Role

_TRIED = 200  # items that are looked at for those to draw


@dataclass(frozen=True, eq=False)
class Shown:
    """An item with its target, read by the model."""

    item: Item
    opened: Opened
    target: Target

    @property
    def name(self) -> str:
        """What is explained, as the model calls it."""
        return self.target.resolve(self.opened.reading(0)).name

    @property
    def image(self) -> Image.Image:
        """The photo."""
        return self.opened.images[0]


def shown(
    asked: Asked,
    task: Task,
    role: Role,
    needs: Needs,
    count: int,
    *,
    each: int = 1,
    differ: Callable[[Item], str] = lambda item: item.id,
) -> list[list[Shown]]:
    """The first ``count`` images that have ``each`` targets, in the order in which they are drawn.

    ``differ`` gives what must not be the same for two targets of an image.

    Raises VlxError where there is none.
    """
    request = asked.request(role, needs, limit=None)
    models = task.takes(asked.loaded(role))
    items = items_for(task, models, request, asked.looked(needs))
    found: dict[str, list[Shown]] = {}
    whole: list[list[Shown]] = []
    for one in _read(task, models, items[:_TRIED], request.options):
        mine = found.setdefault(one.item.cluster, [])
        if len(mine) == each or differ(one.item) in map(differ, [other.item for other in mine]):
            continue
        mine.append(one)
        if len(mine) == each:
            whole.append(mine)
        if len(whole) == count:
            break
    if not whole:
        raise VlxError(f"{request.model} reads no image of {request.data} with {each} targets")
    return whole


def _read(task: Task, models: Any, items: Sequence[Item], options: Any) -> Iterator[Shown]:
    for item in items:
        if item.left_out:
            continue
        opened, _ = read_items(models.trained, [item], answers=answers_of(models, options))
        target = task.target(options, opened[0], 0) if opened else LeftOut("unread")
        if opened and not isinstance(target, LeftOut):
            yield Shown(item, opened[0], target)


def explained(
    one: Shown, methods: Sequence[Method], target: Target | None = None
) -> list[Explanation | None]:
    """The target, or another, by every method; None where the model does not allow one."""
    found: list[Explanation | None] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Doubt)
        for method in methods:
            try:
                found += explain(one.opened.passed, [[target or one.target]], method)
            except VlxError:
                found.append(None)
    return found


def cells(found: Sequence[Explanation | None], names: Sequence[str] = ()) -> list[Cell | None]:
    """Each map over its photo, on a scale of its own; ``names`` stand above them."""
    drawn: list[Cell | None] = []
    for at, one in enumerate(found):
        if one is None:
            drawn.append(None)
            continue
        told = "" if one.evidence[0] or one.at_pixels else "no positive evidence"
        picture = target_picture(one, 0, scales(one)[0])
        drawn.append(Cell(picture, names[at] if names else "", told))
    return drawn


def photo_cell(one: Shown, name: str = "", line: str = "") -> Cell:
    """The photo of an item."""
    return Cell(one.image, name, line)


def row(
    one: Shown, methods: Sequence[Method], *, name: str = "", line: str = "", target: Target | None = None
) -> Line:
    """A photo and the maps of its target by the methods."""
    found = explained(one, methods, target)
    first = next((each for each in found if each is not None), None)
    said = "" if first is None else describe(first.targets[0])
    told = first.targets[0].name if first is not None else one.item.text
    return Line([photo_cell(one, told, line or said), *cells(found)], name)


def picture(title: str, rows: Sequence[Line], columns: Sequence[str] = (), note: str = "") -> Picture:
    """A sheet as a figure of findings."""
    return Picture(title, png_of(sheet(rows, columns, note)))
