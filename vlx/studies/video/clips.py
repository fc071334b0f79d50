"""Clips of the built-in world: objects move or change their size for a while, others stand still beside them.

Objects are cut out of the held-out scenes by their masks; those to train on come from scenes of even numbers,
those to test on from scenes of odd ones. So where and when something happens is known to the pixel and the
frame, and no still picture tells what happens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from vlx.eval.data.coco import instance_mask, read_instances
from vlx.scenes.held_out import held_out_scenes

SIDE, COUNT = 40, 16
"""Pixels of a frame's height and width in clips to learn from, and frames of a clip."""
EVENTS = ("moves right", "moves left", "moves down", "moves up", "grows", "shrinks")
"""What happens: the classes."""
_WAYS = {"moves right": (0, 1), "moves left": (0, -1), "moves down": (1, 0), "moves up": (-1, 0)}
_LASTS = (5, 8)  # steps of an event, from and below
_SIZES = (10, 15)  # an object's longer side, in pixels
_GROWTH = 2.0
_TRIES = 60  # to find a place for another object
_LARGE = 500  # pixels of a scene that an object has at least

Part = Literal["train", "test"]


@dataclass(frozen=True, eq=False)
class Cutout:
    """An object cut out of a scene: colours, and which pixels are its own."""

    name: str
    pixels: UInt8[np.ndarray, "height width 3"]
    mask: Bool[np.ndarray, "height width"]


@dataclass(frozen=True, eq=False)
class Happening:
    """One event of a clip."""

    event: int
    """Which of `EVENTS`."""
    thing: str
    """What it happens to."""
    first: int
    """The last frame before it, which shows where it begins."""
    last: int
    """The frame that shows where it ends."""
    seen: Bool[np.ndarray, "time height width"]
    """The object that it happens to, in all frames."""

    @property
    def span(self) -> Bool[np.ndarray, " time"]:
        """The frames from `first` to `last`."""
        at = np.arange(len(self.seen))
        return (at >= self.first) & (at <= self.last)

    @property
    def during(self) -> Bool[np.ndarray, "time height width"]:
        """The object in the frames from `first` to `last`; nothing in others."""
        return self.seen & self.span[:, None, None]


@dataclass(frozen=True, eq=False)
class Clip:
    """A clip, and what is known of it."""

    name: str
    frames: UInt8[np.ndarray, "time height width 3"]
    happenings: tuple[Happening, ...]


def clip(
    seed: int,
    number: int,
    part: Part = "test",
    *,
    events: int = 1,
    side: int = SIDE,
    without: int | None = None,
) -> Clip:
    """The clip of a number; the same seed and number give the same.

    Of several ``events`` all are different, and happen to objects that keep out of one another's way. Of the
    first, kinds come in turn. ``without`` names one of them that does not happen: its object stands as
    before.

    >>> one = clip(5, 2)
    >>> one.happenings[0].event, one.frames.shape, len(clip(5, 2, events=2, side=56).happenings)
    (2, (16, 40, 40, 3), 2)
    """
    random = np.random.default_rng([seed, number, part == "train"])
    cutouts = _cutouts(part)
    chosen = [cutouts[at] for at in random.choice(len(cutouts), 3, replace=False)]
    kinds, planned = [number % len(EVENTS)], list[_Planned]()
    for at in range(events):
        if at:
            kinds.append(int(random.choice([kind for kind in range(len(EVENTS)) if kind not in kinds])))
        tries = [_planned(random, EVENTS[kinds[at]], side) for _ in range(1 if at == 0 else _TRIES)]
        planned.append(next((one for one in tries if not any(map(one.meets, planned))), tries[-1]))
    canvas = _ground(random, side)
    for cutout in chosen[events:] if events == 1 else ():
        size = float(random.integers(*_SIZES))
        row, col = random.uniform(size / 2, side - size / 2, 2)
        _paste(canvas, cutout, size, row, col)
    frames = np.repeat(canvas[None], COUNT, 0)
    happenings: list[Happening] = []
    for at, (one, cutout) in enumerate(zip(planned, chosen, strict=False)):
        track = [one.track[0]] * COUNT if at == without else one.track
        seen = np.stack([_paste(frame, cutout, *place) for frame, place in zip(frames, track, strict=True)])
        happenings.append(Happening(kinds[at], cutout.name, one.first, one.last, seen))
    grain = random.normal(0, 4, frames.shape)
    frames = np.clip(frames + grain, 0, 255).astype(np.uint8)
    return Clip(f"{seed}-{number}", frames, tuple(happenings))


