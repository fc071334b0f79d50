"""The bars of a figure: the parts of a score, from the image and without it."""

from collections.abc import Sequence
from typing import Any

from vlx.explanation import Explained, Explanation
from vlx.show.evidence import Bar, Bars, has_evidence, signed, spoken_error, unit, without_image

_QUIET, _IMAGE, _AGAINST, _ALONE = "#5c5c5c", "#7a1f5c", "#c05a00", "#9c9ca3"
_BAR = 0.76  # share of a panel's width for its bars; the rest is for their numbers


def meant(explanation: Explanation) -> tuple[str, ...]:
    """What the bars of the panels stand for, beside the photo."""
    if not has_evidence(explanation):
        return ()
    return f"{unit(explanation)} from the image", f"{unit(explanation)} {without_image(explanation)}"


def parts(explanation: Explanation, target: Explained, drawn: Bars | None) -> tuple[str, ...]:
    """The parts of a score, each for its bar, and how far gradients along a path lie from the first."""
    if drawn is None or target.from_image is None or target.blank is None:
        return ()
    far = [spoken_error(explanation, target)] if target.error is not None else []
    return signed(target.from_image), signed(target.blank), *far


def draw_bars(axes: Any, bars: Bars | None, told: Sequence[str], lines: int) -> None:
    """Two thin bars on one axis with their numbers, or what such bars stand for."""
    axes.set(xlim=(0, 1), ylim=(lines, 0))
    axes.set_axis_off()
    style = {"va": "center_baseline", "fontsize": 7, "color": _QUIET, "parse_math": False}
    given = [None, None] if bars is None else [bars.image, bars.alone]
    for line, (bar, text, colour) in enumerate(zip(given, told, (_IMAGE, _ALONE), strict=False)):
        middle = line + 0.5
        if bar is None:  # what all bars stand for
            axes.barh(middle, 0.05, 0.5, color=colour)
            axes.text(0.08, middle, text, ha="left", **style)
            continue
        axes.barh(middle, bar.width * _BAR, 0.6, left=bar.start * _BAR, color=_shade(bar, colour))
        axes.text(1, middle, text, ha="right", **style)
    if bars is not None:
        at = bars.zero * _BAR
        axes.plot((at, at), (0.05, 1.95), color=_QUIET, linewidth=0.6, solid_capstyle="butt", clip_on=False)
    if len(told) > 2:
        axes.text(0, 2.5, told[2], ha="left", **{**style, "fontsize": 6.2})


def _shade(bar: Bar, colour: str) -> str:
    """The colour of a bar; what the image takes from a score has its own."""
    return _AGAINST if bar.negative and colour == _IMAGE else colour
