"""What can be said and asked about a scene, by rule: captions, region captions, questions with answers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vlx.scenes.inventory import CATEGORIES, GROUNDS, Category, Noun
from vlx.scenes.plan import SIDE, Item, Scene

ASIDE = 0.4  # an object is on the left where its centre is left of this share of the width
APART = 0.2  # how far two centres differ, as a share of the width, for one to be left of the other


@dataclass(frozen=True)
class Asked:
    """A question, its answer, and which objects a person would look at to answer it."""

    question: str
    answer: str
    kind: str
    """``what``, ``colour``, ``count``, ``presence``, ``side`` or ``left of``."""
    look: tuple[int, ...]
    """Positions in the scene's items; for an absent object, all of them."""


def captions(scene: Scene, random: np.random.Generator, count: int = 5) -> list[str]:
    """Sentences that name every object of the scene, in any order.

    Four of five name one object after the other, "a dog, a cat and another dog". Only the fifth counts
    and uses plurals: more dogs speak against each word of "a dog" where the other choice is "two dogs", and
    Grad-CAM, which averages gradients over all places, then takes the dogs for evidence against *dog*.
    """
    place = GROUNDS[scene.ground]
    several = len(scene.items) > 1
    said: list[str] = []
    for index in range(count):
        form = index % len(_FORMS)
        items = [scene.items[at] for at in random.permutation(len(scene.items))]
        parts = _counted(items, random) if form == _COUNTING else _one_by_one(items, random)
        verb = _FORMS[form][1][several]
        said.append(" ".join(filter(None, (_FORMS[form][0], _listed(parts), verb, place))))
    return said


_FORMS = (
    ("", ("", "")),
    ("there is", ("", "")),
    ("", ("is", "are")),
    ("", ("stands", "stand")),
    ("a picture of", ("", "")),
)
"""Of each caption its opening, and its verb for one object and for several."""
_COUNTING = 4
_NUMBERS = ("", "", "two", "three", "four")


def region_caption(item: Item, random: np.random.Generator) -> str:
    """A phrase for one object, as a dense captioner gives for its box."""
    return _phrase(item.colour, _noun([item], random)[0])


def questions(scene: Scene, random: np.random.Generator) -> list[Asked]:
    """At most one question of each kind that the scene allows; yes and no are equally likely."""
    found = [
        _what(scene),
        _colour(scene, random),
        _count(scene, random),
        _presence(scene, random),
        _side(scene, random),
        _left_of(scene),
    ]
    return [asked for asked in found if asked is not None]


def _one_by_one(items: Sequence[Item], random: np.random.Generator) -> list[str]:
    """A noun phrase for each object; a noun said before is "another" one."""
    said: list[str] = []
    heard: set[str] = set()
    for item in items:
        noun = _noun([item], random)[0]
        said.append(_phrase(_colour_of([item], random), noun, again=noun in heard))
        heard.add(noun)
    return said


def _counted(items: Sequence[Item], random: np.random.Generator) -> list[str]:
    """A noun phrase for each category, with its number."""
    groups: dict[int, list[Item]] = {}
    for item in items:
        groups.setdefault(item.category.id, []).append(item)
    said: list[str] = []
    for group in groups.values():
        singular, plural = _noun(group, random)
        colour = _colour_of(group, random)
        several = " ".join(filter(None, (_NUMBERS[len(group)], colour, plural)))
        said.append(several if len(group) > 1 else _phrase(colour, singular))
    return said


def _phrase(colour: str | None, noun: str, *, again: bool = False) -> str:
    described = f"{colour} {noun}" if colour else noun
    counted = f"pair of {described}" if noun == "scissors" else described
    article = "another" if again else "an" if counted[0] in "aeiou" else "a"
    return f"{article} {counted}"


def _colour_of(items: Sequence[Item], random: np.random.Generator) -> str | None:
    """The colour that all of them were given, in half of the cases."""
    colours = {item.colour for item in items}
    return items[0].colour if random.random() < 0.5 and len(colours) == 1 else None


