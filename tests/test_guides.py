"""The guides in docs/extending are run from top to bottom, as printed."""

import re
from pathlib import Path

import pytest

GUIDES = sorted((Path(__file__).parents[1] / "docs" / "extending").glob("*.md"))


def test_there_is_a_guide_at_each_door():
    assert [guide.stem for guide in GUIDES] == ["adapter", "evaluation", "method", "reader", "target"]


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_a_guide_runs(guide: Path, held_out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each example may use ``photo``, the path of an image, and what the examples before it made."""
    monkeypatch.chdir(tmp_path)
    text = guide.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    known = {"photo": min((held_out / "images").glob("*.jpg"))}
    for block in blocks:
        before = text[: text.index(block)].count("\n")
        exec(compile("\n" * before + block, str(guide), "exec"), known)  # lines of errors are the guide's


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_the_files_that_a_guide_names_exist(guide: Path) -> None:
    root = guide.parents[2]
    named = re.findall(r"`((?:vlx|adapters|eval|tests)/[\w/.]*)`", guide.read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not (root / name).exists()] == []
