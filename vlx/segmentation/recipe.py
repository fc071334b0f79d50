"""The recipes: everything that decides what a training gives, as a value."""

from dataclasses import dataclass, field
from typing import Literal

from vlx.errors import VlxError, near_names
from vlx.segmentation.crf import Crf


@dataclass(frozen=True)
class Recipe:
    """How a segmentation network learns."""

    name: str
    network: str
    """`vlx.segmentation.network.NETWORKS` has it by this name."""
    side: int
    """Rows and columns of the network input; images are squashed to it."""
    grid: tuple[int, int]
    """Of seeds and scores."""
    steps: int
    batch: int
    rate: float
    """Of learning, for all but the last layer."""
    last_rate: float
    """Times that, for the last layer."""
    drop: float
    """What the rate is multiplied by after every ``drop_every`` steps."""
    drop_every: int
    decay: float
    optimiser: Literal["sgd", "adamw"]
    """sgd has a momentum of .9."""
    frozen: bool
    """Whether the convolutions stay as they are, so that only what is above them learns."""
    mirror: bool
    """Whether half of the batches are mirrored."""
    crf: Crf = field(default_factory=Crf)
    background_layer: str | None = None
    """Where the saliency for background seeds is taken; None takes the layer that is explained."""


SCENES = Recipe(
    "scenes", "small", side=224, grid=(28, 28), steps=240, batch=16, rate=2e-3, last_rate=1.0,
    drop=0.1, drop_every=180, decay=1e-2, optimiser="adamw", frozen=True, mirror=True,
    crf=Crf(steps=5, scale=8.0), background_layer="last/2",
)  # fmt: skip
"""For the built-in scenes on two cores."""
VOC12 = Recipe(
    "voc12", "large_fov", side=321, grid=(41, 41), steps=8000, batch=15, rate=1e-3, last_rate=10.0,
    drop=0.1, drop_every=2000, decay=5e-4, optimiser="sgd", frozen=False, mirror=False,
)  # fmt: skip
"""Kolesnikov and Lampert 2016, as their released solver has it, for PASCAL VOC 2012 and a GPU."""
RECIPES = (SCENES, VOC12)


def recipe_named(name: str) -> Recipe:
    """A recipe by its name. Raises VlxError for an unknown one.

    >>> recipe_named("voc12").steps
    8000
    """
    found = {one.name: one for one in RECIPES}
    if name not in found:
        raise VlxError(f"no recipe {name!r}{near_names(name, found)}; known: {', '.join(found)}")
    return found[name]
