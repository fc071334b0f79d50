"""Seeds of images from the maps of a classifier."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vlx.errors import VlxError
from vlx.eval.items.class_seeds import background_planes, class_planes, likeliest, places_of
from vlx.eval.measures.maps import Map, Mask
from vlx.eval.measures.seeds import (
    BACKGROUND,
    FOREGROUND,
    Confusion,
    Labels,
    background,
    confusion,
    foreground,
    on_pixels,
    seeds_of,
)
from vlx.images.files import open_image
from vlx.methods.values import Method
from vlx.segmentation.cues import Cues
from vlx.segmentation.pictures import Pictures, shown_of


def class_seeds(
    pictures: Pictures,
    model: Any,
    method: Method,
    nothing: Sequence[Mask],
    grid: tuple[int, int],
    *,
    share: float = FOREGROUND,
    batch: int = 16,
    tell: Callable[[int], None] = lambda _done: None,
) -> Cues:
    """The seeds of all images: of each class that an image shows and the model has, and of the background.

    ``nothing`` are the cells of the background of each image. Raises VlxError where the model has none of the
    classes.
    """
    labels = getattr(model, "labels", ())
    places = {at: places_of(name, labels) for at, name in enumerate(pictures.names, 1)}
    if not any(places.values()):
        raise VlxError(f"{model.name} has none of the classes {', '.join(pictures.names[:5])}, …")
    found: list[Labels] = []
    for start in range(0, len(pictures.images), batch):
        rows = range(start, min(start + batch, len(pictures.images)))
        passed = model.read([open_image(pictures.images[row].path) for row in rows])
        kinds = [[kind for kind in pictures.shown[row] if places[kind]] for row in rows]
        asked = [[likeliest(passed, at, places[kind]) for kind in mine] for at, mine in enumerate(kinds)]
        (planes,) = class_planes(passed, asked, [method], grid)
        for row, mine, drawn in zip(rows, kinds, planes, strict=True):
            found.append(_seeds(mine, drawn, nothing[row], share))
        tell(len(found))
    return Cues(pictures.ids, np.stack(found), shown_of(pictures))


def _seeds(kinds: Sequence[int], planes: Sequence[Map], nothing: Mask, share: float) -> Labels:
    cells = {kind: foreground(plane, share) for kind, plane in zip(kinds, planes, strict=True)}
    return seeds_of(cells, nothing)


def background_seeds(
    pictures: Pictures, model: Any, grid: tuple[int, int], *, share: float = BACKGROUND, batch: int = 16
) -> list[Mask]:
    """The cells of the background of each image: where the sum of all classes' logits changes least."""
    found: list[Mask] = []
    for start in range(0, len(pictures.images), batch):
        some = pictures.images[start : start + batch]
        passed = model.read([open_image(one.path) for one in some])
        found += [background(plane, share, seen) for plane, seen in background_planes(passed, grid)]
    return found


def quality_of(pictures: Pictures, cues: Cues) -> Confusion:
    """One confusion matrix of seeds over the pixels of all images."""
    classes = len(pictures.names)
    total = np.zeros((classes + 1, classes + 2), dtype=np.int64)
    for at, labels in enumerate(cues.labels):
        truth = pictures.truth(at)
        total += confusion(truth, on_pixels(labels, (truth.shape[0], truth.shape[1])), classes)
    return total
