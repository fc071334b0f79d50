"""What is measured of a clip: do maps point at the place and into the frames where something happens?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor, nn

from vlx.eval.measures.area import roc_area
from vlx.network import ClipMaps, explain_clip
from vlx.passes.outputs import class_logits
from vlx.studies.video.items import Item

CONTROLS = (
    "centre of the middle frame",
    "random map",
    "mean activation",
    "shuffled weights",
    "change of pixels",
)
EVENLY = "places divided evenly"
TOLERANCE = 2
"""Pixels from an object that still count as on it: half a cell of the shipped network's last maps."""
BLOCK = (5, 9, 9)
"""Frames, rows and columns of the block that is hidden, odd numbers."""
Fact = float | str
Maps = Mapping[str, Float[np.ndarray, "time height width"]]


@dataclass(frozen=True, eq=False)
class Explainer:
    """What maps are made with."""

    network: nn.Module
    shuffled: nn.Module
    layer: Any
    methods: Sequence[str]
    seed: int


def wrong_of(method: str) -> str:
    """What the map of the wrong class is called."""
    return f"{method}, wrong class"


def maps_of(made: Explainer, item: Item, number: int) -> Maps:
    """All maps of a clip on its frames, by what they are called; controls among them."""
    device = next(made.network.parameters()).device
    x = item.pixels[None].to(device)
    maps: dict[str, np.ndarray] = {}
    for method in made.methods:
        found = explain_clip(made.network, x, item.target, made.layer, method=method)
        maps[method] = _plane(found.maps)
        if item.wrong is not None:
            other = explain_clip(made.network, x, item.wrong, made.layer, method=method)
            maps[wrong_of(method)] = _plane(other.maps)
    found = explain_clip(made.network, x, item.target, made.layer)
    evenly = replace(found.clip, times=None, frame=replace(found.clip.frame, centres=None))
    maps[EVENLY] = _plane(evenly.on_clip(found.raw))
    maps["mean activation"] = _plane(found.clip.on_clip(_activation(made, found, x)))
    maps["shuffled weights"] = _plane(explain_clip(made.shuffled, x, item.target, made.layer).maps)
    noise = np.random.default_rng([made.seed, number]).standard_normal(found.raw.shape[1:])
    smooth = ndimage.gaussian_filter(noise, 1.0, mode="wrap")
    maps["random map"] = _plane(found.clip.on_clip(torch.from_numpy(smooth - smooth.min())[None]))
    maps["centre of the middle frame"] = _middle(item.pixels.shape[1:])
    change = item.pixels.diff(dim=1).abs().mean(0).numpy().astype(np.float64)
    maps["change of pixels"] = np.stack(
        [ndimage.gaussian_filter(one, 2.0) for one in (change[0] * 0, *change)]
    )
    return maps


def _activation(made: Explainer, found: ClipMaps, x: Tensor) -> Float[Tensor, "batch time row col"]:
    """The mean of the layer's channels: what a map has of the clip alone."""
    from vlx.methods.method import Method

    mean = Method(
        "mean_activation", lambda activations, gradients: activations.mean(-3) + 0 * gradients.sum(-3)
    )
    return explain_clip(made.network, x, 0, found.layer, method=mean).raw


def _plane(maps: Tensor) -> Float[np.ndarray, "time height width"]:
    return maps[0].double().cpu().numpy()


def _middle(size: Sequence[int]) -> Float[np.ndarray, "time height width"]:
    lines = [np.exp(-np.square(((np.arange(side) + 0.5) / side - 0.5) * 3.5) / 2) for side in size]
    return lines[0][:, None, None] * lines[1][:, None] * lines[2]


