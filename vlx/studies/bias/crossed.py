"""Errors of means over several networks that were all tried on the same scenes."""

import numpy as np
from jaxtyping import Float

from vlx.eval.measures.bootstrap import draws

RESAMPLES = 2_000

Values = Float[np.ndarray, "network scene"]


def crossed_draws(
    networks: int, scenes: int, seed: int = 0
) -> tuple[Float[np.ndarray, "draw network"], Float[np.ndarray, "draw scene"]]:
    """How often each draw holds each network and each scene, drawn apart (pigeonhole bootstrap, Owen 2007).

    A single network is in every draw once, so that errors are by scenes alone.
    """
    return _drawn(networks, seed + 1), _drawn(scenes, seed)


def crossed_mean(
    values: Values,
    weights: Float[np.ndarray, " scene"] | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, tuple[float, float]]:
    """The mean, each scene with its weight, and its interval that draws networks and scenes.

    >>> crossed_mean(np.array([[1.0, 1.0], [1.0, 1.0]]))
    (1.0, (1.0, 1.0))
    """
    share = np.ones(values.shape[1]) if weights is None else weights
    networks, scenes = values.shape
    of_networks, of_scenes = crossed_draws(networks, scenes, seed)
    total = np.einsum("dn,ns,ds->d", of_networks, values * share, of_scenes, optimize=True)
    held = of_scenes @ share * len(values)
    means = total[held > 0] / held[held > 0]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float((values @ share).mean() / share.sum()), (float(low), float(high))


def _drawn(count: int, seed: int) -> Float[np.ndarray, "draw _item"]:
    if count == 1:
        return np.ones((RESAMPLES, 1))
    return np.concatenate([times for _, times in draws(count, seed, RESAMPLES)])
