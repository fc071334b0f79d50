"""Scores of other pixels with the text of an item, and what its targets are worth in them."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vlx.errors import VlxError
from vlx.passes.forward import Below, Pass
from vlx.passes.targets import Term

Targets = Sequence[tuple[Term, ...]]
"""For each target the weighted scores it sums."""


def other_pixels(passed: Pass) -> tuple[Below, Callable[[Tensor, int], Tensor]]:
    """What lies below the features, and how other pixels are scored. Raises VlxError where a Pass cannot."""
    if passed.below is None or passed.below.rescore is None:
        raise VlxError(f"{passed.model} gives no way to score other pixels: use a method on features")
    return passed.below, passed.below.rescore


def values_in(scores: Float[Tensor, "image step choice"], targets: Targets) -> Float[Tensor, "image target"]:
    """The targets' values of each row of scores, as doubles."""
    return torch.stack(
        [
            sum(
                (term.weight * scores[:, term.step, term.choice].double() for term in target),
                scores.new_zeros(len(scores), dtype=torch.float64),
            )
            for target in targets
        ],
        1,
    )
