"""A small world and small models for evaluations."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.evaluation import small
from vlx.cli import main
from vlx.scenes.formats import write_world

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, emoji_font: Path) -> Path:
    """Twelve scenes in the real formats."""
    return write_world(tmp_path_factory.mktemp("world") / "scenes", 12, seed=7)


@pytest.fixture
def small_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small random models under the names of the built-in ones."""
    monkeypatch.setattr(sys.modules["vlx.load"], "load", small.load)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], small_models: None) -> Run:
    """Run the command line here; returns its status and what it printed and complained."""

    def called(*arguments: str | Path | int) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return called
