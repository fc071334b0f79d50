"""Pointing with reject: a class is refused where the maximum of its map is below a threshold.

Selvaraju et al., section 4.3 and appendix D: for the five likeliest classes of an image, refusing
a class that is absent is a hit, and so is accepting one that is present with the maximum on its
mask. Maxima are compared between images, so maps must be raw, not normalised.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from vlx.errors import VlxError


@dataclass(frozen=True, eq=False)
class Candidates:
    """Classes that were asked for, five for each image in the paper."""

    maxima: Float[np.ndarray, " _item"]
    """The maximum of each raw map."""
    present: Bool[np.ndarray, " _item"]
    """Whether the class is in the image."""
    pointed: Float[np.ndarray, " _item"]
    """The pointing hit of each map, 0 to 1; 0 where the class is absent or pointing undefined."""

    def __post_init__(self) -> None:
        shapes = {self.maxima.shape, self.present.shape, self.pointed.shape}
        if len(shapes) != 1 or self.maxima.ndim != 1 or not self.maxima.size:
            raise VlxError(f"candidates of shapes {sorted(shapes)}: expected one length, not 0")
        if not np.isfinite(self.maxima).all():
            raise VlxError("a map maximum that is not finite")
        if not ((self.pointed >= 0) & (self.pointed <= 1)).all():
            raise VlxError("a pointing hit outside 0 to 1")

    def take(self, chosen: np.ndarray) -> "Candidates":
        """The candidates at these positions."""
        return Candidates(self.maxima[chosen], self.present[chosen], self.pointed[chosen])


@dataclass(frozen=True, eq=False)
class RejectCurve:
    """What happens at each threshold; at the first, nothing is refused, at the last, everything."""

    thresholds: Float[np.ndarray, " threshold"]
    """Ascending; the last is infinite."""
    accuracy: Float[np.ndarray, " threshold"]
    true_positive_rate: Float[np.ndarray, " threshold"] | None
    """Accepted among present classes; None where no class is present."""
    false_positive_rate: Float[np.ndarray, " threshold"] | None
    """Accepted among absent classes; None where no class is absent."""

    @property
    def best(self) -> tuple[float, float]:
        """The threshold of the highest accuracy (the lowest of several) and that accuracy.

        It is chosen on the items it is scored on, so it is an upper bound: see crossed_accuracy.
        """
        best = int(self.accuracy.argmax())
        return float(self.thresholds[best]), float(self.accuracy[best])


def reject_accuracy(
    items: Candidates, threshold: float, *, location: bool = True
) -> Float[np.ndarray, " item"]:
    """The outcome of each candidate: refused where its maximum is below the threshold.

    An absent class scores 1 where refused, else 0; a present one 0 where refused, else its
    pointing hit. With ``location`` False accepting a present class scores 1 wherever it points.

    >>> items = Candidates(np.array([3.0, 1.0]), np.array([True, False]), np.array([1.0, 0.0]))
    >>> reject_accuracy(items, 2.0), reject_accuracy(items, 0.0)
    (array([1., 1.]), array([1., 0.]))
    """
    accepted = items.maxima >= threshold
    hits = items.pointed if location else np.ones_like(items.pointed)
    return np.where(items.present, np.where(accepted, hits, 0.0), np.where(accepted, 0.0, 1.0))


def reject_curve(items: Candidates, *, location: bool = True) -> RejectCurve:
    """Accuracy and rates at every threshold that changes a decision, by one sort.

    >>> items = Candidates(np.array([3.0, 1.0]), np.array([True, False]), np.array([1.0, 0.0]))
    >>> reject_curve(items).accuracy, reject_curve(items).best
    (array([0.5, 1. , 0.5]), (3.0, 1.0))
    """
    order = np.argsort(items.maxima, kind="stable")
    maxima, present = items.maxima[order], items.present[order]
    hits = items.pointed[order] if location else np.ones(len(order))
    thresholds, first = np.unique(maxima, return_index=True)
    cuts = np.append(first, len(maxima))
    gains = np.where(present, hits, 0.0)
    accepted_hits = gains.sum() - _before(gains, cuts)
    refused_absent = _before(~present, cuts)
    positives, negatives = int(present.sum()), int((~present).sum())
    return RejectCurve(
        thresholds=np.append(thresholds, np.inf),
        accuracy=(accepted_hits + refused_absent) / len(maxima),
        true_positive_rate=1 - _before(present, cuts) / positives if positives else None,
        false_positive_rate=1 - refused_absent / negatives if negatives else None,
    )


def crossed_accuracy(
    items: Candidates, halves: Bool[np.ndarray, " item"], *, location: bool = True
) -> Float[np.ndarray, " item"]:
    """The outcome of each candidate at the best threshold of the other half.

    ``halves`` says which half each belongs to; split by image, so that no image is on both sides.

    >>> maxima, present = np.array([3.0, 1.0, 4.0, 2.0]), np.array([True, False, True, False])
    >>> items = Candidates(maxima, present, present.astype(float))
    >>> crossed_accuracy(items, np.array([True, True, False, False]))  # thresholds 4 and 3
    array([0., 1., 1., 1.])
    """
    sides = [np.flatnonzero(halves), np.flatnonzero(~halves)]
    if not all(side.size for side in sides):
        raise VlxError("both halves need at least one candidate")
    scores = np.empty(len(halves))
    for here, there in (sides, sides[::-1]):
        threshold, _ = reject_curve(items.take(there), location=location).best
        scores[here] = reject_accuracy(items.take(here), threshold, location=location)
    return scores


def presence_area(items: Candidates) -> float | None:
    """The area under the ROC curve of map maxima telling present from absent classes.

    The chance that a present class has the larger maximum, ties counting one half; None where no
    class is present or none is absent.

    >>> items = Candidates(np.array([3.0, 1.0]), np.array([True, False]), np.array([1.0, 0.0]))
    >>> presence_area(items)
    1.0
    """
    positives, negatives = int(items.present.sum()), int((~items.present).sum())
    if not positives or not negatives:
        return None
    ranks = stats.rankdata(items.maxima)[items.present].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def _before(values: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """The sum of the values before each cut."""
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])[cuts]
