"""Maps that know nothing of the target, to be scored on the same items as every method."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch

from vlx.eval.items.item import Item, seed_of
from vlx.eval.measures.controls import centre_prior, mean_activation, smooth_noise
from vlx.eval.measures.maps import Map, bilinear
from vlx.passes.forward import Pass

CONTROLS = ("random_weights", "mean_activation", "centre_prior", "random_map")
"""Their columns. ``random_weights`` is the same method on the model with shuffled weights."""
NOISE = (56, 56)
"""The grid on which noise is made, four cells to its standard deviation, before it is drawn out."""


def activations(run: Pass, places: Sequence[int]) -> list[Map]:
    """The mean activation of the image at each place of a run, without any gradient, on its pixels."""
    grids = run.grid(run.features.detach()).cpu().double().numpy()
    planes = [
        frame.place(torch.from_numpy(mean_activation(grid))).numpy()
        for grid, frame in zip(grids, run.frames, strict=True)
    ]
    return [planes[place] for place in places]


def blind_maps(item: Item, shape: tuple[int, int], seed: int) -> dict[str, Map]:
    """The centre prior, and noise that belongs to the item whatever is measured before it."""
    random = np.random.default_rng(seed_of(seed, item.id))
    return {"centre_prior": _centre_prior(shape), "random_map": bilinear(smooth_noise(NOISE, random), shape)}


@lru_cache(maxsize=16)
def _centre_prior(shape: tuple[int, int]) -> Map:
    """The one of all images of this shape, which nobody may change."""
    prior = centre_prior(shape)
    prior.flags.writeable = False
    return prior
