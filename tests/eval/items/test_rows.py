"""Rows on disk: every digit, any text, whole files or none."""

import math
from pathlib import Path

import pytest

from vlx.errors import VlxError
from vlx.eval.items.item import Item
from vlx.eval.items.rows import as_text, from_text, left_out, parquet, read_part, row_of, write_part
from vlx.eval.measures.statistics import Outcome
from vlx.eval.tasks.pointing import POINTING


def test_rows_keep_every_digit_and_any_text(tmp_path: Path) -> None:
    strange = Item("ü\n\ud800", Path("x.jpg"), "1", 'a "dog" \u2028 \\', question_id=2**40)
    values = (0.1 + 0.2, 1e-310, -0.0, math.inf, 5e300, -1 / 7, 1 / 3)
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
