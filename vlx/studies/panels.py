"""Rows of pictures with a line or two above each, as the paper's figures are arranged."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vlx.errors import VlxError
from vlx.images.files import png_of
from vlx.show.panels import rendered

_INK, _QUIET = "#1a1a1a", "#5c5c5c"
_WIDE, _TEXT, _ROOM = 1.75, 0.56, 0.12  # inches: of a picture, above it, beside it


@dataclass(frozen=True, eq=False)
class Tile:
    """A picture with what stands above it."""

    picture: Image.Image
    name: str
    told: str = ""
    """In a second, quieter line."""


def panel_png(rows: Sequence[Sequence[Tile | None]], *, title: str = "", note: str = "") -> bytes:
    """Rows of pictures as a PNG; None leaves a place empty. Raises VlxError where there is nothing to draw.

    >>> from PIL import Image
    >>> grey = Image.new("RGB", (40, 30), "grey")
    >>> panel_png([[Tile(grey, "original"), Tile(grey, "attacked", "p 1.0000")]])[1:4]
    b'PNG'
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tiles = [tile for row in rows for tile in row if tile is not None]
    if not tiles:
        raise VlxError("no pictures to draw: give at least one")
    columns = max(map(len, rows))
    tall = [_WIDE * max((_shape(tile) for tile in row if tile is not None), default=0.0) for row in rows]
    lines = textwrap.wrap(title, max(30, columns * 22))
    notes = textwrap.wrap(note, max(34, columns * 29))
    head, foot = 0.2 * len(lines) + 0.06, 0.16 * len(notes) + 0.1
    size = columns * (_WIDE + _ROOM) + _ROOM, sum(tall) + len(rows) * _TEXT + head + foot
    drawing = Figure(figsize=size, dpi=120, facecolor="white")
    canvas = FigureCanvasAgg(drawing)
    for number, line in enumerate(lines):
        at = 1 - (0.06 + 0.2 * number) / size[1]
        drawing.text(0.5, at, line, ha="center", va="top", fontsize=11, color=_INK, parse_math=False)
    for number, line in enumerate(reversed(notes)):
        at = (0.06 + 0.16 * number) / size[1]
        drawing.text(0.5, at, line, ha="center", va="bottom", fontsize=8, color=_QUIET, parse_math=False)
    top = size[1] - head
    for row, height in zip(rows, tall, strict=True):
        bottom = top - _TEXT - height
        for column, tile in enumerate(row):
            if tile is None:
                continue
            left = _ROOM + column * (_WIDE + _ROOM)
            own = _WIDE * _shape(tile)
            at = (left / size[0], (bottom + height - own) / size[1], _WIDE / size[0], own / size[1])
            axes = drawing.add_axes(at)
            axes.imshow(np.asarray(tile.picture), interpolation="lanczos", aspect="auto")
            axes.set_axis_off()
            for line, lift, size_of, weight, colour in (
                (_short(tile.name), 14, 9.5, "bold", _INK),
                (_short(tile.told, 34), 3, 8.0, "normal", _QUIET),
            ):
                axes.annotate(
                    line, (0.5, 1), xytext=(0, lift), xycoords="axes fraction", textcoords="offset points",
                    ha="center", va="bottom", annotation_clip=False, parse_math=False, fontsize=size_of,
                    fontweight=weight, color=colour,
                )  # fmt: skip
        top = bottom
    return png_of(rendered(canvas))


def _shape(tile: Tile) -> float:
    """Height over width, kept within bounds for very long and very tall pictures."""
    return min(max(tile.picture.height / tile.picture.width, 0.35), 1.8)


def _short(text: str, most: int = 26) -> str:
    return text if len(text) <= most else text[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"