def _noun(items: Sequence[Item], random: np.random.Generator) -> Noun:
    """The usual noun of objects of one category three times of five, else any that fits them all."""
    nouns = _nouns(items)
    return nouns[0 if random.random() < 0.6 else random.integers(len(nouns))]


def _nouns(items: Sequence[Item]) -> list[Noun]:
    """The nouns that fit all of them: those of their glyph where they share it, then the category's."""
    own = [item.glyph.nouns for item in items]
    shared = [noun for noun in own[0] if all(noun in nouns for nouns in own)]
    category = items[0].category
    if category.name == "person":
        return [*shared, *category.nouns]
    return [*category.nouns, *shared]


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _single(scene: Scene) -> list[int]:
    """Positions of the objects whose category stands there once."""
    counts = Counter(item.category.id for item in scene.items)
    return [at for at, item in enumerate(scene.items) if counts[item.category.id] == 1]


def _pick(random: np.random.Generator, places: Sequence[int]) -> int:
    return places[int(random.integers(len(places)))]


def _what(scene: Scene) -> Asked | None:
    if len({item.category.id for item in scene.items}) != 1:
        return None
    return Asked(
        f"what is {GROUNDS[scene.ground]} ?",
        scene.items[0].category.name,
        "what",
        tuple(range(len(scene.items))),
    )


def _colour(scene: Scene, random: np.random.Generator) -> Asked | None:
    able = [at for at in _single(scene) if scene.items[at].colour]
    if not able:
        return None
    at = _pick(random, able)
    item = scene.items[at]
    return Asked(f"what colour is the {item.category.name} ?", str(item.colour), "colour", (at,))


def _count(scene: Scene, random: np.random.Generator) -> Asked | None:
    """How many: mostly about categories that stand there more than once, so that 1 is no safe guess."""
    counts = Counter(item.category.id for item in scene.items)
    several = [key for key, n in counts.items() if n > 1]
    if not several and random.random() < 0.6:
        return None
    chosen = several or list(counts)
    key = chosen[random.integers(len(chosen))]
    look = tuple(at for at, item in enumerate(scene.items) if item.category.id == key)
    plural = scene.items[look[0]].category.nouns[0][1]
    return Asked(f"how many {plural} are there ?", str(len(look)), "count", look)


def _presence(scene: Scene, random: np.random.Generator) -> Asked:
    present = {item.category.id for item in scene.items}
    if random.random() < 0.5:
        absent = [category for category in CATEGORIES if category.id not in present]
        missing = absent[random.integers(len(absent))]
        return Asked(_is_there(missing), "no", "presence", tuple(range(len(scene.items))))
    there = scene.items[random.integers(len(scene.items))].category
    look = tuple(at for at, item in enumerate(scene.items) if item.category.id == there.id)
    return Asked(_is_there(there), "yes", "presence", look)


def _is_there(category: Category) -> str:
    name = category.name
    if name == "scissors":
        return "is there a pair of scissors ?"
    return f"is there {'an' if name[0] in 'aeiou' else 'a'} {name} ?"


def _side(scene: Scene, random: np.random.Generator) -> Asked | None:
    able = [at for at in _single(scene) if abs(scene.items[at].col / SIDE - 0.5) > 0.5 - ASIDE]
    if not able:
        return None
    at = _pick(random, able)
    item = scene.items[at]
    side = "left" if item.col < ASIDE * SIDE else "right"
    return Asked(f"where is the {item.category.name} ?", side, "side", (at,))


def _left_of(scene: Scene) -> Asked | None:
    if len(scene.items) != 2 or len(_single(scene)) != 2:
        return None
    left, right = sorted((0, 1), key=lambda at: scene.items[at].col)
    if scene.items[right].col - scene.items[left].col < APART * SIDE:
        return None
    name = scene.items[right].category.name
    return Asked(f"what is to the left of the {name} ?", scene.items[left].category.name, "left of", (left,))
