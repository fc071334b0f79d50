"""Gradients along a path of features, from a baseline's to the image's: integrated gradients on features.

A gradient at one point vanishes where the model is sure, so a map of it is faint exactly where it matters.
Its mean along a straight path from features that show nothing, times what the features differ by, adds up to
how much the score owes to the image: the completeness of integrated gradients (Sundararajan et al. 2017,
arXiv 1703.01365, proposition 1), here at a layer. Only the part above the layer runs again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vlx.errors import VlxError
from vlx.methods.gradients import Gradients, gradients, mean_gradients, values_of
from vlx.passes.forward import Pass
from vlx.passes.targets import Term

Baseline = Literal["zero", "mean"] | Callable[[Pass, int], Tensor]
"""Features that show nothing: zeros, the mean over the places of the image (what is there, but nowhere), or
a function of a Pass and a position to features (*feature)."""
Nodes = Literal["midpoint", "gauss", "graded"]
"""Where the gradient is taken: in the middle of equal pieces, at the nodes of Gauss and Legendre, or in the
middle of pieces that grow from the start of the path on (graded). A model that is sure of an image is so long
before the end: its score changes in the first tenth of the path, where a few equal pieces have no node."""

_GROWTH = 4.0
"""By what power of e pieces grow from one end of a graded path to the other."""

MOST = 128  # nodes that a tolerance may lead to


@dataclass(frozen=True)
class Path:
    """A straight path of features and the nodes on it."""

    nodes: int = 3
    rule: Nodes = "midpoint"
    baseline: Baseline = "zero"
    tolerance: float | None = None
    """How far, in nats or logits, the sum of a map may lie from what it adds up to: nodes are doubled up to
    `MOST` until it does."""

    def __post_init__(self) -> None:
        if self.nodes < 1:
            raise VlxError(f"a path needs a node at least, not {self.nodes}")
        if self.rule not in ("midpoint", "gauss", "graded"):
            raise VlxError(f"no rule {self.rule!r} for nodes: give 'midpoint', 'gauss' or 'graded'")


@dataclass(frozen=True, eq=False)
class Followed:
    """What the targets of one item gave along the path."""

    change: Float[Tensor, "*feature"]
    """The features less the baseline's."""
    gradients: Float[Tensor, "target *pooled"]
    """The mean of the gradients along the path; over places too where only that was asked for."""
    at_baseline: Float[Tensor, " target"]
    """The scores of the baseline's features."""
    error: Float[Tensor, " target"] | None
    """How far gradients times change lie from the difference of the scores; None of means over places."""
    batched: bool


def blurred(sigma: float = 16.0) -> Callable[[Pass, int], Tensor]:
    """A baseline: the features of the blurred image, by a Gaussian of ``sigma`` pixels of the network input.

    It takes one run of the part below the layer. Raises VlxError of a Pass that has no way from its pixels.

    >>> vlx.integrated_with(baseline=vlx.blurred(8.0)).name
    'integrated_gradients_3_blurred_8'
    """

    def features(passed: Pass, position: int) -> Tensor:
        from torchvision.transforms.v2.functional import gaussian_blur

        if passed.below is None or passed.below.encode is None:
            raise VlxError(f"{passed.model} gives no way from pixels to features: use another baseline")
        pixels = passed.below.pixels[position : position + 1].detach()
        size = 2 * min(int(3 * sigma), min(pixels.shape[-2:]) - 1) + 1
        with torch.no_grad():
            return passed.below.encode(gaussian_blur(pixels, [size, size], [sigma, sigma]))[0]

    features.__name__ = f"blurred_{sigma:g}"
    return features


def blank(passed: Pass, position: int, baseline: Baseline = "zero") -> Float[Tensor, "*feature"]:
    """The features that show nothing, in the place of those of an item."""
    own = passed.features[position].detach()
    if baseline == "zero":
        return torch.zeros_like(own)
    if baseline == "mean":
        places = tuple(range(1, own.ndim)) if own.ndim > 2 else (0,)
        return own.mean(places, keepdim=True).expand_as(own)
    if not callable(baseline):
        raise VlxError(
            f"no baseline {baseline!r}: give 'zero', 'mean', or a function of a Pass and a position"
        )
    given = torch.as_tensor(baseline(passed, position)).to(own)
    if given.shape != own.shape:
        raise VlxError(f"the baseline is {tuple(given.shape)}, but the features are {tuple(own.shape)}")
    return given


def along(
    passed: Pass,
    position: int,
    targets: "list[tuple[Term, ...]]",
    path: Path,
    *,
    mean_only: bool = False,
    chunk: int | None = None,
) -> Followed:
    """Follow a path to the features of an item, for all targets and nodes in one batched product.

    Raises VlxError where the Pass cannot run the part above the layer again.
    """
    count = path.nodes
    while True:
        found = _followed(passed, position, targets, path, count, mean_only, chunk)
        far = path.tolerance is not None and found.error is not None and found.error.abs().amax()
        if far is False or float(far) <= (path.tolerance or 0.0) or 2 * count > MOST:
            return found
        count *= 2


def _followed(
    passed: Pass,
    position: int,
    targets: "list[tuple[Term, ...]]",
    path: Path,
    count: int,
    mean_only: bool,
    chunk: int | None,
) -> Followed:
    own, start = passed.features[position].detach(), blank(passed, position, path.baseline)
    change = own - start
    at, weights = _nodes(count, path.rule)
    places = torch.tensor([*at, 0.0]).to(own).view(-1, *[1] * own.ndim)
    run = passed.with_features(position, start + places * change)  # the last shows nothing
    found = _gradients(run, [targets] * count + [[]], mean_only, chunk)
    mean = found.values[:, 0] * weights[0]  # one after the other: several times as fast as a product
    for number in range(1, count):
        mean.add_(found.values[:, number], alpha=weights[number])
    at_baseline = values_of(run, [[]] * count + [targets], len(targets))[:, count]
    error = None
    if mean.shape[1:] == change.shape:
        scores = values_of(
            passed, [targets if b == position else [] for b in range(passed.batch)], len(targets)
        )
        sums = (mean * change.to(mean.dtype)).flatten(1).sum(1)
        error = sums - (scores[:, position] - at_baseline)
    return Followed(change, mean, at_baseline, error, found.batched)


def _gradients(
    run: Pass, terms: "list[list[tuple[Term, ...]]]", mean_only: bool, chunk: int | None
) -> Gradients:
    means = mean_gradients(run, terms, chunk=chunk) if mean_only else None
    return gradients(run, terms, chunk=chunk) if means is None else means


@cache
def _nodes(count: int, rule: Nodes) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Nodes between 0 and 1, and their weights."""
    if rule == "midpoint":
        return tuple((k + 0.5) / count for k in range(count)), (1 / count,) * count
    if rule == "graded":
        ends = np.expm1(_GROWTH * np.arange(count + 1) / count) / np.expm1(_GROWTH)
        return tuple(((ends[1:] + ends[:-1]) / 2).tolist()), tuple(np.diff(ends).tolist())
    at, weights = np.polynomial.legendre.leggauss(count)
    return tuple((at + 1) / 2), tuple(weights / 2)
