"""The scores of the demonstration are those of ``vlx evaluate`` on the same items."""

import json
from pathlib import Path

import pytest

from tests.eval import small
from vlx.errors import VlxError
from vlx.eval.data.folder import look
from vlx.eval.items.models import with_controls
from vlx.eval.items.options import Options
from vlx.eval.runs import in_memory
from vlx.eval.runs.evaluate import evaluate
from vlx.eval.runs.request import Request
from vlx.eval.runs.summary import markdown, short
from vlx.eval.tasks.pointing import POINTING
from vlx.methods.values import grad_cam
from vlx.scenes.formats import write_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, emoji_font: Path) -> Path:
    return write_world(tmp_path_factory.mktemp("world"), 4, seed=11)


def test_scores_in_memory_are_those_of_a_run(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options(captions=1)
    models = with_controls(small.captioner())
    found = in_memory.score(POINTING, models, look(world), options, [grad_cam])
    monkeypatch.setattr("vlx.eval.runs.request.load_models", lambda _request: models)
    request = Request("small", str(world), options=options, batch=in_memory.BATCH, progress=False)
    told = json.loads((evaluate(POINTING, request, tmp_path) / "summary.json").read_text(encoding="utf-8"))
    for name, summary in found.alone.items():
        assert summary.mean == pytest.approx(told["rows"][name]["items"]["mean"], abs=1e-6)
        assert summary.n == told["rows"][name]["items"]["n"]


def test_the_table_holds_methods_controls_and_protocols(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_memory, "load_captioner", small.captioner)
    scores = in_memory.held_out_scores(limit=2, world=world)
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
        in_memory.held_out_scores(world=world / "images")
