"""Rows of every evaluation against the same measures written out item by item, with vlx and SciPy."""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

import vlx
import vlx.methods.occlusion.of_pass
from tests.eval import small
from vlx.eval.data.coco import read_instances, union_mask
from vlx.eval.data.folder import look
from vlx.eval.data.hat import read_human_map
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models, with_controls
from vlx.eval.items.options import Options
from vlx.eval.items.rows import SCORE, Row
from vlx.eval.items.truth import HumanFiles, Region
from vlx.eval.measures.attention import each_annotator
from vlx.eval.measures.boxes import box_ratio
from vlx.eval.measures.controls import centre_prior
from vlx.eval.measures.maps import area_average
from vlx.eval.measures.pointing import pointing_hit
from vlx.eval.measures.statistics import Outcome
from vlx.eval.runs import isolated
from vlx.eval.tasks.all import TASKS
from vlx.eval.tasks.attention import ATTENTION
from vlx.eval.tasks.boxes import BOXES
from vlx.eval.tasks.hallucination import HALLUCINATION
from vlx.eval.tasks.occlusion import OCCLUSION
from vlx.eval.tasks.pointing import POINTING
from vlx.eval.tasks.sanity import SANITY
from vlx.eval.tasks.task import Task
from vlx.methods.occlusion.windows import occlusion
from vlx.methods.values import Method, grad_cam, guided_backprop

OPTIONS = Options(window=9, stride=8, captions=2)


@pytest.fixture(scope="module")
def captioner() -> Models:
    return with_controls(small.captioner())


@pytest.fixture(scope="module")
def vqa() -> Models:
    return with_controls(small.vqa())


def models_for(task: Task, captioner: Models, vqa: Models) -> Models:
    if task.model_types == ("classifier",):
        return with_controls(small.classifier())
    return captioner if "captioner" in task.model_types else vqa


def items_of(task: Task, models: Models, world: Path, count: int = 10) -> list[Item]:
    return task.items(look(world), models.type, OPTIONS)[:count]


def rows_of(
    task: Task, models: Models, items: Sequence[Item], methods: Sequence[Method] = (grad_cam,)
) -> list[Row]:
    return task.rows(models, items, methods, OPTIONS)


def same(found: Outcome, expected: Outcome) -> None:
    assert found.left_out == expected.left_out
    if expected.value is not None:
        assert found.value == pytest.approx(expected.value, rel=2e-3, abs=2e-3)


def test_boxes_are_the_ratio_of_each_caption_alone(captioner: Models, world: Path) -> None:
    items = items_of(BOXES, captioner, world)
    rows = rows_of(BOXES, captioner, items, [grad_cam, guided_backprop])
    assert [row.item for row in rows] == [item.id for item in items for _ in range(2)]
    for item, row in zip(items, rows[::2], strict=True):
        assert isinstance(item.truth, Region)
        box = item.truth.box
        for model, column in ((captioner.trained, SCORE), (captioner.shuffled, "random_weights")):
            alone = vlx.explain_caption(model, item.image, item.text, targets=[vlx.caption()])
            same(row.outcomes[column], box_ratio(alone.maps[0].astype(float), box))
        assert row.outcomes["centre_prior"] == box_ratio(centre_prior((224, 224)), box)
    guided = vlx.explain_caption(
        captioner.trained, items[0].image, items[0].text, targets=[vlx.caption()], method=guided_backprop
    )
    assert isinstance(items[0].truth, Region)
    same(rows[1].outcomes[SCORE], box_ratio(guided.maps[0].astype(float), items[0].truth.box))


def test_a_ratio_on_a_resized_file_uses_the_box_of_that_file(captioner: Models, world: Path) -> None:
    item = items_of(BOXES, captioner, world, 1)[0]
    assert isinstance(item.truth, Region)
    larger = replace(item, truth=Region(item.truth.box.scaled(2, 2), longest=448))
    (small_row,), (large_row,) = (rows_of(BOXES, captioner, [one]) for one in (item, larger))
    assert large_row.outcomes == small_row.outcomes


