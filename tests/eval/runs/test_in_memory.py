"""Scores in memory are those of a run on the same items."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import vlx
from tests.eval import small
from vlx.errors import VlxError
from vlx.eval.data.folder import look
from vlx.eval.items.models import weights_digest, with_controls
from vlx.eval.items.options import Options
from vlx.eval.runs.evaluate import evaluate
from vlx.eval.runs.in_memory import BATCH, _given, measure_in_memory
from vlx.eval.runs.methods import chosen_methods, told
from vlx.eval.runs.request import Request
from vlx.eval.runs.settings import read_settings
from vlx.eval.tasks.boxes import BOXES
from vlx.eval.tasks.pointing import POINTING
from vlx.methods.values import grad_cam


def test_scores_in_memory_are_those_of_a_run(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options(captions=1)
    models = with_controls(small.captioner())
    found = measure_in_memory(POINTING, models, look(world), options, [grad_cam])
    monkeypatch.setattr("vlx.eval.runs.request.load_models", lambda _request: models)
    request = Request("small", str(world), options=options, batch=BATCH, progress=False)
    told = json.loads((evaluate(POINTING, request, tmp_path) / "summary.json").read_text(encoding="utf-8"))
    for name, summary in found.alone.items():
        assert summary.mean == pytest.approx(told["rows"][name]["items"]["mean"], abs=1e-6)
        assert summary.n == told["rows"][name]["items"]["n"]


def mean_cam(activations: torch.Tensor, gradients: torch.Tensor, power: float = 1.0) -> torch.Tensor:
    return (activations * gradients.mean((-2, -1), keepdim=True).pow(power)).sum(-3)


def scaled(factor: float) -> vlx.Method:
    return vlx.Method("scaled", lambda a, g: factor * mean_cam(a, g))


def flipped(sign: float) -> vlx.Method:
    return vlx.Method("flipped", partial(mean_cam, power=sign))


class Weighted:
    def __init__(self, weights: object) -> None:
        self.weights = weights

    def __call__(self, activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        return mean_cam(activations, gradients)


OWN = [
    vlx.grad_cam_with(pool="max"),
    vlx.grad_cam_with(rectify=False, absolute=True),
    vlx.occlusion_with(size=25, stride=40),
    vlx.Method("mine", mean_cam),
    vlx.Method("mine_guided", mean_cam, vlx.guided_backprop.rule),
    scaled(2.0),
    flipped(1.0),
    vlx.Method("called", Weighted(np.ones(3))),
    replace(vlx.hires_cam, name="renamed"),
    vlx.Method("rule alone", rule=vlx.gradient.rule),
]


def test_methods_of_ones_own_are_scored_in_memory(world: Path) -> None:
    model = small.captioner()
    before = weights_digest(model)
    found = vlx.eval.evaluate(model, world, [vlx.grad_cam, *OWN], options=Options(limit=2))
    assert found.title == BOXES.title
    assert {"grad_cam", *(method.name for method in OWN)} <= set(found.alone)
    assert found.alone["renamed"].n == found.alone["grad_cam"].n > 0
    assert found.alone["renamed, random weights"].n > 0
    assert "grad_cam_max_pool" in str(found)
    assert any("negative_map" in found.alone[method.name].left_out for method in OWN)  # and the rest went on
    assert weights_digest(model) == before
    again = vlx.eval.evaluate(model, look(world), "hires_cam", task="boxes", options=Options(limit=2))
    assert again.alone["hires_cam"] == found.alone["renamed"]


def test_items_of_ones_own_choose_their_evaluation(world: Path) -> None:
    model, folder = small.captioner(), look(world)
    for task, asked in ((BOXES, model), (POINTING, model)):
        items = task.items(folder, "captioner", Options(captions=1))[:5]
        found = vlx.eval.evaluate(asked, items, [vlx.grad_cam])
        assert (found.title, found.items) == (task.title, 5)
    assert vlx.eval.evaluate(small.vqa(), world, options=Options(limit=2)).title.startswith("Human attention")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"data": "nowhere"}, "no such folder"),
        ({"data": []}, "nothing to measure"),
        ({"methods": []}, "no methods"),
        ({"methods": ["grad_cm"]}, "near names: grad_cam"),
        (
            {"methods": [vlx.occlusion_with(), vlx.occlusion_with(batch=1)]},
            "two methods are called occlusion_35_8",
        ),
        ({"methods": vlx.Method("centre prior", mean_cam)}, "cannot be told in a table"),
        ({"methods": vlx.Method("", mean_cam)}, "cannot be told in a table"),
        ({"task": "pointin"}, "near names: pointing"),
        ({"task": "attention"}, "attention needs a vqa or responder, and scenes/captioner is a captioner"),
        ({"batch": 0}, "give 1 or more"),
    ],
)
def test_what_does_not_go_together_is_told_in_one_line(world: Path, given: dict, message: str) -> None:
    with pytest.raises(VlxError, match=message) as error:
        vlx.eval.evaluate(small.captioner(), **{"data": world, **given})
    assert "\n" not in str(error.value)


def test_what_is_no_item_or_no_method_is_told() -> None:
    for wrong in (3, [3], [small.captioner()]):
        with pytest.raises(VlxError, match="is no item: give a data folder"):
            _given(wrong)
    with pytest.raises(VlxError, match="is no method"):
        chosen_methods(BOXES, [print])


def test_one_method_given_twice_is_one() -> None:
    assert chosen_methods(BOXES, [vlx.grad_cam, "grad_cam", vlx.grad_cam_with()]) == [vlx.grad_cam]


def test_the_fingerprint_of_a_method_tells_its_parameters() -> None:
    assert [told(method) for method in vlx.METHODS] == [method.name for method in vlx.METHODS]
    assert told(vlx.occlusion_with(size=45)) == "occlusion_45_8 (size 45, stride of the input, batch 16)"
    integrated, rise = vlx.integrated_gradients, vlx.rise_with(count=9)
    apart = [
        [replace(vlx.integrated_with(integrated, nodes=nodes), name="mine") for nodes in (3, 8)],
        [replace(integrated, name="mine"), replace(vlx.hires_cam, name="mine")],
        [replace(vlx.rise_with(count=9, seed=seed), name="mine") for seed in (0, 1)],
        [replace(vlx.grad_cam_with(rule=rule), name="mine") for rule in ("guided", "deconvolution")],
    ]
    assert all(told(one) != told(other) for one, other in apart)
    assert told(rise) == told(vlx.rise_with(count=9))
    alike = [
        (scaled(2.0), scaled(2.0)),
        (flipped(1.0), flipped(1.0)),
        (vlx.grad_cam_with(pool="max"), vlx.grad_cam_with(pool="max")),
        (vlx.Method("called", Weighted(np.ones(3))), vlx.Method("called", Weighted(np.ones(3)))),
    ]
    assert all(told(one) == told(other) for one, other in alike)
    apart = [
        (scaled(2.0), scaled(3.0)),
        (flipped(1.0), flipped(-1.0)),
        (
            replace(vlx.grad_cam_with(pool="max"), name="a"),
            replace(vlx.grad_cam_with(absolute=True), name="a"),
        ),
        (vlx.Method("called", Weighted(np.ones(3))), vlx.Method("called", Weighted(np.zeros(3)))),
        (vlx.Method("called", Weighted({"a": [1]})), vlx.Method("called", Weighted({"a": [2]}))),
        (vlx.Method("called", Weighted(torch.ones(2))), vlx.Method("called", Weighted(torch.zeros(2)))),
        (vlx.Method("m", lambda a, g: a.sum(-3)), vlx.Method("m", lambda a, g: g.sum(-3))),
        (vlx.Method("m", mean_cam), vlx.Method("m", mean_cam, vlx.guided_backprop.rule)),
        (vlx.Method("m", rule=vlx.gradient.rule), vlx.Method("m", rule=vlx.guided_backprop.rule)),
        (replace(vlx.grad_cam, needs_mean_only=False), vlx.grad_cam),
    ]
    assert [pair for pair in apart if told(pair[0]) == told(pair[1])] == []


def test_a_run_on_disk_takes_methods_and_goes_on_with_the_same_alone(world: Path, tmp_path: Path) -> None:
    def asked(factor: float) -> Request:
        methods = ("hires_cam", scaled(factor), vlx.occlusion_with(size=25, stride=40))
        return Request("small", str(world), methods, options=Options(limit=2), progress=False)

    model = small.captioner()
    evaluate(BOXES, asked(2.0), tmp_path, model)
    names = [name.split(" (")[0] for name in read_settings(tmp_path)[0]["methods"]]
    assert names == ["hires_cam", "scaled", "occlusion_25_40"]
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert {"hires_cam", "scaled", "occlusion_25_40"} <= summary["rows"].keys()
    evaluate(BOXES, asked(2.0), tmp_path, model)
    with pytest.raises(VlxError, match="holds other settings"):
        evaluate(BOXES, asked(3.0), tmp_path, model)


@pytest.mark.parametrize("precision", ["float64", "bfloat16"])
def test_a_run_leaves_the_model_of_its_caller_alone(world: Path, tmp_path: Path, precision: str) -> None:
    model = small.captioner()
    before = weights_digest(model)
    request = Request("small", str(world), precision=precision, options=Options(limit=1), progress=False)
    evaluate(BOXES, request, tmp_path, model)
    assert weights_digest(model) == before
