"""The built-in world: scenes whose truth is known, in the formats of COCO, VQA, DenseCap and VQA-HAT."""

import numpy as np

from vlx.scenes.held_out import held_out_scenes

__all__ = ["held_out_scenes", "scene_random"]


def scene_random(seed: int, index: int) -> np.random.Generator:
    """The random numbers of scene ``index`` of a world: the same on every machine."""
    return np.random.default_rng([seed, index])
