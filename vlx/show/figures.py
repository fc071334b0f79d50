"""Figures: the photo, then one panel for each word or answer, all on one colour scale."""

import logging
import math
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from vlx.errors import VlxError, quietly
from vlx.explanation import Explained, Explanation
from vlx.show.colours import Scale, on_shared_scale, ramp, scales, target_picture
from vlx.show.drawn_bars import draw_bars, meant, parts
from vlx.show.evidence import Bars, bars

_DPI = 120
_PANEL = 1.75  # width of a panel in inches
_TEXT = 0.52  # height kept above a panel for its name and score
_LINE = 0.125  # and for each line of bars below those
_INK, _QUIET, _ALARM = "#1a1a1a", "#5c5c5c", "#9a3b00"


class Panel(NamedTuple):
    """A picture with what stands above it."""

    picture: Image.Image
    name: str
    score: str = ""
    remark: str = ""
    bars: Bars | None = None
    told: tuple[str, ...] = ()
    """Beside the bars, what they are worth; without bars, what all bars stand for; then a remark on them."""


def figure(explanation: Explanation, *, columns: int = 6) -> Image.Image:
    """The photo and one overlay for each target, with names, scores and probabilities.

    Words share one colour scale, shown as a bar; see `vlx.show.colours` for the mapping. A target of several
    words has its own scale and says so, and one without positive evidence says that. Methods that
    reach the pixels are shown as signed gradients instead, each with its own minimum and maximum. Where
    `Explained.from_image` is known, two bars under each word are the parts of its score, from the image and
    from language alone: to the right of their 0 they raise it, to the left they lower it.

    >>> figure(vlx.explain_caption(captioner, photo, "a traffic light")).mode
    'RGB'
    """
    drawing, canvas, size = _sheet(explanation, _panels(explanation), columns)
    _draw_foot(drawing, explanation, size)
    return _rendered(canvas)


def comparison(explanations: Sequence[Explanation], *, columns: int = 6) -> Image.Image:
    """Explanations of one photo and text by several layers, models or methods, each on rows of its own.

    As in the paper's figures of one question over the layers of a VQA model and over several CNNs. Each
    says what sets it apart, and how far its own colour scale goes: values of different layers, models
    and methods do not compare. Raises VlxError where photos, texts or the number of targets differ.

    >>> methods = vlx.grad_cam, vlx.layer_cam
    >>> comparison([vlx.explain_answer(vqa, photo, "what is it?", method=one) for one in methods]).mode
    'RGB'
    """
    if not explanations:
        raise VlxError("nothing to compare: give at least one explanation")
    first = explanations[0]
    count = len(first.targets) + 1
    wide = min(columns, count)
    panels: list[Panel | None] = []
    for one, label in zip(explanations, differences(explanations), strict=True):
        same = (one.prompt, one.words) == (first.prompt, first.words) and one.image.size == first.image.size
        if not same or len(one.targets) + 1 != count:
            raise VlxError("only explanations of the same photo, text and number of targets can be compared")
        photo, *maps = _panels(one)
        reach = "" if one.at_pixels else f"scale to {_number(_common_scale(one), 1.0)}"
        panels += [photo._replace(name=label or "photo", score=reach), *maps, *[None] * (-count % wide)]
    drawing, canvas, size = _sheet(first, panels, wide)
    note = "each explanation has a colour scale of its own, which ends at the number above its photo"
    drawing.text(
        0.5, 0.12 / size[1], note, ha="center", va="bottom", fontsize=8, color=_QUIET, parse_math=False
    )  # fmt: skip
    return _rendered(canvas)


def layer_figure(
    explanations: Sequence[Explanation],
    remarks: Sequence[str] = (),
    *,
    names: Sequence[str] = (),
    columns: int = 6,
) -> Image.Image:
    """The photo, then the map of one target at each of several layers, with its grid and its maximum.

    As in the paper's figures of Grad-CAM at every layer of a network (appendix). Every panel has a colour
    scale of its own, which ends at its maximum, as values of different layers do not compare. ``remarks`` are
    added above the panels; ``names`` stand there in the place of the layers, as of several methods at one.
    Raises VlxError where there are no explanations, or photos differ.

    >>> found = [vlx.explain_caption(captioner.at(one), photo, "a dog") for one in (3, 5)]
    >>> layer_figure(found).mode
    'RGB'
    """
    if not explanations:
        raise VlxError("no layers to draw: give at least one explanation")
    first = explanations[0]
    if any(one.image.size != first.image.size for one in explanations):
        raise VlxError("only explanations of one photo can be drawn as layers")
    panels: list[Panel | None] = [Panel(_fitted(first.image), "photo", first.targets[0].name)]
    for at, one in enumerate(explanations):
        (rows, cols), most = one.grid_maps[0].shape, float(one.grid_maps[0].max())
        told = [f"{rows} × {cols}, to {most:.2g}", *remarks[at : at + 1]]
        remark = "" if one.evidence[0] else "no positive evidence"
        picture = target_picture(one, 0, scales(one)[0])
        name = names[at] if names else one.provenance.layer
        panels.append(Panel(picture, name, ", ".join(filter(None, told)), remark))
    drawing, canvas, size = _sheet(first, panels, math.ceil(len(panels) / math.ceil(len(panels) / columns)))
    made, methods = first.provenance, {one.provenance.method for one in explanations}
    what = made.method if len(methods) == 1 else f"layer {made.layer}"
    note = f"{what} of {made.model}; each panel has a colour scale of its own"
    drawing.text(
        0.5, 0.12 / size[1], note, ha="center", va="bottom", fontsize=8, color=_QUIET, parse_math=False
    )  # fmt: skip
    return _rendered(canvas)