def normalised(
    clips: Sequence[Clip],
) -> Float[Tensor, "batch 3 time height width"]:
    """Clips as network input, in -2 to 2."""
    frames = torch.from_numpy(np.stack([one.frames for one in clips]))
    return (frames.permute(0, 4, 1, 2, 3).float() / 255 - 0.5) / 0.25


@dataclass(frozen=True)
class _Planned:
    """Where an object is while something happens to it: its size and middle in every frame."""

    track: list[tuple[float, float, float]]
    first: int
    last: int

    def meets(self, other: "_Planned") -> bool:
        """Whether both objects ever are where the other is at any time."""
        mine, others = self._box(), other._box()
        return all(mine[at] < others[at + 2] and others[at] < mine[at + 2] for at in (0, 1))

    def _box(self) -> tuple[float, float, float, float]:
        low = [min(one[axis] - one[0] / 2 for one in self.track) for axis in (1, 2)]
        high = [max(one[axis] + one[0] / 2 for one in self.track) for axis in (1, 2)]
        return low[0], low[1], high[0], high[1]


def _planned(random: np.random.Generator, event: str, side: int) -> _Planned:
    steps = int(random.integers(*_LASTS))
    first = int(random.integers(0, COUNT - steps))
    size = float(random.integers(*_SIZES))
    done = np.clip((np.arange(COUNT) - first) / steps, 0, 1)  # how much of the event
    down, across = _WAYS.get(event, (0, 0))
    ratio = {"grows": _GROWTH, "shrinks": 1 / _GROWTH}.get(event, 1.0)
    if ratio < 1:
        size *= _GROWTH
    edge = size * max(ratio, 1.0) / 2
    long = min(random.uniform(2.2, 4.0) * steps, side - 2 * edge) if down or across else 0.0
    low = [edge + long * (way < 0) for way in (down, across)]
    high = [side - edge - long * (way > 0) for way in (down, across)]
    row, col = (random.uniform(a, max(b, a)) for a, b in zip(low, high, strict=True))
    track = [
        (float(size * ratio**share), float(row + down * long * share), float(col + across * long * share))
        for share in done
    ]
    return _Planned(track, first, first + steps)


def _paste(
    canvas: UInt8[np.ndarray, "height width 3"], cutout: Cutout, size: float, row: float, col: float
) -> Bool[np.ndarray, "height width"]:
    """Draw an object into a picture; returns its pixels."""
    high, wide = cutout.mask.shape
    scale = size / max(high, wide)
    shape = max(round(wide * scale), 1), max(round(high * scale), 1)
    pixels = np.asarray(Image.fromarray(cutout.pixels).resize(shape, Image.Resampling.BOX))
    mask = np.asarray(Image.fromarray(cutout.mask.astype(np.uint8) * 255).resize(shape, Image.Resampling.BOX))
    top, left = round(row - shape[1] / 2), round(col - shape[0] / 2)
    found = np.zeros(canvas.shape[:2], bool)
    rows = slice(max(top, 0), max(min(top + shape[1], canvas.shape[0]), 0))
    cols = slice(max(left, 0), max(min(left + shape[0], canvas.shape[1]), 0))
    own = mask[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left] >= 128
    found[rows, cols] = own
    canvas[found] = pixels[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left][own]
    return found


def _ground(random: np.random.Generator, side: int) -> UInt8[np.ndarray, "height width 3"]:
    """Soft spots around a colour."""
    base = random.uniform(60, 200, 3)
    spots = random.normal(0, 18, (6, 6)).astype(np.float32)
    soft = np.asarray(Image.fromarray(spots).resize((side, side), Image.Resampling.BICUBIC))
    return np.clip(base + soft[..., None], 0, 255).astype(np.uint8)


@cache
def _cutouts(part: Part) -> tuple[Cutout, ...]:
    """All whole, large enough objects of a part of the held-out scenes."""
    folder = held_out_scenes()
    known = read_instances(folder / "instances.json")
    found: list[Cutout] = []
    for number, image in known.images.items():
        if (number % 2 == 0) != (part == "train"):
            continue
        with Image.open(image.path(folder / "images")) as photo:
            pixels = np.asarray(photo.convert("RGB"))
        for one in known.of(number):
            mask = instance_mask(one, image)
            if mask.sum() < _LARGE:
                continue
            rows, cols = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
            box = slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)
            found.append(Cutout(one.category, pixels[box], mask[box]))
    return tuple(found)
