import json

import pytest

from vlx.eval.data.records import DataError
from vlx.eval.data.vqa import (
    Question,
    read_annotations,
    read_questions,
    read_results,
    same_questions,
)

QUESTION = {"image_id": 277346, "question": "Is it red?", "question_id": 2773461}
ANNOTATION = {
    "question_id": 2773461,
    "image_id": 277346,
    "question_type": "is it",
    "answer_type": "yes/no",
    "multiple_choice_answer": "yes",
    "answers": [{"answer": "yes", "answer_confidence": "yes", "answer_id": n} for n in range(1, 11)],
}


def written(folder, **content):
    path = folder / "data.json"
    path.write_text(json.dumps(content))
    return path


def test_questions_of_both_kinds(tmp_path):
    choices = QUESTION | {"question_id": 2773462, "multiple_choices": ["yes", "no"]}
    found = read_questions(written(tmp_path, questions=[QUESTION, choices], task_type="x"))
    assert found[2773461] == Question(2773461, 277346, "Is it red?")
    assert found[2773462].choices == ("yes", "no")


def test_annotations_belong_to_their_questions(tmp_path):
    questions = read_questions(written(tmp_path, questions=[QUESTION]))
    (found,) = read_annotations(written(tmp_path, annotations=[ANNOTATION]), questions).values()
    assert (found.answer, found.answers, found.answer_type) == ("yes", ("yes",) * 10, "yes/no")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"question_id": 5}, r"annotations\[0\]\.question_id is 5: .*question"),
        ({"image_id": 5}, r"annotations\[0\]\.image_id is 5: expected 277346"),
        ({"answers": []}, r"annotations\[0\]\.answers .*at least one"),
        ({"answers": [{"x": 1}]}, r"annotations\[0\]\.answers\[0\] has no 'answer'"),
        ({"answer_type": None}, r"annotations\[0\]\.answer_type is null"),
    ],
)
def test_wrong_annotations_are_named(tmp_path, changes, said):
    questions = read_questions(written(tmp_path, questions=[QUESTION]))
    with pytest.raises(DataError, match=said):
        read_annotations(written(tmp_path, annotations=[ANNOTATION | changes]), questions)


def test_ids_stand_once(tmp_path):
    with pytest.raises(DataError, match=r"questions\[1\]: question 2773461 stands twice"):
        read_questions(written(tmp_path, questions=[QUESTION, QUESTION]))
    with pytest.raises(DataError, match=r"annotations\[1\]: question 2773461 stands twice"):
        read_annotations(written(tmp_path, annotations=[ANNOTATION, ANNOTATION]))


def test_results_are_read_and_stand_once(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps([{"question_id": 1, "answer": "yes"}]))
    assert read_results(path) == {1: "yes"}
    path.write_text(json.dumps([{"question_id": 1, "answer": "yes"}] * 2))
    with pytest.raises(DataError, match=r"\[1\]: question 1 stands twice"):
        read_results(path)
    path.write_text(json.dumps([{"question_id": 1, "answer": 2}]))
    with pytest.raises(DataError, match=r"\[0\]\.answer is 2"):
        read_results(path)


def asked(*rows):
    return {number: Question(number, image, text) for number, image, text in rows}


def test_versions_match_on_image_and_text_not_on_ids():
    first = asked((10, 1, "Is it red?"), (11, 1, "What is it?"), (20, 2, "Is it red?"))
    second = asked((1000, 1, "what is  it?"), (1001, 1, "Is it red?"), (3000, 3, "Is it red?"))
    assert same_questions(first, second) == ({10: 1001, 11: 1000}, (20,))


def test_repeated_questions_match_in_order_and_once():
    first = asked((12, 1, "Why?"), (11, 1, "Why?"), (13, 1, "Why?"))
    second = asked((1001, 1, "Why?"), (1000, 1, "Why?"))
    assert same_questions(first, second) == ({11: 1000, 12: 1001}, (13,))
