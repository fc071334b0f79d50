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


@dataclass(frozen=True, eq=False)
class Offset:
    """An offset of 0 for each item of a batch of features (batch, token, channel)."""

    value: Float[Tensor, "batch channel"]
    """A leaf; its gradient is the sum of the gradients at all places."""
    places: Float[Tensor, "token 1"]
    """1 for the tokens that lie on the image, 0 for those in front."""
    without: Float[Tensor, "batch token channel"]
    """The features alone."""
    together: Float[Tensor, "batch token channel"]
    """The features with their offset, for what is not linear in them."""


def offset_of(features: Float[Tensor, "batch token channel"], in_front: int) -> Offset:
    """Give an offset to all tokens but those in front."""
    batch, tokens, channels = features.shape
    value = features.new_zeros(batch, channels).requires_grad_()
    places = features.new_ones(tokens, 1)
    places[:in_front] = 0
    return Offset(value, places, features.clone(), features + places @ value[:, None])


@contextmanager
def linear_layers_apart(model: nn.Module, offset: Callable[[], Offset | None]) -> Generator[None, None, None]:
    """Take the offset beside the features through every linear layer that is given them, in the block.

    ``offset`` tells it once the model has computed the features.
    """

    def before(_layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        known = offset()
        if known is None or not inputs or inputs[0] is not known.together:
            return None
        return (known.without, *inputs[1:])

    def after(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        known = offset()
        if known is None or not inputs or inputs[0] is not known.without:
            return output
        beside = layer.forward(known.value) - layer.forward(torch.zeros_like(known.value))  # without the bias
        return output + known.places @ beside[:, None]

    handles = [
        handle
        for layer in model.modules()
        if type(layer) is nn.Linear or type(layer).__name__ == "Conv1D"  # of transformers, as in GPT-2
        for handle in (layer.register_forward_pre_hook(before), layer.register_forward_hook(after))
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
