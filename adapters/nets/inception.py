"""Inception v3 as TensorFlow's slim defines it, with torchvision's modules and at the sizes of its weights.

torchvision's network is the same but for its average pools, which count their padding: at an edge of the
map a third of each average is missing there.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.inception import BasicConv2d

from vlx.adapters.files.weights import fit_weights
from vlx.adapters.nets.backbones import torchvision_network, without_classifier
from vlx.errors import CheckpointError, near_names

_SCOPE = "InceptionV3"
_SMALLEST = 75


class EvenPool(nn.Module):
    """Gives back to averages over 3 x 3 places what the padding took, then runs a convolution on them.

    At an edge only 6 of the 9 places are there, in a corner 4.
    """

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, pooled: Float[Tensor, "batch channel row col"]) -> Float[Tensor, "batch out row col"]:
        """The convolution of the averages over the places that are there."""
        down, across = (_counted(side).to(pooled) for side in pooled.shape[2:])
        return self.convolution(pooled * down[:, None] * across)


def variable(tensors: Mapping[str, Tensor], name: str, dimensions: int, wrong: str) -> Tensor:
    """A variable of a checkpoint; raises CheckpointError, saying ``wrong``, unless it has so many sides."""
    found = tensors.get(name)
    if found is None or found.ndim != dimensions or not found.numel():
        near = near_names(name, tensors) if found is None else ""
        raise CheckpointError(f"{wrong}: it has no {name} of {dimensions} sides{near}")
    return found


def slim_inception(tensors: Mapping[str, Tensor], source: str) -> tuple[nn.Module, int]:
    """Inception v3 up to its pooled vector, with its weights, and the length of this vector.

    ``tensors`` bear slim's names, as ``InceptionV3/Mixed_5b/Branch_0/Conv2d_0a_1x1/weights``. The
    convolutions of a block are in the order of these names, which differ a little between versions of
    slim; in this order torchvision has them too. Raises CheckpointError where they do not fit.
    """
    state: dict[str, Tensor] = {}
    with torch.device("meta"):
        network = without_classifier(torchvision_network("inception_v3"))
    for name, block in network.named_children():
        pooled = getattr(block, "branch_pool", None)
        if isinstance(pooled, nn.Module):
            block.branch_pool = EvenPool(pooled)
        own = [(at, module) for at, module in block.named_modules() if isinstance(module, BasicConv2d)]
        theirs = _scopes(tensors, name)
        if len(own) != len(theirs):
            told = f"{len(theirs)} convolutions in {name}, not {len(own)}"
            raise CheckpointError(f"{source} is no Inception v3 of slim: it has {told}")
        for (at, module), scope in zip(own, theirs, strict=True):
            held = _of_convolution(tensors, scope, source)
            _resize(module, held["conv.weight"])
            state |= {".".join(filter(None, (name, at, key))): value for key, value in held.items()}
    fit_weights(network, state, source).requires_grad_(False)
    return network, _length(network, source)


def _scopes(tensors: Mapping[str, Tensor], block: str) -> list[str]:
    """The scopes of a block's convolutions, in order."""
    inside = (f"{_SCOPE}/{block}/weights", f"{_SCOPE}/{block}/Branch_")
    return sorted(
        name.removesuffix("/weights")
        for name in tensors
        if name.endswith("/weights") and name.startswith(inside)
    )


def _of_convolution(tensors: Mapping[str, Tensor], scope: str, source: str) -> dict[str, Tensor]:
    """The tensors of a convolution and its batch normalisation by torchvision's names."""

    def held(name: str, dimensions: int) -> Tensor:
        return variable(tensors, f"{scope}/{name}", dimensions, f"{source} is no Inception v3 of slim")

    kernels, shift = held("weights", 4), held("BatchNorm/beta", 1)
    scaled = f"{scope}/BatchNorm/gamma" in tensors  # as published it has no scale, which is a scale of 1
    return {
        "conv.weight": kernels.permute(3, 2, 0, 1).contiguous(),
        "bn.weight": held("BatchNorm/gamma", 1) if scaled else torch.ones_like(shift),
        "bn.bias": shift,
        "bn.running_mean": held("BatchNorm/moving_mean", 1),
        "bn.running_var": held("BatchNorm/moving_variance", 1),
        "bn.num_batches_tracked": torch.tensor(0),
    }


def _resize(module: BasicConv2d, weight: Tensor) -> None:
    """Give a convolution and its normalisation as many channels as the weights have."""
    old: Any = module.conv
    with torch.device("meta"):
        module.conv = nn.Conv2d(
            weight.shape[1], weight.shape[0], old.kernel_size, old.stride, old.padding, bias=False
        )
        module.bn = nn.BatchNorm2d(len(weight), eps=0.001)


def _length(network: nn.Module, source: str) -> int:
    """The length of the vector that the network gives, from a run on the smallest image that it takes."""
    try:
        with torch.no_grad():
            return network.eval()(torch.zeros(1, 3, _SMALLEST, _SMALLEST)).shape[1]
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{source} holds layers that do not fit one another: {reason}") from None


def _counted(side: int) -> Float[Tensor, " place"]:
    """3 over the number of places that a window of 3 holds, the padding left out."""
    at = torch.arange(side)
    return 3 / (3 - (at == 0).long() - (at == side - 1).long())
