"""Words of categories that an image does not show, to be explained in the place of an item's own.

A category is absent where the image has no segment of it, crowds and damaged ones included, and no text on
the image holds any word that may name it. Each absent category stands for one word: the first of the lexicon
that the model has one token for, in the number of the item's word where it has that. Categories that only
several words name ("stop sign") are not drawn, since the last of these alone may be of another thing.

All absent categories are drawn alike, without replacement: their order is that of a hash of the seed, the
item and the category. So a draw depends on nothing that is measured beside the item, and the draws of models
with other vocabularies differ in the words alone that one of them does not know.
"""

from itertools import islice

from vlx.errors import UnknownChoice
from vlx.eval.data.lexicon import built_in, words_naming
from vlx.eval.items.item import Item, seed_of
from vlx.eval.items.opened import LeftOut
from vlx.eval.items.options import Options
from vlx.passes.reading import Choices, Reading


def wrong_words(options: Options, item: Item, reading: Reading, head: int) -> list[str] | LeftOut:
    """As many words of absent categories as are asked for, or all that the model knows, in a drawn order.

    ``head`` is the position of the word in whose place they stand. Left out: ``unknown_categories`` where it
    is not known what else the image shows, ``no_wrong_word``.
    """
    if item.shown is None:
        return LeftOut("unknown_categories")
    lexicon = built_in()
    shown, own = {*item.shown, item.category}, reading.words[head].text.lower()
    several = (own,) in lexicon.plurals
    absent = sorted(
        (name for name in lexicon.names if name not in shown),
        key=lambda name: seed_of(options.seed, f"{item.id}\0{name}"),
    )
    known = (known_word(category, reading.choices, several) for category in absent)
    found = list(islice(filter(None, known), options.wrong))
    return found or LeftOut("no_wrong_word")


def known_word(category: str, choices: Choices, several: bool) -> str | None:
    """The first word of a category, of this number where there is one, that is a token of the model."""
    words = sorted(words_naming(category), key=lambda pair: pair[1] != several)
    return next((word for word, _ in words if _is_choice(word, choices)), None)


def _is_choice(word: str, choices: Choices) -> bool:
    """Whether a choice has this very name; a token that goes on with a word may be found by it too."""
    try:
        return word in choices and choices.names[choices.index(word)].lower() == word
    except UnknownChoice:  # several are called so
        return False
