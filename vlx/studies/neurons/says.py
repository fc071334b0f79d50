"""What the numbers of the study say, in words made from them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vlx.studies.found import Number, Table
from vlx.studies.neurons.agreement import (
    NAMED,
    OTHER,
    PERMUTED,
    SAME_ABSENT,
    SHUFFLED_NAMES,
    SHUFFLED_WEIGHTS,
)
from vlx.studies.neurons.concepts import MaskData
from vlx.studies.neurons.decisions import Decision
from vlx.studies.neurons.explained import sentence, tell
from vlx.studies.neurons.named import Named, Neurons
from vlx.studies.neurons.names import PAPER
from vlx.studies.neurons.numbers import kinds_title
from vlx.studies.neurons.zeroed import ALIKE, BEARERS


def means_of(decisions: Sequence[Decision]) -> list[tuple[str, int, Any, Any]]:
    """For each concept that is decided for: what for, its mean importances, and its mean activity."""
    by: dict[int, list[Decision]] = {}
    for one in decisions:
        if one.own is not None:
            by.setdefault(one.own, []).append(one)
    return [
        (
            min(one.target for one in some), own,
            np.mean([one.importance for one in some], 0), np.mean([one.activity for one in some], 0),
        )
        for own, some in sorted(by.items())
    ]  # fmt: skip


def answer(tables: Sequence[Table], count: int, named_units: int, units: int) -> str:
    """What the numbers say."""
    inhibitive = kinds_title("inhibitive")
    by_name = {
        one.name: one for table in reversed(tables) if table.title != inhibitive for one in table.numbers
    }
    own, less = by_name[NAMED], by_name[SHUFFLED_NAMES]
    first = f"{named_units} of {units} neurons have a name by an IoU above {PAPER:g}."
    if own.value is None or less.value is None:
        return f"{first} None of the decisions is for a concept of the data, so that nothing can be compared."
    sure = by_name.get(f"{NAMED} minus {SHUFFLED_NAMES}")
    beyond = sure is not None and sure.interval is not None and sure.interval[0] > 0
    text = (
        f"{first} Among the {count} most persuasive neurons of {own.n} decisions what is decided for is "
        f"named in {own.value:.0%} ({_interval(own)}), by chance in {less.value:.0%}: "
        f"{'more often than names handed out anew' if beyond else 'not surely more often than by chance'}."
    )
    absent = by_name.get(SAME_ABSENT)
    if absent is not None and absent.value is not None:
        text += (
            f" Of the names of persuasive neurons {absent.value:.0%} are of things alike that the image does "
            "not show."
        )
    other = by_name.get(OTHER)
    if other is not None and other.value is not None:
        text += (
            f" The neurons that would persuade of what the image does not show name it in {other.value:.0%}."
        )
    fall, control = by_name.get(BEARERS), by_name.get(ALIKE)
    if fall is not None and control is not None and fall.value is not None and control.value is not None:
        text += (
            f" Without the neurons of its name the score falls by {fall.value:.2f}, "
            f"without as many others by {control.value:.2f} ({fall.n} decisions)."
        )
    return text


def _interval(number: Number) -> str:
    if number.interval is None:
        return "no interval"
    low, high = number.interval
    return f"{low:.0%} to {high:.0%}"


def notes(
    settings: Neurons, of: Named, other: Named | None, data: MaskData, decisions: Sequence[Decision]
) -> tuple[str, ...]:
    """What a reader has to know."""
    found = [
        "The paper shows VGG-16 of Places365 with names from Broden, as examples without numbers; here it "
        f"is {settings.model} at {getattr(of.model, 'layer', 'its layer')}, with names from "
        f"{len(of.data.images)} images of {of.data.name} and {len(of.data.concepts)} concepts "
        f"({', '.join(of.data.categories)}).",
        "Activations are upsampled "
        + ("from where the places look" if settings.anchored else "by a plain resize of the grid")
        + f"; a threshold is that of the highest {settings.share:g} of all activations of a unit, exactly. "
        "NetDissect-Lite counts activation only where it meets a label of the category; here all of it "
        "counts in every image with such labels, as its paper says.",
    ]
    by_class = [
        f"over all decisions for it, {sentence(target, tell(mean, of.names, settings.telling, active))}"
        for target, _, mean, active in means_of(decisions)
    ]
    found += by_class[: settings.examples]
    if of.given is not None:
        found.append(
            f"The names are those of a table that was given, with {len(of.given)} units: they are the same "
            "for every image, and have no control from the labels of other images."
        )
    if other is not None and other.found.dead == len(other.names):
        found.append(
            f"With shuffled weights every unit of the layer is 0 everywhere, so that {SHUFFLED_WEIGHTS} name "
            "nothing at all."
        )
    alone = sum(int(np.count_nonzero(one.importance)) <= 1 for one in decisions)
    if 2 * alone > len(decisions):
        found.append(
            f"{alone} of {len(decisions)} decisions rest on a single unit: the layer holds the maps of the "
            "scores themselves; --layer names one below, with neurons that decisions share."
        )
    unknown = sum(one.own is None for one in decisions)
    if unknown:
        found.append(f"{unknown} of {len(decisions)} decisions are for what the data have no concept of.")
    if len(data.images) < 200:
        found.append(
            f"{len(data.images)} images are few to name neurons by: see how many {PERMUTED} make detectors."
        )
    return tuple(found)
