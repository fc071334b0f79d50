"""Choices by name: one that several have is refused, naming them; an index stays an index."""

import pytest

import vlx
from vlx.errors import UnknownChoice
from vlx.passes.reading import Choices, choices_of


def test_a_name_of_several_choices_is_refused_with_their_indices():
    choices = choices_of("label", ["crane", "dog", "crane"])
    with pytest.raises(UnknownChoice, match=r"2 choices .* 'crane': give the index of one, of 0 .* 2"):
        choices.index("crane")
    assert choices.index("dog") == 1
    assert "crane" in choices


@pytest.mark.parametrize(
    ("given", "expected"), [("Dog", 0), ("dog", 1), (" dog ", 1), ("cat", 2), ("CAT", 2), ("dog!", 1)]
)
def test_the_nearest_form_of_a_name_decides(given, expected):
    assert Choices(["Dog", "dog", "Cat", "##cat"]).index(given) == expected


def test_a_name_that_fits_two_forms_alike_is_refused():
    with pytest.raises(UnknownChoice, match=r"0 \('Dog'\), 1 \('dog'\)"):
        Choices(["Dog", "dog"]).index("DOG")


def test_choices_of_one_name_are_told_apart_where_they_are_shown():
    choices = Choices(["crane", "dog", "crane"])
    assert [choices.called(index) for index in range(3)] == ["crane (0)", "dog", "crane (2)"]


def test_a_target_of_an_index_is_that_choice():
    reading = vlx.Reading("label", (), choices_of("label", ["crane", "dog", "crane"]))
    resolved = vlx.label(2).resolve(reading)
    assert (resolved.terms[0].choice, resolved.name) == (2, "crane (2)")
