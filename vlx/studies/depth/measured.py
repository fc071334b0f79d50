"""Where the maps of true classes lie at each layer of a classifier, for one image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from vlx.eval.measures.area import roc_area
from vlx.eval.measures.controls import mean_activation
from vlx.eval.measures.correlation import GRID, correlation
from vlx.eval.measures.maps import Map, area_average
from vlx.eval.measures.pointing import centre_hit, chance_hit, pointing_hit
from vlx.eval.measures.statistics import Outcome
from vlx.eval.measures.wrong import own_minus_wrong
from vlx.methods.values import Method
from vlx.passes.forward import Pass
from vlx.studies.depth.maps import maps_at
from vlx.studies.truths import Case, Thing

Facts = dict[str, Any]


def row_of(
    model: Any, case: Case, layers: Sequence[str | int], methods: Sequence[Method], radius: float | int
) -> Facts:
    """What is kept of an image, in JSON's types: undefined values by their reasons."""
    image = case.passed.images[0]
    targets = [*(thing.target for thing in case.things), case.goal, *case.wrong]
    found, refused = maps_at(model, lambda one: one.read([image]), layers, targets, methods)
    planes = [[list(made.maps) for made in one.found] for one in found]
    activations = [_activation(one.passed) for one in found]
    told: Facts = {}
    for at, one in enumerate(found):
        facts: Facts = {"grid": list(one.grid)}
        facts["activation"] = [_kept(_hit(activations[at], thing, radius)) for thing in case.things]
        facts["area activation"] = [_kept(roc_area(activations[at], thing.mask)) for thing in case.things]
        for number, method in enumerate(methods):
            mine = planes[at][number]
            above = planes[at + 1][number] if at + 1 < len(found) else None
            facts[method.name] = [
                _of_thing(mine, above, place, thing, len(case.things), radius)
                for place, thing in enumerate(case.things)
            ]
        told[one.layer] = facts
    return {
        "layers": told,
        "refused": refused,
        "centre": [_kept(centre_hit(thing.mask, tolerance=radius)) for thing in case.things],
        "pixel": [_kept(chance_hit(thing.mask, tolerance=radius)) for thing in case.things],
        "classes": [thing.name for thing in case.things],
    }


def outcome(kept: float | int | str) -> Outcome:
    """What `row_of` kept of an outcome."""
    return Outcome(None, kept) if isinstance(kept, str) else Outcome(float(kept))


def alike(one: Map, other: Map) -> Outcome:
    """The rank correlation of two maps of one image."""
    return correlation({"flat_map": area_average(one, GRID), "flat_other": area_average(other, GRID)})


def _of_thing(
    mine: list[Map], above: list[Map] | None, place: int, thing: Thing, count: int, radius: float | int
) -> Facts:
    hits = [_hit(plane, thing, radius) for plane in mine]
    area = roc_area(np.asarray(mine[place], float), thing.mask)
    facts: Facts = {"hit": _kept(hits[place]), "area": _kept(area)}
    facts["own hit"] = _kept(own_minus_wrong(hits[place], hits[count:]))
    facts["like above"] = "last" if above is None else _kept(alike(mine[place], above[place]))
    return facts


def _hit(plane: Map, thing: Thing, radius: float | int) -> Outcome:
    return pointing_hit(np.asarray(plane, float), thing.mask, tolerance=radius)


def _activation(run: Pass) -> Map:
    grid = run.grid(run.features.detach())[0].cpu().double().numpy()
    return run.frames[0].on_image(torch.from_numpy(mean_activation(grid))).numpy()


def _kept(found: Outcome) -> float | str:
    return found.value if found.value is not None else str(found.left_out)
