"""Scenes for training, rendered into one memory-mapped array, and their labels."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from tqdm import tqdm

from vlx.scenes import scene_random
from vlx.scenes.inventory import CATEGORIES, COLOURS, GROUNDS
from vlx.scenes.plan import MOST, SIDE, Item, Scene, plan_scene
from vlx.scenes.render import render

PLACE = {category.id: at for at, category in enumerate(CATEGORIES)}
GLYPHS = tuple(glyph.char for category in CATEGORIES for glyph in category.glyphs)
_GLYPH = {char: at for at, char in enumerate(GLYPHS)}
_COLOUR = {name: at for at, name in enumerate(COLOURS)}
_GROUND = {name: at for at, name in enumerate(GROUNDS)}


def glyph_index(item: Item) -> int:
    """The position of an object's glyph among `GLYPHS`."""
    return _GLYPH[item.glyph.char]


def colour_index(item: Item) -> int:
    """The position of an object's colour among `COLOURS`, or -1 where it keeps its own."""
    return _COLOUR.get(item.colour or "", -1)


def plans(seed: int, count: int) -> list[Scene]:
    """The scenes of a world."""
    return [plan_scene(scene_random(seed, index)) for index in range(count)]


def drawn(seed: int, count: int, workers: int = 2) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """The pixels of a world's scenes, one after the other, drawn by other processes."""
    with get_context("spawn").Pool(workers) as pool:
        jobs = ((seed, index) for index in range(count))
        yield from tqdm(pool.imap(_picture, jobs, chunksize=64), total=count, desc="rendering")


def pictures(path: Path, seed: int, count: int) -> UInt8[np.ndarray, "scene height width 3"]:
    """The pixels of a world's scenes, rendered once and kept in the file ``path``."""
    done = path.with_suffix(".done")
    if not done.is_file():
        array = np.lib.format.open_memmap(path, "w+", np.uint8, (count, SIDE, SIDE, 3))
        for index, pixels in enumerate(drawn(seed, count)):
            array[index] = pixels
        array.flush()
        done.touch()
    return np.load(path, mmap_mode="r")


def _picture(job: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
    return render(plan_scene(scene_random(*job)))[0]


@dataclass(frozen=True, eq=False)
class Labels:
    """What the CNN is taught about each scene, as image-level labels; -1 where undefined."""

    glyphs: Float[Tensor, "scene glyph"]
    """1 where the glyph is there."""
    counts: Tensor
    """(scene, category): how many, 0 to 4."""
    cols: Float[Tensor, "scene category"]
    """-1 to 1 from left to right for categories that stand there once; else NaN."""
    colours: Tensor
    """(scene, category): the colour of a category that stands there once; else -1."""
    grounds: Tensor
    """(scene,): which ground."""

    def of(self, rows: Tensor, device: torch.device) -> "Labels":
        """The labels of some scenes, on a device."""
        parts = (self.glyphs, self.counts, self.cols, self.colours, self.grounds)
        return Labels(*(part[rows].to(device) for part in parts))


def labels(scenes: Sequence[Scene]) -> Labels:
    """The labels of some scenes."""
    glyphs = torch.zeros(len(scenes), len(GLYPHS))
    counts = torch.zeros(len(scenes), len(CATEGORIES), dtype=torch.long)
    cols = torch.full((len(scenes), len(CATEGORIES)), torch.nan)
    colours = torch.full((len(scenes), len(CATEGORIES)), -1)
    for row, scene in enumerate(scenes):
        often = Counter(item.category.id for item in scene.items)
        for item in scene.items:
            place = PLACE[item.category.id]
            glyphs[row, glyph_index(item)] = 1
            counts[row, place] = min(often[item.category.id], MOST)
            if often[item.category.id] == 1:
                cols[row, place] = 2 * item.col / SIDE - 1
                colours[row, place] = colour_index(item)
    grounds = torch.tensor([_GROUND[scene.ground] for scene in scenes])
    return Labels(glyphs, counts, cols, colours, grounds)
