"""Images with masks as training takes them: tensors of one size, labels on a grid, classes shown."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vlx.errors import VlxError
from vlx.eval.data.class_masks import ClassMasks, Masked, labels_of, read_masks, shown
from vlx.eval.data.folder import DataFolder
from vlx.eval.data.records import DataError
from vlx.eval.measures.seeds import IGNORED, Labels, on_cells
from vlx.images.files import open_image
from vlx.segmentation.cues import Cues


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images whose masks can be read."""

    names: tuple[str, ...]
    """Of the classes from label 1 on."""
    images: tuple[Masked, ...]
    shown: tuple[tuple[int, ...], ...]
    """The classes of each image, by its mask."""
    lost: tuple[str, ...]
    """What is wrong with those that were left out."""

    def truth(self, at: int) -> Labels:
        """The class of each pixel of an image."""
        return labels_of(self.images[at].truth, len(self.names))

    @property
    def ids(self) -> tuple[str, ...]:
        """Of the images."""
        return tuple(one.id for one in self.images)


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step of training takes."""

    pixels: Float[Tensor, "batch 3 height width"]
    """Colours of 0 to 255."""
    labels: Int[Tensor, "batch row col"]
    """On the grid: seeds, or true classes with 255 where they do not count."""
    shown: Bool[Tensor, "batch class"]

    def mirrored(self) -> "Batch":
        """The same, left for right."""
        return Batch(self.pixels.flip(-1), self.labels.flip(-1), self.shown)

    def to(self, device: torch.device) -> "Batch":
        """On a device."""
        return Batch(self.pixels.to(device), self.labels.to(device), self.shown.to(device))


def pictures_in(folder: DataFolder, limit: int | None = None) -> Pictures:
    """The images of a folder that are there and whose masks can be read, the first ``limit`` of them.

    Those that cannot are left out and told. Raises DataError where there is no mask or no such image.
    """
    lost: list[str] = []
    masks: ClassMasks = read_masks(folder, lambda error: lost.append(" ".join(str(error).split())))
    images: list[Masked] = []
    kinds: list[tuple[int, ...]] = []
    for one in masks.images:
        if limit is not None and len(images) == limit:
            break
        try:
            if one.lost or not os.path.isfile(one.path):
                raise DataError(one.lost or f"no image {one.path}")
            kinds.append(tuple(shown(labels_of(one.truth, len(masks.names)))))
            images.append(one)
        except DataError as error:
            lost.append(" ".join(str(error).split()))
    if not images:
        told = f": {lost[0]}" if lost else ""
        raise DataError(f"{folder.root} holds no image with a mask{told}")
    return Pictures(masks.names, tuple(images), tuple(kinds), tuple(lost))


def pixels_of(image: Masked, side: int) -> Float[Tensor, "3 side side"]:
    """An image squashed to a square, colours of 0 to 255."""
    photo = open_image(image.path).resize((side, side), resample=2)  # bilinear
    return torch.from_numpy(np.asarray(photo, dtype=np.float32).copy()).permute(2, 0, 1)


def colours_on(pixels: Float[Tensor, "batch 3 height width"], grid: tuple[int, int]) -> Tensor:
    """The colours of images on a grid, each cell the mean of its pixels, nearly."""
    return F.interpolate(pixels, grid, mode="bilinear", antialias=True, align_corners=False)


def true_labels(pictures: Pictures, grid: tuple[int, int]) -> Cues:
    """The true classes on a grid, as seeds of full supervision; what does not count is none."""
    labels = np.stack([on_cells(pictures.truth(at), grid) for at in range(len(pictures.images))])
    return Cues(pictures.ids, np.where(labels == IGNORED, -1, labels), shown_of(pictures))


def shown_of(pictures: Pictures) -> Bool[np.ndarray, "image class"]:
    """Whether each image shows each class, the background always."""
    table = np.zeros((len(pictures.images), len(pictures.names) + 1), dtype=bool)
    table[:, 0] = True
    for at, labels in enumerate(pictures.shown):
        table[at, list(labels)] = True
    return table


def batch_of(pictures: Pictures, cues: Cues, rows: Sequence[int], side: int) -> Batch:
    """Some images with their seeds."""
    pixels = torch.stack([pixels_of(pictures.images[row], side) for row in rows])
    at = np.array(rows, dtype=np.intp)
    return Batch(pixels, torch.from_numpy(cues.labels[at]), torch.from_numpy(cues.shown[at]))


def need_apart(train: Pictures, test: Pictures) -> None:
    """Raises VlxError where two sets of images share one, or are not of the same classes."""
    both = {one.path for one in train.images} & {one.path for one in test.images}
    if both:
        raise VlxError(
            f"{len(both)} images to learn from are among those to test on: give --test, or --test-split"
        )
    if train.names != test.names:
        other = [name for name in train.names if name not in test.names][:3]
        raise VlxError(
            f"images to learn from have {len(train.names)} classes, those to test on {len(test.names)}"
            + (f": {', '.join(other)} are not among these" if other else ", in another order")
        )
