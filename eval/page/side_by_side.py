"""Tables that set several rows of an evaluation beside one another, as the paper prints them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vlx.eval.baselines import notice_of
from vlx.eval.items.rows import SCORE
from vlx.eval.measures.statistics import Summary
from vlx.eval.page.methods_table import number
from vlx.eval.page.paper import paper_value
from vlx.eval.runs.methods import name_in
from vlx.eval.runs.summary import Measured, from_json
from vlx.eval.tasks.classes_occlusion import CLASSES_OCCLUSION
from vlx.eval.tasks.localisation import LOCALISATION
from vlx.methods.occlusion.windows import SIZE, SIZES

Cells = list[list[str]]


def spanned(one: Summary | None) -> str:
    """A mean with its interval by image as text."""
    if one is None:
        return ""
    told = number(one.mean)
    return told if one.interval is None else f"{told} [{number(one.interval[0])}, {number(one.interval[1])}]"


def masks_table(found: Measured, methods: Sequence[str], window: int | None = None) -> Cells:
    """Faithfulness on classes: a row for each method and the controls, a column for each size of the mask."""
    task, rows = CLASSES_OCCLUSION, found.by_image
    usual = f"{SIZE}" if window is None else f"{window}"
    lines = [
        ["mask", *(usual if size == SIZE else f"{size}" for size in SIZES), "own − wrong", "n", "the paper"]
    ]
    for name in methods:
        told = [
            spanned(rows.get(task.label(SCORE if size == SIZE else f"mask_{size}", name))) for size in SIZES
        ]
        value = paper_value(task.name, "classifier", name)
        wrong = rows.get(task.label("own_minus_wrong", name))
        count = str(rows[task.label(SCORE, name)].n)
        lines.append([name, *told, spanned(wrong), count, number(None if value is None else value.value)])
    prior = [
        spanned(rows.get(task.label("centre_prior" if size == SIZE else f"centre_mask_{size}", "")))
        for size in SIZES
    ]
    lines.append(["centre prior", *prior, "", str(rows["centre prior"].n), ""])
    others = [(name.replace("_", " "), task.label(name, "")) for name in ("random_map", "mean_activation")]
    others += [(f"{name}, random weights", task.label("random_weights", name)) for name in methods]
    for name, label in others:
        told = [spanned(rows.get(label)) if size == SIZE else "" for size in SIZES]
        lines.append([name, *told, "", str(rows[label].n), ""])
    return lines


def localisation_table(parts: Iterable[tuple[Measured, Mapping[str, Any]]]) -> Cells:
    """Localisation of several models and methods, as in the paper's Table 1: errors, low is good."""
    task = LOCALISATION
    lines = [
        [
            "model", "method", "classification top 1", "top 5", "localisation top 1", "top 5", "known class",
            "best threshold", "n", "the paper, top 1",
        ]
    ]  # fmt: skip
    for found, settings in parts:
        rows = found.by_image
        classes = [spanned(rows.get(task.label(name, ""))) for name in ("class_top_1", "class_top_5")]
        for name in map(name_in, settings["methods"]):
            own = [
                spanned(rows.get(task.label(one, name)))
                for one in (SCORE, "top_5", "known_class", "best_threshold")
            ]
            value = paper_value(task.name, "classifier", name)
            count = str(rows[task.label(SCORE, name)].n)
            paper = number(None if value is None else value.value)
            lines.append([settings["model"], name, *classes, *own, count, paper])
        prior = [
            spanned(rows.get(task.label(one, "")))
            for one in ("centre_prior", "centre_top_5", "centre_known_class", "centre_best_threshold")
        ]
        lines.append([settings["model"], "centre prior", *classes, *prior, str(rows["centre prior"].n), ""])
    return lines


def notice_below(cells: Cells) -> str:
    """The notice of patented methods that stand in a table; empty where there are none."""
    return notice_of(cell for line in cells for cell in line[:2])


def as_markdown(cells: Cells) -> str:
    """A table as Markdown, with the notice of patented methods below it."""
    head, *body = cells
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    notice = notice_below(cells)
    return f"{text}\n" + (f"\nNotice: {notice}.\n" if notice else "")


def masks_of(folder: Path) -> str:
    """The sizes of the mask beside one another, of the finished evaluation in a folder."""
    found, settings = from_json((folder / "summary.json").read_text(encoding="utf-8"))
    names = list(map(name_in, settings["methods"]))
    return as_markdown(masks_table(found, names, settings.get("option window")))
