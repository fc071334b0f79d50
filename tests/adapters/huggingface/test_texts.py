"""Tokens and words: sub-words joined, special tokens left out, scripts without blanks."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tests.adapters.huggingface import tiny
from vlx.adapters.huggingface.texts import Said, TokenNames, emitted, said_by, tokens_of, words_of
from vlx.errors import TextError
from vlx.passes.reading import Choices


@pytest.fixture(scope="module")
def byte_pairs():
    """A byte-level vocabulary: single bytes, and a few words after a blank."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["Ġdog", "Ġcat", "dog", "Ġd", "Ġdo"]
    vocabulary = {token: at for at, token in enumerate(["<end>", *alphabet, *words])}
    core = Tokenizer(models.BPE(vocabulary, [("Ġ", "d"), ("Ġd", "o"), ("Ġdo", "g")]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<end>")


def spelled(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids, words_of(tokenizer, ids)


def test_sub_words_make_words():
    ids, words = spelled(tiny.tokenizer(), "the dogs runs .")
    assert [word.text for word in words] == ["the", "dogs", "runs", "."]
    assert [word.steps for word in words] == [(0,), (1, 2), (3,), (4,)]
    assert [index for word in words for index in word.ids] == ids


def test_bytes_make_words(byte_pairs):
    ids, words = spelled(byte_pairs, "a dog, dogs")
    assert [word.text for word in words] == ["a", "dog,", "dogs"]
    assert sorted(step for word in words for step in word.steps) == list(range(len(ids)))


def test_characters_of_several_bytes_and_scripts_without_blanks(byte_pairs):
    ids, words = spelled(byte_pairs, "un café 犬が")
    assert [word.text for word in words] == ["un", "café", "犬", "が"]
    assert len(words[2].steps) == 4  # a blank and three bytes
    assert sorted(step for word in words for step in word.steps) == list(range(len(ids)))


def test_the_end_of_a_prompt_in_the_first_token_is_no_part_of_the_word(byte_pairs):
    ids = byte_pairs("? dog dogs", add_special_tokens=False)["input_ids"]
    assert [word.text for word in words_of(byte_pairs, ids, "?")] == ["dog", "dogs"]
    assert [word.text for word in words_of(byte_pairs, ids, "!")] == ["?", "dog", "dogs"]


def test_line_breaks_go_with_the_next_word_and_special_tokens_with_none(byte_pairs):
    ids = byte_pairs("a\n\n dog", add_special_tokens=False)["input_ids"]
    with_end = [ids[0], 0, *ids[1:], 0]
    words = words_of(byte_pairs, with_end)
    assert [word.text for word in words] == ["a", "dog"]
    assert words[0].steps == (0,)
    assert words[1].steps == tuple(range(2, len(with_end) - 1))


def test_what_was_emitted_keeps_its_tokens(byte_pairs):
    ids = [*byte_pairs(" do", add_special_tokens=False)["input_ids"], byte_pairs.convert_tokens_to_ids("g")]
    said = emitted(byte_pairs, [*ids, 0, 5, 5], [0])
    assert said == "dog"
    assert said.ids == tuple(ids)  # not the single token that spells it too
    assert said.end == 0
    assert said_by(byte_pairs, said) is said
    assert said_by(byte_pairs, "dog") is None
    assert said_by(tiny.tokenizer(), said) is None  # to which these tokens say something else
    assert tokens_of(byte_pairs, " dog") == [byte_pairs.convert_tokens_to_ids("Ġdog")]
    assert (Said("a", [1]).ids, Said("a", [1]).end) == ((1,), None)


@pytest.mark.parametrize("text", ["", " \n"])
def test_texts_without_words(text):
    with pytest.raises(TextError, match="holds no word"):
        tokens_of(tiny.tokenizer(), text)


def test_words_that_the_tokenizer_does_not_know():
    with pytest.raises(TextError, match=r"does not know '\?'"):
        tokens_of(tiny.tokenizer(), "a dog ? ")
    emitted_so = Said("a", [tiny.ID("[UNK]"), tiny.ID("a")])
    assert said_by(tiny.tokenizer(), emitted_so) is emitted_so


def test_tokens_have_names(byte_pairs):
    names = Choices(TokenNames(byte_pairs, len(byte_pairs) + 2))
    assert names.index("dog") == byte_pairs.convert_tokens_to_ids("Ġdog")
    assert names.index("##dog") == byte_pairs.convert_tokens_to_ids("dog")
    assert names.names[len(byte_pairs) + 1] == f"<{len(byte_pairs) + 1}>"
    assert names.names[0] == "<end>"
    with pytest.raises(IndexError):
        names.names[len(byte_pairs) + 2]
