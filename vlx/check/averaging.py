"""Doubts about a mean of gradients over places, such as Grad-CAM's weights are."""

import warnings
from collections.abc import Sequence

from vlx.errors import Doubt

FAINT = 0.3
"""Below it, a mean over places keeps so little of the gradient that its weights mean little: one block below
the last map of the built-in models it keeps .25 and .23, at the last map .64 and .63, behind a 2 x 2 max-pool
whose places agree .5, and of gradients without anything in common .07 of 14 x 14 places."""
_INSTEAD = "hires_cam and integrated_gradients do not average"


def doubts(method: str, layer: str, below_last: bool, kept: Sequence[float]) -> tuple[str, ...]:
    """A line for each reason why maps of a method that averages gradients may mean little.

    >>> doubts("grad_cam", "features.29", False, [0.08, 0.1])
    ("grad_cam's mean over places keeps 9 % of the gradient here: its weights mean little; hires_cam and \
integrated_gradients do not average",)
    """
    found = [below_last_line(method, layer)] if below_last else []
    share = sum(kept) / len(kept) if kept else 1.0
    if share < FAINT:
        found.append(
            f"{method}'s mean over places keeps {100 * share:.0f} % of the gradient here: its weights mean "
            f"little; {_INSTEAD}"
        )
    return tuple(found)


def below_last_line(method: str, layer: str) -> str:
    """What there is to say of such a method below the last map.

    >>> below_last_line("grad_cam", "features.22")[:60]
    'convolutions follow layer features.22, where the mean over p'
    """
    return (
        f"convolutions follow layer {layer}, where the mean over places of {method} is known to fail "
        f"(arXiv 2004.02866); {_INSTEAD}"
    )


def doubt_below_last(methods: Sequence[str], layer: str) -> None:
    """Warn, in one line, of methods that were asked for below the last map."""
    warnings.warn(below_last_line(" and ".join(dict.fromkeys(methods)), layer), Doubt, stacklevel=2)
