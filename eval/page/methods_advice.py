"""What follows from a table of all methods: which one to use, and everything as Markdown and JSON."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from vlx.eval.measures.statistics import Summary
from vlx.eval.page.methods_table import (
    Column,
    MethodsTable,
    by_cost,
    cells,
    note,
    number,
    ratio_of,
    times,
)

LESS = 0.9
"""A method that costs less than this part of another's is told to be cheaper."""


def advice(table: MethodsTable) -> list[str]:
    """Which method to use on this model, as the numbers say; nothing where nothing was measured.

    Evaluations with wrong words decide where there are any. The method that is sure in most of them is named,
    of several the one of the best mean rank; and the cheapest sure one, where that is another.
    """
    deciding = [one for one in table.columns if one.wrong] or list(table.columns)
    names = [name for name in by_cost(table) if any(name in one.worth for one in deciding)]
    if not names:
        return []
    what = deciding[0].decides
    counts = {name: sum(one.sure(name) for one in deciding) for name in names}
    if not max(counts.values()):
        return [
            f"No method is sure: {what} may be 0 for each of {len(names)} in "
            f"{_listed([one.task.name for one in deciding])}. Measure more images."
        ]
    ranks = {name: fmean(_rank(one, names, name) for one in deciding) for name in names}
    best = min(names, key=lambda name: (-counts[name], ranks[name]))
    lines = [f"Use {best}: {_sure_in(table, deciding, best, counts[best])}"]
    sure = [name for name in names if counts[name]]
    cheapest = sure[0]
    if cheapest != best and ratio_of(table, cheapest) < LESS * ratio_of(table, best):
        lines.append(f"For less: {cheapest}: {_sure_in(table, deciding, cheapest, counts[cheapest])}")
    return lines


def _sure_in(table: MethodsTable, deciding: Sequence[Column], name: str, count: int) -> str:
    told = [
        f"{one.task.name} {number(value, 3)} [{number(interval[0], 3)}, {number(interval[1], 3)}]"
        for one in deciding
        if one.sure(name)
        for value, interval in (one.decided(name),)
        if interval is not None
    ]
    cost = table.costs.get(name)
    paid = "" if cost is None else f"; {times(cost.ratio)} × a forward"
    return (
        f"{deciding[0].decides} is surely above 0 in {count} of {len(deciding)} evaluation(s) "
        f"({', '.join(told)}){paid}.{''.join(_below_control(one, name) for one in deciding)}"
    )


def _below_control(one: Column, name: str) -> str:
    """A sentence where a map that knows nothing of the word is scored better, on as many images."""
    worth = one.worth.get(name)
    mine = None if worth is None else one.middle(worth.score)[0]
    if worth is None or mine is None:
        return ""
    known = {
        control: one.middle(summary)[0]
        for control, summary in one.controls.items()
        if control.startswith("control: ") and summary.clusters == worth.score.clusters
    }
    better = {control: value for control, value in known.items() if value is not None and value > mine}
    if not better:
        return ""
    control = max(better, key=lambda name: better[name])
    of = control.removeprefix("control: ")
    return f" Its {one.task.name} {number(mine, 3)} lies below that of {of}, {number(better[control], 3)}."


def _rank(one: Column, names: Sequence[str], name: str) -> int:
    """The place of a method in an evaluation, from 0; the last where it has no value."""
    values = [one.decided(other)[0] for other in names]
    mine = one.decided(name)[0]
    if mine is None:
        return len(names)
    return sum(value is not None and value > mine for value in values)


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def markdown(table: MethodsTable) -> str:
    """The table with how to read it, what was left out, and the advice."""
    lines = cells(table)
    lines.insert(1, ["---", *["---:"] * (len(lines[0]) - 1)])
    text = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    parts = [f"Methods of {table.model} at layer {table.layer}\n", f"{text}\n", f"{note(table)}.\n"]
    parts += [f"- {name}: not measured: {reason}" for name, reason in table.left_out.items()]
    parts += ["", *(f"**{line}**\n" for line in advice(table))]
    return "\n".join(parts)


def plain(table: MethodsTable) -> dict[str, Any]:
    """Everything as JSON holds it."""
    return {
        "model": table.model,
        "layer": table.layer,
        "example": table.example,
        "costs": {name: asdict(cost) for name, cost in table.costs.items()},
        "left_out": dict(table.left_out),
        "evaluations": [_of_column(one) for one in table.columns],
        "note": note(table),
        "advice": advice(table),
    }


def _of_column(one: Column) -> dict[str, Any]:
    def told(summary: Summary | None) -> dict[str, Any] | None:
        if summary is None:
            return None
        value, interval = one.middle(summary)
        ends = None if interval is None else [_finite(end) for end in interval]
        return {
            "value": _finite(value),
            "interval": ends,
            "n": summary.n,
            "images": summary.clusters,
            "left_out": dict(summary.left_out),
        }

    return {
        "task": one.task.name,
        "title": one.title,
        "protocol": one.protocol,
        "leads": "median" if one.task.median else "mean",
        "decides": "own minus wrong" if one.wrong else "above controls",
        "methods": {
            name: {
                "score": told(worth.score),
                "decides": told(worth.decides),
                "against": worth.against,
                "sure": one.sure(name),
            }
            for name, worth in one.worth.items()
        },
        "controls": {name: told(summary) for name, summary in one.controls.items()},
    }


def _finite(value: float | None) -> float | str | None:
    return str(value) if value is not None and not math.isfinite(value) else value
