"""How many raters a study needs to see a difference, where raters and items come again and again.

A mean of one visualisation over R raters, I items and n ratings varies by

    s² (ρr / R + ρi / I + (1 − ρr − ρi) / n)

where s² is the variance of one rating, and ρr, ρi are the shares of it that are a rater's and an item's own
*for this visualisation*: what a rater or an item adds to all visualisations alike is gone from a difference,
as each rater sees all of them and each item is shown in all of them. Without both it is the textbook formula.
"""

import math
from dataclasses import dataclass

from scipy.stats import norm

from vlx.errors import VlxError


@dataclass(frozen=True)
class Need:
    """What is to be found, and how the ratings come about."""

    difference: float
    """Between the two means, or of one mean from 0."""
    variance: float
    """The two variances of one rating added, or the variance for one mean."""
    per_rater: float
    """Ratings of one visualisation that one rater gives."""
    items: int
    """Things that are shown in each visualisation."""
    of_rater: float = 0.05
    """ρr: the share of the variance that is a rater's own."""
    of_item: float = 0.1
    """ρi: the share of the variance that is an item's own."""
    level: float = 0.05
    """The chance to find a difference where there is none, both signs together."""
    power: float = 0.8
    """The chance to find the difference."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.difference) or self.difference == 0:
            raise VlxError("no number of raters shows a difference of 0: give two different means")
        if not self.variance > 0 or not self.per_rater > 0 or self.items < 1:
            raise VlxError("power needs a variance, ratings of a rater and items, each above 0")
        if min(self.of_rater, self.of_item) < 0 or self.of_rater + self.of_item > 1:
            raise VlxError(
                f"shares {self.of_rater} of raters and {self.of_item} of items: give shares of the variance, "
                "none below 0, together at most 1"
            )
        if not 0 < self.level < 1 or not self.level < self.power < 1:
            raise VlxError(f"level {self.level} and power {self.power}: give 0 < level < power < 1")


def of_proportions(first: float, second: float) -> tuple[float, float]:
    """The difference and the variance of two proportions, for `Need`.

    >>> difference, variance = of_proportions(0.5, 0.75)
    >>> difference, variance
    (0.25, 0.4375)
    """
    if not (0 < first < 1 and 0 < second < 1):
        raise VlxError(f"{first} and {second}: give two proportions between 0 and 1")
    return second - first, first * (1 - first) + second * (1 - second)


def raters_needed(need: Need) -> int | None:
    """The fewest raters that find the difference with the wanted power; None where no number does.

    >>> need = Need(*of_proportions(0.4444, 0.6123), per_rater=1.0, items=90, of_rater=0.0, of_item=0.0)
    >>> raters_needed(need)  # (1.96 + 0.8416)² · (.2469 + .2374) / .1679², the textbook's
    135
    """
    per_one = need.of_rater + (1 - need.of_rater - need.of_item) / need.per_rater
    left = _wanted_variance(need) / need.variance - need.of_item / need.items
    return None if left <= 0 else max(1, math.ceil(per_one / left - 1e-9))


def items_needed(need: Need) -> int:
    """Items from which on some number of raters is enough.

    >>> items_needed(Need(0.25, 0.4375, per_rater=1.0, items=1, of_item=0.5))
    28
    """
    return max(1, math.floor(need.of_item * need.variance / _wanted_variance(need)) + 1)


def power_of(need: Need, raters: int) -> float:
    """The chance that so many raters find the difference, by the normal approximation.

    >>> round(power_of(Need(*of_proportions(0.4444, 0.6123), 1.0, 90, 0.0, 0.0), 135), 2)
    0.8
    """
    if raters < 1:
        raise VlxError("give at least one rater")
    rest = (1 - need.of_rater - need.of_item) / (raters * need.per_rater)
    error = math.sqrt(need.variance * (need.of_rater / raters + need.of_item / need.items + rest))
    if error == 0:
        return 1.0
    shift, edge = abs(need.difference) / error, float(norm.ppf(1 - need.level / 2))
    return float(norm.cdf(shift - edge) + norm.cdf(-shift - edge))


def _wanted_variance(need: Need) -> float:
    """How much the estimate may vary."""
    both = float(norm.ppf(1 - need.level / 2)) + float(norm.ppf(need.power))
    return (need.difference / both) ** 2


def power_told(
    first: float | None,
    second: float | None,
    sd: float | None,
    per_rater: float,
    items: int,
    of_rater: float,
    of_item: float,
    level: float = 0.05,
    wanted: float = 0.8,
) -> list[str]:
    """Lines for a person: how many raters a difference needs, and what some other numbers of them would find.

    Of shares of right answers the two are by default the paper's (Guided Backpropagation and Guided
    Grad-CAM), and ``first`` alone is beside .5. With ``sd``, that of one rating, they are mean ratings,
    ``first`` alone beside 0.
    """
    if first is None and second is not None:
        raise VlxError("give --first too, or neither for the paper's numbers")
    if sd is not None:
        if first is None:
            raise VlxError("give --first, a mean rating, beside --sd")
        difference = first if second is None else second - first
        variance, beside = sd**2 * (1 if second is None else 2), "0" if second is None else f"{second:g}"
    elif first is not None and second is None:
        difference, variance = of_proportions(0.5, first)[0], first * (1 - first)
        beside = "chance, 0.5"
    else:
        first, second = (0.4444, 0.6123) if first is None or second is None else (first, second)
        difference, variance = of_proportions(first, second)
        beside = f"{second:g}"
    need = Need(difference, variance, per_rater, items, of_rater, of_item, level, wanted)
    raters = raters_needed(need)
    told = [
        f"{first:g} beside {beside}: {items} items, {per_rater:g} ratings of a rater in each visualisation"
    ]
    if raters is None:
        most = power_of(need, 10**9)
        told.append(
            f"no number of raters finds it with power {wanted:g} on so few items (at most "
            f"{most:.2f}): take at least {items_needed(need)} items"
        )
        return told
    told.append(f"raters needed for power {wanted:g} at level {level:g}: {raters}")
    some = sorted({max(1, raters // 2), raters, 2 * raters})
    return [*told, "power: " + ", ".join(f"{one} raters {power_of(need, one):.2f}" for one in some)]
