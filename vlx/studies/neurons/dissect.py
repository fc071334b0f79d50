"""Dissect a layer: what its units select of a data set, by two runs over the images.

The first run finds each unit's threshold. The second counts what lies above it: in parts, to which images
belong by a draw of the seed, so that names can be had without those of any part; and with the labels of
another image in the place of each one's own, for names that must mean nothing. Held in memory are these
counts and the highest half per cent of activations, whatever the number of images.
"""

import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vlx.errors import VlxError
from vlx.eval.data.records import DataError
from vlx.eval.items.item import seed_of
from vlx.images.files import write_whole
from vlx.studies.neurons.concepts import Concept, Labelled, MaskData, Masks
from vlx.studies.neurons.features import Read, Seen, seen_images, units_of
from vlx.studies.neurons.tally import (
    TOP_SHARE,
    Counts,
    TopValues,
    add_image,
    needed,
    no_counts,
    places_of_categories,
    selected,
)

PARTS = 8
"""Into which images are drawn."""
BEST = 6
"""Images of the highest activation that are kept of a unit."""


@dataclass(frozen=True, eq=False)
class Dissection:
    """What the units of a layer select."""

    concepts: tuple[Concept, ...]
    thresholds: Float[np.ndarray, " unit"]
    parts: tuple[Counts, ...]
    permuted: Counts
    """With the labels of other images."""
    part_of: Mapping[str, int]
    """The part of each image, by its id."""
    best: Int[np.ndarray, "unit best"]
    """Where in ``part_of`` the images stand in which a unit is most active, the first first; -1 for none."""
    dead: int
    """Units that are nowhere active."""
    left_out: Mapping[str, int] = field(default_factory=dict[str, int])

    @cached_property
    def counts(self) -> Counts:
        """Of all images."""
        return _sum(self.parts)

    def without(self, image: str) -> Counts:
        """Of all images but those of the part to which one belongs; of all for one that is not among them."""
        part = self.part_of.get(image)
        return self.counts if part is None else self.counts - self.parts[part]

    def halves(self) -> tuple[Counts, Counts]:
        """Of one half of the parts, and of the other."""
        middle = len(self.parts) // 2
        return _sum(self.parts[:middle]), _sum(self.parts[middle:])


def dissect(
    read: Read,
    data: MaskData,
    *,
    seed: int = 0,
    share: float = TOP_SHARE,
    anchored: bool = True,
    told: Callable[[str], None] = lambda _line: None,
) -> Dissection:
    """Dissect the layer that a model is read at.

    Raises VlxError where no image can be read, or none that can has labels.
    """
    left_out = Counter[str]()

    def leave(reason: str, _detail: str) -> None:
        left_out[reason] += 1

    thresholds, dead, read_ids = _thresholds(read, data.images, share, leave, told)
    images = [one for one in data.images if one.id in read_ids]
    parts = _parts(images, seed)
    of = places_of_categories(data.concepts, data.categories)
    sizes = len(thresholds), len(data.concepts), len(data.categories)
    counts = [no_counts(*sizes) for _ in range(PARTS)]
    permuted = no_counts(*sizes)
    best = _Best(len(thresholds))
    partner = _partners(images, seed)

    def count(into: Counts, seen: Seen, masks: Masks) -> None:
        if masks:
            size = next(iter(masks.values())).shape
            where = selected(seen.features, thresholds, seen.frame, (size[0], size[1]), anchored=anchored)
            add_image(into, where, masks, of)

    for at, seen in enumerate(seen_images(read, images, leave)):
        best.add(at, seen.features)
        masks = _decoded(seen.image, leave)
        if masks is not None:
            count(counts[parts[seen.image.id]], seen, masks)
        other = partner.get(seen.image.id)
        count(permuted, seen, (other and _decoded(other, _silent)) or {})
        if (at + 1) % 50 == 0:
            told(f"labels: {at + 1} of {len(images)} images")
    if not _sum(counts).images.any():
        raise VlxError(f"{data.name} holds no image whose labels can be read: {dict(left_out)}")
    return Dissection(
        data.concepts, thresholds, tuple(counts), permuted, parts, best.places, dead,
        {**data.left_out, **left_out},
    )  # fmt: skip


