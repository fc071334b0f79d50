"""The CNNs of the paper as Caffe defines them, with its names of layers, at the sizes of their weights.

A layer ``inception_3a/1x1`` of Caffe is the module ``inception_3a.1x1`` here.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlx.adapters.files.weights import fit_weights
from vlx.errors import CheckpointError, near_names

VGG16 = (2, 2, 3, 3, 3)
"""Convolutions in each block of VGG-16."""
VGG19 = (2, 2, 4, 4, 4)


@dataclass(frozen=True, eq=False)
class Weights:
    """Tensors by the names of this file, such as ``conv1_1.weight`` or ``inception_3a.1x1.bias``."""

    tensors: Mapping[str, Tensor]
    source: str
    """The file that they are from, for errors."""

    def shape(self, layer: str, dimensions: int) -> tuple[int, ...]:
        """The shape of a layer's weights; raises CheckpointError unless there are some with so many sides."""
        weight = self.tensors.get(f"{layer}.weight")
        if weight is None:
            layers = dict.fromkeys(name.rpartition(".")[0] for name in self.tensors)
            raise self.wrong(f"holds no layer {layer!r}{near_names(layer, layers)}")
        if weight.ndim != dimensions or 0 in weight.shape:
            raise self.wrong(f"holds a layer {layer!r} of shape {tuple(weight.shape)}")
        return tuple(weight.shape)

    def wrong(self, what: str) -> CheckpointError:
        """The error that says what is wrong with the source."""
        return CheckpointError(f"{self.source} {what}")


class Concatenated(nn.Module):
    """Joins the channels of several maps; a module of its own, so that its output is a layer."""

    def forward(self, *maps: Float[Tensor, "batch _ row col"]) -> Float[Tensor, "batch channel row col"]:
        """All channels, in the order given."""
        return torch.cat(maps, 1)


class Inception(nn.Module):
    """A block of GoogLeNet: 1x1, 3x3 and 5x5 convolutions and a max-pool side by side."""

    def __init__(self, weights: Weights, name: str) -> None:
        super().__init__()
        ways = {"1x1": 0, "3x3_reduce": 0, "3x3": 1, "5x5_reduce": 0, "5x5": 2, "pool_proj": 0}
        for way, padding in ways.items():
            self.add_module(way, _convolution(weights, f"{name}.{way}", padding=padding))
            self.add_module(f"relu_{way}", _relu())
        self.pool = nn.MaxPool2d(3, 1, 1)
        self.output = Concatenated()

    def forward(self, features: Float[Tensor, "batch channel row col"]) -> Float[Tensor, "batch out row col"]:
        """The four ways' channels, one after the other."""
        return self.output(
            _rectified(self, features, "1x1"),
            _rectified(self, features, "3x3_reduce", "3x3"),
            _rectified(self, features, "5x5_reduce", "5x5"),
            _rectified(self, self.pool(features), "pool_proj"),
        )


class Fire(nn.Module):
    """A block of SqueezeNet: a 1x1 convolution to few channels, then 1x1 and 3x3 side by side."""

    def __init__(self, weights: Weights, name: str) -> None:
        super().__init__()
        for way, padding in {"squeeze1x1": 0, "expand1x1": 0, "expand3x3": 1}.items():
            self.add_module(way, _convolution(weights, f"{name}.{way}", padding=padding))
            self.add_module(f"relu_{way}", _relu())
        self.concat = Concatenated()

    def forward(self, features: Float[Tensor, "batch channel row col"]) -> Float[Tensor, "batch out row col"]:
        """The channels of both expansions."""
        few = _rectified(self, features, "squeeze1x1")
        return self.concat(_rectified(self, few, "expand1x1"), _rectified(self, few, "expand3x3"))


def vgg(weights: Weights, blocks: Sequence[int]) -> nn.Module:
    """VGG (Simonyan and Zisserman 2015) up to the last layer that has weights: fc7, or the classes of fc8."""
    layers: dict[str, nn.Module] = {}
    for block, count in enumerate(blocks, 1):
        for at in range(1, count + 1):
            layers[f"conv{block}_{at}"] = _convolution(weights, f"conv{block}_{at}", padding=1)
            layers[f"relu{block}_{at}"] = _relu()
        layers[f"pool{block}"] = nn.MaxPool2d(2, ceil_mode=True)
    return _named({**layers, **_fully_connected(weights)})


def vgg_side(weights: Weights, blocks: Sequence[int]) -> int:
    """The side of the images, in pixels, that the weights of a VGG are made for: 224 as published."""
    return 32 * _places(weights, f"conv{len(blocks)}_{blocks[-1]}")


def alexnet(weights: Weights, *, pool_first: bool = False) -> nn.Module:
    """AlexNet as Caffe has it; CaffeNet, which pools before it normalises, with ``pool_first``."""
    layers: dict[str, nn.Module] = {}
    shapes = {"1": (0, 1, 4), "2": (2, 2, 1), "3": (1, 1, 1), "4": (1, 2, 1), "5": (1, 2, 1)}
    for at, (padding, groups, stride) in shapes.items():
        layers[f"conv{at}"] = _convolution(
            weights, f"conv{at}", padding=padding, groups=groups, stride=stride
        )
        layers[f"relu{at}"] = _relu()
        norm, pool = {f"norm{at}": _normalisation()}, {f"pool{at}": _pool()}
        if at in "12":
            layers |= {**pool, **norm} if pool_first else {**norm, **pool}
    layers["pool5"] = _pool()
    return _named({**layers, **_fully_connected(weights)})


