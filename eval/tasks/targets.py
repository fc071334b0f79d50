"""What is explained of an item: the answer or class, or a word of the caption."""

from vlx.errors import UnknownChoice
from vlx.eval.data.lexicon import visual_words
from vlx.eval.items.opened import LeftOut, Opened
from vlx.eval.items.options import Options
from vlx.passes.targets import Target, answer, caption, label, word


def answer_target(options: Options, opened: Opened, at: int) -> Target | LeftOut:
    """The predicted answer or class of an item, or the most frequent human answer.

    Of a model that writes its answers it is the one that was read, as a whole text.
    """
    reading = opened.reading(at)
    if opened.said is not None:
        return caption().named(opened.said[opened.reading_of[at]])
    if options.answer == "human":
        try:
            return answer(reading.choices.index(opened.items[at].answer))
        except UnknownChoice:
            return LeftOut("unknown_answer")
    best = int(opened.scores(at)[0].argmax())
    return answer(best) if reading.kind == "answer" else label(best)


def word_target(opened: Opened, at: int) -> Target | LeftOut:
    """The head noun of the item's word, where the model knows it."""
    item, reading = opened.items[at], opened.reading(at)
    tokens = [one.text for one in reading.words]
    mine = [found for found in visual_words(tokens) if found.category == item.category]
    if item.mention >= len(mine):
        return LeftOut("other_tokens", f"the model reads {' '.join(tokens)!r}")
    head = mine[item.mention].head(tokens)
    if tokens[head] in reading.unknown:  # what modifies it may be unknown: the head alone is explained
        return LeftOut("unknown_word")
    return word(head)
