"""What a classifier of one's own looks at: a network that goes by a colour is found to."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tests.conftest import Run
from vlx.adapters.parts.classifier import Classifier
from vlx.errors import VlxError
from vlx.images.preprocess import Preprocess, Squash
from vlx.studies.bias.own import Bench, OwnSettings
from vlx.studies.bias.own_tables import ENOUGH, GROUND, OwnRow, findings_of_own, most_looked_at, parts_of

SIDE = 32


class ByColour(nn.Module):
    """Two classes on the mean of red and of blue: the first class is red, the second blue."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 0, 1.0]])[..., None, None])

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.relu(self.conv(pixels)).mean((2, 3))


def by_colour() -> Classifier:
    """A classifier whose "dog" is red and whose "cat" is blue."""
    plain = Preprocess(Squash((SIDE, SIDE)), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return Classifier(ByColour().eval(), ["dog", "cat"], plain, layer="conv")


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Grey dogs beside red balls and green cups: a network of red sees the balls."""
    (tmp_path / "images").mkdir()
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for at in range(1, ENOUGH + 1):
        pixels = np.full((SIDE, SIDE, 3), 60, np.uint8)
        for number, (colour, left) in enumerate(
            (((90, 90, 90), 2), ((250, 20, 20), 14), ((20, 250, 20), 23)), 1
        ):
            top = 2 + 2 * at
            pixels[top : top + 8, left : left + 8] = colour
            boxes.append(
                {
                    "id": 10 * at + number, "image_id": at, "category_id": number, "iscrowd": 0, "area": 64,
                    "bbox": [left, top, 8, 8],
                    "segmentation": [[left, top, left + 8, top, left + 8, top + 8, left, top + 8]],
                }
            )  # fmt: skip
        images.append({"id": at, "file_name": f"{at}.png", "width": SIDE, "height": SIDE})
        Image.fromarray(pixels).save(tmp_path / "images" / f"{at}.png")
    names = [{"id": at, "name": name} for at, name in enumerate(("dog", "ball", "cup", "cat"), 1)]
    facts = {"images": images, "annotations": boxes, "categories": names}
    (tmp_path / "instances.json").write_text(json.dumps(facts))
    return tmp_path


def test_what_a_class_looks_at_beside_its_object_is_named(world: Path):
    bench = Bench(OwnSettings("by colour", str(world), ("dog",)), by_colour())
    rows = [
        OwnRow(of, one.id, json.loads(json.dumps(bench.row(name)))) for name, (of, one) in bench.items.items()
    ]
    assert set(rows[0].row["parts"]) == {GROUND, "dog", "ball", "cup"}
    shares = rows[0].row["parts"]
    assert sum(part["own"] for part in shares.values()) == pytest.approx(1)
    assert shares["ball"]["own"] > shares["dog"]["own"] > shares["cup"]["own"]
    assert shares["ball"]["area"] == pytest.approx(64 / SIDE**2)
    assert shares["ball"]["hidden"] > max(0, shares["ball"]["mirrored"])
    first, *rest = parts_of("dog", rows)
    assert first.name == "ball"
    assert first.named
    assert not any(part.named for part in rest if part.name == "cup")
    assert most_looked_at("dog", rows)[0][0] == "ball"
    found = findings_of_own(("dog",), rows, {}, bench.pictures("dog", rows), 4, 0)
    assert "looks at ball" in found.answer
    assert found.number("1. ball *").value == first.more.mean
    assert found.number("ball: uniform map").control
    assert found.pictures[0].png.startswith(b"\x89PNG")


def test_a_class_that_stands_alone_has_nothing_to_tell():
    part = {"own": 0.5, "wrong": 0.5, "area": 0.5, "centre": 0.5, "activation": 0.5}
    rows = [OwnRow("dog", str(at), {"parts": {GROUND: part, "dog": part}}) for at in range(5)]
    assert "no other category" in findings_of_own(("dog",), rows, {}, (), 4, 0).answer
    lost = [OwnRow("dog", "1", {"left_out": "damaged_record"})]
    assert findings_of_own(("dog",), lost, {}, (), 4, 2).left_out == {"damaged_record": 3}


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ((), "--of 'dog'"),
        (("dgo",), "near names: dog"),
        (("ball",), "no class of"),
        (("cat",), "no image"),
    ],
)
def test_a_class_that_cannot_be_looked_into_is_one_line(world: Path, of: tuple[str, ...], said: str):
    with pytest.raises(VlxError, match=said):
        Bench(OwnSettings("by colour", str(world), of), by_colour())


def test_a_damaged_image_is_left_out(world: Path):
    (world / "images" / "1.png").write_bytes(b"no picture")
    bench = Bench(OwnSettings("by colour", str(world), ("dog",)), by_colour())
    assert bench.row("dog/1") == {"left_out": "damaged_record"}


def test_command_on_the_built_in_world(run: Run, tmp_path: Path):
    given = ("study", "bias", "--model", "scenes/classifier", "--of", "car", "--limit", 1, "--out", tmp_path)
    status, out, err = run(*given)
    assert (status, err) == (0, "")
    assert "page:" in out
    assert (tmp_path / "report.html").is_file()
    assert run(*given)[1].splitlines()[-1] == out.splitlines()[-1]


def test_only_classifiers(run: Run, tmp_path: Path):
    status, _, err = run("study", "bias", "--model", "scenes/vqa", "--of", "car", "--out", tmp_path)
    assert status != 0
    assert "is no classifier" in err
