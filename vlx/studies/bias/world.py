"""Scenes of two classes whose attributes are known and can be changed one at a time.

An attribute has two values. In a biased split the first goes with the first class, and the second with the
second, as often as its strength says; all others fall on both classes alike.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, UInt8

from vlx.errors import VlxError, near_names
from vlx.scenes.inventory import BY_NAME
from vlx.scenes.plan import SIDE, Item, Scene
from vlx.scenes.render import render

CLASSES = ("bus", "truck")
"""Alike enough that a network has to look twice, and of any colour."""
VALUES: Mapping[str, tuple[str, str]] = {
    "ground": ("grass", "sand"),
    "colour": ("red", "blue"),
    "neighbour": ("person", "dog"),
    "other object": ("clock", "cup"),
    "size": ("small", "large"),
    "side": ("left", "right"),
}
"""The attributes of a scene with their two values. ``neighbour`` and ``other object`` stand beside the object
that is asked for; colour, size and side are those of that object."""
PLANTED = ("ground", "colour", "neighbour")
"""Those that a split can be biased by."""
REGIONS = ("object", "neighbour", "other object", "ground")
"""Parts of a scene that have pixels of their own; together they are all of it."""
REGION_OF: Mapping[str, str] = {
    "ground": "ground",
    "colour": "object",
    "neighbour": "neighbour",
    "other object": "other object",
    "size": "object",
    "side": "object",
}
"""Where an attribute is seen."""
_SIZES = {"small": 0.11, "large": 0.14}  # of the object's longer side, as a share of the scene's
_BESIDE = (0.17, 0.23)
_SPINS = (-15.0, 15.0)


@dataclass(frozen=True)
class Case:
    """One scene of the study."""

    label: int
    """0 or 1: which of the two classes it shows."""
    values: Mapping[str, int]
    """Of each attribute, 0 or 1: which of its two values it has."""
    scene: Scene
    """Its objects: the one that is asked for, the neighbour, the other."""

    def agrees(self, attribute: str) -> bool:
        """Whether the attribute's value is the one that goes with the class in a biased split."""
        return self.values[attribute] == self.label


def attribute_named(name: str) -> str:
    """An attribute that a split can be biased by. Raises VlxError for any other.

    >>> attribute_named("ground")
    'ground'
    """
    if name not in PLANTED:
        known = ", ".join(PLANTED)
        raise VlxError(
            f"no attribute {name!r} to bias a split by{near_names(name, list(PLANTED))}; known: {known}"
        )
    return name


