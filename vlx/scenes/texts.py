"""Vocabularies of the built-in models, and which categories a caption names."""

from collections.abc import Iterable, Sequence

import numpy as np

from vlx.adapters.parts.vocabulary import Tokenise, Vocabulary, neuraltalk2_tokens, treebank_tokens
from vlx.scenes import scene_random
from vlx.scenes.inventory import CATEGORIES, COLOURS, GROUNDS
from vlx.scenes.language import Asked, captions, questions
from vlx.scenes.plan import Scene, plan_scene

END, UNKNOWN = "END", "UNK"


def text_random(seed: int, index: int) -> np.random.Generator:
    """The random numbers of what is said and asked about scene ``index``; apart from its picture's."""
    return np.random.default_rng([seed, index, 1])


def told(seed: int, index: int) -> tuple[Scene, list[str], list[Asked]]:
    """A scene with its captions and questions."""
    scene = plan_scene(scene_random(seed, index))
    random = text_random(seed, index)
    return scene, captions(scene, random), questions(scene, random)


def caption_vocabulary() -> Vocabulary:
    """Every word that a caption of a scene can hold; END, which is also START, is 0, UNK the last."""
    words = _words(_sayable(), neuraltalk2_tokens)
    return caption_vocabulary_of([END, *words, UNKNOWN])


def caption_vocabulary_of(names: Sequence[str]) -> Vocabulary:
    """The captioner's vocabulary from its list of names."""
    return Vocabulary(names, start=0, end=0, unknown=len(names) - 1, tokenise=neuraltalk2_tokens)


def question_vocabulary_of(names: Sequence[str]) -> Vocabulary:
    """The VQA model's vocabulary from its list of names; UNK is the last."""
    return Vocabulary(names, start=0, end=0, unknown=len(names) - 1, tokenise=treebank_tokens)


def question_words(asked: Iterable[Asked]) -> list[str]:
    """The words of some questions in alphabetical order, then UNK."""
    return [*_words((item.question for item in asked), treebank_tokens), UNKNOWN]


def named_categories(caption: str) -> set[str]:
    """The COCO categories whose nouns a caption holds; the longest phrase counts alone."""
    words = neuraltalk2_tokens(caption)
    found: set[str] = set()
    at = 0
    while at < len(words):
        for width in range(min(_LONGEST, len(words) - at), 0, -1):
            name = _NOUNS.get(" ".join(words[at : at + width]))
            if name:
                found.add(name)
                at += width - 1
                break
        at += 1
    return found


def _sayable() -> Iterable[str]:
    yield "a an another and there is are stand stands picture of two three four pair"
    yield from COLOURS
    yield from GROUNDS.values()
    for category in CATEGORIES:
        for noun in (*category.nouns, *(noun for glyph in category.glyphs for noun in glyph.nouns)):
            yield from noun


def _words(texts: Iterable[str], tokenise: Tokenise) -> list[str]:
    return sorted({token for text in texts for token in tokenise(text)})


def _noun_table() -> dict[str, str]:
    table: dict[str, str] = {}
    for category in CATEGORIES:
        own = [noun for glyph in category.glyphs for noun in glyph.nouns]
        for noun in (*category.nouns, *own):
            for form in noun:
                table[" ".join(neuraltalk2_tokens(form))] = category.name
    return table


_NOUNS = _noun_table()
_LONGEST = max(len(form.split()) for form in _NOUNS)
