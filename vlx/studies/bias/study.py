"""The bias of data as an experiment (paper, section 6.3): two classes, one attribute that goes with them.

Networks learn from splits that are biased by one attribute, and from a balanced one. What each goes by is
then looked for without being told, and the data of the biased ones are mended by what was found.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from vlx.adapters.files.weights import load_weights, save_weights
from vlx.errors import VlxError
from vlx.scenes.render import need_font
from vlx.studies.bias.figures import figure_of, parts_figure
from vlx.studies.bias.finder import WAYS, first_named, moves
from vlx.studies.bias.learned import Head, Recipe, fixed_part, learned, new_head
from vlx.studies.bias.measured import Probes, Seen, measured, probes_of, seen_cases
from vlx.studies.bias.tables import Measured, findings_of
from vlx.studies.bias.world import (
    PLANTED,
    Case,
    attribute_named,
    balanced_cases,
    evened,
    planted,
    pool_of,
    rebalanced,
)
from vlx.studies.found import Findings
from vlx.studies.kept import claim, kept_rows
from vlx.studies.page import write_findings

_TEST, _PROBES, _POOLS = 1, 2, 3  # streams of scenes
Told = Callable[[str], None]


@dataclass(frozen=True)
class BiasSettings:
    """Everything that decides the numbers."""

    attributes: tuple[str, ...] = PLANTED
    """Which are planted, each in splits of its own."""
    strength: float = 0.95
    """The share of the scenes of a class whose attribute has the value that goes with it."""
    images: int = 200
    """Of each class to learn from."""
    trainings: int = 5
    """Networks of each kind; each learns from scenes of its own."""
    test: int = 200
    """Scenes to test on, balanced."""
    probes: int = 96
    """Scenes in which attributes are looked for and changed, balanced; none is in the test."""
    seed: int = 0
    device: str = "cpu"
    recipe: Recipe = field(default_factory=Recipe)


def bias_study(settings: BiasSettings, out: Path, told: Told = print) -> Findings:
    """Train, look for what the networks go by, mend, and write what was found to ``out``.

    What was trained and measured before is kept: a study that stopped goes on. Raises VlxError for settings
    that make no study, and for a folder that holds another.
    """
    checked(settings)
    need_font()
    claim(out, {"study": "bias", **_plain(settings)})
    bench = _Bench(settings, out)
    names = [f"{at}/{kind}" for at in range(settings.trainings) for kind in _kinds(settings)]
    first = dict(zip(names, kept_rows(out / "trained.jsonl", names, bench.trained, told), strict=True))
    found = {name: row["found"] for name, row in first.items()}
    fixes = [
        f"{name}/{how}" for name in names if "balanced" not in name for how in ("rebalanced", "reweighted")
    ]
    mended = kept_rows(out / "mended.jsonl", fixes, lambda name: bench.mended(name, found, first), told)
    every = {**first, **dict(zip(fixes, mended, strict=True))}
    results = _collected(settings, every)
    maps = [figure_of(name, bench.pair(name), bench.below, bench.test) for name in settings.attributes]
    kinds = _kinds(settings)
    bars = parts_figure({kind: {way: results.parts(kind, way) for way in WAYS} for kind in kinds})
    pictures = [*(one for one in maps if one is not None), bars]
    findings = findings_of(results, _plain(settings), pictures)
    write_findings(out, findings)
    return findings


def checked(settings: BiasSettings) -> None:
    """Raise VlxError for settings that make no study."""
    for name in settings.attributes:
        attribute_named(name)
    if not settings.attributes:
        raise VlxError(f"no attribute to bias a split by: give one of {', '.join(PLANTED)}")
    if not 0.5 <= settings.strength <= 1:
        raise VlxError(f"a strength of {settings.strength:g}: give .5, where nothing is biased, to 1")
    if settings.images < 10 or settings.images % 2:
        raise VlxError(f"{settings.images} images of each class: give an even number from 10 on")
    for what, count in (("scenes to test on", settings.test), ("probes", settings.probes)):
        if count < 8 or count % 4:
            raise VlxError(f"{count} {what}: give a multiple of 4 from 8 on")
    if settings.trainings < 1:
        raise VlxError(f"{settings.trainings} trainings: give 1 or more")


class _Bench:
    """What trainings share: the fixed part, scenes to test on, and the pool of the training at hand."""

    def __init__(self, settings: BiasSettings, out: Path) -> None:
        self.settings, self.weights = settings, out / "weights"
        self._pool = lru_cache(maxsize=1)(self._drawn_pool)

    @cached_property
    def below(self) -> nn.Sequential:
        return fixed_part(self.settings.device)

    @cached_property
    def test(self) -> Seen:
        return seen_cases(self.below, balanced_cases([self.settings.seed, _TEST], self.settings.test // 2))

    @cached_property
    def probes(self) -> Probes:
        return probes_of(self.below, probe_cases(self.settings))

    def trained(self, name: str) -> dict[str, Any]:
        """The row of a network that learns from a balanced or a biased split."""
        at, kind = name.split("/")
        row = self._row(name, self._split(int(at), kind), None)
        return {**row, "found": first_named(moves([row], self.probes.cases, "changing it"))}

    def mended(self, name: str, found: Mapping[str, str | None], first: Mapping[str, Any]) -> dict[str, Any]:
        """The row of a network that learns from a biased split with what was found in it put right."""
        before, how = name.rsplit("/", 1)
        guide = found[before]
        if guide is None:  # nothing was found, so that nothing is put right
            return {key: value for key, value in first[before].items() if key != "found"} | {"guide": None}
        at, kind = before.split("/")
        cases, split = self._pool(int(at)).cases, self._split(int(at), kind)
        if how == "rebalanced":
            split, weights = rebalanced(cases, split, guide, [self.settings.seed, int(at)]), None
        else:
            weights = evened(cases, split, guide)
        return {**self._row(name, split, weights), "guide": guide}

    def pair(self, attribute: str) -> tuple[Head, Head]:
        """The first biased network, and the balanced one beside it."""
        return self._head(f"0/{attribute}"), self._head("0/balanced")

    def _row(self, name: str, split: Sequence[int], weights: np.ndarray | None) -> dict[str, Any]:
        at = int(name.split("/")[0])
        pool = self._pool(at)
        labels = np.array([pool.cases[number].label for number in split])
        head = learned(
            pool.features[list(split)], labels, weights, 1000 * self.settings.seed + at, self.settings.recipe
        )
        self.weights.mkdir(parents=True, exist_ok=True)
        save_weights(self._file(name), head)
        return measured(head, self.test, self.probes, self.settings.seed)

    def _head(self, name: str) -> Head:
        if not self._file(name).is_file():
            self.trained(name)
        head = new_head(0)
        head.load_state_dict(load_weights(self._file(name)))
        return head.to(self.settings.device).requires_grad_(False)

    def _file(self, name: str) -> Path:
        return self.weights / f"{name.replace('/', '-')}.safetensors"

    def _split(self, at: int, kind: str) -> list[int]:
        each, cases = self.settings.images, self._pool(at).cases
        if kind == "balanced":
            return list(range(2 * each))
        return planted(cases, kind, self.settings.strength, each, [self.settings.seed, at])

    def _drawn_pool(self, at: int) -> Seen:
        cases = pool_of([self.settings.seed, _POOLS, at], self.settings.strength, self.settings.images)
        return seen_cases(self.below, cases)


def probe_cases(settings: BiasSettings) -> list[Case]:
    """The scenes in which attributes are looked for."""
    return balanced_cases([settings.seed, _PROBES], settings.probes // 2)


def _kinds(settings: BiasSettings) -> tuple[str, ...]:
    return ("balanced", *settings.attributes)


def _collected(settings: BiasSettings, rows: Mapping[str, dict[str, Any]]) -> Measured:
    def of(kind: str) -> list[dict[str, Any]]:
        return [rows[f"{at}/{kind}"] for at in range(settings.trainings)]

    kinds = [*_kinds(settings), *_mended_kinds(settings)]
    test = balanced_cases([settings.seed, _TEST], settings.test // 2)
    return Measured(
        settings.attributes,
        settings.strength,
        test,
        probe_cases(settings),
        {kind: of(kind) for kind in kinds},
    )


def _mended_kinds(settings: BiasSettings) -> Iterator[str]:
    for name in settings.attributes:
        yield f"{name}/rebalanced"
        yield f"{name}/reweighted"


def _plain(settings: BiasSettings) -> dict[str, Any]:
    return {**asdict(settings), "attributes": list(settings.attributes)}
