"""VQA questions and annotations, versions 1 and 2, and the match between the two."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vlx.eval.data.records import Damaged, DataError, Record, read_record, read_records, spared


@dataclass(frozen=True)
class Question:
    """One question about one image."""

    id: int
    image_id: int
    text: str
    choices: tuple[str, ...] = ()
    """Answers to choose from, in multiple-choice files."""


@dataclass(frozen=True)
class Annotation:
    """The answers of one question."""

    question_id: int
    image_id: int
    answer: str
    """The most frequent answer (``multiple_choice_answer``)."""
    answers: tuple[str, ...]
    """Every answer given, ten in the official files."""
    question_type: str
    answer_type: str


def read_questions(path: str | Path, damaged: Damaged | None = None) -> Mapping[int, Question]:
    """The questions of ``*_questions.json`` of either version, by question id.

    A damaged record raises DataError, or is skipped and told to ``damaged``.

    >>> from vlx.scenes import held_out_scenes
    >>> questions = read_questions(held_out_scenes() / "questions.json")
    >>> questions[1000].text
    'how many frisbees are there ?'
    """
    questions: dict[int, Question] = {}
    for record in read_record(path).records("questions", damaged):
        with spared(damaged):
            choices = record.texts("multiple_choices") if "multiple_choices" in record else ()
            question = Question(
                record.integer("question_id"),
                record.integer("image_id"),
                record.text("question").strip(),
                choices,
            )
            if question.id in questions:
                raise DataError(f"{record.where}: question {question.id} stands twice")
            questions[question.id] = question
    return questions


def read_annotations(
    path: str | Path,
    questions: Mapping[int, Question] | None = None,
    damaged: Damaged | None = None,
) -> Mapping[int, Annotation]:
    """The annotations of ``*_annotations.json`` of either version, by question id.

    With ``questions`` each must belong to one of them, on the same image. A damaged record raises
    DataError, or is skipped and told to ``damaged``.

    >>> from vlx.scenes import held_out_scenes
    >>> annotations = read_annotations(held_out_scenes() / "annotations.json")
    >>> len(annotations[1000].answers)
    10
    """
    annotations: dict[int, Annotation] = {}
    for record in read_record(path).records("annotations", damaged):
        with spared(damaged):
            annotation = _annotation(record)
            if annotation.question_id in annotations:
                raise DataError(f"{record.where}: question {annotation.question_id} stands twice")
            if questions is not None:
                _check(record, annotation, questions)
            annotations[annotation.question_id] = annotation
    return annotations


def read_results(path: str | Path) -> Mapping[int, str]:
    """The predicted answers of a results file (``question_id``, ``answer``), by question id."""
    results: dict[int, str] = {}
    for record in read_records(path):
        question = record.integer("question_id")
        if question in results:
            raise DataError(f"{record.where}: question {question} stands twice")
        results[question] = record.text("answer")
    return results


def same_questions(
    first: Mapping[int, Question], second: Mapping[int, Question]
) -> tuple[dict[int, int], tuple[int, ...]]:
    """Match questions of one version to those of another: (ids of first -> second, unmatched).

    Questions match on the image and the text, case and spacing aside. VQA v1 numbers them image
    id times 10, v2 times 1000, so the ids say nothing. Where a text was asked several times on one
    image, the questions match in order of their ids.

    >>> first = {10: Question(10, image_id=1, text="Is it red?")}
    >>> second = {1000: Question(1000, image_id=1, text="is it  red?")}
    >>> same_questions(first, second)
    ({10: 1000}, ())
    """
    waiting: dict[tuple[int, str], list[int]] = {}
    for question in sorted(second.values(), key=lambda item: item.id, reverse=True):
        waiting.setdefault(_key(question), []).append(question.id)
    matched: dict[int, int] = {}
    unmatched: list[int] = []
    for question in sorted(first.values(), key=lambda item: item.id):
        same = waiting.get(_key(question))
        if same:
            matched[question.id] = same.pop()
        else:
            unmatched.append(question.id)
    return matched, tuple(unmatched)


def _key(question: Question) -> tuple[int, str]:
    return question.image_id, " ".join(question.text.lower().split())


def _annotation(record: Record) -> Annotation:
    answers = tuple(item.text("answer") for item in record.records("answers"))
    if not answers:
        raise record.wrong("answers", "at least one answer")
    return Annotation(
        record.integer("question_id"),
        record.integer("image_id"),
        record.text("multiple_choice_answer"),
        answers,
        record.text("question_type"),
        record.text("answer_type"),
    )


def _check(record: Record, annotation: Annotation, questions: Mapping[int, Question]) -> None:
    question = questions.get(annotation.question_id)
    if question is None:
        raise record.wrong("question_id", "the id of a question in the questions file")
    if question.image_id != annotation.image_id:
        raise record.wrong("image_id", f"{question.image_id}, the image of its question")
