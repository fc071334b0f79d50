"""Names are written as NetDissect does and read back; a damaged table is one clear error."""

import csv
from pathlib import Path

import numpy as np
import pytest

from vlx.errors import VlxError
from vlx.studies.neurons.concepts import Concept
from vlx.studies.neurons.names import names_from, read_names, write_names
from vlx.studies.neurons.tally import Counts

CONCEPTS = (Concept("object", "dog, hot"), Concept("object", "cat"), Concept("color", "red-c"))
COUNTS = Counts(
    intersect=np.array([[2.0, 0, 1], [0, 0, 0], [0, 6, 3]]),
    active=np.array([[4.0, 5], [0, 0], [8, 9]]),
    truth=np.array([6.0, 8, 7]),
    images=np.array([2.0, 3, 1]),
)
HEAD = "unit,category,label,score\n"


def test_a_table_holds_what_netdissect_writes(tmp_path: Path):
    path = write_names(tmp_path / "conv5-result.csv", COUNTS, CONCEPTS)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["unit"] for row in rows] == ["3", "1", "2"], "from 1 on, the best first"
    parts = ("label", "truth", "activation", "intersect", "iou")
    columns = [f"{category}-{part}" for category in ("object", "color") for part in parts]
    assert list(rows[0]) == ["unit", "category", "label", "score", *columns]
    assert (rows[0]["label"], float(rows[0]["score"])) == ("cat", 6 / 10)
    assert [float(rows[0][f"color-{part}"]) for part in parts[1:]] == [7, 9, 3, 3 / 13]
    assert rows[1]["label"] == "dog, hot", "a comma stands within quotes"
    assert (rows[2]["label"], rows[2]["score"], rows[2]["object-label"]) == ("", "0.0", "")
    assert read_names(path, 3) == names_from(COUNTS, CONCEPTS)
    assert read_names(path)[1] is None


def test_marks_of_broden_are_not_shown():
    assert [one.shown for one in (*CONCEPTS, Concept("scene", "street-s"))][2:] == ["red", "street"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column unit, category"),
        ("unit,label,score\n1,a,0\n", "no column category"),
        (HEAD, "names 0 units"),
        (HEAD + "1,object,dog,.2\n1,object,dog,.2\n", "line 3: unit 1 stands twice"),
        (HEAD + "1,object,dog,.2\n3,object,dog,.2\n", "not those from 1 to 2"),
        (HEAD + "0,object,dog,.2\n1,object,dog,.2\n", "whole number from 1"),
        (HEAD + "1.5,object,dog,.2\n", "whole number from 1"),
        (HEAD + "1,object,dog,nan\n", "an IoU of 0 to 1"),
        (HEAD + "1,object,dog,1.2\n", "an IoU of 0 to 1"),
        (HEAD + "one,object,dog,.2\n", "are no numbers"),
        (HEAD + "1,object,dog\n", "3 values for 4 columns"),
        (HEAD + '1,object,"dog,.2\n', "no table of comma-separated values"),
        (HEAD + "1,object,dog\0,.2\n2,o,\x81", "."),
        ("unit,unit,category,label,score\n", "names a column twice"),
        (HEAD + "1,object,dog,.2\n", "names 1 units: the layer has 2 channels"),
    ],
)
def test_a_damaged_table_is_one_clear_error(tmp_path: Path, text: str, says: str):
    path = tmp_path / "tally.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(VlxError, match=says) as error:
        read_names(path, 2)
    assert "\n" not in str(error.value)
    assert "tally.csv" in str(error.value)


def test_no_table_at_all(tmp_path: Path):
    with pytest.raises(VlxError, match="no such file"):
        read_names(tmp_path / "none.csv")
    with pytest.raises(VlxError, match=r"cannot be read|no such file"):
        read_names(tmp_path)
