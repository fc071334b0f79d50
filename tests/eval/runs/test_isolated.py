"""Data, model and item: each kind of fault is told as what it is, and one item never ends a run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
import torch

from tests.eval import small
from tests.eval.runs.measured import parts
from vlx.errors import ImageError, LayerError, TextError, VlxError
from vlx.eval.data.folder import look
from vlx.eval.items.models import with_controls
from vlx.eval.items.options import Options
from vlx.eval.runs.evaluate import evaluate
from vlx.eval.runs.in_memory import measure_in_memory
from vlx.eval.runs.isolated import rows_of
from vlx.eval.runs.request import Request
from vlx.eval.tasks.boxes import BOXES
from vlx.eval.tasks.occlusion import OCCLUSION
from vlx.eval.tasks.pointing import POINTING
from vlx.eval.tasks.sanity import SANITY
from vlx.eval.tasks.task import Task
from vlx.methods.values import grad_cam

OPTIONS = Options(limit=4, captions=1, window=15, stride=16)


def asked(world: Path, **more: Any) -> Request:
    return Request("mine", str(world), batch=4, threads=1, **{"options": OPTIONS, "progress": False, **more})


def left_out(out: Path) -> list[str | None]:
    return [row["left_out"] for row in parquet.read_table(out / "results.parquet").to_pylist()]


def faults(out: Path) -> dict[str, Any]:
    return json.loads((out / "summary.json").read_text(encoding="utf-8"))["faults"]


class Failing:
    """The small captioner, which does something else with one caption; its copies do it too."""

    def __init__(self, bad: str, change: Any) -> None:
        self._inner, self._bad, self._change = small.captioner(), bad, change
        self.network, self.preprocess, self.layer = self._inner.network, self._inner.preprocess, "features.4"

    def generate(self, *_given: Any) -> None:
        raise NotImplementedError

    def read(self, images: Any, captions: Any) -> Any:
        inner = self._inner
        inner.network, inner.preprocess = self.network, self.preprocess
        run = inner.read(images, captions)
        return self._change(run, [caption == self._bad for caption in captions])


def infinite(run: Any, bad: list[bool]) -> Any:
    """As an overflow in half precision."""
    scale = torch.tensor([float("inf") if one else 1.0 for one in bad])[:, None, None]
    return replace(run, scores=run.scores * scale)


def raising(error: Exception) -> Any:
    def change(run: Any, bad: list[bool]) -> Any:
        if any(bad):
            raise error
        return run

    return change


def bad_text(world: Path, task: Task) -> str:
    items = task.items(look(world), "captioner", OPTIONS)
    texts = [item.text for item in items]
    return next(item.text for item in reversed(items) if texts.count(item.text) == 1)


@pytest.mark.parametrize("task", [BOXES, SANITY])
@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        (infinite, "not_finite", "not finite"),
        (raising(RuntimeError("shapes\ndo not fit")), "failed", "RuntimeError: shapes do not fit"),
        (raising(KeyError("a")), "failed", "KeyError: 'a'"),
        (raising(LayerError("layer x has a single place")), "failed", "layer x has a single place"),
        (raising(AssertionError()), "failed", "AssertionError"),
    ],
)  # fmt: skip
def test_one_item_that_fails_is_left_out_alone(
    world: Path, tmp_path: Path, task: Task, change: Any, reason: str, detail: str
) -> None:
    options = Options(captions=1) if task is BOXES else OPTIONS
    model = Failing(bad_text(world, BOXES) if task is BOXES else caption_of_one(world), change)
    request = asked(world, options=options)
    for _ in range(2):  # the second finds all of it done
        evaluate(task, request, tmp_path, model)
        found = left_out(tmp_path)
        assert 1 <= found.count(reason) < len(found) / 2
        assert faults(tmp_path)[reason]["items"] == found.count(reason)
        assert detail in faults(tmp_path)[reason]["detail"]
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["damaged"] == 0
    text = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert f"- failed on this item: {reason} {found.count(reason)}, the first: " in text
    assert f"{reason} (" in text  # and what that means


def caption_of_one(world: Path) -> str:
    """A caption of one image of the draw."""
    from vlx.eval.items.item import drawn

    return drawn(SANITY.items(look(world), "captioner", OPTIONS), 4, 0)[-1].text


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ImageError("an image too thin"), "refused_image"),
        (TextError("90 tokens long"), "refused_text"),
    ],
)
def test_what_a_model_does_not_take_is_no_damage(
    world: Path, tmp_path: Path, error: VlxError, reason: str
) -> None:
    model = Failing(bad_text(world, BOXES), raising(error))
    evaluate(BOXES, asked(world, options=Options(), damaged=0.0), tmp_path, model)
    assert left_out(tmp_path).count(reason) == 1
    assert f"not taken by the model: {reason} 1, the first: {error}" in (tmp_path / "summary.md").read_text()


def test_the_others_of_a_batch_keep_their_scores(world: Path) -> None:
    items = BOXES.items(look(world), "captioner", Options())[:7]
    good = rows_of(BOXES, with_controls(small.captioner()), items, [grad_cam], Options())
    model = Failing(items[4].text, infinite)
    mixed = rows_of(BOXES, with_controls(model), items, [grad_cam], Options())
    assert [row.item for row in mixed] == [row.item for row in good]
    for own, other in zip(good, mixed, strict=True):
        if other.text == items[4].text:
            assert other.outcomes["score"].left_out == "not_finite"
        else:
            assert other.outcomes["score"].value == pytest.approx(own.outcomes["score"].value, rel=1e-3)


def test_a_device_that_is_lost_ends_the_run(world: Path, tmp_path: Path) -> None:
    lost = RuntimeError("CUDA error: device-side assert triggered")
    for error in (lost, MemoryError()):
        model = Failing(bad_text(world, BOXES), raising(error))
        with pytest.raises(type(error)):
            evaluate(BOXES, asked(world, options=Options()), tmp_path, model)


def without(name: str) -> Any:
    model = small.captioner()
    read = model.read

    def changed(images: Any, captions: Any) -> Any:
        run = read(images, captions)
        return replace(run, below=None if name == "below" else replace(run.below, **{name: None}))

    model.read = changed
    return model


def not_a_number() -> Any:
    model = small.captioner()
    with torch.no_grad():
        model.network.cnn.features[0].weight[0] = float("nan")
    return model


def all_refused(error: Exception) -> Any:
    model = small.captioner()

    def refuse(*_given: Any) -> Any:
        raise error

    model.read = refuse
    return model


@pytest.mark.parametrize(
    ("task", "model", "methods", "said"),
    [
        (OCCLUSION, lambda: without("below"), ("grad_cam",), "occlusion cannot be .* mine.*other pixels"),
        (OCCLUSION, lambda: without("rescore"), ("grad_cam",), "gives no way to score other pixels"),
        (BOXES, lambda: without("below"), ("occlusion",), "boxes cannot be measured with mine"),
        (BOXES, lambda: without("encode"), ("guided_backprop",), "gives no way from pixels"),
        (POINTING, not_a_number, ("grad_cam",), "weights of mine are not finite in float32"),
        (BOXES, lambda: all_refused(TextError("no token for 'dog'")), ("grad_cam",), "takes none of .*'dog'"),
        (BOXES, lambda: all_refused(ImageError("too thin")), ("grad_cam",), "takes none of .*too thin"),
        (BOXES, lambda: all_refused(LayerError("no layer")), ("grad_cam",), "measured with mine: no layer"),
    ],
)  # fmt: skip
def test_what_a_model_cannot_do_is_said_before_any_batch(
    world: Path, tmp_path: Path, task: Task, model: Any, methods: tuple[str, ...], said: str
) -> None:
    with pytest.raises(VlxError, match=said) as caught:
        evaluate(task, asked(world, methods=methods), tmp_path, model())
    assert "\n" not in str(caught.value)
    assert "damaged" not in str(caught.value)
    assert parts(tmp_path) == []
    assert not (tmp_path / "settings.json").exists()
    evaluate(BOXES, asked(world), tmp_path, small.captioner())  # the folder is free for another


def test_any_error_of_the_model_is_a_line_with_its_cause(world: Path, tmp_path: Path) -> None:
    error = RuntimeError("not implemented for\n'Half'")
    with pytest.raises(VlxError, match="with mine: RuntimeError: not implemented for 'Half'") as caught:
        evaluate(BOXES, asked(world), tmp_path, all_refused(error))
    assert caught.value.__cause__ is error


def test_in_memory_the_same_is_said(world: Path) -> None:
    refusing = with_controls(all_refused(LayerError("no layer")))
    with pytest.raises(VlxError, match="no layer"):
        measure_in_memory(BOXES, refusing, look(world), OPTIONS, [grad_cam])
    model = Failing(bad_text(world, BOXES), infinite)
    found = measure_in_memory(BOXES, with_controls(model), look(world), Options(), [grad_cam])
    assert found.faults["not_finite"].items == 1


def test_shuffled_weights_that_fail_leave_out_that_control_alone(world: Path) -> None:
    models = with_controls(small.captioner())
    with torch.no_grad():
        models.shuffled.network.cnn.features[0].weight[0] = float("nan")
    items = BOXES.items(look(world), "captioner", Options())[:3]
    made = rows_of(BOXES, models, items, [grad_cam], Options())
    assert {row.outcomes["random_weights"].left_out for row in made} == {"not_finite"}
    assert all(row.outcomes["score"].left_out in (None, "zero_map") for row in made)
