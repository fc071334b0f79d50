"""Simulated annotators mostly agree, slip as people do, and give the rule of VQA accuracy something to do."""

import itertools
import json
from collections import Counter

import numpy as np
import pytest

from vlx.eval.data.vqa import read_annotations, read_questions
from vlx.eval.measures import answers as official
from vlx.scenes.annotators import ANSWERS, SLIPS, accuracy, simulated_answers
from vlx.scenes.inventory import COLOURS
from vlx.scenes.texts import told

SCENES = 400


@pytest.fixture(scope="module")
def given():
    found = []
    for index in range(SCENES):
        scene, _, asked = told(11, index)
        random = np.random.default_rng([11, index, 3])
        found += [(scene, one, simulated_answers(one, scene, random)) for one in asked]
    return found


def test_slips_are_as_frequent_as_they_are_said_to_be(given):
    assert sum(SLIPS) == pytest.approx(1)
    counts = Counter(ANSWERS - people.count(asked.answer) for _, asked, people in given)
    for slips, share in enumerate(SLIPS):
        assert counts[slips] / len(given) == pytest.approx(share, abs=0.04)


def test_the_true_answer_is_the_commonest(given):
    for _, asked, people in given:
        assert len(people) == ANSWERS
        assert people.count(asked.answer) > ANSWERS / 2


def test_a_slip_is_an_answer_to_the_same_question(given):
    for scene, asked, people in given:
        slips = set(people) - {asked.answer}
        match asked.kind:
            case "presence":
                assert slips <= {"yes", "no"}
            case "side":
                assert slips <= {"left", "right"}
            case "colour":
                assert slips <= set(COLOURS)
            case "count":
                assert all(abs(int(slip) - int(asked.answer)) == 1 and int(slip) > 0 for slip in slips)
            case "left of":
                assert slips <= {item.category.name for item in scene.items}


def test_accuracy_is_the_official_one(given):
    for _, asked, people in given:
        for answer in {*people, asked.answer, "nothing"}:
            assert accuracy(answer, people) == pytest.approx(official.accuracy(answer, people))


def test_the_rule_has_every_step_on_the_held_out_questions(held_out):
    questions = read_questions(held_out / "questions.json")
    annotations = read_annotations(held_out / "annotations.json", questions)
    found = {
        round(official.accuracy(answer, one.answers), 2)
        for one in annotations.values()
        for answer in {*one.answers, "nothing"}
    }
    assert found == {0.0, 0.3, 0.6, 0.9, 1.0}
    true = official.accuracies({key: one.answer for key, one in annotations.items()},
                               {key: one.answers for key, one in annotations.items()})  # fmt: skip
    assert {outcome.value for outcome in true.values()} == {1.0}
    assert sum(len(set(one.answers)) > 1 for one in annotations.values()) > 0.3 * len(annotations)


def test_files_say_that_the_annotators_are_simulated(held_out):
    facts = json.loads((held_out / "annotations.json").read_text(encoding="utf-8"))
    assert "simulated annotators" in facts["info"]["description"]
    doubted = itertools.chain.from_iterable(one["answers"] for one in facts["annotations"])
    assert {one["answer_confidence"] for one in doubted} == {"yes", "maybe"}