def test_pointing_is_the_hit_of_each_word(captioner: Models, world: Path) -> None:
    instances = read_instances(world / "instances.json")
    items = items_of(POINTING, captioner, world, 16)
    for item, row in zip(items, rows_of(POINTING, captioner, items), strict=True):
        said = item.text.replace(",", "").split()
        places = [at for at, token in enumerate(said) if token == item.word.split()[-1]]
        alone = vlx.explain_caption(captioner.trained, item.image, item.text, words=places)
        mask = union_mask(instances, int(item.cluster), item.category)
        hits = [pointing_hit(plane.astype(float), mask) for plane in alone.maps]
        assert row.outcomes[SCORE].value in [hit.value for hit in hits]
        assert row.target == item.word.split()[-1]
        assert row.outcomes["random_pixel"].value == pytest.approx(mask.mean())


def test_attention_is_the_correlation_with_each_annotator(vqa: Models, world: Path) -> None:
    items = items_of(ATTENTION, vqa, world)
    for item, row in zip(items, rows_of(ATTENTION, vqa, items), strict=True):
        assert isinstance(item.truth, HumanFiles)
        humans = [read_human_map(path) for path in item.truth.paths]
        assert len(humans) == 3
        alone = vlx.explain_answer(vqa.trained, item.image, item.text)
        same(row.outcomes[SCORE], each_annotator(alone.maps[0].astype(float), humans))
        assert row.target == alone.targets[0].name
        grids = [area_average(human, (14, 14)).round(10).ravel() for human in humans]
        pairs = [stats.spearmanr(grids[a], grids[b]).statistic for a, b in ((0, 1), (0, 2), (1, 2))]
        assert row.outcomes["human_agreement"].value == pytest.approx(np.mean(pairs))


def test_occlusion_is_the_fall_of_the_score_under_every_window(vqa: Models, world: Path) -> None:
    item = items_of(OCCLUSION, vqa, world, 1)[0]
    (row,) = rows_of(OCCLUSION, vqa, [item])
    model = small.vqa()
    photo = Image.open(item.image).convert("RGB").resize((small.SIDE, small.SIDE), Image.Resampling.BILINEAR)
    first = model.read([photo], [item.text]).scores[0, 0].detach()
    best = int(first.argmax())
    fill = np.round(255 * np.array(small.PREPROCESS.mean)).astype(np.uint8)
    # 7 windows of 9 pixels, 8 apart, fill 56 pixels evenly: centres 3, 11, ..., 51 and (56-1-48)//2 = 3
    centres = [3 + 8 * step for step in range(7)]
    falls = np.zeros((7, 7))
    for i, r in enumerate(centres):
        for j, c in enumerate(centres):
            pixels = np.array(photo)
            pixels[max(r - 4, 0) : r + 5, max(c - 4, 0) : c + 5] = fill
            masked = model.read([Image.fromarray(pixels)], [item.text]).scores[0, 0].detach()
            falls[i, j] = float(first[best] - masked[best])
    rows = np.stack([np.interp(np.arange(small.SIDE), centres, unit) for unit in np.eye(7)], 1)
    smooth = rows @ falls @ rows.T
    plane = vlx.explain_answer(model, photo, item.text).maps[0].astype(float)
    expected = stats.spearmanr(
        area_average(plane, (14, 14)).round(9).ravel(), area_average(smooth, (14, 14)).ravel()
    )
    assert row.outcomes[SCORE].value == pytest.approx(expected.statistic, abs=0.02)
    assert row.outcomes["every_pixel"].value is not None


