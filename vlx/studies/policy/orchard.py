"""A game to look at: a basket under falling apples and bombs, with the interface of Gymnasium's environments.

An observation is the last four pictures, 84 x 84 and grey, as agents of Atari games are given them. An apple
that is caught is worth 1, a bomb -1; three bombs end an episode, which else is cut off after 200 steps. A
ring drifts across the sky and never matters. The game is drawn here, so where everything stands is known, and
what the agent would see without one of the things.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from vlx.errors import VlxError

SIDE = 84
"""Pixels of a picture's height and width."""
FRAMES = 4
"""Pictures of an observation, the newest last."""
ACTIONS = ("left", "stay", "right")
STEPS = 200
"""An episode that no bomb ended is cut off behind so many."""
BOMBS = 3
"""So many that are caught end an episode."""

_FALL, _MOVE = 3, 4  # pixels a step
_REACH = 5  # half the side of what falls
_WIDE, _FLOOR, _HIGH = 9, 75, 5  # half the basket's width, its upper edge and its height
_EVERY = 15  # steps from one falling thing to the next

Stack = UInt8[np.ndarray, "frame height width"]
Mask = Bool[np.ndarray, "height width"]


@dataclass(frozen=True)
class Thing:
    """Something in the picture, by its middle in pixels."""

    kind: str
    """apple, bomb, basket or ring."""
    number: int
    """Tells it from the others of its kind in an episode."""
    row: float
    col: float

    @property
    def name(self) -> str:
        """What it is called: of what falls with its number."""
        return f"{self.kind} {self.number}" if self.kind in ("apple", "bomb") else self.kind


