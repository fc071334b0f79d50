"""Answers: explain those to questions, chosen from a list or written by the model."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, overload

import numpy as np
from PIL import Image

from vlx.api.captions import written
from vlx.api.given import (
    Methods,
    Picture,
    Some,
    SomeOfEach,
    against,
    explain_choices,
    listed,
    one_for_each,
    opened_all,
)
from vlx.api.protocols import Answerer, Responder
from vlx.asking import read_of
from vlx.check.first_use import question_on_first_use
from vlx.errors import TextError, VlxError
from vlx.explain import explain
from vlx.explanation import Explanation
from vlx.images.files import open_image
from vlx.methods.values import Method, as_methods, grad_cam
from vlx.passes.forward import Pass
from vlx.passes.targets import Target, caption


@overload
def explain_answers(
    model: Answerer | Responder,
    images: Sequence[Picture],
    questions: Sequence[str] | str,
    answers: SomeOfEach | None = None,
    *,
    targets: Sequence[Target] | Target | None = None,
    method: Method | str = grad_cam,
    chunk: int | None = None,
    runners_up: int | None = None,
    evidence: bool = False,
) -> list[Explanation]: ...
@overload
def explain_answers(
    model: Answerer | Responder,
    images: Sequence[Picture],
    questions: Sequence[str] | str,
    answers: SomeOfEach | None = None,
    *,
    targets: Sequence[Target] | Target | None = None,
    method: Methods,
    chunk: int | None = None,
    runners_up: int | None = None,
    evidence: bool = False,
) -> list[list[Explanation]]: ...
def explain_answers(
    model: Answerer | Responder,
    images: Sequence[Picture],
    questions: Sequence[str] | str,
    answers: SomeOfEach | None = None,
    *,
    targets: Sequence[Target] | Target | None = None,
    method: Method | str | Methods = grad_cam,
    chunk: int | None = None,
    runners_up: int | None = None,
    evidence: bool = False,
) -> list[Explanation] | list[list[Explanation]]:
    """Explain answers to one question for each image, as a batch; see `explain_answer`.

    A single question is asked of every image. ``answers`` holds for each image one or several of them; a
    single one is explained for every image, and without any the likeliest of each. Of several methods each
    image has a list, one Explanation for each method: ``found[image][method]``.

    >>> questions = ["is there a dog ?", "what is on the left ?"]
    >>> first, second = vlx.explain_answers(vqa, [photo, photo], questions, [["yes", "no"], "dog"])
    >>> [target.name for target in first.targets], second.targets[0].name
    (['yes', 'no'], 'dog')
    """
    return _explained(
        model,
        opened_all("explain_answers", images),
        questions,
        answers,
        targets,
        method,
        chunk,
        runners_up,
        evidence,
    )


@overload
def explain_answer(
    model: Answerer | Responder,
    image: Picture,
    question: str,
    answers: Some | None = None,
    *,
    targets: Sequence[Target] | Target | None = None,
    method: Method | str = grad_cam,
    chunk: int | None = None,
    runners_up: int | None = None,
    evidence: bool = False,
) -> Explanation: ...
@overload
def explain_answer(
    model: Answerer | Responder,
    image: Picture,
    question: str,
    answers: Some | None = None,
    *,
    targets: Sequence[Target] | Target | None = None,
    method: Methods,
    chunk: int | None = None,
    runners_up: int | None = None,
    evidence: bool = False,
) -> list[Explanation]: ...
def explain_answer(
    model: Answerer | Responder,
    image: Picture,
    question: str,
    answers: Some | None = None,
    *,
    targets: Sequence[Target] | Target | None = None,
    method: Method | str | Methods = grad_cam,
    chunk: int | None = None,
    runners_up: int | None = None,
    evidence: bool = False,
) -> Explanation | list[Explanation]:
    """Explain answers to a question: which pixels speak for each of them.

    Without ``answers`` the likeliest one is explained; any answer the model knows can be forced. A model
    that writes its answers knows them all: each is then scored as a text, by the sum of the
    log-probabilities of its words. For the single words of such an answer, or other ``targets``, see
    `explain_caption` with a ``prompt``. With ``runners_up`` each is explained against so many of what comes
    next to it, as `contrast_runners_up` has it. Of several methods in a list there is a list of Explanations,
    one for each method in their order. With ``evidence`` each answer says how much of its score comes from
    the image, for one more run of the part above the layer: a difference of logits, or nats of an answer that
    is written.

    >>> found = vlx.explain_answer(vqa, photo, "is there a dog?")
    >>> found.targets[0].name, found.map("no").shape
    ('no', (224, 224))
    """
    given = None if answers is None else [answers]
    return _explained(
        model, [open_image(image)], [question], given, targets, method, chunk, runners_up, evidence
    )[0]


def _explained(
    model: Any,
    images: list[Image.Image],
    questions: Sequence[str] | str,
    answers: Any,
    targets: Sequence[Target] | Target | None,
    method: Method | str | Methods,
    chunk: int | None,
    runners_up: int | None,
    evidence: bool,
) -> list[Any]:
    """Of each image an Explanation, or one for each of several methods."""
    asked = one_for_each(questions, len(images), "questions")
    named = one_for_each(answers, len(images), "answers")
    if isinstance(model, Responder):
        if targets is not None:
            raise VlxError(
                "this model writes its answers: give targets to explain_caption(…, prompt=question)"
            )
        found = _texts(model, images, asked, named, as_methods(method), chunk, runners_up, evidence)
        return [one[0] for one in found] if isinstance(method, str | Method) else found
    passed = read_of(model, "explain_answer", images, asked)
    question_on_first_use(passed, lambda other: read_of(model, "explain_answer", images[:1], [other]))
    return explain_choices(passed, named, targets, method, chunk, runners_up, evidence)


def _asked_else(model: Responder, image: Image.Image, text: str, question: str) -> Pass:
    return model.read([image], [text], [question])


def _texts(
    model: Responder,
    images: Sequence[Image.Image],
    questions: Sequence[str],
    answers: Sequence[Some | None],
    methods: Sequence[Method],
    chunk: int | None,
    runners_up: int | None,
    evidence: bool,
) -> list[list[Explanation]]:
    """Of each image an Explanation by each method, of answers that the model writes or could write."""
    if not all(question.strip() for question in questions):
        raise TextError("the question is empty: give one with words")
    unsaid = [at for at, names in enumerate(answers) if names is None]
    own: dict[int, str] = {}
    if unsaid:
        theirs = written(model, [images[at] for at in unsaid], [questions[at] for at in unsaid])
        own = dict(zip(unsaid, theirs, strict=True))
    said = [[own[at]] if names is None else listed(names) for at, names in enumerate(answers)]
    for texts in said:
        _need_texts(texts)
    found: dict[int, list[Explanation]] = {}
    for question in dict.fromkeys(questions):  # alone: some decoders see the padding of a shorter question
        same = [at for at, other in enumerate(questions) if other == question]
        whose = [at for at in same for _ in said[at]]
        texts = [text for at in same for text in said[at]]
        given = ([images[at] for at in whose], texts, [question] * len(whose))
        passed = read_of(model, "explain_answer", *given)
        question_on_first_use(passed, partial(_asked_else, model, images[whose[0]], texts[0]))
        wanted = against([caption()], runners_up)
        results = iter(explain(passed, wanted, methods, chunk=chunk, evidence=evidence))
        for at in same:
            of_texts = [next(results) for _ in said[at]]
            found[at] = [
                _side_by_side([one[number] for one in of_texts], said[at]) for number in range(len(methods))
            ]
    return [found[at] for at in range(len(images))]


def _need_texts(answers: Sequence[Any]) -> None:
    """Raise TextError unless all are texts, of which there are some."""
    if not answers:
        raise TextError("no answers to explain: give at least one, or leave them out")
    for one in answers:
        if not isinstance(one, str) or not one.strip():
            raise TextError(f"{one!r} is no answer of a model that writes them: give a text with words")


def _side_by_side(results: Sequence[Explanation], answers: Sequence[str]) -> Explanation:
    """One explanation of several answers to the same question about the same image."""
    targets = tuple(
        replace(result.targets[0], name=result.targets[0].name.replace("caption", str(answer), 1), words=())
        for result, answer in zip(results, answers, strict=True)
    )
    raw = np.concatenate([result.raw for result in results])
    return replace(results[0], raw=raw, targets=targets, words=())
