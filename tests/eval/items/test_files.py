"""The bytes that a batch is made from."""

import os
from pathlib import Path

import pytest

from vlx.eval.items import files
from vlx.eval.items.files import file_digest, files_digest
from vlx.eval.items.item import Item
from vlx.eval.items.truth import HumanFiles


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    for name in ("a.jpg", "b.jpg", "1_1.png"):
        (tmp_path / name).write_bytes(name.encode())
    human = HumanFiles((tmp_path / "1_1.png",))
    return [Item("1", tmp_path / "a.jpg", "1", truth=human), Item("2", tmp_path / "b.jpg", "2")]


@pytest.mark.parametrize("name", ["a.jpg", "b.jpg", "1_1.png"])
def test_every_byte_of_images_and_human_maps_counts(items: list[Item], tmp_path: Path, name: str) -> None:
    before, path = files_digest(items), tmp_path / name
    state = path.stat()
    path.write_bytes(path.read_bytes().upper())  # as long as before
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # and as old
    assert files_digest(items) != before
    path.write_bytes(name.encode())
    assert files_digest(items) == before


def test_a_file_that_is_gone_or_a_folder_differs_from_every_file(items: list[Item], tmp_path: Path) -> None:
    found = {files_digest(items)}
    (tmp_path / "a.jpg").unlink()
    found.add(files_digest(items))
    (tmp_path / "a.jpg").mkdir()
    found.add(files_digest(items))
    assert len(found) == 3
    assert file_digest(Path("a\0b")) == "ValueError"


def test_items_that_are_left_out_have_no_files(tmp_path: Path) -> None:
    damaged = Item("damaged record 1", Path(), "damaged record 1", left_out="damaged_record")
    assert files_digest([damaged]) == files_digest([])


def test_a_file_is_read_once(items: list[Item], monkeypatch: pytest.MonkeyPatch) -> None:
    files_digest(items)
    monkeypatch.setattr(Path, "open", lambda *_given: pytest.fail("read again"))
    assert files_digest(items)
    assert files._read.cache_info().hits > 0
