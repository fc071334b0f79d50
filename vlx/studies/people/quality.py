"""Which of two models is better on some data, and where both are right."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vlx.eval.items.class_choice import classes_of
from vlx.scenes.class_scores import average_precision
from vlx.studies.kept import Facts
from vlx.studies.people.found_images import Shown, class_scores_of, labels_of, read_image


def scored(models: Sequence[Any], shown: Shown, categories: Sequence[str], names: Sequence[Any]) -> Facts:
    """The score that each model gives each category, and the category of its likeliest class ("" for none).

    ``names`` are those that a model may have each category by; a category that it does not have has none.
    """
    image = shown.image()
    scores: list[list[float | None]] = []
    best: list[str] = []
    for model in models:
        run = read_image(model, image)
        logits, labels = class_scores_of(run), labels_of(run)
        mine = [classes_of(one, labels) for one in names]
        scores.append([float(logits[list(places)].max()) if places else None for places in mine])
        likeliest = int(logits.argmax())
        best.append(next((c for c, places in zip(categories, mine, strict=True) if likeliest in places), ""))
    return {"scores": scores, "best": best, "there": list(shown.names)}


def qualities(rows: Sequence[Facts], categories: Sequence[str]) -> list[float]:
    """The mean average precision of each model, over the categories that both have and some image shows."""
    there = np.array([[one in row["there"] for one in categories] for row in rows])
    found: list[float] = []
    known = [
        at
        for at in range(len(categories))
        if there[:, at].any() and all(one[at] is not None for one in rows[0]["scores"])
    ]
    for model in range(len(rows[0]["scores"])):
        columns = [np.array([row["scores"][model][at] for row in rows]) for at in known]
        each = [average_precision(c, there[:, at]) for c, at in zip(columns, known, strict=True)]
        found.append(float(np.mean(each)) if each else 0.0)
    return found


def agreed(row: Facts) -> str:
    """The category of the likeliest class of all models, where the image shows it; else empty.

    >>> agreed({"best": ["dog", "dog"], "there": ["cat", "dog"]})
    'dog'
    """
    first, *others = row["best"]
    return first if first in row["there"] and all(one == first for one in others) else ""
