"""Models of a user's own: whatever a function of a module returns, which is run."""

import importlib
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from vlx.errors import VlxError, near_names
from vlx.passes.site import Layer

_ONE = (
    inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
)  # fmt: skip


def load_own(where: str, *, layer: Layer | None = None, device: str = "cpu") -> Any:
    """What a function makes, given as ``module:function``, with ``layer`` and ``device`` where it takes them.

    The working directory is searched too. Raises VlxError where there is no such module or function.
    """
    name = f"python:{where}"
    if ":" not in where.strip(":"):
        raise VlxError(f"no model {name!r}: give a module and a function, as python:my_models:captioner")
    make, module = _looked_up(name)
    function = where.partition(":")[2]
    if callable(getattr(make, "read", None)) and not isinstance(make, type):
        raise VlxError(f"{name} is a model itself: give a function that returns it")
    _need_function(name, make, module)
    asked = {"layer": layer, "device": None if device == "cpu" else device}
    wanted = {key: value for key, value in asked.items() if value is not None}
    parameters = inspect.signature(make).parameters
    unknown = wanted.keys() - parameters.keys()
    if unknown and not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        raise VlxError(
            f"{name} takes no {' and no '.join(sorted(unknown))}: let {function}() take it by name"
        )
    needed = [one.name for one in parameters.values() if one.default is one.empty and one.kind in _ONE]
    if needed := [one for one in needed if one not in wanted]:
        raise VlxError(
            f"{name} needs {' and '.join(needed)}: give a function that is called without arguments"
        )
    model = make(**wanted)
    if not any(callable(getattr(model, door, None)) for door in ("read", "compare", "generate")):
        raise VlxError(
            f"{name} gave a {type(model).__name__}, which has no method read: see adapters/README.md"
        )
    return model


def own_function(name: str) -> Callable[..., Any]:
    """The function that ``python:module:function`` names; the working directory is searched too.

    Raises VlxError where there is no such module or function, and for a name of another kind.
    """
    if not re.fullmatch(r"python:[^:]+:[^:]+", name):
        raise VlxError(f"{name!r} names no function: give python:module:function")
    made, module = _looked_up(name)
    _need_function(name, made, module)
    return made


def _looked_up(name: str) -> tuple[Any, ModuleType]:
    """What a module has under that name, or None, and the module."""
    _, module_name, function = name.split(":", 2)
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except (ImportError, SyntaxError) as error:
        raise VlxError(f"{name}: {error}") from None
    finally:
        sys.path.remove(str(Path.cwd()))
    return getattr(module, function, None), module


def _need_function(name: str, made: Any, module: ModuleType) -> None:
    if not callable(made):
        function = name.split(":", 2)[2]
        raise VlxError(f"{name}: no function {function!r}{near_names(function, vars(module))}")
