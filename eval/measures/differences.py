"""Differences of scores on the same items: of a score and its control, and of several methods."""

import math
from collections.abc import Iterable, Mapping
from itertools import combinations

from vlx.eval.measures.statistics import Cluster, Outcome, Summary, summarise_all

EVERY_PAIR = 4
"""Methods up to which every pair is compared; of more, each with the first."""


def difference(score: Outcome, less: Outcome, whose: str = "subtracted") -> Outcome:
    """A score less another; left out where either has no finite value.

    The reason is that of the score, or that of the other after ``whose`` it is; or ``infinite``.

    >>> from vlx.eval.measures.statistics import Outcome
    >>> difference(Outcome(0.75), Outcome(0.5)).value
    0.25
    >>> difference(Outcome(0.75), Outcome(None, "zero_map"), "control").left_out
    'control_zero_map'
    """
    if score.value is None or less.value is None:
        return Outcome(None, score.left_out or f"{whose}_{less.left_out}")
    if math.isinf(score.value) or math.isinf(less.value):
        return Outcome(None, "infinite")
    return Outcome(score.value - less.value)


def between_methods(
    scores: Mapping[str, Mapping[str, Outcome]],
    clusters: Mapping[str, Cluster],
    *,
    seed: int = 0,
    resamples: int = 10_000,
    middle: bool = False,
) -> dict[str, Summary]:
    """One method's scores minus another's, over the items that both score, by ``second minus first``.

    ``scores`` are those of each method by item, ``clusters`` what is resampled of each item, such as its
    image. Every pair is compared of up to four methods; of more, each with the first. A difference of means
    has the interval of the differences of single items, which those of the two means do not tell: what makes
    an item hard for both is gone from it. Pairs with equally many clusters share one draw of these, whose
    seed is that of the means. With ``middle`` the medians of the differences have intervals too.

    >>> from vlx.eval.measures.statistics import Outcome
    >>> scores = {"a": {"1": Outcome(0.0), "2": Outcome(5.0)}, "b": {"1": Outcome(1.0), "2": Outcome(6.0)}}
    >>> found = between_methods(scores, {"1": "image 1", "2": "image 2"})["b minus a"]
    >>> found.mean, found.interval
    (1.0, (1.0, 1.0))
    """
    columns: dict[str, list[Outcome]] = {}
    names: dict[str, list[Cluster]] = {}
    for first, second in _pairs(list(scores)):
        both = [item for item in scores[second] if item in scores[first]]
        label = f"{second} minus {first}"
        columns[label] = [difference(scores[second][item], scores[first][item]) for item in both]
        names[label] = [clusters[item] for item in both]
    return summarise_all(columns, names, seed=seed, resamples=resamples, middle=middle)


def _pairs(methods: list[str]) -> Iterable[tuple[str, str]]:
    if len(methods) <= EVERY_PAIR:
        return combinations(methods, 2)
    return ((methods[0], other) for other in methods[1:])
