"""Figures: the photo, then one panel for each word or answer, all on one colour scale."""

import math
from collections.abc import Sequence
from typing import Any

from PIL import Image

from vlx.errors import VlxError
from vlx.explanation import Explained, Explanation
from vlx.show.colours import Scale, Scaling, on_shared_scale, only, scales, target_picture
from vlx.show.drawn_bars import meant, parts
from vlx.show.evidence import bars
from vlx.show.panels import QUIET, Panel, bar_over_grey, clipped, drawn_sheet, fitted, number_at, rendered

FAINT = 0.1
"""A map whose maximum is below this share of the common scale is called faint: it looks like none."""


def figure(
    explanation: Explanation,
    *,
    columns: int = 6,
    scale: Scaling = "common",
    words: Sequence[str | int] | None = None,
) -> Image.Image:
    """The photo and one overlay for each target, with names, scores and probabilities.

    Words share one colour scale, shown as a bar; see `vlx.show.colours` for the mapping. A target of several
    words has its own scale and says so, one without positive evidence says that, and so does one whose
    maximum is below a tenth of the scale. With ``scale="own"`` every panel has a scale of its own, which ends
    at its maximum. ``words`` are the targets that are drawn, by name or position. Methods that
    reach the pixels are shown as signed gradients instead, each with its own minimum and maximum. Where
    `Explained.from_image` is known, two bars under each word are the parts of its score, from the image and
    from language alone: to the right of their 0 they raise it, to the left they lower it.

    >>> figure(vlx.explain_caption(captioner, photo, "a traffic light")).mode
    'RGB'
    """
    return rendered(drawn_figure(explanation, columns, scale, words)[1])


def drawn_figure(
    explanation: Explanation, columns: int, scale: Scaling, words: Sequence[str | int] | None
) -> tuple[Any, Any]:
    """The drawing of `figure` and its canvas. Raises VlxError for words that were not explained."""
    if columns < 1:
        raise VlxError(f"{columns} columns: give 1 or more")
    shown = explanation if words is None else only(explanation, words)
    drawing, canvas, size = drawn_sheet(shown.image, _said(shown), _panels(shown, scale), columns)
    _draw_foot(drawing, shown, size, scale)
    return drawing, canvas


