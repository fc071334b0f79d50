"""The numbers of the experiment as tables, and what they say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from vlx.studies.bias.crossed import crossed_mean
from vlx.studies.bias.finder import EVEN, WAYS, Part, moves, parts
from vlx.studies.bias.measured import REACH, blind_shares, cover_of
from vlx.studies.bias.world import CLASSES, REGIONS, VALUES, Case
from vlx.studies.found import Findings, Number, Picture, Table

Rows = Sequence[Mapping[str, Any]]
MENDED = {"rebalanced": "new images put in", "reweighted": "no new images"}


@dataclass(frozen=True, eq=False)
class Measured:
    """Everything that was measured."""

    attributes: Sequence[str]
    strength: float
    test: Sequence[Case]
    probes: Sequence[Case]
    rows: Mapping[str, Rows]
    """By kind of split: ``balanced``, an attribute, ``ground/rebalanced`` and so on; a row a training."""

    @cached_property
    def blind(self) -> Mapping[str, Mapping[str, Sequence[float]]]:
        """The shares of maps that know nothing on each part of the probes."""
        return blind_shares(cover_of(self.probes))

    def right(self, kind: str) -> Float[np.ndarray, "training scene"]:
        """Whether each network is right about each scene of the test."""
        labels = np.array([case.label for case in self.test])
        return np.array([(np.array(row["test"]) > 0) == labels for row in self.rows[kind]], dtype=float)

    def against(self, attribute: str) -> np.ndarray:
        """Which scenes of the test have the value that goes with the other class."""
        return np.array([not case.agrees(attribute) for case in self.test])

    def parts(self, kind: str, way: str) -> list[Part]:
        """What moves the scores of the networks of a kind."""
        return parts(moves(self.rows[kind], self.probes, way))

    def found(self, kind: str, way: str, *, blind: bool = False) -> list[list[Part]]:
        """The same of each network, or of each with shuffled weights."""
        rows = [row["shuffled"] if blind else row for row in self.rows[kind]]
        return [parts(moves([row], self.probes, way)) for row in rows]


def findings_of(found: Measured, settings: Mapping[str, Any], pictures: Sequence[Picture]) -> Findings:
    """What the numbers are and what they say."""
    tables = (
        _accuracy(found),
        _finding(found),
        *(_parts(found, way) for way in WAYS),
        _moved(found),
        _evidence(found),
    )
    return Findings(
        "bias",
        "Bias of data: what a network goes by, and what mending its data does",
        f"Networks tell {CLASSES[0]} from {CLASSES[1]}. In the images that they learn from, one attribute "
        f"goes with the class {found.strength:.0%} of the time. Do they go by it, is it found without "
        "being told, and are they better once the data are balanced?",
        _answer(found),
        tables,
        settings,
        tuple(pictures),
        notes=_notes(found),
    )


def _accuracy(found: Measured) -> Table:
    balanced = found.right("balanced")
    numbers = [_mean("balanced data", balanced)]
    for name in found.attributes:
        biased, against = found.right(name), found.against(name)
        as_learnt = np.where(against, 1 - found.strength, found.strength)
        numbers += [
            _mean(f"biased by {name}", biased),
            _mean(f"biased by {name}, scenes against it", biased[:, against]),
            _mean(f"biased by {name}, scenes as it learnt from", biased, as_learnt),
            _mean(f"balanced less biased by {name}", balanced - biased),
            _mean(f"balanced less biased by {name}, scenes against it", (balanced - biased)[:, against]),
        ]
        for how, told in MENDED.items():
            mended = found.right(f"{name}/{how}")
            numbers += [
                _mean(f"{name} {how} ({told})", mended),
                _mean(f"{name} {how} less biased", mended - biased),
            ]
        alone = (~against).astype(float)[None]
        numbers += [
            Number(f"going by {name} alone", float(alone.mean()), alone.size, control=True),
            Number(f"going by {name} alone, scenes as learnt from", found.strength, alone.size, control=True),
        ]
    return Table(
        "Accuracy on a balanced test",
        tuple(numbers),
        f"The share of {len(found.test)} scenes whose class is told right, in which every attribute has both "
        f"values equally often in both classes; {len(found.rows['balanced'])} networks of each kind, each "
        "with images of its own. Scenes against it: those whose attribute goes with the other class in the "
        "biased data, half of the test. Scenes as it learnt from: the same test weighed as biased as those "
        "data, as a validation split of them would be. Rebalanced: of what was found in the biased "
        "network, images of the rare value are put in the place of others until both are as many, the "
        "number of images kept (paper 6.3); reweighted: the same images, the rare ones with more weight. "
        "Differences are paired by scene and by training. Intervals draw networks and scenes, crossed.",
    )


def _finding(found: Measured) -> Table:
    numbers: list[Number] = []
    for way in WAYS:
        for name in found.attributes:
            each = found.found(name, way)
            hits = [one[0].name == name for one in each]
            alone = [[part.name for part in one if part.named] == [name] for one in each]
            numbers += [
                _share(f"{name} planted, by {way}: comes first", hits),
                _share(f"{name} planted, by {way}: alone is named", alone),
            ]
            blind = [one[0].name == name for one in found.found(name, way, blind=True)]
            numbers.append(
                _share(f"{name} planted, by {way}: comes first, shuffled weights", blind, control=True)
            )
        named = [any(part.named for part in one) for one in found.found("balanced", way)]
        numbers.append(_share(f"nothing planted, by {way}: something is named", named))
    numbers.append(Number("a guess comes first", 1 / len(VALUES), len(found.rows["balanced"]), control=True))
    return Table(
        "Is the planted attribute found?",
        tuple(numbers),
        f"The share of trainings in which it is. {len(VALUES)} attributes are ranked, unknowing which was "
        "planted, by their part in what moves a network's log-odds: by changing it, the scene is drawn again "
        "with the attribute's other value and nothing else changed; by scores, scenes with one value are set "
        "against those with the other, class by class; by maps, the same with the evidence on the "
        "attribute's own part of the scene in place of the score (of colour, size and side the object's). "
        "An attribute is named where the interval of its part, by scene and of 95 % for all attributes "
        f"together, lies above {EVEN:.3f}, an even share.",
    )


def _parts(found: Measured, way: str) -> Table:
    numbers: list[Number] = []
    count = len(found.rows["balanced"])
    for kind in ("balanced", *found.attributes):
        told = "balanced" if kind == "balanced" else f"{kind} planted"
        numbers += [
            Number(
                f"{told}: {at}. {part.name}{' *' if part.named else ''}", part.value,
                count * len(found.probes), part.interval, count,
            )
            for at, part in enumerate(found.parts(kind, way), 1)
        ]  # fmt: skip
    numbers.append(Number("an even share", EVEN, count, control=True))
    return Table(
        f"What the networks go by: found by {way}",
        tuple(numbers),
        "The part of each attribute in all movements of the log-odds, the object's own (one class in the "
        "place of the other) included, mean over trainings; the rest to 1 is the object's. A star: the whole "
        "interval, which draws networks and scenes and is of 95 % for all attributes together, lies above an "
        "even share.",
    )


def _evidence(found: Measured) -> Table:
    numbers: list[Number] = []
    for kind in ("balanced", *found.attributes):
        told = "balanced" if kind == "balanced" else f"{kind} planted"
        shares = _shares(found, kind)
        ranked = sorted(REGIONS, key=lambda one: -float(shares[one].mean()))
        numbers += [_mean(f"{told}: {at}. {region}", shares[region]) for at, region in enumerate(ranked, 1)]
    blind = _shares(found, "balanced", "shuffled")
    seen = {
        one: np.array([row["activation"][one] for row in found.rows["balanced"]], float) for one in REGIONS
    }
    for told, values in (("shuffled weights", blind), ("mean activation", seen)):
        numbers += [_mean(f"{told}: {region}", values[region], control=True) for region in REGIONS]
    for told, of_map in found.blind.items():
        numbers += [
            Number(f"{told}: {region}", float(np.mean(of_map[region])), len(found.probes), control=True)
            for region in REGIONS
        ]
    return Table(
        "Where the evidence lies",
        tuple(numbers),
        "The share of the positive part of a map on each part of a scene, ranked: the evidence for the class "
        f"that the network says against the other, at the last layer; {len(found.probes)} balanced scenes. "
        f"An object's part reaches {REACH} pixels around it, one place of the map; where parts overlap, "
        "and in places that several share, they have equal parts. A map without positive values counts as "
        "its area.",
    )


def _moved(found: Measured) -> Table:
    """By how much more of the evidence lies on a part than with balanced data."""
    numbers: list[Number] = []
    level = f"{1 - 0.05 / len(REGIONS):.2%}"
    for of in (None, "shuffled"):
        balanced = _shares(found, "balanced", of)
        for name in found.attributes:
            shares = _shares(found, name, of)
            more = {region: shares[region] - balanced[region] for region in REGIONS}
            ranked = sorted(REGIONS, key=lambda one: -float(more[one].mean()))
            for at, region in enumerate(ranked[: 1 if of else None], 1):
                _, ends = crossed_mean(more[region], level=1 - 0.05 / len(REGIONS))
                star = " *" if ends[0] > 0 and not of else ""
                told = f"{name} planted{', shuffled weights' if of else ''}: {at}. {region}{star}"
                numbers.append(replace(_mean(told, more[region], control=bool(of)), interval=ends))
    return Table(
        "Where the evidence lies, more than with balanced data",
        tuple(numbers),
        "The share of the evidence on each part of a scene less that of the network that learnt from "
        f"balanced data, on the same scenes and by training, ranked. A star: the whole interval ({level}, "
        "which is 95 % for the parts of a scene together; networks and scenes drawn) lies above 0. What a "
        "split is biased by shows here where it has a part of its own, as ground and neighbour have and "
        "colour has not.",
    )


def _shares(found: Measured, kind: str, of: str | None = None) -> dict[str, np.ndarray]:
    rows = [row if of is None else row[of] for row in found.rows[kind]]
    values = {region: np.array([row["shares"][region] for row in rows], float) for region in REGIONS}
    return {
        region: np.where(np.isnan(one), found.blind["area"][region], one) for region, one in values.items()
    }


def _mean(
    name: str,
    values: Float[np.ndarray, "training scene"],
    weights: np.ndarray | None = None,
    *,
    control: bool = False,
) -> Number:
    mean, interval = crossed_mean(values, weights)
    return Number(name, mean, values.size, interval, len(values), control)


def _share(name: str, hits: Sequence[bool], *, control: bool = False) -> Number:
    return Number(name, float(np.mean(hits)), len(hits), None, None, control)


def _answer(found: Measured) -> str:
    count = len(found.rows["balanced"])
    balanced = found.right("balanced").mean()
    told: list[str] = []
    for name in found.attributes:
        gain, ends = crossed_mean(found.right("balanced") - found.right(name))
        first = sum(one[0].name == name for one in found.found(name, WAYS[0]))
        maps = sum(one[0].name == name for one in found.found(name, "maps"))
        told.append(
            f"biased by {name} they are right {found.right(name).mean():.3f} of the time, {abs(gain):.3f} "
            f"{'less' if gain >= 0 else 'more'} than on balanced data ({ends[0]:.3f} to {ends[1]:.3f}), and "
            f"{name} comes first in {first} of {count} by changing it, in {maps} by maps"
        )
    alarms = sum(any(part.named for part in one) for one in found.found("balanced", WAYS[0]))
    return (
        f"On a balanced test networks of balanced data are right {balanced:.3f} of the time; "
        + "; ".join(told)
        + f". Of {count} networks of balanced data {alarms or 'none'} "
        + ("has" if alarms == 1 else "have")
        + " an attribute named."
    )


def _notes(found: Measured) -> tuple[str, ...]:
    orders: list[str] = []
    for name in found.attributes:
        _, ends = crossed_mean(found.right("balanced") - found.right(name))
        holds = "holds" if ends[0] > 0 else "is not sure"
        orders.append(f"biased by {name} it {holds}")
    return (
        "The paper's order, balanced data above biased data on a balanced test (90 % against 82 %, VGG-16 on "
        f"doctors and nurses, one training each, sizes not stated): {'; '.join(orders)}.",
        "The paper has one biased attribute, gender, seen on a face; the nearest here is neighbour, a "
        "person or a dog in the scene. Its data were 78 % and 93 % biased.",
        "A bias by ground is spread over many places, each with a little: a picture scaled to its maximum "
        "hides it, and the shares on parts of a scene show it.",
        "Colour lies on the object itself: shares on parts of a scene cannot show it: they fall on the "
        "object and rise a little on all else. What finds it is changing it, or the evidence on objects of "
        "one colour against those of the other.",
        "A place of the last maps sees a window of 121 x 121 pixels, more than half of a scene's side, so "
        "that evidence of an object lies around it too: parts of a scene are told apart only so far.",
    )