def alexnet_side(weights: Weights) -> int:
    """The side of the images, in pixels, that the weights of an AlexNet are made for: 227 as published."""
    side = _places(weights, "conv5")
    for _ in range(3):  # each pooling, backwards
        side = 2 * side + 1
    return 4 * (side - 1) + 11


def googlenet(weights: Weights) -> nn.Module:
    """GoogLeNet (Szegedy et al. 2015) without its two classifiers for training."""
    conv1 = _convolution(weights, "conv1.7x7_s2", padding=3, stride=2)
    reduce = _convolution(weights, "conv2.3x3_reduce")
    conv2 = _convolution(weights, "conv2.3x3", padding=1)
    blocks: dict[str, nn.Module] = {
        "conv1": _named({"7x7_s2": conv1, "relu_7x7": _relu()}),
        "pool1": _named({"3x3_s2": _pool(), "norm1": _normalisation()}),
        "conv2": _named(
            {"3x3_reduce": reduce, "relu_3x3_reduce": _relu(), "3x3": conv2, "relu_3x3": _relu()}
            | {"norm2": _normalisation()}
        ),
        "pool2": _named({"3x3_s2": _pool()}),
    }
    for at in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        blocks[f"inception_{at}"] = Inception(weights, f"inception_{at}")
        if at in ("3b", "4e"):
            blocks[f"pool{at[0]}"] = _named({"3x3_s2": _pool()})
    blocks["pool5"] = _named({"7x7_s1": nn.AdaptiveAvgPool2d(1), "drop_7x7_s1": nn.Dropout(0.4)})
    blocks["flatten"] = nn.Flatten()
    blocks["loss3"] = _named({"classifier": _linear(weights, "loss3.classifier")})
    return _named(blocks)


def squeezenet(weights: Weights) -> nn.Module:
    """SqueezeNet 1.0 (Iandola et al. 2016); its last 1x1 convolution is padded by one place."""
    layers: dict[str, nn.Module] = {"conv1": _convolution(weights, "conv1", stride=2), "relu_conv1": _relu()}
    layers["pool1"] = _pool()
    for at in range(2, 10):
        layers[f"fire{at}"] = Fire(weights, f"fire{at}")
        if at in (4, 8):
            layers[f"pool{at}"] = _pool()
    layers |= {"drop9": nn.Dropout(), "conv10": _convolution(weights, "conv10", padding=1)}
    layers |= {"relu_conv10": _relu(), "pool10": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    return _named(layers)


def filled(network: nn.Module, weights: Weights, side: int) -> nn.Module:
    """Give a network of this file its weights; it is then in evaluation mode and needs no gradients.

    Raises CheckpointError where weights are missing or unknown, and where one layer's do not fit the
    next one's on images of ``side`` pixels.
    """
    try:
        network.eval()(torch.zeros(1, 3, side, side, device="meta"))
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise weights.wrong(f"holds layers that do not fit one another: {reason}") from None
    return fit_weights(network, weights.tensors, weights.source).requires_grad_(False)


def torchvision_vgg(tensors: Mapping[str, Tensor], blocks: Sequence[int]) -> dict[str, Tensor]:
    """Tensors that bear the names of torchvision's VGG, by the names of this file."""
    numbers = sorted({int(name.split(".")[1]) for name in tensors if name.startswith("features.")})
    names = [f"conv{block}_{at}" for block, count in enumerate(blocks, 1) for at in range(1, count + 1)]
    new = {f"features.{number}": name for number, name in zip(numbers, names, strict=False)}
    new |= {"classifier.0": "fc6", "classifier.3": "fc7", "classifier.6": "fc8"}

    def renamed(name: str) -> str:
        layer, _, kind = name.rpartition(".")
        return f"{new[layer]}.{kind}" if layer in new else name

    return {renamed(name): value for name, value in tensors.items()}


def _places(weights: Weights, last: str) -> int:
    """The side of the map that fc6 reads, from its weights and those of the last convolution."""
    channels, inputs = weights.shape(last, 4)[0], weights.shape("fc6", 2)[1]
    side = isqrt(inputs // channels)
    if side < 1 or side * side * channels != inputs:
        raise weights.wrong(f"holds a layer 'fc6' of {inputs} inputs, no square map of {channels} channels")
    return side


def _convolution(
    weights: Weights, name: str, *, padding: int = 0, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """A convolution of the size of its weights, which it does not have yet."""
    out, channels, rows, cols = weights.shape(name, 4)
    if out % groups:
        raise weights.wrong(f"holds a layer {name!r} of {out} channels, which make no {groups} groups")
    with torch.device("meta"):
        return nn.Conv2d(groups * channels, out, (rows, cols), stride, padding, groups=groups)


def _linear(weights: Weights, name: str) -> nn.Linear:
    out, inputs = weights.shape(name, 2)
    with torch.device("meta"):
        return nn.Linear(inputs, out)


def _fully_connected(weights: Weights) -> dict[str, nn.Module]:
    layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    for at in "67":
        layers |= {f"fc{at}": _linear(weights, f"fc{at}"), f"relu{at}": _relu(), f"drop{at}": nn.Dropout()}
    return {**layers, "fc8": _linear(weights, "fc8")} if "fc8.weight" in weights.tensors else layers


def _rectified(block: nn.Module, features: Tensor, *names: str) -> Tensor:
    """The features after some of a block's convolutions, each with its ReLU."""
    for name in names:
        features = block.get_submodule(f"relu_{name}")(block.get_submodule(name)(features))
    return features


def _named(layers: Mapping[str, nn.Module]) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def _relu() -> nn.ReLU:
    return nn.ReLU(inplace=True)


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _normalisation() -> nn.LocalResponseNorm:
    """Across 5 channels, as in all of Caffe's reference networks."""
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
