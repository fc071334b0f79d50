"""What is said of the parts of a score: units, words, axes, the most visual word, means by kinds of words."""

from dataclasses import replace

import numpy as np
import pytest

from tests.explained import answers, at_pixels, caption, told
from vlx import Explained
from vlx.show.evidence import (
    adds_up,
    bars,
    by_kind,
    has_evidence,
    most_visual,
    signed,
    spoken,
    spoken_error,
    unit,
    without_image,
)
from vlx.show.figures import figure
from vlx.show.report import report_card


def test_what_is_no_log_probability_is_not_counted_in_nats() -> None:
    assert unit(caption()) == "nats"
    assert unit(answers()) == "logits"
    assert without_image(caption()) == "from language alone"
    assert without_image(answers()) == "from the question alone"
    assert without_image(replace(answers(), prompt="")) == "without the image"


def test_parts_in_words() -> None:
    made = told()
    assert spoken(made, made.targets[3]) == "3.0 nats from the image, \N{MINUS SIGN}6.5 from language alone"
    assert spoken(made, made.targets[1]).startswith("\N{MINUS SIGN}1.0 nats from the image")
    assert spoken(caption(), caption().targets[0]) == spoken_error(made, made.targets[0]) == ""
    assert spoken_error(made, Explained("a", -1.0, error=-0.126)) == "gradients add up to within 0.13 nats"
    assert spoken_error(made, Explained("a", -1.0, error=1e-6)) == "gradients add up to within 0.01 nats"
    assert not has_evidence(caption())
    assert has_evidence(made)


@pytest.mark.parametrize(
    ("value", "shown"), [(1.25, "+1.2"), (-0.04, "0.0"), (0.0, "0.0"), (-2.0, "\N{MINUS SIGN}2.0")]
)
def test_what_rounds_to_0_has_no_sign(value: float, shown: str) -> None:
    assert signed(value) == shown


def test_words_share_an_axis_and_several_words_have_their_own() -> None:
    drawn = bars(told())  # from -6.5 to 3 nats
    assert [one.zero for one in drawn[:4] if one] == pytest.approx([6.5 / 9.5] * 4)
    last = drawn[3]
    assert last is not None
    assert (last.image.start, last.image.width) == pytest.approx((6.5 / 9.5, 3 / 9.5))
    assert (last.alone.start, last.alone.width) == pytest.approx((0, 6.5 / 9.5))
    assert (last.image.negative, last.alone.negative) == (False, True)
    whole = drawn[4]
    assert whole is not None
    assert whole.alone.width == pytest.approx(13.5 / 17.5)
    assert bars(caption()) == [None] * 5
    nothing = replace(caption(), targets=tuple(replace(t, score=0.0, blank=0.0) for t in caption().targets))
    assert {one.image.width for one in bars(nothing) if one} == {0.0}


def test_the_most_visual_word() -> None:
    assert most_visual(told()) == 3
    assert most_visual(caption()) == 2  # the strongest map of a word; the caption's is stronger
    assert most_visual(answers()) is None
    made = told()
    known = (made.targets[0], *caption().targets[1:])  # known of one alone
    assert most_visual(replace(made, targets=known)) == 0
    alone = replace(made, raw=made.raw[4:], targets=made.targets[4:])
    assert most_visual(alone) is None


def test_maps_add_up_where_their_sum_is_the_evidence() -> None:
    made = told()
    raw = np.stack([np.full((4, 6), target.from_image / 24, np.float32) for target in made.targets])
    assert not adds_up(replace(made, raw=raw))  # of no path
    along = replace(made, raw=raw, targets=tuple(replace(t, error=0.0) for t in made.targets))
    assert adds_up(along)
    off = tuple(replace(t, error=0.24) for t in made.targets)
    assert not adds_up(replace(along, targets=off))
    assert adds_up(replace(along, raw=raw + np.float32(0.01), targets=off))
    assert not adds_up(replace(along, raw=np.maximum(raw, 0)))
    assert not adds_up(at_pixels())


def test_means_over_kinds_of_words_by_hand() -> None:
    one = told("a red dog and two dogs")  # 0 to 5 nats; scores -0.5 to -5.5
    rows = by_kind([one, told(), caption()])  # a 0, dog -1, on 2, grass 3; and one without evidence
    found = {row.name: (row.count, row.from_image) for row in rows}
    assert found == {
        "content words": (4, (2 + 5 - 1 + 3) / 4),
        "colours": (1, 1.0),
        "numbers": (1, 4.0),
        "function words": (4, (0 + 3 + 0 + 2) / 4),
    }
    alone = {row.name: row.alone for row in rows}
    assert alone["colours"] == -1.5 - 1
    assert by_kind([caption(), answers()]) == by_kind([]) == []


def test_differences_between_words_and_words_explained_twice_do_not_count_again() -> None:
    made = told()
    other = replace(made.targets[3], name="grass - sand", probability=None, blank=-100.0)
    twice = replace(made, raw=made.raw[[0, 1, 3, 3, 3]], targets=(*made.targets[:2], made.targets[3],
                                                                 made.targets[3], other))  # fmt: skip
    rows = {row.name: row for row in by_kind([twice])}
    assert (rows["content words"].count, rows["content words"].from_image) == (2, 1.0)


def test_a_tagger_reads_the_whole_caption() -> None:
    made = told("an orange on grass")
    assert {row.name for row in by_kind([made])} == {"content words", "colours", "function words"}
    tags = {"an": "DT", "orange": "NN", "on": "IN", "grass": "NN"}
    rows = by_kind([made], lambda words: [(word, tags[word]) for word in words])
    assert {row.name: row.count for row in rows} == {"content words": 2, "function words": 2}


@pytest.mark.parametrize("value", [-np.inf, np.inf, np.nan])
def test_parts_without_a_size_are_left_out_of_bars_and_means(value: float) -> None:
    made = told()
    last = replace(made.targets[3], blank=value)
    odd = replace(made, targets=(*made.targets[:3], last, made.targets[4]))
    drawn = bars(odd)
    assert drawn[3] is None
    assert drawn[2] is not None
    assert drawn[2].alone.width == pytest.approx(4.5 / 6.5)
    assert most_visual(odd) == 2
    assert {row.name: row.count for row in by_kind([odd])} == {"content words": 1, "function words": 2}
    figure(odd)
    assert report_card([odd]).visual == 2
