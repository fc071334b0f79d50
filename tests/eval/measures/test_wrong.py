"""Own minus wrong: by hand, exactly 0 where nothing depends on the word, and what is left out."""

import math

from hypothesis import given
from hypothesis import strategies as st

from vlx.eval.measures.statistics import Outcome
from vlx.eval.measures.wrong import own_minus_wrong

NONE = Outcome(None, "zero_map")
INFINITE = Outcome(math.inf)


def test_it_is_the_mean_of_the_differences():
    assert own_minus_wrong(Outcome(1.0), [Outcome(0.0), Outcome(1.0), Outcome(0.5)]) == Outcome(0.5)
    assert own_minus_wrong(Outcome(0.0), [Outcome(1.0), NONE]) == Outcome(-1.0)


@given(st.floats(-1e6, 1e6), st.integers(1, 5))
def test_maps_that_do_not_know_the_word_give_exactly_0(score, count):
    assert own_minus_wrong(Outcome(score), [Outcome(score)] * count).value == 0


def test_what_has_no_score_is_left_out_and_told_whose_it_is():
    assert own_minus_wrong(NONE, [Outcome(1.0)]) == NONE
    assert own_minus_wrong(Outcome(1.0), [NONE, NONE]) == Outcome(None, "wrong_zero_map")
    assert own_minus_wrong(Outcome(1.0), []) == Outcome(None, "no_wrong_word")


def test_ratios_may_be_infinite_on_either_side_but_not_on_both():
    assert own_minus_wrong(INFINITE, [Outcome(2.0), INFINITE]) == INFINITE
    assert own_minus_wrong(Outcome(2.0), [Outcome(1.0), INFINITE]) == Outcome(-math.inf)
    assert own_minus_wrong(INFINITE, [INFINITE, NONE]) == Outcome(None, "infinite")
