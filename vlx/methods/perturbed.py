"""Methods that change the image or its features and look at the scores, without any gradient.

Each is a function of a Pass, the position of an item, and the terms of its targets; it gives maps
(target, row, col) on the grid of the features, or on the pixels of the network input.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from vlx.methods.cam import weighted_sum
from vlx.methods.rescoring import Targets, other_pixels, values_in
from vlx.passes.forward import Pass

Perturbed = Callable[[Pass, int, Targets], Tensor]

BATCH = 32


def ablation_cam(
    passed: Pass, position: int, targets: Targets, *, batch: int = BATCH
) -> Float[Tensor, "target row col"]:
    """The Ablation-CAM map (Desai and Ramaswamy 2020, WACV, Eq. 3): channels weighted by what they are worth.

    The weight of a channel is how far the score falls when its map is set to 0. The paper divides all of them
    by the score, which scales the map; of a log-probability, which is negative, that would turn its sign, so
    it is left out. Runs the part above the layer once for each channel; nothing below it.
    """
    own = passed.features[position].detach()
    grid = passed.grid(own[None])[0]
    # Where each channel and place of the grid stands among the features.
    at = passed.grid(torch.arange(own.numel(), dtype=torch.float64).view(own.shape)[None])[0].long()
    at = at.flatten(1).to(own.device)
    original = values_in(passed.scores[position : position + 1].detach(), targets)[0]
    falls: list[Tensor] = []
    for part in at.split(batch):
        features = own.flatten().expand(len(part), -1).scatter(1, part, 0).view(-1, *own.shape)
        with torch.no_grad():
            scores = passed.with_features(position, features).scores.detach()
        falls.append(original - values_in(scores, targets))
    weights = torch.cat(falls).T  # (target, channel)
    return weighted_sum(grid.to(weights)[None], weights).relu()


def score_cam(
    passed: Pass, position: int, targets: Targets, *, batch: int = BATCH
) -> Float[Tensor, "target row col"]:
    """The Score-CAM map (Wang et al. 2020, CVPRW, Algorithm 1): channels weighted by what they let through.

    Each channel, drawn out to the input and scaled to 0 to 1, masks the image; a softmax over the channels of
    the scores' increases over those of a blank image gives their weights. Runs the model once for each
    channel.
    """
    below, rescore = other_pixels(passed)
    grid = passed.grid(passed.features[position].detach()[None])[0].float()
    image = below.pixels[position : position + 1].detach()
    blank = values_in(rescore(torch.zeros_like(image), position), targets)[0]
    rises: list[Tensor] = []
    for part in grid.split(batch):
        masks = interpolate(part[None], image.shape[-2:], mode="bilinear", align_corners=False)[0]
        least, most = masks.amin((1, 2), keepdim=True), masks.amax((1, 2), keepdim=True)
        masks = ((masks - least) / (most - least).where(most > least, 1.0)).where(most > least, 0.0)
        rises.append(values_in(rescore(image * masks[:, None].to(image), position), targets) - blank)
    weights = torch.cat(rises).softmax(0).T
    return weighted_sum(grid.to(weights)[None], weights).relu()


def rise(
    passed: Pass,
    position: int,
    targets: Targets,
    *,
    count: int = 4000,
    cells: int = 7,
    shown: float = 0.5,
    batch: int = BATCH,
    seed: int = 0,
) -> Float[Tensor, "target height width"]:
    """The RISE map (Petsiuk et al. 2018, arXiv 1806.07421, Eq. 6): the mean score of what shows each pixel.

    ``count`` random masks of ``cells`` x ``cells``, each cell shown with probability ``shown``, drawn out
    bilinearly and shifted, multiply the image; the map is their mean, weighted by the scores, over ``shown``.
    The mean score is taken off first, which takes off a constant. Runs the model once for each mask.
    """
    below, rescore = other_pixels(passed)
    image = below.pixels[position : position + 1].detach()
    total = torch.zeros(len(targets), *image.shape[-2:], dtype=torch.float64)
    sums, plain = torch.zeros(len(targets), dtype=torch.float64), torch.zeros_like(total[0])
    for masks in _masks(image.shape[-2:], count, cells, shown, batch, seed):
        values = values_in(rescore(image * masks[:, None].to(image), position), targets).cpu()
        total += torch.einsum("nt,nij->tij", values, masks.double())
        sums += values.sum(0)
        plain += masks.double().sum(0)
    return (total - (sums / count)[:, None, None] * plain) / (count * shown)


def _masks(
    size: Sequence[int], count: int, cells: int, shown: float, batch: int, seed: int
) -> Iterator[Float[Tensor, "mask height width"]]:
    random = torch.Generator().manual_seed(seed)
    height, width = size
    high, wide = -(-height // cells), -(-width // cells)
    for start in range(0, count, batch):
        some = min(batch, count - start)
        coarse = (torch.rand(some, 1, cells, cells, generator=random) < shown).float()
        fine = interpolate(coarse, ((cells + 1) * high, (cells + 1) * wide), mode="bilinear")[:, 0]
        down = torch.randint(high, (some,), generator=random).tolist()
        right = torch.randint(wide, (some,), generator=random).tolist()
        yield torch.stack(
            [
                mask[top : top + height, left : left + width]
                for mask, top, left in zip(fine, down, right, strict=True)
            ]
        )
