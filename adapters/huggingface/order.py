"""In which order the tokens of a layer lie on the image, where it is not row by row."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vlx.errors import LayerError


def raster_order(
    model: nn.Module, layer: str, features: Float[Tensor, "batch *feature"]
) -> Int[Tensor, " token"] | None:
    """Which token lies at each place, row by row; None where tokens stand in this order already.

    Hiera puts the patches of a mask unit side by side before its first block, and rolls them up again
    only for those who ask; its own rule says what lies where, by how many are left after pooling.
    """
    for name, module in model.named_modules():
        if features.ndim != 3 or not _unrolls(module):
            continue
        inside = name.rpartition(".")[0]  # what holds the encoder and the patch embedding before it
        before = f"{inside}.embeddings".lstrip(".")
        if f"{layer}.".startswith(f"{before}."):
            return None
        return _rolled_up(module, layer, features.shape[1])
    return None


def _unrolls(module: Any) -> bool:
    return hasattr(module, "reroll") and isinstance(getattr(module, "schedule", None), dict)


def _rolled_up(encoder: Any, layer: str, tokens: int) -> Int[Tensor, " token"]:
    sizes: list[Sequence[int]] = [size for _, size in encoder.schedule.values()]
    for stage, (rows, cols) in enumerate(sizes):
        if rows * cols == tokens:
            return encoder.reroll(torch.arange(tokens).view(1, tokens, 1), stage).flatten()
    raise LayerError(f"layer {layer} has {tokens} tokens, as no stage has: name a block or its norm")


def need_whole_images(layer: str, parts: int, images: int) -> None:
    """Raise LayerError where a layer holds each image in pieces, as inside attention over windows."""
    if parts != images:
        raise LayerError(
            f"layer {layer} holds {images} image{'s' * (images > 1)} in {parts} pieces, such as windows of "
            "attention: name the block around it or a norm of the block"
        )
