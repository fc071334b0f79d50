"""Decide what a scene shows, before anything is drawn. Geometry in pixels, origin at the top left."""

from dataclasses import dataclass

import numpy as np

from vlx.scenes.inventory import CATEGORIES, COLOURS, GROUNDS, Category, Glyph

SIDE = 224  # pixels of a scene's width and height
SCALES = (0.15, 0.5)  # an object's longer side, as a share of SIDE
OVERLAP = 0.15  # the largest share of the smaller of two squares that the other may cover
MOST = 4  # objects in a scene


@dataclass(frozen=True)
class Item:
    """One object: which glyph, how large, where its centre is, turned, mirrored and coloured how."""

    category: Category
    glyph: Glyph
    size: int
    """The longer side of the glyph before turning, in pixels."""
    row: float
    col: float
    angle: float
    """Degrees, counter-clockwise."""
    mirrored: bool
    colour: str | None
    """The name of the hue it is given; None where the glyph keeps its own."""


@dataclass(frozen=True)
class Scene:
    """A ground and some objects, drawn in this order; later ones lie in front."""

    ground: str
    items: tuple[Item, ...]
    texture: int
    """The seed of the ground's texture."""


_WEIGHTS = np.array([2.0 if category.colours else 1.0 for category in CATEGORIES])
_SHARES = _WEIGHTS / _WEIGHTS.sum()  # things of many colours come twice as often, to be asked about


def plan_scene(random: np.random.Generator) -> Scene:
    """A random scene of 1 to 4 objects that overlap by little.

    Some scenes repeat a category, so that there is something to count.
    """
    count = int(random.choice([1, 2, 3, 4], p=[0.2, 0.4, 0.2, 0.2]))
    kinds: list[Category] = []
    while len(kinds) < count:
        repeat = bool(kinds) and random.random() < 0.4
        kinds.append(kinds[-1] if repeat else CATEGORIES[random.choice(len(CATEGORIES), p=_SHARES)])
    items: list[Item] = []
    for category in kinds:
        for _ in range(60):
            item = _item(category, random, count)
            if all(_overlap(item, other) <= OVERLAP for other in items):
                items.append(item)
                break
    ground = str(random.choice(list(GROUNDS)))
    return Scene(ground, tuple(items), int(random.integers(2**31)))


def _item(category: Category, random: np.random.Generator, count: int) -> Item:
    low, high = SCALES
    share = random.uniform(low, high if count < 3 else 0.4)
    size = round(share * SIDE)
    glyph = category.glyphs[random.integers(len(category.glyphs))]
    edge = size / 2
    row, col = random.uniform(edge, SIDE - edge, size=2)
    colour = str(random.choice(list(COLOURS))) if category.colours else None
    return Item(
        category, glyph, size, float(row), float(col),
        float(random.uniform(-20, 20)), bool(glyph.flips and random.random() < 0.5), colour,
    )  # fmt: skip


def _overlap(one: Item, other: Item) -> float:
    """The share of the smaller square that the other covers."""
    reach = (one.size + other.size) / 2
    down = min(reach - abs(one.row - other.row), min(one.size, other.size))
    across = min(reach - abs(one.col - other.col), min(one.size, other.size))
    return max(down, 0) * max(across, 0) / min(one.size, other.size) ** 2
