"""The figures of the experiment: maps in the arrangement of the paper's Fig. 8, and what networks go by."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from vlx.api.labels import explain_label
from vlx.explanation import Explanation
from vlx.passes.targets import label
from vlx.show.colours import scales, target_picture
from vlx.studies.bias.finder import EVEN, WAYS, Part
from vlx.studies.bias.learned import Head, classifier_of, log_odds
from vlx.studies.bias.measured import Seen
from vlx.studies.bias.world import CLASSES, Case, drawn
from vlx.studies.found import Picture

_INK, _QUIET, _WRONG, _ACCENT = "#1a1a1a", "#5c5c5c", "#9a3b00", "#1f5fa8"


@dataclass(frozen=True)
class Panel:
    """A picture with two lines above it."""

    picture: Image.Image
    name: str
    told: str = ""
    wrong: bool = False


def figure_of(attribute: str, pair: tuple[Head, Head], below: nn.Sequential, test: Seen) -> Picture | None:
    """The photo, the biased network's map and the balanced one's, with what each says.

    First a scene that both tell right, then one that only the balanced network does, each the surest of its
    kind; None where there is neither.
    """
    rows: list[list[Panel]] = []
    for at in _chosen(pair, test):
        case = test.cases[at]
        photo = Image.fromarray(drawn(case)[0])
        rows.append(
            [
                Panel(photo, f"image: {CLASSES[case.label]}", _setting(case, attribute)),
                *(
                    _map_panel(name, head, below, photo, case.label)
                    for name, head in zip((f"biased by {attribute}", "balanced"), pair, strict=True)
                ),
            ]
        )
    if not rows:
        return None
    title = (
        f"Biased by {attribute}: image, map of the biased network, map of the balanced one (Grad-CAM of what "
        "each says against the other class; each map has a colour scale of its own)"
    )
    return Picture(title, sheet(rows))


def parts_figure(parts: Mapping[str, Mapping[str, Sequence[Part]]]) -> Picture:
    """What networks go by: for each kind of data and way to find it, a bar an attribute with its interval."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(3.1 * len(WAYS) + 0.9, 1.75 * len(parts) + 0.5), dpi=110, facecolor="white")
    canvas = FigureCanvasAgg(drawing)
    axes: Any = drawing.subplots(len(parts), len(WAYS), sharex=True, squeeze=False)
    for line, (kind, by_way) in zip(axes, parts.items(), strict=True):
        for axis, way in zip(line, WAYS, strict=True):
            _bars(axis, sorted(by_way[way], key=lambda one: one.value), kind)
    for axis, way in zip(axes[0], WAYS, strict=True):
        axis.set_title(f"found by {way}", fontsize=9, color=_INK)
    for line, kind in zip(axes, parts, strict=True):
        told = "balanced data" if kind == "balanced" else f"{kind} planted"
        line[0].set_ylabel(told, fontsize=9, color=_INK)
    drawing.tight_layout()
    return Picture(
        "What networks go by: the part of each attribute in what moves their log-odds; the planted one in "
        "colour; the dotted line is an even share",
        _png(canvas),
    )


def _bars(axis: Any, ranked: Sequence[Part], kind: str) -> None:
    at = np.arange(len(ranked))
    colours = [_ACCENT if part.name == kind else "#b5b5b5" for part in ranked]
    axis.barh(at, [part.value for part in ranked], color=colours, height=0.7)
    for place, part in zip(at, ranked, strict=True):
        axis.plot(part.interval, [place, place], color=_INK, linewidth=1)
    axis.axvline(EVEN, color=_QUIET, linestyle=":", linewidth=1)
    axis.set_yticks(at, [part.name for part in ranked], fontsize=8, color=_INK)
    axis.tick_params(axis="x", labelsize=8, colors=_QUIET)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _chosen(pair: tuple[Head, Head], test: Seen) -> list[int]:
    """The surest scene that both networks tell right, and that only the second does."""
    signs = np.array([2 * case.label - 1 for case in test.cases])
    biased, balanced = (log_odds(head, test.features) * signs for head in pair)
    found: list[int] = []
    for sure in (np.minimum(biased, balanced), np.minimum(-biased, balanced)):
        best = int(sure.argmax())
        if sure[best] > 0:
            found.append(best)
    return found


def _setting(case: Case, attribute: str) -> str:
    return f"{attribute} {'goes with' if case.agrees(attribute) else 'goes against'} it"


def _map_panel(name: str, head: Head, below: nn.Sequential, photo: Image.Image, truth: int) -> Panel:
    model = classifier_of(head, below, CLASSES, name)
    made = explained(model, photo)
    said = int(made.predicted[0][0] == CLASSES[1])
    told = f"says {CLASSES[said]}, p {made.predicted[0][1]:.3f}"
    return Panel(target_picture(made, 0, scales(made)[0]), name, told, said != truth)


def explained(model: Any, photo: Image.Image) -> Explanation:
    """Grad-CAM of what a model of two classes says, against the other."""
    scores = model.read([photo]).scores[0, 0].tolist()
    said = int(scores[1] > scores[0])
    return explain_label(model, photo, targets=[label(said) - label(1 - said)])


def sheet(rows: Sequence[Sequence[Panel]]) -> bytes:
    """Panels in rows, each in a square of the same size, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    wide, high, edge = 2.5, 3.0, 0.1  # inches
    size = wide * len(rows[0]), high * len(rows)
    drawing = Figure(figsize=size, dpi=110, facecolor="white")
    canvas = FigureCanvasAgg(drawing)
    side = wide - 2 * edge
    for at, row in enumerate(rows):
        for col, panel in enumerate(row):
            left, bottom = col * wide + edge, size[1] - (at + 1) * high + edge
            axes = drawing.add_axes((left / size[0], bottom / size[1], side / size[0], side / size[1]))
            _draw(axes, panel)
    return _png(canvas)


def _draw(axes: Any, panel: Panel) -> None:
    axes.imshow(np.asarray(panel.picture), interpolation="lanczos")
    axes.set_axis_off()
    style = {"ha": "center", "va": "bottom", "parse_math": False, "xycoords": "axes fraction"}
    told = f"{panel.told}: wrong" if panel.wrong else panel.told
    lines = ((panel.name, 14, {"fontsize": 10, "fontweight": "bold", "color": _INK}),
             (told, 2, {"fontsize": 9, "color": _WRONG if panel.wrong else _QUIET}))  # fmt: skip
    for text, lift, looks in lines:
        axes.annotate(text, (0.5, 1), xytext=(0, lift), textcoords="offset points", **style, **looks)


def _png(canvas: Any) -> bytes:
    blob = io.BytesIO()
    canvas.print_png(blob)
    return blob.getvalue()
