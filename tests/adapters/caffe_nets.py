"""Caffe's networks written out, at small widths: they make the weights that they meet for the first time."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.adapters.published import made
from vlx.adapters.nets.caffe import VGG16, VGG19


@dataclass(eq=False)
class Caffe:
    """Layers as Caffe runs them; ``blobs`` by its names. What each layer gave is kept in ``tops``."""

    blobs: dict[str, list[Tensor]] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    tops: dict[str, Tensor] = field(default_factory=dict)
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(9))

    def conv(
        self, name: str, x: Tensor, out: int, kernel: int, *, stride: int = 1, pad: int = 0, group: int = 1
    ) -> Tensor:
        """A convolution in groups and its ReLU."""
        weight, bias = self._held(name, x, (out, x.shape[1] // group, kernel, kernel))
        parts = zip(x.chunk(group, 1), weight.chunk(group), bias.chunk(group), strict=True)
        joined = torch.cat([F.conv2d(part, w, b, stride, pad) for part, w, b in parts], 1)
        return self._kept(name, joined.clamp(min=0))

    def pool(self, name: str, x: Tensor, kernel: int = 3, stride: int = 2, pad: int = 0) -> Tensor:
        """Maxima of windows of which the last may reach beyond the map: sizes are rounded up."""
        x = F.pad(x, (pad, pad, pad, pad), value=-torch.inf)
        short = [-(-(side - kernel) // stride) * stride + kernel - side for side in x.shape[2:]]
        x = F.pad(x, (0, max(short[1], 0), 0, max(short[0], 0)), value=-torch.inf)
        return self._kept(name, x.unfold(2, kernel, stride).unfold(3, kernel, stride).amax((-1, -2)))

    def norm(self, name: str, x: Tensor) -> Tensor:
        """x / (1 + alpha / 5 * the sum of squares of five channels) ** beta."""
        rows = []
        for at in range(x.shape[1]):
            squares = x[:, max(at - 2, 0) : at + 3].square().sum(1)
            rows.append(x[:, at] / (1 + 0.0001 / 5 * squares) ** 0.75)
        return self._kept(name, torch.stack(rows, 1))

    def fc(self, name: str, x: Tensor, out: int, relu: bool = True) -> Tensor:
        """A fully connected layer, with its ReLU unless it is the last."""
        x = x.flatten(1)
        weight, bias = self._held(name, x, (out, x.shape[1]))
        x = x @ weight.T + bias
        return self._kept(name, x.clamp(min=0) if relu else x)

    def _held(self, name: str, x: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        if name not in self.blobs:
            self.blobs[name] = [made(self.generator, *shape), made(self.generator, shape[0])]
        weight, bias = self.blobs[name]
        assert weight.shape == shape
        return weight.to(x), bias.to(x)

    def _kept(self, name: str, top: Tensor) -> Tensor:
        self.order += [name] if name not in self.order else []
        self.tops[name] = top
        return top

    def layers(self) -> dict[str, list[Tensor]]:
        """All layers in order, as a file lists them: those without weights too."""
        return {name: self.blobs.get(name, []) for name in self.order}


def vgg(
    net: Caffe, x: Tensor, blocks: tuple[int, ...] = VGG16, fc: tuple[int, int, int] = (9, 8, 6)
) -> Tensor:
    for block, count in enumerate(blocks, 1):
        for at in range(1, count + 1):
            x = net.conv(f"conv{block}_{at}", x, 3 + block // 2, 3, pad=1)
        x = net.pool(f"pool{block}", x, 2)
    return _classes(net, x)


def vgg19(net: Caffe, x: Tensor) -> Tensor:
    return vgg(net, x, VGG19)


def alexnet(net: Caffe, x: Tensor, pool_first: bool = False) -> Tensor:
    """bvlc_alexnet; bvlc_reference_caffenet with ``pool_first``."""

    def both(at: int, x: Tensor) -> Tensor:
        if pool_first:
            return net.norm(f"norm{at}", net.pool(f"pool{at}", x))
        return net.pool(f"pool{at}", net.norm(f"norm{at}", x))

    x = both(1, net.conv("conv1", x, 8, 11, stride=4))
    x = both(2, net.conv("conv2", x, 6, 5, pad=2, group=2))
    x = net.conv("conv3", x, 8, 3, pad=1)
    x = net.conv("conv4", x, 8, 3, pad=1, group=2)
    return _classes(net, net.pool("pool5", net.conv("conv5", x, 6, 3, pad=1, group=2)))


def caffenet(net: Caffe, x: Tensor) -> Tensor:
    return alexnet(net, x, pool_first=True)


def _classes(net: Caffe, x: Tensor) -> Tensor:
    return net.fc("fc8", net.fc("fc7", net.fc("fc6", x, 9), 8), 6, relu=False)


def googlenet(net: Caffe, x: Tensor) -> Tensor:
    x = net.pool("pool1/3x3_s2", net.conv("conv1/7x7_s2", x, 6, 7, stride=2, pad=3))
    x = net.conv("conv2/3x3_reduce", net.norm("pool1/norm1", x), 4, 1)
    x = net.pool("pool2/3x3_s2", net.norm("conv2/norm2", net.conv("conv2/3x3", x, 6, 3, pad=1)))
    for at in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        name = f"inception_{at}"
        ways = [
            net.conv(f"{name}/1x1", x, 2, 1),
            net.conv(f"{name}/3x3", net.conv(f"{name}/3x3_reduce", x, 3, 1), 4, 3, pad=1),
            net.conv(f"{name}/5x5", net.conv(f"{name}/5x5_reduce", x, 2, 1), 3, 5, pad=2),
            net.conv(f"{name}/pool_proj", net.pool(f"{name}/pool", x, 3, 1, 1), 2, 1),
        ]
        x = net._kept(f"{name}/output", torch.cat(ways, 1))
        if at in ("3b", "4e"):
            x = net.pool(f"pool{at[0]}/3x3_s2", x)
    return net.fc("loss3/classifier", x.mean((2, 3)), 6, relu=False)


def squeezenet(net: Caffe, x: Tensor) -> Tensor:
    x = net.pool("pool1", net.conv("conv1", x, 5, 7, stride=2))
    for at in range(2, 10):
        few = net.conv(f"fire{at}/squeeze1x1", x, 3, 1)
        ways = [net.conv(f"fire{at}/expand1x1", few, 4, 1), net.conv(f"fire{at}/expand3x3", few, 3, 3, pad=1)]
        x = net._kept(f"fire{at}/concat", torch.cat(ways, 1))
        x = net.pool(f"pool{at}", x) if at in (4, 8) else x
    return net.conv("conv10", x, 6, 1, pad=1).mean((2, 3))


Run = Callable[[Caffe, Tensor], Tensor]
