"""The CNN of the built-in models."""

from jaxtyping import Float, UInt8
from torch import Tensor

from vlx.adapters.nets.vgg import VggLike

PLAN = (24, "M", 40, "M", 80, 80, "M", 128, 160)
FC = (768, 512)


def small_vgg(*, norm: bool = False, dropout: float = 0.0) -> VggLike:
    """A CNN from 224 pixels to a 14 x 14 map of 160 channels and an fc7 vector of 512."""
    return VggLike(PLAN, FC, norm=norm, dropout=dropout)


def normalised(pixels: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch 3 height width"]:
    """Bytes as network input, in -2 to 2."""
    return (pixels.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
