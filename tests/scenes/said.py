"""Read a caption of a scene back into what it claims, without the code that wrote it."""

import re
from dataclasses import dataclass

from vlx.scenes.inventory import CATEGORIES, COLOURS, GROUNDS
from vlx.scenes.plan import Item

_PLACES = {place: ground for ground, place in GROUNDS.items()}
_CAPTION = re.compile(
    rf"(?P<opening>there is |a picture of )?(?P<list>.+?)"
    rf"(?P<verb> is| are| stands| stand)? (?P<place>{'|'.join(_PLACES)})"
)
_PHRASE = re.compile(
    rf"(?P<article>another|an|a|two|three|four) (?P<pair>pair of )?"
    rf"(?:(?P<colour>{'|'.join(COLOURS)}) )?(?P<noun>.+)"
)
_COUNTS = {"two": 2, "three": 3, "four": 4}


@dataclass(frozen=True)
class Claim:
    """So many objects of a category, of these glyphs, and of this colour where one is named."""

    count: int
    again: bool
    """Whether it is "another" one."""
    category: str
    glyphs: frozenset[str]
    colour: str | None
    noun: str

    def holds(self, item: Item) -> bool:
        """Whether it is true of this object."""
        return item.glyph.char in self.glyphs and self.colour in (None, item.colour)


@dataclass(frozen=True)
class Said:
    """What a caption claims, and the words around it."""

    opening: str
    claims: tuple[Claim, ...]
    verb: str
    ground: str


def _forms() -> dict[tuple[str, bool], tuple[str, frozenset[str]]]:
    """For each noun form and whether it is plural: its category, and the glyphs it is true of."""
    found: dict[tuple[str, bool], tuple[str, frozenset[str]]] = {}
    for category in CATEGORIES:
        everything = frozenset(glyph.char for glyph in category.glyphs)
        own = {noun for glyph in category.glyphs for noun in glyph.nouns}
        true_of = {noun: everything for noun in category.nouns}
        for noun in own:
            true_of[noun] = frozenset(glyph.char for glyph in category.glyphs if noun in glyph.nouns)
        for noun, glyphs in true_of.items():
            for form, plural in zip(noun, (False, True), strict=True):
                found[form, plural] = category.name, glyphs
    return found


_FORMS = _forms()


def read_phrase(text: str) -> Claim:
    """The claim of a noun phrase such as ``two red cars``; an error where the grammar is broken."""
    found = _PHRASE.fullmatch(text)
    assert found, f"no noun phrase: {text!r}"
    noun, article = found["noun"], found["article"]
    count = _COUNTS.get(article, 1)
    category, glyphs = _FORMS[noun, count > 1]
    assert bool(found["pair"]) == (noun == "scissors" and count == 1), text
    following = found["pair"] or found["colour"] or noun
    assert count > 1 or article in ("another", "an" if following[0] in "aeiou" else "a"), text
    return Claim(count, article == "another", category, glyphs, found["colour"], noun)


def read_caption(text: str) -> Said:
    """What a caption claims; an error where it is no sentence of the scenes."""
    found = _CAPTION.fullmatch(text)
    assert found, f"no caption: {text!r}"
    *first, last = re.split(r", | and ", found["list"])
    assert found["list"] == (", ".join(first) + " and " + last if first else last), text
    claims = tuple(map(read_phrase, (*first, last)))
    opening, verb = ((found[name] or "").strip() for name in ("opening", "verb"))
    return Said(opening, claims, verb, _PLACES[found["place"]])
