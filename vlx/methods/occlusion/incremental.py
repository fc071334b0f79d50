"""Run a chain of convolutions again only where its input changed.

An image with a window hidden differs from the original in few places, and so do the first feature maps.
What each layer gave for the original is kept, and only the places that the window reaches are computed
again (Nakandala et al. 2019, "Incremental and Approximate Inference for Faster Occlusion-based Deep CNN
Explanations"; nothing is approximated here). Once the change has spread over most of a map, the layers that
are left run on whole maps.
"""

import itertools
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from vlx.passes.stand_in import stand_in

MOST = 0.75
"""The share of a map above which all of it is computed: cutting and pasting would cost more."""

_PLACE_BY_PLACE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Tanh, nn.Sigmoid, nn.PReLU,
    nn.BatchNorm2d, nn.Dropout, nn.Dropout2d, nn.Identity,
)  # fmt: skip
"""Layers that look at each place alone, in evaluation mode."""

Images = Float[Tensor, "_batch _channel _row _col"]
Patches = Float[Tensor, "_batch _row _col _channel"]
Map = Float[Tensor, "_row _col _channel"]


@contextmanager
def changes_only(network: nn.Module) -> Generator[None, None, None]:
    """Let a network compute its first maps again only where an image differs from the first of the block.

    For networks with an ``nn.Sequential`` that begins with convolutions, max-pools and layers that look at
    each place alone, as VGG and AlexNet have; others run as ever. Any images give what they would give
    without the block, to rounding. The network is as it was when the block ends.
    """
    chains = (module for module in network.modules() if isinstance(module, nn.Sequential))
    chain = next(filter(_begins_with_steps, chains), None)
    if chain is None:
        yield
        return
    kept: list[Kept] = []

    def forward(input: Images) -> Tensor:  # its argument is named as that of the chain
        if not kept:
            kept.append(_keep(list(_layers(chain)), input[:1].detach()))
        return kept[0].through(input)

    with stand_in(chain, forward):
        yield


@dataclass(frozen=True)
class Span:
    """So many rows, or columns, from a start of its own in each image."""

    starts: Int[np.ndarray, " batch"]
    length: int

    @property
    def places(self) -> Int[np.ndarray, "batch place"]:
        """The rows or columns themselves."""
        return self.starts[:, None] + np.arange(self.length)


Box = tuple[Span, Span]
"""Rows and columns."""


