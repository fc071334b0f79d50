"""Sheets of examples: images, true classes and what was found, side by side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from vlx.eval.measures.seeds import IGNORED, NONE, Labels, on_pixels
from vlx.images.files import open_image, png_of, write_whole

_SIDE, _GAP, _HEAD = 160, 6, 18


def coloured(labels: Labels) -> UInt8[np.ndarray, "height width 3"]:
    """Labels in the colours of PASCAL VOC's palette; cells of no class are grey, pixels not counted white.

    >>> coloured(np.array([[0, 1, 2, -1, 255]]))[0].tolist()
    [[0, 0, 0], [128, 0, 0], [0, 128, 0], [96, 96, 96], [255, 255, 255]]
    """
    values = np.clip(labels, 0, IGNORED)
    found = np.zeros((*labels.shape, 3), dtype=np.uint8)
    for colour in range(3):
        for at in range(3):
            found[..., colour] |= ((values >> (3 * at + colour) & 1) << (7 - at)).astype(np.uint8)
    found[labels == NONE] = 96
    found[labels == IGNORED] = 255
    return found


def write_sheet(path: Path, names: Sequence[str], rows: Sequence[tuple[Path, Sequence[Labels]]]) -> Path:
    """Write a picture with a row for each image: itself, then labels of whatever grid, under their names."""
    columns = len(names) + 1
    size = (columns * (_SIDE + _GAP) + _GAP, len(rows) * (_SIDE + _GAP) + _GAP + _HEAD)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for at, name in enumerate(("image", *names)):
        draw.text((_GAP + at * (_SIDE + _GAP), 4), name, fill="black")
    for row, (photo, drawn) in enumerate(rows):
        top = _HEAD + _GAP + row * (_SIDE + _GAP)
        sheet.paste(open_image(photo).resize((_SIDE, _SIDE)), (_GAP, top))
        for at, labels in enumerate(drawn, 1):
            cells = on_pixels(labels, (_SIDE, _SIDE))
            sheet.paste(Image.fromarray(coloured(cells)), (_GAP + at * (_SIDE + _GAP), top))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, png_of(sheet))
    return path
