"""The three losses of SEC: seed, expand, constrain (Kolesnikov and Lampert 2016, arXiv 1603.06098, 3.2).

Scores and probabilities are (batch, class, row, col), class 0 the background. Each loss is the mean over the
images of a batch. Where paper and released code differ the code is followed, as said.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vlx.errors import VlxError

FLOOR = 1e-4
"""The least probability of a class (released code)."""
DECAY = 0.996
"""Of the classes that an image shows, by rank (section 3.2; section 4.1 gives the values)."""
DECAY_BACKGROUND = 0.999
"""Of the background."""

Planes = Float[Tensor, "batch class row col"]


def probabilities(scores: Planes, floor: float = FLOOR) -> Planes:
    """The softmax over classes plus ``floor``, made to sum to 1 again (released code).

    >>> probabilities(torch.tensor([0.0, 200.0]).view(1, 2, 1, 1)).flatten()
    tensor([9.9980e-05, 9.9990e-01])
    """
    floored = scores.softmax(1) + floor
    return floored / floored.sum(1, keepdim=True)


def seed_loss(found: Planes, seeds: Bool[Tensor, "batch class row col"]) -> Float[Tensor, ""]:
    """The mean of -log p over the seeds of an image, foreground and background together (Eq. 3).

    The paper divides by the seeds of all classes too; an image without seeds adds nothing.

    >>> found = torch.tensor([0.25, 0.75]).view(1, 2, 1, 1)
    >>> seed_loss(found, torch.tensor([True, False]).view(1, 2, 1, 1)).exp()
    tensor(4.)
    """
    counts = seeds.sum((1, 2, 3))
    sums = (found.log() * seeds).sum((1, 2, 3))
    return -(sums / counts.clamp(min=1)).mean()


def expand_loss(
    found: Planes,
    shown: Bool[Tensor, "batch class"],
    decay: float = DECAY,
    decay_background: float = DECAY_BACKGROUND,
) -> Float[Tensor, ""]:
    """What global weighted rank pooling of each class says against the classes that an image shows (Eq. 4).

    Of a class that is shown -log of the pooled probability, averaged over them; of one that is not -log of
    1 less its maximum, averaged; and of the background as of one that is shown, with a decay of its own. The
    background, class 0, is always there, whatever ``shown`` says. An image that shows no class has no first
    term, one that shows all no second.

    >>> found = torch.tensor([0.5, 0.25, 0.25]).view(1, 3, 1, 1)
    >>> expand_loss(found, torch.tensor([[True, True, False]])).exp()  # 1 / .25, 1 / .75, 1 / .5
    tensor(10.6667)
    """
    classes = shown[:, 1:]
    pooled = rank_pooled(found[:, 1:], decay)
    highest = found[:, 1:].flatten(2).amax(2)
    there = _mean_of(pooled.log(), classes)
    absent = _mean_of(torch.log1p(-highest), ~classes)
    nothing = rank_pooled(found[:, :1], decay_background)[:, 0].log()
    return -(there + absent + nothing).mean()


def rank_pooled(found: Planes, decay: float) -> Float[Tensor, "batch class"]:
    """Global weighted rank pooling: the mean of the values by rank, the j-th weighted by decay^(j-1) (Eq. 5).

    A decay of 0 gives the maximum, of 1 the mean.

    >>> values = torch.tensor([1.0, 4.0]).view(1, 1, 1, 2)
    >>> rank_pooled(values, 0.5), rank_pooled(values, 0.0), rank_pooled(values, 1.0)
    (tensor([[3.]]), tensor([[4.]]), tensor([[2.5000]]))
    """
    if not 0 <= decay <= 1:
        raise VlxError(f"a decay of {decay}: expected 0 (the maximum) to 1 (the mean)")
    ranked = found.flatten(2).sort(2, descending=True).values
    weights = decay ** torch.arange(ranked.shape[2], dtype=found.dtype, device=found.device)
    return ranked @ weights / weights.sum()


def constrain_loss(found: Planes, refined: Planes, floor: float = FLOOR) -> Float[Tensor, ""]:
    """The mean over places of the divergence of ``found`` from what the CRF makes of it (Eq. 6).

    That of Kullback and Leibler; ``refined`` is taken as a constant, at least ``floor`` and summing to 1
    again (released code).

    >>> even, sure = (torch.tensor([one, 1 - one]).view(1, 2, 1, 1) for one in (0.5, 0.75))
    >>> constrain_loss(even, sure)  # .75 log(.75 / .5) + .25 log(.25 / .5)
    tensor(0.1308)
    """
    target: Any = refined.detach().clamp(min=floor)
    target = target / target.sum(1, keepdim=True)
    return (target * (target.log() - found.log())).sum(1).mean()


def _mean_of(
    values: Float[Tensor, "batch class"], chosen: Bool[Tensor, "batch class"]
) -> Float[Tensor, " batch"]:
    """The mean of the chosen ones of each row; 0 where none is."""
    return torch.where(chosen, values, 0.0).sum(1) / chosen.sum(1).clamp(min=1)
