"""Summaries of rows: worked by hand, the same whatever the order, and kept whole in JSON."""

import json
import math
from pathlib import Path

import pytest

from vlx.errors import VlxError
from vlx.eval.items.item import Item
from vlx.eval.items.options import Options
from vlx.eval.items.rows import (
    SCORE,
    Row,
    as_text,
    from_text,
    left_out,
    parquet,
    read_part,
    row_of,
    write_part,
)
from vlx.eval.measures.statistics import Outcome
from vlx.eval.runs.summary import as_json, from_json, latex, markdown, measured
from vlx.eval.tasks.all import TASKS
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
        "random pixel", "gradient", "gradient, random weights",
    ]  # fmt: skip
    assert {one.seen for one in found.alone.values()} == {4}
    assert found.items == 4
    assert found.alone["gradient"].mean == pytest.approx(2 / 3 + 0.5)


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


@pytest.mark.parametrize("task", TASKS, ids=lambda one: one.name)
def test_protocols_name_the_options_that_matter(task: object) -> None:
    assert isinstance(task, type(POINTING))
    for model_type in task.model_types:
        text = task.protocol(Options(tolerance=15.0, captions=1, window=45, stride=4), model_type)
        assert "Mean over" in text
        named = {"pointing": ("15 pixels", "first 1 reference"), "occlusion": ("45 pixels", "every 4 pixels")}
        assert all(part in text for part in named.get(task.name, ()))


def test_rows_keep_every_digit_and_any_text(tmp_path: Path) -> None:
    strange = Item("ü\n\ud800", Path("x.jpg"), "1", 'a "dog" \u2028 \\', question_id=2**40)
    values = (0.1 + 0.2, 1e-310, -0.0, math.inf, 5e300, 1 / 3)
    outcomes = dict(zip(POINTING.columns, map(Outcome, values), strict=True))
    rows = [
        row_of(strange, "grad_cam", outcomes),
        *left_out(strange, ["m"], POINTING.columns, "no_image", "d"),
    ]
    assert as_text(from_text(as_text(rows))) == as_text(rows)
    write_part(tmp_path, 3, "f", rows)
    back = read_part(tmp_path, 3, "f")
    assert back is not None
    assert [one.outcomes for one in back] == [one.outcomes for one in rows]
    zero = back[0].outcomes["mean_activation"].value
    assert zero is not None
    assert math.copysign(1, zero) == -1
    assert (back[1].damaged, back[0].damaged, back[1].detail) == (True, False, "d")
    assert read_part(tmp_path, 4, "f") is None
    with pytest.raises(VlxError, match="other settings"):
        read_part(tmp_path, 3, "g")
    parquet(tmp_path / "x.parquet", rows, POINTING.columns, group=1)
    from pyarrow import parquet as files

    table = files.read_table(tmp_path / "x.parquet")
    assert table.num_rows == 2
    assert table["score"].to_pylist() == [values[0], None]
    assert table["left_out"].to_pylist() == [None, "no_image"]
    assert table["question_id"].to_pylist() == [2**40] * 2
    assert not list(tmp_path.glob("*.part"))
