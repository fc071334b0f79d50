"""The dense CRF of Krähenbühl and Koltun (2011, arXiv 1210.5644), exact: every pair of places is looked at.

SEC refines its segmentations by it (appendix B; released code). Kernels are a matrix of places by places, so
this is for small grids: of 41 x 41 it is 11 MB in single precision and a step is one product by a matrix of
places by classes. At 321 x 321 it would be 42 GB.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vlx.errors import VlxError

MOST = 10_000
"""Places of a grid at most: a matrix of 400 MB."""


@dataclass(frozen=True)
class Crf:
    """The parameters, those of SEC (released code), lengths in pixels of the image that the network sees."""

    steps: int = 10
    """Of the mean field."""
    smoothness: float = 3.0
    """Weight of the kernel of places alone."""
    smoothness_reach: float = 3.0
    """Its standard deviation."""
    appearance: float = 10.0
    """Weight of the kernel of places and colours."""
    appearance_reach: float = 80.0
    """Its standard deviation by place."""
    colour: float = 13.0
    """Its standard deviation by colour, of 0 to 255."""
    scale: float = 12.0
    """What lengths are divided by: SEC's, at which its grid of 41 is smaller than the original. 1 on an
    image itself."""
    symmetric: bool = True
    """Whether each kernel is divided by the roots of both places' sums, as pydensecrf does by default."""
    itself: bool = True
    """Whether a place is its own neighbour, as in the code of the authors of the CRF, which their paper
    leaves out. At a scale of 12 nearly all that smoothness does is what a place does to itself."""


def kernel(image: Float[Tensor, "3 row col"], crf: Crf | None = None) -> Float[Tensor, "place place"]:
    """The sum of both weighted Gaussian kernels over all pairs of places, colours of 0 to 255.

    Raises VlxError for a grid of more than `MOST` places.

    >>> plain = Crf(scale=1.0, symmetric=False, itself=False)
    >>> kernel(torch.zeros(3, 1, 2), plain)  # 3 e^-1/18 + 10 e^-1/12800
    tensor([[ 0.0000, 12.8371],
            [12.8371,  0.0000]])
    """
    given = crf or Crf()
    rows, cols = image.shape[1:]
    if rows * cols > MOST:
        raise VlxError(
            f"a dense CRF on {rows} x {cols} places would take {(rows * cols) ** 2 * 4 / 1e9:.0f} GB: "
            f"give a grid of {MOST} places at most, such as 41 x 41"
        )
    options: Any = {"dtype": image.dtype, "device": image.device}
    down, across = torch.arange(rows, **options), torch.arange(cols, **options)
    places = torch.stack(torch.meshgrid(down, across, indexing="ij")).flatten(1).T
    near = _gaussian(places / (given.smoothness_reach / given.scale))
    points = [places / (given.appearance_reach / given.scale), image.flatten(1).T / given.colour]
    alike = _gaussian(torch.cat(points, 1))
    return given.smoothness * _finished(near, given) + given.appearance * _finished(alike, given)


def mean_field(
    found: Float[Tensor, "batch class row col"],
    image: Float[Tensor, "_batch 3 _row _col"],
    crf: Crf | None = None,
) -> Float[Tensor, "batch class row col"]:
    """The probabilities of each place after some steps of the mean field under a Potts model.

    ``found`` are probabilities above 0, whose -log is the unary term; ``image`` has colours of 0 to 255 on
    the same grid. Each step takes all places at once: Q is p exp(K Q), made to sum to 1. Not differentiable,
    as SEC takes it.

    >>> found = torch.tensor([[0.9, 0.4], [0.1, 0.6]]).view(1, 2, 1, 2)  # the second place leans to class 1,
    >>> bool((mean_field(found, torch.zeros(1, 3, 1, 2))[0, 0] > 0.99).all())  # its neighbour does not
    True
    """
    if found.shape[2:] != image.shape[2:] or len(found) != len(image):
        raise VlxError(
            f"probabilities {tuple(found.shape)} and images {tuple(image.shape)}: they must lie on one grid"
        )
    given = crf or Crf()
    with torch.no_grad():
        return torch.stack([_refined(*pair, given) for pair in zip(found, image, strict=True)])


def _refined(
    found: Float[Tensor, "class row col"], image: Float[Tensor, "3 row col"], crf: Crf
) -> Float[Tensor, "class row col"]:
    """One image, so that the matrix of one is held at a time."""
    pairs = kernel(image, crf)
    unary = found.flatten(1).log().T
    now = unary.softmax(1)
    for _ in range(crf.steps):
        now = torch.addmm(unary, pairs, now).softmax(1)
    return now.T.reshape(found.shape)


def _gaussian(points: Float[Tensor, "place dimension"]) -> Float[Tensor, "place place"]:
    centred = points - points.mean(0)  # so that little is lost below
    half = centred.square().sum(1) / 2
    apart = torch.addmm(-(half[:, None] + half), centred, centred.T)
    return apart.clamp_(max=0).exp_()


def _finished(one: Float[Tensor, "place place"], crf: Crf) -> Float[Tensor, "place place"]:
    """A kernel normalised, and without pairs of a place with itself, as asked."""
    if crf.symmetric:
        root = one.sum(1).rsqrt()
        one = one.mul_(root[:, None]).mul_(root)
    return one if crf.itself else one.fill_diagonal_(0.0)