@dataclass(frozen=True)
class Axis:
    """How a layer's outputs read its inputs along one axis."""

    extent: int
    """Inputs from the first to the last that one output reads."""
    stride: int
    padding: int

    def reached(self, changed: Span, count: int) -> Span:
        """Those of ``count`` outputs that read a changed input; of the longest length for every image."""
        before = changed.starts + self.padding - (self.extent - 1)
        after = changed.starts + self.padding + changed.length - 1
        first = np.clip(-(-before // self.stride), 0, count - 1)
        last = np.clip(after // self.stride, first, count - 1)
        length = int((last - first).max()) + 1
        return Span(np.minimum(first, count - length), length)

    def read(self, outputs: Span) -> Span:
        """The inputs that some outputs read, counted from the edge of the padding."""
        return Span(outputs.starts * self.stride, (outputs.length - 1) * self.stride + self.extent)


@dataclass(frozen=True, eq=False)
class Step:
    """A convolution or max-pool with the layers behind it that look at each place alone."""

    layer: nn.Conv2d | nn.MaxPool2d
    behind: Sequence[nn.Module]
    axes: tuple[Axis, Axis]
    read: Map
    """What it read of the first image, with its padding."""
    given: Map
    """What it gave for the first image."""

    def reached(self, changed: Box) -> Box:
        """The outputs that read changed inputs."""
        rows, cols = (
            axis.reached(span, count)
            for axis, span, count in zip(self.axes, changed, self.given.shape[:2], strict=True)
        )
        return rows, cols

    def most_of(self, box: Box) -> bool:
        """Whether a box covers most of the outputs."""
        rows, cols = self.given.shape[:2]
        return box[0].length * box[1].length > MOST * rows * cols

    def again(self, changed: Patches, at: Box, wanted: Box) -> Patches:
        """The wanted outputs, where the inputs in a box are changed."""
        rows, cols = (axis.read(span) for axis, span in zip(self.axes, wanted, strict=True))
        top, left = (Span(s.starts + a.padding, s.length) for a, s in zip(self.axes, at, strict=True))
        inputs = _channels_first(_pasted(self.read, (rows, cols), changed, (top, left)))
        layer = self.layer
        if isinstance(layer, nn.Conv2d):
            outputs = functional.conv2d(
                inputs, layer.weight, layer.bias, layer.stride, 0, layer.dilation, layer.groups
            )
        else:
            outputs = functional.max_pool2d(inputs, layer.kernel_size, layer.stride, 0, layer.dilation)
        return _channels_last(_applied(self.behind, outputs))


@dataclass(frozen=True, eq=False)
class Kept:
    """What a chain did with its first image."""

    first: Float[Tensor, "1 _channel _row _col"]
    steps: Sequence[Step]
    rest: Sequence[nn.Module]

    def through(self, images: Images) -> Tensor:
        """What the whole chain gives."""
        taken, found = 0, images
        if len(images) and images.shape[1:] == self.first.shape[1:]:
            taken, found = self._changed(images)
            if images.is_contiguous():
                found = found.contiguous()  # what follows may view it
        for step in self.steps[taken:]:
            found = _applied((step.layer, *step.behind), found)
        return _applied(self.rest, found)

    def _changed(self, images: Images) -> tuple[int, Tensor]:
        """How many steps were taken where the images changed alone, and the whole maps behind them."""
        taken, box = 0, _difference(images, self.first)
        patches = _cut(_channels_last(images), box)
        for step in self.steps:
            wanted = step.reached(box)
            if step.most_of(wanted):
                break
            patches = step.again(patches, box, wanted)
            taken, box = taken + 1, wanted
        if taken == 0:
            return 0, images
        whole = self.steps[taken - 1].given
        rows, cols = (Span(np.zeros(len(images), int), count) for count in whole.shape[:2])
        return taken, _channels_first(_pasted(whole, (rows, cols), patches, box))


def _keep(layers: Sequence[nn.Module], first: Float[Tensor, "1 _channel _row _col"]) -> Kept:
    """Run the steps that a chain begins with on one image and keep what they read and gave."""
    steps: list[Step] = []
    found, rest = first, list(layers)
    while rest and not rest[0].training and (axes := _axes(rest[0])):
        layer = rest.pop(0)
        assert isinstance(layer, nn.Conv2d | nn.MaxPool2d)
        behind: list[nn.Module] = []
        while rest and not rest[0].training and _place_by_place(rest[0]):
            behind.append(rest.pop(0))
        given = _applied((layer, *behind), found)
        around = 0.0 if isinstance(layer, nn.Conv2d) else -torch.inf
        read = _with_padding(found, axes, given.shape[2:], around)
        steps.append(Step(layer, behind, axes, _kept(read), _kept(given)))
        found = given
    return Kept(first, steps, rest)


def _kept(found: Float[Tensor, "1 _channel _row _col"]) -> Map:
    """The map of one image, in memory place after place, so that places are quickly copied."""
    return _channels_last(found)[0].contiguous()


def _with_padding(found: Images, axes: tuple[Axis, Axis], counts: Sequence[int], value: float) -> Images:
    """Inputs with all that so many outputs read of what lies around them."""
    pads: list[int] = []
    for axis, length, count in zip(axes, found.shape[2:], counts, strict=True):
        end = (count - 1) * axis.stride + axis.extent
        pads = [axis.padding, max(end - axis.padding - length, 0), *pads]
    return functional.pad(found, pads, value=value)


def _difference(images: Images, first: Float[Tensor, "1 _channel _row _col"]) -> Box:
    """The rows and columns where the images differ from the first."""
    change = _channels_last(images - first).abs_()  # not a number is not 0 either
    rows, cols = change.flatten(2).amax(2), change.flatten(2).amax(1).unflatten(1, change.shape[2:]).amax(2)
    return _marked(rows.ne(0).cpu().numpy()), _marked(cols.ne(0).cpu().numpy())


def _marked(marks: Bool[np.ndarray, "batch place"]) -> Span:
    """From the first to the last mark, of the longest length for every image."""
    count = marks.shape[1]
    first = marks.argmax(1)
    last = np.where(marks.any(1), count - 1 - marks[:, ::-1].argmax(1), first)
    length = int((last - first).max()) + 1
    return Span(np.minimum(first, count - length), length)


def _cut(images: Patches, box: Box) -> Patches:
    """The part of each image in a box."""
    count, height, width = images.shape[:3]
    places = _flat(box[0].places, box[1].places, width) + _item(count, height * width)
    found = images.flatten(0, 2).index_select(0, torch.from_numpy(places.ravel()).to(images.device))
    return found.unflatten(0, places.shape)


def _pasted(whole: Map, part: Box, changed: Patches, at: Box) -> Patches:
    """Part of a map for each image, with the patch of what changed pasted in, as far as it lies inside."""
    places = _flat(part[0].places, part[1].places, whole.shape[1])
    found = whole.flatten(0, 1).index_select(0, torch.from_numpy(places.ravel()).to(whole.device))
    height, width = part[0].length, part[1].length
    down, right = (span.places - of.starts[:, None] for span, of in zip(at, part, strict=True))
    inside = ((down >= 0) & (down < height))[:, :, None] & ((right >= 0) & (right < width))[:, None, :]
    target = (_flat(down, right, width) + _item(len(down), height * width))[inside]
    source = changed.flatten(0, 2)
    if not inside.all():
        source = source[torch.from_numpy(inside.ravel()).to(whole.device)]
    found.index_copy_(0, torch.from_numpy(target).to(whole.device), source)
    return found.unflatten(0, places.shape)


def _flat(
    rows: Int[np.ndarray, "batch row"], cols: Int[np.ndarray, "batch col"], width: int
) -> Int[np.ndarray, "batch row col"]:
    """Places by their number in a map that is read row by row."""
    return rows[:, :, None] * width + cols[:, None, :]


def _item(count: int, size: int) -> Int[np.ndarray, "batch 1 1"]:
    """Where each of several maps of one size begins."""
    return np.arange(count)[:, None, None] * size


def _channels_last(images: Images) -> Patches:
    return images.permute(0, 2, 3, 1)


def _channels_first(patches: Patches) -> Images:
    return patches.permute(0, 3, 1, 2)


def _applied(layers: Iterable[nn.Module], found: Tensor) -> Tensor:
    for layer in layers:
        found = layer(found)
    return found


def _begins_with_steps(chain: nn.Sequential) -> bool:
    """Whether a chain begins with two convolutions or max-pools at least."""
    if type(chain) is not nn.Sequential or "forward" in vars(chain):
        return False
    begin = itertools.takewhile(lambda layer: _axes(layer) or _place_by_place(layer), _layers(chain))
    return sum(_axes(layer) is not None for layer in begin) > 1


def _layers(chain: nn.Sequential) -> Iterator[nn.Module]:
    """The layers of a chain in their order, those of chains within it one by one."""
    for layer in chain:
        if type(layer) is nn.Sequential and not _altered(layer):
            yield from _layers(layer)
        else:
            yield layer


def _altered(layer: nn.Module) -> bool:
    """Whether a layer does other things than its class says."""
    return bool(layer._forward_hooks or layer._forward_pre_hooks or "forward" in vars(layer))  # pyright: ignore[reportPrivateUsage]


def _place_by_place(layer: nn.Module) -> bool:
    if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is None:
        return False
    return type(layer) in _PLACE_BY_PLACE and not _altered(layer)


def _axes(layer: nn.Module) -> tuple[Axis, Axis] | None:
    """How a convolution or max-pool reads rows and columns; None of other layers."""
    if type(layer) not in (nn.Conv2d, nn.MaxPool2d) or _altered(layer):
        return None
    match layer:
        case nn.Conv2d(padding_mode="zeros", padding=(int(), int()) as padding):
            pass
        case nn.MaxPool2d(return_indices=False, padding=padding):
            pass
        case _:
            return None
    sizes = (layer.kernel_size, layer.stride, padding, layer.dilation)
    kernel, stride, padding, dilation = ((size, size) if isinstance(size, int) else size for size in sizes)
    rows, cols = (Axis((kernel[at] - 1) * dilation[at] + 1, stride[at], padding[at]) for at in (0, 1))
    return rows, cols
