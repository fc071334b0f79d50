"""Maps of several layers made into one: pure functions of maps (..., row, col), each on a grid of its own.

Maps are given from the finest grid to the coarsest, the order of layers from shallow to deep, and the result
is on the finest. Cells are taken to divide the same picture evenly.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vlx.errors import VlxError
from vlx.images.bilinear import linear_weights

Map = Float[Tensor, "*lead row col"]
Fuse = Callable[[Sequence[Tensor]], Tensor]
"""Makes one map of those of several layers."""

GAMMA = 2.0
"""How far `layer_cam_fusion` lifts faint places of shallow maps."""


def resized(maps: Map, rows: int, cols: int) -> Float[Tensor, "*lead rows cols"]:
    """Maps by their values on another grid: bilinear between the middles of cells.

    >>> resized(torch.tensor([[0.0, 4.0]]), 1, 4)
    tensor([[0., 1., 3., 4.]])
    """
    planes = maps.reshape(-1, 1, *maps.shape[-2:])
    found = F.interpolate(planes, (rows, cols), mode="bilinear", align_corners=False)
    return found.reshape(*maps.shape[:-2], rows, cols)


def spread(maps: Map, rows: int, cols: int) -> Float[Tensor, "*lead rows cols"]:
    """Maps of shares on a finer grid, where they add up to what they did: nats stay nats.

    Each place gives what it has to the places near it, by the weights of bilinear interpolation.

    >>> spread(torch.tensor([[0.0, 4.0]]), 1, 4)
    tensor([[0.0000, 0.5000, 1.5000, 2.0000]])
    """
    down, across = (_shares(count, of, maps) for count, of in zip((rows, cols), maps.shape[-2:], strict=True))
    return down @ maps @ across.mT


def mean(maps: Sequence[Tensor]) -> Map:
    """The mean of the maps of several layers, each spread over the finest grid.

    Integrated gradients at any layer add up to what the image gave the score, so their mean does too: a map
    in nats, which the layers that agree on a place make clear there.

    >>> mean([torch.ones(2, 2), torch.tensor([[8.0]])])
    tensor([[1.5000, 1.5000],
            [1.5000, 1.5000]])
    """
    finest = _finest(maps)
    return torch.stack([spread(one, *finest) for one in maps]).mean(0)


def layer_cam_fusion(maps: Sequence[Tensor], gamma: float = GAMMA) -> Map:
    """LayerCAM's fusion (Jiang et al., TIP 2021, section III-C): the largest of the layers at each place.

    Maps are rectified and divided by their maximum; those of all layers but the deepest are lifted by
    tanh(γ M / max M), since they are faint but at a few edges. A map without a positive place stays 0.

    >>> layer_cam_fusion([torch.tensor([[0.0, 2.0]]), torch.tensor([[3.0]])])
    tensor([[1., 1.]])
    """
    finest = _finest(maps)
    scaled = [_by_maximum(one.relu()) for one in maps]
    lifted = [*((gamma * one).tanh() for one in scaled[:-1]), scaled[-1]]
    return torch.stack([resized(one, *finest) for one in lifted]).amax(0)


def refine_cam(maps: Sequence[Tensor]) -> Map:
    """RefineCAM's product (arXiv 2605.14641): places that the maps of all layers know.

    Maps are rectified, brought to the finest grid, divided by their maximum and multiplied; the product is
    divided by its maximum. It is 0 everywhere where one of the maps is.

    >>> refine_cam([torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0]])])
    tensor([[0.5000, 1.0000]])
    """
    finest = _finest(maps)
    scaled = [_by_maximum(resized(one.relu(), *finest)) for one in maps]
    return _by_maximum(torch.stack(scaled).prod(0))


def _finest(maps: Sequence[Tensor]) -> tuple[int, int]:
    if len(maps) < 2:
        raise VlxError("maps of several layers are fused: give two at least, as vlx.at_layers does")
    return max(((one.shape[-2], one.shape[-1]) for one in maps), key=lambda sides: sides[0] * sides[1])


def _by_maximum(maps: Map) -> Map:
    """Maps divided by their maximum, 0 where that is 0."""
    largest = maps.amax((-2, -1), keepdim=True)
    return torch.where(
        largest > 0, maps / largest.where(largest > 0, largest.new_ones(())), maps.new_zeros(())
    )


def _shares(fine: int, coarse: int, like: Tensor) -> Float[Tensor, "fine coarse"]:
    """How much each of some fine cells gets of each coarse one; columns add up to 1."""
    if coarse > fine:
        weights = linear_weights((np.arange(coarse) + 0.5) * fine / coarse - 0.5, fine).T
    else:
        weights = linear_weights((np.arange(fine) + 0.5) * coarse / fine - 0.5, coarse)
    return torch.as_tensor(weights / weights.sum(0), dtype=like.dtype, device=like.device)
