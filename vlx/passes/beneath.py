"""What ran below a layer, so that the part above it can run again without it.

A model is run again on other features by calling it as it was called and putting them in the place of the
layer's own. All that only led to the layer need not run: modules that lie beside the way to it are stood in
for. Few of their outputs are used behind the layer (a skip connection around it); those are still held by
somebody when the layer is reached, and are kept. Of the others only the shape is kept, and NaN stands for
their values: where one is used after all, the scores show it.
"""

import weakref
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from vlx.passes.modules import Modules
from vlx.passes.stand_in import stand_in


@dataclass(eq=False)
class _Rows:
    """A tensor that a module gave, with one row or several for each item of a batch."""

    shape: torch.Size
    dtype: torch.dtype
    device: torch.device
    value: "weakref.ref[Tensor] | Tensor | None"

    def of(self, position: int, count: int, batch: int) -> Tensor:
        """Those of one item, or NaN, for so many items."""
        each = max(1, self.shape[0] // batch)  # a batch of one image may have been seen once
        if not isinstance(self.value, Tensor):
            missing = torch.full((), float("nan"), dtype=self.dtype, device=self.device)
            return missing.expand(count * each, *self.shape[1:])
        first = position * each if self.shape[0] >= batch else 0
        return self.value[first : first + each].repeat(count, *[1] * (self.value.ndim - 1))


@dataclass(eq=False)
class _Output:
    """What one run of a module gave: rows, and what is not a tensor."""

    parts: list[Any]
    structure: TreeSpec

    def of(self, position: int, count: int, batch: int) -> Any:
        """That of copies of one item."""
        parts = [part.of(position, count, batch) if isinstance(part, _Rows) else part for part in self.parts]
        return tree_unflatten(parts, self.structure)

    def hold(self) -> None:
        """Keep what somebody else holds still."""
        for part in self.parts:
            if isinstance(part, _Rows):
                held = part.value() if isinstance(part.value, weakref.ref) else None
                part.value = None if held is None else held.detach()


_ONE = tree_flatten(None)[1]  # to flatten a tensor alone takes longer than all else here


def _output(given: Any, *, empty: bool = False) -> _Output | None:
    """What a module gave, weakly held, or without any values; None where it is no rows of floats."""
    parts, structure = ([given], _ONE) if isinstance(given, Tensor) else tree_flatten(given)
    tensors = [part for part in parts if isinstance(part, Tensor)]
    if not tensors or not all(_is_batch(part) for part in tensors):
        return None
    return _Output(
        [
            _Rows(part.shape, part.dtype, part.device, None if empty else weakref.ref(part))
            if isinstance(part, Tensor)
            else part
            for part in parts
        ],
        structure,
    )


@dataclass(eq=False)
class Beneath:
    """The modules beside the way from a model to one of its layers that ran before it, and only there."""

    model: nn.Module
    layer: nn.Module
    through: bool
    """Whether the layer itself takes part: it is its output that is replaced."""
    ran: dict[nn.Module, list[_Output]] = field(default_factory=dict[nn.Module, list[_Output]])
    own: _Output | None = None
    """What the layer gave, without values."""
    reached: bool = False

    @contextmanager
    def watched(self, modules: Modules) -> Generator[None, None, None]:
        """Keep what runs in the block, until the layer is reached; given the modules of the model."""
        odd: set[nn.Module] = set()

        def after(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
            given = next((part for part in (*inputs, *named.values()) if isinstance(part, Tensor)), None)
            found = _output(output) if _is_batch(given) and not self.reached else None
            if found is None or module in odd:  # reads words, gives something else, or runs above too
                odd.add(module)
                self.ran.pop(module, None)
            else:
                self.ran.setdefault(module, []).append(found)

        beside = modules.those(
            (_beside, modules.name_of(self.layer)), lambda: _beside(self.model, self.layer)
        )
        handles = [module.register_forward_hook(after, with_kwargs=True) for module in beside]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def at_layer(self, given: Any) -> None:
        """The layer is reached, and gives this."""
        self.reached = True
        for outputs in self.ran.values():
            for output in outputs:
                output.hold()
        self.own = _output(given, empty=True) if self.through else None

    @contextmanager
    def skipped(self, position: int, count: int, batch: int) -> Generator[None, None, None]:
        """Run the model on copies of an item, in the block, without what lies below the layer."""
        with ExitStack() as stack:
            for module, outputs in self.ran.items():
                played = _played(module.forward, [output.of(position, count, batch) for output in outputs])
                stack.enter_context(stand_in(module, played))
            if self.own is not None:
                own = self.own.of(position, count, batch)
                stack.enter_context(stand_in(self.layer, lambda *_, **__: own))
            yield


def _beside(model: nn.Module, layer: nn.Module) -> list[nn.Module]:
    """The largest modules that do not hold the layer; none that stand at several places."""
    found: dict[nn.Module, int] = {}
    names = [name for name, one in model.named_modules(remove_duplicate=False) if one is layer]
    above = {name.rsplit(".", depth)[0] for name in names for depth in range(1, name.count(".") + 1)}
    way = {model, layer, *map(model.get_submodule, above)}
    for module in way:
        for child in module.children() if module is not layer else ():
            if child not in way:
                found[child] = found.get(child, 0) + 1
    scripted = torch.jit.ScriptModule  # takes no hooks
    return [module for module, times in found.items() if times == 1 and not isinstance(module, scripted)]


def _is_batch(given: Any) -> bool:
    return isinstance(given, Tensor) and given.ndim > 1 and given.is_floating_point()


def _played(run: Callable[..., Any], outputs: list[Any]) -> Callable[..., Any]:
    left = iter(outputs)

    def forward(*inputs: Any, **named: Any) -> Any:
        for output in left:
            return output
        return run(*inputs, **named)

    return forward
