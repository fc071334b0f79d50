"""Figures: a decision told in neurons, the images that neurons stand out in, and how many detect what."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from vlx.images.frame import Frame
from vlx.show.colours import Scale, overlay, shared_scale
from vlx.studies.neurons.explained import Neuron, Told, sentence
from vlx.studies.neurons.tally import on_labels

_INK, _QUIET, _FOR, _AGAINST = "#1a1a1a", "#5c5c5c", "#7a1f5c", "#8a5a00"
_DIM = 0.28  # what is below a unit's threshold keeps this share of its light
_LONGEST = 240
_DPI = 110
_CELL = 1.55  # inches
_BARS = 8  # fewer are drawn no thicker


@dataclass(frozen=True, eq=False)
class Photo:
    """An image with what a layer gave of it."""

    picture: Image.Image
    features: Float[Tensor, "unit row col"]
    frame: Frame


@dataclass(frozen=True, eq=False)
class Explained:
    """A decision to draw."""

    photo: Photo
    target: str
    importance: Float[np.ndarray, " unit"]
    found: Told
    asked: str = ""
    """The question, or the caption."""


def unit_map(
    photo: Photo, weights: Float[np.ndarray, " unit"]
) -> tuple[Image.Image, Float[np.ndarray, "h w"]]:
    """A small copy of the photo, and the positive part of a weighted sum of units on its pixels."""
    small = photo.picture.copy()
    small.thumbnail((_LONGEST, _LONGEST), Image.Resampling.LANCZOS)
    frame = on_labels(photo.frame, (small.height, small.width))
    raw = torch.einsum("u,urc->rc", torch.from_numpy(weights).to(photo.features), photo.features).relu()
    return small, frame.on_image(raw).cpu().numpy()


def selected_picture(photo: Photo, unit: int, threshold: float) -> UInt8[np.ndarray, "h w 3"]:
    """The photo, dim where a unit is below its threshold."""
    weights = np.zeros(len(photo.features))
    weights[unit] = 1.0
    small, values = unit_map(photo, weights)
    light = np.where(values > max(threshold, 0.0), 1.0, _DIM)[..., None]
    return np.rint(np.asarray(small) * light).astype(np.uint8)


def _squared(picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "side side 3"]:
    """The picture in the middle of a white square, so that rows of wide and tall ones stand alike."""
    height, width = picture.shape[:2]
    side = max(height, width)
    whole = np.full((side, side, 3), 255, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    whole[top : top + height, left : left + width] = picture
    return whole


def decisions_figure(shown: Sequence[Explained]) -> bytes:
    """As the paper's Figures 9 and 21: for each decision the image, its Grad-CAM map, and its neurons."""
    figure = Figure(figsize=(9.2, 2.35 * len(shown)), dpi=_DPI, facecolor="white", layout="constrained")
    axes = figure.subplots(len(shown), 3, squeeze=False, width_ratios=(1, 1, 2.3))
    for row, one in enumerate(shown):
        _decision(axes[row], one)
    return _png(figure)


def neuron_figure(
    one: Explained,
    thresholds: Float[np.ndarray, " unit"],
    best: Mapping[int, Sequence[Photo]],
    count: int = 3,
) -> bytes:
    """A decision, then its most persuasive and inhibitive neurons: on the image, and where each stands out.

    ``best`` has the images in which each unit is most active.
    """
    named = [*_first(one.found.persuasive, count), *_first(one.found.inhibitive, count)]
    across = max((len(best.get(neuron.unit, ())) for neuron in named), default=0)
    height = 2.5 + 1.55 * len(named)
    figure = Figure(figsize=(9.2, height), dpi=_DPI, facecolor="white", layout="constrained")
    sides: Any = figure.subfigures(2, 1, height_ratios=(2.5, max(1.55 * len(named), 0.1)))
    top, rest = sides
    _decision(top.subplots(1, 3, width_ratios=(1, 1, 2.3)), one)
    if named:
        axes = rest.subplots(len(named), 1 + across, squeeze=False)
        for row, neuron in enumerate(named):
            _neuron_row(axes[row], neuron, one, thresholds, best.get(neuron.unit, ()))
    return _png(figure)


def units_figure(
    rows: Sequence[tuple[int, str, Sequence[Photo]]], thresholds: Float[np.ndarray, " unit"]
) -> bytes:
    """Units with their names, and the images in which each is most active, dim below its threshold."""
    across = max((len(photos) for _, _, photos in rows), default=1)
    figure = Figure(
        figsize=(_CELL * across + 0.2, (_CELL + 0.25) * len(rows)), dpi=_DPI, facecolor="white",
        layout="constrained",
    )  # fmt: skip
    axes = figure.subplots(len(rows), across, squeeze=False)
    for row, (unit, name, photos) in enumerate(rows):
        for col in range(across):
            axes[row][col].set_axis_off()
            if col < len(photos):
                shown = selected_picture(photos[col], unit, float(thresholds[unit]))
                axes[row][col].imshow(_squared(shown))
        axes[row][0].set_title(name, fontsize=8.5, loc="left", color=_INK, parse_math=False)
    return _png(figure)


