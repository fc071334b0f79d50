"""Summaries of rows: worked by hand, the same whatever the order, and kept whole in JSON."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from vlx.eval.items.item import Item
from vlx.eval.items.options import Options
from vlx.eval.items.rows import OWN_MINUS_WRONG, SCORE, Row, row_of
from vlx.eval.measures.statistics import Outcome
from vlx.eval.runs.collected import measured
from vlx.eval.runs.summary import as_json, from_json, latex, markdown, short
from vlx.eval.tasks.boxes import BOXES
from vlx.eval.tasks.pointing import POINTING
from vlx.eval.tasks.sanity import SANITY

VALUES: list[tuple[str, str, float | None, float]] = [
    ("1", "dog", 1.0, 0.5), ("1", "dog", 0.0, 0.5), ("2", "cat", 1.0, 0.0), ("3", "cat", None, 1.0),
]  # fmt: skip


def row(place: int, method: str = "grad_cam", shift: float = 0.0) -> Row:
    image, category, score, centre = VALUES[place]
    item = Item(f"item {place}", Path("x.jpg"), image, "a dog", word="dog", category=category)
    outcome = Outcome(None, "zero_map") if score is None else Outcome(score + shift)
    outcomes = {column: Outcome(0.25) for column in POINTING.columns}
    return row_of(
        item, method, {**outcomes, SCORE: outcome, "centre_prior": Outcome(centre)}, target="dog", unknown=1
    )


def test_means_counts_categories_and_differences_by_hand() -> None:
    found = measured(POINTING, [row(place) for place in range(4)], "P")
    own, centre = found.alone["grad_cam"], found.alone["centre prior"]
    assert (found.items, found.images, found.damaged) == (4, 3, 0)
    assert (own.n, own.mean, dict(own.left_out)) == (3, pytest.approx(2 / 3), {"zero_map": 1})
    assert (centre.n, centre.mean) == (4, 0.5)
    assert own.standard_error == pytest.approx(math.sqrt(1 / 3) / math.sqrt(3))
    # residuals summed by image: -1/3 and 1/3, two clusters: sqrt(2/1 * 2/9) / 3
    assert found.by_image["grad_cam"].clustered_error == pytest.approx(math.sqrt(4 / 9) / 3)
    dogs, cats = found.categories["grad_cam"]["dog"], found.categories["grad_cam"]["cat"]
    assert (dogs.mean, cats.mean, cats.n) == (0.5, 1.0, 1)
    assert found.over_categories["grad_cam"].mean == 0.75
    less = found.paired["grad_cam minus centre prior"]
    assert (less.n, less.mean, dict(less.left_out)) == (
        3,
        pytest.approx((0.5 - 0.5 + 1) / 3),
        {"zero_map": 1},
    )


def test_controls_that_no_method_changes_stand_once() -> None:
    rows = [one for place in range(4) for one in (row(place), row(place, "gradient", 0.5))]
    found = measured(POINTING, rows, "P")
    assert list(found.alone) == [
        "grad_cam", "grad_cam, random weights", "mean activation", "centre prior", "random map",
        "grad_cam, own minus wrong", "random pixel", "gradient", "gradient, random weights",
        "gradient, own minus wrong",
    ]  # fmt: skip
    assert {one.seen for one in found.alone.values()} == {4}
    assert found.items == 4
    assert found.alone["gradient"].mean == pytest.approx(2 / 3 + 0.5)


def test_own_minus_wrong_stands_beside_the_controls_in_every_table() -> None:
    rows = [row(place) for place in range(4)]
    rows[2] = replace(rows[2], outcomes={**rows[2].outcomes, OWN_MINUS_WRONG: Outcome(-0.5)})
    rows[3] = replace(
        rows[3], outcomes={**rows[3].outcomes, OWN_MINUS_WRONG: Outcome(None, "wrong_zero_map")}
    )
    found = measured(POINTING, rows, "P")
    own, less = found.by_image["grad_cam, own minus wrong"], found.paired["grad_cam minus wrong words"]
    assert (own.n, own.mean, own.clusters, dict(own.left_out)) == (3, 0.0, 2, {"wrong_zero_map": 1})
    assert own.interval == less.interval == (-0.5, 0.25)
    assert markdown(found).count("wrong_zero_map 1") == 2
    assert "wrong_zero_map (of the wrong words: the map is 0 everywhere)" in markdown(found)
    assert "own minus wrong" in short(found)
    assert "own minus wrong" in latex(found)


def test_results_of_before_there_were_wrong_words_are_still_summarised() -> None:
    rows = [row(place) for place in range(4)]
    old = [
        replace(one, outcomes={name: o for name, o in one.outcomes.items() if name != OWN_MINUS_WRONG})
        for one in rows
    ]
    before, after = measured(POINTING, old, "P"), measured(POINTING, rows, "P")
    assert set(after.alone) - set(before.alone) == {"grad_cam, own minus wrong"}
    assert set(after.paired) - set(before.paired) == {"grad_cam minus wrong words"}
    assert before.alone["grad_cam"] == after.alone["grad_cam"]


def test_methods_are_compared_on_the_items_of_both_with_images_as_clusters() -> None:
    rows = [one for place in range(4) for one in (row(place), row(place, "gradient", 0.5))]
    found = measured(POINTING, rows, "P")
    assert list(found.between) == ["gradient minus grad_cam"]
    one = found.between["gradient minus grad_cam"]
    assert (one.n, one.mean, one.interval, one.clusters) == (3, 0.5, (0.5, 0.5), 2)
    assert dict(one.left_out) == {"zero_map": 1}
    assert "gradient minus grad_cam" in short(found)
    assert "one method's score minus another's" in markdown(found)
    back, _ = from_json(as_json(found, {}))
    assert back.between == found.between
    facts = json.loads(as_json(found, {}))
    del facts["between"]
    assert from_json(json.dumps(facts))[0].between == {}
    assert measured(POINTING, rows[::2], "P").between == {}


def test_sanity_has_its_own_words_and_no_differences() -> None:
    item = Item("a", Path("x.jpg"), "1")
    rows = [row_of(item, "grad_cam", {column: Outcome(0.5) for column in SANITY.columns})]
    found = measured(SANITY, rows, "P")
    assert list(found.alone)[:2] == ["grad_cam, last layer shuffled", "grad_cam, all weights shuffled"]
    assert found.paired == {}


def test_the_order_of_rows_does_not_matter() -> None:
    rows = [row(place) for place in range(4)]
    settings = {"task": "pointing"}
    texts = {as_json(measured(POINTING, some, "P"), settings) for some in (rows, rows[::-1])}
    assert len(texts) == 1


def test_json_gives_back_what_was_measured_also_infinity() -> None:
    item = Item("a", Path("x.jpg"), "1", category="dog")
    rows = [row_of(item, "grad_cam", {c: Outcome(math.inf) for c in BOXES.columns})]
    found = measured(BOXES, rows, "P")
    assert (found.alone["grad_cam"].median, found.alone["grad_cam"].infinite) == (math.inf, 1)
    text = as_json(found, {"task": "boxes"})
    assert json.loads(text, parse_constant=pytest.fail)
    back, settings = from_json(text)
    assert settings == {"task": "boxes"}
    assert back == found or as_json(back, settings) == text
    assert back.alone == found.alone
    assert back.paired == found.paired
    assert dict(found.paired["grad_cam minus centre prior"].left_out) == {"infinite": 1}


def test_tables_say_protocol_errors_and_counts() -> None:
    found = measured(POINTING, [row(place) for place in range(4)], POINTING.protocol(Options(), "captioner"))
    text = markdown(found)
    assert "| grad_cam | 0.667 | 0.333 |" in text
    assert "zero_map 1" in text
    assert "tolerance 0 pixels" in text
    assert "Items: 4; images: 3; damaged images or records: 0." in text
    assert r"grad\_cam" in latex(found)


def test_categories_and_their_mean_have_intervals_by_image() -> None:
    rows = [row(place % 2) for place in range(2) for _ in range(5)]
    named = [replace(one, item=str(at)) for at, one in enumerate(rows)]
    found = measured(POINTING, named, "P")
    dogs, over = found.categories["grad_cam"]["dog"], found.over_categories["grad_cam"]
    assert (dogs.n, dogs.clusters, dogs.interval) == (10, 1, None)  # ten words of one image
    assert (over.clusters, over.interval) == (1, None)
    back, _ = from_json(as_json(found, {}))
    assert back.over_categories == found.over_categories
    assert back.categories == found.categories


def test_old_results_without_faults_are_still_read() -> None:
    facts = json.loads(as_json(measured(POINTING, [row(0)], "P"), {"task": "pointing"}))
    del facts["faults"]
    back, _ = from_json(json.dumps(facts))
    assert (back.items, dict(back.faults)) == (1, {})


def ratio_row(place: int, score: float) -> Row:
    item = Item(f"item {place}", Path("x.jpg"), str(place // 2), "a dog", category="dog")
    return row_of(
        item, "grad_cam", {column: Outcome(score) for column in BOXES.columns}, target="dog", unknown=0
    )


def test_the_median_leads_ratios_and_the_mean_stands_beside_it() -> None:
    values = [0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1500.0, math.inf]
    found = measured(BOXES, [ratio_row(place, value) for place, value in enumerate(values)], "P")
    own = found.by_image["grad_cam"]
    assert own.median == 0.8
    assert own.mean == pytest.approx(1504.5 / 8)
    low, high = own.median_interval or (math.nan, math.nan)
    assert low <= 0.8 <= high
    told = short(found).splitlines()
    assert told[1].split() == ["median", "95%", "interval", "mean", "n"]
    assert told[2].split()[:2] == ["grad_cam", "0.800"]
    head = markdown(found).splitlines()[2].split(" | ")
    assert head[1:4] == ["median", "interval of the median", "mean"]
    facts = json.loads(as_json(found, {}))
    assert facts["leads"] == "median"
    assert "median_interval" in facts["rows"]["grad_cam"]["by_image"]
    again, _ = from_json(as_json(found, {}))
    assert again.by_image == found.by_image
    assert again.median


def test_scores_that_are_no_ratios_are_led_by_their_mean() -> None:
    found = measured(POINTING, [row(place) for place in range(4)], "P")
    facts = json.loads(as_json(found, {}))
    assert facts["leads"] == "mean"
    assert "median_interval" not in facts["rows"]["grad_cam"]["by_image"]
    assert short(found).splitlines()[1].split() == ["mean", "95%", "interval", "n"]
