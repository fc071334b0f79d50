"""Captions: explain their words, those of a given text or of what the model writes."""

from collections.abc import Sequence
from typing import Any, cast, overload

from PIL import Image

from vlx.api.given import Methods, Picture, Some, against, listed, opened_all, responder
from vlx.api.protocols import Captioner, OwnReader, Reads, Responder
from vlx.asking import read_of, texts_of
from vlx.check.first_use import words_on_first_use
from vlx.errors import TextError, VlxError
from vlx.explain import explain
from vlx.explanation import Explanation
from vlx.images.files import open_image
from vlx.methods.values import Method, grad_cam
from vlx.passes.forward import Pass
from vlx.passes.reading import need_said
from vlx.passes.targets import Target, caption, phrase, word


@overload
def explain_captions(
    model: Captioner | Responder | Reads,
    images: Sequence[Picture],
    captions: Sequence[str] | None = None,
    *,
    prompt: str | None = None,
    words: Some | None = None,
    targets: Sequence[Target] | Target | None = None,
    method: Method | str = grad_cam,
    beam: int | None = None,
    chunk: int | None = None,
    runners_up: int | None = None,
    evidence: bool = False,
) -> list[Explanation]: ...
@overload
def explain_captions(
    model: Captioner | Responder | Reads,
    images: Sequence[Picture],
    captions: Sequence[str] | None = None,
    *,
    prompt: str | None = None,
    words: Some | None = None,
    targets: Sequence[Target] | Target | None = None,
    method: Methods,
    beam: int | None = None,
    chunk: int | None = None,
    runners_up: int | None = None,
    evidence: bool = False,
) -> list[list[Explanation]]: ...
def explain_captions(
    model: Captioner | Responder | Reads,
    images: Sequence[Picture],
    captions: Sequence[str] | None = None,
    *,
    prompt: str | None = None,
    words: Some | None = None,
    targets: Sequence[Target] | Target | None = None,
    method: Method | str | Methods = grad_cam,
    beam: int | None = None,
    chunk: int | None = None,
    runners_up: int | None = None,
    evidence: bool = False,
) -> list[Explanation] | list[list[Explanation]]:
    """Explain one caption for each image, as a batch; see `explain_caption`.

    Of several methods each image has a list, one Explanation for each method: ``found[image][method]``.

    >>> said = ["a traffic light", "an umbrella"]
    >>> first, second = vlx.explain_captions(captioner, [photo, photo], said)
    >>> second.words
    ('an', 'umbrella')
    """
    opened = opened_all("explain_captions", images)
    return _explained(
        model, opened, captions, prompt, words, targets, method, beam, chunk, runners_up, evidence
    )


@overload
def explain_caption(
    model: Captioner | Responder | Reads,
    image: Picture,
    caption: str | None = None,
    *,
    prompt: str | None = None,
    words: Some | None = None,
    targets: Sequence[Target] | Target | None = None,
    method: Method | str = grad_cam,
    beam: int | None = None,
    chunk: int | None = None,
    runners_up: int | None = None,
    evidence: bool = False,
) -> Explanation: ...
@overload
def explain_caption(
    model: Captioner | Responder | Reads,
    image: Picture,
    caption: str | None = None,
    *,
    prompt: str | None = None,
    words: Some | None = None,
    targets: Sequence[Target] | Target | None = None,
    method: Methods,
    beam: int | None = None,
    chunk: int | None = None,
    runners_up: int | None = None,
    evidence: bool = False,
) -> list[Explanation]: ...
def explain_caption(
    model: Captioner | Responder | Reads,
    image: Picture,
    caption: str | None = None,
    *,
    prompt: str | None = None,
    words: Some | None = None,
    targets: Sequence[Target] | Target | None = None,
    method: Method | str | Methods = grad_cam,
    beam: int | None = None,
    chunk: int | None = None,
    runners_up: int | None = None,
    evidence: bool = False,
) -> Explanation | list[Explanation]:
    """Explain the words of a caption: which pixels made the model say each of them.

    Without ``caption`` the model writes one, on ``prompt`` where it takes one, with a ``beam`` of this
    width or its own choice of one.
    By default every word is explained in order, then the whole caption; ``words`` picks some by text
    or position from 0, ``targets`` asks for anything else. With ``runners_up`` each is explained against so
    many of the likeliest other words of its step, as `contrast_runners_up` has it. All maps come from one
    forward and one batched backward, those of several methods in a list too: then there is a list of
    Explanations, one for each method in their order. With ``evidence`` each target says how many nats of its
    score come from the image (`Explained.from_image`) and how many from language alone (`Explained.blank`),
    for one more run of the part above the layer; where a Pass cannot run it, both stay None.

    >>> found = vlx.explain_caption(captioner, photo, "a traffic light")
    >>> [target.name for target in found.targets]
    ['a', 'traffic', 'light', 'caption']
    >>> found.map("light").shape
    (224, 224)
    >>> both = vlx.explain_caption(captioner, photo, "a traffic light", method=["grad_cam", "hires_cam"])
    >>> [one.provenance.method for one in both]
    ['grad_cam', 'hires_cam']
    >>> light = vlx.explain_caption(captioner, photo, "a traffic light", evidence=True).targets[2]
    >>> light.from_image == light.score - light.blank
    True
    """
    given = None if caption is None else [caption]
    return _explained(
        model, [open_image(image)], given, prompt, words, targets, method, beam, chunk, runners_up, evidence
    )[0]


