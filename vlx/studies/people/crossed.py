"""Means of ratings that share raters and share images, with intervals that draw both.

Two ratings of one rater are not independent, nor are two of one image. The pigeonhole bootstrap (Owen 2007,
arXiv 0712.1111) draws raters and images, each with replacement and apart from one another; a rating counts as
often as its rater was drawn times how often its image was. Its variance is that of both, a little too large
rather than too small.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vlx.eval.measures.bootstrap import draws, ends

RESAMPLES = 4_000


@dataclass(frozen=True)
class Rating:
    """One judgement as a number."""

    value: float
    rater: str
    image: str


@dataclass(frozen=True)
class Crossed:
    """A mean of ratings."""

    mean: float | None
    """None of no ratings."""
    interval: tuple[float, float] | None
    """95 %; None where there are neither two raters nor two images."""
    n: int
    raters: int
    images: int


def crossed_mean(ratings: Sequence[Rating], *, seed: int = 0) -> Crossed:
    """The mean, and its interval drawing raters and images; of what there is one of, none is drawn.

    >>> found = crossed_mean([Rating(value, rater, "a") for value, rater in ((1.0, "x"), (0.0, "y"))])
    >>> found.mean, found.interval
    (0.5, (0.0, 1.0))
    """
    return _found(ratings, [np.array([one.value for one in ratings])], [np.ones(len(ratings), bool)], seed)


def crossed_difference(first: Sequence[Rating], second: Sequence[Rating], *, seed: int = 0) -> Crossed:
    """The mean of the first less that of the second, both under the same draws of raters and images.

    >>> ones, noughts = ([Rating(value, "x", "a"), Rating(value, "y", "b")] for value in (1.0, 0.0))
    >>> crossed_difference(ones, noughts).interval
    (1.0, 1.0)
    """
    both = [*first, *second]
    values = np.array([one.value for one in both])
    mine = np.arange(len(both)) < len(first)
    return _found(both, [values, values], [mine, ~mine], seed)


def _found(
    ratings: Sequence[Rating], values: Sequence[np.ndarray], chosen: Sequence[np.ndarray], seed: int
) -> Crossed:
    raters = sorted({one.rater for one in ratings})
    images = sorted({one.image for one in ratings})
    rows = np.array([raters.index(one.rater) for one in ratings], dtype=np.intp)
    cols = np.array([images.index(one.image) for one in ratings], dtype=np.intp)
    shape = (len(raters), len(images))
    if not all(one.any() for one in chosen):
        return Crossed(None, None, len(ratings), *shape)
    tables = [
        (_table(rows[one], cols[one], own[one], shape), _table(rows[one], cols[one], None, shape))
        for own, one in zip(values, chosen, strict=True)
    ]
    whole = [float(sums.sum() / counts.sum()) for sums, counts in tables]
    mean = whole[0] - whole[1] if len(whole) == 2 else whole[0]
    return Crossed(mean, _interval(tables, shape, seed), len(ratings), *shape)


def _table(
    rows: np.ndarray, cols: np.ndarray, values: np.ndarray | None, shape: tuple[int, int]
) -> Float[np.ndarray, "rater image"]:
    flat = np.bincount(rows * shape[1] + cols, values, shape[0] * shape[1])
    return flat.astype(np.float64).reshape(shape)


def _interval(
    tables: Sequence[tuple[np.ndarray, np.ndarray]], shape: tuple[int, int], seed: int
) -> tuple[float, float] | None:
    if max(shape) < 2:
        return None
    by_rater, by_image = _times(shape[0], seed), _times(shape[1], seed + 1)
    means: list[np.ndarray] = []
    with np.errstate(invalid="ignore", divide="ignore"):  # a draw may hold none of few ratings
        for sums, counts in tables:
            above, below = (((by_rater @ one) * by_image).sum(1) for one in (sums, counts))
            means.append(above / below)
    found = means[0] - means[1] if len(means) == 2 else means[0]
    (low, high), *_ = ends(found[np.isfinite(found)][None], 0.95)
    return float(low), float(high)


def _times(count: int, seed: int) -> Float[np.ndarray, "draw one"]:
    """How often each is drawn; the only one always once."""
    if count == 1:
        return np.ones((RESAMPLES, 1))
    return np.concatenate([times for _, times in draws(count, seed, RESAMPLES)])
