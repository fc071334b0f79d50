"""Simulated raters: programs, of no person, that judge a picture by where it is bright.

They prove that a study can be made, answered and analysed; what people would say they do not tell. A
simulated rater sees the picture that a page shows and where its two objects lie, never which of them, or
which model, is meant.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from vlx.eval.items.item import seed_of
from vlx.images.files import write_whole
from vlx.studies.people.answers import Line
from vlx.studies.people.make import Made
from vlx.studies.people.questions import Kind, arranged, mask_from, pixels_of

_DARK = 0.02  # of the mean over the picture, what every region counts at least
SLIGHT, CLEAR = 0.15, 0.6
"""By how much one of two pictures must lie more on the object to be slightly or clearly more reliable."""


@dataclass(frozen=True)
class SimulatedRater:
    """How a simulated rater judges."""

    noise: float = 0.7
    """The SD of what it is off by at each picture, in natural logarithms of a ratio of brightnesses."""
    side: float = 0.0
    """What it adds for the second object, or robot B, at each picture."""
    guesses: bool = False
    """Whether it answers at random without a look, also the attention checks."""


def salience(picture: np.ndarray, over_photo: bool) -> Float[np.ndarray, "height width"]:
    """How much each pixel of a picture stands out.

    Of colours over a grey photo how far it is from grey; else how far its colour is from the picture's
    median.

    >>> salience(np.array([[[9, 9, 9], [9, 9, 5]]]), over_photo=True)
    array([[0., 4.]])
    """
    pixels = picture.astype(np.float64)
    if over_photo:
        return pixels.max(2) - pixels.min(2)
    return np.abs(pixels - np.median(pixels, (0, 1))).sum(2)


def contrast(
    bright: Float[np.ndarray, "height width"],
    first: Bool[np.ndarray, "height width"],
    second: Bool[np.ndarray, "height width"],
) -> float:
    """The logarithm of how much brighter the first region is than the second, what both cover left out.

    0 where either covers nothing of its own, or nothing is bright.

    >>> round(contrast(np.array([[3.0, 1.0]]), np.array([[True, False]]), np.array([[False, True]])), 2)
    1.07
    """
    one, other = first & ~second, second & ~first
    least = _DARK * float(bright.mean())
    if not one.any() or not other.any() or least == 0:
        return 0.0
    return math.log((float(bright[one].mean()) + least) / (float(bright[other].mean()) + least))


def judged(
    kind: Kind,
    rater: SimulatedRater,
    pictures: tuple[bytes, ...],
    masks: tuple[bytes, ...],
    over_photo: bool,
    chance: random.Random,
) -> int:
    """An answer, from the pictures and objects as they stand on the page from left to right."""
    if rater.guesses:
        return chance.choice((1, 2) if kind == "discrimination" else (-2, -1, 0, 1, 2))
    where = [mask_from(one) for one in masks]
    seen = [salience(pixels_of(one), over_photo) for one in pictures]
    off = rater.side + chance.gauss(0, rater.noise)
    if kind == "discrimination":
        return 2 if off > contrast(seen[0], where[0], where[1]) else 1
    on = [contrast(one, where[0], ~where[0]) for one in seen]
    found = on[1] - on[0] + off
    size = 2 if abs(found) > CLEAR else 1 if abs(found) > SLIGHT else 0
    return size if found > 0 else -size


def simulated_raters(
    count: int, seed: int, *, noise: float = 0.7, guess_every: int = 12
) -> list[SimulatedRater]:
    """Raters of different leanings to one side; one of so many guesses, to be found by the checks (0: none).

    >>> [one.guesses for one in simulated_raters(3, 0, guess_every=2)]
    [False, True, False]
    """
    chance = random.Random(seed_of(seed, "simulated raters"))
    return [
        SimulatedRater(noise, chance.gauss(0, 0.1), bool(guess_every) and at % guess_every == 0)
        for at in range(1, count + 1)
    ]


def answer_all(made: Made, raters: Mapping[str, SimulatedRater], seed: int) -> None:
    """Write the answers of simulated raters as the server would write those of people."""
    (made.folder / "answers").mkdir(exist_ok=True)
    key = made.key
    for token, rater in raters.items():
        lines: list[str] = []
        for n, code in enumerate(key.raters[token], 1):
            name, turned = key.codes[code]
            question = made.questions[name]
            _, pictures, masks = arranged(key.kind, question, turned)
            chance = random.Random(seed_of(seed, f"{token} {code}"))
            answer = judged(key.kind, rater, pictures, masks, question.over_photo, chance)
            lines.append(Line(token, code, answer, n, 0).text(key.study))
        write_whole(made.folder / "answers" / f"{token}.jsonl", "".join(lines).encode())
