"""The items with the best and the worst scores, as small pictures of their maps with the truth drawn in."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from vlx.errors import VlxError
from vlx.eval.data.hat import read_human_map
from vlx.eval.items.crops import View, views_of
from vlx.eval.items.item import Item, seed_of
from vlx.eval.items.models import Models
from vlx.eval.items.opened import answers_of, read_items
from vlx.eval.items.options import Options
from vlx.eval.items.several import seen_map
from vlx.eval.items.truth import (
    Boxes,
    HumanFiles,
    Region,
    Segments,
    box_on_file,
    corners_on_file,
    mask_of,
)
from vlx.eval.measures.maps import Map
from vlx.eval.tasks.task import Task
from vlx.methods.values import Method
from vlx.show.cards import base64_text
from vlx.show.colours import overlay, shared_scale

LONGEST = 224
"""Longer side of a picture, in pixels."""
EACH = 4
"""How many of the best and of the worst are shown."""


@dataclass(frozen=True)
class Example:
    """One item as a page shows it."""

    item: str
    text: str
    target: str
    score: float
    picture: str
    """JPEG, base64."""
    size: tuple[int, int]
    """Width and height."""


def extremes(rows: Sequence[Mapping[str, Any]], method: str) -> tuple[list[str], list[str]]:
    """The ids of the items with the highest and the lowest finite scores of a method.

    One item of an image at most on each side, no item on both, and none on a side whose scores are
    those of the other end, as with hits and misses. Equal scores are taken in a fixed random order.
    """
    known = [
        row
        for row in rows
        if row["method"] == method and row["score"] is not None and np.isfinite(row["score"])
    ]
    scores = [row["score"] for row in known]
    if len(set(scores)) < 2:
        return [], []
    mixed = sorted(known, key=lambda row: seed_of(0, row["item"]))
    high = [row for row in mixed if row["score"] > min(scores)]
    best = _of_several_images(sorted(high, key=lambda row: -row["score"]))
    low = [row for row in mixed if row["score"] < max(scores) and row["item"] not in best]
    return best, _of_several_images(sorted(low, key=lambda row: row["score"]))


def examples(
    task: Task,
    models: Models,
    items: Sequence[Item],
    method: Method,
    options: Options,
    wanted: Mapping[str, float],
) -> list[Example]:
    """The wanted items with their scores, as pictures, in the order they are wanted in."""
    by_id = {item.id: item for item in items}
    views = views_of(models.trained, options.crop) if task.crops else [View(models.trained)]
    views = views[:1] if task.costly else views  # the one whose parts are hidden
    found: list[Example] = []
    for name, score in wanted.items():
        if name not in by_id:  # a word of what the model wrote
            continue
        opened, _ = read_items(views[0].model, [by_id[name]], answers=answers_of(models, options))
        for part in opened:
            made = seen_map(part, views, partial(task.target, options), method)
            if made is not None:
                item, picture = part.items[0], _picture(part.images[0], made.plane, part.items[0])
                found.append(Example(name, item.text, made.target, score, _jpeg(picture), picture.size))
    return found


def _of_several_images(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    seen: set[str] = set()
    chosen: list[str] = []
    for row in rows:
        if row["image"] not in seen and len(chosen) < EACH:
            seen.add(row["image"])
            chosen.append(row["item"])
    return chosen


def _picture(photo: Image.Image, plane: Map, item: Item) -> Image.Image:
    """The map over the photo, the truth in outline; human attention stands beside it."""
    shown = _small(overlay(photo, plane, shared_scale([plane])))
    factor = shown.width / photo.width
    try:
        if isinstance(item.truth, Region):
            box = box_on_file(item.truth, (photo.height, photo.width))
            box = box.scaled(factor, shown.height / photo.height)
            corners = (box.x, box.y, box.x + box.width - 1, box.y + box.height - 1)
            ImageDraw.Draw(shown).rectangle(corners, outline="white", width=2)
        if isinstance(item.truth, Boxes):
            for one in corners_on_file(item.truth, (photo.height, photo.width)):
                ends = (one.left, one.top, one.right, one.bottom)
                ImageDraw.Draw(shown).rectangle([end * factor for end in ends], outline="white", width=2)
        if isinstance(item.truth, Segments):
            _outline(shown, mask_of(item.truth))
        if isinstance(item.truth, HumanFiles):
            human = np.mean([read_human_map(path) for path in item.truth.paths], axis=0)
            return _beside(shown, _small(overlay(photo, human, shared_scale([human]))))
    except (VlxError, ValueError):
        pass  # a truth that cannot be drawn; its row says what is wrong with it
    return shown


def _outline(shown: Image.Image, mask: np.ndarray) -> None:
    small = np.asarray(Image.fromarray(mask).resize(shown.size, Image.Resampling.NEAREST), dtype=bool)
    edge = small & ~ndimage.binary_erosion(small, iterations=2, border_value=1)
    shown.paste("white", mask=Image.fromarray(edge))


def _beside(left: Image.Image, right: Image.Image) -> Image.Image:
    both = Image.new("RGB", (left.width + right.width + 4, left.height), "white")
    both.paste(left, (0, 0))
    both.paste(right, (left.width + 4, 0))
    return both


def _small(picture: Image.Image) -> Image.Image:
    factor = min(1.0, LONGEST / max(picture.size))
    size = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _jpeg(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    return base64_text(buffer.getvalue())


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of a finished evaluation."""
    from pyarrow import parquet

    return parquet.read_table(folder / "results.parquet").to_pylist()
