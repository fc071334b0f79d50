"""What is measured of a trained network: its scores, what changes them, and where its evidence lies."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import nn

from vlx.eval.items.models import shuffled
from vlx.eval.measures.controls import centre_prior
from vlx.eval.measures.maps import area_average
from vlx.scenes.classes import SIDE
from vlx.studies.bias.learned import Features, Head, activation, evidence, log_odds, seen
from vlx.studies.bias.world import REGIONS, VALUES, Case, changed, drawn, other_class

Facts = dict[str, Any]
Cover = Float[np.ndarray, "scene region row col"]
"""The share of each place that belongs to each of `REGIONS`; they add up to 1."""
REACH = 16
"""Pixels around an object that belong to it too: one place of the last maps, as evidence of an object that is
smaller than two places lies around it as well."""
CLASS = "class"
"""Stands beside the attributes: the object of one class in the place of one of the other."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Some scenes with what the fixed convolutions make of them."""

    cases: Sequence[Case]
    features: Features


@dataclass(frozen=True, eq=False)
class Probes:
    """Scenes that attributes are looked for in: as they are, and with each attribute changed."""

    cases: Sequence[Case]
    features: Features
    cover: Cover
    changes: Mapping[str, Features]
    """By attribute, and `CLASS`."""


def seen_cases(below: nn.Sequential, cases: Sequence[Case]) -> Seen:
    """Draw some scenes and look at them."""
    return Seen(cases, seen(below, [drawn(case)[0] for case in cases]))


def probes_of(below: nn.Sequential, cases: Sequence[Case]) -> Probes:
    """Draw some scenes, and each of them with one attribute changed, and look at all."""
    pictures = [drawn(case) for case in cases]
    features = seen(below, [pixels for pixels, _ in pictures])
    grid = features.shape[2:]
    cover = _cover([masks for _, masks in pictures], (grid[0], grid[1]))
    made: dict[str, Callable[[Case], Case]] = {
        name: (lambda case, name=name: changed(case, name)) for name in VALUES
    }
    made[CLASS] = other_class
    changes = {
        name: seen_cases(below, [make(case) for case in cases]).features for name, make in made.items()
    }
    return Probes(cases, features, cover, changes)


def cover_of(cases: Sequence[Case]) -> Cover:
    """The share of each place of the last maps that each part of some scenes covers."""
    return _cover([drawn(case)[1] for case in cases], (SIDE, SIDE))


def _cover(masks: Sequence[np.ndarray], grid: tuple[int, int]) -> Cover:
    return np.array([[area_average(part, grid) for part in divided(of_scene)] for of_scene in masks])


def divided(
    masks: Bool[np.ndarray, "region height width"], reach: int = REACH
) -> Float[np.ndarray, "region height width"]:
    """To which part of a scene each pixel belongs: alike to the objects within ``reach``, else the ground.

    >>> row = np.array([[[1, 0, 0, 0, 0]], [[0, 0, 1, 0, 0]], [[0, 1, 0, 1, 1]]], bool)
    >>> divided(row, 1)[:, 0].tolist()
    [[1.0, 0.5, 0.0, 0.0, 0.0], [0.0, 0.5, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0]]
    """
    wide = np.array([ndimage.maximum_filter(one, 2 * reach + 1) for one in masks[:-1]], dtype=float)
    many = wide.sum(0)
    return np.concatenate([wide / np.maximum(many, 1), (many == 0)[None].astype(float)])


def measured(head: Head, test: Seen, probes: Probes, seed: int) -> Facts:
    """Everything about one network, of JSON's types; ``shuffled`` is the same with its weights shuffled.

    Log-odds are those of the second class against the first, in nats.
    """
    facts = _facts(head, probes)
    facts["test"] = _told(log_odds(head, test.features))
    facts["activation"] = _shares(activation(head, probes.features), probes.cover)
    facts["shuffled"] = _facts(shuffled(head, seed), probes)
    return facts


def blind_shares(cover: Cover) -> dict[str, dict[str, list[float]]]:
    """The shares of a uniform map and of one in the middle of the scene on each region."""
    grid = cover.shape[2:]
    planes = {"area": np.ones(grid), "centre": centre_prior((grid[0], grid[1]))}
    return {name: _shares(np.broadcast_to(one, (len(cover), *grid)), cover) for name, one in planes.items()}


def _facts(head: Head, probes: Probes) -> Facts:
    scores, maps = log_odds(head, probes.features), evidence(head, probes.features)
    # For what the network says, whichever class that is.
    said = maps * np.where(scores > 0, 1.0, -1.0)[:, None, None]
    return {
        "probe": _told(scores),
        "changed": {name: _told(log_odds(head, some)) for name, some in probes.changes.items()},
        "nats": _by_region(np.einsum("srhw,shw->sr", probes.cover, maps)),
        "shares": _shares(said, probes.cover),
    }


def _shares(maps: Float[np.ndarray, "scene row col"], cover: Cover) -> dict[str, list[Any]]:
    """The share of the positive part of each map on each region; None where nothing is positive."""
    positive = np.maximum(maps, 0)
    total = positive.sum((1, 2))
    parts = np.einsum("srhw,shw->sr", cover, positive)
    known = np.where(total > 0, total, np.nan)[:, None]
    return _by_region(parts / known)


def _by_region(values: Float[np.ndarray, "scene region"]) -> dict[str, list[Any]]:
    return {name: _told(values[:, at]) for at, name in enumerate(REGIONS)}


def _told(values: Float[np.ndarray, " scene"]) -> list[Any]:
    return [None if np.isnan(one) else round(float(one), 5) for one in values]
