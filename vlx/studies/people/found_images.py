"""Which images of a data folder a study can use: their categories, and a model's classes for these."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image

from vlx.errors import VlxError
from vlx.eval.data.folder import DataFolder
from vlx.eval.items.class_choice import classes_of
from vlx.eval.items.class_sources import class_items
from vlx.eval.items.item import Item, seed_of
from vlx.eval.items.models import type_of
from vlx.eval.items.options import Options
from vlx.eval.items.truth import Boxes, Segments, region_of
from vlx.images.files import open_image
from vlx.passes.forward import Pass

LEAST, MOST = 0.02, 0.45  # of the image, what an object of an attention check covers


@dataclass(frozen=True, eq=False)
class Shown:
    """One image and all its categories."""

    id: str
    items: tuple[Item, ...]

    def image(self) -> Image.Image:
        """The image file, upright."""
        return open_image(self.items[0].image)

    def mask(self, at: int, image: Image.Image) -> Bool[np.ndarray, "height width"]:
        """The pixels of one category on the image."""
        truth = self.items[at].truth
        assert isinstance(truth, Segments | Boxes)
        return region_of(truth, (image.height, image.width))

    @property
    def names(self) -> tuple[str, ...]:
        """The categories."""
        return tuple(item.category for item in self.items)


def shown_images(folder: DataFolder, seed: int, classes: str | None = None) -> tuple[list[Shown], int]:
    """The images of which every category is known, in a random order by the seed; and how many are not.

    Raises VlxError where the folder tells of no image which categories it shows.
    """
    items = class_items(folder, Options(classes=classes))
    by: dict[str, list[Item]] = {}
    for item in items:
        by.setdefault(item.cluster, []).append(item)
    whole = [Shown(name, tuple(mine)) for name, mine in by.items() if not any(one.left_out for one in mine)]
    if not whole:
        raise VlxError(f"{folder.root} tells of no image which categories it shows: see vlx data check")
    return sorted(whole, key=lambda one: seed_of(seed, one.id)), len(by) - len(whole)


def read_image(model: Any, image: Image.Image) -> Pass:
    """One run of a classifier."""
    if type_of(model) != "classifier":
        raise VlxError("studies with people explain classes: give --model a classifier (see vlx models)")
    return model.read([image])


def labels_of(run: Pass) -> tuple[str, ...]:
    """The classes of a model."""
    return tuple(run.readings[0].choices.names)


def class_scores_of(run: Pass) -> np.ndarray:
    """The score of each class."""
    return run.scores.detach()[0, 0].double().cpu().numpy()


def class_of(item: Item, run: Pass) -> int | None:
    """The likeliest of the model's classes that are of an item's category; None where it has none."""
    assert item.classes is not None
    mine = classes_of(item.classes, labels_of(run))
    scores = class_scores_of(run)
    return max(mine, key=lambda at: scores[at]) if mine else None


def for_checks(images: Sequence[Shown], used: set[str], count: int, seed: int) -> list[tuple[Shown, int]]:
    """Images with an object of middling size, those that the study does not use first, and which object."""
    found: list[tuple[Shown, int]] = []
    for one in sorted(images, key=lambda one: (one.id in used, seed_of(seed, f"check {one.id}"))):
        image = one.image()
        shares = [one.mask(at, image).mean() for at in range(len(one.items))]
        fitting = [at for at, share in enumerate(shares) if LEAST < share < MOST]
        if fitting:
            found.append((one, random.Random(seed_of(seed, f"object {one.id}")).choice(fitting)))
        if len(found) == count:
            break
    return found


def weaker(model: Any, noise: float, seed: int) -> Any:
    """A copy of a model with normal noise on its weights: ``noise`` times the SD of each weight's tensor.

    Biases and the scales of normalisation stay. The noise is drawn on the CPU, alike on every device.
    """
    from vlx.eval.items.models import copied, networks

    changed = copied(model)
    generator = torch.Generator().manual_seed(seed)
    seen = {id(one): one for network in networks(changed) for one in network.parameters() if one.ndim > 1}
    if not seen:
        raise VlxError("the model holds no weights that noise could be added to: give a second --model")
    with torch.no_grad():
        for weight in seen.values():
            drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float32)
            weight.add_((drawn * weight.float().std().cpu() * noise).to(weight))
    return changed
