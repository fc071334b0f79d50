"""Explain the scores of a Pass, and the calls that most people want: captions, answers, classes."""

import importlib.metadata
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vlx.errors import LayerError, TextError, VlxError
from vlx.explanation import Explained, Explanation, Provenance
from vlx.gradients import gradients, pixel_gradients
from vlx.images import open_image
from vlx.methods import Method, grad_cam
from vlx.passes import Pass
from vlx.targets import Resolved, Target, answer, caption, label, phrase, word

Picture = str | Path | Image.Image | np.ndarray
"""An image: a file's path, a Pillow image, or an array (height, width, 3) of bytes."""

TOP = 5  # how many of the likeliest answers a result lists


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
class ImageClassifier(Protocol):
    """What `explain_label` needs: scores all its classes."""

    def read(self, images: Sequence[Image.Image]) -> Pass:
        """Score every class in one differentiable run."""
        ...


def explain(
    run: Pass,
    targets: Sequence[Target] | Sequence[Sequence[Target]],
    method: Method = grad_cam,
    *,
    chunk: int | None = None,
) -> list[Explanation]:
    """Explain targets of a Pass: one Explanation for each of its items, all from one batched product.

    ``targets`` serve every item, or are given as one list for each item. ``chunk`` bounds how many
    targets are differentiated together. Raises LayerError for a layer without rows and columns.
    """
    lists = _for_each(run, targets)
    resolved = [
        [target.resolve(reading) for target in wanted]
        for wanted, reading in zip(lists, run.readings, strict=True)
    ]
    raw, scores, batched, relus = _maps(run, resolved, method, chunk)
    return [
        _result(
            run, b, [t.name for t in lists[b]], resolved[b], raw[:, b], scores[:, b], method, batched, relus
        )
        for b in range(run.batch)
    ]


def explain_captions(
    model: Captioner,
    images: Sequence[Picture],
    captions: Sequence[str] | None = None,
    *,
    words: Sequence[str | int] | None = None,
    targets: Sequence[Target] | None = None,
    method: Method = grad_cam,
    beam: int = 1,
    chunk: int | None = None,
) -> list[Explanation]:
    """Explain one caption for each image, as a batch; see `explain_caption`."""
    opened = [open_image(image) for image in images]
    said = model.generate(opened, beam) if captions is None else list(captions)
    if len(said) != len(opened):
        raise TextError(f"{len(said)} captions for {len(opened)} images: give one for each")
    for text in said:
        if not text.strip():
            source = (
                "the given caption is" if captions is not None else "the model said nothing: its caption is"
            )
            raise TextError(f"{source} empty; give one with words")
    run = model.read(opened, said)
    return explain(
        run, [_caption_targets(reading, words, targets) for reading in run.readings], method, chunk=chunk
    )


def explain_caption(
    model: Captioner,
    image: Picture,
    caption: str | None = None,
    *,
    words: Sequence[str | int] | None = None,
    targets: Sequence[Target] | None = None,
    method: Method = grad_cam,
    beam: int = 1,
    chunk: int | None = None,
) -> Explanation:
    """Explain the words of a caption: which pixels made the model say each of them.

    Without ``caption`` the model writes one (greedy, or with a beam). By default every word is
    explained in order, then the whole caption; ``words`` picks some by text or position from 0,
    ``targets`` asks for anything else. All maps come from one forward and one batched backward.
    """
    given = None if caption is None else [caption]
    return explain_captions(
        model, [image], given, words=words, targets=targets, method=method, beam=beam, chunk=chunk
    )[0]


def explain_answer(
    model: Answerer,
    image: Picture,
    question: str,
    answers: Sequence[str] | None = None,
    *,
    targets: Sequence[Target] | None = None,
    method: Method = grad_cam,
) -> Explanation:
    """Explain answers to a question: which pixels speak for each of them.

    Without ``answers`` the likeliest one is explained; any answer the model knows can be forced.
    """
    run = model.read([open_image(image)], [question])
    return explain(run, _choice_targets(run, answers, targets), method)[0]


def explain_label(
    model: ImageClassifier,
    image: Picture,
    labels: Sequence[str | int] | None = None,
    *,
    targets: Sequence[Target] | None = None,
    method: Method = grad_cam,
) -> Explanation:
    """Explain classes of an image classifier, by default the likeliest one."""
    run = model.read([open_image(image)])
    return explain(run, _choice_targets(run, labels, targets), method)[0]


