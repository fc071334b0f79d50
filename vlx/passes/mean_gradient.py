"""The mean of the gradients over places, from one value of 0 that is added at every place.

Grad-CAM needs of the gradients only their mean over places (Eq. 1). Let a value o of 0 be added to the
features A at every place: what the model gives stays as it was, and the gradient at o is the sum of the
gradients at the places. Many layers can take o beside A: a linear layer W gives W(A + o) = WA + Wo, and a
pool P of means or of maxima P(A + o) = P(A) + o. The sum over places is then taken above the layer, and the
gradients of many words need not be carried down to every place. In cross-attention, whose keys and values
are linear in the features, this is most of the work.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

_LINEAR = ("torch.nn.modules.linear.Linear", "transformers.pytorch_utils.Conv1D")
"""Layers that are linear in the last axis, their bias aside; the second is GPT-2's. No class derived from
one: quantised layers round what they are given."""


@runtime_checkable
class Pool(Protocol):
    """A layer of maps to numbers that knows what a value added at every place does to them."""

    def of_everywhere(
        self, value: Float[Tensor, "batch channel"], rows: int, cols: int
    ) -> Float[Tensor, "batch pooled"]:
        """What is added to the output where the value is added at each place of so many rows and columns."""
        ...


@dataclass(frozen=True, eq=False)
class Everywhere:
    """One value of 0 for each item of a batch, added to its features at every place."""

    value: Float[Tensor, "batch channel"]
    """A leaf; its gradient is the sum of the gradients at all places."""
    bare: Float[Tensor, "batch *feature"]
    """The features alone."""
    added: Float[Tensor, "batch *feature"]
    """The features with the value added, for layers that cannot take it beside them."""
    splits: Callable[[nn.Module], bool]
    """Whether a layer can: whether it gives for both what it gives for the features alone, plus something
    that it makes of the value."""
    completed: Callable[[nn.Module, Tensor], Tensor]
    """Adds to such a layer's output for the features alone what it makes of the value."""


AddEverywhere = Callable[[Tensor], Everywhere | None]
"""Adds a value to features at every place; gives None where they are not of the kind that it is for."""


def on_tokens(in_front: Callable[[int], int]) -> AddEverywhere:
    """Add a value to features (batch, token, channel), at all tokens but those in front.

    ``in_front`` says how many stand in front of the places of the image, of so many tokens.
    """

    def add(features: Tensor) -> Everywhere | None:
        if features.ndim != 3:
            return None
        skip = in_front(features.shape[1])
        value = features.new_zeros(len(features), features.shape[2]).requires_grad_()

        def completed(layer: nn.Module, output: Tensor) -> Tensor:
            beside = layer.forward(value) - layer.forward(torch.zeros_like(value))  # no bias
            return _at_places(output, beside, skip)

        return Everywhere(value, features.clone(), _at_places(features, value, skip), _is_linear, completed)

    return add


def on_maps(features: Tensor) -> Everywhere | None:
    """Add a value to features (batch, channel, row, col), at all places."""
    if features.ndim != 4:
        return None
    value = features.new_zeros(features.shape[:2]).requires_grad_()
    rows, cols = features.shape[2:]

    def completed(layer: nn.Module, output: Tensor) -> Tensor:
        if isinstance(layer, Pool):
            return output + layer.of_everywhere(value, rows, cols)
        return output + value[..., None, None]

    return Everywhere(value, features.clone(), features + value[..., None, None], _is_pool, completed)


@contextmanager
def taken_beside(
    model: nn.Module, everywhere: Callable[[], Everywhere | None]
) -> Generator[None, None, None]:
    """Let every layer of a model that can take the value beside the features, in the block.

    ``everywhere`` gives both once the model has computed the features.
    """

    def before(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        known = everywhere()
        if known is None or not inputs or inputs[0] is not known.added or known.added._version:
            return None  # other features, or changed in place since
        return (known.bare, *inputs[1:]) if known.splits(layer) else None

    def after(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        known = everywhere()
        if known is None or not inputs or inputs[0] is not known.bare:
            return output
        return known.completed(layer, output)

    handles = [
        handle
        for layer in model.modules()
        if _is_linear(layer) or _is_pool(layer)
        for handle in (layer.register_forward_pre_hook(before), layer.register_forward_hook(after))
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_linear(layer: nn.Module) -> bool:
    return f"{type(layer).__module__}.{type(layer).__name__}" in _LINEAR


def _is_pool(layer: nn.Module) -> bool:
    """Whether all that a layer reads for an output are places of the map, each as much as the other."""
    if type(layer) is nn.AvgPool2d:
        return layer.padding in (0, (0, 0)) and layer.divisor_override is None
    if type(layer) in (nn.MaxPool2d, nn.AdaptiveMaxPool2d):
        return not layer.return_indices
    return type(layer) is nn.AdaptiveAvgPool2d or _pools(type(layer))


@cache
def _pools(kind: type) -> bool:
    """Whether layers of a class are a `Pool`: once a class, as Python takes long to tell."""
    return issubclass(kind, Pool)


def _at_places(
    tokens: Float[Tensor, "batch token feature"], value: Float[Tensor, "batch feature"], skip: int
) -> Float[Tensor, "batch token feature"]:
    """Tokens with a value added to all but the first ``skip``."""
    places = value[:, None].expand(-1, tokens.shape[1] - skip, -1)
    in_front = tokens.new_zeros(len(tokens), skip, tokens.shape[2])
    return tokens + torch.cat([in_front, places], 1)
