"""A tiny folder in the layout of VOC, and small classifiers of its classes."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.eval import small

CLASSES = ("dog", "cat", "car")
SIZE = (40, 56)


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Six images of 56 x 40 with palette masks of three classes, four to learn from."""
    root = tmp_path / "voc"
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / name).mkdir(parents=True)
    (root / "labels.txt").write_text("\n".join(["background", *CLASSES]) + "\n")
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("0\n1\n2\n3\n")
    (root / "ImageSets" / "Segmentation" / "val.txt").write_text("4\n5\n")
    random = np.random.default_rng(0)
    for at in range(6):
        pixels = random.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / "JPEGImages" / f"{at}.jpg")
        labels = np.zeros(SIZE, np.uint8)
        labels[5:25, 5:30] = 1 + at % 3
        labels[5:25, 30] = 255
        Image.fromarray(labels, "L").save(root / "SegmentationClass" / f"{at}.png")
    return root


@pytest.fixture
def small_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small classifier under every name."""
    monkeypatch.setattr(sys.modules["vlx.load"], "load", lambda _name, **_more: small.three_classes())
