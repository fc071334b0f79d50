"""Errors of a mean by resampling and by clusters."""

import math

import numpy as np
from jaxtyping import Float

from vlx.errors import VlxError

_CHUNK = 4_000_000
"""Most bootstrap draws held at once (32 MB of indices)."""


def bootstrap_interval(
    values: Float[np.ndarray, " item"],
    groups: np.ndarray,
    *,
    seed: int = 0,
    resamples: int = 10_000,
    level: float = 0.95,
) -> tuple[float, float] | None:
    """The percentile bootstrap interval of the mean, resampling whole groups (Efron 1979).

    ``groups`` holds the group number 0, 1, ... of each value. A resample draws as many groups as
    there are, with replacement; its mean is over the items of the groups drawn. None where there
    are fewer than two groups.

    >>> bootstrap_interval(np.array([2.0, 2.0, 2.0]), np.array([0, 0, 1]))
    (2.0, 2.0)
    """
    if not 0 < level < 1 or resamples < 1:
        raise VlxError(f"level {level} and {resamples} resamples: expected 0 < level < 1, >= 1")
    sums = np.bincount(groups, weights=values) if len(values) else np.zeros(0)
    sizes = np.bincount(groups) if len(values) else np.zeros(0)
    count = len(sums)
    if count < 2:
        return None
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, _CHUNK // count)
    for start in range(0, resamples, step):
        drawn = generator.integers(count, size=(min(step, resamples - start), count))
        means[start : start + step] = sums[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def clustered_error(values: Float[np.ndarray, " item"], groups: np.ndarray) -> float | None:
    """The standard error of the mean when groups, not items, are independent.

    √(C/(C−1) · Σ over groups of (Σ of residuals)²) / n; equal to SD/√n when every group holds one
    item. None where there are fewer than two groups.

    >>> round(clustered_error(np.array([0.0, 2.0]), np.array([0, 1])), 3)  # as SD / √2, with an SD of √2
    1.0
    """
    if not len(values):
        return None
    residuals = np.bincount(groups, weights=values - values.mean())
    count = len(residuals)
    if count < 2:
        return None
    return math.sqrt(count / (count - 1) * float(np.square(residuals).sum())) / len(values)
