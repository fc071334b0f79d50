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
from vlx.images.preprocess import Preprocess, ShortSide
from vlx.methods.occlusion.windows import SIZES, in_proportion, occlusion
from vlx.methods.values import grad_cam, guided_backprop
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


def literal(model, image, place: int, size: int) -> np.ndarray:
    """The falls of one logit on the network input, each window hidden alone and scored alone."""
    pixels, _ = model.preprocess(image)
    inputs = pixels.numpy()

    def score(batch: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return model.network(torch.from_numpy(batch.copy()).float())[:, place].numpy()

    middle = inputs.mean((1, 2))[:, None, None]  # the mean colour of the image, as nothing is subtracted
    return occlusion(inputs, score, size=size, stride=8, fill=np.broadcast_to(middle, inputs.shape)).map


def test_each_class_of_each_image_is_compared_with_its_own_falls_at_every_size(items: list[Item]) -> None:
    model = classifier()
    rows = CLASSES_OCCLUSION.rows(with_controls(model), items, [grad_cam, guided_backprop], OPTIONS)
    assert [row.item for row in rows] == [one.id for one in items for _ in (0, 1)]
    for item, row in zip(items, rows[::2], strict=True):
        place = model.labels.index(item.category)
        assert row.target == item.category
        image = vlx.open_image(item.image)
        view = model.preprocess.displayed(model.preprocess(image)[0])
        (found,) = vlx.explain(model.read([image]), [vlx.label(item.category)])
        small_map = np.asarray(found.grid_maps[0], dtype=float)
        for size in SIZES:
            falls = literal(model, view, place, in_proportion(size, small.SIDE))
            kept = area_average(falls, (14, 14)), area_average(small_map, (14, 14))
            expected = stats.spearmanr(kept[0].ravel(), kept[1].ravel()).statistic
            name = SCORE if size == 35 else f"mask_{size}"
            assert row.outcomes[name].value == pytest.approx(expected, abs=0.06), (item.id, size)
        assert row.outcomes[OWN_MINUS_WRONG].value is not None or row.outcomes[OWN_MINUS_WRONG].left_out


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
    model.preprocess = Preprocess(ShortSide(40), (small.SIDE - 20, small.SIDE - 20))
    models = with_controls(model)
    found = {
        crop: CLASSES_OCCLUSION.rows(models, items, [grad_cam], replace(OPTIONS, crop=crop))
        for crop in ("model", "centre", "squash", "ten")
    }
    assert all(row.outcomes[SCORE].value is not None for rows in found.values() for row in rows)
    middle = [row.outcomes[SCORE].value for row in found["model"]]
    assert [row.outcomes[SCORE].value for row in found["centre"]] == middle
    assert [row.outcomes[SCORE].value for row in found["ten"]] != middle
    assert "the middle one of ten crops" in CLASSES_OCCLUSION.protocol(Options(crop="ten"), "classifier")


def test_methods_that_the_model_does_not_allow_are_left_out_and_told(
    world: Path, tmp_path: Path, small_models: None
) -> None:
    request = Request(
        "small/classifier", str(world), methods=(), options=Options(limit=2, stride=16), progress=False
    )
    with pytest.warns(vlx.errors.Notice) as told:
        out = evaluate(CLASSES_OCCLUSION, request, tmp_path / "out")
    # without a layer with weights below the last, there is nothing to contrast
    left_out = [str(one.message) for one in told if "is not measured" in str(one.message)]
    table = masks_of(out)
    head = table.splitlines()[0]
    assert [cell.strip() for cell in head.split("|")[2:8]] == ["10", "15", "25", "35", "45", "90"]
    for method in COMPARED:
        assert (f"| {method.name} |" in table) != any(f" {method.name} is not" in line for line in left_out)
    assert "| class_activation_map |" in table
    assert ("US 9,846,840" in table) == ("| c_mwp |" in table)
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