def written(
    model: Captioner | Responder | Reads,
    images: Sequence[Image.Image],
    prompt: str | Sequence[str] | None = None,
    beam: int | None = None,
) -> list[str]:
    """What a model says of each image, on a prompt, or one for each image, where it takes one.

    Raises TextError where it says nothing, VlxError where it takes no prompt.
    """
    if prompt is None:
        said = texts_of(model, "generate", images, beam=beam)
    else:
        asked = [prompt] * len(images) if isinstance(prompt, str) else prompt
        said = texts_of(responder(model), "respond", images, asked, beam=beam)
    need_said(said)
    return said


def _explained(
    model: Any,
    images: list[Image.Image],
    captions: Sequence[str] | None,
    prompt: str | None,
    words: Some | None,
    targets: Sequence[Target] | Target | None,
    method: Method | str | Methods,
    beam: int | None,
    chunk: int | None,
    runners_up: int | None,
    evidence: bool,
) -> list[Any]:
    """Of each image an Explanation, or one for each of several methods."""
    passed = (
        _own(model, images, prompt, beam) if captions is None else _given(model, images, captions, prompt)
    )
    words_on_first_use(passed, lambda text: _given(model, images[:1], [text], prompt))
    wanted = [against(_caption_targets(reading, words, targets), runners_up) for reading in passed.readings]
    return explain(passed, wanted, method, chunk=chunk, evidence=evidence, kept=True)


def _given(model: Any, images: Sequence[Image.Image], captions: Sequence[str], prompt: str | None) -> Pass:
    """The given captions as a model reads them."""
    said = listed(captions)
    if len(said) != len(images):
        raise TextError(f"{len(said)} captions for {len(images)} images: give one for each")
    for text in said:
        if not text.strip():
            raise TextError("the given caption is empty; give one with words")
    if prompt is None:
        return read_of(model, "explain_caption", images, said)
    return read_of(responder(model), "explain_caption", images, said, [prompt] * len(said))


def _own(model: Any, images: Sequence[Image.Image], prompt: str | None, beam: int | None) -> Pass:
    """What a model says of the images, as it reads it; seen once where it can do both together."""
    if prompt is None and _reads_own(model):
        return cast(OwnReader, model).read_own(images, beam)
    if prompt is None and not callable(getattr(model, "generate", None)):
        raise VlxError(
            f"{type(model).__name__} writes no captions: give one, or use explain_answer or explain_label"
        )
    return _given(model, images, written(model, images, prompt, beam), prompt)


def _reads_own(model: Any) -> bool:
    """Whether a model writes and reads together, and neither was replaced, as by a class derived from it."""
    apart = {"read", "generate"}
    if not isinstance(model, OwnReader) or apart & vars(model).keys():
        return False
    kinds = (vars(kind).keys() for kind in type(model).__mro__)
    return "read_own" in next((names for names in kinds if names & {*apart, "read_own"}), ())


def _caption_targets(
    reading: Any, words: Some | None, targets: Sequence[Target] | Target | None
) -> list[Target]:
    if targets is not None:
        return listed(targets)
    if words is not None:
        return [phrase(w) if isinstance(w, str) and len(w.split()) > 1 else word(w) for w in listed(words)]
    return [*(word(position) for position in range(len(reading.words))), caption()]
