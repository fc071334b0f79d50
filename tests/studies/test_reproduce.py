"""Reproductions: every entry is named and made, what fails or lacks is told, and a run goes on."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import Run
from vlx.errors import VlxError
from vlx.eval.runs.settings import Shard
from vlx.studies.found import Findings, Number, Table
from vlx.studies.reproduce.asked import Asked, NotHere
from vlx.studies.reproduce.entries import ENTRIES, Entry
from vlx.studies.reproduce.named import NAMED, named
from vlx.studies.reproduce.page import listed, write_reproduction
from vlx.studies.reproduce.run import DONE, FAILED, LACKS, TODO, lacks, reproduce, so_far


def small(asked: Asked) -> Findings:
    table = Table("Hits", (Number("maps", 0.5, asked.images),), "By hand.")
    return Findings("small", "A small <i>one</i>", "Does it?", "It does.", (table,), asked.settings())


def broken(_asked: Asked) -> Findings:
    raise ZeroDivisionError("by hand")


def lacking(_asked: Asked) -> Findings:
    raise NotHere("a file: nobody has it")


def entries(*runs: object) -> list[Entry]:
    return [
        Entry(ENTRIES[at].of, (), (), 1.0, run)  # pyright: ignore[reportArgumentType]
        for at, run in enumerate(runs)
    ]


def told(asked: Asked, some: Sequence[Entry], shard: Shard | None = None):
    lines: list[str] = []
    return reproduce(asked, some, lines.append, shard), lines


def test_every_entry_has_its_name_once_and_every_name_an_entry():
    names = [one.name for one in ENTRIES]
    assert sorted(names) == sorted({one.name for one in NAMED})
    assert [one for one in NAMED if one.name in names] == [one.of for one in ENTRIES]


def test_what_fails_stops_nothing(tmp_path: Path):
    asked = Asked(tmp_path)
    ran, lines = told(asked, entries(broken, lacking, small))
    assert [one.state for one in ran] == [FAILED, LACKS, DONE]
    assert ran[0].why == "ZeroDivisionError: by hand"
    assert ran[1].why == "a file: nobody has it"
    assert lines[0].startswith("[....................] 1 of 3, about 3 minutes left: ")
    assert lines[-1].strip() == "It does."
    page = write_reproduction(tmp_path, so_far(asked, ran)).read_text(encoding="utf-8")
    assert "ZeroDivisionError: by hand" in page
    assert "<i>one" not in page
    assert "It does." in (tmp_path / "summary.md").read_text(encoding="utf-8")


def test_what_is_made_is_not_made_again(tmp_path: Path):
    asked = Asked(tmp_path)
    told(asked, entries(small))
    ran, _ = told(asked, entries(broken))
    assert ran[0].state == DONE
    (tmp_path / ran[0].entry.name / "summary.json").write_text("{")  # damaged: made anew
    ran, _ = told(asked, entries(broken))
    assert ran[0].state == FAILED


def test_a_folder_belongs_to_its_settings(tmp_path: Path):
    told(Asked(tmp_path), entries(small))
    with pytest.raises(VlxError, match="other settings"):
        told(Asked(tmp_path, images=3), entries(small))


def test_shards_share_the_entries_and_one_folder(tmp_path: Path):
    asked, some = Asked(tmp_path), entries(small, small, small)
    first, _ = told(asked, some, Shard(1, 2))
    second, _ = told(asked, some, Shard(2, 2))
    assert [one.entry.name for one in first] == [some[0].name, some[2].name]
    assert [one.entry.name for one in second] == [some[1].name]
    states = {one.entry.name: one.state for one in so_far(asked)}
    assert [states[one.name] for one in some] == [DONE] * 3
    assert list(states.values()).count(TODO) == len(ENTRIES) - 3


def test_everything_is_ready_on_the_built_in_world(tmp_path: Path):
    asked = Asked(tmp_path)
    assert [lacks(asked, entry) for entry in ENTRIES] == [""] * len(ENTRIES)


def test_a_folder_without_the_files_names_them_and_their_owners(tmp_path: Path, run: Run):
    (tmp_path / "empty").mkdir()
    status, out, _ = run(
        "reproduce", "list", "--data", str(tmp_path / "empty"), "--out", str(tmp_path / "out")
    )
    assert status == 0
    assert not (tmp_path / "out").exists()
    assert "give --classifier MODEL" in out
    status, out, _ = run(
        "reproduce", "list", "--data", str(tmp_path / "empty"), "--classifier", "scenes/classifier",
        "--averaging-classifier", "scenes/classifier-gap", "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert "ImageNet publishes it at" in out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("tabel1",), "near names: table1"),
        (("table1", "--data", "nowhere"), "no such folder"),
        (("table1", "--shard", "3/2"), "shard"),
        (("list", "table1"), "'list'"),
    ],
)
def test_wrong_use_is_one_line(tmp_path: Path, run: Run, given: Sequence[str], said: str):
    status, _, err = run("reproduce", *given, "--out", str(tmp_path / "out"))
    assert status != 0
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_figures_are_made_on_a_few_scenes(tmp_path: Path, run: Run):
    given = ("reproduce", "fig3", "fig16", "--images", "2", "--out", str(tmp_path))
    status, out, err = run(*given)
    assert status == 0, err
    assert (tmp_path / "fig3" / "figures" / "1.png").is_file()
    facts = json.loads((tmp_path / "fig16" / "summary.json").read_text(encoding="utf-8"))
    (table,) = facts["tables"]
    names = [one["name"] for one in table["numbers"]]
    assert names[:2] == ["grad_cam", "grad_cam, own minus wrong"]
    assert any(one["control"] for one in table["numbers"])
    before = (tmp_path / "report.html").read_bytes()
    assert run(*given)[0] == 0  # nothing is made again
    assert (tmp_path / "report.html").read_bytes() == before
    assert "page: " in out


def test_the_list_tells_older_names(tmp_path: Path):
    asked = Asked(tmp_path)
    lines = listed(so_far(asked), [lacks(asked, entry) for entry in ENTRIES]).splitlines()
    assert lines[0].split("  ")[0] == named("fig1").name
    assert any("(2016: Table A1)" in line for line in lines)
