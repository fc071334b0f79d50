"""How often Python waits for values of tensors: on a GPU each of these stops until all before it is done."""

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

_CALLS = {"tolist", "cpu", "numpy", "nonzero", "__array__"}
_OPERATIONS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal"}


class Waits:
    """Counts them in a ``with`` block, by name."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._modes = _Calls(self.found), _Operations(self.found)

    def __enter__(self) -> "Waits":
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*error)


class _Calls(TorchFunctionMode):
    """Of tensors on the CPU these are no operations, so that only the calls tell."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in _CALLS and isinstance(args[0], Tensor):
            self.found.append(func.__name__)
        return func(*args, **(kwargs or {}))


class _Operations(TorchDispatchMode):
    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, given = func._schema.name, args[1] if len(args) > 1 else None
        by_mask = name.startswith("aten::index") and isinstance(given, list) and any(map(_is_mask, given))
        if name in _OPERATIONS or by_mask:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def _is_mask(given: Any) -> bool:
    return isinstance(given, Tensor) and given.dtype == torch.bool
