"""VQA accuracy: whether people give the model's answer, by the official rule (Antol et al. 2015).

No map is made: what a model knows tells how much its maps can say.
"""

from collections.abc import Sequence
from dataclasses import replace

from vlx.errors import VlxError
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models, ModelType
from vlx.eval.items.opened import Opened, again, read_items
from vlx.eval.items.options import Options
from vlx.eval.items.rows import SCORE, Row, left_out, row_of
from vlx.eval.items.sources import answered_items
from vlx.eval.items.truth import HumanAnswers
from vlx.eval.measures.answers import accuracy
from vlx.eval.measures.statistics import Outcome
from vlx.eval.tasks.targets import answer_target
from vlx.eval.tasks.task import Task
from vlx.methods.values import Method, grad_cam
from vlx.passes.forward import Pass

ANSWERS = replace(grad_cam, name="answers")
"""What stands in the place of a method; on a page its examples are shown by Grad-CAM of the answer."""


def protocol(options: Options, model_type: ModelType) -> str:
    """What is measured."""
    del options, model_type
    return (
        "VQA accuracy (Antol et al. 2015; the official script of March 2021): min(1, matches / 3) of the "
        "model's likeliest answer with people's, averaged over leaving out each of them, normalised as the "
        "script does; beside it the answer of the same model with shuffled weights, and the most frequent "
        "answer of the annotations and of the question's type there, found in the annotations that are "
        "measured, which flatters them. Mean over questions"
    )


def _rows(models: Models, items: Sequence[Item], methods: Sequence[Method], options: Options) -> list[Row]:
    del methods, options
    names = [ANSWERS.name]
    opened, unread = read_items(models.trained, items)
    found = {item.id: left_out(item, names, ACCURACY.columns, why.reason, why.detail) for item, why in unread}
    for part in opened:
        unlearned = again(models.shuffled, part)
        for at, item in enumerate(part.items):
            found[item.id] = [_row(part, unlearned, at)]
    return [row for item in items for row in found[item.id]]


def _row(opened: Opened, unlearned: Pass, at: int) -> Row:
    item = opened.items[at]
    given, other = (_answer(passed, opened.reading_of[at]) for passed in (opened.passed, unlearned))
    truth = item.truth
    assert isinstance(truth, HumanAnswers)
    said = {SCORE: given, "random_weights": other, "majority_answer": truth.common}
    said["majority_of_type"] = truth.common_of_type
    try:
        outcomes = {column: Outcome(accuracy(text, truth.answers)) for column, text in said.items()}
    except VlxError as error:
        return left_out(item, [ANSWERS.name], ACCURACY.columns, "damaged_record", str(error))[0]
    unknown = len(opened.reading(at).unknown)
    return row_of(item, ANSWERS.name, outcomes, target=given, unknown=unknown)


def _answer(passed: Pass, index: int) -> str:
    """The likeliest answer."""
    best = int(passed.scores[index, 0].argmax())
    return passed.readings[index].choices.names[best]


ACCURACY = Task(
    "accuracy",
    "VQA accuracy: do people give the model's answer (1: at least four of ten do)",
    ("vqa",),
    lambda folder, _type, options: answered_items(folder, options),
    answer_target,
    _rows,
    protocol,
    controls=("random_weights", "majority_answer", "majority_of_type"),
    shared=("majority_answer", "majority_of_type"),
    span=(0.0, 1.0),
    methods=(ANSWERS,),
)