def comparison(
    explanations: Sequence[Explanation], *, columns: int = 6, scale: Scaling = "common"
) -> Image.Image:
    """Explanations of one photo and text by several layers, models or methods, each on rows of its own.

    As in the paper's figures of one question over the layers of a VQA model and over several CNNs. Each
    says what sets it apart, and how far its own colour scale goes: values of different layers, models
    and methods do not compare. With ``scale="own"`` every panel has one. Raises VlxError where photos, texts
    or the number of targets differ.

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
        photo, *maps = _panels(one, scale)
        own = one.at_pixels or scale == "own"
        reach = "" if own else f"scale to {number_at(_common_scale(one), 1.0)}"
        panels += [photo._replace(name=label or "photo", score=reach), *maps, *[None] * (-count % wide)]
    drawing, canvas, size = drawn_sheet(first.image, _said(first), panels, wide)
    note = (
        "each map has a colour scale of its own, which ends at its maximum" if scale == "own"
        else "each explanation has a colour scale of its own, which ends at the number above its photo"
    )  # fmt: skip
    drawing.text(
        0.5, 0.12 / size[1], note, ha="center", va="bottom", fontsize=8, color=QUIET, parse_math=False
    )  # fmt: skip
    return rendered(canvas)


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
    panels: list[Panel | None] = [Panel(fitted(first.image), "photo", first.targets[0].name)]
    for at, one in enumerate(explanations):
        (rows, cols), most = one.grid_maps[0].shape, float(one.grid_maps[0].max())
        told = [f"{rows} × {cols}, to {most:.2g}", *remarks[at : at + 1]]
        remark = "" if one.evidence[0] else "no positive evidence"
        picture = target_picture(one, 0, scales(one)[0])
        name = names[at] if names else one.provenance.layer
        panels.append(Panel(picture, name, ", ".join(filter(None, told)), remark))
    drawing, canvas, size = drawn_sheet(
        first.image, _said(first), panels, math.ceil(len(panels) / math.ceil(len(panels) / columns))
    )
    made, methods = first.provenance, {one.provenance.method for one in explanations}
    what = made.method if len(methods) == 1 else f"layer {made.layer}"
    note = f"{what} of {made.model}; each panel has a colour scale of its own"
    drawing.text(
        0.5, 0.12 / size[1], note, ha="center", va="bottom", fontsize=8, color=QUIET, parse_math=False
    )  # fmt: skip
    return rendered(canvas)


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


def describe(target: Explained) -> str:
    """The score and probability of a target in one line, such as ``score -0.42, p 0.66``."""
    score = f"score {target.score:.2f}".replace("-", "\N{MINUS SIGN}")
    return score if target.probability is None else f"{score}, p {percent(target.probability)}"


def percent(probability: float) -> str:
    """A probability with two digits after the point, or as ``< 0.01`` where those would be 0."""
    return "< 0.01" if 0 < probability < 0.005 else f"{probability:.2f}"


def _panels(explanation: Explanation, scaling: Scaling) -> list[Panel]:
    """The panels of one explanation, the photo first."""
    panels = [Panel(fitted(explanation.image), "photo", told=meant(explanation))]
    drawn = bars(explanation)
    for i, (target, scale) in enumerate(zip(explanation.targets, scales(explanation, scaling), strict=True)):
        remark = _remark(explanation, i, scale, own=scaling == "own" or not on_shared_scale(target))
        picture = target_picture(explanation, i, scale)
        told = parts(explanation, target, drawn[i])
        panels.append(Panel(picture, target.name, describe(target), remark, drawn[i], told))
    return panels


def _remark(explanation: Explanation, target: int, scale: Scale, *, own: bool) -> str:
    if not explanation.evidence[target]:
        return "no positive evidence"
    if explanation.at_pixels:
        return ""
    if own:
        return f"own scale, to {scale.high:.2g}"
    share = float(explanation.grid_maps[target].max()) / scale.high
    return f"faint: to {percent(share)} of the scale" if share < FAINT else ""


def _said(explanation: Explanation) -> str:
    return explanation.prompt or " ".join(explanation.words)


def _draw_foot(drawing: Any, explanation: Explanation, size: tuple[float, float], scaling: Scaling) -> None:
    """The colour bar with its numbers, and how the maps were made."""
    made = explanation.provenance
    facts = f"{made.method}, {made.layer} of {made.model}; score: {made.score}"
    style = {"fontsize": 8, "color": QUIET, "parse_math": False}
    drawing.text(0.5, 0.1 / size[1], clipped(facts, int(size[0] * 17)), ha="center", va="bottom", **style)
    if explanation.at_pixels:
        note = "signed RGB gradients, each map from its minimum to its maximum; 0 is grey"
        drawing.text(0.5, 0.36 / size[1], note, ha="center", va="bottom", **style)
        return
    scale = _common_scale(explanation)
    bar = drawing.add_axes((0.5 - 1.1 / size[0], 0.46 / size[1], 2.2 / size[0], 0.11 / size[1]))
    bar.imshow(bar_over_grey(scale), aspect="auto", extent=(0, 1, 0, 1))
    ends = (0.0, 0.5, 1.0)
    told = ["0", "", "maximum of each"] if scaling == "own" else [number_at(scale, at) for at in ends]
    bar.set_xticks(ends, told, fontsize=7.5, color=QUIET)
    bar.set_yticks([])
    bar.tick_params(length=2, pad=1.5, color=QUIET)
    for spine in bar.spines.values():
        spine.set_visible(False)


def _common_scale(explanation: Explanation) -> Scale:
    """The scale that words and answers share, or that of the first target where there are none."""
    own = scales(explanation)
    return next((s for s, t in zip(own, explanation.targets, strict=True) if on_shared_scale(t)), own[0])
