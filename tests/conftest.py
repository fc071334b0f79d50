"""Fixtures that several tests share."""

import os
from pathlib import Path

import pytest

import vlx.scenes
from vlx.scenes.render import FONT


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


@pytest.fixture(scope="session")
def held_out() -> Path:
    """The held-out scenes that come with the package."""
    return Path(vlx.scenes.__file__).parent / "assets" / "heldout"
