"""What a plain network is called with, checked before it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlx.errors import VlxError
from vlx.images.frame import Size
from vlx.passes.clips import ClipSize, clip_size

Inputs = Tensor | tuple[Any, ...] | Mapping[str, Any]
"""A batch of images, or all that a network is called with, by position or by name."""


@dataclass(frozen=True, eq=False)
class Call:
    """The arguments of one call of a network; the first with rows and columns is the batch of images.

    Where none is, it is the first with time, rows and columns: a batch of clips.
    """

    positional: tuple[Any, ...]
    named: Mapping[str, Any]
    pixels: Float[Tensor, "batch channel *time height width"]

    @property
    def batch(self) -> int:
        """How many items there are."""
        return len(self.pixels)

    @property
    def size(self) -> Size:
        """Height and width of the network's input."""
        return self.pixels.shape[-2], self.pixels.shape[-1]

    @property
    def clip(self) -> ClipSize | None:
        """Frames, height and width of a clip; None of images."""
        return clip_size(self.pixels) if self.pixels.ndim == 5 else None

    @property
    def alone(self) -> bool:
        """Whether the network takes the images and nothing else."""
        return len(self.positional) == 1 and not self.named

    def of(self, network: nn.Module) -> Any:
        """What the network returns."""
        return network(*self.positional, **self.named)

    def with_pixels(self, pixels: Tensor, position: int | None = None) -> "Call":
        """The same call on other images; of one item's position, each with what goes with that item."""

        def other(given: Any) -> Any:
            if given is self.pixels:
                return pixels
            beside = isinstance(given, Tensor) and given.ndim > 0 and len(given) == self.batch
            if position is None or not beside:
                return given
            return given[position : position + 1].expand(len(pixels), *given.shape[1:])

        named = {name: other(given) for name, given in self.named.items()}
        return Call(tuple(other(given) for given in self.positional), named, pixels)


def call_of(network: nn.Module, x: Any) -> Call:
    """The call of a network on what a user gave. Raises VlxError, with what would work."""
    positional: tuple[Any, ...] = ()
    named: dict[str, Any] = {}
    if isinstance(x, Mapping):
        named = dict(cast("Mapping[str, Any]", x))
    else:
        positional = cast("tuple[Any, ...]", x) if isinstance(x, tuple) else (x,)
    given = [*positional, *named.values()]
    tensors = [one for one in given if isinstance(one, Tensor)]
    pixels = next((one for axes in (4, 5) for one in tensors if one.ndim == axes), None)
    if pixels is None:
        raise VlxError(_no_pixels(given))
    if not pixels.is_floating_point():
        raise VlxError(
            f"x is {pixels.dtype}: give floats, normalised as the network learnt them (x.float() / 255)"
        )
    if 0 in pixels.shape:
        raise VlxError(f"x of shape {tuple(pixels.shape)} is empty: give at least one image")
    _need_place(network, pixels)
    return Call(positional, named, pixels)


def _no_pixels(given: list[Any]) -> str:
    first = given[0] if given else None
    due = "x is a batch (batch, channel, height, width) of floats"
    if isinstance(first, Tensor) and first.ndim > 4:
        due += ", or of clips (batch, channel, time, height, width)"
    if isinstance(first, nn.Module):
        return f"{due}, not a {type(first).__name__}: vlx.explain_model(net, x, targets=3, layer=net.layer4)"
    if isinstance(first, Tensor):
        shape = tuple(first.shape)
        return f"{due}, not {shape}" + (": give x[None] for a single image" if first.ndim == 3 else "")
    if type(first).__module__ == "numpy":
        return f"{due}, not an array: give torch.from_numpy(x)"
    return (
        f"{due}, not a {type(first).__name__}: for image files and names of classes use vlx.explain_label "
        "with an adapter, such as vlx.load gives"
    )


def _need_place(network: nn.Module, pixels: Tensor) -> None:
    """Raise VlxError for images on another device, or of another precision, than all of the network."""
    weights = [weight for weight in network.parameters() if weight.is_floating_point()]
    devices = {weight.device for weight in weights}
    if devices and pixels.device not in devices:
        raise VlxError(
            f"x is on {pixels.device} and the network on {weights[0].device}: give "
            f"x.to({str(weights[0].device)!r})"
        )
    kinds = {weight.dtype for weight in weights}
    if kinds and pixels.dtype not in kinds and not torch.is_autocast_enabled(pixels.device.type):
        raise VlxError(
            f"x is {pixels.dtype} and the network {weights[0].dtype}: give x.to({weights[0].dtype})"
        )
