"""Models that write their answers: human attention and occlusion, as of models that choose them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import vlx
from tests.adapters.huggingface import tiny
from vlx.adapters.huggingface import wrap
from vlx.errors import VlxError
from vlx.eval.data.folder import look
from vlx.eval.data.published import CAPTIONS
from vlx.eval.items.models import with_controls
from vlx.eval.items.options import Options
from vlx.eval.items.rows import SCORE
from vlx.eval.runs.evaluate import evaluate
from vlx.eval.runs.request import Request
from vlx.eval.tasks.attention import ATTENTION
from vlx.eval.tasks.boxes import BOXES
from vlx.eval.tasks.occlusion import OCCLUSION
from vlx.eval.tasks.sanity import SANITY
from vlx.eval.tasks.task import Task

MAKERS = [tiny.blip_vqa, tiny.llava, tiny.qwen2_vl]
WIDE = Options(window=16, stride=16)


def asked(maker: Any, task: Task, world: Path, count: int, options: Options = WIDE) -> tuple[Any, Any, Any]:
    """A model, its items with words that it knows, and its rows by Grad-CAM."""
    models = task.takes(with_controls(wrap(*maker())))
    items = [item for item in task.items(look(world), models.type, options) if not item.left_out][:count]
    return models, items, task.rows(models, items, [vlx.grad_cam], options)


@pytest.mark.parametrize("maker", MAKERS, ids=lambda one: one.__name__)
def test_human_attention_explains_what_the_model_answers(maker: Any, world: Path) -> None:
    models, items, rows = asked(maker, ATTENTION, world, 3)
    assert models.type == "responder"
    assert "log-probability of the predicted answer" in ATTENTION.protocol(WIDE, models.type)
    for item, row in zip(items, rows, strict=True):
        photo = vlx.open_image(item.image)
        (said,) = models.trained.respond([photo], [item.text])
        if not said.strip():
            assert row.outcomes[SCORE].left_out == "said_nothing"
            continue
        assert (row.text, row.target) == (item.text, str(said))
        assert row.outcomes["random_weights"].left_out != "damaged_record"
        assert not row.damaged
    assert any(row.target for row in rows)


@pytest.mark.parametrize("maker", [tiny.blip_vqa, tiny.llava], ids=lambda one: one.__name__)
def test_occlusion_asks_questions_where_the_data_have_them(maker: Any, world: Path) -> None:
    models, items, rows = asked(maker, OCCLUSION, world, 2)
    assert models.type == "responder"
    assert all(item.question_id is not None for item in items)
    assert any(row.outcomes["every_pixel"].value is not None for row in rows if row.target)


def test_a_human_answer_is_read_where_it_is_asked_for(world: Path) -> None:
    _, items, rows = asked(tiny.blip_vqa, ATTENTION, world, 4, replace(WIDE, answer="human"))
    for item, row in zip(items, rows, strict=True):
        assert row.target == item.answer or row.outcomes[SCORE].left_out


def test_other_evaluations_take_it_for_a_captioner(world: Path) -> None:
    models = with_controls(wrap(*tiny.llava()))
    assert [task.takes(models).type for task in (BOXES, SANITY)] == ["captioner"] * 2
    assert OCCLUSION.takes(models, questions=False).type == "captioner"
    model, (images, words) = tiny.vit_gpt2()
    mute = with_controls(wrap(model, images, words))
    with pytest.raises(VlxError, match="attention needs a vqa or responder"):
        ATTENTION.takes(mute)
    assert look(world).has(CAPTIONS)


def test_a_run_on_disk_and_one_in_memory_say_the_same(world: Path, tmp_path: Path) -> None:
    model, options = wrap(*tiny.blip_vqa()), Options(limit=2)
    found = vlx.eval.evaluate(model, world, task="attention", options=options, batch=16)
    request = Request("mine", str(world), options=options, progress=False)
    out = evaluate(ATTENTION, request, tmp_path, model)
    told = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert told["settings"]["kind"] == "responder"
    assert told["rows"]["grad_cam"]["items"]["mean"] == found.alone["grad_cam"].mean


def test_rows_of_questions_belong_to_items_not_to_their_batch(world: Path) -> None:
    models, items, rows = asked(tiny.blip_vqa, ATTENTION, world, 4)
    for item, row in zip(items, rows, strict=True):
        (alone,) = ATTENTION.rows(models, [item], [vlx.grad_cam], WIDE)
        assert alone.target == row.target
        for column, outcome in row.outcomes.items():
            assert alone.outcomes[column].left_out == outcome.left_out
            assert alone.outcomes[column].value == pytest.approx(outcome.value, abs=0.02)