def _shapes() -> dict[str, tuple[Mask, int]]:
    """What is drawn of each kind around its middle, and how bright."""
    rows, cols = np.mgrid[-_REACH : _REACH + 1, -_REACH : _REACH + 1]
    apart = np.hypot(rows, cols)
    high, wide = np.mgrid[0:_HIGH, -_WIDE : _WIDE + 1]
    return {
        "apple": (apart <= _REACH, 235),
        "bomb": ((np.abs(rows) + np.abs(cols) <= _REACH + 1) & (apart >= 2), 150),
        "ring": ((apart <= _REACH) & (apart >= 3), 190),
        "basket": ((np.abs(wide) + high // 2 <= _WIDE) & ((high > 1) | (np.abs(wide) > 5)), 255),
    }


SHAPES = _shapes()


class Orchard:
    """One game. ``reset`` begins an episode, ``step`` acts; both give observations (frame, height, width).

    >>> game = Orchard()
    >>> observation, info = game.reset(seed=3)
    >>> observation, reward, terminated, truncated, info = game.step(2)
    >>> observation.shape, reward, terminated, truncated
    ((4, 84, 84), 0.0, False, False)
    """

    actions = ACTIONS

    def __init__(self) -> None:
        self._random = np.random.default_rng()
        self._seen: deque[tuple[Thing, ...]] = deque(maxlen=FRAMES)

    def reset(self, seed: int | None = None) -> tuple[Stack, dict[str, Any]]:
        """Begin an episode; the same seed begins the same."""
        if seed is not None:
            self._random = np.random.default_rng(seed)
        random = self._random
        self._ground = _ground(random)
        self._basket = int(random.integers(_WIDE, SIDE - _WIDE))
        self._ring = (
            int(random.integers(_REACH, 50)),
            int(random.integers(SIDE)),
            int(random.choice([-1, 1])),
        )
        self._falling: list[Thing] = []
        self._dropped = self._caught = self._bombs = self._step = 0
        self._drop()
        self._seen.clear()
        self._seen.extend([self.things] * FRAMES)
        return self.observation(), self._info()

    def step(self, action: int) -> tuple[Stack, float, bool, bool, dict[str, Any]]:
        """Act once: the observation, the reward, whether bombs ended the episode, whether it was cut off.

        Raises VlxError for no action of the game, and before ``reset``.
        """
        if not self._seen:
            raise VlxError("the game has not begun: call reset first")
        if action not in range(len(ACTIONS)):
            raise VlxError(f"{action!r} is no action: give 0 (left), 1 (stay) or 2 (right)")
        self._step += 1
        moved = self._basket + _MOVE * (int(action) - 1)
        self._basket = min(max(moved, _WIDE), SIDE - 1 - _WIDE)
        row, col, way = self._ring
        self._ring = row, (col + way * (self._step % 2)) % SIDE, way
        reward = self._fall()
        if self._step % _EVERY == 0:
            self._drop()
        self._seen.append(self.things)
        return self.observation(), reward, self._bombs >= BOMBS, self._step >= STEPS, self._info()

    @property
    def things(self) -> tuple[Thing, ...]:
        """All that is in the newest picture, what falls from the lowest on."""
        row, col, _ = self._ring
        falling = sorted(self._falling, key=lambda one: -one.row)
        basket = Thing("basket", 0, float(_FLOOR), float(self._basket))
        return Thing("ring", 0, float(row), float(col)), *falling, basket

    def observation(self, without: str | None = None) -> Stack:
        """The pictures, all of them without one of the things where it is named."""
        return np.stack([_drawn(self._ground, seen, without) for seen in self._seen])

    def masks(self) -> Mapping[str, Mask]:
        """The pixels of each thing in the newest picture, in any of the pictures of the observation.

        A thing that left since, or is not to be seen yet, is not among them.
        """
        names = [one.name for one in self._seen[-1]]
        found = {name: np.zeros((SIDE, SIDE), bool) for name in names}
        for seen in self._seen:
            for one in seen:
                if one.name in found:
                    place = _placed(one)
                    found[one.name][place[0]] |= place[1]
        return {name: mask for name, mask in found.items() if mask.any()}

    def _drop(self) -> None:
        kind = str(self._random.choice(["apple", "bomb"], p=[0.6, 0.4]))
        self._dropped += 1
        col = int(self._random.integers(_REACH, SIDE - _REACH))
        self._falling.append(Thing(kind, self._dropped, float(-_REACH), float(col)))

    def _fall(self) -> float:
        reward, left = 0.0, list[Thing]()
        for one in self._falling:
            lower = Thing(one.kind, one.number, one.row + _FALL, one.col)
            if lower.row + _REACH < _FLOOR + 2:
                left.append(lower)
            elif abs(lower.col - self._basket) <= _WIDE + 2:
                reward += 1.0 if one.kind == "apple" else -1.0
                self._caught += one.kind == "apple"
                self._bombs += one.kind == "bomb"
        self._falling = left
        return reward

    def _info(self) -> dict[str, Any]:
        return {"apples": self._caught, "bombs": self._bombs, "step": self._step}


def scripted(things: tuple[Thing, ...]) -> int:
    """What a player does who knows where all is: go under the lowest apple, else out of a bomb's way."""
    basket = things[-1].col
    falling = [one for one in things if one.kind in ("apple", "bomb")]
    if not falling:
        return 1
    lowest = falling[0]
    apples = [one for one in falling if one.kind == "apple"]
    near = abs(lowest.col - basket) <= _WIDE + 3
    if lowest.kind == "bomb" and near and lowest.row > 40:
        away = 1 if basket >= lowest.col else -1
        if basket + away * 2 * _MOVE not in range(_WIDE, SIDE - _WIDE):
            away = -away
        return 1 + away
    if not apples:
        return 1
    off = apples[0].col - basket
    return 1 if abs(off) < _MOVE else 2 if off > 0 else 0


def _ground(random: np.random.Generator) -> UInt8[np.ndarray, "height width"]:
    """Dark hills of four cells with some grain, new in every episode."""
    coarse = random.uniform(20, 80, (5, 5))
    at = np.linspace(0, 4, SIDE)
    first = np.minimum(at.astype(int), 3)
    share = at - first
    rows = coarse[first] * (1 - share)[:, None] + coarse[first + 1] * share[:, None]
    plane = rows[:, first] * (1 - share) + rows[:, first + 1] * share
    return (plane + random.uniform(-6, 6, plane.shape)).astype(np.uint8)


def _placed(one: Thing) -> tuple[tuple[slice, slice], Mask]:
    """The pixels that a thing takes: a part of the picture, and which pixels of it."""
    shape = SHAPES[one.kind][0]
    top = round(one.row) - (0 if one.kind == "basket" else _REACH)
    left = round(one.col) - shape.shape[1] // 2
    first = max(-top, 0), max(-left, 0)
    last = max(min(shape.shape[0], SIDE - top), 0), max(min(shape.shape[1], SIDE - left), 0)
    place = slice(top + first[0], max(top + last[0], 0)), slice(left + first[1], left + last[1])
    return place, shape[first[0] : last[0], first[1] : last[1]]


def _drawn(
    ground: UInt8[np.ndarray, "height width"], things: tuple[Thing, ...], without: str | None
) -> UInt8[np.ndarray, "height width"]:
    picture = ground.copy()
    for one in things:
        if one.name != without:
            place, shape = _placed(one)
            picture[place][shape] = SHAPES[one.kind][1]
    return picture