def _for_each(run: Pass, targets: Sequence[Any]) -> list[list[Target]]:
    if not targets:
        raise VlxError("no targets to explain: give at least one, such as word(0) or caption()")
    if all(isinstance(target, Target) for target in targets):
        return [list(cast(Sequence[Target], targets))] * run.batch
    if len(targets) != run.batch:
        raise VlxError(
            f"{len(targets)} lists of targets for {run.batch} items: give one for each, or one for all"
        )
    return [list(wanted) for wanted in targets]


def _caption_targets(
    reading: Any, words: Sequence[str | int] | None, targets: Sequence[Target] | None
) -> list[Target]:
    if targets is not None:
        return list(targets)
    if words is not None:
        return [phrase(w) if isinstance(w, str) and len(w.split()) > 1 else word(w) for w in words]
    return [*(word(position) for position in range(len(reading.words))), caption()]


def _choice_targets(
    run: Pass, names: Sequence[str | int] | None, targets: Sequence[Target] | None
) -> list[Target]:
    if targets is not None:
        return list(targets)
    if names is None:
        names = [run.readings[0].choices.names[int(run.scores[0, 0].argmax())]]
    if run.readings[0].kind == "answer":
        return [answer(str(name)) for name in names]
    return [label(name) for name in names]


def _maps(
    run: Pass, resolved: Sequence[Sequence[Resolved]], method: Method, chunk: int | None
) -> tuple[Tensor, Tensor, bool, int]:
    """Raw maps (target, batch, *plane), scores (target, batch), and how they were computed."""
    terms = [[target.terms for target in item] for item in resolved]
    plain = gradients(run, terms, chunk=chunk)
    raw, relus = None, 0
    if method.cam is not None:
        grids = run.grid(run.features.detach()).to(plain.values.dtype)
        if grids.shape[-2] * grids.shape[-1] < 2:
            raise LayerError(
                f"layer {run.layer} has a single place ({tuple(grids.shape)}): name a layer below its pooling"
            )
        raw = method.cam(grids[None], run.grid(plain.values))
    if method.rule is not None:
        head = gradients(run, terms, rule=method.guidance, chunk=chunk) if method.guidance else plain
        pixels, relus = pixel_gradients(run, head, method.guidance)
        raw = pixels if raw is None else pixels * _on_input(run, raw)[:, :, None]
    if raw is None:
        raise VlxError(f"method {method.name} has neither a map on features nor a rule for pixels")
    return raw, plain.scores, plain.batched, relus


def _on_input(run: Pass, maps: Float[Tensor, "target batch row col"]) -> Tensor:
    """The maps on the pixels of the network input; every frame of a batch has the same input size."""
    return run.frames[0].to_input(maps)


def _result(
    run: Pass,
    b: int,
    names: Sequence[str],
    resolved: Sequence[Resolved],
    raw: Tensor,
    scores: Tensor,
    method: Method,
    batched: bool,
    relus: int,
) -> Explanation:
    reading = run.readings[b]
    shares = torch.softmax(run.scores[b, 0].detach().float(), -1) if reading.kind != "caption" else None
    explained = tuple(
        Explained(target.name, float(score), _probability(target, float(score), shares), target.words)
        for target, score in zip(resolved, scores, strict=False)
    )
    return Explanation(
        image=run.images[b],
        frame=run.frames[b],
        raw=raw[: len(resolved)].detach().cpu().float().numpy().copy(),  # frees the rest of the batch
        targets=explained,
        provenance=Provenance(run.model, run.layer, method.name, run.kind, batched, relus, _versions()),
        words=tuple(word.text for word in reading.words),
        prompt=reading.prompt,
        unknown=reading.unknown,
        predicted=_likeliest(reading.choices.names, shares),
    )


def _probability(target: Resolved, score: float, shares: Tensor | None) -> float | None:
    if not target.single:
        return None
    return float(np.exp(score)) if shares is None else float(shares[target.terms[0].choice])


def _likeliest(names: Sequence[str], shares: Tensor | None) -> tuple[tuple[str, float], ...]:
    if shares is None:
        return ()
    best = shares.topk(min(TOP, len(shares)))
    return tuple((names[int(i)], float(p)) for p, i in zip(best.values, best.indices, strict=True))


def _versions() -> dict[str, str]:
    packages = ("vlx", "torch", "torchvision", "transformers")
    return {name: _version(name) for name in packages if name in sys.modules}


@cache
def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
