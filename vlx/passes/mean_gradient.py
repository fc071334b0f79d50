"""One offset of all places of a layer's features: its gradient is the sum of the gradients at the places.

Grad-CAM needs of the gradients only their mean over places (Eq. 1). Many layers let an offset o through
beside the features A: a linear layer W gives W(A + o) = WA + Wo, and a pool P of means or of maxima
P(A + o) = P(A) + o. The sum over places is then taken behind the layer, and the gradients of many words need
not be carried down to every place. In cross-attention, whose keys and values are linear in the features,
this is most of the work.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

_LINEAR = ("torch.nn.modules.linear.Linear", "transformers.pytorch_utils.Conv1D")
"""Layers that are linear in the last axis, their bias aside; the second is GPT-2's. No class derived from
one: quantised layers round what they are given."""


@runtime_checkable
class Pool(Protocol):
    """A layer of maps to numbers that knows what an offset of all places does to them."""

    def of_offset(
        self, value: Float[Tensor, "batch channel"], rows: int, cols: int
    ) -> Float[Tensor, "batch pooled"]:
        """What is added to the output where the offset is added at each place of so many rows and columns."""
        ...


@dataclass(frozen=True, eq=False)
class Offset:
    """An offset of 0 for each item of a batch of features."""

    value: Float[Tensor, "batch channel"]
    """A leaf; its gradient is the sum of the gradients at all places."""
    without: Float[Tensor, "batch *feature"]
    """The features alone."""
    together: Float[Tensor, "batch *feature"]
    """The features with their offset, for layers that do not let it through."""
    passes: Callable[[nn.Module], bool]
    """Whether a layer lets it through."""
    behind: Callable[[nn.Module, "Offset", Tensor], Tensor]
    """Adds to such a layer's output for the features alone what it makes of the offset."""


MakeOffset = Callable[[Tensor], Offset | None]
"""Gives features an offset; None where they are not of the kind that it is for."""


def token_offset(tokens_in_front: Callable[[int], int]) -> MakeOffset:
    """Offsets of features (batch, token, channel), for all tokens but those in front.

    ``tokens_in_front`` says how many stand in front of the places of the image, of so many tokens.
    """

    def give(features: Tensor) -> Offset | None:
        if features.ndim != 3:
            return None
        in_front = tokens_in_front(features.shape[1])
        value = features.new_zeros(len(features), features.shape[2]).requires_grad_()

        def behind(layer: nn.Module, offset: Offset, output: Tensor) -> Tensor:
            beside = layer.forward(offset.value) - layer.forward(torch.zeros_like(offset.value))  # no bias
            return _on_tokens(output, beside, in_front)

        together = _on_tokens(features, value, in_front)
        return Offset(value, features.clone(), together, _is_linear, behind)

    return give


def map_offset(features: Tensor) -> Offset | None:
    """The offset of features (batch, channel, row, col), for all places."""
    if features.ndim != 4:
        return None
    value = features.new_zeros(features.shape[:2]).requires_grad_()
    return Offset(value, features.clone(), features + value[..., None, None], _is_pool, _behind_pool)


@contextmanager
def apart(model: nn.Module, offset: Callable[[], Offset | None]) -> Generator[None, None, None]:
    """Take the offset beside the features through every layer that lets it through, in the block.

    ``offset`` tells it once the model has computed the features.
    """

    def before(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        known = offset()
        if known is None or not inputs or inputs[0] is not known.together or known.together._version:
            return None  # other features, or changed in place since
        return (known.without, *inputs[1:]) if known.passes(layer) else None

    def after(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        known = offset()
        if known is None or not inputs or inputs[0] is not known.without:
            return output
        return known.behind(layer, known, output)

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
    return type(layer) is nn.AdaptiveAvgPool2d or isinstance(layer, Pool)


def _behind_pool(
    layer: nn.Module, offset: Offset, output: Float[Tensor, "batch *pooled"]
) -> Float[Tensor, "batch *pooled"]:
    if isinstance(layer, Pool):
        rows, cols = offset.without.shape[2:]
        return output + layer.of_offset(offset.value, rows, cols)
    return output + offset.value[..., None, None]


def _on_tokens(
    tokens: Float[Tensor, "batch token feature"], value: Float[Tensor, "batch feature"], in_front: int
) -> Float[Tensor, "batch token feature"]:
    """Tokens with a value added at every place."""
    everywhere = value[:, None].expand(-1, tokens.shape[1] - in_front, -1)
    nowhere = tokens.new_zeros(len(tokens), in_front, tokens.shape[2])
    return tokens + torch.cat([nowhere, everywhere], 1)
