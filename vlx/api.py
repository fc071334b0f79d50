"""The calls that most people want: explain captions, answers, classes, and texts that fit."""

import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, SupportsIndex, cast, runtime_checkable

import numpy as np
from PIL import Image
from torch import Tensor

from vlx.errors import TextError, VlxError
from vlx.explain import explain
from vlx.explanation import Explanation
from vlx.images.files import open_image
from vlx.methods.values import Method, grad_cam
from vlx.passes.forward import Pass
from vlx.passes.targets import Target, answer, caption, label, phrase, word

One = str | SupportsIndex
"""A word, answer or class by its text, or by its index as Python, NumPy or torch give it."""
Some = Sequence[One] | One | np.ndarray | Tensor
"""Several, or one."""
Picture = str | Path | Image.Image | np.ndarray
"""An image: a file's path, a Pillow image, or an array (height, width, 3) of bytes."""


@runtime_checkable
class Captioner(Protocol):
    """What `explain_caption` needs: reads given captions, and writes its own."""

    def read(self, images: Sequence[Image.Image], captions: Sequence[str]) -> Pass:
        """Score every word of the given captions in one differentiable run."""
        ...

    def generate(self, images: Sequence[Image.Image], beam: int = 1) -> list[str]:
        """Write one caption for each image."""
        ...


@runtime_checkable
class Answerer(Protocol):
    """What `explain_answer` needs: scores all its answers to a question."""

    def read(self, images: Sequence[Image.Image], questions: Sequence[str]) -> Pass:
        """Score every answer in one differentiable run."""
        ...


@runtime_checkable
class Responder(Protocol):
    """What `explain_answer` needs of a model that writes its answers; such a model also captions."""

    def read(
        self, images: Sequence[Image.Image], captions: Sequence[str], prompts: Sequence[str] | None = None
    ) -> Pass:
        """Score every word of the given texts, each after its prompt, in one differentiable run."""
        ...

    def respond(self, images: Sequence[Image.Image], prompts: Sequence[str], beam: int = 1) -> list[str]:
        """Write one answer to a prompt for each image."""
        ...


