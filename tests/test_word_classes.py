"""Coarse classes of words, by lists and by a tagger that is given."""

import pytest

from vlx.word_classes import CLASSES, FUNCTION, word_class, word_classes


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("a an The THE", "article"),
        ("on under In. to", "preposition"),
        ("and while or", "conjunction"),
        ("it its there what which it's they’re", "pronoun"),
        ("is are was n't 's can don't isn't can't won't", "auxiliary"),
        ("two Twenty twenty-one 3 1,000 10:30", "number"),
        ("red grey gray Blue, orange", "colour"),
        ("dog dogs street standing big front children's t-shirt blue-eyed 3d café 犬", "content"),
        (". , ? ... -- ' _ \N{HORIZONTAL ELLIPSIS}", "punctuation"),
    ],
)
def test_lists_and_spelling_decide(words, kind):
    assert {word: word_class(word) for word in words.split()} == dict.fromkeys(words.split(), kind)


def test_an_empty_word_shows_nothing():
    assert word_class("") == word_class(" ") == "punctuation"


def test_every_class_is_named_once_and_function_words_are_among_them():
    assert len(set(CLASSES)) == len(CLASSES)
    assert set(CLASSES) - FUNCTION == {"content", "colour", "number"}


def test_no_word_stands_in_two_lists():
    from vlx.word_classes import _LISTS

    words = [word for one in _LISTS.values() for word in one.split()]
    assert sorted(words) == sorted(set(words))


def test_tags_tell_two_uses_of_a_word_apart():
    tags = {
        "she": "PRP", "likes": "VBZ", "an": "DT", "orange": "NN", "past": "IN", "have": "VBP",
        "red": "JJ", "three": "CD", "not": "RB", "whoever": "WP", "unto": "IN", ".": ".", "up": "RP",
    }  # fmt: skip
    words = list(tags)
    asked = []

    def tagger(given):
        asked.append(given)
        return [(word, tags[word]) for word in given]

    assert word_classes(words, tagger) == (
        "pronoun", "content", "article", "content", "preposition", "auxiliary",
        "colour", "number", "auxiliary", "pronoun", "preposition", "punctuation", "preposition",
    )  # fmt: skip
    assert asked == [words]  # at once: a tagger reads the sentence
    assert word_class("orange", tagger) == "content"
    assert word_class("orange") == "colour"


def test_no_words_have_no_classes():
    assert word_classes([]) == ()
    assert word_classes([], lambda words: []) == ()
