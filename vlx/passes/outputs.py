"""The scores in what a network returns: a tensor, or several of them in a tuple, a dict or an object."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, cast

from jaxtyping import Float
from torch import Tensor

from vlx.errors import VlxError

_NAMES = ("logits", "logit", "scores", "out", "output", "prediction", "predictions", "pred", "preds", "y")
"""What networks that return several things call their scores."""


def scores_in(output: Any) -> Float[Tensor, "..."]:
    """The scores that a network returned: the tensor, the first of several, or the one named so.

    Of tensors with names it is the one called logits, scores, out or alike, else the only one. Raises
    VlxError where that does not tell, naming what there is.

    >>> import torch
    >>> scores_in((torch.ones(2, 5), None)).shape, scores_in({"out": torch.ones(1, 3)}).shape
    (torch.Size([2, 5]), torch.Size([1, 3]))
    """
    if isinstance(output, Tensor):
        if not output.is_floating_point():
            raise VlxError(
                f"the network gives {output.dtype} of shape {tuple(output.shape)}, no scores of floats"
            )
        return output
    named = _named(output)
    if named is not None and (not isinstance(output, tuple) or not set(_NAMES).isdisjoint(named)):
        return _of_names(named)
    if isinstance(output, list | tuple) and output:
        first: Any = cast("list[Any]", output)[0]
        if isinstance(first, Mapping):
            raise VlxError(
                f"the network gives a {type(output).__name__} of {type(first).__name__}s "
                f"({_listed(cast('Mapping[str, Any]', first))}), as detectors do, and no scores of classes: "
                "wrap it in a module that returns the scores to explain"
            )
        return scores_in(first)
    raise VlxError(
        f"the network gives {type(output).__name__}, no tensor of scores: wrap it in one that does"
    )


def class_logits(output: Any, batch: int) -> Float[Tensor, "batch choice"]:
    """What a network returned for a batch as one score for each item and class.

    A network of a single logit may leave out its axis, and one that squeezes that of a single item.
    Raises VlxError where there is more than one score for an item and class, or none.

    >>> import torch
    >>> class_logits(torch.ones(2), 2).shape, class_logits(torch.ones(2, 5, 1, 1), 2).shape
    (torch.Size([2, 1]), torch.Size([2, 5]))
    """
    scores = scores_in(output)
    given = tuple(scores.shape)
    if scores.ndim == 0 and batch == 1:
        return scores.view(1, 1)
    if scores.ndim == 1:
        scores = scores[None] if batch == 1 else scores[:, None]
    while scores.ndim > 2 and scores.shape[-1] == 1:
        scores = scores.squeeze(-1)
    if scores.ndim > 2:
        raise VlxError(
            f"the network gives scores of shape {given}, several for each item and class: give a function of "
            "them to explain, such as targets=lambda scores: scores[:, 3].flatten(1).sum(1)"
        )
    if scores.ndim != 2 or len(scores) != batch:
        raise VlxError(
            f"the network gives scores of shape {given} for a batch of {batch}: one row an item is due"
        )
    return scores


def _named(output: Any) -> Mapping[str, Any] | None:
    """The parts of an output by their names, where it has names."""
    if isinstance(output, Mapping):
        return cast("Mapping[str, Any]", output)
    if hasattr(output, "_asdict"):  # a namedtuple
        return output._asdict()
    if is_dataclass(output):
        return {one.name: getattr(output, one.name) for one in fields(output)}
    own: dict[str, Any] = getattr(output, "__dict__", {})
    return own if any(isinstance(value, Tensor) for value in own.values()) else None


def _of_names(named: Mapping[str, Any]) -> Tensor:
    lowered = {str(name).lower(): value for name, value in named.items() if value is not None}
    for name in _NAMES:
        if name in lowered:
            return scores_in(lowered[name])
    floats = [value for value in named.values() if isinstance(value, Tensor) and value.is_floating_point()]
    if len(floats) != 1:
        raise VlxError(
            f"the network gives {_listed(named)}, and which of them are the scores does not show: wrap it in "
            "a module that returns them"
        )
    return floats[0]


def _listed(named: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, named)) if named else "nothing"
