"""Summaries: means with their errors beside the controls; JSON, Markdown, LaTeX."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from vlx.eval.items.faults import DAMAGED, FAILED, REFUSED, Fault, told
from vlx.eval.measures.drawn import Statistic
from vlx.eval.measures.statistics import Summary
from vlx.eval.runs.tables import latex_table, markdown_table, statistics_table


@dataclass(frozen=True, eq=False)
class Measured:
    """The summaries of one evaluation; every row of a table has the same items."""

    title: str
    protocol: str
    items: int
    images: int
    damaged: int
    """Items whose image or record is damaged."""
    alone: Mapping[str, Summary]
    """By the label of the row, items taken as independent."""
    by_image: Mapping[str, Summary]
    """The same with images as clusters."""
    paired: Mapping[str, Summary]
    """Score minus control, and minus wrong words, over the items where both have a finite value, with images
    as clusters."""
    categories: Mapping[str, Mapping[str, Summary]]
    """For each method, its score by category, with images as clusters."""
    over_categories: Mapping[str, Summary]
    """For each method the mean of its categories' means, or of their medians where these lead, with images as
    clusters."""
    faults: Mapping[str, Fault]
    """What could not be measured though it should, by the reason."""
    median: bool = False
    """Whether the median leads, the mean beside it."""
    between: Mapping[str, Summary] = field(default_factory=dict[str, Summary])
    """One method's score minus another's over the items that both score, with images as clusters: of every
    pair of up to four methods, of more each minus the first."""
    statistics: Mapping[str, Statistic] = field(default_factory=dict[str, Statistic])
    """What was asked for where it is no mean over items, by its labels; images are the clusters."""

    def __str__(self) -> str:
        return short(self)


def markdown(found: Measured) -> str:
    """A heading, the table with its protocol below, and the means over categories."""
    table = markdown_table(found.alone, protocol=found.protocol, by_image=found.by_image, median=found.median)
    parts = [f"{found.title}\n", *_statistics(found), table, _counts(found)]
    if found.paired:
        protocol = "as above; score minus control, over the items where both have a finite value"
        parts.append(markdown_table(found.paired, protocol=protocol, median=found.median))
    if found.between:
        protocol = "as above; one method's score minus another's, over the items that both score"
        parts.append(markdown_table(found.between, protocol=protocol, median=found.median))
    if found.over_categories and not found.statistics:
        what = "medians" if found.median else "scores"
        protocol = f"as above, then the mean over the {what} of categories, each counting once"
        parts.append(markdown_table(found.over_categories, protocol=protocol))
    return "\n".join(parts)


def _statistics(found: Measured) -> list[str]:
    return [statistics_table(found.statistics)] if found.statistics else []


def short(found: Measured) -> str:
    """The means, or the medians and the means, with the intervals of the first by image, for a terminal.

    Below them stand the differences of the methods.
    """
    numbers = ["median", "95% interval", "mean"] if found.median else ["mean", "95% interval"]
    rows: list[list[str]] = [["", *numbers, "n"]]
    for name, one in (*found.by_image.items(), *found.between.items()):
        first, interval = (one.median, one.median_interval) if found.median else (one.mean, one.interval)
        cells = [_short(first), _ends(interval)]
        more = [_short(one.mean)] if found.median else []
        rows.append([name, *cells, *more, str(one.n)])
    lines = _aligned(rows)
    if found.statistics:
        told = [["", "value", "95% interval", "n"]]
        told += [
            [name, _short(one.value), _ends(one.interval), str(sum(one.counts.values()))]
            for name, one in found.statistics.items()
        ]
        lines = [*_aligned(told), "", *lines]
    return "\n".join([found.title, *(f"  {line}".rstrip() for line in lines)]) + "\n"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Cells as lines, the first column from the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left, *right = widths
    return [
        "  ".join([name.ljust(left), *(cell.rjust(width) for cell, width in zip(cells, right, strict=True))])
        for name, *cells in rows
    ]


def _ends(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def latex(found: Measured) -> str:
    """The table for a paper."""
    return latex_table(found.alone, protocol=found.protocol, by_image=found.by_image, median=found.median)


def as_json(found: Measured, settings: Mapping[str, Any]) -> str:
    """Everything of the summaries as JSON; the same rows give the same bytes."""
    facts = {
        "title": found.title,
        "protocol": found.protocol,
        "settings": dict(settings),
        "items": found.items,
        "images": found.images,
        "damaged": found.damaged,
        "faults": {reason: asdict(one) for reason, one in sorted(found.faults.items())},
        "leads": "median" if found.median else "mean",
        "rows": {
            name: {"items": _plain(summary), "by_image": _plain(found.by_image[name])}
            for name, summary in found.alone.items()
        },
        "paired": {name: _plain(one) for name, one in found.paired.items()},
        "between": {name: _plain(one) for name, one in found.between.items()},
        "over_categories": {name: _plain(one) for name, one in found.over_categories.items()},
        "categories": {
            method: {name: _plain(one) for name, one in groups.items()}
            for method, groups in found.categories.items()
        },
    }
    if found.statistics:
        facts["statistics"] = {name: asdict(one) for name, one in found.statistics.items()}
    return json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str) -> tuple[Measured, dict[str, Any]]:
    """What `as_json` wrote: the summaries and the settings."""
    facts: dict[str, Any] = json.loads(text)
    found = Measured(
        title=facts["title"],
        protocol=facts["protocol"],
        items=facts["items"],
        images=facts["images"],
        damaged=facts["damaged"],
        median=facts.get("leads") == "median",
        alone={name: _summary(row["items"]) for name, row in facts["rows"].items()},
        by_image={name: _summary(row["by_image"]) for name, row in facts["rows"].items()},
        paired={name: _summary(one) for name, one in facts["paired"].items()},
        categories={
            method: {name: _summary(one) for name, one in groups.items()}
            for method, groups in facts["categories"].items()
        },
        over_categories={name: _summary(one) for name, one in facts["over_categories"].items()},
        faults={reason: Fault(**one) for reason, one in facts.get("faults", {}).items()},
        between={name: _summary(one) for name, one in facts.get("between", {}).items()},
        statistics={name: _statistic(one) for name, one in facts.get("statistics", {}).items()},
    )
    return found, facts["settings"]


def _counts(found: Measured) -> str:
    text = f"Items: {found.items}; images: {found.images}; damaged images or records: {found.damaged}.\n"
    lines = fault_lines(found)
    return "\n".join([text, *(f"- {line}" for line in lines), ""]) if lines else text


def fault_lines(found: Measured) -> list[str]:
    """A line for each reason of what is damaged, not taken by the model, or failed, with the first item."""
    kinds = (
        ("damaged data", DAMAGED),
        ("not taken by the model", REFUSED),
        ("failed on this item", FAILED),
    )
    return [f"{kind}: {line}" for kind, reasons in kinds for line in told(found.faults, reasons)]


def _plain(summary: Summary) -> dict[str, Any]:
    """JSON has no infinity: an infinite median is written as text."""
    facts = {**asdict(summary), "left_out": dict(summary.left_out), "seen": summary.seen}
    if summary.median_interval is None:
        del facts["median_interval"]
    else:
        facts["median_interval"] = [_finite(value) for value in summary.median_interval]
    return {name: _finite(value) for name, value in facts.items()}


def _finite(value: Any) -> Any:
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def _statistic(facts: Mapping[str, Any]) -> Statistic:
    interval: Sequence[float] | None = facts["interval"]
    told: dict[str, Any] = {**facts, "interval": None if interval is None else (interval[0], interval[1])}
    return Statistic(**told)


def _summary(facts: Mapping[str, Any]) -> Summary:
    kept = {name: value for name, value in facts.items() if name != "seen"}
    kept["median"] = None if kept["median"] is None else float(kept["median"])
    interval: Sequence[float] | None = kept["interval"]
    kept["interval"] = None if interval is None else (interval[0], interval[1])
    if (middle := kept.get("median_interval")) is not None:
        kept["median_interval"] = (float(middle[0]), float(middle[1]))
    return Summary(**kept)
