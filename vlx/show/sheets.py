"""Sheets: rows of pictures under the names of their columns, as papers print them."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from vlx.errors import VlxError

_SIDE = 208  # the longer side of a picture
_GAP, _EDGE = 10, 14
_INK, _QUIET, _PAPER = (26, 26, 26), (92, 92, 92), (255, 255, 255)
_SIZE, _SMALL = 15, 12
_LINE = 16


@dataclass(frozen=True, eq=False)
class Cell:
    """A picture of a sheet."""

    picture: Image.Image
    name: str = ""
    """Above it, in bold."""
    line: str = ""
    """Below its name, smaller; wrapped."""


@dataclass(frozen=True, eq=False)
class Line:
    """A row of a sheet."""

    cells: Sequence[Cell | None]
    """None leaves a place empty."""
    name: str = ""
    """Above the whole row."""


def sheet(rows: Sequence[Line], columns: Sequence[str] = (), note: str = "") -> Image.Image:
    """Rows of pictures, each as wide as the others, with their names; the columns' stand above the first row.

    Raises VlxError where there is nothing to draw.

    >>> sheet([Line([Cell(vlx.open_image(photo), "a photo"), None])], ["first", "second"]).size
    (454, 290)
    """
    wide = max((len(row.cells) for row in rows), default=0)
    wide = max(wide, len(columns))
    if not any(cell is not None for row in rows for cell in row.cells):
        raise VlxError("no pictures to put on a sheet")
    width = 2 * _EDGE + wide * _SIDE + (wide - 1) * _GAP
    heads = [_wrapped(name, _SIZE, bold=True) for name in columns]
    top = _EDGE + max(map(len, heads), default=0) * (_LINE + 2) + (6 if heads else 0)
    noted = textwrap.wrap(note, max(20, width // 7))
    heights = [_height(row, width) for row in rows]
    whole = Image.new("RGB", (width, top + sum(heights) + len(noted) * _LINE + _EDGE), _PAPER)
    draw = ImageDraw.Draw(whole)
    for at, told in enumerate(heads):
        _centred(draw, told, _left(at), _EDGE, _SIZE, bold=True)
    for row, height in zip(rows, heights, strict=True):
        _draw_row(whole, draw, row, top)
        top += height
    for number, told in enumerate(noted):
        draw.text((_EDGE, top + number * _LINE), told, fill=_QUIET, font=_font(_SMALL))
    return whole


def _draw_row(whole: Image.Image, draw: ImageDraw.ImageDraw, row: Line, top: int) -> None:
    for told in _title(row, whole.width):
        draw.text((_EDGE, top), told, fill=_INK, font=_font(_SIZE))
        top += _LINE + 4
    names = [[] if cell is None else _wrapped(cell.name, _SIZE, bold=True) for cell in row.cells]
    lines = [[] if cell is None else _wrapped(cell.line, _SMALL) for cell in row.cells]
    above = max((len(a) + len(b) for a, b in zip(names, lines, strict=True)), default=0) * _LINE
    for at, cell in enumerate(row.cells):
        if cell is None:
            continue
        begin = top + above - (len(names[at]) + len(lines[at])) * _LINE
        _centred(draw, names[at], _left(at), begin, _SIZE, bold=True)
        _centred(draw, lines[at], _left(at), begin + len(names[at]) * _LINE, _SMALL)
        small = _small(cell.picture)
        whole.paste(small, (_left(at) + (_SIDE - small.width) // 2, top + above + 4))


def _height(row: Line, width: int) -> int:
    cells = [cell for cell in row.cells if cell is not None]
    told = [len(_wrapped(one.name, _SIZE, bold=True)) + len(_wrapped(one.line, _SMALL)) for one in cells]
    tall = max((_small(one.picture).height for one in cells), default=0)
    return len(_title(row, width)) * (_LINE + 4) + max(told, default=0) * _LINE + tall + 4 + _GAP


def _title(row: Line, width: int) -> list[str]:
    return textwrap.wrap(row.name, max(20, width // 9))


def _left(column: int) -> int:
    return _EDGE + column * (_SIDE + _GAP)


def _small(picture: Image.Image) -> Image.Image:
    factor = _SIDE / max(picture.size)
    size = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _centred(
    draw: ImageDraw.ImageDraw, lines: Sequence[str], left: int, top: int, size: int, *, bold: bool = False
) -> None:
    font = _font(size, bold=bold)
    for number, told in enumerate(lines):
        at = left + (_SIDE - draw.textlength(told, font=font)) / 2
        draw.text((at, top + number * _LINE), told, fill=_INK if bold else _QUIET, font=font)


def _wrapped(text: str, size: int, *, bold: bool = False) -> list[str]:
    """A text in lines that are no wider than a picture; a word wider than that is broken."""
    font, lines = _font(size, bold=bold), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= _SIDE:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if font.getlength(lines[-1] + letter) > _SIDE:
                lines.append("")
            lines[-1] += letter
    return [line for line in lines if line]


@cache
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib."""
    from matplotlib.font_manager import FontProperties, findfont

    name = findfont(FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal"))
    return ImageFont.truetype(name, size)
