"""Weights of bilinear resampling along one axis: a map is resampled by those of its rows and its columns."""

import numpy as np
from jaxtyping import Float


def linear_weights(at: Float[np.ndarray, " sample"], cells: int) -> Float[np.ndarray, "sample cell"]:
    """Row i shares position ``at[i]`` between the two cells beside it, of which cell k lies at position k.

    Before the first cell and behind the last that cell counts alone, so rows add up to 1.

    >>> linear_weights(np.array([0.25, 1.5]), 3)
    array([[0.75, 0.25, 0.  ],
           [0.  , 0.5 , 0.5 ]])
    """
    at = np.clip(at, 0, cells - 1)
    below = np.floor(at).astype(int)
    above = np.minimum(below + 1, cells - 1)
    share = at - below
    weights = np.zeros((len(at), cells))
    samples = np.arange(len(at))
    weights[samples, below] += 1 - share
    weights[samples, above] += share
    return weights
