"""Own − wrong: whether a map knows what was asked, by the maps of what is not there."""

import math
from collections.abc import Sequence

from vlx.eval.measures.statistics import Outcome


def own_minus_wrong(own: Outcome, wrong: Sequence[Outcome]) -> Outcome:
    """A score less those of the maps of wrong targets on the same truth: the mean of the differences.

    A map that is the same whatever is asked has 0, exactly. Wrong maps without a score are passed over. Left
    out: for the reason of ``own`` where that has no value; ``wrong_`` and the reason of the first wrong map
    where none has one; ``infinite`` where both sides are infinite alike. One infinite side gives an infinite
    difference, which is in the median and not in the mean.

    >>> from vlx.eval.measures.statistics import Outcome
    >>> own_minus_wrong(Outcome(1.0), [Outcome(1.0), Outcome(0.0), Outcome(None, "zero_map")]).value
    0.5
    >>> own_minus_wrong(Outcome(1.0), [Outcome(None, "zero_map")]).left_out
    'wrong_zero_map'
    """
    if own.value is None:
        return own
    others = [one.value for one in wrong if one.value is not None]
    if not others:
        reasons = [one.left_out for one in wrong]
        return Outcome(None, f"wrong_{reasons[0]}" if reasons else "no_wrong_word")
    endless = math.isinf(own.value)
    differences = [own.value - other for other in others if not (endless and own.value == other)]
    if not differences:
        return Outcome(None, "infinite")
    return Outcome(math.fsum(differences) / len(differences))
