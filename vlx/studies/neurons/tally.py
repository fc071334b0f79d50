"""Network Dissection's numbers: a threshold for each unit, and the IoU of what it selects with each concept.

Bau et al. 2017 (arXiv 1704.05796): T_k is such that P(a_k > T_k) = .005 over all places of all images, and
IoU(k, c) = sum |M_k and L_c| / sum |M_k or L_c| over the data set, where M_k is the activation, upsampled
bilinearly to the labels' resolution, above T_k, counted in images that have labels of c's category.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vlx.errors import VlxError
from vlx.images.frame import Frame
from vlx.studies.neurons.concepts import Concept, Masks

TOP_SHARE = 0.005
"""Of all places, those above a unit's threshold."""
_ROOM = 1 << 24  # values of upsampled activation held at once


class TopValues:
    """The largest values of each unit in a stream, which tell a high quantile exactly.

    Of values whose number is known before, those below the quantile need not be kept: what is held is the
    share above it.

    >>> top = TopValues(units=1, room=3)
    >>> for part in ([[5.0, 1.0]], [[3.0, 4.0, 2.0]]):
    ...     top.add(torch.tensor(part))
    >>> top.quantile(0.25), float(np.quantile([5, 1, 3, 4, 2], 0.75))
    (array([4.]), 4.0)
    """

    def __init__(self, units: int, room: int) -> None:
        self._values = torch.empty(units, 0)
        self._room = room
        self.seen = 0

    def add(self, values: Float[Tensor, "unit place"]) -> None:
        """Take some more values of each unit."""
        self.seen += values.shape[1]
        joined = torch.cat([self._values.to(values), values], 1)
        self._values = joined.topk(min(self._room, joined.shape[1]), dim=1).values.cpu()

    def quantile(self, share: float) -> Float[np.ndarray, " unit"]:
        """The value that a share of all lies above, as numpy interpolates it: the quantile 1 - share.

        Raises VlxError where more values would have to be kept than there was room for.
        """
        if not 0 < share < 1 or not self.seen:
            raise VlxError(f"the top {share} of {self.seen} values: give a share between 0 and 1, and values")
        need = needed(self.seen, share)
        if need > self._values.shape[1]:
            raise VlxError(f"a quantile needs the {need} largest values: only {self._room} were kept")
        at = (self.seen - 1) * (1 - share)  # counted from the smallest
        low = self._values[:, need - 1].double()
        high = self._values[:, need - 2].double() if need > 1 else low
        return (low + (high - low) * (at - np.floor(at))).numpy()


def needed(count: int, share: float) -> int:
    """How many of the largest of so many values tell their quantile 1 - share.

    >>> needed(5, 0.25)
    2
    """
    return count - int(np.floor((count - 1) * (1 - share)))


@dataclass(frozen=True, eq=False)
class Counts:
    """Pixels of label maps, summed over images."""

    intersect: Float[np.ndarray, "unit concept"]
    active: Float[np.ndarray, "unit category"]
    """Above the unit's threshold, in images that have labels of the category."""
    truth: Float[np.ndarray, " concept"]
    images: Float[np.ndarray, " concept"]
    """How many images show the concept."""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.intersect + other.intersect,
            self.active + other.active,
            self.truth + other.truth,
            self.images + other.images,
        )

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(
            self.intersect - other.intersect,
            self.active - other.active,
            self.truth - other.truth,
            self.images - other.images,
        )


def no_counts(units: int, concepts: int, categories: int) -> Counts:
    """Counts before the first image."""
    return Counts(
        np.zeros((units, concepts)), np.zeros((units, categories)), np.zeros(concepts), np.zeros(concepts)
    )


def add_image(
    counts: Counts, selected: Bool[Tensor, "unit row col"], masks: Masks, category_of: Sequence[int]
) -> None:
    """Add an image to counts, in place; one without labels adds nothing.

    ``category_of`` is the place of each concept's category.
    """
    if not masks:
        return
    places = list(masks)
    flat = selected.flatten(1).float()
    shown = torch.from_numpy(np.stack([masks[at] for at in places])).flatten(1).to(flat)
    counts.intersect[:, places] += (flat @ shown.T).cpu().numpy()
    annotated = sorted({category_of[at] for at in places})
    counts.active[:, annotated] += flat.sum(1, keepdim=True).cpu().numpy()
    counts.truth[places] += shown.sum(1).cpu().numpy()
    counts.images[places] += 1


def iou(counts: Counts, category_of: Sequence[int]) -> Float[np.ndarray, "unit concept"]:
    """Intersection over union of each unit and concept; 0 where both are empty.

    >>> counts = Counts(np.array([[2.0]]), np.array([[3.0]]), np.array([5.0]), np.array([1.0]))
    >>> iou(counts, [0])  # 2 / (3 + 5 - 2)
    array([[0.33333333]])
    """
    union = counts.active[:, list(category_of)] + counts.truth[None, :] - counts.intersect
    return np.divide(counts.intersect, union, out=np.zeros_like(union), where=union > 0)


def places_of_categories(concepts: Sequence[Concept], categories: Sequence[str]) -> list[int]:
    """The place of each concept's category."""
    places: Mapping[str, int] = {name: at for at, name in enumerate(categories)}
    return [places[one.category] for one in concepts]


def selected(
    features: Float[Tensor, "unit row col"],
    thresholds: Float[np.ndarray, " unit"],
    frame: Frame,
    size: tuple[int, int],
    *,
    anchored: bool = True,
) -> Bool[Tensor, "unit height width"]:
    """Where each unit is above its threshold, on a label map of so many pixels of the whole image.

    Bilinear between the places of the grid: anchored where these look, as Network Dissection's first code has
    it at the centres of receptive fields and as vlx draws every map, or dividing the network input evenly,
    which is a plain resize of the grid as in its second code (NetDissect-Lite). What the network did not see,
    outside a crop, is not selected.
    """
    placed = on_labels(frame, size, anchored=anchored)
    limits = torch.from_numpy(thresholds).to(features)[:, None, None]
    step = max(1, _ROOM // (size[0] * size[1]))
    parts = [
        placed.on_image(features[at : at + step]) > limits[at : at + step]
        for at in range(0, len(features), step)
    ]
    found = torch.cat(parts)
    seen = placed.covered()
    return found if bool(seen.all()) else found & seen.to(found.device)


def on_labels(frame: Frame, size: tuple[int, int], *, anchored: bool = True) -> Frame:
    """The frame of a network input on a label map of the whole image.

    >>> from vlx.images.frame import Frame
    >>> on_labels(Frame.resized((200, 400), (100, 100)), (20, 40)).box
    (0.0, 0.0, 20.0, 40.0)
    """
    down, across = size[0] / frame.image_size[0], size[1] / frame.image_size[1]
    top, left, bottom, right = frame.box
    box = (top * down, left * across, bottom * down, right * across)
    return replace(frame, image_size=size, box=box, centres=frame.centres if anchored else None)
