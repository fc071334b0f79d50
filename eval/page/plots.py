"""Plots of an evaluation as SVG: means with intervals, distributions beside controls, categories."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from vlx.eval.measures.drawn import Statistic
from vlx.eval.measures.statistics import Summary

INK, QUIET, OWN, CONTROL, THEIRS = "#1d1d1f", "#5d5d63", "#7a1f5c", "#8a8f98", "#b35900"
_BINS = 30
_MOST = 24  # categories in one plot


def means_plot(
    rows: Mapping[str, Summary], methods: Sequence[str], paper: Mapping[str, float], *, median: bool = False
) -> str:
    """The mean or median of each row with its 95 % interval by image; the paper's values as open diamonds."""
    shown = [(name, summary) for name, summary in rows.items() if summary.mean is not None]
    figure, axes = axes_of(7.2, 0.9 + 0.33 * len(shown))
    for row, (name, summary) in enumerate(shown):
        colour = OWN if name in methods else CONTROL
        middle, interval = (summary.mean, summary.interval)
        if median:
            middle, interval = summary.median, summary.median_interval
        if interval is not None and np.isfinite(interval).all():
            axes.plot(interval, [row, row], color=colour, linewidth=2.2, solid_capstyle="butt")
        axes.plot([middle], [row], "o", color=colour, markersize=6)
        if name in paper:
            axes.plot([paper[name]], [row], "D", mfc="none", mec=THEIRS, markersize=7)
    if axes.get_xlim()[0] < 0:  # differences, which 0 divides
        axes.axvline(0, color=QUIET, linewidth=0.8)
    axes.set_yticks(range(len(shown)), [f"{short(name)}  (n = {one.n})" for name, one in shown])
    axes.invert_yaxis()
    axes.set_xlabel(
        f"{'median' if median else 'mean'} and 95 % interval, resampling images"
        + ("; ◇ the paper" if paper else "")
    )
    axes.margins(y=0.08)
    axes.grid(axis="x", color="#e4e3de")
    return svg(figure)


def distribution_plot(
    scores: Mapping[str, Float[np.ndarray, " _item"]], methods: Sequence[str], *, ratio: bool = False
) -> str:
    """How the scores of the items are spread, one line for each method and control.

    With ``ratio`` the axis is logarithmic, and a ratio of 0 or infinity lies at its end.
    """
    filled = {name: values for name, values in scores.items() if len(values)}
    figure, axes = axes_of(7.2, 3.2)
    shown = {name: _on_axis(values, ratio) for name, values in filled.items()}
    everything = np.concatenate(list(shown.values())) if shown else np.zeros(1)
    low, high = float(everything.min()), float(everything.max())
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    styles = ["-", "--", "-.", ":"]
    for number, (name, values) in enumerate(shown.items()):
        heights = np.histogram(values, edges)[0] / len(values)
        own = name in methods
        axes.stairs(
            heights, edges, label=short(name), color=OWN if own else CONTROL,
            linestyle=styles[number % len(styles)], linewidth=2 if own else 1.3,
        )  # fmt: skip
    axes.set_xlabel("log2 of the ratio, cut at -8 and 8" if ratio else "score of an item")
    axes.set_ylabel("share of items")
    if shown:
        axes.legend(frameon=False, fontsize=8)
    return svg(figure)


def category_plot(groups: Mapping[str, Summary], *, median: bool = False) -> str:
    """The mean score of each category with its 95 % interval, or its median; the most frequent categories."""
    middles = {name: one.median if median else one.mean for name, one in groups.items()}
    heights = {name: value for name, value in middles.items() if value is not None and np.isfinite(value)}
    known = [(name, groups[name]) for name in heights]
    often = sorted(known, key=lambda pair: (-pair[1].n, pair[0]))[:_MOST]
    shown = sorted(often, key=lambda pair: (-heights[pair[0]], pair[0]))
    figure, axes = axes_of(7.2, 0.9 + 0.26 * len(shown))
    for row, (name, one) in enumerate(shown):
        axes.barh(row, heights[name], color=OWN, alpha=0.75, height=0.7)
        if one.interval is not None and not median:
            axes.plot(one.interval, [row, row], color=INK, linewidth=1.2)
    axes.set_yticks(range(len(shown)), [f"{short(name)}  (n = {one.n})" for name, one in shown])
    axes.invert_yaxis()
    axes.axvline(0, color=QUIET, linewidth=0.8)
    rest = len(known) - len(shown)
    what = "median score" if median else "mean score and 95 % interval"
    axes.set_xlabel(what + (f"; {rest} rarer categories not shown" if rest else ""))
    return svg(figure)