def balanced_cases(seed: Sequence[int], each: int) -> list[Case]:
    """Scenes, ``each`` of both classes in turn; within a class every attribute has each value equally often.

    What is drawn depends on the seed alone. ``each`` is even.
    """
    if each < 2 or each % 2:
        raise VlxError(f"{each} scenes of a class cannot be halved: give an even number from 2 on")
    random = np.random.default_rng(list(seed))
    halves = np.repeat([0, 1], each // 2)
    drawn = [{name: random.permutation(halves) for name in VALUES} for _ in CLASSES]
    return [
        _case(label, {name: int(values[at]) for name, values in drawn[label].items()}, random)
        for at in range(each)
        for label in range(len(CLASSES))
    ]


def changed(case: Case, attribute: str) -> Case:
    """The same scene with the other value of one attribute, everything else as it was.

    >>> case = balanced_cases([0], 2)[0]
    >>> changed(changed(case, "ground"), "ground") == case
    True
    """
    value = 1 - case.values[attribute]
    named = VALUES[attribute][value]
    scene, (item, *beside) = case.scene, case.scene.items
    if attribute == "ground":
        scene = replace(scene, ground=named)
    elif attribute == "colour":
        scene = replace(scene, items=(replace(item, colour=named), *beside))
    elif attribute == "size":
        scene = replace(scene, items=(replace(item, size=_pixels(_SIZES[named])), *beside))
    elif attribute == "side":
        mirrored = [replace(one, col=SIDE - one.col) for one in scene.items]
        scene = replace(scene, items=tuple(mirrored))
    else:
        at = REGIONS.index(attribute)
        items = [_as(one, named) if number == at else one for number, one in enumerate(scene.items)]
        scene = replace(scene, items=tuple(items))
    return Case(case.label, {**case.values, attribute: value}, scene)


def other_class(case: Case) -> Case:
    """The same scene with an object of the other class in the place of its own."""
    item, *beside = case.scene.items
    scene = replace(case.scene, items=(_as(item, CLASSES[1 - case.label]), *beside))
    return Case(1 - case.label, case.values, scene)


def drawn(case: Case) -> tuple[UInt8[np.ndarray, "height width 3"], Bool[np.ndarray, "region height width"]]:
    """The pixels of a scene, and where each of `REGIONS` is seen."""
    pixels, masks = render(case.scene)
    return pixels, np.concatenate([masks, ~masks.any(0, keepdims=True)])


def planted(
    pool: Sequence[Case], attribute: str, strength: float, each: int, seed: Sequence[int]
) -> list[int]:
    """Which scenes of a pool make a split of ``each`` scenes of both classes, in the order of the pool.

    So large a share of each class as ``strength`` says has the attribute's value that goes with it. Raises
    VlxError where the pool has too few.
    """
    found: list[int] = []
    random = np.random.default_rng(list(seed))
    agree = agreeing(strength, each)
    for label in range(len(CLASSES)):
        mine = [at for at, case in enumerate(pool) if case.label == label]
        for wanted, count in ((True, agree), (False, each - agree)):
            some = [at for at in mine if pool[at].agrees(attribute) == wanted]
            if len(some) < count:
                raise VlxError(f"{len(some)} scenes of a kind are too few for {count}")
            found += random.permutation(some)[:count].tolist()
    return sorted(found)


def agreeing(strength: float, each: int) -> int:
    """How many of ``each`` scenes of a class have the value that goes with it.

    >>> agreeing(0.95, 200)
    190
    """
    return round(strength * each)


def rebalanced(pool: Sequence[Case], split: Sequence[int], attribute: str, seed: Sequence[int]) -> list[int]:
    """The split with as many scenes of both values of an attribute in each class, and as many in all.

    What is too many of a value is taken out at random, and others of the pool are put in its place (paper,
    section 6.3). Raises VlxError where the pool has too few.
    """
    found: list[int] = []
    random = np.random.default_rng(list(seed))
    held = set(split)
    for label in range(len(CLASSES)):
        mine = [at for at in split if pool[at].label == label]
        for value in (0, 1):
            wanted = len(mine) // 2 + (value if len(mine) % 2 else 0)
            kept = [at for at in mine if pool[at].values[attribute] == value]
            new = [
                at for at, case in enumerate(pool)
                if at not in held and case.label == label and case.values[attribute] == value
            ]  # fmt: skip
            some = [*random.permutation(kept).tolist(), *random.permutation(new).tolist()]
            if len(some) < wanted:
                raise VlxError(f"{len(some)} scenes of a kind are too few for {wanted}")
            found += some[:wanted]
    return sorted(found)


def evened(pool: Sequence[Case], split: Sequence[int], attribute: str) -> Float[np.ndarray, " scene"]:
    """A weight for each scene of a split: both values of an attribute then weigh the same in each class."""
    kinds = [(pool[at].label, pool[at].values[attribute]) for at in split]
    counts = Counter(kinds)
    return np.array([1 / counts[kind] for kind in kinds])


def pool_of(seed: Sequence[int], strength: float, each: int) -> list[Case]:
    """Scenes that hold a balanced split, the first of them, and those of this strength by any attribute."""
    more = 2 * agreeing(strength, each) - each
    more += more % 2
    first = balanced_cases([*seed, 0], each)
    return [*first, *balanced_cases([*seed, 1], more)] if more > 0 else first


def _case(label: int, values: Mapping[str, int], random: np.random.Generator) -> Case:
    named = {name: VALUES[name][value] for name, value in values.items()}
    size = _SIZES[named["size"]]
    while True:
        item = _item(CLASSES[label], size, random, colour=named["colour"])
        if (item.col < SIDE / 2) != (named["side"] == "left"):
            item = replace(item, col=SIDE - item.col)
        beside = [
            _item(named[name], float(random.uniform(*_BESIDE)), random)
            for name in ("neighbour", "other object")
        ]
        # At its larger size too it covers nothing, so that a change of size changes nothing else.
        wide = replace(item, size=_pixels(max(_SIZES.values())))
        if not any(_touch(one, other) for one, other in combinations((wide, *beside), 2)):
            break
    scene = Scene(named["ground"], (item, *beside), int(random.integers(2**31)))
    return Case(label, dict(values), scene)


def _item(name: str, share: float, random: np.random.Generator, colour: str | None = None) -> Item:
    category = BY_NAME[name]
    glyph = category.glyphs[int(random.integers(len(category.glyphs)))]
    edge = _pixels(max(share, *_SIZES.values())) / 2
    row, col = (float(at) for at in random.uniform(edge, SIDE - edge, size=2))
    angle, mirrored = float(random.uniform(*_SPINS)), bool(random.random() < 0.5)
    return Item(category, glyph, _pixels(share), row, col, angle, mirrored, colour)


def _as(item: Item, name: str) -> Item:
    """The object with another category in its place: the glyph of the same rank, as far as there are any."""
    category = BY_NAME[name]
    rank = item.category.glyphs.index(item.glyph)
    return replace(item, category=category, glyph=category.glyphs[rank % len(category.glyphs)])


def _pixels(share: float) -> int:
    return round(share * SIDE)


def _touch(one: Item, other: Item) -> bool:
    reach = (one.size + other.size) / 2
    return abs(one.row - other.row) < reach and abs(one.col - other.col) < reach
