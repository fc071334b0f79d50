"""What is explained of each item of a batch: a class, a target, or a function of the scores."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vlx.errors import TextError, VlxError
from vlx.passes.outputs import class_logits, scores_in
from vlx.passes.reading import Reading, choices_of
from vlx.passes.targets import Target, label, whole_number

Values = Callable[[Any, Sequence[int]], Float[Tensor, " item"]]
"""The value explained of each item in what a network returned, of items by their positions in the batch."""
Function = Callable[[Any], Tensor]
"""From scores to a value."""


def values_of(targets: Any, output: Any, batch: int) -> Values:
    """How the targets of a batch are read off what the network returns.

    Raises VlxError, with what would work, for targets that are none or do not fit the batch.
    """
    if callable(targets):
        return partial(_of_all, cast(Function, targets))
    return partial(_of_each, _one_an_item(targets, output, batch))


def need_gradient(values: Tensor, output: Any) -> None:
    """Raise VlxError where values lost the gradient that the scores have."""
    scores = _readable(output)
    if isinstance(scores, Tensor) and scores.requires_grad and not values.requires_grad:
        raise VlxError(
            "what targets gave has no gradient: compute it of the scores, without argmax or detach"
        )


def _of_all(function: Function, output: Any, items: Sequence[int]) -> Float[Tensor, " item"]:
    """A function of all scores: one value an item, or their sum, of which each item then has a share."""
    found, count = function(_readable(output)), len(items)
    _need_value(found)
    if found.numel() == count:
        return found.reshape(count)
    if found.numel() == 1:
        if len(set(items)) < count:
            raise VlxError(
                "occlusion needs a value of each item, and targets gave their sum: leave the sum out"
            )
        return (found.reshape(()) / count).expand(count)
    raise VlxError(
        f"targets gave {tuple(found.shape)} for a batch of {count}: one value an item is due, or their sum, "
        "such as lambda scores: scores[:, 3]"
    )


def _of_each(asked: Sequence[Target | Function], output: Any, items: Sequence[int]) -> Float[Tensor, " item"]:
    by_class = any(isinstance(asked[item], Target) for item in items)
    logits = class_logits(output, len(items)) if by_class else None
    found: list[Tensor] = []
    for row, item in enumerate(items):
        one = asked[item]
        if isinstance(one, Target):
            assert logits is not None
            found.append(_of_target(one, logits[row]))
            continue
        value = one(scores_in(output)[row])
        _need_value(value)
        if value.numel() != 1:
            raise VlxError(f"a target gave {tuple(value.shape)} for one item: a single value is due")
        found.append(value.reshape(()))
    return torch.stack(found)


def _of_target(target: Target, logits: Float[Tensor, " choice"]) -> Float[Tensor, ""]:
    names = [str(index) for index in range(len(logits))]
    reading = Reading("label", (), choices_of("label", names), scores=logits.detach()[None])
    terms = target.resolve(reading).terms
    return sum((term.weight * logits[term.choice] for term in terms), logits.new_zeros(()))


def _one_an_item(targets: Any, output: Any, batch: int) -> list[Target | Function]:
    if targets is None:
        return [label(index) for index in class_logits(output, batch).argmax(1).tolist()]
    if isinstance(targets, Tensor | np.ndarray) and targets.ndim < 2:
        targets = targets.tolist()
    if isinstance(targets, Tensor | np.ndarray):
        raise VlxError(
            f"targets of shape {tuple(targets.shape)}: give the index of one class for each item, such as "
            "targets.argmax(1)"
        )
    if not isinstance(targets, list | tuple | range):
        return [_asked(targets)] * batch
    each = [_asked(one) for one in cast("Sequence[Any]", targets)]
    if len(each) != batch:
        raise VlxError(
            f"{len(each)} target{'s' * (len(each) != 1)} for a batch of {batch}: give one for each item, or "
            "a single one, not in a list, for all; for several classes of one image repeat it, x.expand(n, "
            "-1, -1, -1)"
        )
    return each


def _asked(given: Any) -> Target | Function:
    if isinstance(given, Target) or callable(given):
        return cast("Target | Function", given)
    try:
        return label(whole_number(given, "class"))
    except TextError:
        raise VlxError(
            f"{given!r} is no target: give the index of a class, a function of the scores such as lambda "
            "scores: scores[:, 3], or vlx.label(3) - vlx.label(5); a layer goes to layer="
        ) from None


def _readable(output: Any) -> Any:
    """The scores, or all that a network returned where they do not show."""
    try:
        return scores_in(output)
    except VlxError:
        return output


def _need_value(found: Any) -> None:
    if not isinstance(found, Tensor):
        raise VlxError(
            f"targets gave {type(found).__name__}, which has no gradient: leave out .item() and the like"
        )