def detectors_figure(counts: Mapping[str, Mapping[str, int]], units: int) -> bytes:
    """How many units detect concepts of each category, by whose names they are."""
    categories = list(dict.fromkeys(name for one in counts.values() for name in one))
    figure = Figure(
        figsize=(6.4, 0.9 + 0.5 * len(categories)), dpi=_DPI, facecolor="white", layout="constrained"
    )
    axes = figure.subplots()
    colours = (_FOR, "#8a8f98", "#c9ccd1")
    thick = 0.8 / max(len(counts), 1)
    for at, (name, found) in enumerate(counts.items()):
        values = [found.get(category, 0) for category in categories]
        middles = np.arange(len(categories)) + (at - (len(counts) - 1) / 2) * thick
        bars = axes.barh(middles, values, thick * 0.9, label=name, color=colours[at % 3])
        axes.bar_label(bars, padding=2, fontsize=7.5, color=_QUIET)
    axes.set_yticks(range(len(categories)), categories)
    axes.invert_yaxis()
    axes.set_xlabel(f"units, of {units}", fontsize=8.5)
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def _first(neurons: Sequence[Neuron], count: int) -> Sequence[Neuron]:
    """Some with names, or the first at all."""
    return [one for one in neurons if one.name is not None][:count] or neurons[:1]


def _decision(axes: Any, one: Explained) -> None:
    small, plane = unit_map(one.photo, one.importance)
    for cell, picture in ((axes[0], small), (axes[1], overlay(small, plane, shared_scale([plane])))):
        cell.imshow(np.asarray(picture))
        cell.set_axis_off()
    said = one.asked or "the image"
    axes[0].set_title(textwrap.shorten(said, 30, placeholder="…"), fontsize=8, color=_QUIET, parse_math=False)
    axes[1].set_title(
        "Grad-CAM" if plane.max() > 0 else "no positive evidence", fontsize=8, color=_QUIET, parse_math=False
    )
    _bars(axes[2], one)


def _bars(axes: Any, one: Explained) -> None:
    """The importance of each neuron with its name, the persuasive above."""
    neurons = [*one.found.persuasive, *reversed(one.found.inhibitive)]
    values = [neuron.importance for neuron in neurons]
    most = max(map(abs, values), default=1.0) or 1.0
    for at, neuron in enumerate(neurons):
        share = neuron.importance / most
        axes.barh(at, share, 0.72, color=_FOR if share > 0 else _AGAINST, alpha=1 if neuron.name else 0.3)
        name = neuron.name or "no name"
        style = {"fontsize": 8, "va": "center", "parse_math": False}
        axes.text(
            -0.03 if share > 0 else 0.03, at, f"{name}, unit {neuron.unit}",
            ha="right" if share > 0 else "left", color=_INK if neuron.name else _QUIET, **style,
        )  # fmt: skip
    axes.set(xlim=(-1.15, 1.15), ylim=(max(len(neurons), _BARS) - 0.4, -0.6))
    axes.axvline(0, color=_QUIET, linewidth=0.6)
    axes.set_axis_off()
    text = "\n".join(textwrap.wrap(sentence(one.target, one.found), 62))
    axes.set_title(text, fontsize=8, loc="left", color=_INK, parse_math=False)


def _neuron_row(
    axes: Any, neuron: Neuron, one: Explained, thresholds: Float[np.ndarray, " unit"], best: Sequence[Photo]
) -> None:
    weights = np.zeros(len(one.importance))
    weights[neuron.unit] = 1.0
    small, plane = unit_map(one.photo, weights)
    for cell in axes:
        cell.set_axis_off()
    axes[0].imshow(np.asarray(overlay(small, plane, Scale(max(float(plane.max()), 1e-12)))))
    role = "persuasive" if neuron.importance > 0 else "inhibitive"
    name = "no name" if neuron.name is None else f"{neuron.name}, IoU {neuron.iou:.2f}"
    told = f"unit {neuron.unit}: {name}\nα {neuron.importance:.2g}, {role}"
    axes[0].set_title(told, fontsize=7.5, loc="left", color=_INK, parse_math=False)
    for cell, photo in zip(axes[1:], best, strict=False):
        cell.imshow(_squared(selected_picture(photo, neuron.unit, float(thresholds[neuron.unit]))))
    if len(axes) > 1:
        axes[1].set_title("most active in", fontsize=7.5, loc="left", color=_QUIET, parse_math=False)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()
