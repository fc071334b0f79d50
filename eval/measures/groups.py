"""The mean of the means of groups, such as categories, with errors by the images of their items."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from vlx.eval.measures.bootstrap import Sample, check_bootstrap, draws, ends, error_of
from vlx.eval.measures.statistics import (
    Cluster,
    Outcome,
    Summary,
    by_group,
    cluster_key,
    mean_over_groups,
)


def mean_by_clusters(
    outcomes: Sequence[Outcome],
    groups: Sequence[str],
    clusters: Sequence[Cluster],
    *,
    seed: int = 0,
    medians: bool = False,
) -> Summary:
    """Summarise the means of groups as `mean_over_groups` does, with errors by clusters of the items.

    With ``medians`` it is the mean of the groups' medians; infinite values count there.

    What varies is which clusters, for example images, there are: they are drawn, each with its items of every
    group, and the groups stay. n, SD and standard error are those of the groups' means.

    >>> from vlx.eval.measures.statistics import Outcome
    >>> values = [Outcome(1.0), Outcome(3.0), Outcome(4.0)]
    >>> found = mean_by_clusters(values, ["dog", "dog", "cat"], ["image 1", "image 2", "image 1"])
    >>> found.mean, found.clusters
    (3.0, 2)
    """
    found = mean_over_groups(by_group(outcomes, groups, clusters, seed=seed), seed=seed, medians=medians)
    valued = [at for at, one in enumerate(outcomes) if one.value is not None]
    kept = [at for at in valued if medians or math.isfinite(outcomes[at].value or 0.0)]
    names = {name: at for at, name in enumerate(sorted({clusters[at] for at in kept}, key=cluster_key))}
    parts: dict[str, list[int]] = {}
    for at in kept:
        parts.setdefault(groups[at], []).append(at)
    samples = [
        (np.array([outcomes[at].value for at in mine]), np.array([names[clusters[at]] for at in mine]))
        for _, mine in sorted(parts.items())
    ]
    return replace(
        found,
        interval=macro_interval(samples, len(names), seed=seed, medians=medians),
        clusters=len(names),
        clustered_error=None if medians else macro_error(samples, len(names)),
    )


def macro_interval(
    parts: Sequence[Sample],
    groups: int,
    *,
    seed: int = 0,
    resamples: int = 10_000,
    level: float = 0.95,
    medians: bool = False,
) -> tuple[float, float] | None:
    """The percentile bootstrap interval of the mean of several means, resampling the groups of all.

    With ``medians`` it is that of the mean of several medians.

    Each part, for example a category, brings its values with the numbers of their groups, of which there are
    ``groups`` in all. A resample takes the mean of each part over the groups drawn, then the mean of those
    of which anything was drawn. None where there are fewer than two groups or no part.

    >>> dogs, cats = (np.array([1.0, 1.0]), np.array([0, 1])), (np.array([3.0]), np.array([1]))
    >>> macro_interval([dogs, cats], 2)
    (1.0, 2.0)
    """
    check_bootstrap(level, resamples)
    if groups < 2 or not parts:
        return None
    middles = _medians if medians else _means
    means = np.empty(resamples)
    for rows, times in draws(groups, seed, resamples):
        each = middles(parts, times)
        held = ~np.isnan(each)
        known = held.sum(1)
        sums = each.sum(1, where=held)
        means[rows] = np.divide(sums, known, out=np.full(len(known), np.nan), where=known > 0)
    (low, high), *_ = ends(means[None, np.isfinite(means)], level)
    return float(low), float(high)


def _means(parts: Sequence[Sample], times: Float[np.ndarray, "draw group"]) -> Float[np.ndarray, "draw part"]:
    """The mean of each part over the groups of each draw; NaN where nothing of it was drawn."""
    groups = times.shape[1]
    sums = np.stack([np.bincount(at, weights=values, minlength=groups) for values, at in parts], 1)
    sizes = np.stack([np.bincount(at, minlength=groups) for _, at in parts], 1).astype(np.float64)
    drawn = times @ sizes
    return np.divide(times @ sums, drawn, out=np.full_like(drawn, np.nan), where=drawn > 0)


def _medians(
    parts: Sequence[Sample], times: Float[np.ndarray, "draw group"]
) -> Float[np.ndarray, "draw part"]:
    """The median of each part over the groups of each draw; NaN where nothing of it was drawn."""
    found: list[np.ndarray] = []
    for values, at in parts:
        order = np.argsort(values, kind="stable")
        ranked, upto = values[order], times[:, at[order]].cumsum(1)
        drawn = upto[:, -1:]
        low = (upto >= (drawn + 1) // 2).argmax(1)
        high = (upto >= drawn // 2 + 1).argmax(1)
        with np.errstate(invalid="ignore"):  # between -inf and inf
            middle = np.where(low == high, ranked[low], (ranked[low] + ranked[high]) / 2)
        found.append(np.where(drawn[:, 0] > 0, middle, np.nan))
    return np.stack(found, 1)


def macro_error(parts: Sequence[Sample], groups: int) -> float | None:
    """The standard error of the mean of several means when groups, not items, are independent.

    As `clustered_error`, each item with its share in the mean of its part over the number of parts. None
    where there are fewer than two groups or no part.

    >>> from vlx.eval.measures.bootstrap import clustered_error
    >>> values, at = np.array([0.0, 2.0]), np.array([0, 1])
    >>> macro_error([(values, at)], 2) == clustered_error(values, at)
    True
    """
    if not parts:
        return None
    shares = [
        np.bincount(at, weights=(values - values.mean()) / len(values), minlength=groups)
        for values, at in parts
    ]
    return error_of(np.sum(shares, 0) / len(parts))
