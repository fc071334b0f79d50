"""A fingerprint of how a model reads, beside that of its weights.

A model is what its public attributes say for good: texts such as a prompt, tuples, frozen dataclasses such as
a preprocess or a vocabulary, tokenizers and image processors, and the structure of its networks. Whole
numbers, lists and what begins with an underscore may change while it works and are passed by. Of functions
the names are taken: what those of a package do is in its version, and their code depends on that of Python.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial
from typing import Any

import torch
from torch import nn

_DEPTH = 6
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def model_digests(model: Any) -> dict[str, str]:
    """A fingerprint of how a model reads images and texts, under ``model``; nothing where it does not say."""
    told = {
        name: _facts(value, 0)
        for name, value in sorted(getattr(model, "__dict__", {}).items())
        if not name.startswith("_") and name not in ("name", "layer", "training")
    }
    facts = {name: value for name, value in told.items() if value is not None}
    return {"model": _digest(facts)} if facts else {}


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=_named).encode()).hexdigest()


def _named(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _facts(value: Any, depth: int) -> Any:
    """A value as JSON can hold it; None where it says nothing that lasts."""
    inner = partial(_facts, depth=depth + 1)
    if depth > _DEPTH or value is None:
        return None
    if isinstance(value, bool | str | float | torch.dtype | Enum):
        return str(value)
    if isinstance(value, int):
        return value if depth else None
    if isinstance(value, nn.Module):
        return hashlib.sha256(_ADDRESS.sub("", repr(value)).encode()).hexdigest()
    if isinstance(value, tuple | frozenset):
        parts = list(map(inner, value))
        return sorted(parts, key=str) if isinstance(value, frozenset) else parts
    if is_dataclass(value) and not isinstance(value, type):
        frozen = type(value).__dataclass_params__.frozen  # pyright: ignore[reportAttributeAccessIssue]
        held = {one.name: inner(getattr(value, one.name)) for one in fields(value)} if frozen else {}
        return [_named(value), held]
    if isinstance(value, partial):
        given = [inner(one) for one in (*value.args, *value.keywords.values())]
        return [inner(value.func), sorted(value.keywords), given]
    if hasattr(value, "__qualname__"):
        return [value.__module__, value.__qualname__]
    return _of_parts(value)


def _of_parts(value: Any) -> Any:
    """What a tokenizer or an image processor says of itself."""
    if callable(getattr(value, "get_vocab", None)):
        told = [sorted(value.get_vocab().items()), str(getattr(value, "chat_template", None))]
        return [_named(value), _digest(told)]
    if callable(getattr(value, "to_dict", None)):
        told = value.to_dict()
        return [_named(value), _digest(_lasting(told))] if isinstance(told, Mapping) else None
    return None


def _lasting(told: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        str(name): value
        for name, value in told.items()
        if "version" not in str(name) and name != "_name_or_path"
    }
