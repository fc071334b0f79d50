"""Layers by name, and by where they stand: ``last``, and ``last/2`` with twice its rows and columns.

Networks call their blocks by many names, but all of them shrink their maps step by step. So the last block of
a finer map is found by running the network once, up to its last layer, and looking at shapes.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import log2, prod
from typing import Any, cast

from torch import Tensor, nn

from vlx.errors import LayerError
from vlx.images.frame import Size
from vlx.passes.at_layer import output_at
from vlx.passes.clips import clip_places, clip_size
from vlx.passes.default_layer import POOLS, Hook, below, carries, default_layer, watched
from vlx.passes.places import places
from vlx.passes.prepare import prepared
from vlx.passes.site import Layer, Site, find_layer

LAST = "last"
_FINER = re.compile(r"last/(2|4|8|16|32)")
_NEAR = 0.35  # of a doubling: maps without padding lose a row or two at each step, as 35, 17 and 8 do

Given = tuple[tuple[Any, ...], Mapping[str, Any]]
"""What a network is called with, by position and by name."""


def choose_layer(network: nn.Module, layer: Layer | None, *inputs: Any, **named: Any) -> str:
    """The name of a layer that is given as `find_layer` takes it, or by where it stands.

    ``"last"``, as None, is the layer that is explained where none is named: of a CNN the last map before the
    last pooling. ``"last/2"`` is the last block on which all of that rests and whose map has twice its rows
    and columns; so are ``"last/4"``, 8, 16 and 32. A layer that is called so is meant first. The network is
    run on the inputs where it must be; the first of them with rows and columns is the image. Raises
    LayerError, for ``last/2`` also where the grid never changes, as in a ViT.

    >>> from torchvision.models import resnet18, vgg11
    >>> image = torch.zeros(1, 3, 64, 64)
    >>> vlx.choose_layer(resnet18(), "last/2", image), vlx.choose_layer(vgg11(), "last/2", image)
    ('layer3', 'features.14')
    """
    default = partial(default_layer, network, *inputs, **named)
    return chosen_layer(network, layer, default, lambda: (inputs, named))[0]


def chosen_layer(
    network: nn.Module, layer: Layer | None, default: Callable[[], Layer | Site], call: Callable[[], Given]
) -> tuple[str, nn.Module]:
    """A layer's name and itself, where an adapter knows its ``default`` and what to ``call`` with.

    Raises LayerError as `choose_layer` does.
    """
    if layer is not None and not is_relative(network, layer):
        return find_layer(network, layer)
    last = default()
    site = last if isinstance(last, Site) else Site(last)
    if layer is None or layer == LAST:
        return find_layer(network, site.layer)
    finer = _FINER.fullmatch(str(layer))
    if finer is None:
        raise LayerError(f"no layer {layer!r}: give last, last/2, 4, 8, 16 or 32, or a layer's name")
    return find_layer(network, _finer(network, site, int(finer[1]), call()))


def is_relative(network: nn.Module, layer: Layer | None) -> bool:
    """Whether a layer is given by where it stands, and no layer is called so."""
    stands = isinstance(layer, str) and (layer == LAST or layer.startswith(f"{LAST}/"))
    return stands and all(name != layer for name, _ in network.named_modules())


@dataclass(frozen=True, eq=False)
class _Ran:
    """A layer that ran: what entered it, what it gave, and the node of the graph behind that."""

    name: str
    layer: nn.Module
    entered: Tensor | None
    output: Tensor
    node: Any


@dataclass(eq=False)
class _Run:
    """One run up to the last layer."""

    picture: Tensor
    layers: list[_Ran] = field(default_factory=list[_Ran])

    def sides(self, output: Tensor | None) -> Size | None:
        """Rows and columns of what a layer gave; None where it has none, or is no whole image."""
        if output is None or output.ndim not in (3, 4, 5) or self.picture.ndim < 4:
            return None
        if output.ndim == 5:
            return self._sides_of_clip(output)
        if len(output) != prod(self.picture.shape[:-3]):
            return None
        try:
            shape = places(output, (self.picture.shape[-2], self.picture.shape[-1]))(output).shape
        except LayerError:
            return None
        return (shape[-2], shape[-1]) if min(shape[-2:]) > 1 else None

    def _sides_of_clip(self, output: Tensor) -> Size | None:
        """Rows and columns alone: a block with more of them may have the same places in time."""
        if self.picture.ndim != 5 or len(output) != len(self.picture):
            return None
        shape = clip_places(output, clip_size(self.picture))(output).shape
        return (shape[-2], shape[-1]) if min(shape[-2:]) > 1 else None


def _finer(network: nn.Module, last: Site, factor: int, given: Given) -> str:
    name = find_layer(network, last.layer)[0]
    with prepared(network):
        run, other = _picture_in(given)
        with watched(network, _kept(run)):
            found = output_at(network, last, *other[0], **other[1])
    own = run.sides(found)
    layers = [one for one in run.layers if not isinstance(one.layer, POOLS)]
    sized = [(one, sides) for one in layers if (sides := run.sides(one.output)) is not None]
    if own is None or not sized:
        raise LayerError(f"last/{factor}: the rows and columns at {name} are not known: name a layer")
    times = Counter(one.name for one in run.layers)
    fitting = [
        one
        for one, sides in reversed(sized)
        if abs(_steps(sides, own) - log2(factor)) <= _NEAR and times[one.name] == 1
    ]
    grids = {one.name: sides for one, sides in sized}
    blocks = [one for one in fitting if _is_block(one, run, grids)]
    for one in (*blocks, *fitting):  # of a network without blocks whatever carries all
        if _rests_on(found, one, run.picture):
            return one.name
    raise LayerError(_none(factor, name, own, list(dict.fromkeys(sides for _, sides in sized))))


def _none(factor: int, name: str, own: Size, all_sides: list[Size]) -> str:
    finer = [f"{rows} x {cols}" for rows, cols in all_sides if _steps((rows, cols), own) > _NEAR]
    if not finer:
        return f"last/{factor}: all blocks have {own[0]} x {own[1]} places: name a block"
    return (
        f"last/{factor}: no block below {name}, which has {own[0]} x {own[1]} places, has {factor} times its "
        f"rows and columns and carries all of it; there are {', '.join(finer)}: name a layer"
    )


def _steps(sides: Size, own: Size) -> float:
    """How often the sides of one grid are twice those of another."""
    return log2(prod(sides) / prod(own)) / 2


def _is_block(one: _Ran, run: _Run, grids: Mapping[str, Size]) -> bool:
    """Whether a layer is none that only leads to the next map, such as a norm or the inside of a block.

    Within a block that shrinks its map, only those that are blocks themselves are: a stage may hold blocks
    and shrink behind them.
    """
    leaf = next(one.layer.children(), None) is None
    if leaf and "norm" in type(one.layer).__name__.lower():
        return False
    around = [other for other in run.layers if one.name.startswith(f"{other.name}.") and other.name in grids]
    shrinking = [
        other.entered
        for other in around
        if _steps(grids[one.name], grids[other.name]) > _NEAR
        and other.entered is not None
        and run.sides(other.entered) == grids[one.name]
    ]
    return not shrinking or (not leaf and all(one.output.shape == entered.shape for entered in shrinking))


def _rests_on(found: Tensor, one: _Ran, picture: Tensor) -> bool:
    """Whether all that the last layer gives comes from a layer, as far as it was recorded."""
    return found.grad_fn is None or not carries(below([found.grad_fn], one.node), picture)


def _picture_in(given: Given) -> tuple[_Run, Given]:
    """A run on the picture among some inputs, and the inputs with it recorded."""
    inputs, named = given
    floats = [
        one for one in (*inputs, *named.values()) if isinstance(one, Tensor) and one.is_floating_point()
    ]
    if not floats:
        raise LayerError("no input is an image, (batch, channel, height, width): name a layer")
    fitting = (one for axes in (4, 5) for one in floats if one.ndim == axes)
    image = next(fitting, max(floats, key=Tensor.numel))
    run = _Run(image.detach().clone().requires_grad_())
    pixels = run.picture * 1  # a network may change its input in place, a leaf not
    return run, (
        tuple(pixels if one is image else one for one in inputs),
        {name: pixels if one is image else one for name, one in named.items()},
    )


def _kept(run: _Run) -> Callable[[str], Hook]:
    def keep(name: str) -> Hook:
        def hook(layer: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
            given = _tensor_in(output)
            if given is not None:
                entered = _tensor_in([*inputs, *named.values()])
                run.layers.append(_Ran(name, layer, entered, given, given.grad_fn))

        return hook

    return keep


def _tensor_in(given: Any) -> Tensor | None:
    """The tensor that `capture` would take of what a layer gave."""
    if isinstance(given, Mapping):
        given = [one for one in cast("Mapping[Any, Any]", given).values() if isinstance(one, Tensor)]
    one: Any = given[0] if isinstance(given, tuple | list) and given else given
    return one if isinstance(one, Tensor) and one.is_floating_point() else None