@runtime_checkable
class Matcher(Protocol):
    """What `explain_match` needs: scores how well texts fit an image."""

    def compare(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Pass:
        """Score every text for each image in one differentiable run."""
        ...


@runtime_checkable
class ImageClassifier(Protocol):
    """What `explain_label` needs: scores all its classes."""

    def read(self, images: Sequence[Image.Image]) -> Pass:
        """Score every class in one differentiable run."""
        ...


def explain_captions(
    model: Captioner,
    images: Sequence[Picture],
    captions: Sequence[str] | None = None,
    *,
    prompt: str | None = None,
    words: Some | None = None,
    targets: Sequence[Target] | Target | None = None,
    method: Method | str = grad_cam,
    beam: int | None = None,
    chunk: int | None = None,
) -> list[Explanation]:
    """Explain one caption for each image, as a batch; see `explain_caption`.

    >>> said = ["a traffic light", "an umbrella"]
    >>> first, second = vlx.explain_captions(captioner, [photo, photo], said)
    >>> second.words
    ('an', 'umbrella')
    """
    if isinstance(images, str | Path | Image.Image) or getattr(images, "ndim", 4) < 4:
        raise VlxError("explain_captions takes a list of images: for one image use explain_caption")
    opened = [open_image(image) for image in images]
    said = _listed(captions) if captions is not None else written(model, opened, prompt, beam)
    if len(said) != len(opened):
        raise TextError(f"{len(said)} captions for {len(opened)} images: give one for each")
    for text in said:
        if not text.strip():
            raise TextError("the given caption is empty; give one with words")
    passed = (
        _read(model, "explain_caption", opened, said)
        if prompt is None
        else _responder(model).read(opened, said, _each(prompt, said))
    )
    return explain(
        passed,
        [_caption_targets(reading, words, targets) for reading in passed.readings],
        method,
        chunk=chunk,
    )


def explain_caption(
    model: Captioner,
    image: Picture,
    caption: str | None = None,
    *,
    prompt: str | None = None,
    words: Some | None = None,
    targets: Sequence[Target] | Target | None = None,
    method: Method | str = grad_cam,
    beam: int | None = None,
    chunk: int | None = None,
) -> Explanation:
    """Explain the words of a caption: which pixels made the model say each of them.

    Without ``caption`` the model writes one, on ``prompt`` where it takes one, with a ``beam`` of this
    width or its own choice of one.
    By default every word is explained in order, then the whole caption; ``words`` picks some by text
    or position from 0, ``targets`` asks for anything else. All maps come from one forward and one
    batched backward.

    >>> found = vlx.explain_caption(captioner, photo, "a traffic light")
    >>> [target.name for target in found.targets]
    ['a', 'traffic', 'light', 'caption']
    >>> found.map("light").shape
    (224, 224)
    """
    given = None if caption is None else [caption]
    return explain_captions(
        model,
        [image],
        given,
        prompt=prompt,
        words=words,
        targets=targets,
        method=method,
        beam=beam,
        chunk=chunk,
    )[0]


def explain_answer(
    model: Answerer | Responder,
    image: Picture,
    question: str,
    answers: Some | None = None,
    *,
    targets: Sequence[Target] | Target | None = None,
    method: Method | str = grad_cam,
) -> Explanation:
    """Explain answers to a question: which pixels speak for each of them.

    Without ``answers`` the likeliest one is explained; any answer the model knows can be forced. A model
    that writes its answers knows them all: each is then scored as a text, by the sum of the
    log-probabilities of its words. For the single words of such an answer, or other ``targets``, see
    `explain_caption` with a ``prompt``.

    >>> found = vlx.explain_answer(vqa, photo, "is there a dog?")
    >>> found.targets[0].name, found.map("no").shape
    ('no', (224, 224))
    """
    opened = open_image(image)
    if not isinstance(model, Responder):
        passed = _read(model, "explain_answer", [opened], [question])
        return explain(passed, _choice_targets(passed, answers, targets), method)[0]
    if targets is not None:
        raise VlxError("this model writes its answers: give targets to explain_caption(…, prompt=question)")
    if not question.strip():
        raise TextError("the question is empty: give one with words")
    said = _listed(answers) if answers is not None else written(model, [opened], question)
    passed = model.read([opened] * len(said), said, _each(question, said))
    return _side_by_side(explain(passed, [caption()], method), said)


def explain_match(
    model: Matcher, image: Picture, texts: Sequence[str], *, method: Method | str = grad_cam
) -> Explanation:
    """Explain how well texts fit an image, as CLIP scores them: which pixels speak for each."""
    if not isinstance(model, Matcher):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise VlxError(f"{type(model).__name__} compares no images with texts: explain_match needs compare()")
    listed = _listed(texts)
    passed = model.compare([open_image(image)], listed)
    return explain(passed, [label(at) for at in range(len(listed))], method)[0]


def explain_label(
    model: ImageClassifier,
    image: Picture,
    labels: Some | None = None,
    *,
    targets: Sequence[Target] | Target | None = None,
    method: Method | str = grad_cam,
) -> Explanation:
    """Explain classes of an image classifier, by default the likeliest one.

    >>> from torchvision.models import resnet18
    >>> from vlx.adapters.parts.classifier import Classifier
    >>> from vlx.images import imagenet
    >>> model = Classifier(resnet18(num_classes=2), ["cat", "dog"], imagenet())
    >>> vlx.explain_label(model, photo, ["dog"]).targets[0].name
    'dog'
    """
    passed = _read(model, "explain_label", [open_image(image)])
    return explain(passed, _choice_targets(passed, labels, targets), method)[0]


def written(
    model: Captioner | Responder,
    images: Sequence[Image.Image],
    prompt: str | None = None,
    beam: int | None = None,
) -> list[str]:
    """What a model says of each image, on a prompt where it takes one.

    Raises TextError where it says nothing, VlxError where it takes no prompt.
    """
    width = {} if beam is None else {"beam": beam}
    if prompt is None:
        said = cast(Captioner, model).generate(images, **width)
    else:
        said = _responder(model).respond(images, _each(prompt, images), **width)
    if not all(text.strip() for text in said):
        raise TextError("the model said nothing: its caption is empty; give one with words")
    return said


def _read(model: Any, call: str, *given: Sequence[Any]) -> Pass:
    """What a model reads. Raises VlxError where it is no adapter, or one for another call."""
    read = getattr(model, "read", None)
    if not callable(read):
        raise VlxError(
            f"{type(model).__name__} has no method read: {call} explains adapters, such as vlx.load gives; "
            "adapters/README.md shows how to write one"
        )
    try:
        inspect.signature(read).bind(*given)
    except TypeError:
        raise VlxError(
            f"{call} does not fit {type(model).__name__}, whose read is read{inspect.signature(read)}: use "
            "explain_caption, explain_answer or explain_label"
        ) from None
    return cast(Pass, read(*given))


def _listed(given: Any) -> list[Any]:
    """A list of what is given, which may be a single text, number or target."""
    alone = isinstance(given, str | Target | int) or getattr(given, "ndim", 1) == 0
    return [given] if alone else list(cast("Sequence[Any]", given))


def _responder(model: Any) -> Responder:
    if not isinstance(model, Responder):
        raise VlxError(f"{type(model).__name__} takes no prompt: leave it out, or use a model that answers")
    return model


def _each(prompt: str, items: Sequence[Any]) -> list[str]:
    return [prompt] * len(items)


def _side_by_side(results: Sequence[Explanation], answers: Sequence[str]) -> Explanation:
    """One explanation of several answers to the same question about the same image."""
    targets = tuple(
        replace(result.targets[0], name=str(answer), words=())
        for result, answer in zip(results, answers, strict=True)
    )
    raw = np.concatenate([result.raw for result in results])
    return replace(results[0], raw=raw, targets=targets, words=())


def _caption_targets(
    reading: Any, words: Some | None, targets: Sequence[Target] | Target | None
) -> list[Target]:
    if targets is not None:
        return _listed(targets)
    if words is not None:
        return [phrase(w) if isinstance(w, str) and len(w.split()) > 1 else word(w) for w in _listed(words)]
    return [*(word(position) for position in range(len(reading.words))), caption()]


def _choice_targets(
    passed: Pass, names: Some | None, targets: Sequence[Target] | Target | None
) -> list[Target]:
    if targets is not None:
        return _listed(targets)
    listed = [int(passed.scores[0, 0].argmax())] if names is None else _listed(names)
    return [answer(name) if passed.readings[0].kind == "answer" else label(name) for name in listed]
