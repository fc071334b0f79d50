"""Errors of a mean by resampling and by clusters."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

from vlx.errors import VlxError

_CHUNK = 4_000_000
"""Most bootstrap draws held at once (32 MB of indices)."""
_SHORT = 2_000  # groups up to which the draws of many resamples are counted at once

Sample = tuple[Float[np.ndarray, " _item"], np.ndarray]
"""The values of some items, and the number 0, 1, ... of each one's group."""


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
    return bootstrap_intervals([(values, groups)], seed=seed, resamples=resamples, level=level)[0]


def bootstrap_intervals(
    samples: Sequence[Sample], *, seed: int = 0, resamples: int = 10_000, level: float = 0.95
) -> list[tuple[float, float] | None]:
    """`bootstrap_interval` of several samples, those of as many groups from one draw of groups.

    What is drawn depends on the seed and on the number of groups alone, so that every sample has the interval
    that it would have by itself, but for rounding.

    >>> values, groups = np.array([1.0, 2.0, 4.0]), np.arange(3)
    >>> first, second = bootstrap_intervals([(values, groups), (2 * values, groups)])
    >>> second[0] == 2 * first[0]
    True
    """
    check_bootstrap(level, resamples)
    totals: list[tuple[np.ndarray, np.ndarray]] = [
        (np.bincount(groups, weights=values), np.bincount(groups))
        if len(values)
        else (np.zeros(0), np.zeros(0))
        for values, groups in samples
    ]
    found: list[tuple[float, float] | None] = [None] * len(samples)
    for count in {len(sums) for sums, _ in totals if len(sums) > 1}:
        mine = [at for at, (sums, _) in enumerate(totals) if len(sums) == count]
        means = _means([totals[at] for at in mine], count, seed, resamples)
        for at, (low, high) in zip(mine, ends(means, level), strict=True):
            found[at] = float(low), float(high)
    return found


def median_interval(
    values: Float[np.ndarray, " item"],
    groups: np.ndarray,
    *,
    seed: int = 0,
    resamples: int = 2_000,
    level: float = 0.95,
) -> tuple[float, float] | None:
    """The percentile bootstrap interval of the median, resampling whole groups; infinite values count.

    None where there are fewer than two groups.

    >>> median_interval(np.array([2.0, 2.0, 2.0]), np.array([0, 0, 1]))
    (2.0, 2.0)
    """
    if not len(values) or (count := int(groups.max()) + 1) < 2:
        return None
    order = np.argsort(values, kind="stable")
    ranked, owners = values[order], groups[order]
    generator = np.random.default_rng(seed)
    medians = np.empty(resamples)
    for at in range(resamples):
        often = np.bincount(generator.integers(count, size=count), minlength=count)
        upto = often[owners].cumsum()
        low, high = np.searchsorted(upto, [(upto[-1] + 1) // 2, upto[-1] // 2 + 1])
        medians[at] = ranked[low] if ranked[low] == ranked[high] else (ranked[low] + ranked[high]) / 2
    # Whole values: between a finite and an infinite one there is nothing to interpolate.
    low, high = np.quantile(medians, [(1 - level) / 2, (1 + level) / 2], method="closest_observation")
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
    return error_of(np.bincount(groups, weights=(values - values.mean()) / len(values)))


def error_of(residuals: Float[np.ndarray, " group"]) -> float | None:
    """The standard error of a sum of parts of independent groups, whose expectations are 0.

    >>> error_of(np.array([1.0, -1.0]))
    2.0
    """
    count = len(residuals)
    return None if count < 2 else math.sqrt(count / (count - 1) * float(np.square(residuals).sum()))


def check_bootstrap(level: float, resamples: int) -> None:
    """Raises VlxError for a level or a number of resamples that no bootstrap has.

    >>> check_bootstrap(0.95, 10_000)
    """
    if not 0 < level < 1 or resamples < 1:
        raise VlxError(f"level {level} and {resamples} resamples: expected 0 < level < 1, >= 1")


def _means(
    totals: Sequence[tuple[np.ndarray, np.ndarray]], count: int, seed: int, resamples: int
) -> Float[np.ndarray, "sample resample"]:
    """The mean of every sample over the groups of each draw; sizes that samples share are added up once."""
    kinds = {sizes.tobytes(): sizes for _, sizes in totals}
    column = {key: len(totals) + at for at, key in enumerate(kinds)}
    table = np.stack([*(sums for sums, _ in totals), *kinds.values()], 1).astype(np.float64)
    sizes_of = [column[sizes.tobytes()] for _, sizes in totals]
    means = np.empty((len(totals), resamples))
    for rows, times in draws(count, seed, resamples):
        drawn = (times @ table).T
        means[:, rows] = drawn[: len(totals)] / drawn[sizes_of]
    return means


def draws(count: int, seed: int, resamples: int) -> Iterator[tuple[slice, Float[np.ndarray, "draw group"]]]:
    """How often each of ``count`` groups is drawn, for some resamples after others, and for which.

    >>> [(rows, times.sum(1).tolist()) for rows, times in draws(3, seed=0, resamples=2)]
    [(slice(0, 2, None), [3.0, 3.0])]
    """
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK // count)
    for start in range(0, resamples, step):
        drawn = generator.integers(count, size=(min(step, resamples - start), count))
        yield slice(start, start + len(drawn)), _times(drawn, count)


def _times(drawn: np.ndarray, count: int) -> Float[np.ndarray, "draw group"]:
    if count <= _SHORT:
        own = drawn + count * np.arange(len(drawn))[:, None]
        return np.bincount(own.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)
    times = np.empty(drawn.shape)
    for row, one in enumerate(drawn):
        times[row] = np.bincount(one, minlength=count)
    return times


def ends(means: Float[np.ndarray, "sample resample"], level: float) -> Float[np.ndarray, "sample 2"]:
    """The ends of the interval of each sample.

    >>> ends(np.array([[0.0, 1.0, 2.0]]), 0.5)
    array([[0.5, 1.5]])
    """
    return np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=1).T
