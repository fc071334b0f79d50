"""One evaluation called from Python."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.conftest import Run
from tests.eval import small
from tests.eval.runs.measured import contents
from vlx.errors import VlxError
from vlx.eval.items.options import Options
from vlx.eval.runs.evaluate import evaluate
from vlx.eval.runs.request import Request
from vlx.eval.tasks.boxes import BOXES


def test_a_model_of_ones_own_is_measured_without_a_name(world: Path, tmp_path: Path, run: Run) -> None:
    assert run("evaluate", "boxes", "--data", world, "--out", tmp_path / "named", "--limit", 2)[0] == 0
    request = Request("scenes/captioner", str(world), options=Options(limit=2), progress=False)
    evaluate(BOXES, request, tmp_path / "own", small.captioner())
    assert contents(tmp_path / "own") == contents(tmp_path / "named")
    with pytest.raises(VlxError, match="local engine"):
        evaluate(BOXES, replace(request, engine="ray"), tmp_path / "ray", small.captioner())


def test_too_little_memory_is_said_in_one_line(world: Path, tmp_path: Path) -> None:
    model = small.captioner()
    request = Request("small", str(world), options=Options(limit=1), progress=False)

    def full(*_arguments: object) -> object:
        raise torch.OutOfMemoryError("CUDA out of memory\nTried to allocate")

    model.read = full
    with pytest.raises(VlxError, match="16 items in a batch: give a smaller --batch"):
        evaluate(BOXES, request, tmp_path, model)
    model.read = small.captioner().read
    assert evaluate(BOXES, request, tmp_path, model) == tmp_path  # goes on as if nothing had been
