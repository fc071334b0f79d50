"""VQA accuracy of a model's answers, question by question, beside answers that need no image."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

import vlx
from tests.eval import small
from vlx.eval.data.folder import look
from vlx.eval.items.models import with_controls
from vlx.eval.items.options import Options
from vlx.eval.items.rows import SCORE
from vlx.eval.measures.answers import accuracy
from vlx.eval.runs.in_memory import measure_in_memory
from vlx.eval.runs.summary import as_json, markdown
from vlx.eval.tasks.accuracy import ACCURACY
from vlx.methods.values import grad_cam


def test_each_question_is_scored_by_the_official_rule(world: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(world, tmp_path / "copy"))
    content = json.loads((copy / "annotations.json").read_text())
    for number, one in enumerate(content["annotations"]):
        answers = ["yes"] * (number % 11) + ["No."] * (10 - number % 11)
        one["answers"] = [{"answer": text} for text in answers]
        one["multiple_choice_answer"] = "yes" if number % 2 else "no"
    (copy / "annotations.json").write_text(json.dumps(content))
    models = with_controls(small.vqa())
    items = ACCURACY.items(look(copy), "vqa", Options())
    rows = ACCURACY.rows(models, items, [grad_cam], Options())
    assert len(rows) == len(items) == len(content["annotations"])
    often = Counter(one["multiple_choice_answer"] for one in content["annotations"]).most_common(1)[0][0]
    for one, item, row in zip(content["annotations"], items, rows, strict=True):
        people = [given["answer"] for given in one["answers"]]
        said = [vlx.explain_answer(model, item.image, item.text).targets[0].name
                for model in (models.trained, models.shuffled)]  # fmt: skip
        assert (row.target, row.method) == (said[0], "answers")
        assert row.outcomes[SCORE].value == accuracy(said[0], people)
        assert row.outcomes["random_weights"].value == accuracy(said[1], people)
        assert row.outcomes["majority_answer"].value == accuracy(often, people)
        assert set(row.outcomes) == set(ACCURACY.columns)


def test_the_table_names_answers_not_a_method(world: Path) -> None:
    models = with_controls(small.vqa())
    found = measure_in_memory(ACCURACY, models, look(world), Options(), [grad_cam])
    assert list(found.alone) == ["answers", "answers, random weights", "majority answer", "majority of type"]
    assert list(found.paired) == [
        "answers minus random weights", "answers minus majority answer", "answers minus majority of type",
    ]  # fmt: skip
    assert list(found.categories) == ["answers"]
    text = markdown(found)
    assert "grad_cam" not in text
    assert "grad_cam" not in as_json(found, {})
    assert all(one.interval is not None for one in found.by_image.values())


@pytest.mark.parametrize("answers", [[], ["yes"]])
def test_a_question_with_too_few_answers_is_damaged(answers: list[str], world: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(world, tmp_path / "copy"))
    content = json.loads((copy / "annotations.json").read_text())
    content["annotations"][1]["answers"] = [{"answer": text} for text in answers]
    (copy / "annotations.json").write_text(json.dumps(content))
    models = with_controls(small.vqa())
    items = ACCURACY.items(look(copy), "vqa", Options())
    rows = ACCURACY.rows(models, items[:4], [grad_cam], Options())
    assert [row.outcomes[SCORE].left_out for row in rows] == [
        None, "no_answers" if not answers else "damaged_record", None, None,
    ]  # fmt: skip
