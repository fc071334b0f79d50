"""Which tensor of a model is explained: a layer of it, by name, index or itself, and which of its tensors."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, SupportsIndex

from torch import Tensor, nn

from vlx.errors import LayerError, near_names
from vlx.passes.mean_gradient import AddEverywhere
from vlx.passes.modules import Modules, modules_of
from vlx.passes.unwrap import plain_name

Layer = nn.Module | str | SupportsIndex
"""A layer by itself, by its dotted name, or by its index among the innermost layers."""


def _same(tensor: Tensor) -> Tensor:
    return tensor


@dataclass(frozen=True, eq=False)
class Site:
    """Which tensor of a model is explained, where a layer's own output alone does not say it.

    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    >>> vlx.output_at(net, vlx.Site("1", side="input"), torch.ones(1, 3, 8, 8)).shape
    torch.Size([1, 4, 6, 6])
    """

    layer: Layer
    side: Literal["output", "input"] = "output"
    """Whether it leaves the layer, or enters it as the first argument."""
    field: str | None = None
    """Its name, in a layer that gives several tensors by name; by default the first of them."""
    call: int | None = None
    """The run it belongs to, counted from 0, of a layer that runs several times."""
    unpack: Callable[[Tensor], Tensor] = _same
    """Takes the tensor as the model holds it to (batch, *feature)."""
    pack: Callable[[Tensor], Tensor] = _same
    """Takes (batch, *feature) back to what the model goes on with."""
    everywhere: AddEverywhere | None = None
    """Adds a value of 0 to the features at every place, so that the mean of their gradients is had for less:
    `vlx.passes.mean_gradient.on_maps`, or `vlx.passes.mean_gradient.on_tokens` of so many in front."""


def find_layer(model: nn.Module, layer: Layer) -> tuple[str, nn.Module]:
    """Find a layer by its dotted name, by its index among the innermost layers, or by itself.

    What DataParallel or torch.compile around a part of the model puts into names may be left out. Raises
    LayerError listing near names.

    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    >>> vlx.find_layer(net, -1)
    ('1', ReLU())
    """
    return layer_among(modules_of(model), layer)


def layer_among(modules: Modules, layer: Layer) -> tuple[str, nn.Module]:
    """As `find_layer`, among the modules of a model."""
    model = modules.listed[0]
    if isinstance(layer, nn.Module):
        if name := modules.name_of(layer):
            return name, layer
        raise LayerError(f"the given {type(layer).__name__} is not a layer of this {type(model).__name__}")
    if isinstance(layer, str) and layer and (known := modules.of(layer)) is not None:
        return layer, known
    names = {name: module for name, module in modules.named.items() if name}
    if not isinstance(layer, str):
        layer = _index(layer)
        inner = [(name, module) for name, module in names.items() if not any(module.children())]
        if not -len(inner) <= layer < len(inner):
            raise LayerError(f"no layer {layer}: the model has {len(inner)} innermost layers, counted from 0")
        return inner[layer]
    plain = {plain_name(name): name for name in reversed(names)}  # the outermost of those called alike
    if found := plain.get(plain_name(layer)):
        return found, names[found]
    run = "; vlx.choose_layer finds it, which runs the network" if re.match(r"last(/\d+)?$", layer) else ""
    raise LayerError(f"no layer {layer!r} in this {type(model).__name__}{run or near_names(layer, names)}")


def _index(layer: Any) -> int:
    """The number of a layer, as Python, NumPy or torch give it."""
    try:
        return operator.index(layer)
    except TypeError:
        what = f"a {type(layer).__name__}: give a dotted name"
        raise LayerError(f"a layer cannot be {what}, an index, or the module itself") from None