@pytest.mark.parametrize("which", ["captioner", "vqa"])
def test_texts_of_one_image_share_its_windows(
    which: str, world: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of a batch are those of each item alone, at the cost of the images in it."""
    models: Models = request.getfixturevalue(which)
    items = items_of(OCCLUSION, models, world, 6)
    images = len({item.image for item in items})
    assert images < len(items)
    alone = [rows_of(OCCLUSION, models, [item])[0] for item in items]
    hidden: list[int] = []

    def counted(*given: Any, **named: Any) -> Any:
        hidden.append(1)
        return occlusion(*given, **named)

    monkeypatch.setattr(vlx.methods.occlusion.of_pass, "occlusion", counted)
    together = rows_of(OCCLUSION, models, items)
    assert len(hidden) == images
    for mine, theirs in zip(together, alone, strict=True):
        assert mine.item == theirs.item
        same(mine.outcomes["every_pixel"], theirs.outcomes["every_pixel"])


def test_a_text_at_fault_spoils_no_other_of_its_image(vqa: Models, world: Path) -> None:
    items = items_of(OCCLUSION, vqa, world, 6)
    mates = [item for item in items if item.image == items[0].image]
    assert len(mates) > 1
    broken = copy.copy(vqa.trained)
    broken.network = copy.deepcopy(vqa.trained.network)
    answered, bad = broken.network.answered, broken.network.asked(
        *broken.vocabulary.encode_questions([mates[1].text], None, torch.device("cpu"))[:2]
    )[0]  # fmt: skip

    def fails(pixels: torch.Tensor, question: torch.Tensor) -> torch.Tensor:
        logits = answered(pixels, question)
        hidden = len(question) == 1 and torch.allclose(question, bad)  # not where all are read at once
        return logits * torch.nan if hidden and len(pixels) > 1 else logits

    broken.network.answered = fails
    broken = broken.at(broken.layer)
    rows = isolated.rows_of(OCCLUSION, replace(vqa, trained=broken), mates, (grad_cam,), OPTIONS)
    plain = rows_of(OCCLUSION, vqa, mates)
    assert rows[1].outcomes[SCORE].left_out == "not_finite"
    assert "a score that is not finite" in rows[1].detail
    for mine, theirs in zip((*rows[:1], *rows[2:]), (*plain[:1], *plain[2:]), strict=True):
        same(mine.outcomes["every_pixel"], theirs.outcomes["every_pixel"])


def read_by(images: Any, texts: Any, model: Any) -> torch.Tensor:
    return model.read(images, texts).scores


def test_sanity_compares_with_the_map_of_the_trained_model(vqa: Models, world: Path) -> None:
    items = items_of(SANITY, vqa, world, 6)
    for item, row in zip(items, rows_of(SANITY, vqa, items), strict=True):
        answers = torch.argsort(vqa.trained.read([vlx.open_image(item.image)], [item.text]).scores[0, 0])
        names = [small.ANSWERS[int(at)] for at in answers.flip(0)[:2]]
        own, second = vlx.explain_answer(vqa.trained, item.image, item.text, names).maps
        read = partial(read_by, [vlx.open_image(item.image)], [item.text])
        changed = vqa.top_shuffled(read)
        top = vlx.explain_answer(changed, item.image, item.text, names).maps[0]
        for column, other in (
            (SCORE, top),
            ("other_target", second),
            ("centre_prior", centre_prior(own.shape)),
        ):
            grids = [area_average(plane.astype(float), (14, 14)).ravel() for plane in (own, other)]
            if min(map(np.ptp, grids)) < 1e-9:
                continue
            # values that differ by rounding alone are ties
            expected = stats.spearmanr(*((grid / abs(grid).max()).round(9) for grid in grids)).statistic
            assert row.outcomes[column].value == pytest.approx(expected, abs=0.02)


def test_sanity_of_a_model_that_did_not_change_is_1(vqa: Models, world: Path) -> None:
    same_models = Models(vqa.trained, lambda: vqa.trained, lambda _scores: vqa.trained)
    rows = rows_of(SANITY, same_models, items_of(SANITY, vqa, world, 6))
    found = [row.outcomes[SCORE] for row in rows if row.outcomes[SCORE].value is not None]
    assert len(found) >= 3
    assert all(outcome.value == pytest.approx(1) for outcome in found)


@pytest.mark.parametrize("task", TASKS, ids=lambda one: one.name)
def test_rows_belong_to_items_not_to_their_batch(
    task: Task, captioner: Models, vqa: Models, world: Path
) -> None:
    models = models_for(task, captioner, vqa)
    items = items_of(task, models, world, 6)
    of_all = rows_of(task, models, items)
    together = {row.item: row for row in of_all}
    alone = [row for item in reversed(items) for row in rows_of(task, models, [item])]
    assert sorted(row.item for row in alone) == sorted(row.item for row in of_all)
    if task is not HALLUCINATION:  # there an item has a row for each word
        assert [row.item for row in alone] == [item.id for item in reversed(items)]
    for row in alone:
        other = together[row.item].outcomes
        assert set(row.outcomes) == set(task.columns) == set(other)
        for column, outcome in row.outcomes.items():
            same(outcome, other[column])
        if task is not SANITY:  # there the controls are compared with the model's own map
            assert all(row.outcomes[name] == other[name] for name in task.shared if name != "mean_activation")


@pytest.mark.parametrize("task", TASKS, ids=lambda one: one.name)
def test_the_same_batch_gives_the_same_digits(
    task: Task, captioner: Models, vqa: Models, world: Path
) -> None:
    models = models_for(task, captioner, vqa)
    items = items_of(task, models, world, 4)
    first, second = (rows_of(task, models, items) for _ in range(2))
    assert [row.outcomes for row in first] == [row.outcomes for row in second]


def test_a_classifier_is_measured_by_its_predicted_class(world: Path) -> None:
    models = with_controls(small.classifier())
    for task in (OCCLUSION, SANITY):
        items = items_of(task, models, world, 5)
        rows = rows_of(task, models, items)
        assert len(rows) == 5
        for item, row in zip(items, rows, strict=True):
            run = models.trained.read([vlx.open_image(item.image)])
            assert row.target == models.trained.labels[int(run.scores[0, 0].argmax())]
            assert any(outcome.value is not None for outcome in row.outcomes.values())


def test_a_human_answer_can_be_explained_and_an_unknown_one_is_left_out(vqa: Models, world: Path) -> None:
    items = items_of(ATTENTION, vqa, world, 12)
    rows = ATTENTION.rows(vqa, items, [grad_cam], Options(answer="human"))
    for item, row in zip(items, rows, strict=True):
        if item.answer in small.ANSWERS:
            assert row.target == item.answer
        else:
            assert {outcome.left_out for outcome in row.outcomes.values()} == {"unknown_answer"}
    assert {row.target == "" for row in rows} == {True, False}


def test_words_the_model_does_not_know_are_left_out(world: Path, captioner: Models) -> None:
    item = items_of(POINTING, captioner, world, 1)[0]
    text = f"{item.text} and a toaster"
    strange = replace(item, id="y", text=text, word="toaster", category="toaster", mention=0)
    missing = replace(item, id="x", mention=9)
    unknown, other, known = rows_of(POINTING, captioner, [strange, missing, item])
    assert "toaster" not in captioner.trained.vocabulary.names
    assert unknown.outcomes[SCORE].left_out == "unknown_word"
    assert other.outcomes[SCORE].left_out == "other_tokens"
    assert known.outcomes[SCORE].left_out != "other_tokens"


def test_models_are_as_they_were(captioner: Models, world: Path) -> None:
    network = captioner.trained.network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    flags = [(p.requires_grad, p.grad) for p in network.parameters()]
    items = items_of(BOXES, captioner, world, 4)
    rows_of(BOXES, captioner, items)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert [(p.requires_grad, p.grad) for p in network.parameters()] == flags
    assert not network.training
    assert not any(module._forward_hooks for module in network.modules())
    assert all(math.isfinite(float(value.sum())) for value in before.values())


@pytest.mark.parametrize("task", TASKS, ids=lambda one: one.name)
def test_protocols_name_the_options_that_matter(task: Task) -> None:
    for model_type in task.model_types:
        text = task.protocol(Options(tolerance=15.0, captions=1, window=45, stride=4), model_type)
        assert ("Median over" if task.median else "Mean over") in text
        named = {"pointing": ("15 pixels", "first 1 reference"), "occlusion": ("45 pixels", "every 4 pixels")}
        named |= {name: ("20 steps",) for name in ("deletion", "insertion")}
        assert all(part in text for part in named.get(task.name, ()))


def test_people_that_are_simulated_are_called_so():
    (attention,) = (task for task in TASKS if task.name == "attention")
    title, protocol = attention.told(Options(), "vqa", True)
    assert title == "Simulated human attention: rank correlation (chance is 0)"
    assert "attention maps are simulated" in protocol
    assert attention.told(Options(), "vqa", False) == (attention.title, attention.protocol(Options(), "vqa"))
    assert "maps and answers are simulated" in attention.told(Options(answer="human"), "vqa", True)[1]
    (occlusion,) = (task for task in TASKS if task.name == "occlusion")
    assert "answers are simulated" in occlusion.told(Options(answer="human"), "vqa", True)[1]
    assert occlusion.told(Options(), "vqa", True) == (occlusion.title, occlusion.protocol(Options(), "vqa"))
