"""The scores that the demonstration prints."""

from pathlib import Path

import pytest

from tests.eval import small
from vlx.cli import demonstration
from vlx.errors import VlxError
from vlx.eval.runs.summary import markdown, short
from vlx.scenes.formats import write_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, emoji_font: Path) -> Path:
    return write_world(tmp_path_factory.mktemp("world"), 4, seed=11)


def test_the_table_holds_methods_controls_and_protocols(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demonstration, "load_captioner", small.captioner)
    scores = demonstration.held_out_scores(limit=2, world=world)
    text = "\n".join(map(markdown, scores))
    for name in ("grad_cam", "guided_grad_cam", "centre prior", "random map"):
        assert text.count(f"| {name} |") >= 2
    assert text.count("Protocol: Box ratio") == text.count("Protocol: Word pointing") == 1
    assert "images: 2" in text
    for found in scores:
        lines = short(found).splitlines()
        assert len({len(line) for line in lines[1:]}) == 1  # columns are aligned
        at = next(line for line in lines if "random map" in line)
        assert f" {found.by_image['random map'].mean:.3f} " in at
    with pytest.raises(VlxError, match="vlx scenes generate"):
        demonstration.held_out_scores(world=world / "images")
