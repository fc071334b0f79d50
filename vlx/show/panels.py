"""Panels: pictures with what stands above them, laid out on one drawing of matplotlib."""

import logging
import math
import textwrap
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from vlx.errors import quietly
from vlx.show.colours import Scale, ramp
from vlx.show.drawn_bars import draw_bars
from vlx.show.evidence import Bars

DPI = 120
_PANEL = 1.75  # width of a panel in inches
_TEXT = 0.52  # height kept above a panel for its name and score
_LINE = 0.125  # and for each line of bars below those
INK, QUIET, ALARM = "#1a1a1a", "#5c5c5c", "#9a3b00"


class Panel(NamedTuple):
    """A picture with what stands above it."""

    picture: Image.Image
    name: str
    score: str = ""
    remark: str = ""
    bars: Bars | None = None
    told: tuple[str, ...] = ()
    """Beside the bars, what they are worth; without bars, what all bars stand for; then a remark on them."""


def drawn_sheet(
    photo: Image.Image, said: str, panels: Sequence[Panel | None], columns: int
) -> tuple[Any, Any, tuple[float, float]]:
    """A drawing with a title and panels in rows, some left empty; its canvas, and its size in inches.

    Panels are as tall as the photo asks for; ``said`` is the title.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    wide = min(columns, len(panels))
    rows = math.ceil(len(panels) / wide)
    tall = _panel_height(photo)
    title = "\n".join(textwrap.wrap(said, max(wide * 22, 30), max_lines=6, placeholder=" …"))
    head = 0.24 * (title.count("\n") + 1) + 0.16 if title else 0.1
    foot = 0.72
    lines = max(len(panel.told) for panel in panels if panel is not None)
    text = _TEXT + lines * _LINE + (0.06 if lines else 0.0)
    size = (wide * (_PANEL + 0.15) + 0.3, rows * (tall + text) + head + foot)
    drawing = Figure(figsize=size, dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(drawing)
    if title:
        drawing.text(
            0.5, 1 - 0.1 / size[1], title, ha="center", va="top", fontsize=12, color=INK, parse_math=False
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
        (short, 14, {"fontsize": 10.5, "fontweight": "bold", "color": INK}),
        (panel.score, 3, {"fontsize": 8.5, "color": QUIET}),
    ):
        axes.annotate(
            line, (0.5, 1), xytext=(0, height + lift), annotation_clip=False, parse_math=False, **text,
            **style,
        )  # fmt: skip
    remark = panel.remark
    if remark:
        axes.text(
            0.5, 0.03, remark, transform=axes.transAxes, ha="center", va="bottom", fontsize=7.5,
            color=ALARM if remark.startswith("no") else INK,
            bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "alpha": 0.88, "edgecolor": "none"},
        )  # fmt: skip


def bar_over_grey(scale: Scale) -> np.ndarray:
    """The ramp as it looks over a mid-grey photo."""
    colours = ramp(scale.signed)[None].copy()
    under = Image.new("RGBA", (256, 1), (128, 128, 128, 255))
    return np.asarray(Image.alpha_composite(under, Image.fromarray(colours)).convert("RGB"))


def number_at(scale: Scale, at: float) -> str:
    """What a scale is worth at a share of its length."""
    value = scale.low + at * (scale.high - scale.low)
    return f"{value:.2g}".replace("-", "\N{MINUS SIGN}")


def clipped(text: str, length: int) -> str:
    """The beginning of a text that is too long."""
    return text if len(text) <= length else text[: length - 1] + "…"


def fitted(photo: Image.Image, longest: int = 480) -> Image.Image:
    """A photo no larger than a panel needs it."""
    small = photo.copy()
    small.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return small


def _panel_height(photo: Image.Image) -> float:
    """Height in inches of a panel, kept within bounds for very long and very tall photos."""
    return _PANEL * min(max(photo.height / photo.width, 0.35), 1.8)


def rendered(canvas: Any) -> Image.Image:
    """The drawing as an image."""
    with quiet_fonts():
        canvas.draw()
    width, height = canvas.get_width_height()
    pixels = np.frombuffer(canvas.buffer_rgba(), np.uint8).reshape(height, width, 4)
    return Image.fromarray(pixels[..., :3].copy())


@contextmanager
def quiet_fonts() -> Generator[None, None, None]:
    """A character that no font has is drawn as a box; that is no reason to fail, or to warn each time."""
    logger = logging.getLogger("matplotlib.font_manager")
    level = logger.level
    with quietly(".*[Gg]lyph.*"):
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
