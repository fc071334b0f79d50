"""How far raters agree beyond chance: Krippendorff's alpha (Computing Krippendorff's alpha-reliability)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from vlx.errors import VlxError
from vlx.eval.measures.bootstrap import draws, ends

Scale = Literal["nominal", "ordinal", "interval"]
"""A distance of two values: whether they differ, how many values lie between, or their difference."""


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha: 1 where all agree, 0 as by chance, below where they agree less."""

    alpha: float | None
    """None where no two raters judged one thing, or where all values are the same."""
    interval: tuple[float, float] | None
    """95 %, drawing the things that were judged; None where there is none to give."""
    units: int
    """Things that at least two raters judged."""
    values: int
    """Judgements of these."""


def krippendorff(
    units: Sequence[Sequence[float | int | None]], scale: Scale, *, seed: int = 0, resamples: int = 2_000
) -> Agreement:
    """Krippendorff's alpha of things that several raters judged, each by any number of them.

    ``units`` hold the values of each thing, in any order, None or nothing where a rater gave none. A thing
    with one value alone enters nothing. alpha = 1 − observed over expected disagreement, from the matrix of
    coincidences; the ordinal distance of two values depends on how frequent those between them are. Raises
    VlxError for a value that is not finite and for an unknown scale.

    >>> krippendorff([[1, 1], [2, 2], [1, 2], [3, None]], "nominal").alpha  # 1 - 5 * 2 / (36 - 18)
    0.4444444444444444
    """
    if scale not in ("nominal", "ordinal", "interval"):
        raise VlxError(f"no scale {scale!r}: give nominal, ordinal or interval")
    held = [[float(one) for one in unit if one is not None] for unit in units]
    paired = [unit for unit in held if len(unit) > 1]
    values = np.array(sorted({one for unit in paired for one in unit}))
    if not np.isfinite(values).all():
        raise VlxError("agreement needs finite values: leave out, as None, what a rater did not judge")
    count = sum(map(len, paired))
    if len(values) < 2:
        return Agreement(None, None, len(paired), count)
    each = np.stack([_coincidences(unit, values) for unit in paired])
    whole = float(_alphas(each.sum(0)[None], values, scale)[0])
    return Agreement(whole, _interval(each, values, scale, seed, resamples), len(paired), count)


def _coincidences(unit: Sequence[float], values: np.ndarray) -> Float[np.ndarray, "value value"]:
    """Every ordered pair of values that two raters gave one thing, each thing counting as its values do."""
    often = np.bincount(np.searchsorted(values, unit), minlength=len(values)).astype(np.float64)
    return (np.outer(often, often) - np.diag(often)) / (len(unit) - 1)


def _alphas(
    tables: Float[np.ndarray, "draw value value"], values: Float[np.ndarray, " value"], scale: Scale
) -> Float[np.ndarray, " draw"]:
    """Alpha of each matrix of coincidences; NaN where only one value stands in it."""
    often = tables.sum(2)
    total = often.sum(1)
    apart = _distances(often, values, scale)
    observed = (tables * apart).sum((1, 2))
    expected = (often[:, :, None] * often[:, None, :] * apart).sum((1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - (total - 1) * observed / expected, np.nan)


def _distances(
    often: Float[np.ndarray, "draw value"], values: Float[np.ndarray, " value"], scale: Scale
) -> Float[np.ndarray, "draw value value"]:
    """The squared distance of each two values."""
    if scale == "nominal":
        return np.broadcast_to(1 - np.eye(len(values)), (len(often), len(values), len(values)))
    if scale == "interval":
        return np.broadcast_to((values[:, None] - values) ** 2, (len(often), len(values), len(values)))
    # Ordinal: all from the one value to the other, either end counting half.
    middle = often.cumsum(1) - often / 2
    return (middle[:, :, None] - middle[:, None, :]) ** 2


def _interval(
    each: Float[np.ndarray, "unit value value"],
    values: np.ndarray,
    scale: Scale,
    seed: int,
    resamples: int,
) -> tuple[float, float] | None:
    if len(each) < 2:
        return None
    flat, found = each.reshape(len(each), -1), np.empty(resamples)
    for rows, times in draws(len(each), seed, resamples):
        found[rows] = _alphas((times @ flat).reshape(-1, *each.shape[1:]), values, scale)
    known = found[np.isfinite(found)]
    if not len(known):
        return None
    (low, high), *_ = ends(known[None], 0.95)
    return float(low), float(high)
