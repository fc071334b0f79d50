"""What is measured at one moment of an episode: do maps point at what the decision rests on?

The truth is what the network itself does: a thing is taken out of all pictures of the observation, and it
counts how far the lead of the action's logit over the next best falls. Maps show what speaks for an action,
so a thing without which the lead rises is none that they should point at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import nn

from vlx.eval.measures.controls import centre_prior, smooth_noise
from vlx.eval.measures.maps import rank_correlation
from vlx.eval.measures.pointing import pointing_hit
from vlx.methods.cam import kept_by_mean
from vlx.methods.method import Method
from vlx.passes.outputs import class_logits, scores_in
from vlx.passes.site import find_layer
from vlx.studies.policy.agents import as_input
from vlx.studies.policy.explaining import explain_actions, placed_maps
from vlx.studies.policy.network import ValueOf

TOLERANCE = 4
"""Pixels from a thing that still count as on it: half a cell of the agent's last map."""
Fact = float | str
"""A value, or why there is none."""
CONTROLS = ("centre", "random map", "mean activation", "shuffled weights")
NOTHING = 0.01
"""Logits: a decision whose lead falls by less without any thing rests on none of them."""
Masks = Mapping[str, Bool[np.ndarray, "height width"]]


@dataclass(frozen=True, eq=False)
class Asked:
    """What is asked of all moments."""

    network: nn.Module
    shuffled: nn.Module
    """The same with the entries of each of its weights in random order."""
    layer: Any
    methods: Sequence[str]
    window: int
    """Side of the squares that are hidden, in pixels of the observation."""
    seed: int


@dataclass(frozen=True, eq=False)
class Moment:
    """One moment: its maps and controls, by what they are called."""

    seen: Float[np.ndarray, "channel height width"]
    action: int
    against: int
    """The next best action."""
    maps: Mapping[str, Float[np.ndarray, "height width"]]
    kept: float
    """How much of the gradients of the lead their mean over places keeps (`vlx.methods.cam.kept_by_mean`)."""
    of_value: Mapping[str, Float[np.ndarray, "height width"]]
    """Of a network that gives a value too: the map of that by each method."""


def names_of(method: str) -> tuple[str, str, str, str]:
    """What maps of a method are called: of the action, against the next; of the worst, turned round."""
    return method, f"{method}, against the next", f"{method}, worst action", f"{method}, next against it"


def moment(asked: Asked, observation: Any, number: int) -> Moment:
    """Explain the action that a network takes, alone and against the next best, and make controls."""
    batch = np.asarray(observation)[None]
    with torch.no_grad():
        logits = class_logits(asked.network(as_input(batch, asked.network)), 1)[0]
    action, following, *_ = order = logits.argsort(descending=True).tolist()
    maps: dict[str, np.ndarray] = {}
    for method in asked.methods:
        targets = ((action, None), (action, following), (order[-1], None), (following, action))
        for name, (one, against) in zip(names_of(method), targets, strict=True):
            found = explain_actions(
                asked.network, batch, one, against=against, layer=asked.layer, method=method
            )
            maps[name] = found.maps[0].astype(np.float64)
            maps["mean activation"] = found.features[0].astype(np.float64)
    other = explain_actions(asked.shuffled, batch, action, layer=asked.layer, method=asked.methods[0])
    size = batch.shape[2:]
    maps["shuffled weights"] = other.maps[0].astype(np.float64)
    maps["centre"] = centre_prior(size)
    maps["random map"] = smooth_noise(size, np.random.default_rng([asked.seed, number]))
    lead = explain_actions(asked.network, batch, action, against=following, layer=asked.layer, method=_KEPT)
    kept = float(lead.maps.max())
    return Moment(batch[0].astype(np.float64), action, following, maps, kept, _of_value(asked, batch))


