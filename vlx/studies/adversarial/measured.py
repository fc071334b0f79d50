"""What an attack does to one image: how far it gets, and where the maps point before and after."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from vlx.eval.items.control_maps import NOISE
from vlx.eval.items.item import seed_of
from vlx.eval.measures.area import roc_area
from vlx.eval.measures.controls import mean_activation, smooth_noise
from vlx.eval.measures.correlation import GRID, correlation
from vlx.eval.measures.maps import Map, area_average, bilinear
from vlx.eval.measures.pointing import centre_hit, chance_hit, pointing_hit
from vlx.eval.measures.statistics import Outcome
from vlx.eval.measures.wrong import own_minus_wrong
from vlx.explain import explain
from vlx.explanation import Explanation
from vlx.methods.values import Method
from vlx.passes.forward import Pass
from vlx.studies.adversarial.attack import Attack, Attacked, attack, goal_of, noise, pass_of, probability
from vlx.studies.truths import Case, Thing

Facts = dict[str, Any]


def attacked_case(case: Case, how: Attack) -> Attacked:
    """Drive a case to its goal, away from all that is true of it."""
    goal = goal_of(case.passed, case.goal, [thing.target for thing in case.things])
    return attack(case.passed, goal, how)


def row_of(
    case: Case, found: Attacked, methods: Sequence[Method], how: Attack, radius: float | int, name: str
) -> Facts:
    """What is kept of an image, in JSON's types: undefined values by their reasons."""
    goal = goal_of(case.passed, case.goal)
    noisy = pass_of(case.passed, noise(case.passed, how.size, how.seed))
    after = pass_of(case.passed, found.pixels)
    runs = {"before": case.passed, "after": after, "noise": noisy}
    shape = case.objects.shape
    random = bilinear(smooth_noise(NOISE, np.random.default_rng(seed_of(how.seed, name))), shape)
    things: list[Facts] = []
    maps = {(when, one.name): _maps(run, case, one) for when, run in runs.items() for one in methods}
    activation = {when: _activation(run) for when, run in runs.items()}
    for at, thing in enumerate(case.things):
        facts: Facts = {"name": thing.name, "known": thing.known}
        for when, run in runs.items():
            facts[f"probability {when}"] = probability(run, run.scores, goal_of(run, thing.target))
        facts["centre"] = _kept(centre_hit(thing.mask, tolerance=radius))
        facts["pixel"] = _kept(chance_hit(thing.mask, tolerance=radius))
        facts["random"] = _kept(pointing_hit(random, thing.mask, tolerance=radius))
        facts["area random"] = _kept(roc_area(random, thing.mask))
        for when in ("before", "after"):
            facts[f"activation {when}"] = _kept(pointing_hit(activation[when], thing.mask, tolerance=radius))
            facts[f"area activation {when}"] = _kept(roc_area(activation[when], thing.mask))
        facts["like activation"] = _kept(alike(activation["before"], activation["after"]))
        for one in methods:
            facts[one.name] = _of_thing(
                {when: maps[when, one.name] for when in runs}, at, thing, case, radius
            )
        things.append(facts)
    targets = {one.name: _of_goal(maps["after", one.name], case, radius) for one in methods}
    return {
        "goal": case.goal_name,
        "before": found.before,
        "after": found.after,
        "rounded": found.rounded,
        "noise": probability(noisy, noisy.scores, goal),
        "steps": found.steps,
        "size": found.size,
        "reached": found.reached,
        "first": bool(_first(after, goal.up)),
        "things": things,
        "targets": targets,
        "background centre": _kept(_missed(centre_hit(case.objects, tolerance=radius))),
        "background pixel": _kept(_missed(chance_hit(case.objects, tolerance=radius))),
        "background activation": _kept(
            _missed(pointing_hit(activation["after"], case.objects, tolerance=radius))
        ),
    }


def outcome(kept: float | int | str) -> Outcome:
    """What `row_of` kept of an outcome."""
    return Outcome(None, kept) if isinstance(kept, str) else Outcome(float(kept))


def _of_thing(maps: Mapping[str, list[Map]], at: int, thing: Thing, case: Case, radius: float | int) -> Facts:
    """One true object by one method: its map, those of what is not there, and that of the goal."""
    count, facts = len(case.things), Facts()
    own = {when: planes[at] for when, planes in maps.items()}
    for when, planes in maps.items():
        hits = [pointing_hit(plane, thing.mask, tolerance=radius) for plane in planes]
        areas = [roc_area(plane, thing.mask) for plane in planes]
        facts[f"hit {when}"], facts[f"area {when}"] = _kept(hits[at]), _kept(areas[at])
        facts[f"goal {when}"], facts[f"area goal {when}"] = _kept(hits[count]), _kept(areas[count])
        for measure, all_of in (("hit", hits), ("area", areas)):
            less = own_minus_wrong(all_of[at], all_of[count + 1 :])
            facts[f"own minus wrong {measure} {when}"] = _kept(less)
    facts["like after"] = _kept(alike(own["before"], own["after"]))
    facts["like noise"] = _kept(alike(own["before"], own["noise"]))
    facts["like goal"] = _kept(alike(own["before"], maps["after"][count]))
    others = [alike(own["before"], plane) for plane in maps["before"][count + 1 :]]
    values = [one.value for one in others if one.value is not None]
    facts["like wrong"] = float(np.mean(values)) if values else "no_wrong_map"
    return facts


def _of_goal(planes: list[Map], case: Case, radius: float | int) -> Facts:
    """Where the map of the goal lies after the attack: on a true object, or on none."""
    plane = planes[len(case.things)]
    on_true = np.logical_or.reduce([thing.mask for thing in case.things])
    return {
        "on true": _kept(pointing_hit(plane, on_true, tolerance=radius)),
        "background": _kept(_missed(pointing_hit(plane, case.objects, tolerance=radius))),
    }


def _maps(run: Pass, case: Case, method: Method) -> list[Map]:
    """Of the true objects, the goal, and what is neither, on the pixels of the image."""
    targets = [*(thing.target for thing in case.things), case.goal, *case.wrong]
    (found,) = explain(run, targets, method)
    return _planes(found)


def _planes(found: Explanation) -> list[Map]:
    return [np.asarray(plane, np.float64) for plane in found.maps]


def _activation(run: Pass) -> Map:
    grid = run.grid(run.features.detach())[0].cpu().double().numpy()
    return run.frames[0].on_image(torch.from_numpy(mean_activation(grid))).numpy()


def alike(one: Map, other: Map) -> Outcome:
    """The rank correlation of two maps of one image."""
    return correlation({"flat_map": area_average(one, GRID), "flat_other": area_average(other, GRID)})


def _first(run: Pass, terms: Sequence[Any]) -> bool:
    """Whether the goal is the likeliest choice."""
    return all(int(run.scores[0, one.step].argmax()) == one.choice for one in terms)


def _missed(hit: Outcome) -> Outcome:
    return hit if hit.value is None else Outcome(1 - hit.value)


def _kept(found: Outcome) -> float | str:
    return found.value if found.value is not None else str(found.left_out)
