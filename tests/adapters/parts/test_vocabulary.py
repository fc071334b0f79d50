"""Tokens, ids and words: each tokeniser by example, unknown words, and the way back to text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.adapters.small import NEURALTALK2, QUESTIONS, SHOW_AND_TELL
from vlx.adapters.parts.vocabulary import Vocabulary, alphanumeric_tokens, neuraltalk2_tokens, treebank_tokens
from vlx.errors import TextError


@pytest.mark.parametrize(
    ("text", "neuraltalk2", "treebank", "alphanumeric"),
    [
        ("A dog.", ["a", "dog"], ["a", "dog", "."], ["A", "dog"]),
        ("a t-shirt", ["a", "tshirt"], ["a", "t-shirt"], ["a", "t", "shirt"]),
        ("What's this?", ["whats", "this"], ["what", "'s", "this", "?"], ["What", "s", "this"]),
        (
            "two,  three\tfour",
            ["two", "three", "four"],
            ["two", ",", "three", "four"],
            ["two", "three", "four"],
        ),
        ("isn't it?", ["isnt", "it"], ["is", "n't", "it", "?"], ["isn", "t", "it"]),
        ("...", [], ["..."], []),
        ("", [], [], []),
    ],
)
def test_tokens_by_example(text, neuraltalk2, treebank, alphanumeric):
    assert neuraltalk2_tokens(text) == neuraltalk2
    assert treebank_tokens(text) == treebank
    assert alphanumeric_tokens(text) == alphanumeric


@given(st.lists(st.sampled_from(["dog", "2", "cat", "on", "grass"]), min_size=1))
def test_plain_words_are_their_own_tokens(words):
    text = " ".join(words)
    for tokenise in (neuraltalk2_tokens, treebank_tokens, alphanumeric_tokens):
        assert tokenise(text) == words


def test_a_text_becomes_ids_and_its_unknown_words_are_named_once():
    tokens, ids, unknown = NEURALTALK2.encode("The zebra, a Dog, the zebra and an ox!")
    assert tokens == ["the", "zebra", "a", "dog", "the", "zebra", "and", "an", "ox"]
    names = [NEURALTALK2.names[index] for index in ids]
    assert names == ["the", "UNK", "a", "dog", "the", "UNK", "UNK", "UNK", "UNK"]
    assert unknown == ("zebra", "and", "an", "ox")


def test_special_tokens_cannot_be_written():
    """A text that spells a special token's name holds an ordinary unknown word."""
    tokens, ids, unknown = NEURALTALK2.encode("a END dog UNK")
    assert tokens == ["a", "end", "dog", "unk"]
    assert NEURALTALK2.end not in ids
    assert unknown == ("end", "unk")


def test_punctuation_is_a_word_where_the_tokens_say_so():
    assert QUESTIONS.encode("is the dog red?")[0] == ["is", "the", "dog", "red", "?"]
    assert QUESTIONS.encode("is the dog red?")[2] == ()


def test_without_an_unknown_token_an_unknown_word_is_an_error():
    assert SHOW_AND_TELL.encode("a red dog ?")[1] == [3, 9, 4, 14]
    with pytest.raises(TextError, match=r"no word 'grasss' among its 15; near names: grass"):
        SHOW_AND_TELL.encode("a dog on grasss")


@pytest.mark.parametrize("text", ["", "   ", "?!...", "\n"])
def test_a_text_without_words_is_told(text):
    with pytest.raises(TextError, match="holds no word: give some text"):
        NEURALTALK2.encode(text)


def test_ids_become_text_up_to_the_end():
    assert NEURALTALK2.text([1, 2, 0, 3]) == "a dog"
    assert NEURALTALK2.text([0, 1]) == ""
    assert NEURALTALK2.text([]) == ""
    assert SHOW_AND_TELL.text([3, 4, 2, 5]) == "a dog"


@given(st.lists(st.integers(1, 12), min_size=1, max_size=20))
def test_what_is_written_is_read_again(ids):
    spoken = [index for index in ids if NEURALTALK2.names[index] != "?"]
    if spoken:
        text = NEURALTALK2.text(spoken)
        assert NEURALTALK2.encode(text) == (text.split(), spoken, ())


def test_the_choices_are_the_names():
    assert list(NEURALTALK2.choices.names) == list(NEURALTALK2.names)
    assert NEURALTALK2.choices.noun == "word"


def test_a_vocabulary_does_not_change_with_the_list_that_it_was_made_of():
    given = ["END", "dog"]
    words = Vocabulary(given, 0, 0)
    given[1] = "cat"
    assert (words.encode("dog")[1], words.text([1])) == ([1], "dog")
