import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlx.errors import VlxError
from vlx.eval.measures.answers import (
    CONTRACTIONS,
    PUNCTUATION,
    accuracies,
    accuracy,
    normalise,
    percent,
    plain_words,
    without_punctuation,
)
from vlx.eval.measures.statistics import Outcome


@pytest.mark.parametrize(
    ("matches", "expected"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (7, 1.0), (9, 1.0)]
)
def test_accuracy_by_number_of_matches(matches, expected):
    answers = ["red"] * matches + [f"other {n}" for n in range(10 - matches)]
    assert accuracy("red", answers) == pytest.approx(expected)


@given(st.lists(st.sampled_from(["red", "blue", "The red"]), min_size=10, max_size=10))
def test_accuracy_is_the_literal_mean_over_nine_others(answers):
    same = len(set(answers)) == 1
    people = answers if same else [normalise(answer) for answer in answers]
    scores = []
    for left_out in range(10):
        others = people[:left_out] + people[left_out + 1 :]
        scores.append(min(1, others.count("red") / 3))
    assert accuracy("red", answers) == pytest.approx(sum(scores) / 10)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("red", "red"),
        (" Red\n", "red"),
        ("a dog", "dog"),
        ("The  Cat", "cat"),
        ("an", ""),
        ("two", "2"),
        ("none", "0"),
        ("ten men", "10 men"),
        ("eleven", "eleven"),
        ("yes.", "yes"),
        ("3.5", "3.5"),
        ("3.", "3"),
        ("1.2.", "1.2"),
        ("u.s.a.", "usa"),
        ("t-shirt", "t shirt"),
        ("black-white - gray", "blackwhite gray"),
        ("black/white", "black white"),
        ("black / white", "black white"),
        ("1,000", "1000"),
        ("1,000/day", "1000day"),
        ("red, blue", "red blue"),
        ("red,blue", "red blue"),
        ("what?", "what"),
        ("why ? no", "why no"),
        ("it's", "it's"),
        ("dont", "don't"),
        ("Dont know", "don't know"),
        ("cant", "can't"),
        ("wont", "won't"),
        ("hes", "he's"),
        ("couldnt've", "couldn't've"),
        ("couldn'tve", "couldn't've"),
        ("couldntve", "couldntve"),
        ("yall'll", "y'all'll"),
        ("y'alld've", "y'all'd've"),
        ("oclock", "o'clock"),
        ("somebody'd", "somebodyd"),
        ("let's", "let's"),
        ("Im", "im"),
        ("Ive", "ive"),
        ("id've", "id've"),
        ("ill", "ill"),
        ("were", "were"),
        ("its", "its"),
        ("shed've", "she'd've"),
        ("tv\tstand", "tv stand"),
        ("", ""),
        ("?!", ""),
    ],
)
def test_normalisation_with_its_quirks(raw, expected):
    assert normalise(raw) == expected


def test_a_mark_beside_a_blank_anywhere_is_deleted_everywhere():
    assert without_punctuation("a-b -c") == "ab c"
    assert without_punctuation("a-b") == "a b"


def test_only_the_first_32_periods_go():
    assert without_punctuation("." * 40) == "." * 8


def test_there_are_21_marks_and_no_apostrophe_among_them():
    assert len(PUNCTUATION) == len(set(PUNCTUATION)) == 21
    assert "'" not in PUNCTUATION
    assert "." not in PUNCTUATION


def test_contractions_lack_exactly_one_apostrophe():
    for wrong, right in CONTRACTIONS.items():
        if wrong != "somebody'd":
            assert wrong.replace("'", "") == right.replace("'", "")
            assert right.count("'") - wrong.count("'") == 1
        assert plain_words(wrong) == right


def test_spelling_counts_where_all_people_agree():
    assert accuracy("Yes", ["yes"] * 10) == 0.0
    assert accuracy("yes", ["Yes"] * 10) == 0.0
    assert accuracy(" yes\n", ["yes"] * 10) == 1.0
    assert accuracy("Yes", ["yes"] * 9 + ["no"]) == 1.0
    assert accuracy("2", ["two"] * 10) == 0.0
    assert accuracy("2", ["two"] * 9 + ["three"]) == 1.0


def test_the_legacy_rule_normalises_the_prediction_alone():
    assert accuracy("Yes", ["yes"] * 10, legacy=True) == 1.0
    assert accuracy("two", ["2"] * 10, legacy=True) == 1.0
    assert accuracy("two", ["two"] * 9 + ["3"], legacy=True) == 0.0
    assert accuracy("dog", ["dog!"] * 9 + ["cat"], legacy=True) == 0.0
    assert accuracy("dog", ["dog !"] * 9 + ["dog!"], legacy=True) == 0.0
    assert accuracy("red blue", ["red/blue"] * 9 + ["no"], legacy=True) == 1.0


def test_questions_without_a_prediction_are_left_out_and_counted():
    found = accuracies({1: "yes"}, {1: ["yes"] * 10, 2: ["no"] * 10})
    assert found == {1: Outcome(1.0), 2: Outcome(None, "no_answer")}


def test_percent_is_rounded_to_two_digits():
    assert percent([1.0, 0.3, 0.0]) == 43.33
    assert percent([]) is None


def test_one_human_answer_has_no_others():
    with pytest.raises(VlxError, match="at least two"):
        accuracy("yes", ["yes"])
