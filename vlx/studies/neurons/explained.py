"""A decision told in the names of its most important neurons (paper section 7).

The five units of the highest importance are persuasive where it is above 0, the five of the lowest inhibitive
where it is below. What the paper leaves open is a setting: whether units without a name are dropped before or
after five are taken, and whether importance is weighted by how active a unit is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from vlx.errors import VlxError
from vlx.studies.neurons.names import PAPER, Names, called

Order = Literal["select", "filter"]


@dataclass(frozen=True)
class Telling:
    """How neurons are chosen and named."""

    count: int = 5
    """At most so many are persuasive, and so many inhibitive."""
    iou: float = PAPER
    """A unit has a name where its IoU is above this."""
    order: Order = "select"
    """``select``: units without a name are dropped from those that were taken, which may leave fewer, or
    none; ``filter``: they are dropped before, so that named ones move up."""
    weighted: bool = False
    """Whether importance is multiplied by the unit's mean activation in the image."""

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.iou < 1 or self.order not in ("select", "filter"):
            raise VlxError(
                f"{self.count} neurons by an IoU above {self.iou} in the order {self.order!r}: give 1 or "
                "more, an IoU from 0 to 1, and select or filter"
            )


@dataclass(frozen=True)
class Neuron:
    """One unit that counts for a decision."""

    unit: int
    """Its channel, from 0."""
    importance: float
    name: str | None
    """What it detects; None of one that is no detector."""
    category: str
    iou: float


@dataclass(frozen=True)
class Told:
    """A decision in neurons."""

    persuasive: tuple[Neuron, ...]
    """The most important first, also those without a name, unless these were dropped before."""
    inhibitive: tuple[Neuron, ...]
    """The one of the most negative importance first."""


def tell(
    importance: Float[np.ndarray, " unit"],
    names: Names,
    how: Telling = Telling(),
    activity: Float[np.ndarray, " unit"] | None = None,
) -> Told:
    """The neurons that persuade and inhibit most; of equal ones the first channel.

    ``activity`` is the mean activation of each unit, which weighted importance needs. Raises VlxError where
    names and importances are not of equally many units.

    >>> from vlx.studies.neurons.concepts import Concept
    >>> from vlx.studies.neurons.names import Name
    >>> names = (Name(Concept("object", "dog"), 0.3), None, Name(Concept("object", "cat"), 0.2))
    >>> found = tell(np.array([0.5, 0.7, -0.1]), names)
    >>> [(one.unit, one.name) for one in found.persuasive], found.inhibitive[0].name
    ([(1, None), (0, 'dog')], 'cat')
    """
    if len(importance) != len(names):
        raise VlxError(
            f"{len(names)} names for {len(importance)} channels: they belong to another layer or model"
        )
    if how.weighted:
        if activity is None:
            raise VlxError("importance weighted by activation needs the unit's mean activation")
        importance = importance * activity
    units = np.arange(len(importance))
    if how.order == "filter":
        units = units[[called(names, unit, how.iou) is not None for unit in range(len(names))]]
    rising = units[np.argsort(importance[units], kind="stable")]
    falling = units[np.argsort(-importance[units], kind="stable")]
    return Told(
        tuple(
            _neuron(at, importance, names, how) for at in falling[: how.count].tolist() if importance[at] > 0
        ),
        tuple(
            _neuron(at, importance, names, how) for at in rising[: how.count].tolist() if importance[at] < 0
        ),
    )


def _neuron(unit: int, importance: Float[np.ndarray, " unit"], names: Names, how: Telling) -> Neuron:
    concept, name = called(names, unit, how.iou), names[unit]
    return Neuron(
        unit, float(importance[unit]), None if concept is None else concept.shown,
        "" if concept is None else concept.category, 0.0 if name is None else name.iou,
    )  # fmt: skip


def merged(neurons: Sequence[Neuron]) -> list[tuple[str, int]]:
    """The names of neurons with how many bear each, in the order of the first of each; without a name none.

    >>> merged([Neuron(3, 1.0, "dog", "object", 0.2), Neuron(5, 0.5, "dog", "object", 0.1)])
    [('dog', 2)]
    """
    found: dict[str, int] = {}
    for one in neurons:
        if one.name is not None:
            found[one.name] = found.get(one.name, 0) + 1
    return list(found.items())


def sentence(target: str, found: Told) -> str:
    """A decision in a sentence or two.

    >>> sentence("dog", Told((Neuron(3, 1.0, "dog", "object", 0.2),), ()))
    '“dog”: the neuron for dog is persuasive. No neuron is inhibitive.'
    """
    sides = (found.persuasive, "persuasive"), (found.inhibitive, "inhibitive")
    first, second = (_side(*side) for side in sides)
    return f"“{target}”: {first}. {second[0].upper()}{second[1:]}."


def _side(neurons: Sequence[Neuron], role: str) -> str:
    if not neurons:
        return f"no neuron is {role}"
    names = merged(neurons)
    if not names:
        which = "the one neuron that is" if len(neurons) == 1 else f"none of the {len(neurons)} most"
        return f"{which} {role} has {'no' if len(neurons) == 1 else 'a'} name"
    parts = [f"{name} ({count})" if count > 1 else name for name, count in names]
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    one = sum(count for _, count in names) == 1
    return f"the neuron{'' if one else 's'} for {listed} {'is' if one else 'are'} {role}"
