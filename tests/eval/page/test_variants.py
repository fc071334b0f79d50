"""Ablations and layers beside one another: differences over the same items, tables, pages, commands."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch
from PIL import ImageOps
from torch import nn

import vlx
from tests.conftest import Run
from tests.eval import small
from vlx.adapters.parts.classifier import Classifier
from vlx.eval.data.folder import look
from vlx.eval.items.crops import views_of
from vlx.eval.items.models import with_controls
from vlx.eval.items.options import Options
from vlx.eval.page import examples as page_examples
from vlx.eval.page.evaluate_variants import ABLATIONS, VARIED, varied
from vlx.eval.page.examples import examples
from vlx.eval.page.paper import paper_value
from vlx.eval.runs.methods import name_in
from vlx.eval.tasks.all import TASKS
from vlx.eval.tasks.localisation import LOCALISATION
from vlx.images.preprocess import Preprocess, ShortSide
from vlx.scenes.inventory import CATEGORIES

DEEP, SHALLOW = "small/deep", "small/shallow"
TASK = ("--task", "classes-pointing")
LABELS = tuple(one.name for one in CATEGORIES)


def deep() -> Classifier:
    """Two convolutions with a coarser grid above, a ReLU between the scores and the second."""
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 5, 3, 2, 1), nn.ReLU(), nn.Flatten(),
        nn.Linear(5 * 14 * 14, 8), nn.ReLU(), nn.Linear(8, len(LABELS)),
    ).eval()  # fmt: skip
    return Classifier(network, LABELS, small.PREPROCESS, layer="3", name=DEEP)


def shallow() -> Classifier:
    """A head of average pooling, with no ReLU above the map."""
    torch.manual_seed(2)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, len(LABELS))
    ).eval()
    return Classifier(network, LABELS, small.PREPROCESS, layer="1", name=SHALLOW)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(small.MODELS, DEEP, deep)
    monkeypatch.setitem(small.MODELS, SHALLOW, shallow)


def told(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["models"]


def scores(folder: Path, method: str) -> dict[str, float]:
    rows = parquet.read_table(folder / "results.parquet").to_pylist()
    return {row["item"]: row["score"] for row in rows if row["method"] == method and row["score"] is not None}


def test_ablations_are_those_of_table_3_and_stand_beside_the_paper(
    world: Path, tmp_path: Path, run: Run
) -> None:
    out = tmp_path / "out"
    status, said, _ = run("evaluate", "ablations", "--model", DEEP, "--data", world, "--out", out)
    assert status == 0
    assert f"page: {out / 'report.html'}" in said
    (model,) = told(out, "ablations")
    boxes, points = model["evaluations"]
    assert [boxes["task"], points["task"]] == ["localisation", "classes-pointing"]
    names = [one.name for one in ABLATIONS]
    assert list(boxes["variants"]) == list(points["variants"]) == names
    assert model["left_out"] == {}
    for one in (boxes, points):
        base = scores(out / f"{one['task']}-small-deep", "grad_cam")
        for name, found in one["variants"].items():
            mine = scores(out / f"{one['task']}-small-deep", name)
            assert found["score"]["value"] == pytest.approx(np.mean(list(mine.values())))
            if name == "grad_cam":
                assert found["minus_reference"] is None
                continue
            both = [mine[item] - base[item] for item in mine if item in base]
            assert found["minus_reference"]["value"] == pytest.approx(np.mean(both), abs=1e-12)
            assert found["minus_reference"]["n"] == len(both)
    assert boxes["paper"] == {
        "grad_cam": 0.5965, "grad_cam_no_relu": 0.7498, "grad_cam_no_relu_stretched": 0.7498,
        "grad_cam_no_relu_magnitude": 0.7498, "grad_cam_absolute": 0.5819, "grad_cam_max_pool": 0.5996,
        "grad_cam_deconvolution": 0.8395, "grad_cam_guided": 0.5914,
    }  # fmt: skip
    assert points["paper"] == {}
    assert "| grad_cam_guided |" in said
    assert "three readings" not in said
    assert "does not say what becomes of values below 0" in said
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/svg+xml") == 2
    assert "data:image/png;base64," in page
    assert list(out.glob("ablations-small-deep-*.png"))
    assert {path.name for path in out.glob("*.svg")} == {
        "ablations-small-deep-localisation.svg", "ablations-small-deep-classes-pointing.svg",
    }  # fmt: skip
    again = run("evaluate", "ablations", "--model", DEEP, "--data", world, "--out", out)
    assert again[:2] == (0, said)  # nothing is measured again, and nothing changes


def test_a_signed_map_that_is_cut_above_0_has_the_boxes_of_a_rectified_one() -> None:
    """Why the reading decides: 15 % of the maximum lies above 0, so values below it change no box."""
    from vlx.eval.measures.localisation import map_box

    plane = np.random.default_rng(0).normal(size=(20, 20))
    assert map_box(plane) == map_box(np.maximum(plane, 0))
    assert map_box(plane - plane.min()) != map_box(plane)


def test_ablations_that_a_model_does_not_allow_are_named(world: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "out"
    status, said, err = run(
        "evaluate",
        "ablations",
        "--model",
        "small/classifier",
        "--data",
        world,
        "--out",
        out,
        "--limit",
        3,
        *TASK,
    )
    assert status == 0, err
    (model,) = told(out, "ablations")
    assert set(model["left_out"]) == {"grad_cam_deconvolution", "grad_cam_guided"}
    assert "no ReLU is between layer 1 and the scores" in model["left_out"]["grad_cam_guided"]
    assert "- grad_cam_guided: not measured: no ReLU" in said


def test_every_layer_is_compared_with_the_last_on_its_items(world: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "out"
    status, said, _ = run("evaluate", "layers", "--model", DEEP, "--data", world, "--out", out)
    assert status == 0
    (model,) = told(out, "layers")
    variants = [(one["name"], one["reference"], one["facts"]) for one in model["variants"]]
    assert variants == [("1", "3", ["28 × 28"]), ("3", "3", ["14 × 14"])]
    for one in model["evaluations"]:
        first, last = (scores(out / f"{one['task']}-small-deep-{layer}", "grad_cam") for layer in (1, 3))
        expected = np.mean([first[item] - last[item] for item in first if item in last])
        assert one["variants"]["1"]["minus_reference"]["value"] == pytest.approx(expected, abs=1e-12)
        assert one["variants"]["3"]["minus_reference"] is None
    alone = vlx.eval.evaluate(deep().at("1"), world, task="classes-pointing")
    points = model["evaluations"][1]["variants"]["1"]
    assert points["score"]["value"] == pytest.approx(alone.alone["grad_cam"].mean)
    assert re.search(r"\| 1 \| 28 × 28 \| \d\.\d{3} \[", said)
    assert list(out.glob("layers-small-deep-*.png"))


def test_layers_of_several_methods_and_those_that_are_named(world: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "out"
    status, _, err = run(
        "evaluate", "layers", "--model", DEEP, "--data", world, "--out", out, "--limit", 3, *TASK,
        "--layer", "2", "--layer", "3", "--layer", "nowhere", "--method", "grad_cam", "--method", "layer_cam",
    )  # fmt: skip
    assert status == 0, err
    (model,) = told(out, "layers")
    assert [(one["name"], one["reference"]) for one in model["variants"]] == [
        ("2, grad_cam", "3, grad_cam"), ("2, layer_cam", "3, layer_cam"),
        ("3, grad_cam", "3, grad_cam"), ("3, layer_cam", "3, layer_cam"),
    ]  # fmt: skip
    assert "nowhere" in model["left_out"]


def test_words_of_captions_have_layers_and_ablations_too(world: Path, tmp_path: Path, run: Run) -> None:
    for command in ("layers", "ablations"):
        out = tmp_path / command
        status, _, err = run(
            "evaluate", command, "--model", "scenes/captioner", "--data", world, "--out", out, "--limit", 2,
            "--task", "pointing", "--captions", 1,
        )  # fmt: skip
        assert status == 0, err
        (model,) = told(out, command)
        assert [one["task"] for one in model["evaluations"]] == ["pointing"]


def test_what_cannot_be_measured_is_one_line(world: Path, tmp_path: Path, run: Run) -> None:
    more = ("--data", world, "--out", tmp_path / "out")
    status, _, err = run("evaluate", "layers", "--model", DEEP, "--task", "pontng", *more)
    assert status == 1
    assert "no evaluation 'pontng'" in err
    assert "near names: pointing" in err
    status, _, err = run("evaluate", "ablations", "--model", DEEP, "--task", "pointing", *more)
    assert status == 1
    assert "is a classifier, which none of pointing is for" in err
    assert (tmp_path / "out" / "report.html").is_file()


def test_the_usual_evaluations_and_the_paper() -> None:
    assert [one.name for one in varied(TASKS, ())] == [one.name for one in TASKS if one.name in VARIED]
    assert [one.name for one in varied(TASKS, ["boxes"])] == ["boxes"]
    value = paper_value("ablations", "classifier", "grad_cam_absolute")
    assert value is not None
    assert value.value == 0.5819


@pytest.mark.parametrize("crop", ["model", "squash", "centre", "ten"])
def test_pictures_of_examples_show_the_map_that_was_scored(
    crop: Any, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = deep()
    model.preprocess = Preprocess(ShortSide(60), (small.SIDE, small.SIDE))
    items, options = LOCALISATION.items(look(world), "classifier", Options())[:2], Options(crop=crop)
    planes: list[np.ndarray] = []
    monkeypatch.setattr(page_examples, "_picture", lambda photo, plane, _item: planes.append(plane) or photo)
    wanted = {item.id: 1.0 for item in items}
    examples(LOCALISATION, with_controls(model), items, vlx.grad_cam, options, wanted)
    assert len(planes) == len(items)
    for item, plane in zip(items, planes, strict=True):
        image, total, seen = vlx.open_image(item.image), 0.0, 0.0
        views = views_of(model, crop)
        chances = []
        for view in views:
            shown = ImageOps.mirror(image) if view.mirrored else image
            chances.append(view.model.read([shown]).scores[0, 0].softmax(-1).detach())
        best = int(torch.stack(chances).mean(0).argmax())
        for view in views:
            shown = ImageOps.mirror(image) if view.mirrored else image
            (found,) = vlx.explain(view.model.read([shown]), [vlx.label(best)])
            step = -1 if view.mirrored else 1
            total = total + found.map(0)[:, ::step]
            seen = seen + found.frame.covered().numpy()[:, ::step]
        np.testing.assert_allclose(plane, total / np.maximum(seen, 1), rtol=1e-4, atol=1e-7)


def test_everything_of_a_classifier_is_on_the_page(world: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "out"
    status, said, err = run(
        "evaluate", "all", "--model", DEEP, "--data", world, "--out", out, "--limit", 3, "--occluded", 1,
        "--stride", 16, "--steps", 2,
    )  # fmt: skip
    assert status == 0, err
    assert said.endswith(f"page: {out / 'report.html'}\n")
    text = (out / "report.html").read_text(encoding="utf-8")
    for title in (
        "Localisation side by side (as Table 1)", f"Faithfulness by the size of the mask: {DEEP}",
        "Ablations of Grad-CAM", "Pointing game with reject", "Pointing game of classes",
    ):  # fmt: skip
        assert title in text, title
    assert "class_activation_map is not measured" in err  # the head has no mean
    assert "class_activation_map" in text
    assert "US 9,846,840" in text
    assert methods_in(out / "localisation-small-deep") == ["grad_cam", "guided_grad_cam", "gradient", "c_mwp"]


def methods_in(folder: Path) -> list[str]:
    settings = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["settings"]
    return [name_in(one) for one in settings["methods"]]


def test_a_method_that_is_asked_for_is_the_one_of_all(world: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "out"
    run(
        "evaluate", "all", "--model", DEEP, "--data", world, "--out", out, "--limit", 2, "--occluded", 1,
        "--stride", 28, "--steps", 2, "--method", "layer_cam",
    )  # fmt: skip
    for name in ("localisation", "classes-pointing", "classes-occlusion"):
        assert methods_in(out / f"{name}-small-deep") == ["layer_cam"]
