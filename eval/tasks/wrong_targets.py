"""Wrong words: what is explained in the place of a word, to tell whether its map knows the word."""

from collections.abc import Mapping

from vlx.eval.data.lexicon import visual_words
from vlx.eval.items.absent import wrong_words
from vlx.eval.items.batch import WrongOf
from vlx.eval.items.opened import LeftOut, Opened
from vlx.eval.items.options import Options
from vlx.passes.targets import Target, word


def in_its_place(options: Options) -> WrongOf | None:
    """Words of absent categories at the step of the item's word, after the same words; None asks for none."""

    def wrong_of(opened: Opened, at: int, target: Target) -> Mapping[str, Target] | LeftOut:
        reading = opened.reading(at)
        (head,) = target.resolve(reading).words
        found = wrong_words(options, opened.items[at], reading, head)
        return found if isinstance(found, LeftOut) else {one: word(head, instead=one) for one in found}

    return wrong_of if options.wrong else None


def in_the_text(options: Options) -> WrongOf | None:
    """The whole text with words of absent categories scored in the place of its noun; None asks for none.

    The noun is the first that names the item's category. The words around it are scored as they stand, those
    after it given the noun itself: one run has all of these scores, and the text and its wrong form differ
    in nothing but the noun.
    """

    def wrong_of(opened: Opened, at: int, target: Target) -> Mapping[str, Target] | LeftOut:
        item, reading = opened.items[at], opened.reading(at)
        tokens = [one.text for one in reading.words]
        named = [one for one in visual_words(tokens) if one.category == item.category]
        if not named or tokens[named[0].head(tokens)] in reading.unknown:
            return LeftOut("no_noun")
        head = named[0].head(tokens)
        found = wrong_words(options, item, reading, head)
        if isinstance(found, LeftOut):
            return found
        return {one: target - word(head) + word(head, instead=one) for one in found}

    return wrong_of if options.wrong else None


_IN_ITS_PLACE = "a word of an absent category at the same step, after the same words"


def protocol_of_wrong(options: Options, which: str = _IN_ITS_PLACE) -> str:
    """What the column is, to stand in a protocol before its last sentence; nothing where none is asked for.

    ``which`` says what is explained of a category that the image does not show.
    """
    if not options.wrong:
        return ""
    return (
        f"own minus wrong: the score less that of the map of {which}, on the same truth; 0: the map does not "
        f"know the word. Mean over up to {options.wrong} absent categories, drawn by seed and item without "
        "replacement, all alike, from those of the lexicon that have no segment in the image and no word in "
        "any of its captions, each by its first word that is a token of the model, in the number of the own "
        "word; maps without a score passed over. "
    )