def differences(explanations: Sequence[Explanation]) -> list[str]:
    """What sets each of several explanations apart: its model, its layer, its method, where these differ.

    >>> methods = vlx.grad_cam, vlx.layer_cam
    >>> differences([vlx.explain_answer(vqa, photo, "what is it?", method=one) for one in methods])
    ['grad_cam', 'layer_cam']
    """
    made = [one.provenance for one in explanations]
    facts = [[one.model for one in made], [one.layer for one in made], [one.method for one in made]]
    differing = [names for names in facts if len(set(names)) > 1]
    return [", ".join(names) for names in zip(*differing, strict=True)] or [""] * len(made)


def show(explanation: Explanation) -> None:
    """Draw the figure in a notebook, or in the system's image viewer elsewhere."""
    picture = figure(explanation)
    if not _in_notebook():
        picture.show()
        return
    from IPython.display import display

    display(picture)


def describe(target: Explained) -> str:
    """The score and probability of a target in one line, such as ``score -0.42, p 0.66``."""
    score = f"score {target.score:.2f}".replace("-", "\N{MINUS SIGN}")
    return score if target.probability is None else f"{score}, p {percent(target.probability)}"


def percent(probability: float) -> str:
    """A probability with two digits after the point, or as ``< 0.01`` where those would be 0."""
    return "< 0.01" if 0 < probability < 0.005 else f"{probability:.2f}"


