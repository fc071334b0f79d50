"""ResNets built from their weights alone: depth and widths are read from the file."""

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from vlx.adapters.files.weights import fit_weights
from vlx.errors import CheckpointError

_BY_INDEX = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""The children of a torchvision ResNet by their place, as an ``nn.Sequential`` of them names them."""

TELLING = ("conv1.weight", "layer1.0.conv1.weight", "layer4.0.conv1.weight")
"""Names that a ResNet of torchvision has, at any depth."""


def resnet_map(state: Mapping[str, Tensor], source: str, *, caffe: bool = False) -> nn.Sequential:
    """Build a ResNet up to its last feature map, with the layer names of torchvision.

    ``state`` names its weights as torchvision does, or by the places of its children (``0``, ``1``,
    ``4`` to ``7``); weights of the classifier (``fc``) are left out. With ``caffe`` the first pooling
    is not padded and rounds up, and each stage's stride is in its first convolution, as in networks
    converted from Caffe. Raises CheckpointError for weights of another network.
    """
    weights = {name: value for name, value in _named(state).items() if not name.startswith("fc.")}
    with torch.device("meta"):
        network = _network(weights, source, caffe)
    for name in network.state_dict():
        if name.endswith("num_batches_tracked"):  # absent from old files, and without influence
            weights.setdefault(name, torch.tensor(0))
    fit_weights(network, weights, source)
    return network


def channels_of(resnet: nn.Sequential) -> int:
    """How many channels the last feature map has."""
    return [layer for layer in resnet.modules() if isinstance(layer, nn.BatchNorm2d)][-1].num_features


def averaged(resnet: nn.Sequential) -> nn.Sequential:
    """The same layers, then the mean over the feature map: pixels in, one vector out."""
    resnet.add_module("avgpool", nn.AdaptiveAvgPool2d(1))
    resnet.add_module("flatten", nn.Flatten())
    return resnet


def _network(weights: Mapping[str, Tensor], source: str, caffe: bool) -> nn.Sequential:
    stem = _kernels(weights, "conv1.weight", source)
    layers = OrderedDict[str, nn.Module](
        conv1=nn.Conv2d(3, stem, 7, 2, 3, bias=False),
        bn1=nn.BatchNorm2d(stem),
        relu=nn.ReLU(inplace=True),
        maxpool=nn.MaxPool2d(3, 2, 0, ceil_mode=True) if caffe else nn.MaxPool2d(3, 2, 1),
    )
    channels = stem
    for stage in range(1, 5):
        blocks: list[nn.Module] = []
        while f"layer{stage}.{len(blocks)}.conv1.weight" in weights:
            stride = 2 if stage > 1 and not blocks else 1
            block, channels = _block(weights, f"layer{stage}.{len(blocks)}.", channels, stride, source)
            if caffe:
                block.conv1.stride, block.conv2.stride = (stride, stride), (1, 1)
            blocks.append(block)
        if not blocks:
            raise CheckpointError(f"{source} holds no ResNet: no layer{stage}")
        layers[f"layer{stage}"] = nn.Sequential(*blocks)
    return nn.Sequential(layers)


def _named(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if "conv1.weight" in state:
        return dict(state)
    return {
        f"{_BY_INDEX[head]}.{rest}" if head in _BY_INDEX else name: value
        for name, value in state.items()
        for head, _, rest in [name.partition(".")]
    }


def _kernels(weights: Mapping[str, Tensor], name: str, source: str) -> int:
    if name not in weights or weights[name].ndim != 4:
        raise CheckpointError(f"{source} holds no ResNet: no convolution {name!r}")
    return weights[name].shape[0]


def _block(
    weights: Mapping[str, Tensor], name: str, channels: int, stride: int, source: str
) -> tuple[BasicBlock | Bottleneck, int]:
    kind = Bottleneck if f"{name}conv3.weight" in weights else BasicBlock
    planes = _kernels(weights, f"{name}conv1.weight", source)
    out = planes * kind.expansion
    shortcut = None
    if f"{name}downsample.0.weight" in weights:
        shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
    return kind(channels, planes, stride, shortcut), out
