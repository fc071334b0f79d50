"""Scores in memory are those of a run on the same items."""

import json
from pathlib import Path

import pytest

from tests.eval import small
from vlx.eval.data.folder import look
from vlx.eval.items.models import with_controls
from vlx.eval.items.options import Options
from vlx.eval.runs.evaluate import evaluate
from vlx.eval.runs.in_memory import BATCH, measure_in_memory
from vlx.eval.runs.request import Request
from vlx.eval.tasks.pointing import POINTING
from vlx.methods.values import grad_cam


def test_scores_in_memory_are_those_of_a_run(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options(captions=1)
    models = with_controls(small.captioner())
    found = measure_in_memory(POINTING, models, look(world), options, [grad_cam])
    monkeypatch.setattr("vlx.eval.runs.request.load_models", lambda _request: models)
    request = Request("small", str(world), options=options, batch=BATCH, progress=False)
    told = json.loads((evaluate(POINTING, request, tmp_path) / "summary.json").read_text(encoding="utf-8"))
    for name, summary in found.alone.items():
        assert summary.mean == pytest.approx(told["rows"][name]["items"]["mean"], abs=1e-6)
        assert summary.n == told["rows"][name]["items"]["n"]
