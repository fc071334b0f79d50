"""What neurons may be named by: images, and where each shows which concept.

Whatever the masks come from, a study sees them as `MaskData`: concepts, each of a category, and images whose
labels are decoded when they are asked for. A concept may cover a whole image, as a texture does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from vlx.errors import VlxError, near_names
from vlx.eval.items.item import seed_of
from vlx.eval.measures.maps import Mask

SIDE = 112
"""The longer side of label maps, in pixels: that of Broden at half of 224."""


@dataclass(frozen=True, order=True)
class Concept:
    """What a neuron may detect."""

    category: str
    """Such as object, colour or part: a neuron's activity counts only where this is annotated."""
    name: str

    @property
    def shown(self) -> str:
        """Its name for a person: Broden marks colours and scenes as ``red-c`` and ``street-s``.

        >>> Concept("color", "red-c").shown, Concept("object", "t-s").shown
        ('red', 't-s')
        """
        return shown_name(self.category, self.name)


def shown_name(category: str, name: str) -> str:
    """The name of a concept without the mark that Broden gives colours and scenes."""
    mark = {"color": "-c", "colour": "-c", "scene": "-s"}.get(category, "")
    return name.removesuffix(mark) if mark and name != mark else name


Masks = Mapping[int, Mask]
"""The pixels of each concept that an image shows, by its place among the concepts; all of one size."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """One image, and what it shows where."""

    id: str
    path: Path
    masks: Callable[[], Masks]
    """Decodes them; raises DataError where they are damaged."""


@dataclass(frozen=True, eq=False)
class MaskData:
    """A data set that says where its images show concepts."""

    name: str
    concepts: tuple[Concept, ...]
    images: tuple[Labelled, ...]
    digest: str
    """Of the annotations, whose change makes other names."""
    left_out: Mapping[str, int] = field(default_factory=dict[str, int])
    """Images without usable labels, by reason."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Those of the concepts, in their order."""
        return tuple(dict.fromkeys(one.category for one in self.concepts))

    def place(self, name: str) -> int | None:
        """The first concept that is called so by people; None where there is none."""
        wanted = name.strip().casefold()
        return next((at for at, one in enumerate(self.concepts) if one.shown.casefold() == wanted), None)


def drawn_images(data: MaskData, limit: int | None, seed: int) -> MaskData:
    """The data with so many of its images, drawn by the seed and their ids, in their order."""
    if limit is None or limit >= len(data.images):
        return data
    order = sorted(data.images, key=lambda one: seed_of(seed, one.id))
    kept = {one.id for one in order[:limit]}
    return replace(data, images=tuple(one for one in data.images if one.id in kept))


def of_categories(data: MaskData, categories: Sequence[str]) -> MaskData:
    """The data with the concepts of some categories alone; of none given, all.

    Raises VlxError for a category that the data do not have.
    """
    if not categories:
        return data
    for name in categories:
        if name not in data.categories:
            raise VlxError(f"{data.name} has no concepts of {name!r}{near_names(name, data.categories)}")
    kept = [at for at, one in enumerate(data.concepts) if one.category in categories]
    places = {old: new for new, old in enumerate(kept)}

    def fewer(image: Labelled) -> Labelled:
        return replace(
            image, masks=lambda: {places[at]: mask for at, mask in image.masks().items() if at in places}
        )

    concepts = tuple(data.concepts[at] for at in kept)
    return replace(data, concepts=concepts, images=tuple(map(fewer, data.images)))


def at_most(mask: Mask, side: int = SIDE) -> Mask:
    """A mask on fewer pixels, its longer side at most ``side``: the nearest pixel of each one's centre.

    >>> at_most(np.array([[True, True, False, False]]), 2)
    array([[ True, False]])
    """
    longest = max(mask.shape)
    if longest <= side:
        return mask
    rows, cols = (_nearest(length, max(1, round(length * side / longest))) for length in mask.shape)
    return mask[rows[:, None], cols[None, :]]


def _nearest(length: int, fewer: int) -> np.ndarray:
    return ((np.arange(fewer) + 0.5) * length / fewer).astype(np.intp)
