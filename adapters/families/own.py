"""Models of a user's own: whatever a function of a module returns, which is run."""

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

from vlx.errors import VlxError, near_names
from vlx.passes.site import Layer


def load_own(where: str, *, layer: Layer | None = None, device: str = "cpu") -> Any:
    """What a function makes, given as ``module:function``, with ``layer`` and ``device`` where it takes them.

    The working directory is searched too. Raises VlxError where there is no such module or function.
    """
    name = f"python:{where}"
    module_name, _, function = where.partition(":")
    if not (module_name and function):
        raise VlxError(f"no model {name!r}: give a module and a function, as python:my_models:captioner")
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise VlxError(f"{name}: {error}") from None
    finally:
        sys.path.remove(str(Path.cwd()))
    make = getattr(module, function, None)
    if not callable(make):
        raise VlxError(f"{name}: no function {function!r}{near_names(function, vars(module))}")
    asked = {"layer": layer, "device": None if device == "cpu" else device}
    wanted = {key: value for key, value in asked.items() if value is not None}
    unknown = wanted.keys() - inspect.signature(make).parameters.keys()
    if unknown:
        raise VlxError(
            f"{name} takes no {' and no '.join(sorted(unknown))}: let {function}() take it by name"
        )
    return make(**wanted)
