"""Maps of an action: where in the stack of pictures the evidence for it lies.

The pictures of an observation are channels of one input, so there is one map for all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlx.methods.values import Method, as_method, grad_cam
from vlx.network.explain_model import maps_of, passed_of
from vlx.network.inputs import call_of
from vlx.passes.outputs import class_logits
from vlx.passes.site import Layer, Site
from vlx.passes.targets import label
from vlx.studies.policy.agents import as_input


@dataclass(frozen=True, eq=False)
class ActionMaps:
    """What a network decided on a batch of observations, and the maps of some of its actions."""

    maps: Float[np.ndarray, "batch height width"]
    """On the pixels of the observation."""
    logits: Float[np.ndarray, "batch action"]
    actions: tuple[int, ...]
    """Those explained."""
    against: tuple[int | None, ...]
    """What they were explained against."""
    layer: str
    features: Float[np.ndarray, "batch height width"]
    """The mean of the layer's channels, placed alike: what any map of it has for nothing."""


def explain_actions(
    network: nn.Module,
    observations: Any,
    actions: Sequence[int] | int | None = None,
    *,
    against: Sequence[int | None] | int | None = None,
    layer: Layer | Site | None = None,
    method: Method | str = grad_cam,
) -> ActionMaps:
    """Explain why a network that plays takes an action: the map of its logit, or of a difference of two.

    ``network`` is any module whose first output are logits (batch, action). ``observations`` are (batch,
    channel, height, width). ``actions`` are those it takes itself, unless they are given, one for each or one
    for all; with ``against`` the logit of another action is taken from theirs. Raises VlxError as
    `vlx.explain_model` does.

    >>> from vlx.studies.policy import Orchard, explain_actions, shipped_agent
    >>> observation, _ = Orchard().reset(seed=3)
    >>> explain_actions(shipped_agent(), observation[None]).maps.shape
    (1, 84, 84)
    """
    seen = as_input(observations, network)
    with torch.no_grad():
        logits = class_logits(network(seen), len(seen))
    chosen = _each(actions, len(seen)) if actions is not None else logits.argmax(1).tolist()
    others = _each(against, len(seen))
    targets = [
        label(one) if other is None else label(one) - label(other)
        for one, other in zip(chosen, others, strict=True)
    ]
    maps, layer_name, features = placed_maps(network, seen, targets, layer, method)
    return ActionMaps(maps, logits.float().cpu().numpy(), tuple(chosen), tuple(others), layer_name, features)


def placed_maps(
    network: nn.Module, seen: Tensor, targets: Any, layer: Layer | Site | None, method: Method | str
) -> tuple[Float[np.ndarray, "batch height width"], str, Float[np.ndarray, "batch height width"]]:
    """Maps of targets on the pixels of a batch, the layer's name, and the mean of its channels, too."""
    how = as_method(method)
    passed, _ = passed_of(network, layer, call_of(network, seen), targets, None, create_graph=False)
    raw, _ = maps_of(passed, None, how, evidence=False)
    flat = raw.detach().abs().mean(1) if raw.ndim == 4 else raw.detach()
    frame = passed.frames[0]
    features = passed.grid(passed.features.detach()).float().mean(1)
    maps = flat if flat.shape[1:] == seen.shape[2:] else frame.on_image(flat.float().cpu())
    placed = frame.on_image(features.cpu())
    return maps.float().cpu().numpy(), passed.layer, placed.numpy()


def _each(given: Any, count: int) -> list[Any]:
    return list(given) if isinstance(given, Sequence | np.ndarray) else [given] * count
