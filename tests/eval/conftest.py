"""A small world and small models for evaluations."""

import sys
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.eval import small
from vlx.scenes.formats import write_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, emoji_font: Path) -> Path:
    """Twelve scenes in the real formats."""
    return write_world(tmp_path_factory.mktemp("world") / "scenes", 12, seed=7)


@pytest.fixture
def small_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small random models under the names of the built-in ones."""
    monkeypatch.setattr(sys.modules["vlx.load"], "load", small.load)


@pytest.fixture
def run(run: Run, small_models: None) -> Run:
    """The command line with the small models in place of the built-in ones."""
    return run
