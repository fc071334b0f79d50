"""The layers at which a network has all that it knows of the image, from the pixels up to a layer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vlx.errors import LayerError, VlxError
from vlx.passes.capture import model_of
from vlx.passes.default_layer import POOLS, Hook, below, carries, watched
from vlx.passes.forward import Pass
from vlx.passes.places import places

_MIXING = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)


@dataclass(frozen=True, eq=False)
class _Given:
    """What a layer gave."""

    name: str
    node: Any
    shape: torch.Size
    mixed: int
    """How many convolutions and linear layers had run by then."""
    pool: bool


@dataclass(eq=False)
class _Seen:
    """What the layers of a network gave, in their order."""

    given: list[_Given] = field(default_factory=list[_Given])
    times: dict[str, int] = field(default_factory=dict[str, int])
    mixed: int = 0


def stages(passed: Pass) -> list[str]:
    """Name the layers with places below the layer of a Pass on which all that it gives rests; it is the last.

    For a chain of convolutions (VGG) it is the map after each convolution and its ReLU, for a network with
    shortcuts (ResNet) the map after each block, for a transformer the tokens after each. Pools are left out:
    the map before them is there. Raises VlxError for a Pass that has no way from its pixels to the layer.

    >>> from torchvision.models import resnet18
    >>> from vlx.adapters.parts.classifier import Classifier
    >>> from vlx.images import imagenet
    >>> model = Classifier(resnet18(num_classes=2), ["cat", "dog"], imagenet())
    >>> stages(model.read([vlx.open_image(photo)]))[:3]
    ['relu', 'layer1.0', 'layer1.1']
    """
    network = model_of(passed.features)
    if network is None or passed.below is None or passed.below.encode is None:
        raise VlxError(
            f"{passed.model} gives no way from its pixels to layer {passed.layer}: name the layers"
        )
    pixels = passed.below.pixels.detach().clone()
    seen = _Seen()
    with torch.inference_mode(False), torch.enable_grad(), watched(network, _kept(seen)):
        image = pixels.requires_grad_()
        features = passed.below.encode(image * 1)
    size, last = (int(pixels.shape[-2]), int(pixels.shape[-1])), features.grad_fn
    every: dict[int, _Given] = {}
    for one in seen.given:
        alone = seen.times[one.name] == 1 and not one.pool and one.node is not last
        if alone and _has_places(one, size) and not carries(below([last], one.node), image):
            known = every.get(one.mixed)
            if known is None or known.node is not one.node:  # what holds a layer gives the same as its last
                every[one.mixed] = one
    every.pop(seen.mixed, None)  # the layer itself stands for its own convolution
    within = _within(passed.layer, [name for name, _ in network.named_modules()])
    names = [one.name.removeprefix(within) for one in every.values() if one.name.startswith(within)]
    return [*names, passed.layer]


def _within(layer: str, names: list[str]) -> str:
    """From where a layer is named that is none of the network's names: from a part of it."""
    ends = (name.removesuffix(layer) for name in names if name.endswith(f".{layer}"))
    return "" if layer in names else next(ends, "")


def _has_places(one: _Given, size: tuple[int, int]) -> bool:
    """Whether an output has rows and columns."""
    try:
        grid = places(torch.zeros(one.shape, device="meta"), size)
        return min(grid(torch.zeros(one.shape, device="meta")).shape[-2:]) > 1
    except (LayerError, RuntimeError):
        return False


def _kept(seen: _Seen) -> Callable[[str], Hook]:
    """Notes what the layers of a network give."""

    def keep(name: str) -> Hook:
        def hook(layer: nn.Module, _inputs: Any, _named: Any, output: Any) -> None:
            seen.times[name] = seen.times.get(name, 0) + 1
            seen.mixed += isinstance(layer, _MIXING)
            first = output[0] if isinstance(output, tuple) and output else output
            if isinstance(first, Tensor) and first.ndim in (3, 4) and first.grad_fn is not None:
                pool = isinstance(layer, POOLS)
                seen.given.append(_Given(name, first.grad_fn, first.shape, seen.mixed, pool))

        return hook

    return keep
