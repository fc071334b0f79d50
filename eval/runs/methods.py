"""The methods of a run: each under a name of its own, and what its fingerprint takes of each."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from inspect import getattr_static
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor

from vlx.errors import VlxError
from vlx.eval.tasks.task import Task
from vlx.methods.values import FUSIONS, METHODS, Method, as_methods


def chosen_methods(task: Task, given: Any) -> list[Method]:
    """One method or several, by themselves or by their names, each once; or what the task has in their place.

    Raises VlxError where two share a name, or one has the name of a control: rows are told by it.
    """
    if task.methods:
        return list(task.methods)
    found: list[Method] = []
    for method in as_methods(given):
        if method not in found:
            found.append(method)
    taken = {task.label(column, "") for column in (*task.shared, *task.facts)}
    for method in found:
        if not isinstance(method.name, str) or not method.name.strip() or method.name in taken:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise VlxError(f"a method called {method.name!r} cannot be told in a table: give it another name")
        if method.name in {other.name for other in found if other is not method}:
            raise VlxError(
                f"two methods are called {method.name}: give each a name of its own, as in "
                f"dataclasses.replace(method, name={method.name + ' 2'!r})"
            )
    return found


def told(method: Method) -> str:
    """A method in the settings of a run: its name, and of one that is not in METHODS its parameters."""
    if method in (*METHODS, *FUSIONS):
        return method.name
    if method.windows is not None:
        held = method.windows
        size, stride = (value or "of the input" for value in (held.size, held.stride))
        fill = "" if held.fill is None else f", fill {held.fill}"
        fill += "" if held.what == "hide" else f", {held.what}"
        return f"{method.name} (size {size}, stride {stride}{fill}, batch {held.batch})"
    if method.bands is not None:
        shown = method.bands
        fill = "" if shown.fill is None else f", fill {shown.fill}"
        return f"{method.name} (bands {shown.count}{fill}, batch {shown.batch})"
    total = hashlib.sha256()
    several = ("fuse",) if method.fuse is not None else ()  # others are told as before there were any
    for field in ("cam", "rule", "needs_mean_only", "perturbed", "path", *several):
        _Facts(total).add(getattr(method, field))
    if method.rule_above is not None:
        _Facts(total).add(method.rule_above)
    return f"{method.name} ({total.hexdigest()[:16]})"


def name_in(told: str) -> str:
    """The name of a method that the settings of a run tell so.

    >>> name_in("grad_cam"), name_in("mine (2) (0123456789abcdef)")
    ('grad_cam', 'mine (2)')
    """
    return told.rpartition(" (")[0] if told.endswith(")") else told


_PARTS: tuple[tuple[Any, Callable[[Any], list[Any]]], ...] = (
    (partial, lambda held: [held.func, held.args, held.keywords]),
    (MethodType, lambda held: [held.__func__, held.__self__]),
    (Mapping, lambda held: [one for key in sorted(held, key=repr) for one in (key, held[key])]),
    ((tuple, list), list),
    ((set, frozenset), lambda held: sorted(held, key=repr)),
)
"""What holds others, and which."""


class _Facts:
    """What decides what a function gives, as far as it can be read: code, defaults, what it closes over.

    Functions of other modules than the first stand for themselves, by their names.
    """

    def __init__(self, total: Any) -> None:
        self._total = total
        self._home: str | None = None
        self._seen: set[int] = set()

    def add(self, value: Any) -> None:
        """Take one value."""
        if value is None or isinstance(value, str | bytes | int | float | complex):
            self._text(f"{type(value).__name__} {value!r}")
        elif isinstance(value, np.ndarray | np.generic | Tensor):
            self._array(
                value.detach().cpu().double().numpy() if isinstance(value, Tensor) else np.asarray(value)
            )
        elif isinstance(value, CodeType):
            self._total.update(value.co_code)
            self._all("code", [value.co_names, *value.co_consts])
        elif id(value) in self._seen:
            self._text("again")
        else:
            self._seen.add(id(value))
            self._once(value)

    def _once(self, value: Any) -> None:
        parts = next((parts for kind, parts in _PARTS if isinstance(value, kind)), None)
        if isinstance(value, FunctionType):
            self._function(value)
        elif parts is not None:
            self._all(type(value).__name__, parts(value))
        elif isinstance(value, type | ModuleType) or not hasattr(value, "__dict__"):
            self._text(_called(value))
        else:
            self._object(value)

    def _object(self, value: Any) -> None:
        self._text(_called(type(value)))
        kept = [one.name for one in fields(value)] if is_dataclass(value) else sorted(vars(value))
        for name in kept:
            self._text(name)
            self.add(getattr(value, name))
        call = getattr_static(type(value), "__call__", None)
        if isinstance(call, FunctionType):
            self.add(call)

    def _function(self, function: FunctionType) -> None:
        self._text(_called(function))
        self._home = self._home or function.__module__
        if function.__module__ != self._home:
            return
        code = function.__code__
        self.add(code)
        self._all("defaults", [function.__defaults__, function.__kwdefaults__])
        for cell in function.__closure__ or ():
            try:
                self.add(cell.cell_contents)
            except ValueError:  # not filled
                self._text("empty")
        known = function.__globals__
        self._all("globals", [known[name] for name in code.co_names if name in known])

    def _array(self, values: np.ndarray) -> None:
        self._text(f"{values.dtype} {values.shape}")
        self._total.update(np.ascontiguousarray(values).tobytes())

    def _all(self, what: str, values: list[Any]) -> None:
        self._text(f"{what} {len(values)}")
        for value in values:
            self.add(value)

    def _text(self, text: str) -> None:
        self._total.update(text.encode("utf-8", "backslashreplace") + b"\0")


def _called(value: Any) -> str:
    home, name = getattr(value, "__module__", ""), getattr(value, "__qualname__", None)
    return f"{home}.{name or getattr(value, '__name__', type(value).__qualname__)}"
