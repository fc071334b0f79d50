"""The study on a world whose truth is planted: each unit sees one colour, each class is one colour."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import nn

from tests.conftest import Run
from vlx.adapters.parts.classifier import Classifier
from vlx.images.preprocess import Preprocess, Squash
from vlx.studies.found import Findings
from vlx.studies.neurons.agreement import NAMED, OTHER, RANDOM, SAME_ABSENT, SHUFFLED_NAMES
from vlx.studies.neurons.named import Neurons
from vlx.studies.neurons.names import read_names
from vlx.studies.neurons.photo import neurons_photo
from vlx.studies.neurons.study import neurons_study
from vlx.studies.neurons.zeroed import ALIKE, BEARERS

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
SIDE = 32
LOAD = import_module("vlx.load")


def squares(folder: Path, count: int = 24) -> Path:
    """Images of one coloured square each, with masks in COCO's format."""
    random = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for at in range(count):
        top, left = (int(one) for one in random.integers(0, SIDE - 12, 2))
        picture = Image.new("RGB", (SIDE, SIDE))
        name = list(COLOURS)[at % 3]
        ImageDraw.Draw(picture).rectangle((left, top, left + 11, top + 11), fill=COLOURS[name])
        picture.save(folder / "images" / f"{at}.png")
        images.append({"id": at, "file_name": f"{at}.png", "height": SIDE, "width": SIDE})
        right, bottom = left + 12, top + 12
        piece = [left, top, right, top, right, bottom, left, bottom]
        annotations.append(
            {"id": at, "image_id": at, "category_id": at % 3 + 1, "bbox": [left, top, 12, 12],
             "segmentation": [piece], "area": 144, "iscrowd": 0}
        )  # fmt: skip
    kinds = [{"id": at, "name": name} for at, name in enumerate(COLOURS, 1)]
    told = {"images": images, "annotations": annotations, "categories": kinds}
    (folder / "instances.json").write_text(json.dumps(told))
    return folder


def planted() -> Classifier:
    """Units 0 to 2 see a colour and speak for its class, unit 3 is dead, units 4 to 6 see colours again."""
    conv, head = nn.Conv2d(3, 7, 1), nn.Linear(7, 3)
    with torch.no_grad():
        conv.weight.zero_()
        conv.bias.fill_(-0.5)  # type: ignore[union-attr]
        for unit, channel in ((0, 0), (1, 1), (2, 2), (4, 0), (5, 1), (6, 2)):
            conv.weight[unit, channel] = 1.0 if unit < 3 else 0.7
        head.weight.fill_(-0.1)
        head.bias.zero_()
        for unit, place in ((0, 0), (1, 1), (2, 2)):
            head.weight[place, unit] = 1.0
    network = nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head).eval()
    prepared = Preprocess(Squash((SIDE, SIDE)), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return Classifier(network, tuple(COLOURS), prepared, layer="1", name="planted")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return squares(tmp_path_factory.mktemp("squares") / "data")


@pytest.fixture(scope="module")
def model() -> Classifier:
    return planted()


@pytest.fixture(autouse=True)
def loads(monkeypatch: pytest.MonkeyPatch, model: Classifier) -> None:
    monkeypatch.setattr(LOAD, "load", lambda *_names, **_settings: model)


@pytest.fixture(scope="module")
def found(world: Path, model: Classifier, tmp_path_factory: pytest.TempPathFactory) -> tuple[Findings, Path]:
    out = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LOAD, "load", lambda *_names, **_settings: model)
        settings = Neurons(model="planted", data=str(world), count=1, share=0.06, examples=2)
        return neurons_study(settings, out, lambda _line: None), out


