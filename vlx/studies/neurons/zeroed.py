"""What a decision loses without the neurons that bear its name: their activations set to 0, the part above
run.

Whether a name tells what a neuron does, and not only what it goes with, is seen where the score falls more
than without as many others that are as active in the image.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vlx.errors import VlxError
from vlx.eval.items.item import seed_of
from vlx.eval.items.opened import read
from vlx.images.files import open_image
from vlx.passes.forward import Pass
from vlx.passes.targets import Term
from vlx.studies.kept import Facts
from vlx.studies.neurons.agreement import same
from vlx.studies.neurons.concepts import Labelled, MaskData
from vlx.studies.neurons.decisions import Decision
from vlx.studies.neurons.explained import Telling, tell
from vlx.studies.neurons.names import Names, called

BEARERS = "all neurons named so"
TOP = "the persuasive neurons"
ALIKE = "as many of other names, as active"
RANDOM = "as many drawn at random"
ELSEWHERE = "all neurons named so: fall of what the image does not show"
GROUPS = (BEARERS, TOP, ALIKE, RANDOM)


def groups_of(one: Decision, data: MaskData, names: Names, how: Telling, seed: int) -> dict[str, list[int]]:
    """Which units are set to 0, by what they are; none where none bears the name of what is decided."""
    if one.own is None:
        return {}
    own = data.concepts[one.own]
    mine = {unit: called(names, unit, how.iou) for unit in range(len(names))}
    bearers = [unit for unit, name in mine.items() if name is not None and same(name, own, data.categories)]
    others = [unit for unit, name in mine.items() if name is not None and unit not in bearers]
    rest = [unit for unit in mine if unit not in bearers]
    if not bearers or len(others) < len(bearers):
        return {}
    order = Random(seed_of(seed, f"zeroed {one.image} {one.text} {one.target}"))
    top = tell(one.importance, names, how, one.activity).persuasive
    return {
        BEARERS: bearers,
        TOP: [neuron.unit for neuron in top],
        ALIKE: alike(bearers, others, one.activity),
        RANDOM: sorted(order.sample(rest, len(bearers))),
    }


def alike(units: Sequence[int], others: Sequence[int], activity: Float[np.ndarray, " unit"]) -> list[int]:
    """For each unit, the most active first, the one of the others left whose activity is nearest.

    >>> alike([0], [1, 2], np.array([0.5, 0.1, 0.4]))
    [2]
    """
    left, found = list(others), list[int]()
    for unit in sorted(units, key=lambda unit: (-activity[unit], unit)):
        nearest = min(left, key=lambda other: (abs(activity[other] - activity[unit]), other))
        left.remove(nearest)
        found.append(nearest)
    return found


def falls(
    model: Any,
    image: Labelled,
    decisions: Sequence[Decision],
    groups: Callable[[Decision], dict[str, list[int]]],
) -> Facts:
    """How far the score of each decision falls, by which units are 0, as a row.

    The unit is that of the score: a logit, or nats of a word. A decision without bearers of its name, and one
    of a model that cannot be run again from its features, has a reason in the place of numbers.
    """
    if not decisions:
        return {"falls": []}
    photo, found = open_image(image.path), list[Facts]()
    for text in dict.fromkeys(one.text for one in decisions):
        passed: Pass | None = None
        for one in (one for one in decisions if one.text == text):
            units = groups(one)
            if not units:
                found.append({"left_out": "no_neuron_of_that_name"})
                continue
            passed = passed or read(model, [photo], [text])
            found.append(_falls(passed, one, units))
    return {"falls": found}


def _falls(passed: Pass, one: Decision, units: dict[str, list[int]]) -> Facts:
    if passed.above is None:
        return {"left_out": "nothing_runs_above_the_layer"}
    whole = passed.features.detach()[0]
    try:
        stacked = torch.stack([whole, *(without(passed, units[name]) for name in GROUPS)])
    except VlxError:
        return {"left_out": "units_cannot_be_set"}
    scores = passed.with_features(0, stacked).scores.detach()
    own, other = (_values(scores, terms) for terms in one.terms)
    row = {name: own[0] - own[at] for at, name in enumerate(GROUPS, 1)}
    if one.terms[1]:
        row[ELSEWHERE] = other[0] - other[1]
    return row


def without(passed: Pass, units: Sequence[int]) -> Float[Tensor, "*feature"]:
    """The features of the first item with some units 0 at every place of the grid.

    Raises VlxError where the grid is no view of the features.
    """
    changed = passed.features.detach()[:1].clone()
    passed.grid(changed)[0, list(units)] = 0
    if bool(passed.grid(changed)[0, list(units)].any()):
        raise VlxError(f"the units of layer {passed.layer} cannot be set one by one")
    return changed[0]


def _values(scores: Float[Tensor, "node step choice"], terms: Sequence[Term]) -> list[float]:
    total = torch.zeros(len(scores), dtype=torch.float64)
    for term in terms:
        total += term.weight * scores[:, term.step, term.choice].double().cpu()
    return total.tolist()
