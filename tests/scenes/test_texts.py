"""Vocabularies that hold every word of the scenes, and categories found in captions."""

import pytest

from tests.scenes.said import read_caption
from vlx.adapters.parts.vocabulary import neuraltalk2_tokens, treebank_tokens
from vlx.eval.data.lexicon import visual_words
from vlx.scenes import scene_random
from vlx.scenes.inventory import CATEGORIES
from vlx.scenes.plan import plan_scene
from vlx.scenes.texts import (
    END,
    UNKNOWN,
    caption_vocabulary,
    caption_vocabulary_of,
    named_categories,
    question_vocabulary_of,
    question_words,
    text_random,
    told,
)  # fmt: skip


@pytest.fixture(scope="module")
def stories():
    return [told(33, index) for index in range(1000)]


def test_a_story_is_the_same_every_time_and_its_scene_is_the_planned_one(stories):
    assert told(33, 777) == stories[777]
    assert told(34, 777) != stories[777]
    assert stories[777][0] == plan_scene(scene_random(33, 777))


def test_words_and_pictures_draw_from_different_random_numbers():
    assert text_random(5, 6).random() == text_random(5, 6).random()
    assert text_random(5, 6).random() != scene_random(5, 6).random()


def test_the_captioners_vocabulary_holds_every_word_of_every_caption(stories):
    vocabulary = caption_vocabulary()
    assert vocabulary.names[0] == END
    assert vocabulary.names[-1] == UNKNOWN
    assert (vocabulary.start, vocabulary.end, vocabulary.unknown) == (0, 0, len(vocabulary.names) - 1)
    assert len(set(vocabulary.names)) == len(vocabulary.names)
    for _, said, _ in stories:
        for text in said:
            tokens, ids, unknown = vocabulary.encode(text)
            assert unknown == ()
            assert 0 not in ids
            assert vocabulary.text([*ids, 0, 1]) == " ".join(tokens) == text.replace(",", "")


def test_no_word_of_the_vocabulary_is_useless():
    """Every word is said, but for plurals so rare that 1500 scenes may lack them."""
    said = {word for index in range(1500) for text in told(1, index)[1] for word in neuraltalk2_tokens(text)}
    nouns = [n for c in CATEGORIES for n in (*c.nouns, *(n for glyph in c.glyphs for n in glyph.nouns))]
    plurals = {word for _, plural in nouns for word in neuraltalk2_tokens(plural)}
    unsaid = set(caption_vocabulary().names) - said
    assert unsaid <= plurals | {END, UNKNOWN}
    assert len(unsaid) < 0.2 * len(said)


def test_vocabularies_from_their_lists_of_names(stories):
    words = caption_vocabulary()
    same = caption_vocabulary_of(words.names)
    assert same.encode("two red buses")[1] == words.encode("two red buses")[1]
    assert same.encode("two red ocelots")[2] == ("ocelots",)
    names = question_words(one for _, _, asked in stories for one in asked)
    assert names[:-1] == sorted(set(names[:-1]))
    assert names[-1] == UNKNOWN
    vocabulary = question_vocabulary_of(names)
    for _, _, asked in stories:
        for one in asked:
            tokens, ids, unknown = vocabulary.encode(one.question)
            assert unknown == ()
            assert tokens == treebank_tokens(one.question)
            assert tokens[-1] == "?"
            assert [names[i] for i in ids] == tokens
    assert vocabulary.encode("what is an ocelot ?")[1][-2] == len(names) - 1


def test_categories_named_in_captions_are_those_of_the_scene(stories):
    for scene, said, _ in stories:
        for text in said:
            assert named_categories(text) == {item.category.name for item in scene.items}, text


AMBIGUOUS = {"orange", "computer", "computers"}  # a colour; not always a laptop


def test_the_evaluators_lexicon_finds_the_same_categories_at_the_same_nouns(stories):
    """Two lists of words made apart: the one that wrote the captions, the one that scores them.

    In captions by people ``orange`` may be a colour and a ``book stand`` no book, so the lexicon
    abstains from those; it never names another category.
    """
    for _, said, _ in stories:
        for text in said:
            tokens = text.replace(",", " ,").split()
            claims = [claim for claim in read_caption(text).claims if claim.noun not in AMBIGUOUS]
            found = visual_words(tokens)
            if {"stand", "stands"} & set(tokens) and len(found) < len(claims):
                claims.pop()  # the noun before the verb
            assert [word.category for word in found if tokens[word.span[1] - 1] not in AMBIGUOUS] == [
                claim.category for claim in claims
            ], text
            nouns = [claim.noun for claim in read_caption(text).claims]
            assert all(tokens[word.span[1] - 1] in " ".join(nouns).split() for word in found)


@pytest.mark.parametrize(
    ("caption", "named"),
    [
        ("a hot dog", {"hot dog"}),
        ("a hot dog and a dog", {"hot dog", "dog"}),
        ("two teddy bears and a bear", {"teddy bear", "bear"}),
        ("A Traffic Light, a stop sign.", {"traffic light", "stop sign"}),
        ("glasses of wine near pairs of scissors", {"wine glass", "scissors"}),
        ("a lady with puppies in a taxi", {"person", "dog", "car"}),
        ("the grass and the sea", set()),
        ("catalogue of dogma", set()),
        ("", set()),
    ],
)
def test_the_longest_phrase_counts_alone(caption, named):
    assert named_categories(caption) == named
