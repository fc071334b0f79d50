"""The column own_minus_wrong against the same maps made one by one, and where it must be 0 or left out."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vlx
from tests.adapters.huggingface import tiny
from tests.eval import small
from vlx.adapters.huggingface import wrap
from vlx.eval.data.coco import read_captions, read_instances, union_mask
from vlx.eval.data.folder import look
from vlx.eval.data.lexicon import built_in, visual_words
from vlx.eval.items import batch
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models, in_precision, with_controls
from vlx.eval.items.options import Options
from vlx.eval.items.rows import OWN_MINUS_WRONG, SCORE, Row
from vlx.eval.items.truth import Region
from vlx.eval.measures.area import roc_area
from vlx.eval.measures.boxes import box_ratio
from vlx.eval.measures.pointing import pointing_hit
from vlx.eval.measures.statistics import Outcome
from vlx.eval.measures.wrong import own_minus_wrong
from vlx.eval.runs import isolated
from vlx.eval.tasks.area import AREA
from vlx.eval.tasks.boxes import BOXES
from vlx.eval.tasks.pointing import POINTING
from vlx.eval.tasks.task import Task

BLIND = (
    vlx.eigen_cam,
    vlx.Method(
        "mean_activation_cam", lambda activations, gradients: (activations + 0 * gradients).mean(-3).relu()
    ),
)
"""Methods whose maps no word changes."""


@pytest.fixture(scope="module")
def captioner() -> Models:
    return with_controls(small.captioner())


def items_of(task: Task, world: Path, count: int = 12, options: Options | None = None) -> list[Item]:
    return task.items(look(world), "captioner", options or Options(captions=2))[:count]


def drawn(row: Row) -> list[str]:
    assert row.detail.startswith("wrong words: ")
    return row.detail.removeprefix("wrong words: ").split(", ")


def same(found: Outcome, expected: Outcome) -> None:
    assert found.left_out == expected.left_out
    if expected.value is not None:
        assert found.value == pytest.approx(expected.value, rel=2e-3, abs=2e-3)


@pytest.mark.parametrize(("task", "measure"), [(POINTING, pointing_hit), (AREA, roc_area)])
def test_wrong_words_are_scored_at_the_step_of_the_own_on_its_mask(
    task: Task, measure: Callable[..., Outcome], captioner: Models, world: Path
) -> None:
    instances = read_instances(world / "instances.json")
    items = items_of(task, world)
    differing = 0
    for item, row in zip(items, task.rows(captioner, items, [vlx.hires_cam], Options()), strict=True):
        tokens = item.text.lower().replace(",", "").replace(".", "").split()
        heads = [one.head(tokens) for one in visual_words(tokens) if one.category == item.category]
        head, words = heads[item.mention], drawn(row)
        targets = [vlx.word(head), *(vlx.word(head, instead=word) for word in words)]
        found = vlx.explain_caption(
            captioner.trained, item.image, item.text, targets=targets, method=vlx.hires_cam
        )
        mask = union_mask(instances, int(item.cluster), item.category)
        own, *others = (measure(plane.astype(float), mask) for plane in found.maps)
        same(row.outcomes[SCORE], own)
        same(row.outcomes[OWN_MINUS_WRONG], own_minus_wrong(own, others))
        differing += row.outcomes[OWN_MINUS_WRONG].value not in (0, None)
    assert differing > 3


def test_the_text_of_a_region_has_its_noun_alone_replaced(captioner: Models, world: Path) -> None:
    items = items_of(BOXES, world, 10)
    measured = 0
    for item, row in zip(items, BOXES.rows(captioner, items, [vlx.grad_cam], Options()), strict=True):
        found = row.outcomes[OWN_MINUS_WRONG]
        if not item.category:
            assert found == Outcome(None, "no_noun")
            continue
        assert isinstance(item.truth, Region)
        tokens = item.text.lower().split()
        head = visual_words(tokens)[0].head(tokens)
        swapped = [vlx.caption() - vlx.word(head) + vlx.word(head, instead=word) for word in drawn(row)]
        made = vlx.explain_caption(
            captioner.trained, item.image, item.text, targets=[vlx.caption(), *swapped]
        )
        own, *others = (box_ratio(plane.astype(float), item.truth.box) for plane in made.maps)
        expected = own_minus_wrong(own, others)
        if expected.value is not None and math.isinf(expected.value):
            assert found == expected
        else:
            same(found, expected)
        measured += found.value is not None
    assert measured > 3


@pytest.mark.parametrize("task", [POINTING, AREA, BOXES], ids=lambda one: one.name)
def test_a_map_that_no_word_changes_has_exactly_0(task: Task, captioner: Models, world: Path) -> None:
    rows = task.rows(captioner, items_of(task, world), BLIND, Options())
    found = [row.outcomes[OWN_MINUS_WRONG] for row in rows if row.outcomes[SCORE].value is not None]
    valued = [one.value for one in found if one.value is not None]
    assert len(valued) > 8
    assert set(valued) == {0.0}


@pytest.mark.parametrize("task", [POINTING, AREA, BOXES], ids=lambda one: one.name)
def test_no_word_is_of_what_the_image_shows_or_any_caption_of_it_names(
    task: Task, captioner: Models, world: Path
) -> None:
    instances = read_instances(world / "instances.json")
    said = read_captions(world / "captions.json").by_image
    items = items_of(task, world, 40)
    for seed in (0, 1):
        for item, row in zip(
            items, task.rows(captioner, items, [vlx.grad_cam], Options(seed=seed)), strict=True
        ):
            if row.outcomes[OWN_MINUS_WRONG].left_out == "no_noun":
                continue
            number = int(item.image.stem)
            words = drawn(row)
            categories = [built_in().categories[word,] for word in words]
            assert len(set(categories)) == len(words) == 3
            assert all(word in captioner.trained.vocabulary.choices for word in words)
            assert not set(categories) & {one.category for one in instances.of(number)}
            tokens = {token for one in said[number] for token in one.text.lower().replace(".", "").split()}
            assert not set(words) & tokens
            named = {one.category for caption in said[number] for one in visual_words(caption.text)}
            assert not set(categories) & named


def test_draws_do_not_depend_on_the_batch_nor_on_other_methods(captioner: Models, world: Path) -> None:
    items = items_of(POINTING, world)
    together = POINTING.rows(captioner, items, [vlx.grad_cam, vlx.hires_cam], Options())
    alone = [POINTING.rows(captioner, [item], [vlx.hires_cam], Options())[0] for item in items]
    assert [row.detail for row in together[1::2]] == [row.detail for row in alone]
    assert [row.detail for row in together[::2]] == [row.detail for row in alone]
    fewer = POINTING.rows(captioner, items, [vlx.grad_cam], Options(wrong=1))
    assert [drawn(row) for row in fewer] == [drawn(row)[:1] for row in together[::2]]


def test_where_it_is_not_known_what_an_image_shows_the_column_alone_is_left_out(
    captioner: Models, world: Path
) -> None:
    items = [replace(item, shown=None) for item in items_of(POINTING, world)]
    rows = POINTING.rows(captioner, items, [vlx.grad_cam], Options())
    assert {row.outcomes[OWN_MINUS_WRONG].left_out for row in rows} == {"unknown_categories"}
    assert any(row.outcomes[SCORE].value is not None for row in rows)
    everything = [replace(item, shown=built_in().names) for item in items]
    rows = POINTING.rows(captioner, everything, [vlx.grad_cam], Options())
    assert {row.outcomes[OWN_MINUS_WRONG].left_out for row in rows} == {"no_wrong_word"}


def test_none_asked_for_leaves_no_column(captioner: Models, world: Path) -> None:
    for task in (POINTING, AREA, BOXES):
        options = Options(wrong=0)
        rows = task.rows(captioner, items_of(task, world, options=options), [vlx.grad_cam], options)
        assert all(set(row.outcomes) == set(task.columns) - {OWN_MINUS_WRONG} for row in rows)
        assert "wrong" not in task.protocol(options, "captioner")
        assert "absent categories" in task.protocol(Options(), "captioner")


def test_wrong_words_without_finite_scores_spoil_no_item(captioner: Models, world: Path) -> None:
    """The log-probability of words that a model can never say is not finite."""
    items = items_of(POINTING, world, 6)
    plain = POINTING.rows(captioner, items, [vlx.grad_cam], Options())
    broken = _never_says(captioner.trained, {word for row in plain for word in drawn(row)})
    models = replace(captioner, trained=broken)
    rows = isolated.rows_of(POINTING, models, items, [vlx.grad_cam], Options())
    for row in rows:
        assert row.outcomes[OWN_MINUS_WRONG].left_out in ("wrong_not_finite", row.outcomes[SCORE].left_out)
    assert {row.target for row in rows} == {row.target for row in plain}
    assert any(row.outcomes[SCORE].value is not None for row in rows)


def _never_says(model: Any, words: Sequence[str] | set[str]) -> Any:
    changed = copy.copy(model)
    changed.network = copy.deepcopy(model.network)
    names = list(model.vocabulary.names)
    with torch.no_grad():
        biases = [p for p in changed.network.parameters() if p.shape == (len(names),)]
        assert biases
        for word in words:
            biases[-1][names.index(word)] = -math.inf
    return changed.at(changed.layer)


def test_several_words_of_an_image_and_several_methods_come_from_one_product(
    captioner: Models, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = items_of(POINTING, world, 6)
    asked: list[list[int]] = []
    made = batch.explain

    def counted(passed: Any, targets: Any, method: Any) -> Any:
        asked.append([len(wanted) for wanted in targets])
        return made(passed, targets, method)

    monkeypatch.setattr(batch, "explain", counted)
    POINTING.rows(captioner, items, [vlx.grad_cam], Options())
    assert len(asked) == 2  # of the model, and of the one with shuffled weights
    assert sum(asked[0]) == 4 * len(items)
    assert sum(asked[1]) == len(items)
    assert np.unique(asked[0]).size >= 1


@pytest.mark.parametrize("maker", [tiny.blip, tiny.llava, tiny.qwen2_vl], ids=lambda one: one.__name__)
def test_models_of_tokens_are_asked_for_words_that_are_one_token(maker: Any, world: Path) -> None:
    models = AREA.takes(with_controls(wrap(*maker())), questions=False)
    first = items_of(AREA, world, 1)[0]
    told = {"category": "dog", "mention": 0, "shown": ()}
    items = [replace(first, id=text, text=text, **told) for text in ("a dog runs", "two dogs on the grass")]
    for row in AREA.rows(models, items, [vlx.layer_cam], Options()):
        assert sorted(drawn(row)) == ["ball", "cat"]  # all other nouns it knows are of no category
        assert row.outcomes[OWN_MINUS_WRONG].value is not None


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_gives_the_same_words(precision: str, captioner: Models, world: Path) -> None:
    items = items_of(AREA, world, 4)
    halved = with_controls(in_precision(small.captioner(), precision))
    whole = AREA.rows(captioner, items, [vlx.grad_cam], Options())
    rows = AREA.rows(halved, items, [vlx.grad_cam], Options())
    assert [row.detail for row in rows] == [row.detail for row in whole]
    assert all(row.outcomes[OWN_MINUS_WRONG].value is not None for row in rows)
