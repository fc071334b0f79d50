"""What a data folder holds."""

from pathlib import Path

import pytest

from vlx.eval.data.folder import CAPTIONS, SOURCES, check, look
from vlx.eval.data.records import DataError


def test_check_says_what_is_there_and_where_the_rest_is_published(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "captions_val2014.json").write_text("{}")
    (tmp_path / "val2014").mkdir()
    (tmp_path / "val2014" / "a.jpg").write_bytes(b"")
    lines = check(look(tmp_path))
    assert len(lines) == len(SOURCES)
    assert lines[0] == "found    COCO captions: annotations/captions_val2014.json"
    assert lines[-1] == "found    images: val2014 (1 files)"
    missing = [line for line in lines if line.startswith("missing")]
    assert len(missing) == len(SOURCES) - 2
    assert all("http" in line for line in missing)


def test_several_files_of_a_kind_need_a_choice(tmp_path: Path) -> None:
    for split in ("train2014", "val2014"):
        (tmp_path / f"captions_{split}.json").write_text("{}")
    with pytest.raises(DataError, match=r"several COCO captions .*--split"):
        look(tmp_path).path(CAPTIONS)
    assert look(tmp_path, "val2014").path(CAPTIONS).name == "captions_val2014.json"
    with pytest.raises(DataError, match="no such folder"):
        look(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"has no COCO captions .*cocodataset.org"):
        look(tmp_path / "empty").path(CAPTIONS)
