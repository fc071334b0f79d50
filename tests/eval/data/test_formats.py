"""No picture of a data set makes Pillow run a program, whatever its name says it is."""

from pathlib import Path

import pytest
from PIL import EpsImagePlugin, Image

import vlx
from vlx.errors import VlxError
from vlx.eval.data.class_masks import read_palette
from vlx.eval.data.densecap import DenseImage, image_sizes
from vlx.eval.data.hat import read_human_map


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An image of the format that Pillow has Ghostscript draw, under the name of another."""
    path = tmp_path / "map.png"
    Image.new("L", (8, 8)).save(path, "EPS")

    def drawn(*_: object, **__: object) -> Image.Image:
        raise AssertionError("Ghostscript was asked")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", drawn)
    return path


def sizes(path: Path) -> object:
    return image_sizes((DenseImage(path.name, ()),), path.parent)


@pytest.mark.parametrize("reader", [vlx.open_image, read_human_map, read_palette, sizes])
def test_postscript_is_refused(reader, script: Path):
    with pytest.raises(VlxError, match=r"map\.png"):
        reader(script)


def test_the_fixture_can_fail(script: Path):
    with pytest.raises(AssertionError, match="Ghostscript"):
        Image.open(script).load()
