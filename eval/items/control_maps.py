"""The controls of an item: its maps that know nothing of the target, scored beside every method's.

What a control is on arrays, `vlx.eval.measures.controls` says; here it becomes a map on the item's image.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch

from vlx.eval.items.item import Item, seed_of
from vlx.eval.measures.controls import centre_prior, mean_activation, smooth_noise
from vlx.eval.measures.maps import Map, bilinear
from vlx.passes.forward import Pass

RANDOM_WEIGHTS = "random_weights"
"""The column of the same method on the model with shuffled weights."""
CONTROLS = (RANDOM_WEIGHTS, "mean_activation", "centre_prior", "random_map")
"""The columns of the controls."""
NOISE = (56, 56)
"""The grid on which noise is made, four cells to its standard deviation, before it is drawn out."""


def activation_maps(passed: Pass, reading_of: Sequence[int]) -> list[Map]:
    """For each item the mean activation of its image, without any gradient, on the pixels of the image.

    ``reading_of`` says which reading of the Pass belongs to each item.
    """
    grids = passed.grid(passed.features.detach()).cpu().double().numpy()
    planes = [
        frame.on_image(torch.from_numpy(mean_activation(grid))).numpy()
        for grid, frame in zip(grids, passed.frames, strict=True)
    ]
    return [planes[index] for index in reading_of]


def control_maps(item: Item, shape: tuple[int, int], seed: int) -> dict[str, Map]:
    """The controls that need no model: the centre prior, and noise.

    The noise belongs to the item, whatever is measured before it.
    """
    random = np.random.default_rng(seed_of(seed, item.id))
    return {"centre_prior": _centre_prior(shape), "random_map": bilinear(smooth_noise(NOISE, random), shape)}


@lru_cache(maxsize=16)
def _centre_prior(shape: tuple[int, int]) -> Map:
    """The one of all images of this shape, which nobody may change."""
    prior = centre_prior(shape)
    prior.flags.writeable = False
    return prior