def _sheet(
    explanation: Explanation, panels: Sequence[Panel | None], columns: int
) -> tuple[Any, Any, tuple[float, float]]:
    """A drawing with a title and panels in rows, some left empty; its canvas, and its size in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    wide = min(columns, len(panels))
    rows = math.ceil(len(panels) / wide)
    tall = _panel_height(explanation.image)
    title = _title(explanation, width=wide * 22)
    head = 0.24 * (title.count("\n") + 1) + 0.16 if title else 0.1
    foot = 0.72
    lines = max(len(panel.told) for panel in panels if panel is not None)
    text = _TEXT + lines * _LINE + (0.06 if lines else 0.0)
    size = (wide * (_PANEL + 0.15) + 0.3, rows * (tall + text) + head + foot)
    drawing = Figure(figsize=size, dpi=_DPI, facecolor="white")
    canvas = FigureCanvasAgg(drawing)
    if title:
        drawing.text(
            0.5, 1 - 0.1 / size[1], title, ha="center", va="top", fontsize=12, color=_INK, parse_math=False
        )  # fmt: skip
    for position, panel in enumerate(panels):
        if panel is None:
            continue
        row, col = divmod(position, wide)
        left = (0.15 + col * (_PANEL + 0.15) + 0.075) / size[0]
        bottom = (size[1] - head - row * (tall + text) - text - tall) / size[1]
        axes = drawing.add_axes((left, bottom, _PANEL / size[0], tall / size[1]))
        _draw_panel(axes, panel, (text - _TEXT) * 72)
        if panel.told:
            at = (left, bottom + (tall + 0.05) / size[1], _PANEL / size[0], lines * _LINE / size[1])
            draw_bars(drawing.add_axes(at), panel.bars, panel.told, lines)
    return drawing, canvas, size


def _panels(explanation: Explanation) -> list[Panel]:
    """The panels of one explanation, the photo first."""
    panels = [Panel(_fitted(explanation.image), "photo", told=meant(explanation))]
    drawn = bars(explanation)
    for i, (target, scale) in enumerate(zip(explanation.targets, scales(explanation), strict=True)):
        remark = "" if explanation.evidence[i] else "no positive evidence"
        if not remark and not on_shared_scale(target) and not explanation.at_pixels:
            remark = f"own scale, to {scale.high:.2g}"
        picture = target_picture(explanation, i, scale)
        told = parts(explanation, target, drawn[i])
        panels.append(Panel(picture, target.name, describe(target), remark, drawn[i], told))
    return panels


def _draw_panel(axes: Any, panel: Panel, lift: float) -> None:
    """A picture with its name and score above it, ``lift`` points higher where bars are between."""
    axes.imshow(np.asarray(panel.picture), aspect="equal", interpolation="lanczos")
    axes.set_axis_off()
    text = {
        "ha": "center",
        "va": "bottom",
        "xycoords": "axes fraction",
        "textcoords": "offset points",
    }
    short = textwrap.shorten(panel.name, 24, placeholder="\N{HORIZONTAL ELLIPSIS}")
    short += panel.name[-22:] if len(short) == 1 < len(panel.name) else ""  # of a long layer's name the end
    for line, height, style in (
        (short, 14, {"fontsize": 10.5, "fontweight": "bold", "color": _INK}),
        (panel.score, 3, {"fontsize": 8.5, "color": _QUIET}),
    ):
        axes.annotate(
            line, (0.5, 1), xytext=(0, height + lift), annotation_clip=False, parse_math=False, **text,
            **style,
        )  # fmt: skip
    remark = panel.remark
    if remark:
        axes.text(
            0.5, 0.03, remark, transform=axes.transAxes, ha="center", va="bottom", fontsize=7.5,
            color=_ALARM if remark.startswith("no") else _INK,
            bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "alpha": 0.88, "edgecolor": "none"},
        )  # fmt: skip


def _draw_foot(drawing: Any, explanation: Explanation, size: tuple[float, float]) -> None:
    """The colour bar with its numbers, and how the maps were made."""
    made = explanation.provenance
    facts = f"{made.method}, {made.layer} of {made.model}; score: {made.score}"
    style = {"fontsize": 8, "color": _QUIET, "parse_math": False}
    drawing.text(0.5, 0.1 / size[1], _clipped(facts, int(size[0] * 17)), ha="center", va="bottom", **style)
    if explanation.at_pixels:
        note = "signed RGB gradients, each map from its minimum to its maximum; 0 is grey"
        drawing.text(0.5, 0.36 / size[1], note, ha="center", va="bottom", **style)
        return
    scale = _common_scale(explanation)
    bar = drawing.add_axes((0.5 - 1.1 / size[0], 0.46 / size[1], 2.2 / size[0], 0.11 / size[1]))
    bar.imshow(_bar(scale), aspect="auto", extent=(0, 1, 0, 1))
    ends = (0.0, 0.5, 1.0)
    bar.set_xticks(ends, [_number(scale, at) for at in ends], fontsize=7.5, color=_QUIET)
    bar.set_yticks([])
    bar.tick_params(length=2, pad=1.5, color=_QUIET)
    for spine in bar.spines.values():
        spine.set_visible(False)


def _common_scale(explanation: Explanation) -> Scale:
    """The scale that words and answers share, or that of the first target where there are none."""
    own = scales(explanation)
    return next((s for s, t in zip(own, explanation.targets, strict=True) if on_shared_scale(t)), own[0])


def _bar(scale: Scale) -> np.ndarray:
    """The ramp as it looks over a mid-grey photo."""
    colours = ramp(scale.signed)[None].copy()
    under = Image.new("RGBA", (256, 1), (128, 128, 128, 255))
    return np.asarray(Image.alpha_composite(under, Image.fromarray(colours)).convert("RGB"))


def _number(scale: Scale, at: float) -> str:
    value = scale.low + at * (scale.high - scale.low)
    return f"{value:.2g}".replace("-", "\N{MINUS SIGN}")


def _title(explanation: Explanation, width: int) -> str:
    said = explanation.prompt or " ".join(explanation.words)
    return "\n".join(textwrap.wrap(said, max(width, 30), max_lines=6, placeholder=" …"))


def _clipped(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _fitted(photo: Image.Image, longest: int = 480) -> Image.Image:
    small = photo.copy()
    small.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return small


def _panel_height(photo: Image.Image) -> float:
    """Height in inches of a panel, kept within bounds for very long and very tall photos."""
    return _PANEL * min(max(photo.height / photo.width, 0.35), 1.8)


def _rendered(canvas: Any) -> Image.Image:
    logger = logging.getLogger("matplotlib.font_manager")
    # A character that no font has is drawn as a box; that is no reason to fail.
    with quietly(".*[Gg]lyph.*"):
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            canvas.draw()
        finally:
            logger.setLevel(level)
    width, height = canvas.get_width_height()
    pixels = np.frombuffer(canvas.buffer_rgba(), np.uint8).reshape(height, width, 4)
    return Image.fromarray(pixels[..., :3].copy())


def _in_notebook() -> bool:
    import sys

    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell else None
    return running is not None and "IPKernelApp" in getattr(running, "config", {})
