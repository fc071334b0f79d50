"""What a study writes is read back as it was, and a run that stopped goes on where it was."""

import json
from pathlib import Path

import pytest
from PIL import Image

from vlx.errors import VlxError
from vlx.images.files import png_of
from vlx.studies.found import Findings, Number, Picture, Table, as_json, cells, markdown
from vlx.studies.kept import claim, kept_rows
from vlx.studies.page import findings_page, read_findings, write_findings

RED = png_of(Image.new("RGB", (2, 2), "red"))
FOUND = Findings(
    "some", "Some <b>study</b>", "Does it?", "It does | so.",
    (
        Table(
            "Hits",
            (
                Number("centre", 0.25, 4, control=True),
                Number("map", 0.75, 4, (0.5, 1.0), 2, left_out={"zero_map": 1}),
                Number("none", None, 0),
            ),
            "4 maps of 2 images.",
        ),
    ),
    {"model": "scenes/<script>", "seed": 0, "layers": ["a", "b"]},
    (Picture("A red square", RED),),
    {"damaged": 2},
    ("It differs.",),
)  # fmt: skip


def test_written_and_read(tmp_path: Path):
    page = write_findings(tmp_path / "new", FOUND)
    read = read_findings(tmp_path / "new")
    assert as_json(read) == as_json(FOUND)
    assert read.pictures == FOUND.pictures
    assert read.tables == FOUND.tables
    assert page.read_text(encoding="utf-8") == findings_page(FOUND) == findings_page(read)


def test_page_shows_what_knows_nothing_last_and_escapes():
    page = findings_page(FOUND)
    assert "<b>study" not in page
    assert "<script>" not in page
    assert page.index(">map<") < page.index(">centre<")
    assert "knows nothing" in page
    assert "2 independent; 1 zero map" in page


def test_markdown_keeps_cells_apart():
    lines = markdown(FOUND).splitlines()
    assert "| map | 0.750 | 0.500 to 1.000 | 4 | 2 independent; 1 zero map |" in lines
    assert "| none |  |  | 0 |  |" in lines
    assert "- left out: 2 damaged" in lines


def test_the_papers_numbers_stand_beside():
    told = cells(Table("Hits", (Number("map", 0.5, 4, paper="0.300"), Number("other", 0.25, 4)), ""))
    assert told == [
        ["", "value", "95% interval", "n", "the paper", ""],
        ["map", "0.500", "", "4", "0.300", ""],
        ["other", "0.250", "", "4", "", ""],
    ]


def test_number_by_name():
    assert FOUND.number("map").value == 0.75
    with pytest.raises(VlxError, match="there are centre, map, none"):
        FOUND.number("other")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_is_refused(value: float):
    with pytest.raises(VlxError, match="leave it out"):
        Number("odd", value, 1)
    with pytest.raises(VlxError, match="leave it out"):
        Number("odd", 1.0, 1, (value, 2.0))


@pytest.mark.parametrize("damage", ["", "{", '{"pictures": []}', '{"pictures": ["gone"]}', "[]"])
def test_damaged_findings_are_one_error(tmp_path: Path, damage: str):
    (tmp_path / "summary.json").write_text(damage)
    with pytest.raises(VlxError, match="run it again"):
        read_findings(tmp_path)


def test_a_folder_belongs_to_its_settings(tmp_path: Path):
    claim(tmp_path / "a", {"seed": 1})
    claim(tmp_path / "a", {"seed": 1})
    with pytest.raises(VlxError, match="other settings"):
        claim(tmp_path / "a", {"seed": 2})
    (tmp_path / "file").write_text("")
    with pytest.raises(VlxError, match="cannot be used"):
        claim(tmp_path / "file" / "below", {})


def test_rows_are_made_once(tmp_path: Path):
    path, made = tmp_path / "rows.jsonl", []

    def make(name: str) -> dict[str, object]:
        if name == "c" and not made[2:]:
            made.append("stopped")
            raise KeyboardInterrupt
        made.append(name)
        return {"is": name}

    with pytest.raises(KeyboardInterrupt):
        kept_rows(path, ["a", "b", "c"], make)
    told: list[str] = []
    assert kept_rows(path, ["c", "a", "b"], make, told.append) == [{"is": "c"}, {"is": "a"}, {"is": "b"}]
    assert made == ["a", "b", "stopped", "c"]
    assert told == ["3 of 3: c"]


@pytest.mark.parametrize("tail", ['{"name": "b", "ro', "null", '{"name": "b"}', "\x00"])
def test_a_row_cut_off_is_made_again(tmp_path: Path, tail: str):
    path = tmp_path / "rows.jsonl"
    kept_rows(path, ["a"], lambda name: {"is": name})
    path.write_text(path.read_text() + tail)
    assert kept_rows(path, ["a", "b"], lambda name: {"was": name}) == [{"is": "a"}, {"was": "b"}]
    assert [json.loads(line)["name"] for line in path.read_text().splitlines()] == ["a", "b"]
