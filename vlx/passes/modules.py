"""The modules of a model by their names, and what is known of a model as long as they are the same.

A run asks many things that only which modules there are decides: which of them hold a convolution, which lie
beside the way to a layer. They are found once, and anew where a module, its class, its name or its place has
changed, which one quick walk tells. What attributes decide (weights, modes, strides, hooks) is never kept.
"""

import operator
import weakref
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

from torch import nn


@dataclass(eq=False)
class _Structure:
    """What tells one structure of a model from another, and what was found of it."""

    names: list[str]
    keys: list[Any] = field(default_factory=list[Any])
    kinds: list[type] = field(default_factory=list[type])
    parts: list[Callable[[], Any]] = field(default_factory=list[Callable[[], Any]])
    """Weak references, or a model would never go."""
    found: dict[Hashable, Any] = field(default_factory=dict[Hashable, Any])


_kept: "weakref.WeakKeyDictionary[nn.Module, _Structure]" = weakref.WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Modules:
    """The modules of a model in the order of ``named_modules``, each once.

    >>> from torch import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    >>> modules_of(net).named["1"]
    ReLU()
    """

    listed: list[nn.Module]
    _structure: _Structure

    @property
    def named(self) -> dict[str, nn.Module]:
        """The modules by their names."""
        return dict(zip(self._structure.names, self.listed, strict=True))

    def of(self, name: str) -> nn.Module | None:
        """The module of a name."""
        numbers = self._numbers()
        return self.listed[numbers[name]] if name in numbers else None

    @property
    def names_told(self) -> int:
        """A number that tells the names of all modules from others."""
        found = self._structure.found
        if _told not in found:
            found[_told] = hash(tuple(self._structure.names))
        return found[_told]

    def name_of(self, module: nn.Module) -> str | None:
        """The name of a module; None where it is none of these."""
        for name, one in zip(self._structure.names, self.listed, strict=True):
            if one is module:
                return name
        return None

    def those(self, key: Hashable, choose: Callable[[], Iterable[nn.Module]]) -> list[nn.Module]:
        """Some of the modules, which ``choose`` picks once for as long as the structure is the same.

        ``key`` names the choice. It may look at classes, names and places alone, and pick no others.
        """
        found = self._structure.found
        if key not in found:
            numbers = {id(module): number for number, module in enumerate(self.listed)}
            found[key] = [numbers[id(module)] for module in choose()]
        return [self.listed[number] for number in found[key]]

    def of_kind(self, *kinds: type) -> list[nn.Module]:
        """Those of some classes, and of classes derived from them."""
        return self.those(kinds, lambda: [one for one in self.listed if isinstance(one, kinds)])

    def _numbers(self) -> dict[str, int]:
        found = self._structure.found
        if _numbered not in found:
            found[_numbered] = {name: number for number, name in enumerate(self._structure.names)}
        return found[_numbered]


_numbered, _told = object(), object()


def modules_of(model: nn.Module) -> Modules:
    """The modules of a model.

    >>> from torch import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    >>> modules_of(net).of_kind(nn.ReLU)
    [ReLU()]
    """
    walked = _walked(model)
    known = None if walked is None else _kept.get(model)
    if walked is not None and known is not None and _same(known, walked):
        return Modules(walked.modules, known)
    named = list(model.named_modules())
    modules = [module for _, module in named]
    structure = _Structure([name for name, _ in named])
    if walked is not None and list(map(id, modules)) == list(map(id, walked.modules)):
        structure.keys, structure.kinds = walked.keys, list(map(type, walked.parts))
        structure.parts = [_none if part is None else weakref.ref(part) for part in walked.parts]
        _kept[model] = structure
    return Modules(modules, structure)


@dataclass(eq=False)
class _Walked:
    """A model as it is now: its modules, and all that stand in one of them, with their keys there."""

    modules: list[nn.Module]
    keys: list[Any]
    parts: list[nn.Module | None]


def _walked(model: nn.Module) -> _Walked | None:
    """Walk a model, as ``named_modules`` does; None where parts of it are kept in another way."""
    modules: list[nn.Module] = []
    keys: list[Any] = []
    parts: list[nn.Module | None] = [model]
    waiting, seen = [model], set[int]()
    while waiting:
        module = waiting.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        modules.append(module)
        inside: Any = module._modules  # pyright: ignore[reportPrivateUsage] - by its public name it takes longer
        if not inside:
            continue
        if not isinstance(inside, dict):  # TorchScript's
            return None
        keys += inside
        keys.append(len(inside))
        within = list(inside.values())
        parts += within
        waiting += [part for part in reversed(within) if part is not None]
    return _Walked(modules, keys, parts)


def _same(known: _Structure, walked: _Walked) -> bool:
    if known.keys != walked.keys or len(known.parts) != len(walked.parts):
        return False
    if not all(map(operator.is_, map(operator.call, known.parts), walked.parts)):
        return False
    return all(map(operator.is_, known.kinds, map(type, walked.parts)))


def _none() -> None:
    return None
