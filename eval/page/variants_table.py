"""The tables of variants as text, Markdown and JSON."""

from dataclasses import asdict
from typing import Any

from vlx.eval.measures.statistics import Summary
from vlx.eval.page.methods_table import number
from vlx.eval.page.variants import Column, Variant, VariantsTable
from vlx.eval.runs.tables import table_note

_LESS = "− reference"
_KNOWN = "known class"


def cells(table: VariantsTable, one: Column, digits: int = 3) -> list[list[str]]:
    """One evaluation as text, its head first: the variants in their order, then the controls."""
    some = next(iter(one.worth.values()))
    wrong = any(worth.wrong is not None for worth in one.worth.values())
    head = [
        "",
        *table.facts,
        one.task.name,
        _LESS,
        *(["the paper"] if one.paper else []),
    ]
    head += [
        *(name for key in some.more for name in ([key, _LESS] if key == _KNOWN else [key])),
        *(["own − wrong"] if wrong else []),
        *(name.replace("_", " ") for name in some.beside),
        "n",
    ]
    lines = [head]
    for variant in table.variants:
        mine = one.worth.get(variant.name)
        if mine is None:
            continue
        line = [variant.name, *variant.facts, spanned(one, mine.score, digits)]
        line.append("reference" if mine.difference is None else sure(one, mine.difference, digits))
        line += _of_paper(one, variant, digits)
        for key, value in mine.more.items():
            line.append(number(one.middle(value)[0], digits))
            if key == _KNOWN:
                line.append("reference" if mine.known is None else sure(one, mine.known, digits))
        line += [sure(one, mine.wrong, digits) if mine.wrong is not None else "–"] if wrong else []
        line += [number(one.middle(value)[0], digits) for value in mine.beside.values()]
        lines.append([*line, _count(mine.score)])
    for name, (score, more) in one.controls.items():
        line = [name, *("" for _ in table.facts), spanned(one, score, digits), ""]
        line += [""] if one.paper else []
        for key in some.more:
            line.append(number(one.middle(more[key])[0], digits) if key in more else "")
            line += [""] if key == _KNOWN else []
        lines.append([*line, *("" for _ in range(len(head) - len(line) - 1)), str(score.n)])
    return lines


def _count(one: Summary) -> str:
    """How many items have a score, and why others have none."""
    why = ", ".join(f"{reason} {count}" for reason, count in one.left_out.items())
    return f"{one.n} ({why})" if why else str(one.n)


def _of_paper(one: Column, variant: Variant, digits: int) -> list[str]:
    if not one.paper:
        return []
    mine, base = one.paper.get(variant.name), one.paper.get(variant.reference)
    if mine is None or base is None or variant.name == variant.reference:
        return [number(mine, digits)]
    less = number(mine - base, digits)
    return [f"{number(mine, digits)} ({'' if mine < base else '+'}{less})"]


def spanned(one: Column, summary: Summary, digits: int = 3) -> str:
    """A value with its interval as text."""
    value, interval = one.middle(summary)
    told = number(value, digits)
    return (
        told if interval is None else f"{told} [{number(interval[0], digits)}, {number(interval[1], digits)}]"
    )


def sure(one: Column, summary: Summary, digits: int = 3) -> str:
    """A difference with its interval, marked where all of it lies on one side of 0."""
    _, interval = one.middle(summary)
    marked = interval is not None and (interval[0] > 0 or interval[1] < 0)
    return f"{spanned(one, summary, digits)}{' *' if marked else ''}"


def note(table: VariantsTable, one: Column) -> str:
    """How the table of an evaluation is to be read."""
    rows = {name: worth.score for name, worth in one.worth.items()}
    rows = {variant.method: rows[variant.name] for variant in table.variants if variant.name in rows}
    references = dict.fromkeys(variant.reference for variant in table.variants)
    return (
        f"{one.title}. {table.note} − reference: the score less that of {' or '.join(references)}, over the "
        "items that both score; in brackets the 95 % bootstrap interval by image, * where all of it lies on "
        "one side of 0. Random weights and mean activation: the same map with shuffled weights, and the "
        f"features alone, of each row. {table_note(rows, one.protocol)}"
    )


def markdown(table: VariantsTable) -> str:
    """Every evaluation's table with how to read it, and what was left out."""
    parts = [f"# {table.what}: {table.model}\n"]
    for one in table.columns:
        lines = cells(table, one)
        lines.insert(1, ["---", *["---:"] * (len(lines[0]) - 1)])
        text = "\n".join(
            "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
        )
        parts += [f"## {one.task.name}\n", f"{text}\n", f"{note(table, one)}\n"]
    parts += [f"- {name}: not measured: {reason}" for name, reason in table.left_out.items()]
    return "\n".join(parts).rstrip() + "\n"


def plain(table: VariantsTable) -> dict[str, Any]:
    """Everything but the pictures as JSON holds it."""

    def told(one: Column, summary: Summary | None) -> dict[str, Any] | None:
        if summary is None:
            return None
        value, interval = one.middle(summary)
        ends = None if interval is None else list(interval)
        return {"value": value, "interval": ends, "n": summary.n, "images": summary.clusters}

    return {
        "model": table.model,
        "what": table.what,
        "left_out": dict(table.left_out),
        "variants": [asdict(one) for one in table.variants],
        "evaluations": [
            {
                "task": one.task.name,
                "title": one.title,
                "protocol": one.protocol,
                "note": note(table, one),
                "paper": dict(one.paper),
                "variants": {
                    name: {
                        "score": told(one, worth.score),
                        "minus_reference": told(one, worth.difference),
                        "known_class_minus_reference": told(one, worth.known),
                        "own_minus_wrong": told(one, worth.wrong),
                        **{
                            key: told(one, value)
                            for key, value in (*worth.more.items(), *worth.beside.items())
                        },
                    }
                    for name, worth in one.worth.items()
                },
                "controls": {name: told(one, score) for name, (score, _) in one.controls.items()},
            }
            for one in table.columns
        ],
    }
