"""The tensors inside the values that readers give, by dotted names, without looking anywhere twice."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from torch import Tensor

from vlx.adapters.files.pickle.reader import Standin
from vlx.adapters.files.torch7.reader import Lua, Table

Shapes = Mapping[str, tuple[int, ...]]
"""The shapes of tensors by name, in the order of the file."""

_MOST, _LONGEST, _DEEPEST = 20_000, 200, 500
_LEFT_OUT = {"gradInput", "gradWeight", "gradBias", "output", "clones"}
_SILENT = {"_modules", "_parameters", "_buffers", ""}


def shapes_in(value: object) -> dict[str, tuple[int, ...]]:
    """The shapes of all tensors and arrays in a value, the outermost first, each once.

    What modules of Lua keep from their last run is left out, and the names under which torch's modules
    keep their parts.
    """
    found: dict[str, tuple[int, ...]] = {}
    waiting = deque([("", value, 0)])
    seen = {id(value)}
    while waiting and len(found) < _MOST and len(seen) < 10 * _MOST:
        name, value, depth = waiting.popleft()
        if isinstance(value, Tensor | np.ndarray):
            found[name] = tuple(value.shape)
        elif depth < _DEEPEST:
            for key, part in _parts(value):
                if id(part) not in seen:
                    seen.add(id(part))
                    waiting.append((_joined(name, key), part, depth + 1))
    return found


def content(value: object) -> str:
    """What a value is, in a few words."""
    if isinstance(value, Lua | Standin):
        return value.class_name[:80]
    if isinstance(value, dict):
        keys = [f"{key}" for key in list(value)[:6] if isinstance(key, str | int)]
        more = ", …" if len(value) > len(keys) else ""
        return f"a table of {', '.join(keys)}{more}"[:200] if keys else f"a table of {len(value)}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return "a function" if value is None else type(value).__name__


def _joined(name: str, key: str | int) -> str:
    if key in _SILENT:
        return name
    return (f"{name}.{key}" if name else f"{key}")[:_LONGEST]


def _parts(value: object) -> Iterator[tuple[str | int, object]]:
    """What a container holds, by names and numbers; other values hold nothing."""
    left_out = _LEFT_OUT if isinstance(value, Table) else set[str]()
    if isinstance(value, Lua):
        held: Iterable[tuple[object, object]] = [("", value.fields)]
    elif isinstance(value, Standin):
        held = [("", value.state), ("", value.items), ("", value.values)]
    elif isinstance(value, list | tuple):
        held = enumerate(value)
    else:
        held = value.items() if isinstance(value, dict) else []
    for key, part in held:
        if isinstance(key, str | int) and key not in left_out and isinstance(part, _CONTAINERS):
            yield key, part


_CONTAINERS = (Tensor, np.ndarray, Lua, Standin, dict, list, tuple)
