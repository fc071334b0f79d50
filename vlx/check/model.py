"""All checks of a model, whatever it takes: a caption, a question, texts to compare, or an image alone."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from PIL import Image

from vlx.check.first_use import nothing_kept
from vlx.check.inputs import QUESTIONS, check_image, check_question, check_texts
from vlx.check.outcome import Check, spared
from vlx.check.places import check_patches, followed
from vlx.check.words import CHANGED_WORD, check_changed_word, check_own_words, check_sum
from vlx.errors import TextError, VlxError
from vlx.passes.forward import Pass

TEXTS = ("a red bus", "a dog on the grass")
"""What images are compared with where nobody says with what."""


@dataclass(frozen=True, eq=False)
class Asked:
    """How a model is read for its checks."""

    read: Callable[[Image.Image, str, str], Pass]
    """Of an image, a text and a prompt or question; each takes what it needs of these."""
    text: str = ""
    prompt: str = ""
    own: bool = False
    """Whether the model wrote the text itself, without a beam."""
    answers_prompts: bool = False
    """Whether the prompt is a question that the text answers."""


def check_model(
    model: Any, image: Image.Image, *, caption: str | None = None, prompt: str | None = None
) -> list[Check]:
    """Make every check of a model at its layer, in order; those that mean nothing here say why.

    ``caption`` stands in for what the model writes itself, ``prompt`` is what it is asked. Raises VlxError
    where the model is no adapter, or writes nothing and no caption is given.
    """
    with nothing_kept():
        if callable(getattr(model, "compare", None)):
            return _matcher(model, image)
        asked = _asked(model, image, caption, prompt)
        first = asked.read(image, asked.text, asked.prompt)

        def look(picture: Image.Image) -> Pass:
            return asked.read(picture, asked.text, asked.prompt)

        return [*_sights(first, look, image), *_words(first, asked, image), *_question(first, asked, image)]


def _sights(first: Pass, look: Callable[[Image.Image], Pass], image: Image.Image) -> list[Check]:
    return [
        followed(first),
        _tried("patches", lambda: check_patches(look, (image.height, image.width))),
        _tried("image", lambda: check_image(look, image)),
    ]


def _words(first: Pass, asked: Asked, image: Image.Image) -> list[Check]:
    names = (*CHANGED_WORD, "sum", "own words")
    if first.readings[0].kind != "caption":
        return [spared(name, f"the model gives {_GIVES[first.readings[0].kind]}, no words") for name in names]

    def say(text: str) -> Pass:
        return asked.read(image, text, asked.prompt)

    # As plain text: what a model wrote may know its tokens, which the words by themselves do not.
    plain = say(first.readings[0].text)
    try:
        changed = check_changed_word(plain, say)
    except VlxError as error:
        changed = tuple(spared(name, _reason(error)) for name in CHANGED_WORD)
    own = check_own_words(first) if asked.own else spared("own words", "the caption is not its own")
    return [*changed, _tried("sum", lambda: check_sum(plain, say)), own]


def _question(first: Pass, asked: Asked, image: Image.Image) -> list[Check]:
    if first.readings[0].kind != "answer" and not asked.answers_prompts:
        return [spared("question", "the model takes no question"), _no_texts()]

    def ask(question: str) -> Pass:
        return asked.read(image, asked.text, question)

    return [_tried("question", lambda: check_question(first, ask)), _no_texts()]


def _matcher(model: Any, image: Image.Image) -> list[Check]:
    def compare(texts: Sequence[str]) -> Pass:
        return model.compare([image], texts)

    def look(picture: Image.Image) -> Pass:
        return model.compare([picture], TEXTS)

    no_words = [spared(name, "the model compares texts, it says none") for name in (*CHANGED_WORD, "sum")]
    rest = [
        spared("own words", "the model writes nothing"),
        spared("question", "the model takes no question"),
    ]
    texts = _tried("texts", lambda: check_texts(compare, TEXTS))
    return [*_sights(compare(TEXTS), look, image), *no_words, *rest, texts]


_GIVES = {"answer": "answers of a list", "label": "classes"}


def _no_texts() -> Check:
    return spared("texts", "the model compares no texts")


def _asked(model: Any, image: Image.Image, caption: str | None, prompt: str | None) -> Asked:
    """How a model is read, told by what it has and takes."""
    read: Any = getattr(model, "read", None)
    if not callable(read):
        raise VlxError(
            f"{type(model).__name__} has neither read nor compare: check adapters, such as vlx.load gives"
        )
    read = cast("Callable[..., Pass]", read)
    if callable(getattr(model, "respond", None)):
        return _responder(model, image, caption, prompt)
    if prompt is not None and not _takes(read, 2):
        raise VlxError(f"{type(model).__name__} takes no prompt: leave --prompt out")
    if callable(getattr(model, "generate", None)) or caption is not None:
        if prompt is not None:
            raise VlxError(f"{type(model).__name__} takes no prompt: leave --prompt out")
        asked = Asked(lambda picture, text, _prompt: read([picture], [text]))
        return _with_text(asked, caption, lambda: model.generate([image], 1))
    if _takes(read, 2):
        return Asked(
            lambda picture, _text, question: read([picture], [question]), prompt=prompt or QUESTIONS[0]
        )
    return Asked(lambda picture, _text, _prompt: read([picture]))


def _responder(model: Any, image: Image.Image, caption: str | None, prompt: str | None) -> Asked:
    """A model that writes after a prompt, asked something; without a prompt where it takes none."""

    def read(picture: Image.Image, text: str, question: str) -> Pass:
        return model.read([picture], [text], [question])

    question = prompt or QUESTIONS[0]
    asked = Asked(read, prompt=question, answers_prompts=True)
    try:
        if caption is not None:
            read(image, caption, question)
        return _with_text(asked, caption, lambda: model.respond([image], [question], 1))
    except TextError:
        raise
    except VlxError:  # a captioner of a kind that may take prompts
        if prompt is not None:
            raise
    captions = Asked(lambda picture, text, _prompt: model.read([picture], [text]))
    return _with_text(captions, caption, lambda: model.generate([image], 1))


def _with_text(asked: Asked, caption: str | None, write: Callable[[], Sequence[str]]) -> Asked:
    if caption is not None:
        return replace(asked, text=caption)
    try:
        text = write()[0]
    except NotImplementedError:
        text = ""
    if not text.strip():
        raise TextError("the model writes no caption: give one of words that it knows with --caption")
    return replace(asked, text=text, own=True)


def _takes(read: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(read).bind(*range(count))
    except TypeError:
        return False
    return True


def _tried(name: str, check: Callable[[], Check]) -> Check:
    """A check, or why the model cannot be given what it needs."""
    try:
        return check()
    except VlxError as error:
        return spared(name, _reason(error))


def _reason(error: VlxError) -> str:
    return " ".join(str(error).split())
