"""The mean of the gradients over places, from one value of 0 that is added at every place.

Grad-CAM needs of the gradients only their mean over places (Eq. 1). Let a value o of 0 be added to the
features A at every place: what the model gives stays as it was, and the gradient at o is the sum of the
gradients at the places. Many layers can take o beside A: a linear layer W gives W(A + o) = WA + Wo, and a
pool P of means or of maxima P(A + o) = P(A) + o. The sum over places is then taken above the layer, and the
gradients of many words need not be carried down to every place. In cross-attention, whose keys and values
are linear in the features, this is most of the work. So it is where pooled maps are flattened and read by a
linear layer, as in VGG: of all its weights only their sums over places are needed.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlx.passes.modules import Modules

_LINEAR = ("torch.nn.modules.linear.Linear", "transformers.pytorch_utils.Conv1D")
"""Layers that are linear in the last axis, their bias aside; the second is GPT-2's. No class derived from
one: quantised layers round what they are given."""


@runtime_checkable
class Pool(Protocol):
    """A layer of maps to numbers that knows what a value added at every place does to them."""

    def of_everywhere(
        self, value: Float[Tensor, "batch channel"], rows: int, cols: int
    ) -> Float[Tensor, "batch pooled"]:
        """What is added to the output where the value is added at each place of so many rows and columns."""
        ...


@dataclass(frozen=True, eq=False)
class Everywhere:
    """One value of 0 for each item of a batch, added to its features at every place."""

    value: Float[Tensor, "batch channel"]
    """A leaf; its gradient is the sum of the gradients at all places."""
    added: Float[Tensor, "batch *feature"]
    """The features with the value added, for layers that cannot take it beside them."""
    alone: Callable[[nn.Module, Tensor], Tensor | None]
    """The features alone, as a layer is to be given them in the place of an input that has the value added;
    None where the layer cannot: it gives for both what it gives for the features alone, plus something that
    it makes of the value."""
    completed: "Callable[[nn.Module, Tensor], Tensor | Everywhere]"
    """Adds to such a layer's output for the features alone what it makes of the value: the sum, or both where
    later layers may take them beside one another too."""


AddEverywhere = Callable[[Tensor], Everywhere | None]
"""Adds a value to features at every place; gives None where they are not of the kind that it is for."""


def on_tokens(in_front: Callable[[int], int]) -> AddEverywhere:
    """Add a value to features (batch, token, channel), at all tokens but those in front.

    ``in_front`` says how many stand in front of the places of the image, of so many tokens.
    """

    def add(features: Tensor) -> Everywhere | None:
        if features.ndim != 3:
            return None
        skip = in_front(features.shape[1])
        value = features.new_zeros(len(features), features.shape[2]).requires_grad_()
        bare, added = features.clone(), _at_places(features, value, skip)

        def alone(layer: nn.Module, given: Tensor) -> Tensor | None:
            return bare if given is added and _is_linear(layer) else None

        def completed(layer: nn.Module, output: Tensor) -> Tensor:
            beside = layer.forward(value) - layer.forward(torch.zeros_like(value))  # no bias
            return _at_places(output, beside, skip)

        return Everywhere(value, added, alone, completed)

    return add


def on_maps(features: Tensor) -> Everywhere | None:
    """Add a value to features (batch, channel, row, col), of clips with a time before, at all places."""
    if features.ndim == 5:
        value = features.new_zeros(features.shape[:2]).requires_grad_()
        added = features + value[..., None, None, None]
        return Everywhere(value, added, lambda _layer, _given: None, lambda _layer, output: output)
    if features.ndim != 4:
        return None
    value = features.new_zeros(features.shape[:2]).requires_grad_()
    return _on_maps(value, features.clone())


def _on_maps(
    value: Float[Tensor, "batch channel"], bare: Float[Tensor, "batch channel row col"]
) -> Everywhere:
    """The value at all places of maps, which may be pooled ones."""
    added, (rows, cols) = bare + value[..., None, None], bare.shape[2:]

    def alone(layer: nn.Module, given: Tensor) -> Tensor | None:
        if given is added:
            return bare if _is_pool(layer) else None
        return bare.flatten(1) if _reads_flattened(layer, given, added) else None

    def completed(layer: nn.Module, output: Tensor) -> Tensor | Everywhere:
        if isinstance(layer, Pool):
            return output + layer.of_everywhere(value, rows, cols)
        if isinstance(layer, nn.Linear):
            return output + _of_flattened(layer, value)
        return _on_maps(value, output)

    return Everywhere(value, added, alone, completed)


@contextmanager
def taken_beside(
    modules: Modules, everywhere: Callable[[], Everywhere | None]
) -> Generator[None, None, None]:
    """Let every layer of a model that can take the value beside the features, in the block.

    ``modules`` are the model's; ``everywhere`` gives both once the model has computed the features.
    """
    readers = modules.those(
        taken_beside, lambda: [one for one in modules.listed if _is_linear(one) or _may_be_pool(type(one))]
    )
    widths = {layer.in_features for layer in readers if isinstance(layer, nn.Linear)}
    pooled: list[Everywhere] = []
    """The value with what pools made of the features."""
    taken: list[tuple[Tensor, Everywhere]] = []
    """What layers that now run were given, of which value."""

    def before(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        first = everywhere()
        if first is None or not inputs:
            return None
        # Of those that were not changed in place since.
        whole = (known for known in (first, *pooled) if not known.added._version)
        both = ((known.alone(layer, inputs[0]), known) for known in whole)
        alone, known = next((found for found in both if found[0] is not None), (None, first))
        if alone is None:
            return None
        taken.append((alone, known))
        return (alone, *inputs[1:])

    def after(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        at = next((at for at, (alone, _) in enumerate(taken) if inputs and alone is inputs[0]), None)
        if at is None:
            return output
        if output.ndim == 4 and output[0].numel() in widths:
            output = output.contiguous()  # so that what is flattened next is a view
        found = taken.pop(at)[1].completed(layer, output)
        if isinstance(found, Tensor):
            return found
        pooled.append(found)
        return found.added

    handles = [
        handle
        for layer in readers
        for handle in (layer.register_forward_pre_hook(before), layer.register_forward_hook(after))
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _reads_flattened(layer: nn.Module, given: Tensor, maps: Float[Tensor, "batch channel row col"]) -> bool:
    """Whether a linear layer is given maps of several places, all in one row, channel after channel."""
    if type(layer) is not nn.Linear or maps[0, 0].numel() < 2 or given._base is not maps:
        return False
    in_order = given.is_contiguous() and maps.is_contiguous()
    one_row = given.shape == (len(maps), maps[0].numel()) == (len(maps), layer.in_features)
    weight = layer.weight
    return in_order and one_row and weight.is_floating_point() and weight.device == maps.device


_sums: "WeakKeyDictionary[nn.Module, tuple[Any, Tensor, Tensor]]" = WeakKeyDictionary()
"""Of linear layers: what tells their weights, a sample of them, and the weights summed over places."""


def _of_flattened(layer: nn.Linear, value: Float[Tensor, "batch channel"]) -> Float[Tensor, "batch output"]:
    """What a layer that reads flattened maps makes of a value at every place of them.

    Its weights of one channel act on the value as their sum, which is far smaller than they are: it is kept
    for as long as the weights are what they were.
    """
    weight, channels = layer.weight.detach(), value.shape[1]
    told = weight.data_ptr(), layer.weight._version, weight.dtype, weight.device, weight.shape, channels
    at = torch.arange(max(weight.shape), device=weight.device)
    # Not every change is told by the version: one through ``.data`` is not. A weight of each row and column.
    sample = weight[at % weight.shape[0], at % weight.shape[1]]
    kept = _sums.get(layer)
    if kept is None or kept[0] != told or not torch.equal(kept[1], sample):
        wide = torch.promote_types(weight.dtype, torch.float32)
        summed = weight.unflatten(1, (channels, -1)).sum(-1, dtype=wide)
        kept = _sums[layer] = told, sample, summed
    return nn.functional.linear(value.to(kept[2].dtype), kept[2]).to(value.dtype)


def _is_linear(layer: nn.Module) -> bool:
    return f"{type(layer).__module__}.{type(layer).__name__}" in _LINEAR


def _is_pool(layer: nn.Module) -> bool:
    """Whether all that a layer reads for an output are places of the map, each as much as the other."""
    if type(layer) is nn.AvgPool2d:
        return layer.padding in (0, (0, 0)) and layer.divisor_override is None
    if type(layer) in (nn.MaxPool2d, nn.AdaptiveMaxPool2d):
        return not layer.return_indices
    return _may_be_pool(type(layer))


_POOLS = (nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d)


@cache
def _may_be_pool(kind: type) -> bool:
    """Whether layers of a class are pools: once a class, as Python takes long to tell a `Pool`."""
    return kind in _POOLS or issubclass(kind, Pool)


def _at_places(
    tokens: Float[Tensor, "batch token feature"], value: Float[Tensor, "batch feature"], skip: int
) -> Float[Tensor, "batch token feature"]:
    """Tokens with a value added to all but the first ``skip``."""
    places = value[:, None].expand(-1, tokens.shape[1] - skip, -1)
    in_front = tokens.new_zeros(len(tokens), skip, tokens.shape[2])
    return tokens + torch.cat([in_front, places], 1)
