"""Find what a network goes by, without being told: how much each attribute moves its score.

Of every attribute and of the class itself there is a signed value for each scene, whose mean says how far the
log-odds move from one value to the other; how it is found is one of `WAYS`. An attribute's part is its share
in all of these movements, that of the class included. Were everything alike each would have an even share;
an attribute is named where the whole interval of its part lies above that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from vlx.studies.bias.crossed import crossed_draws
from vlx.studies.bias.measured import CLASS
from vlx.studies.bias.world import REGION_OF, VALUES, Case

WAYS = ("changing it", "scores", "maps")
"""By changing an attribute in each scene; by the scores of scenes that have one value and the other; by the
evidence on the attribute's part of such scenes, in its map. The last two change nothing."""
NAMES = (*VALUES, CLASS)
EVEN = 1 / len(NAMES)

Moves = Float[np.ndarray, "training name scene"]
"""Signed movements: from the first value to the second, of each attribute and the class."""


@dataclass(frozen=True)
class Part:
    """How much of all movements is due to one attribute."""

    name: str
    value: float
    interval: tuple[float, float]

    @property
    def named(self) -> bool:
        """Whether the whole interval lies above an even share."""
        return self.interval[0] > EVEN + 1e-9  # beyond rounding


def moves(rows: Sequence[Mapping[str, Any]], cases: Sequence[Case], way: str) -> Moves:
    """The movements that some networks show, found in one of `WAYS`."""
    by = {"changing it": _by_change, "scores": _by_scores, "maps": _by_maps}[way]
    return np.array([by(row, cases) for row in rows], dtype=float)


def parts(found: Moves, seed: int = 0) -> list[Part]:
    """The part of each attribute in all movements, the largest first; the class is not listed.

    Of several networks it is the mean of their parts. Intervals draw networks and scenes, each with
    replacement and crossed with the other (the pigeonhole bootstrap, Owen 2007), of 95 % for all attributes
    together (Bonferroni). Of a single network only scenes are drawn.
    """
    networks, _, scenes = found.shape
    level = 1 - 0.05 / len(VALUES)
    of_networks, of_scenes = crossed_draws(networks, scenes, seed)
    means = np.einsum("tas,ds->dta", found, of_scenes) / scenes
    drawn = np.einsum("dta,dt->da", _shares(means), of_networks) / networks
    ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    value = _shares(found.mean(2)).mean(0)
    listed = [
        Part(name, float(value[at]), (float(ends[0, at]), float(ends[1, at])))
        for at, name in enumerate(VALUES)
    ]
    return sorted(listed, key=lambda one: -one.value)


def first_named(found: Moves, seed: int = 0) -> str | None:
    """The attribute of the largest part where it is named; None where none is."""
    first = parts(found, seed)[0]
    return first.name if first.named else None


def _shares(means: Float[np.ndarray, "*some name"]) -> Float[np.ndarray, "*some name"]:
    sizes = np.abs(means)
    total = sizes.sum(-1, keepdims=True)
    return np.divide(sizes, total, out=np.full_like(sizes, EVEN), where=total > 0)


def _by_change(row: Mapping[str, Any], cases: Sequence[Case]) -> Float[np.ndarray, "name scene"]:
    before = np.array(row["probe"], dtype=float)
    return np.array([(np.array(row["changed"][name]) - before) * -_signs(cases, name) for name in NAMES])


def _by_scores(row: Mapping[str, Any], cases: Sequence[Case]) -> Float[np.ndarray, "name scene"]:
    scores = np.array(row["probe"], dtype=float)
    return np.array([_contrast(scores, cases, name) for name in NAMES])


def _by_maps(row: Mapping[str, Any], cases: Sequence[Case]) -> Float[np.ndarray, "name scene"]:
    # Evidence and score are in nats alike: the class is given all that the score moves by.
    own = [
        _contrast(np.array(row["nats"][where], dtype=float), cases, name) for name, where in REGION_OF.items()
    ]
    return np.array([*own, _contrast(np.array(row["probe"], dtype=float), cases, CLASS)])


def _contrast(values: Float[np.ndarray, " scene"], cases: Sequence[Case], name: str) -> np.ndarray:
    """Values whose mean is the mean of scenes with the second value less that of those with the first.

    Within each class, whose mean is taken off first; of the class itself over all scenes.
    """
    labels = np.array([0 if name == CLASS else case.label for case in cases])
    signs, less = _signs(cases, name), np.zeros(len(cases))
    for label in set(labels.tolist()):
        mine = labels == label
        less[mine] = values[mine].mean()
    return 2 * signs * (values - less)


def _signs(cases: Sequence[Case], name: str) -> np.ndarray:
    """-1 for a scene with the first value, 1 for one with the second."""
    return np.array([2 * (case.label if name == CLASS else case.values[name]) - 1 for case in cases])