def _kept(activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """A level map of how much the mean keeps."""
    level = kept_by_mean(gradients).nan_to_num(0.0)
    return level[..., None, None] + torch.zeros_like(activations[..., 0, :, :])


_KEPT = Method("kept_by_mean", _kept)


def _of_value(asked: Asked, batch: np.ndarray) -> dict[str, np.ndarray]:
    seen = as_input(batch, asked.network)
    with torch.no_grad():
        if not isinstance(getattr(asked.network(seen), "value", None), torch.Tensor):
            return {}
    layer = None if asked.layer is None else find_layer(asked.network, asked.layer)[1]
    network = ValueOf(asked.network)
    return {
        method: placed_maps(network, seen, 0, layer, method)[0][0].astype(np.float64)
        for method in asked.methods
    }


def measured(asked: Asked, game: Any, found: Moment) -> dict[str, Any]:
    """The facts of a moment: of every map whether it points at what matters, and how well it ranks things."""
    cells = _cells(found.seen.shape[1:], asked.window)
    worth = _falls(asked, found, _hidden(found.seen, cells))
    row: dict[str, Any] = {
        "action": found.action, "kept": found.kept,
        "windows": {name: _ranks([plane[place].mean() for place in cells], worth)
                    for name, plane in found.maps.items()},
    }  # fmt: skip
    masks: Masks = dict(game.masks()) if callable(getattr(game, "masks", None)) else {}
    if not masks:
        return row
    without = np.stack([np.asarray(game.observation(without=name)) for name in masks])
    matters = dict(zip(masks, _falls(asked, found, without).tolist(), strict=True))
    row |= {"effects": matters, "key": _key(matters)}
    if found.of_value:
        row["value"] = _value(asked, found, masks, without)
    row["pointing"] = {name: _pointing(plane, masks, row["key"]) for name, plane in found.maps.items()}
    row["ranks"] = {
        name: _ranks([plane[mask].max() for mask in masks.values()], list(matters.values()))
        for name, plane in found.maps.items()
    }
    if row["key"]:
        near = np.asarray(ndimage.distance_transform_edt(~masks[row["key"]])) <= TOLERANCE
        row["area"] = float(near.mean())
    return row


def _key(matters: Mapping[str, float]) -> str:
    """The thing without which a value falls most; none where it hardly falls without any."""
    best = max(matters, key=matters.__getitem__)
    return best if matters[best] > NOTHING else ""


def _value(asked: Asked, found: Moment, masks: Masks, without: np.ndarray) -> dict[str, Any]:
    """As for actions: without what the value falls most, and which maps point at it."""
    with torch.no_grad():
        shown = np.concatenate([found.seen[None], without])
        values = asked.network(as_input(shown, asked.network)).value.double().cpu().numpy()
    matters = dict(zip(masks, (values[0] - values[1:]).tolist(), strict=True))
    maps = {**found.of_value, **{name: found.maps[name] for name in CONTROLS}}
    return {
        "effects": matters,
        "pointing": {name: _pointing(plane, masks, _key(matters)) for name, plane in maps.items()},
    }


def _falls(asked: Asked, found: Moment, others: Any) -> Float[np.ndarray, " other"]:
    """How far the logit of the action falls, against that of the next best, in other observations."""
    shown = np.concatenate([found.seen[None], others])
    with torch.no_grad():
        output = asked.network(as_input(shown, asked.network))
    logits = class_logits(output, len(scores_in(output))).double().cpu().numpy()
    lead = logits[:, found.action] - logits[:, found.against]
    return lead[0] - lead[1:]


def _pointing(plane: Float[np.ndarray, "height width"], masks: Masks, key: str) -> Fact:
    if not key:
        return "nothing_matters"
    hit = pointing_hit(plane, masks[key], tolerance=TOLERANCE, touching=True)
    return hit.left_out or float(hit.value or 0.0)


def _ranks(of_map: Sequence[float], worth: Sequence[float] | np.ndarray) -> Fact:
    """Spearman's correlation of a map's values with what the things, or squares, are worth."""
    first, second = np.asarray(of_map, np.float64), np.asarray(worth, np.float64)
    if len(first) < 3:
        return "fewer_than_3_things"
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return "flat_map" if np.ptp(first) == 0 else "nothing_matters"
    found = rank_correlation(first, second)
    return "undefined" if found is None else float(found)


def _cells(size: Sequence[int], side: int) -> list[tuple[slice, slice]]:
    """Squares beside and below one another."""
    height, width = size
    return [
        (slice(top, top + side), slice(left, left + side))
        for top in range(0, height - side + 1, side)
        for left in range(0, width - side + 1, side)
    ]


def _hidden(
    seen: Float[np.ndarray, "channel height width"], cells: Sequence[tuple[slice, slice]]
) -> Float[np.ndarray, "cell channel height width"]:
    """The observation with one square after the other filled, in all pictures, by their median."""
    hidden = np.repeat(seen[None], len(cells), 0)
    level = np.median(seen, axis=(1, 2))
    for at, (rows, cols) in enumerate(cells):
        hidden[at, :, rows, cols] = level[:, None, None]
    return hidden
