"""Names of neurons, and the tables in which Network Dissection keeps them.

``<layer>-result.csv`` of NetDissect and ``tally.csv`` of NetDissect-Lite are alike: a row a unit, sorted by
score, units counted from 1, with the best concept of all and of each category.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vlx.eval.data.records import DataError
from vlx.images.files import write_whole
from vlx.studies.neurons.concepts import Concept
from vlx.studies.neurons.tables import read_table
from vlx.studies.neurons.tally import Counts, iou, places_of_categories

DETECTOR = 0.04
"""Above this IoU both codes of Network Dissection call a unit a detector."""
PAPER = 0.05
"""Above this one the paper tells its name (section 7, footnote 7)."""


@dataclass(frozen=True)
class Name:
    """The concept that a unit agrees with best."""

    concept: Concept
    iou: float


Names = tuple[Name | None, ...]
"""Of each unit of a layer, by its channel; None of one that agrees with nothing."""


def names_from(counts: Counts, concepts: Sequence[Concept], least_images: int = 1) -> Names:
    """The concept of the highest IoU of each unit; of equal ones the first.

    Concepts that fewer than ``least_images`` images show name nothing. A unit that is nowhere above its
    threshold, such as a dead one, or where no concept is, has no name.
    """
    categories = tuple(dict.fromkeys(one.category for one in concepts))
    scores = iou(counts, places_of_categories(concepts, categories))
    scores = np.where(counts.images >= least_images, scores, 0.0)
    best = scores.argmax(1)
    found = scores[np.arange(len(scores)), best]
    return tuple(
        Name(concepts[at], float(score)) if score > 0 else None for at, score in zip(best, found, strict=True)
    )


def called(names: Names, unit: int, least: float) -> Concept | None:
    """What a unit detects by an IoU above ``least``; None where it is no detector."""
    name = names[unit]
    return name.concept if name is not None and name.iou > least else None


def detectors(names: Names, least: float = DETECTOR) -> list[int]:
    """The units whose IoU is above ``least``.

    >>> from vlx.studies.neurons.concepts import Concept
    >>> detectors((Name(Concept("object", "dog"), 0.2), Name(Concept("object", "cat"), 0.01), None))
    [0]
    """
    return [unit for unit in range(len(names)) if called(names, unit, least) is not None]


def write_names(path: Path, counts: Counts, concepts: Sequence[Concept], least_images: int = 1) -> Path:
    """Write names as NetDissect does: ``unit`` from 1, ``category``, ``label`` and ``score`` of the best
    concept, then label, truth, activation, intersection and IoU of the best of each category; the best unit
    first.

    A unit without a name has an empty label and the score 0, as in NetDissect-Lite.
    """
    categories = tuple(dict.fromkeys(one.category for one in concepts))
    of = places_of_categories(concepts, categories)
    scores = np.where(counts.images >= least_images, iou(counts, of), 0.0)
    names = names_from(counts, concepts, least_images)
    parts = ("label", "truth", "activation", "intersect", "iou")
    head = ["unit", "category", "label", "score", *(f"{one}-{part}" for one in categories for part in parts)]
    order = sorted(range(len(names)), key=lambda unit: (-_score(names[unit]), unit))
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(head)
    for unit in order:
        name = names[unit]
        first = ("", "") if name is None else (name.concept.category, name.concept.name)
        row: list[object] = [unit + 1, *first, _score(name)]
        for place in range(len(categories)):
            mine = [at for at, category in enumerate(of) if category == place]
            best = max(mine, key=lambda at: (scores[unit, at], -at))
            row += _of_category(counts, concepts, unit, best, place, float(scores[unit, best]))
        writer.writerow(row)
    write_whole(path, written.getvalue().encode())
    return path


def _of_category(
    counts: Counts, concepts: Sequence[Concept], unit: int, best: int, place: int, score: float
) -> list[object]:
    label = concepts[best].name if score > 0 else ""
    found = counts.truth[best], counts.active[unit, place], counts.intersect[unit, best]
    return [label, *map(float, found), score]


def _score(name: Name | None) -> float:
    return 0.0 if name is None else name.iou


def read_names(path: str | Path, units: int | None = None) -> Names:
    """The names of a table that NetDissect, NetDissect-Lite or `write_names` wrote, by channel.

    ``units`` is how many channels the layer has. Raises DataError unless the table has each unit from 1 on
    once, as many as channels, with finite scores from 0 to 1.
    """
    file = Path(path)
    _, rows = read_table(file, ("unit", "category", "label", "score"))
    found: dict[int, Name | None] = {}
    for number, row in enumerate(rows, 2):
        unit, score = _numbers(row, f"{file}: line {number}")
        if unit in found:
            raise DataError(f"{file}: line {number}: unit {unit} stands twice")
        label, category = row["label"].strip(), row["category"].strip()
        found[unit] = Name(Concept(category, label), score) if label and score > 0 else None
    if sorted(found) != list(range(1, len(found) + 1)):
        raise DataError(f"{file}: {len(found)} units that are not those from 1 to {len(found)}")
    if not found or (units is not None and len(found) != units):
        layer = "" if units is None else f": the layer has {units} channels; names of another layer or model"
        raise DataError(f"{file} names {len(found)} units{layer}")
    return tuple(found[unit] for unit in sorted(found))


def _numbers(row: Mapping[str, str], where: str) -> tuple[int, float]:
    try:
        unit, score = float(row["unit"]), float(row["score"])
    except ValueError:
        raise DataError(
            f"{where}: unit {row['unit'][:20]!r} and score {row['score'][:20]!r} are no numbers"
        ) from None
    if not (math.isfinite(unit) and unit.is_integer() and unit >= 1):
        raise DataError(f"{where}: unit {row['unit'][:20]!r}: expected a whole number from 1 on")
    if not 0 <= score <= 1:  # NaN too
        raise DataError(f"{where}: score {row['score'][:20]!r}: expected an IoU of 0 to 1")
    return int(unit), score


def scores_of(names: Names) -> Float[np.ndarray, " unit"]:
    """The IoU of each unit's name; 0 without one."""
    return np.array([_score(name) for name in names])
