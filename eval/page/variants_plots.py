"""Plots of variants as SVG: differences to the reference, and scores over the layers of a network."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vlx.eval.measures.statistics import Summary
from vlx.eval.page.plots import CONTROL, INK, OWN, QUIET, THEIRS, axes_of, short, svg
from vlx.eval.page.variants import Column, Variant, VariantsTable

_STYLES = ("-", "--", "-.", ":")


def difference_plot(table: VariantsTable, one: Column) -> str:
    """The difference of each variant to its reference with its interval; the paper's as open diamonds."""
    shown = [
        (variant, worth)
        for variant in table.variants
        if (worth := one.worth.get(variant.name)) is not None and worth.difference is not None
    ]
    figure, axes = axes_of(7.2, 1.0 + 0.4 * len(shown))
    told = twice = False
    for row, (variant, worth) in enumerate(shown):
        assert worth.difference is not None
        twice = worth.known is not None
        _dot(axes, one, worth.difference, row - 0.14 * twice)
        if worth.known is not None:
            _dot(axes, one, worth.known, row + 0.14, "s")
        mine, base = one.paper.get(variant.name), one.paper.get(variant.reference)
        if mine is not None and base is not None:
            axes.plot([mine - base], [row], "D", mfc="none", mec=THEIRS, markersize=7)
            told = True
    axes.axvline(0, color=QUIET, linewidth=0.8)
    axes.set_yticks(range(len(shown)), [short(variant.name) for variant, _ in shown])
    axes.invert_yaxis()
    axes.margins(y=0.1)
    references = " or ".join(dict.fromkeys(variant.reference for variant, _ in shown))
    low = " (left is better)" if "low is good" in one.title else ""
    axes.set_xlabel(
        f"{one.task.name} minus that of {references}, 95 % interval by image{low}"
        + ("\n● of the first guess, ■ of the known class" if twice else "")
        + ("; ◇ the paper" if told else "")
    )
    axes.grid(axis="x", color="#e4e3de")
    axes.set_axisbelow(True)
    return svg(figure)


def _dot(axes: Any, one: Column, summary: Summary, row: float, mark: str = "o") -> None:
    value, interval = one.middle(summary)
    apart = interval is not None and (interval[0] > 0 or interval[1] < 0)
    if interval is not None:
        axes.plot(interval, [row, row], color=OWN if apart else CONTROL, linewidth=2.2, solid_capstyle="butt")
    if value is not None:
        axes.plot([value], [row], mark, color=OWN if apart else CONTROL, markersize=5)


def layers_plot(table: VariantsTable, one: Column) -> str:
    """Scores and controls at each layer, above own minus wrong where there is any; the last on the right."""
    places = list(dict.fromkeys(_layer(variant) for variant in table.variants if variant.name in one.worth))
    wrong = any(worth.wrong is not None for worth in one.worth.values())
    figure, axes = axes_of(max(5.0, 1.6 + 0.5 * len(places)), 5.6 if wrong else 3.6, rows=2 if wrong else 1)
    above, *below = list(axes) if wrong else [axes]
    methods = list(dict.fromkeys(variant.method for variant in table.variants))
    for number, method in enumerate(methods):
        mine = [v for v in table.variants if v.method == method and v.name in one.worth]
        at = [places.index(_layer(variant)) for variant in mine]
        worth = [one.worth[variant.name] for variant in mine]
        style = _STYLES[number % len(_STYLES)]
        _line(above, one, at, [w.score for w in worth], short(method), OWN, style)
        known = [
            (x, w.more["known class"]) for x, w in zip(at, worth, strict=True) if "known class" in w.more
        ]
        if known and number == 0:
            xs, summaries = [x for x, _ in known], [summary for _, summary in known]
            _line(above, one, xs, summaries, "known class", THEIRS, style)
        if number == 0:
            for name, colour in (("mean_activation", CONTROL), ("random_weights", "#c0a060")):
                beside = [(x, w.beside[name]) for x, w in zip(at, worth, strict=True) if name in w.beside]
                label = name.replace("_", " ").replace("random", "shuffled")
                xs, summaries = [x for x, _ in beside], [summary for _, summary in beside]
                _line(above, one, xs, summaries, label, colour, "--", bars=False)
        for panel in below:
            told = [(x, w.wrong) for x, w in zip(at, worth, strict=True) if w.wrong is not None]
            _line(panel, one, [x for x, _ in told], [w for _, w in told], short(method), OWN, style)
    for name, (score, _) in one.controls.items():
        if name == "centre prior" and (value := one.middle(score)[0]) is not None:
            above.axhline(value, color=QUIET, linewidth=1, linestyle=":", label=name)
    for panel in (above, *below):
        _grids(panel, table, places, told=panel is above)
    for panel in below:
        panel.axhline(0, color=QUIET, linewidth=0.8)
        panel.set_ylabel("own − wrong")
    low = ", low is good" if "low is good" in one.title else ""
    above.set_ylabel(f"{one.task.name}{low}")
    above.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    lowest = (above, *below)[-1]
    lowest.set_xticks(range(len(places)), [short(name, 24) for name in places], rotation=60, ha="right")
    lowest.set_xlabel("layer, from the image up; 95 % intervals by image")
    return svg(figure)


def _layer(variant: Variant) -> str:
    return variant.name.removesuffix(f", {variant.method}")


def _line(
    axes: Any,
    one: Column,
    at: Sequence[int],
    summaries: Sequence[Summary],
    name: str,
    colour: str,
    style: str,
    *,
    bars: bool = True,
) -> None:
    middles = [one.middle(summary) for summary in summaries]
    heights = [np.nan if value is None else value for value, _ in middles]
    if np.isnan(heights).all():
        return
    axes.plot(
        at,
        heights,
        style,
        color=colour,
        marker="o" if bars else None,
        markersize=4,
        label=name,
        linewidth=1.5,
    )
    for x, (_, interval) in zip(at, middles, strict=True):
        if bars and interval is not None:
            axes.plot([x, x], interval, color=colour, linewidth=1.2, alpha=0.6)


def _grids(axes: Any, table: VariantsTable, places: Sequence[str], *, told: bool) -> None:
    """A line where the grid changes, and each grid above the layers that have it."""
    grid_of = {_layer(variant): variant.facts[0] for variant in table.variants}
    begin = 0
    axes.set_xlim(-0.6, len(places) - 0.4)
    for at in range(1, len(places) + 1):
        if at < len(places) and grid_of[places[at]] == grid_of[places[begin]]:
            continue
        if at < len(places):
            axes.axvline(at - 0.5, color=QUIET, linewidth=0.8, linestyle="--")
        if told:
            middle = ((begin + at - 1) / 2 + 0.6) / len(places)
            text = grid_of[places[begin]].replace(" × ", "×")
            style: Any = {"ha": "center", "va": "bottom", "fontsize": 7.5, "color": INK}
            axes.text(middle, 1.02, text, transform=axes.transAxes, **style)
        begin = at
    axes.grid(axis="y", color="#e4e3de")
    axes.set_xticks(range(len(places)), [""] * len(places))
