"""Which layers a run uses, and in which order, told by the weights that its operations take."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode


class Uses(TorchFunctionMode):
    """While the block lasts, notes for each of some layers when its weights were last taken.

    An operation takes a weight where it makes another tensor of it. Of layers that share a weight it is the
    one that gives the operation most of its weights, else the last.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.last: dict[int, int] = {}
        """For the positions of layers that were used, a number that grows with time."""
        self._time = 0
        self._owners: dict[int, list[int]] = {}
        for at, layer in enumerate(layers):
            for place in {_place(weight) for weight in own_weights(layer)} - {0}:
                self._owners.setdefault(place, []).append(at)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        del types
        found = func(*args, **(kwargs or {}))
        places = {_place(tensor) for tensor in _tensors((args, kwargs))} & self._owners.keys()
        made = {_place(tensor) for tensor in _tensors(found)}
        if places and made - places:
            shares: dict[int, int] = {}
            for place in places:
                for at in self._owners[place]:
                    shares[at] = shares.get(at, 0) + 1
            self._time += 1
            self.last[max(shares, key=lambda at: (shares[at], at))] = self._time
        return found


def own_weights(layer: nn.Module) -> list[nn.Parameter]:
    """The weights that a layer holds itself, not in layers within it."""
    return list(layer.parameters(recurse=False))


def _place(tensor: torch.Tensor) -> int:
    """Where a tensor lies in memory; views of it lie there too."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):  # without memory, such as sparse ones
        return 0


def _tensors(given: Any) -> Iterator[torch.Tensor]:
    if isinstance(given, torch.Tensor):
        yield given
    elif isinstance(given, dict):
        for one in given.values():
            yield from _tensors(one)
    elif isinstance(given, list | tuple):
        for one in given:
            yield from _tensors(one)