def test_the_planted_truth_is_found(found: tuple[Findings, Path]):
    findings, out = found
    assert findings.number(NAMED).value == 1
    assert findings.number(OTHER).value == 0
    assert findings.number(RANDOM).value == pytest.approx(2 / 7)  # two units of seven bear each name
    assert findings.number(SHUFFLED_NAMES).value == pytest.approx(2 / 6)
    assert findings.number(SAME_ABSENT).value == 0
    assert findings.number("IoU above 0.05").value == 6
    assert findings.number("nowhere active").value == 1
    assert findings.number("the same name in both halves").value == 1
    assert (findings.number(BEARERS).value or 0) > 0
    assert findings.number(ALIKE).value == 0, "units of other colours are dark here"
    assert "named in 100%" in findings.answer
    names = read_names(out / "1-result.csv", 7)
    assert [None if one is None else one.concept.name for one in names] == [
        "red", "green", "blue", None, "red", "green", "blue",
    ]  # fmt: skip
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png") == len(findings.pictures) == 3


def test_a_second_run_reads_what_the_first_kept(
    found: tuple[Findings, Path], world: Path, monkeypatch: pytest.MonkeyPatch
):
    findings, out = found
    monkeypatch.setattr("vlx.studies.neurons.named.dissect", lambda *_given, **_more: pytest.fail("again"))
    rows = (out / "decisions.jsonl").read_bytes()
    (out / "decisions.jsonl").write_bytes(rows[: len(rows) // 2])
    settings = Neurons(model="planted", data=str(world), count=1, share=0.06, examples=2)
    again = neurons_study(settings, out, lambda _line: None)
    assert again.tables == findings.tables
    assert (out / "decisions.jsonl").read_bytes() == rows


def test_the_model_stays_as_it_was(world: Path, model: Classifier, tmp_path: Path):
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    neurons_photo(
        Neurons(model="planted", data=str(world), share=0.06), world / "images" / "0.png", tmp_path,
        progress=lambda _line: None,
    )  # fmt: skip
    assert all(torch.equal(before[name], value) for name, value in model.network.state_dict().items())
    assert all(one.grad is None and one.requires_grad for one in model.network.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.network.modules())


def test_one_photo_by_the_command_line_with_names_made_elsewhere(run: Run, world: Path, tmp_path: Path):
    photo, table = world / "images" / "1.png", tmp_path / "tally.csv"
    rows = [f"{unit},object,thing {unit},0.{unit}" for unit in range(7, 0, -1)]
    table.write_text("\n".join(["unit,category,label,score", *rows]) + "\n")
    given = (
        "study",
        "neurons",
        "--data",
        world,
        "--out",
        tmp_path / "out",
        "--share",
        0.04,
        "--image",
        photo,
    )
    status, said, _ = run(*given, "--of", "green", "--names", table)
    assert status == 0
    assert "“green”: the neuron for thing 2 is persuasive." in said
    assert (tmp_path / "out" / "photos" / "1-green" / "report.html").is_file()
    table.write_text("\n".join(["unit,category,label,score", *rows[1:]]) + "\n")
    status, _, complained = run(*given, "--names", table)
    assert (status, complained.count("\n")) == (1, 1)
    assert "names 6 units: the layer has 7 channels" in complained


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--of", "red"), "give it with --image"),
        (("--data", "nowhere"), "no such folder"),
        (("--category", "colour"), "no concepts of 'colour'"),
        (("--image", "none.png"), "no image none.png"),
        (("--names", "none.csv"), "no such file|cannot be read"),
    ],
)
def test_bad_input_is_one_line(run: Run, world: Path, tmp_path: Path, more: tuple[str, ...], says: str):
    given = {"--data": str(world), "--out": str(tmp_path)}
    given |= dict(zip(more[::2], more[1::2], strict=True))
    status, _, complained = run("study", "neurons", *(part for pair in given.items() for part in pair))
    assert (status, complained.count("\n")) == (1, 1)
    assert any(one in complained for one in says.split("|"))


def test_another_study_in_the_folder_is_not_mixed(found: tuple[Findings, Path], world: Path, run: Run):
    _, out = found
    status, _, complained = run("study", "neurons", "--data", world, "--out", out, "--iou", 0.04)
    assert status == 1
    assert "other settings" in complained
