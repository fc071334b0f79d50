"""Faithfulness on classes: correlations against windows hidden one by one, sizes, methods left out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import vlx
import vlx.eval
from tests.eval import small
from vlx.adapters.parts.classifier import Classifier
from vlx.eval.baselines import c_mwp
from vlx.eval.data.folder import look
from vlx.eval.items.item import Item
from vlx.eval.items.models import with_controls
from vlx.eval.items.options import Options
from vlx.eval.items.rows import OWN_MINUS_WRONG, SCORE
from vlx.eval.measures.maps import area_average
from vlx.eval.page.side_by_side import masks_of
from vlx.eval.runs.evaluate import evaluate
from vlx.eval.runs.request import Request
from vlx.eval.runs.summary import markdown
from vlx.eval.tasks.classes_occlusion import CLASSES_OCCLUSION, COMPARED
from vlx.eval.tasks.occlusion import on_input, prepared_view
from vlx.images.preprocess import Preprocess, ShortSide
from vlx.methods.occlusion.windows import SIZE, SIZES, in_proportion, occlusion
from vlx.methods.values import class_activation_map, grad_cam, guided_backprop
from vlx.scenes.inventory import CATEGORIES

OPTIONS = Options(stride=8)


def classifier() -> Classifier:
    """With the categories of the scenes, and a ReLU between the map and the scores."""
    torch.manual_seed(4)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(6 * 49, 8), nn.ReLU(),
        nn.Linear(8, len(CATEGORIES)),
    ).eval()  # fmt: skip
    return Classifier(network, [one.name for one in CATEGORIES], small.PREPROCESS, layer="1", name="small/fc")


@pytest.fixture(scope="module")
def items(world: Path) -> list[Item]:
    return CLASSES_OCCLUSION.items(look(world), "classifier", OPTIONS)[:4]


def literal(model: Classifier, pixels: np.ndarray, place: int, size: int) -> np.ndarray:
    """The falls of one logit on the network input, each window hidden alone and scored alone."""

    def score(batch: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return model.network(torch.from_numpy(batch.copy()).float())[:, place].numpy()

    return occlusion(
        pixels, score, size=size, stride=8, fill=np.zeros_like(pixels)
    ).map  # the colour subtracted


def test_each_class_is_compared_with_its_own_falls_at_every_size(items: list[Item]) -> None:
    model = classifier()
    rows = CLASSES_OCCLUSION.rows(with_controls(model), items, [grad_cam, guided_backprop], OPTIONS)
    assert [row.item for row in rows] == [one.id for one in items for _ in (0, 1)]
    direct = on_input(model)
    for item, row in zip(items, rows[::2], strict=True):
        assert row.target == item.category
        view = prepared_view(model, vlx.open_image(item.image))
        pixels = direct.preprocess(view)[0].numpy().astype(np.float64)
        (found,) = vlx.explain(direct.read([view]), [vlx.label(item.category)])
        plane = area_average(found.map(0).astype(np.float64), (14, 14))
        for size in SIZES:
            window = in_proportion(size, small.SIDE)
            falls = area_average(literal(model, pixels, model.labels.index(item.category), window), (14, 14))
            expected = stats.spearmanr(plane.ravel(), falls.ravel()).statistic
            name = SCORE if size == SIZE else f"mask_{size}"
            assert row.outcomes[name].value == pytest.approx(expected, abs=5e-3), (item.id, size)
        assert row.outcomes[OWN_MINUS_WRONG].value is not None


def test_a_window_that_is_asked_for_changes_the_score_alone(items: list[Item]) -> None:
    models = with_controls(classifier())
    usual = CLASSES_OCCLUSION.rows(models, items[:1], [grad_cam], OPTIONS)[0].outcomes
    other = CLASSES_OCCLUSION.rows(models, items[:1], [grad_cam], replace(OPTIONS, window=20))[0].outcomes
    assert usual[SCORE] != other[SCORE]
    assert {name: usual[name] for name in usual if "mask" in name} == {
        name: other[name] for name in other if "mask" in name
    }


def test_images_are_hidden_as_the_crop_shows_them(items: list[Item]) -> None:
    model = classifier()
    model.preprocess = Preprocess(ShortSide(70), (small.SIDE, small.SIDE))
    models = with_controls(model)
    found = {
        crop: CLASSES_OCCLUSION.rows(models, items, [grad_cam], replace(OPTIONS, crop=crop))
        for crop in ("model", "centre", "squash", "ten")
    }
    scored = {crop: [row.outcomes[SCORE] for row in rows] for crop, rows in found.items()}
    assert any(one.value is not None for one in scored["ten"])
    assert scored["centre"] == scored["model"]
    assert scored["ten"] != scored["model"] != scored["squash"]
    assert "the middle one of ten crops" in CLASSES_OCCLUSION.protocol(Options(crop="ten"), "classifier")


def test_methods_that_the_model_does_not_allow_are_left_out_and_told(
    world: Path, tmp_path: Path, small_models: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(small.MODELS, "small/fc", classifier)
    few = Options(limit=2, stride=16)
    request = Request("small/fc", str(world), methods=(), options=few, progress=False)
    with pytest.warns(vlx.errors.Notice) as told:
        out = evaluate(CLASSES_OCCLUSION, request, tmp_path / "out")
    (left_out,) = [str(one.message) for one in told if "is not measured" in str(one.message)]
    assert left_out.startswith(
        "classes-occlusion: class_activation_map is not measured: class activation maps"
    )
    assert {'"crop"', '"classes"', '"window"'} <= set(
        (out / "settings.json").read_text().replace(":", " ").split()
    )
    table = masks_of(out)
    head = table.splitlines()[0]
    assert [cell.strip() for cell in head.split("|")[2:8]] == ["10", "15", "25", "35", "45", "90"]
    for method in COMPARED:
        assert (f"| {method.name} |" in table) == (method != class_activation_map)
    assert "US 9,846,840" in table
    assert "| centre prior |" in table


def test_the_paper_is_beside_and_the_patent_is_told(world: Path, small_models: None) -> None:
    found = vlx.eval.evaluate(
        classifier(),
        world,
        [grad_cam, c_mwp],
        task="classes-occlusion",
        options=Options(limit=2, stride=16),
    )

    assert "US 9,846,840" in markdown(found)
    assert "averaged over a 14 x 14 grid" in found.protocol
    assert {"centre prior, mask 90", "grad_cam, mask 10"} <= set(found.alone)
