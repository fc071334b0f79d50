"""Scores of the built-in models stand beside what is right without a look at the image."""

import re

from vlx.scenes.models import ASSETS
from vlx.scenes.score import Question, commonest, report


def test_the_commonest_answer_of_each_kind_worked_by_hand():
    asked = [
        Question(at, 1, "?", answer, kind, [])
        for at, (answer, kind) in enumerate(
            [("left", "side"), ("right", "side"), ("right", "side"), ("2", "count")]
        )
    ]
    known = [Question(9, 1, "?", "left", "side", []), Question(9, 1, "?", "3", "count", [])]
    assert commonest(asked, known) == ["left", "left", "left", "3"]
    assert commonest(asked, asked) == ["right", "right", "right", "2"]


def test_the_question_only_model_knows_what_can_be_known_without_an_image():
    lines: list[str] = []
    report(ASSETS, lines.append)
    right, people = (
        next(at for at, line in enumerate(lines) if said in line) for said in ("share of", "VQA accuracy")
    )
    assert "simulated annotators" in lines[people]
    for start in (right, people):
        found = {
            name: float(value)
            for name, value in re.findall(
                r"^  ([^:]+): all ([\d.]+)", "\n".join(lines[start + 1 : start + 6]), re.M
            )
        }
        assert list(found) == [
            "with the image", "question-only model", "commonest answer to its kind, in other scenes",
            "commonest answer to its kind, in these",
            "answer's region hidden",
        ]  # fmt: skip
        assert found["with the image"] > 0.9
        assert found["question-only model"] >= found["commonest answer to its kind, in other scenes"]
        assert found["question-only model"] >= found["commonest answer to its kind, in these"] - 0.02
        assert found["question-only model"] < 0.7
