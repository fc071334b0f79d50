"""Which rater judges what: a design in which all visualisations meet the same raters and the same images.

Groups, each an image and a category, are divided into blocks. In a block every rater judges each group in one
visualisation, and the visualisations go round from rater to rater, as in a Latin square: so many raters as
there are visualisations give each question of the block one rating, and each rater sees every visualisation
as often as any other. Where a block is no larger than half of all, none sees an image twice.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from vlx.errors import VlxError
from vlx.eval.items.item import seed_of
from vlx.studies.people.questions import CHECK, Question, methods_in


@dataclass(frozen=True)
class Asked:
    """A question as one rater is asked it."""

    question: str
    """Its name."""
    turned: bool


def assigned(
    questions: Sequence[Question], ratings: int, per_rater: int, checks: int, seed: int
) -> list[list[Asked]]:
    """What each rater is asked, in order: questions at random, attention checks spread among them.

    Every question is asked ``ratings`` times, as often in either arrangement as ``ratings`` allow. A rater is
    asked at most ``per_rater`` questions and ``checks`` attention checks besides. Raises VlxError where
    there is nothing to ask.
    """
    methods = methods_in(questions)
    of = {(one.group, one.shown): one for one in questions if one.shown != CHECK}
    groups = _in_rounds([one for one in questions if one.shown != CHECK])
    if not groups:
        raise VlxError("there is nothing to ask: no image serves")
    plain = [one for one in questions if one.shown == CHECK]
    sides = {name: random.Random(seed_of(seed, f"side {name}")).random() < 0.5 for name in of}
    raters: list[list[Asked]] = []
    for again in range(ratings):
        blocks = _blocks(groups, per_rater, random.Random(seed_of(seed, f"blocks {again}")))
        for block in blocks:
            turns = random.Random(seed_of(seed, f"methods {again}")).sample(methods, len(methods))
            for first in range(len(turns)):
                pairs = [(group, turns[(at + first) % len(turns)]) for at, group in enumerate(block)]
                mine = [Asked(of[one].name, sides[one] != bool(again % 2)) for one in pairs if one in of]
                raters.append(_with_checks(mine, plain, checks, seed, len(raters)))
    return raters


def _in_rounds(questions: Sequence[Question]) -> list[list[str]]:
    """The groups of each image."""
    found: dict[str, dict[str, None]] = {}
    for one in questions:
        found.setdefault(one.image, {})[one.group] = None
    return [list(mine) for mine in found.values()]


def _blocks(images: Sequence[Sequence[str]], most: int, chance: random.Random) -> list[list[str]]:
    """The groups in blocks of at most so many, as equal as can be, with one image far from itself."""
    mixed = [chance.sample(list(one), len(one)) for one in chance.sample(list(images), len(images))]
    rounds = range(max(map(len, mixed)))
    order = [one[number] for number in rounds for one in mixed if number < len(one)]
    count = -(-len(order) // most)
    edges = [len(order) * at // count for at in range(count + 1)]
    return [order[start:end] for start, end in pairwise(edges)]


def _with_checks(
    mine: list[Asked], plain: Sequence[Question], count: int, seed: int, rater: int
) -> list[Asked]:
    """The questions in random order, one check at a random place in each of so many equal parts."""
    chance = random.Random(seed_of(seed, f"order {rater}"))
    order = chance.sample(mine, len(mine))
    chosen = chance.sample(list(plain), min(count, len(plain)))
    turned = chance.sample([at % 2 == 0 for at in range(len(chosen))], len(chosen))
    for at in reversed(range(len(chosen))):
        low, high = len(mine) * at // len(chosen), len(mine) * (at + 1) // len(chosen)
        order.insert(chance.randint(low, max(low, high - 1)), Asked(chosen[at].name, turned[at]))
    return order


def raters_of(groups: int, methods: int, ratings: int, per_rater: int) -> int:
    """How many raters `assigned` plans.

    >>> raters_of(90, 4, 9, 45)
    72
    """
    return ratings * methods * -(-groups // per_rater)


def opaque(names: Sequence[str], seed: int) -> Mapping[tuple[str, bool], str]:
    """A code for each question in either arrangement, which tells nothing of it.

    >>> sorted(map(len, opaque(["a"], 0).values()))
    [8, 8]
    """
    both = [(name, turned) for name in sorted(names) for turned in (False, True)]
    chance = random.Random(seed_of(seed, "codes"))
    codes = chance.sample(range(16**7, 16**8), len(both))
    return {one: f"{code:08x}" for one, code in zip(both, codes, strict=True)}
