"""Targets resolve to the right steps and choices, and compose linearly."""

import pytest

import vlx
from tests import tiny
from vlx.errors import TextError, UnknownChoice
from vlx.passes.reading import Choices, Reading, Word, choices_of
from vlx.passes.targets import Term

READING = tiny.reading([1, 2, 4, 1, 7])  # a dog on a bike


def terms(target: vlx.Target, reading: Reading = READING) -> tuple[Term, ...]:
    return target.resolve(reading).terms


def test_a_word_by_position_and_by_text_is_the_same_score():
    assert terms(vlx.word(1)) == terms(vlx.word("dog")) == (Term(1.0, 1, 2),)
    assert terms(vlx.word(-1)) == (Term(1.0, 4, 7),)
    assert vlx.word(-1).resolve(READING).words == (4,)


def test_the_caption_leaves_out_its_end_unless_asked():
    assert terms(vlx.caption()) == tuple(Term(1.0, s, c) for s, c in enumerate([1, 2, 4, 1, 7]))
    assert terms(vlx.caption(end=True))[-1] == Term(1.0, 5, 0)


def test_a_phrase_sums_its_words():
    assert terms(vlx.phrase("a dog")) == (Term(1.0, 0, 1), Term(1.0, 1, 2))
    assert vlx.phrase("a dog").resolve(READING).words == (0, 1)


def test_a_word_of_several_tokens_sums_them():
    words = (Word("skateboard", (0, 1, 2), (3, 1, 2)),)
    reading = Reading("caption", words, choices_of("caption", tiny.WORDS))
    assert terms(vlx.word("skateboard"), reading) == (Term(1.0, 0, 3), Term(1.0, 1, 1), Term(1.0, 2, 2))


def test_contrast_and_counterfactual_and_scale():
    contrast = vlx.word("dog") - vlx.word("dog", instead="cat")
    assert terms(contrast) == (Term(1.0, 1, 2), Term(-1.0, 1, 3))
    assert contrast.resolve(READING).name == "dog - cat"
    assert contrast.resolve(READING).composed
    assert terms(-vlx.word("dog")) == (Term(-1.0, 1, 2),)
    assert terms(2 * vlx.word("dog") + vlx.word("bike")) == (Term(2.0, 1, 2), Term(1.0, 4, 7))
    assert vlx.word("dog").named("why").resolve(READING).name == "why"


def test_answers_and_labels():
    answers = Reading("answer", (), choices_of("answer", ["yes", "no", "red"]))
    labels = Reading("label", (), choices_of("label", ["cat", "tiger cat"]))
    assert terms(vlx.answer("red"), answers) == (Term(1.0, 0, 2),)
    assert terms(vlx.answer(" Red "), answers) == (Term(1.0, 0, 2),)
    assert terms(vlx.label("tiger cat"), labels) == terms(vlx.label(1), labels) == (Term(1.0, 0, 1),)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (vlx.word("cat"), "no word 'cat' in 'a dog on a bike'"),
        (vlx.word("a"), r"occurs 2 times .* positions \[0, 3\]"),
        (vlx.word(5), "it has 5, counted from 0"),
        (vlx.word(""), "an empty word"),
        (vlx.word("a dog"), r"use phrase\('a dog'\)"),
        (vlx.phrase("dog bike"), "no word 'dog bike'"),
        (vlx.word(1, instead="dgo"), "near names: dog"),
        (vlx.answer("red"), r"use word\(\), phrase\(\) or caption\(\)"),
    ],
)
def test_what_cannot_be_resolved_is_told(target, message):
    with pytest.raises(TextError, match=message):
        target.resolve(READING)


def test_an_unknown_answer_is_never_replaced():
    choices = Choices(["yes", "no", "red", "blue"], "answer")
    with pytest.raises(UnknownChoice, match=r"no answer 'reed' among its 4; near names: red"):
        choices.index("reed")


def test_punctuation_names_are_kept_apart():
    choices = Choices(["?", ".", "a"], "word")
    assert [choices.index(name) for name in "?.a"] == [0, 1, 2]


def test_choices_do_not_change_with_the_list_that_they_were_made_of():
    given = ["yes", "no"]
    choices = Choices(given, "answer")
    given[0] = "maybe"
    assert (choices.index("yes"), list(choices.names)) == (0, ["yes", "no"])


def test_a_target_for_captions_does_not_fit_answers():
    with pytest.raises(TextError, match=r"use answer\(\)"):
        vlx.caption().resolve(Reading("answer", (), choices_of("answer", ["yes"])))
