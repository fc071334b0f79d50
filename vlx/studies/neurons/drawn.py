"""What the study draws: decisions in neurons, what neurons stand out in, detectors counted."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vlx.images.files import open_image
from vlx.studies.found import Picture
from vlx.studies.neurons.agreement import PERMUTED, SHUFFLED_WEIGHTS
from vlx.studies.neurons.concepts import Labelled, MaskData
from vlx.studies.neurons.decisions import Decision
from vlx.studies.neurons.explained import sentence, tell
from vlx.studies.neurons.features import reader, seen_images
from vlx.studies.neurons.named import Named, Neurons
from vlx.studies.neurons.names import PAPER, Names, called, detectors
from vlx.studies.neurons.pictures import (
    Explained,
    Photo,
    decisions_figure,
    detectors_figure,
    units_figure,
)

_UNITS = 8  # neurons in the figure of them
_IMAGES = 4  # of each


def study_pictures(
    settings: Neurons,
    of: Named,
    other: Named | None,
    data: MaskData,
    decisions: Sequence[Decision],
    names: Callable[[str], Names],
) -> list[Picture]:
    """The figures of the study; names of an image are those that it had no part in."""
    found: list[Picture] = []
    shown = _examples(settings, of, data, decisions, names)
    if shown:
        said = " ".join(sentence(one.target, one.found) for one in shown)
        found.append(Picture(f"Decisions told in neurons. {said}", decisions_figure(shown)))
    units = _best_of_each(of.names, len(of.found.thresholds))
    if units:
        best = best_photos(settings, of, units)
        rows = [(unit, _title(of.names, unit), best[unit]) for unit in units]
        found.append(
            Picture(
                "Neurons of the highest IoU with the images in which they are most active, dim below their "
                "thresholds",
                units_figure(rows, of.found.thresholds),
            )
        )
    counts = {"own labels": of.names, PERMUTED: of.permuted}
    if other is not None:
        counts[SHUFFLED_WEIGHTS] = other.names
    by = {name: _by_category(one, of.data) for name, one in counts.items()}
    found.append(
        Picture(
            f"Units that are detectors by an IoU above {PAPER:g}, by category, beside names that mean "
            "nothing",
            detectors_figure(by, len(of.names)),
        )
    )
    return found


def photo_of(settings: Neurons, model: Any, image: Labelled) -> Photo | None:
    """An image with what the layer gives of it; None where it cannot be read."""
    seen = next(seen_images(reader(model, settings.question), [image], _unread), None)
    return None if seen is None else Photo(open_image(image.path), seen.features, seen.frame)


def _unread(_reason: str, _detail: str) -> None:
    """Of what cannot be read there is no picture."""


def best_photos(settings: Neurons, of: Named, units: Sequence[int]) -> Mapping[int, Sequence[Photo]]:
    """The images in which each unit is most active, of those that named neurons."""
    ids = list(of.found.part_of)
    images = {one.id: one for one in of.data.images}
    wanted = {unit: [ids[at] for at in of.found.best[unit][:_IMAGES] if at >= 0] for unit in units}
    every = list(dict.fromkeys(name for some in wanted.values() for name in some))
    photos = {name: photo_of(settings, of.model, images[name]) for name in every if name in images}
    return {
        unit: [photo for name in some if (photo := photos.get(name)) is not None]
        for unit, some in wanted.items()
    }


def _examples(
    settings: Neurons,
    of: Named,
    data: MaskData,
    decisions: Sequence[Decision],
    names: Callable[[str], Names],
) -> list[Explained]:
    """The first decisions for different things, of different images."""
    images = {one.id: one for one in data.images}
    chosen: dict[str, Decision] = {}
    for one in decisions:
        if one.target not in chosen and one.image not in {kept.image for kept in chosen.values()}:
            chosen[one.target] = one
        if len(chosen) == settings.examples:
            break
    found: list[Explained] = []
    for one in chosen.values():
        photo = photo_of(settings, of.model, images[one.image])
        if photo is not None:
            mine = tell(one.importance, names(one.image), settings.telling, one.activity)
            found.append(Explained(photo, one.target, one.importance, mine, one.text))
    return found


def _best_of_each(names: Names, units: int) -> list[int]:
    """Units of different names, the best of each, those of the highest IoU, at least one of each category."""
    order = sorted(detectors(names, PAPER), key=lambda unit: -_iou(names, unit))
    first: dict[Any, int] = {}
    for unit in order:
        first.setdefault(called(names, unit, PAPER), unit)
    categories: dict[str, int] = {}
    for concept, unit in first.items():
        categories.setdefault(concept.category, unit)
    rest = [unit for unit in first.values() if unit not in categories.values()]
    return [*categories.values(), *rest][: min(_UNITS, units)]


def _iou(names: Names, unit: int) -> float:
    name = names[unit]
    return 0.0 if name is None else name.iou


def _title(names: Names, unit: int) -> str:
    concept = called(names, unit, PAPER)
    assert concept is not None
    return f"unit {unit}: {concept.shown} ({concept.category}), IoU {_iou(names, unit):.2f}"


def _by_category(names: Names, data: MaskData) -> dict[str, int]:
    found = Counter(
        one.category for unit in detectors(names, PAPER) if (one := called(names, unit, PAPER)) is not None
    )
    return {**dict.fromkeys(data.categories, 0), **found}
