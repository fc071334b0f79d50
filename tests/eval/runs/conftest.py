"""A finished run that others are compared with."""

from pathlib import Path

import pytest

from tests.eval.runs.measured import load_small, request
from vlx.eval.runs.evaluate import evaluate
from vlx.eval.tasks.pointing import POINTING


@pytest.fixture(scope="session")
def whole(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Word pointing measured in one go: no shards, no Ray."""
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vlx.eval.runs.request.load_models", load_small)
        evaluate(POINTING, request(world), out)
    return out
