"""Deletion and insertion against the same curves written out run by run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vlx
from tests.eval import small
from vlx.eval.data.folder import look
from vlx.eval.items.item import Item
from vlx.eval.items.models import with_controls
from vlx.eval.items.options import Options
from vlx.eval.items.rows import SCORE
from vlx.eval.measures.faithfulness import Curve
from vlx.eval.tasks.erasing import BLUR, DELETION, INSERTION, _on_network, _relative, _shares
from vlx.eval.tasks.occlusion import on_input, prepared_view
from vlx.eval.tasks.task import Task
from vlx.images.frame import Frame
from vlx.methods.values import grad_cam
from vlx.passes.targets import Resolved, Term, caption

OPTIONS = Options(steps=4, captions=1)


def share(model: Any, pixels: torch.Tensor, item: Item, best: int) -> float:
    """The probability of an answer, straight from the network."""
    ids, lengths, _ = model.vocabulary.encode_questions([item.text], None, torch.device("cpu"))
    with torch.no_grad():
        logits = model.network.answered(pixels[None], *model.network.asked(ids, lengths))
    return float(logits.softmax(-1)[0, best])


@pytest.mark.parametrize("task", [DELETION, INSERTION], ids=["deletion", "insertion"])
def test_the_area_is_that_of_the_pixels_taken_one_share_after_the_other(task: Task, world: Path) -> None:
    from scipy import ndimage

    models = with_controls(small.vqa())
    items = task.items(look(world), "vqa", OPTIONS)[:3]
    rows = task.rows(models, items, [grad_cam], OPTIONS)
    model, measured = on_input(models.trained), 0
    for item, row in zip(items, rows, strict=True):
        view = prepared_view(models.trained, vlx.open_image(item.image))
        run = model.read([view], [item.text])
        best = int(run.scores[0, 0].argmax())
        plane = vlx.explain_answer(model, view, item.text).maps[0]
        pixels = run.below.pixels[0]
        side = small.SIDE / BLUR
        blurred = torch.from_numpy(ndimage.gaussian_filter(pixels.numpy(), (0, side, side), mode="nearest"))
        start, end = (pixels, torch.zeros_like(pixels)) if task is DELETION else (blurred, pixels)
        untouched = share(model, pixels, item, best)
        assert row.outcomes["untouched"].value == pytest.approx(untouched, abs=1e-5)
        if np.ptp(plane) == 0:
            assert row.outcomes[SCORE].left_out in ("zero_map", "flat_map")
            continue
        scores = []
        for step in range(5):
            count = round(step / 4 * plane.size)
            ranks = np.array([(plane >= value).sum() for value in plane.ravel()]).reshape(plane.shape)
            changed = torch.from_numpy(ranks <= count)
            scores.append(share(model, torch.where(changed, end, start), item, best))
        assert row.outcomes[SCORE].value == pytest.approx(np.trapezoid(scores, dx=0.25), abs=1e-4)
        measured += 1
    assert measured


def test_an_area_is_relative_to_ends_that_are_apart() -> None:
    def curve(*scores: float) -> Curve:
        return Curve(np.linspace(0, 1, len(scores)), np.array(scores))

    assert _relative(curve(0.9, 0.5, 0.1)).value == pytest.approx(0.5)
    assert _relative(curve(0.9, 0.2, 0.85)).left_out == "small_change"
    assert _relative(replace(curve(0.1, 0.9, 0.9), inserting=True)).value == pytest.approx(0.75)


def test_probabilities_are_those_the_model_was_trained_for() -> None:
    scores = torch.log_softmax(torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)), -1)
    choices = vlx.Choices(("a", "b", "c", "d"))
    one = Resolved((Term(1.0, 0, 2),), (), "c")
    both = Resolved((Term(1.0, 0, 2), Term(1.0, 1, 1)), (), "c b")
    said = vlx.Reading("caption", (vlx.Word("c", (0,), (2,)), vlx.Word("b", (1,), (1,))), choices)
    expected = (scores[:, 0, 2] + scores[:, 1, 1]).div(2).exp().numpy()
    assert _shares(scores, both, said) == pytest.approx(expected)
    for odds, function in (("softmax", lambda x: x.softmax(-1)), ("sigmoid", torch.sigmoid)):
        answer = vlx.Reading("answer", (), choices, odds=odds)
        assert _shares(scores, one, answer) == pytest.approx(function(scores[:, 0])[:, 2].numpy())
    assert _shares(scores, one, vlx.Reading("label", (), choices, odds="none")) is None


def test_a_map_on_a_photo_is_taken_to_the_pixels_of_the_input() -> None:
    plane = np.arange(12.0).reshape(3, 4)
    assert (_on_network(plane, Frame.resized((3, 4), (3, 4))) == plane).all()
    wide = np.add.outer(np.arange(6.0), np.arange(8.0))
    half = _on_network(wide, Frame.resized((6, 8), (3, 4)))
    assert half == pytest.approx(np.add.outer(np.arange(3) * 2 + 0.5, np.arange(4) * 2 + 0.5))
    crop = _on_network(wide, Frame.resized((6, 8), (6, 8)).cropped(1, 2, 4, 4))
    assert crop == pytest.approx(wide[1:5, 2:6])


def test_a_model_of_a_photo_as_it_is_is_measured_too(world: Path) -> None:
    """Models that do not say how they prepare images are given the photo; the map is taken to their input."""
    models = with_controls(small.classifier())
    items = DELETION.items(look(world), "classifier", OPTIONS)[:2]
    prepared = DELETION.rows(models, items, [grad_cam], OPTIONS)

    class Bare:
        def __init__(self, model: Any) -> None:
            self.network, self.labels, self.layer = model.network, model.labels, model.layer
            self._model = model

        def read(self, images: list[Image.Image]) -> Any:
            return self._model.read(images)

    bare = replace(models, trained=Bare(models.trained), make_shuffled=lambda: Bare(models.shuffled))
    for mine, theirs in zip(DELETION.rows(bare, items, [grad_cam], OPTIONS), prepared, strict=True):
        assert mine.outcomes["untouched"].value == pytest.approx(theirs.outcomes["untouched"].value, abs=0.02)
        assert mine.outcomes[SCORE].left_out == theirs.outcomes[SCORE].left_out


def test_a_caption_has_the_geometric_mean_of_its_words(world: Path) -> None:
    models = with_controls(small.captioner())
    item = replace(DELETION.items(look(world), "captioner", OPTIONS)[0], text="a dog")
    (row,) = DELETION.rows(models, [item], [grad_cam], OPTIONS)
    model = on_input(models.trained)
    run = model.read([prepared_view(models.trained, vlx.open_image(item.image))], ["a dog"])
    terms = caption().resolve(run.readings[0]).terms
    logs = [float(run.scores[0, term.step, term.choice].detach()) for term in terms]
    assert len(logs) == 2
    assert row.outcomes["untouched"].value == pytest.approx(np.exp(np.mean(logs)), rel=1e-3)
