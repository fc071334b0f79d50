"""Summaries of measured items: mean, spread, interval, and what was left out and why.

A measure gives one Outcome for each item. What is undefined carries a reason instead of a value and enters
no mean. Tallies of several workers merge exactly, and a summary does not depend on the order of its items.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float
from scipy import stats

from vlx.errors import NumericError, VlxError
from vlx.eval.measures.bootstrap import Sample, bootstrap_intervals, clustered_error, median_interval

Cluster = int | str
"""What groups items that are not independent, for example the image they belong to."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The measured value of one item, or the reason why it has none.

    >>> Outcome(2.5).value, Outcome(None, "zero_map").left_out
    (2.5, 'zero_map')
    """

    value: float | None
    """The value; infinite where a quotient has a zero below and something above."""
    left_out: str | None = None
    """Why there is no value, for example ``zero_map``."""

    def __post_init__(self) -> None:
        if (self.value is None) == (self.left_out is None):
            raise VlxError("an outcome has either a value or a reason for being left out")
        if self.value is not None and math.isnan(self.value):
            raise NumericError("an outcome cannot be NaN: give the reason for leaving it out")


@dataclass(frozen=True)
class Tally:
    """Outcomes kept for a summary; two tallies add up to the tally of all their items."""

    values: tuple[float, ...] = ()
    clusters: tuple[Cluster, ...] | None = None
    """One cluster for each value; None where items are independent."""
    left_out: Mapping[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        if self.clusters is not None and len(self.clusters) != len(self.values):
            raise VlxError(f"{len(self.clusters)} clusters for {len(self.values)} values")

    def __add__(self, other: "Tally") -> "Tally":
        return merge((self, other))


def tally(
    outcomes: Iterable[Outcome | float | int | None], clusters: Iterable[Cluster] | None = None
) -> Tally:
    """Collect outcomes, or plain numbers, into a Tally; None is left out as ``undefined``.

    ``clusters`` names the cluster of each outcome, including those that are left out.

    >>> tally([1.0, None])
    Tally(values=(1.0,), clusters=None, left_out={'undefined': 1})
    """
    items = [_outcome(item) for item in outcomes]
    names = None if clusters is None else list(clusters)
    if names is not None and len(names) != len(items):
        raise VlxError(f"{len(names)} clusters for {len(items)} outcomes")
    kept = [at for at, item in enumerate(items) if item.value is not None]
    return Tally(
        values=tuple(item.value for item in items if item.value is not None),
        clusters=None if names is None else tuple(names[at] for at in kept),
        left_out=dict(Counter(item.left_out for item in items if item.left_out is not None)),
    )


def merge(tallies: Iterable[Tally]) -> Tally:
    """Join tallies; raises VlxError where some have clusters and others have none.

    >>> merge([tally([1.0]), tally([2.0])]).values
    (1.0, 2.0)
    """
    parts = [part for part in tallies if part.values or part.left_out]
    valued = [part for part in parts if part.values]
    clustered = [part.clusters is not None for part in valued]
    if any(clustered) and not all(clustered):
        raise VlxError("cannot merge a tally with clusters and one without")
    left_out: Counter[str] = Counter()
    for part in parts:
        left_out.update(part.left_out)
    return Tally(
        values=tuple(value for part in valued for value in part.values),
        clusters=tuple(name for part in valued for name in part.clusters or ()) if any(clustered) else None,
        left_out=dict(left_out),
    )


@dataclass(frozen=True)
class Summary:
    """What a set of outcomes amounts to. A number that is undefined for so few items is None."""

    n: int
    """Items in the mean: finite values."""
    mean: float | None
    standard_error: float | None
    """SD / √n with ddof 1, as if all items were independent."""
    sd: float | None
    interval: tuple[float, float] | None
    """Percentile bootstrap of the mean, resampling clusters where there are any."""
    level: float
    median: float | None
    """Middle value, infinite values included."""
    trimmed_mean: float | None
    """Mean without the lowest and the highest tenth of the finite values."""
    infinite: int
    """Infinite values: in the median, not in the mean."""
    left_out: Mapping[str, int]
    """How many items had no value, by reason."""
    clusters: int | None
    """How many clusters there are; None where items are independent."""
    clustered_error: float | None
    """Standard error of the mean when only clusters are independent."""
    median_interval: tuple[float, float] | None = None
    """Percentile bootstrap of the median, resampling clusters where there are any; where it was asked for."""

    @property
    def seen(self) -> int:
        """All items: in the mean, infinite, and left out."""
        return self.n + self.infinite + sum(self.left_out.values())


def summarise(
    values: Tally | Iterable[Outcome | float | int | None],
    clusters: Iterable[Cluster] | None = None,
    *,
    seed: int = 0,
    resamples: int = 10_000,
    level: float = 0.95,
    trim: float = 0.1,
    middle: bool = False,
) -> Summary:
    """Summarise outcomes (or a Tally of them).

    The mean, its errors and its interval are over finite values; the median keeps infinite ones. With
    ``middle`` the median has an interval too.
    The result depends on the items, not on their order: they are sorted before the seeded draw.

    >>> found = summarise([1.0, 2.0, 3.0, Outcome(None, "zero_map")])
    >>> found.n, found.mean, found.sd, found.left_out
    (3, 2.0, 1.0, {'zero_map': 1})
    """
    (found,) = _summaries([_tally_of(values, clusters)], seed, resamples, level, trim, middle)
    return found


def summarise_all(
    columns: Mapping[str, Sequence[Outcome]],
    clusters: Mapping[str, Sequence[Cluster]] | None = None,
    *,
    seed: int = 0,
    resamples: int = 10_000,
    middle: bool = False,
) -> dict[str, Summary]:
    """Summarise several columns of outcomes, as `summarise` does each with its ``clusters``.

    Columns with values in equally many items, or clusters, share one bootstrap draw of their means. With
    ``middle`` the medians have intervals too.

    >>> found = summarise_all({"a": [Outcome(1.0), Outcome(3.0)], "b": [Outcome(2.0), Outcome(6.0)]})
    >>> found["b"].mean, found["b"].interval == tuple(2 * end for end in found["a"].interval)
    (4.0, True)
    """
    tallies = [
        tally(column, None if clusters is None else clusters[name]) for name, column in columns.items()
    ]
    return dict(zip(columns, _summaries(tallies, seed, resamples, middle=middle), strict=True))


def _summaries(
    tallies: Sequence[Tally],
    seed: int,
    resamples: int = 10_000,
    level: float = 0.95,
    trim: float = 0.1,
    middle: bool = False,
) -> list[Summary]:
    samples = [_sorted(items) for items in tallies]
    finite = [_finite(*sample) for sample in samples]
    intervals = bootstrap_intervals(finite, seed=seed, resamples=resamples, level=level)
    found = [
        _summary(items, values, *kept, interval, level, trim)
        for items, (values, _), kept, interval in zip(tallies, samples, finite, intervals, strict=True)
    ]
    if not middle:
        return found
    middles = [median_interval(*sample, seed=seed, level=level) for sample in samples]
    return [replace(one, median_interval=own) for one, own in zip(found, middles, strict=True)]


def _summary(
    items: Tally,
    everything: np.ndarray,
    kept: np.ndarray,
    groups: np.ndarray,
    interval: tuple[float, float] | None,
    level: float,
    trim: float,
) -> Summary:
    n = len(kept)
    sd = float(np.std(kept, ddof=1)) if n > 1 else None
    return Summary(
        n=n,
        mean=math.fsum(kept) / n if n else None,
        standard_error=None if sd is None else sd / math.sqrt(n),
        sd=sd,
        interval=interval,
        level=level,
        median=_median(everything),
        trimmed_mean=float(stats.trim_mean(kept, trim)) if n else None,
        infinite=len(everything) - n,
        left_out=dict(sorted(items.left_out.items())),
        clusters=None if items.clusters is None else len(np.unique(groups)),
        clustered_error=None if items.clusters is None else clustered_error(kept, groups),
    )


def by_group(
    outcomes: Sequence[Outcome],
    groups: Sequence[str],
    clusters: Sequence[Cluster] | None = None,
    *,
    seed: int = 0,
) -> dict[str, Summary]:
    """One summary for each group, for example for each category, in alphabetical order.

    With ``clusters``, one for each outcome, for example its image, errors and intervals are by clusters.

    >>> found = by_group([Outcome(1.0), Outcome(3.0), Outcome(4.0)], ["dog", "dog", "cat"])
    >>> {name: group.mean for name, group in found.items()}
    {'cat': 4.0, 'dog': 2.0}
    """
    if len(outcomes) != len(groups):
        raise VlxError(f"{len(groups)} groups for {len(outcomes)} outcomes")
    if clusters is not None and len(outcomes) != len(clusters):
        raise VlxError(f"{len(clusters)} clusters for {len(outcomes)} outcomes")
    parts: dict[str, list[Outcome]] = {name: [] for name in sorted(set(groups))}
    names: dict[str, list[Cluster]] = {name: [] for name in parts}
    for at, (item, name) in enumerate(zip(outcomes, groups, strict=True)):
        parts[name].append(item)
        names[name].append("" if clusters is None else clusters[at])
    return summarise_all(parts, None if clusters is None else names, seed=seed)


def mean_over_groups(groups: Mapping[str, Summary], *, seed: int = 0, medians: bool = False) -> Summary:
    """Summarise the means of groups, or their medians, each group counting once (a macro average).

    A group without any defined item is left out as ``empty_group``; it is not a zero.

    >>> groups = by_group([Outcome(1.0), Outcome(3.0), Outcome(4.0)], ["dog", "dog", "cat"])
    >>> mean_over_groups(groups).mean  # of 2 and 4
    3.0
    """
    middles = [group.median if medians else group.mean for group in groups.values()]
    means = [Outcome(None, "empty_group") if middle is None else Outcome(middle) for middle in middles]
    return summarise(means, seed=seed)


def _outcome(item: Outcome | float | int | None) -> Outcome:
    if isinstance(item, Outcome):
        return item
    return Outcome(None, "undefined") if item is None else Outcome(float(item))


def _tally_of(
    values: Tally | Iterable[Outcome | float | int | None], clusters: Iterable[Cluster] | None
) -> Tally:
    if not isinstance(values, Tally):
        return tally(values, clusters)
    if clusters is not None:
        raise VlxError("a tally brings its own clusters: give them when it is made")
    return values


def _sorted(items: Tally) -> Sample:
    """All values, by clusters, then by size, with the number 0, 1, ... of each one's cluster."""
    values = np.array(items.values, dtype=np.float64)
    if items.clusters is None:
        return np.sort(values), np.arange(len(values))
    ranks = {name: at for at, name in enumerate(sorted(set(items.clusters), key=cluster_key))}
    at = np.array([ranks[name] for name in items.clusters], dtype=np.intp)
    order = np.lexsort((values, at))
    return values[order], at[order]


def _finite(values: np.ndarray, at: np.ndarray) -> Sample:
    """The finite values alone, their clusters numbered anew."""
    kept = np.isfinite(values)
    return values[kept], np.unique(at[kept], return_inverse=True)[1].ravel()


def cluster_key(cluster: Cluster) -> tuple[str, Cluster]:
    """By which clusters are sorted, numbers before texts.

    >>> sorted(["b", 2, "a", 10], key=cluster_key)
    [2, 10, 'a', 'b']
    """
    return type(cluster).__name__, cluster


def _median(values: Float[np.ndarray, " item"]) -> float | None:
    if not len(values):
        return None
    with np.errstate(invalid="ignore"):  # the middle of -inf and inf
        middle = float(np.median(values))
    return None if math.isnan(middle) else middle
