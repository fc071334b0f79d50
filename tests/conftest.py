"""Fixtures that several tests share."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from vlx.cli.app import main
from vlx.scenes import held_out_scenes
from vlx.scenes.render import FONT

# Property tests: the same examples in every run, and no limit on a slow machine.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

Run = Callable[..., tuple[int, str, str]]
"""Runs the command line: its status, what it printed and what it complained."""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line here; returns its status and what it printed and complained."""

    def called(*arguments: str | Path | int) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return called


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photos and annotations; skips where it is absent."""
    given = os.environ.get("VLX_SHARED_DATA")
    folder = Path(given) if given else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no folder of real data: set VLX_SHARED_DATA")
    return folder


@pytest.fixture(scope="session")
def emoji_font() -> Path:
    """The font that draws scenes; skips where it is absent."""
    if not FONT.is_file():
        pytest.skip("no colour-emoji font: install Debian's fonts-noto-color-emoji")
    return FONT


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the tests' own, also for the processes they start."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("VLX_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def held_out(own_cache: Path) -> Path:
    """The held-out scenes that come with the package."""
    return held_out_scenes()
