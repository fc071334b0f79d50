"""The evaluations of classes with the classifiers of the built-in scenes: no download, and a known truth."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vlx
import vlx.eval
from tests.conftest import Run
from vlx.errors import VlxError
from vlx.eval.items.crops import mean_scores, views_of
from vlx.eval.items.options import Options
from vlx.eval.runs.request import data_folder

FEW = Options(limit=12, wrong=2)


@pytest.fixture(scope="module")
def vgg() -> Any:
    return vlx.load("scenes/classifier")


@pytest.fixture(scope="module")
def gap() -> Any:
    return vlx.load("scenes/classifier-gap")


@pytest.mark.parametrize("data", ["scenes/ilsvrc", "scenes/kaggle", "scenes/voc", "scenes"])
def test_behind_averaged_maps_grad_cam_localises_as_cam_does(data: str, gap: Any) -> None:
    methods = ["grad_cam", "class_activation_map"]
    found = vlx.eval.evaluate(gap, data, methods, task="localisation", options=FEW).alone
    assert found["grad_cam"].mean == found["class_activation_map"].mean
    assert found["grad_cam, known class"].mean == found["class_activation_map, known class"].mean
    assert found["grad_cam, known class"].mean < found["centre prior, known class"].mean


def test_both_layouts_of_ilsvrc_give_the_same_errors(vgg: Any) -> None:
    devkit, kaggle = (
        vlx.eval.evaluate(vgg, data, task="localisation", options=FEW)
        for data in ("scenes/ilsvrc", "scenes/kaggle")
    )
    assert devkit.images == kaggle.images == FEW.limit
    assert {name: one.mean for name, one in devkit.alone.items()} == {
        name: one.mean for name, one in kaggle.alone.items()
    }


@pytest.mark.parametrize("data", ["scenes", "scenes/voc"])
def test_maps_point_at_their_class_and_not_at_others(data: str, vgg: Any, gap: Any) -> None:
    for model in (vgg, gap):
        found = vlx.eval.evaluate(model, data, task="classes-pointing", options=FEW).alone
        assert found["grad_cam"].mean > 0.9
        assert found["grad_cam, own minus wrong"].mean > 0.3
        unlearned = found["grad_cam, random weights"]
        assert unlearned.mean is None or unlearned.mean < 0.7  # shuffled, the VGG's maps are all 0


def test_absent_classes_are_refused(vgg: Any) -> None:
    found = vlx.eval.evaluate(vgg, "scenes/voc", task="classes-reject", options=FEW).alone
    assert found["grad_cam, threshold of the other half"].mean > 0.8
    assert found["refusing everything"].mean < 0.8


def test_a_command_takes_them_without_data_or_model(tmp_path: Path, run: Run) -> None:
    for name in ("localisation", "classes-pointing", "classes-reject"):
        status, said, _ = run("evaluate", name, "--limit", 2, "--out", tmp_path / name)
        assert status == 0
        summary = json.loads((tmp_path / name / "summary.json").read_text(encoding="utf-8"))
        assert summary["settings"]["model"] == "scenes/classifier"
        assert "Protocol: " in said
    status, said, err = run("evaluate", "localisation", "--data", "scenes/cub", "--out", tmp_path / "no")
    assert (status, said) == (1, "")
    assert "no layout 'cub'" in err


def test_occlusion_agrees_with_maps_of_classes(vgg: Any) -> None:
    wide = Options(limit=2, window=64, stride=32)
    found = vlx.eval.evaluate(vgg, "scenes", task="occlusion", options=wide).alone
    assert found["grad_cam"].mean > 0


def test_probabilities_of_several_crops_are_averaged_as_the_model_gives_them(vgg: Any) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8))
    passes = [view.model.read([image]) for view in views_of(vgg, "ten")]
    expected = np.mean([1 / (1 + np.exp(-one.scores.detach().double().numpy())) for one in passes], axis=0)
    np.testing.assert_allclose(mean_scores(passes).numpy(), expected, rtol=1e-5)


def test_a_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VlxError, match="known: ilsvrc, kaggle, voc"):
        data_folder("scenes/mine")
    (tmp_path / "scenes" / "mine").mkdir(parents=True)
    assert data_folder("scenes/mine").root == Path("scenes/mine")
