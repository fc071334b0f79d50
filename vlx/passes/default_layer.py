"""The layer that is explained where none is named, found by running the network once.

For a CNN it is the last map before the last pooling. A transformer that keeps to tokens has none; there it is
the last norm, or layer on which all that follows rests, whose patches still have a gradient: the first norm
of the last block where only a class token is read behind it, the norm behind all blocks where patches are
averaged.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vlx.errors import LayerError, VlxError
from vlx.images.frame import Size
from vlx.passes.clips import clip_places, clip_size
from vlx.passes.forward import Grid
from vlx.passes.outputs import scores_in
from vlx.passes.places import places
from vlx.passes.prepare import prepared

POOLS = (
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.MaxPool3d,
    nn.AvgPool3d,
    nn.AdaptiveAvgPool3d,
    nn.AdaptiveMaxPool3d,
    nn.Dropout,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.Identity,
)
"""Layers whose output is no map of their own."""


@dataclass(frozen=True, eq=False)
class _Ran:
    """One layer that ran: what it gave, and the node of the graph that made it."""

    name: str
    layer: nn.Module
    output: Tensor
    node: Any


@dataclass(eq=False)
class _Run:
    """One run of a network, layer by layer in the order in which they were done."""

    pixels: Tensor
    layers: list[_Ran] = field(default_factory=list[_Ran])
    vectors: list[Tensor] = field(default_factory=list[Tensor])
    """What entered linear layers as one vector an item."""
    output: Any = None

    @property
    def size(self) -> Size:
        return self.pixels.shape[-2], self.pixels.shape[-1]

    def grid(self, features: Tensor) -> Grid:
        """Where places lie in features. Raises LayerError where they do not."""
        if self.pixels.ndim == 5:
            return clip_places(features, clip_size(self.pixels))
        return places(features, self.size)


def default_layer(network: nn.Module, *inputs: Any, **named: Any) -> str:
    """Name the last map before the last pooling, or the last tokens of which patches have a gradient.

    The first of the inputs that has rows and columns is the image, or else the clip, (batch, channel, time,
    height, width), whose maps have a place in time too. Raises LayerError if there is neither.

    >>> from torchvision.models import resnet18
    >>> default_layer(resnet18(), torch.zeros(1, 3, 64, 64))
    'layer4'
    """
    run = _run(network, inputs, named)
    found = _last_map(run) or _last_tokens(run)
    if found is None:
        raise _none(network)
    return found


def last_map(network: nn.Module, *inputs: Any, **named: Any) -> str:
    """Name the last map before the last pooling, on which all that the network gives depends.

    A gate or a side branch behind it is passed over, and maps of the scores themselves, as networks that
    draw segments end in. Raises LayerError if there is none, as in networks
    that cut the image into tokens and keep to them.
    """
    run = _run(network, inputs, named)
    found = _last_map(run)
    if found is None:
        raise _none(network)
    return found


def _none(network: nn.Module) -> LayerError:
    return LayerError(f"{type(network).__name__} has no layer with rows and columns: name one with layer=")


def _run(network: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> _Run:
    given: list[Any] = [*inputs, *named.values()]
    tensors = [one for one in given if isinstance(one, Tensor)]
    image = next((one for axes in (4, 5) for one in tensors if one.ndim == axes), None)
    if image is None:
        raise LayerError("no input has rows and columns, (batch, channel, height, width): name a layer")
    with prepared(network):
        run = _Run(image.detach().clone().requires_grad_())
        pixels = run.pixels * 1  # a network may change its input in place, a leaf not
        with watched(network, _kept(run)):
            run.output = network(
                *(pixels if one is image else one for one in inputs),
                **{name: pixels if one is image else one for name, one in named.items()},
            )
    return run


Hook = Callable[[nn.Module, tuple[Any, ...], dict[str, Any], Any], None]
"""Is told of a layer what it was given, by place and by name, and what it gave."""


def _kept(run: _Run) -> Callable[[str], Hook]:
    def keep(name: str) -> Hook:
        def hook(layer: nn.Module, inputs: tuple[Any, ...], _named: Any, output: Any) -> None:
            if type(layer) is nn.Linear and inputs and inputs[0].ndim == 2:
                run.vectors.append(inputs[0])
            if isinstance(output, Tensor) and output.ndim in (3, 4, run.pixels.ndim):
                run.layers.append(_Ran(name, layer, output, output.grad_fn))

        return hook

    return keep


@contextmanager
def watched(network: nn.Module, keep: Callable[[str], Hook]) -> Generator[None, None, None]:
    """Let a hook, which ``keep`` makes of a layer's name, be told of every layer that runs in the block."""
    handles = [
        layer.register_forward_hook(keep(name), with_kwargs=True)
        for name, layer in network.named_modules()
        if name and not isinstance(layer, torch.jit.ScriptModule)  # takes no hooks
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _last_map(run: _Run) -> str | None:
    found: list[_Ran] = []
    pooled: set[int] = set()
    for ran in run.layers:
        if ran.output.ndim == 3:
            found.clear()  # tokens: what came before only cut the image into patches
        elif isinstance(ran.layer, POOLS) or id(ran.output) in pooled or _is_point(ran.output):
            pooled.add(id(ran.output))
        else:
            found.append(ran)
    scores = _given(run.output)
    roots = [tensor.grad_fn for tensor in scores]
    reached = below(roots)
    drawn = {tensor.shape[1] for tensor in scores if tensor.ndim == 4 and tensor.shape[2:].numel() > 1}
    on_path = [ran for ran in found if ran.node in reached and ran.output.shape[1] not in drawn]
    if not on_path:  # such as below a part that runs without gradients
        return found[-1].name if found else None
    last = on_path[-1]
    for ran in reversed(on_path):
        if ran.output.shape[-1] > 2 * last.output.shape[-1]:
            break  # heads at several sizes: only an early layer would carry them all
        if not carries(below(roots, ran.node), run.pixels):
            return ran.name
    return last.name


def _is_point(output: Tensor) -> bool:
    """Whether maps have a single row or column; in time a clip may well be a single place."""
    return min(output.shape[2 if output.ndim == 4 else 3 :]) < 2


def carries(nodes: set[Any], pixels: Tensor) -> bool:
    """Whether a part of a graph reaches down to the pixels."""
    return any(getattr(node, "variable", None) is pixels for node in nodes)


def below(roots: list[Any], without: Any = None) -> set[Any]:
    """The nodes of a graph that some of its nodes rest on, not through one that is left out."""
    waiting = [node for node in roots if node is not without]
    seen = set(waiting)
    while waiting:
        for parent, _ in waiting.pop().next_functions:
            if parent is not None and parent is not without and parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return seen


def _given(output: Any) -> list[Tensor]:
    """The scores of a network, as far as they were recorded; of one that gives none, all that it gives."""
    tensors = _tensors(output)
    with suppress(VlxError):
        tensors = [scores_in(output)]
    return [tensor for tensor in tensors if tensor.grad_fn is not None]


def _tensors(given: Any) -> list[Tensor]:
    if isinstance(given, Tensor):
        return [given]
    parts: Any = given.values() if hasattr(given, "values") else given
    return [one for part in parts for one in _tensors(part)] if isinstance(parts, list | tuple) else []


def _last_tokens(run: _Run) -> str | None:
    """The last norm, or layer on which all rests, of whose tokens more than those in front count."""
    roots = [tensor.grad_fn for tensor in _given(run.output)]
    for ran in reversed(run.layers):
        if ran.output.ndim != 3 or len(ran.output) != len(run.pixels) or isinstance(ran.layer, POOLS):
            continue
        norm = "norm" in type(ran.layer).__name__.lower()
        if (norm or not carries(below(roots, ran.node), run.pixels)) and _patches_count(run, ran.output):
            return ran.name
    return None


def _patches_count(run: _Run, output: Tensor) -> bool:
    """Whether what the network reads depends on more than one patch of some tokens.

    The vector that its head reads stands beside the scores: heads are often 0 before they are trained.
    """
    roots = [root for root in (*_given(run.output), *run.vectors[-1:]) if root.grad_fn is not None]
    try:
        grid = run.grid(output)
    except LayerError:
        return False
    weighted = [root.float() * torch.linspace(1, 2, root.numel()).to(root).view_as(root) for root in roots]
    if not weighted:
        return False
    total = sum((root.sum() for root in weighted), weighted[0].new_zeros(()))
    (slope,) = torch.autograd.grad(total, output, retain_graph=True, allow_unused=True)
    if slope is None:  # pyright: ignore[reportUnnecessaryComparison] - allow_unused gives None
        return False
    return int(grid(slope).ne(0).any(1).flatten(1).sum(1).amin()) > 1