def statistics_plot(rows: Mapping[str, Statistic]) -> str:
    """Statistics that are no means, with their 95 % intervals by image."""
    shown = [(name, one) for name, one in rows.items() if one.value is not None]
    figure, axes = axes_of(7.2, 0.9 + 0.3 * len(shown))
    for row, (_, one) in enumerate(shown):
        if one.interval is not None:
            axes.plot(one.interval, [row, row], color=OWN, linewidth=2.2, solid_capstyle="butt")
        axes.plot([one.value], [row], "o", color=OWN, markersize=6)
    axes.set_yticks(
        range(len(shown)),
        [f"{short(name, 64)}  (n = {sum(one.counts.values())})" for name, one in shown],
    )
    axes.invert_yaxis()
    axes.axvline(0, color=QUIET, linewidth=0.8)
    axes.set_xlabel("value and 95 % interval, resampling images")
    axes.grid(axis="x", color="#e4e3de")
    return svg(figure)


def worth_plot(
    points: Sequence[tuple[str, float, float, tuple[float, float] | None]], what: str, *, ratio: bool = False
) -> str:
    """Worth against cost: of each method its name, its seconds over a bare forward, its worth, the interval.

    Names stand on the right in the order of the worth, each with a line to its point. With ``ratio`` the
    worth may be huge, and its axis is linear near 0 and logarithmic beyond.
    """
    from matplotlib.ticker import LogFormatter

    shown = sorted((one for one in points if np.isfinite(one[2])), key=lambda one: one[2])
    figure, axes = axes_of(7.2, max(3.4, 1.2 + 0.21 * len(shown)))
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(LogFormatter())
    axes.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.5)))
    if ratio:
        axes.set_yscale("symlog", linthresh=1.0)
    axes.axhline(0, color=QUIET, linewidth=0.8)
    for _, cost, worth, interval in shown:
        sure = interval is not None and interval[0] > 0
        if interval is not None and np.isfinite(interval).all():
            axes.plot([cost, cost], interval, color=OWN if sure else CONTROL, linewidth=1.6, alpha=0.7)
        axes.plot([cost], [worth], "o", color=OWN if sure else CONTROL, markersize=6)
    for number, (name, cost, worth, _) in enumerate(shown):
        axes.annotate(
            short(name), (cost, worth), xytext=(1.04, (number + 0.5) / len(shown)), fontsize=8, va="center",
            textcoords="axes fraction", color=INK, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": "#c9c8c2", "linewidth": 0.6, "shrinkB": 3},
        )  # fmt: skip
    axes.set_xlabel("seconds for all words, in bare forwards of the network (fewer is better)")
    axes.set_ylabel(f"{what}, 95 % interval by image")
    axes.grid(color="#e4e3de")
    axes.set_axisbelow(True)
    return svg(figure)


def _on_axis(values: Float[np.ndarray, " _item"], ratio: bool) -> Float[np.ndarray, " _item"]:
    if not ratio:
        return values
    with np.errstate(divide="ignore"):
        return np.clip(np.log2(values), -8, 8)


def axes_of(width: float, height: float, *, rows: int = 1) -> tuple[Any, Any]:
    """A figure of a size in inches, and its axes: one, or several over one another."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows)
    for one in figure.axes:
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(colors=INK, labelsize=9)
    return figure, axes


def svg(figure: Any) -> str:
    """The figure as SVG; the same figure gives the same text."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "vlx", "svg.fonttype": "path", "font.size": 9}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return buffer.getvalue()


def short(name: str, length: int = 38) -> str:
    """A label without what matplotlib would read as mathematics."""
    plain = name.replace("$", r"\$")
    return plain if len(plain) <= length else f"{plain[: length - 1]}…"
