"""One offset of all places of a feature map: its gradient is the sum of the gradients at the places.

Grad-CAM needs of the gradients only their mean over places (Eq. 1). A linear layer W takes features A
with an offset o as W(A + o) = WA + Wo, so its offset can go beside its features; and then the sum is
taken behind the layer, where the gradients of many words need not be carried down to every place. In
cross-attention, whose keys and values are linear in the features, this is most of the work.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

_LINEAR = ("torch.nn.modules.linear.Linear", "transformers.pytorch_utils.Conv1D")
"""Layers that are linear in the last axis, their bias aside; the second is GPT-2's. No class derived from
one: quantised layers round what they are given."""


@dataclass(frozen=True, eq=False)
class Offset:
    """An offset of 0 for each item of a batch of features (batch, token, channel)."""

    value: Float[Tensor, "batch channel"]
    """A leaf; its gradient is the sum of the gradients at all places."""
    in_front: int
    """How many tokens in front of the places have no offset."""
    without: Float[Tensor, "batch token channel"]
    """The features alone."""
    together: Float[Tensor, "batch token channel"]
    """The features with their offset, for what is not linear in them."""


def offset_of(features: Float[Tensor, "batch token channel"], in_front: int) -> Offset:
    """Give an offset to all tokens but those in front."""
    value = features.new_zeros(len(features), features.shape[2]).requires_grad_()
    return Offset(value, in_front, features.clone(), _on(features, value, in_front))


@contextmanager
def linear_layers_apart(model: nn.Module, offset: Callable[[], Offset | None]) -> Generator[None, None, None]:
    """Take the offset beside the features through every linear layer that is given them, in the block.

    ``offset`` tells it once the model has computed the features.
    """

    def before(_layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        known = offset()
        if known is None or not inputs or inputs[0] is not known.together or known.together._version:
            return None  # other features, or changed in place since
        return (known.without, *inputs[1:])

    def after(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        known = offset()
        if known is None or not inputs or inputs[0] is not known.without:
            return output
        beside = layer.forward(known.value) - layer.forward(torch.zeros_like(known.value))  # without the bias
        return _on(output, beside, known.in_front)

    handles = [
        handle
        for layer in model.modules()
        if f"{type(layer).__module__}.{type(layer).__name__}" in _LINEAR
        for handle in (layer.register_forward_pre_hook(before), layer.register_forward_hook(after))
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _on(
    tokens: Float[Tensor, "batch token feature"], value: Float[Tensor, "batch feature"], in_front: int
) -> Float[Tensor, "batch token feature"]:
    """Tokens with a value added at every place."""
    everywhere = value[:, None].expand(-1, tokens.shape[1] - in_front, -1)
    nowhere = tokens.new_zeros(len(tokens), in_front, tokens.shape[2])
    return tokens + torch.cat([nowhere, everywhere], 1)
