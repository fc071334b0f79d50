"""Whether maps lie on the image where the layer looks: a marked patch must move its own cell."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vlx.check.outcome import Check, judged, spared
from vlx.images.frame import Frame
from vlx.passes.fields.measured import is_out_of_order
from vlx.passes.forward import Pass

Look = Callable[[Image.Image], Pass]
"""Reads a model on an image, whatever text goes with it."""

_AT = (0.2, 0.5, 0.8)  # of the grid's rows and columns
_NEAR = 0.95  # cells: nearer than the next one
_ASIDE = 0.2  # of the grid: kernels that were not trained look aside, all of them alike
_ENOUGH = 0.5  # of the patches: attention carries some far; turned grids keep a third, others fewer
_GREY, _MARK = (110, 120, 130), (250, 20, 40)


def followed(passed: Pass) -> Check:
    """What the run itself told of the places: costs nothing."""
    if not passed.placed or passed.placed.startswith("not measured"):
        return spared("places", passed.placed or "not measured")
    return judged("places", not is_out_of_order(passed.placed), passed.placed)


def check_patches(look: Look, size: tuple[int, int]) -> Check:
    """Mark one cell after the other of a grey image of this height and width; see which cell changes."""
    name, plain = "patches", Image.new("RGB", (size[1], size[0]), _GREY)
    before = look(plain)
    features = before.grid(before.features.detach())[0].double()
    rows, cols = features.shape[-2:]
    if rows * cols < 4:
        return spared(name, f"the layer has {rows} x {cols} places")
    marked = [_marked(plain, before.frames[0], cell, (rows, cols)) for cell in _cells(rows, cols)]
    marked = [one for one in marked if one is not None]
    if len(marked) < 2:
        return spared(name, "the model sees too little of the image")
    changes: list[Tensor] = []
    for picture, _ in marked:
        run = look(picture)
        found = run.grid(run.features.detach())[0].double()
        if found.shape != features.shape:
            return spared(name, "the grid's size depends on what the image shows")
        changes.append((found - features).abs().sum(-3).cpu())
    if not all(float(change.amax()) > 0 for change in changes):
        return judged(name, False, "a marked patch changes no place of the layer")
    found = np.array([_middle(change) for change in _distinct(changes)])
    off = found - np.array([at for _, at in marked])
    common = np.median(off, 0)
    near = int((np.abs(off - common).max(1) <= _NEAR).sum())
    told = (
        f"{near} of {len(off)} marked patches move their own cell of {rows} x {cols} most, all of them "
        f"{common[0]:.1f} rows and {common[1]:.1f} columns off"
    )
    lies = bool((np.abs(common) <= _ASIDE * np.array((rows, cols))).all())
    return judged(name, lies and near >= _ENOUGH * len(off), told)


def _cells(rows: int, cols: int) -> list[tuple[int, int]]:
    return list(dict.fromkeys((int(row * rows), int(col * cols)) for row in _AT for col in _AT))


def _marked(
    plain: Image.Image, frame: Frame, cell: tuple[int, int], shape: tuple[int, int]
) -> tuple[Image.Image, tuple[float, float]] | None:
    """The image with a patch where a cell is said to look, and the patch's place in cells.

    None where that is beyond the image, as in padding.
    """
    lines = _lines(frame, shape)
    top, left = frame.to_image(*(lines[axis][cell[axis]] for axis in (0, 1)))
    down, across = (side / count for side, count in zip(_extent(frame), shape, strict=True))
    half = max(2.0, down / 2), max(2.0, across / 2)
    box = [round(left - half[1]), round(top - half[0]), round(left + half[1]), round(top + half[0])]
    width, height = plain.size
    box = [max(box[0], 0), max(box[1], 0), min(box[2], width), min(box[3], height)]
    if not (0 < top < height and 0 < left < width) or box[2] <= box[0] or box[3] <= box[1]:
        return None
    picture = plain.copy()
    picture.paste(_MARK, (box[0], box[1], box[2], box[3]))
    middle = frame.to_network((box[1] + box[3]) / 2, (box[0] + box[2]) / 2)
    row, col = (_position(middle[axis], lines[axis]) for axis in (0, 1))
    return picture, (row, col)


def _lines(frame: Frame, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The middles of rows and columns, in pixels of the network input."""
    known = frame.centres if frame.centres and tuple(map(len, frame.centres)) == shape else None
    rows, cols = (
        (np.arange(shape[axis]) + 0.5) * frame.input_size[axis] / shape[axis]
        if known is None
        else np.array(known[axis])
        for axis in (0, 1)
    )
    return rows, cols


def _position(at: float, line: np.ndarray) -> float:
    """Where a pixel lies among cells, counted from the first, going on beyond the outermost."""
    if len(line) < 2:
        return 0.0
    below = int(np.clip(np.searchsorted(line, at) - 1, 0, len(line) - 2))
    return float(np.clip(below + (at - line[below]) / (line[below + 1] - line[below]), 0, len(line) - 1))


def _extent(frame: Frame) -> tuple[float, float]:
    top, left, bottom, right = frame.box
    return bottom - top, right - left


def _distinct(changes: list[Float[Tensor, "row col"]]) -> list[Float[Tensor, "row col"]]:
    """What each patch changes more than the others do: some places change whatever is changed."""
    shares = torch.stack([change / change.sum() for change in changes])
    return list(shares - shares.mean(0))


def _middle(change: Float[Tensor, "row col"]) -> tuple[float, float]:
    """The middle of the places that change at least half as much as the most changed one."""
    weight = (change - change.amax() / 2).clamp_min(0)
    rows, cols = (torch.arange(length, dtype=weight.dtype) for length in weight.shape)
    return float((weight.sum(1) * rows).sum() / weight.sum()), float(
        (weight.sum(0) * cols).sum() / weight.sum()
    )
