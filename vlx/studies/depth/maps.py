"""The maps of some targets at every layer of a model, from its pixels up to the layer it is explained at."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vlx.errors import Doubt, VlxError
from vlx.explain import explain
from vlx.explanation import Explanation
from vlx.methods.values import Method
from vlx.passes.forward import Pass
from vlx.passes.stages import stages
from vlx.passes.targets import Target

Read = Callable[[Any], Pass]
"""Reads one image and text by a model, at whatever layer that is."""


@dataclass(frozen=True, eq=False)
class AtLayer:
    """The maps of one layer."""

    layer: str
    grid: tuple[int, int]
    passed: Pass
    found: tuple[Explanation, ...]
    """One for each method, each with a map for each target."""


def layers_of(model: Any, read: Read, names: Sequence[str | int] = ()) -> list[str | int]:
    """The layers of a model, from its pixels on, or those that are named.

    Raises VlxError for a model that is explained at one layer alone.
    """
    if not callable(getattr(model, "at", None)):
        raise VlxError(f"{type(model).__name__} is explained at one layer alone: it has no at(layer)")
    return list(names) or list(stages(read(model)))


def maps_at(
    model: Any, read: Read, layers: Sequence[str | int], targets: Sequence[Target], methods: Sequence[Method]
) -> tuple[list[AtLayer], dict[str, str]]:
    """The maps at each layer, and the layers at which there are none, with the reasons.

    Raises VlxError where there are none at all.
    """
    found, refused = list[AtLayer](), dict[str, str]()
    for layer in layers:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Doubt)  # lower layers are what is asked for
                passed = read(model.at(layer))
                (made,) = explain(passed, targets, methods)
        except VlxError as error:
            refused[str(layer)] = str(error)
            continue
        rows, cols = passed.grid(passed.features.detach()).shape[-2:]
        found.append(AtLayer(passed.layer, (int(rows), int(cols)), passed, tuple(made)))
    if not found:
        raise VlxError(next(iter(refused.values()), "no layer is named"))
    return found, refused
