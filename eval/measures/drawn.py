"""Statistics that are no mean over items, with bootstrap intervals that draw clusters, such as images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from vlx.errors import VlxError
from vlx.eval.measures.bootstrap import check_bootstrap, draws, ends
from vlx.eval.measures.statistics import Cluster, Outcome, cluster_key

RESAMPLES = 2_000
_CHUNK = 2_000_000
"""Most weights of items held at once (16 MB)."""

Weights = Float[np.ndarray, "draw item"]
"""How often each draw holds each item."""
Estimate = Callable[[Weights], Float[np.ndarray, " draw"]]
"""The statistic of each draw; NaN where it is undefined."""


@dataclass(frozen=True)
class Statistic:
    """One number of many rows, such as the area under a ROC curve."""

    value: float | None
    """None where it is undefined, as of one class alone."""
    interval: tuple[float, float] | None
    """Percentile bootstrap that draws clusters."""
    counts: Mapping[str, int]
    """How many rows it is of, by kind."""
    clusters: int
    level: float = 0.95
    left_out: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many rows had no value, by reason."""

    @property
    def sure(self) -> bool:
        """Whether the whole interval lies above 0: of differences."""
        return self.interval is not None and self.interval[0] > 0


def drawn_statistic(
    estimate: Estimate,
    clusters: Sequence[Cluster],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> tuple[float | None, tuple[float, float] | None]:
    """A statistic of weighted items, and its percentile bootstrap interval, drawing whole clusters.

    ``estimate`` is given how often each draw holds each item, in the order of ``clusters``, which names the
    cluster of each. The value is that of every item once. Draws in which it is undefined are left out; there
    is no interval where fewer than two clusters are, or it is undefined in every draw.

    >>> values = np.array([1.0, 3.0])
    >>> drawn_statistic(lambda times: times @ values / times.sum(1), ["image 1", "image 2"])
    (2.0, (1.0, 3.0))
    """
    check_bootstrap(level, resamples)
    if not clusters:
        return None, None
    whole = float(estimate(np.ones((1, len(clusters))))[0])
    names = {name: at for at, name in enumerate(sorted(set(clusters), key=cluster_key))}
    if np.isnan(whole) or len(names) < 2:
        return None if np.isnan(whole) else whole, None
    of_item = np.array([names[name] for name in clusters])
    step, found = max(1, _CHUNK // len(clusters)), np.empty(resamples)
    for rows, times in draws(len(names), seed, resamples):
        for start in range(0, len(times), step):
            some = times[start : start + step]
            first = rows.start + start
            found[first : first + len(some)] = estimate(some[:, of_item])
    known = found[~np.isnan(found)]
    if not len(known):
        return whole, None
    ((low, high),) = ends(known[None], level)
    return whole, (float(low), float(high))


def roc_area(scores: Float[np.ndarray, " item"], positive: Bool[np.ndarray, " item"]) -> float | None:
    """The area under the ROC curve of scores that tell positive items from others.

    The chance that a positive one has the higher score, ties counting one half, which is what midranks give
    (Mann and Whitney 1947; Hanley and McNeil 1982). Infinite scores are the highest and the lowest. None
    where all items are of one kind.

    >>> roc_area(np.array([3.0, 1.0, 1.0]), np.array([True, True, False]))
    0.75
    """
    (found,) = roc_areas(scores, positive)(np.ones((1, len(scores))))
    return None if np.isnan(found) else float(found)


def roc_areas(scores: Float[np.ndarray, " item"], positive: Bool[np.ndarray, " item"]) -> Estimate:
    """`roc_area` of weighted items, for `drawn_statistic`.

    >>> area = roc_areas(np.array([3.0, 1.0, 2.0]), np.array([True, True, False]))
    >>> area(np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 1.0]]))
    array([0.5       , 0.66666667])
    """
    if scores.shape != positive.shape or scores.ndim != 1 or np.isnan(scores).any():
        raise VlxError(f"{scores.shape} scores and {positive.shape} labels: give one label a score, no NaN")
    order = np.argsort(scores, kind="stable")
    starts = np.unique(scores[order], return_index=True)[1]  # of items with equal scores

    def areas(times: Weights) -> Float[np.ndarray, " draw"]:
        ranked = times[:, order]
        if not len(starts):
            return np.full(len(times), np.nan)
        mine = np.add.reduceat(np.where(positive[order], ranked, 0.0), starts, axis=1)
        others = np.add.reduceat(np.where(positive[order], 0.0, ranked), starts, axis=1)
        below = others.cumsum(1) - others / 2  # a half of those of the same score
        pairs = mine.sum(1) * others.sum(1)
        return np.divide((mine * below).sum(1), pairs, out=np.full(len(times), np.nan), where=pairs > 0)

    return areas


def means_of(values: Float[np.ndarray, " item"], chosen: Bool[np.ndarray, " item"]) -> Estimate:
    """The mean of the chosen ones of weighted items, for `drawn_statistic`.

    >>> means_of(np.array([1.0, 3.0, 8.0]), np.array([True, True, False]))(np.ones((1, 3)))
    array([2.])
    """

    def means(times: Weights) -> Float[np.ndarray, " draw"]:
        mine = times[:, chosen]
        weight = mine.sum(1)
        return np.divide(mine @ values[chosen], weight, out=np.full(len(times), np.nan), where=weight > 0)

    return means


def minus(first: Estimate, second: Estimate) -> Estimate:
    """The difference of two statistics of the same items, on the same draws.

    >>> one = means_of(np.array([1.0, 3.0]), np.array([True, True]))
    >>> minus(one, one)(np.ones((1, 2)))
    array([0.])
    """
    return lambda times: first(times) - second(times)


def statistic(
    outcomes: Sequence[Outcome],
    clusters: Sequence[Cluster],
    estimate_of: Callable[[Float[np.ndarray, " item"], np.ndarray], Estimate],
    kinds: Sequence[str],
    *,
    seed: int = 0,
) -> Statistic:
    """A statistic over the outcomes that have a value.

    ``kinds`` says of what kind each is, for the counts. ``estimate_of`` is given the values, and their
    positions among the outcomes.

    >>> from vlx.eval.measures.statistics import Outcome
    >>> outcomes = [Outcome(1.0), Outcome(3.0), Outcome(None, "unknown_word")]
    >>> mean = lambda values, at: means_of(values, np.ones(len(values), bool))
    >>> found = statistic(outcomes, ["1", "2", "3"], mean, ["words"] * 3)
    >>> found.value, found.counts, found.clusters, found.left_out
    (2.0, {'words': 2}, 2, {'unknown_word': 1})
    """
    at = np.array([number for number, one in enumerate(outcomes) if one.value is not None], dtype=np.intp)
    values = np.array([outcomes[number].value for number in at], dtype=np.float64)
    named = [clusters[number] for number in at]
    value, interval = drawn_statistic(estimate_of(values, at), named, seed=seed)
    counts, lost = dict.fromkeys(sorted(set(kinds)), 0), dict[str, int]()
    for number, one in enumerate(outcomes):
        if one.left_out is None:
            counts[kinds[number]] += 1
        else:
            lost[one.left_out] = lost.get(one.left_out, 0) + 1
    return Statistic(value, interval, counts, len(set(named)), left_out=dict(sorted(lost.items())))