def _thresholds(
    read: Read,
    images: Sequence[Labelled],
    share: float,
    leave: Callable[[str, str], None],
    told: Callable[[str], None],
) -> tuple[Float[np.ndarray, " unit"], int, set[str]]:
    """Each unit's threshold, how many units are nowhere active, and which images were read.

    Grids of different sizes may make the values more than the first image told: then all is run again.
    """
    room = 0
    while True:
        top: TopValues | None = None
        active: Tensor | None = None
        ids: set[str] = set()
        lost: list[tuple[str, str]] = []
        for seen in seen_images(read, images, _kept(lost)):
            flat = seen.features.flatten(1)
            if top is None:
                room = max(room, needed(flat.shape[1] * len(images), share))
                top = TopValues(units_of(flat, None), room)
                active = torch.zeros(len(flat), dtype=torch.bool, device=flat.device)
            units_of(flat, len(active))  # type: ignore[arg-type]
            top.add(flat)
            active = active | flat.ne(0).any(1)  # type: ignore[operator]
            ids.add(seen.image.id)
            if len(ids) % 50 == 0:
                told(f"thresholds: {len(ids)} of {len(images)} images")
        if top is None or active is None:
            raise VlxError(f"no image can be read: {lost[0][1] if lost else 'there are none'}")
        if needed(top.seen, share) <= room:
            for why in lost:
                leave(*why)
            return top.quantile(share), int((~active).sum()), ids
        room = needed(top.seen, share)


def _kept(lost: list[tuple[str, str]]) -> Callable[[str, str], None]:
    return lambda reason, detail: lost.append((reason, detail))


def _parts(images: Sequence[Labelled], seed: int) -> dict[str, int]:
    """The part of each image: drawn, and all parts of one size but for one image."""
    order = sorted((one.id for one in images), key=lambda name: seed_of(seed, f"part {name}"))
    drawn = {name: at % PARTS for at, name in enumerate(order)}
    return {one.id: drawn[one.id] for one in images}


def _partners(images: Sequence[Labelled], seed: int) -> dict[str, Labelled]:
    """Another image for each, all of them used once: a cycle drawn by the seed; none for a single one."""
    order = sorted(images, key=lambda one: seed_of(seed, f"partner {one.id}"))
    if len(order) < 2:
        return {}
    return {one.id: order[at - 1] for at, one in enumerate(order)}


def _decoded(image: Labelled, leave: Callable[[str, str], None]) -> Masks | None:
    try:
        return image.masks()
    except DataError as error:
        leave("damaged_labels", str(error))
        return None


def _silent(_reason: str, _detail: str) -> None:
    """Is told nothing: what cannot be read was counted before."""


def _sum(parts: Sequence[Counts]) -> Counts:
    total = parts[0]
    for one in parts[1:]:
        total = total + one
    return total


class _Best:
    """The images in which each unit reaches highest."""

    def __init__(self, units: int) -> None:
        self._values = np.full((units, BEST), 0.0)
        self.places = np.full((units, BEST), -1)

    def add(self, place: int, features: Float[Tensor, "unit row col"]) -> None:
        """Take one more image; what is nowhere above 0 is no best one."""
        peaks = features.flatten(1).amax(1).double().cpu().numpy()
        values = np.concatenate([self._values, peaks[:, None]], 1)
        places = np.concatenate([self.places, np.where(peaks > 0, place, -1)[:, None]], 1)
        order = np.argsort(-values, axis=1, kind="stable")[:, :BEST]
        self._values = np.take_along_axis(values, order, 1)
        self.places = np.take_along_axis(places, order, 1)


_ARRAYS = ("intersect", "active", "truth", "images")


def save_dissection(path: Path, found: Dissection) -> None:
    """Write a dissection to one file, which `load_dissection` reads."""
    facts = {
        "concepts": [[one.category, one.name] for one in found.concepts],
        "part_of": dict(found.part_of),
        "dead": found.dead,
        "left_out": dict(found.left_out),
    }
    arrays: dict[str, Any] = {"thresholds": found.thresholds, "best": found.best}
    for name in _ARRAYS:
        arrays[name] = np.stack([getattr(one, name) for one in (*found.parts, found.permuted)])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, facts=np.array(json.dumps(facts)), **arrays)
    write_whole(path, buffer.getvalue())


def load_dissection(path: Path) -> Dissection:
    """What `save_dissection` wrote. Raises VlxError where it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as held:
            facts = json.loads(str(held["facts"]))
            stacked = [held[name] for name in _ARRAYS]
            parts = [Counts(*arrays) for arrays in zip(*stacked, strict=True)]
            return Dissection(
                tuple(Concept(*pair) for pair in facts["concepts"]), held["thresholds"], tuple(parts[:-1]),
                parts[-1], facts["part_of"], held["best"], facts["dead"], facts["left_out"],
            )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise VlxError(f"{path} is damaged ({error}): delete it, and it is made again") from None
