"""How well a network segments held-out images: mean IoU from one confusion matrix, intervals by images."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int

from vlx.eval.measures.drawn import Estimate, Weights, drawn_statistic, minus
from vlx.eval.measures.seeds import Labels, confusion, iou_of_counts
from vlx.segmentation.network import Segmenter
from vlx.segmentation.pictures import Pictures, pixels_of

Counts = Int[np.ndarray, "image part class"]
"""For each image and class the pixels found rightly, those there, and those found."""


@torch.no_grad()
def segmented(network: Segmenter, pixels: torch.Tensor, size: tuple[int, int]) -> Labels:
    """The class of each pixel of (height, width): that of the largest softmax, drawn out bilinearly."""
    network.eval()
    found = network(pixels[None]).softmax(1)
    drawn = F.interpolate(found, size, mode="bilinear", align_corners=False)
    return drawn[0].argmax(0).cpu().numpy()


def counts_of(network: Segmenter, pictures: Pictures, side: int, device: str = "cpu") -> Counts:
    """The counts of every image."""
    found: list[np.ndarray] = []
    network.to(device)
    for at, image in enumerate(pictures.images):
        truth = pictures.truth(at)
        labels = segmented(network, pixels_of(image, side).to(device), (truth.shape[0], truth.shape[1]))
        found.append(parts_of(confusion(truth, labels, len(pictures.names))))
    return np.stack(found)


def parts_of(matrix: Int[np.ndarray, "class found"]) -> Int[np.ndarray, "part class"]:
    """What of a confusion matrix decides intersection over union: rightly found, there, found.

    >>> parts_of(np.array([[3, 1, 0], [0, 2, 2]]))
    array([[3, 2],
           [4, 4],
           [3, 3]])
    """
    count = len(matrix)
    return np.stack([np.diagonal(matrix)[:count], matrix.sum(1), matrix.sum(0)[:count]])


def mean_iou_of(counts: Counts) -> Estimate:
    """The mean IoU of weighted images, for `drawn_statistic`: one confusion matrix a draw."""
    held = counts.astype(np.float64)

    def estimate(times: Weights) -> np.ndarray:
        return iou_of_counts(np.einsum("di,ipc->dpc", times, held, optimize=True))

    return estimate


def mean_iou_with_interval(
    counts: Counts, ids: Sequence[str], seed: int = 0
) -> tuple[float | None, tuple[float, float] | None]:
    """The mean IoU over classes and background, and its interval, drawing images."""
    return drawn_statistic(mean_iou_of(counts), ids, seed=seed)


def difference_with_interval(
    first: Counts, second: Counts, ids: Sequence[str], seed: int = 0
) -> tuple[float | None, tuple[float, float] | None]:
    """The mean IoU of one network less that of another on the same images, and its interval."""
    return drawn_statistic(minus(mean_iou_of(first), mean_iou_of(second)), ids, seed=seed)