def measured(made: Explainer, item: Item, number: int) -> dict[str, Any]:
    """The facts of a clip, by measure and by map."""
    maps = maps_of(made, item, number)
    logits = _logits(made.network, item.pixels[None])
    order = logits[0].argsort(descending=True).tolist()
    row: dict[str, Any] = {
        "clip": item.clip or item.name, "target": item.target, "rank": order.index(item.target),
        "hidden": _hidden(made, item, maps),
    }  # fmt: skip
    for name, other in (("without", item.without), ("without_wrong", item.without_wrong)):
        if other is not None:
            row[name] = float(logits[0, item.target] - _logits(made.network, other[None])[0, item.target])
    if item.mask is not None and item.mask.any():
        for measure, found in _pointing(maps, item.mask).items():
            row[measure] = found
        near = np.stack([_near(one) for one in item.mask])
        row["chance"] = {
            "both": float(near.mean()), "place": float(near.any(0).mean()),
            "time": float(item.mask.any((1, 2)).mean()),
        }  # fmt: skip
    return row


def _pointing(maps: Maps, mask: Bool[np.ndarray, "time height width"]) -> dict[str, dict[str, Fact]]:
    near = np.stack([_near(one) for one in mask])
    span: np.ndarray = np.asarray(mask.reshape(len(mask), -1).any(1))
    anywhere: np.ndarray = np.asarray(near.any(0))
    middle = float(np.flatnonzero(span).mean())
    found: dict[str, dict[str, Fact]] = {
        name: {} for name in ("both", "place", "time", "frames_off", "area_in_time", "area_in_place")
    }
    for name, plane in maps.items():
        if np.ptp(plane) == 0:
            for facts in found.values():
                facts[name] = "flat_map"
            continue
        frame, row, col = peak(plane)
        found["both"][name] = float(near[frame, row, col])
        found["place"][name] = float(anywhere[row, col])
        found["time"][name] = float(span[frame])
        found["frames_off"][name] = abs(frame - middle)
        found["area_in_time"][name] = _area(plane.max((1, 2))[:, None], span[:, None])
        found["area_in_place"][name] = _area(plane.max(0), np.asarray(mask.any(0)))
    return found


def peak(plane: Float[np.ndarray, "time height width"]) -> tuple[int, int, int]:
    """The frame, row and column of the maximum; of several the one in the middle of them."""
    at = np.argwhere(plane >= plane.max() - 1e-9 * np.ptp(plane))
    frame, row, col = at[np.square(at - at.mean(0)).sum(1).argmin()].tolist()
    return frame, row, col


def _area(plane: np.ndarray, mask: np.ndarray) -> Fact:
    found = roc_area(plane, mask)
    return found.left_out or float(found.value or 0.0)


def _near(mask: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    return np.asarray(ndimage.distance_transform_edt(~mask)) <= TOLERANCE if mask.any() else mask


def _hidden(made: Explainer, item: Item, maps: Maps) -> dict[str, Fact]:
    """How far the target's logit falls where nothing moves in a block around a map's peak.

    There every pixel has its median over time, so that the block brings no changes of its own.
    """
    names = [name for name, plane in maps.items() if np.ptp(plane) > 0]
    still = item.pixels.median(1, keepdim=True).values.expand_as(item.pixels)
    shown = [item.pixels]
    for name in names:
        changed = item.pixels.clone()
        block = tuple(
            slice(max(at - side // 2, 0), at + side // 2 + 1)
            for at, side in zip(peak(maps[name]), BLOCK, strict=True)
        )
        changed[(slice(None), *block)] = still[(slice(None), *block)]
        shown.append(changed)
    values = _logits(made.network, torch.stack(shown))[:, item.target]
    falls: dict[str, Fact] = dict.fromkeys(maps, "flat_map")
    return falls | {name: float(values[0] - value) for name, value in zip(names, values[1:], strict=True)}


def _logits(network: nn.Module, x: Tensor) -> Float[Tensor, "batch class"]:
    device = next(network.parameters()).device
    with torch.no_grad():
        return class_logits(network(x.to(device)), len(x)).double().cpu()
