"""ResNets at very small widths, written out by hand."""

from collections import OrderedDict

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

CHILDREN = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
"""The places of a torchvision ResNet's children that have weights."""


def tiny_resnet(*, bottleneck: bool = True, caffe: bool = False, seed: int = 0) -> nn.Sequential:
    """conv1 of 4 channels, then stages of 2, 2, 3 and 3 planes; the second stage has two blocks.

    In evaluation mode and double precision, with weights that single precision holds exactly; batch
    statistics are not those of fresh layers.
    """
    torch.manual_seed(seed)
    kind = Bottleneck if bottleneck else BasicBlock
    layers = OrderedDict(
        conv1=nn.Conv2d(3, 4, 7, 2, 3, bias=False),
        bn1=nn.BatchNorm2d(4),
        relu=nn.ReLU(inplace=True),
        maxpool=nn.MaxPool2d(3, 2, padding=0, ceil_mode=True) if caffe else nn.MaxPool2d(3, 2, padding=1),
    )
    channels = 4
    for stage, (planes, count) in enumerate(((2, 1), (2, 2), (3, 1), (3, 1)), 1):
        out = planes * kind.expansion
        blocks = []
        for at in range(count):
            stride = 2 if stage > 1 and at == 0 else 1
            shortcut = None
            if stride > 1 or channels != out:
                shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
            block = kind(channels, planes, stride, shortcut)
            if caffe:
                block.conv1.stride, block.conv2.stride = (stride, stride), (1, 1)
            blocks.append(block)
            channels = out
        layers[f"layer{stage}"] = nn.Sequential(*blocks)
    network = nn.Sequential(layers).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.3, 0.3)
            nn.init.uniform_(layer.running_var, 0.3, 1.5)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.2, 0.4)
    return network.float().double()


def by_index(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights named by the places of the network's children."""
    return {
        f"{CHILDREN[head]}.{rest}": value
        for name, value in state.items()
        for head, _, rest in [name.partition(".")]
    }
