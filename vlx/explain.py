"""Explain the scores of a Pass."""

import importlib.metadata
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, cast, overload

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vlx.check.averaging import doubt_below_last
from vlx.check.first_use import checks_of
from vlx.errors import VlxError
from vlx.explanation import Explained, Explanation, Provenance
from vlx.images.frame import Frame
from vlx.methods.maps import blank_scores, maps_by_method
from vlx.methods.shared import Maps, Told
from vlx.methods.values import Method, as_methods, grad_cam
from vlx.passes.above_layer import convolutions_follow
from vlx.passes.forward import Pass
from vlx.passes.reading import Reading
from vlx.passes.targets import Resolved, Target

TOP = 5  # how many of the likeliest answers a result lists


Targets = Target | Sequence[Target] | Sequence[Sequence[Target]]
"""Those of every item, or one list for each item."""


@overload
def explain(
    passed: Pass,
    targets: Targets,
    method: Method | str = grad_cam,
    *,
    chunk: int | None = None,
    evidence: bool = False,
    kept: bool = False,
) -> list[Explanation]: ...
@overload
def explain(
    passed: Pass,
    targets: Targets,
    method: Sequence[Method | str],
    *,
    chunk: int | None = None,
    evidence: bool = False,
    kept: bool = False,
) -> list[list[Explanation]]: ...
def explain(
    passed: Pass,
    targets: Targets,
    method: Method | str | Sequence[Method | str] = grad_cam,
    *,
    chunk: int | None = None,
    evidence: bool = False,
    kept: bool = False,
) -> list[Explanation] | list[list[Explanation]]:
    """Explain targets of a Pass: one Explanation for each of its items, all from one batched product.

    ``targets`` serve every item, or are given as one list for each item. Of several methods in a list
    each item has a list of Explanations instead, one for each method in their order: ``found[item][method]``.
    They share the Pass, and the gradients where these follow one rule; their maps are those of separate
    calls, to rounding. ``chunk`` bounds how many targets are differentiated together. With ``evidence`` the
    scores of the same texts for features of 0 are added (`Explained.blank`), which takes one more run of the
    part above the layer; methods that follow a path have those of its start, and those that reveal parts of
    the image those of the wholly filled image. How much of the gradient a mean over places keeps
    (`Explained.kept`) is then told of all targets too; with ``kept`` of the first, for one more backward, and
    else where it is known for nothing. A method that averages gradients below the last map warns
    (`vlx.errors.Doubt`). Raises LayerError for a layer without rows and columns.

    >>> run = captioner.read([vlx.open_image(photo)], ["a traffic light"])
    >>> (found,) = vlx.explain(run, [vlx.word("light"), vlx.caption()], vlx.layer_cam)
    >>> found.raw.shape, found.provenance.method
    ((2, 14, 14), 'layer_cam')
    >>> ((first, second),) = vlx.explain(run, vlx.caption(), ["grad_cam", "hires_cam"])
    >>> second.provenance.method
    'hires_cam'
    """
    if not passed.images:
        raise VlxError("a Pass without images has maps and no Explanation: give it the images it was made of")
    lists, methods = _for_each(passed, targets), as_methods(method)
    resolved = [
        [target.resolve(reading) for target in wanted]
        for wanted, reading in zip(lists, passed.readings, strict=True)
    ]
    told: Told = "all" if evidence else "first" if kept else "known"
    found = _explained(passed, resolved, methods, chunk, evidence, told)
    alone = isinstance(method, str | Method)
    return found[0] if alone else [list(of_item) for of_item in zip(*found, strict=True)]


def raw_maps(
    passed: Pass, targets: Sequence[Sequence[Resolved]], method: Method
) -> Float[Tensor, "target batch *plane"]:
    """The maps alone, as tensors where the features are: on the feature grid, or at the pixels."""
    return raw_maps_with_evidence(passed, targets, method, evidence=False)[0]


def raw_maps_with_evidence(
    passed: Pass, targets: Sequence[Sequence[Resolved]], method: Method, *, evidence: bool = True
) -> tuple[Float[Tensor, "target batch *plane"], Float[Tensor, "target batch"] | None]:
    """The maps as `raw_maps` gives them, and how much of each score comes from the image.

    The second is None without ``evidence``, and where the Pass cannot tell.
    """
    _doubtful(passed, [method])
    ((_, made),) = maps_by_method(passed, targets, [method], None)
    blank = blank_scores(passed, targets) if evidence and made.blank is None else made.blank
    told = None if blank is None or not evidence else (made.scores - blank).detach()
    device = passed.features.device
    return made.raw.to(device), told if told is None else told.to(device)


def _for_each(passed: Pass, targets: Sequence[Any] | Target) -> list[list[Target]]:
    targets = [targets] if isinstance(targets, Target) else list(targets)
    if not targets:
        raise VlxError("no targets to explain: give at least one, such as word(0) or caption()")
    if all(isinstance(target, Target) for target in targets):
        return [list(cast(Sequence[Target], targets))] * passed.batch
    if len(targets) != passed.batch:
        raise VlxError(
            f"{len(targets)} lists of targets for {passed.batch} items: give one for each, or one for all"
        )
    return [list(wanted) for wanted in targets]


def _explained(
    passed: Pass,
    resolved: Sequence[Sequence[Resolved]],
    methods: Sequence[Method],
    chunk: int | None,
    evidence: bool,
    kept: Told,
) -> list[list[Explanation]]:
    """Explanations of every item by each method, in the order of the methods."""
    done: dict[int, list[Explanation]] = {}
    lacking = evidence and not all(method.sees_blank for method in methods)
    blank = blank_scores(passed, resolved) if lacking else None
    below_last = _doubtful(passed, methods)
    choices = _choices(passed)
    for at, made in maps_by_method(passed, resolved, methods, chunk, told=kept):
        told = _told(made, blank)
        alone = below_last and methods[at].needs_mean_only
        done[at] = [
            _result(passed, b, resolved[b], told, methods[at], alone, choices[b]) for b in range(passed.batch)
        ]
    return [done[at] for at in range(len(methods))]


def _doubtful(passed: Pass, methods: Sequence[Method]) -> bool:
    """Whether methods that average gradients are used below the last map, which warns."""
    averaging = [method.name for method in methods if method.needs_mean_only]
    found = bool(averaging) and passed.features.ndim in (4, 5) and convolutions_follow(passed)
    if found:
        doubt_below_last(averaging, passed.layer)
    return found


@dataclass(frozen=True)
class _Told:
    """What a method made of all items, where Python reads it: another device is waited for once for each."""

    raw: Float[np.ndarray, "target batch *plane"]
    scores: list[list[float]]
    blank: list[list[float]] | None
    error: list[list[float]] | None
    kept: list[list[float]] | None
    batched: bool | None
    relus: int


def _told(made: Maps, blank: Tensor | None) -> _Told:
    beside = (made.blank if made.blank is not None else blank, made.error, made.kept)
    blanks, errors, kept = (None if one is None else one.detach().tolist() for one in beside)
    return _Told(
        made.raw.detach().cpu().float().numpy(),
        made.scores.detach().tolist(),
        blanks,
        errors,
        kept,
        made.batched,
        made.relus,
    )


_Choice = tuple[np.ndarray, tuple[tuple[str, float], ...]]
"""The probabilities of answers or classes, and the likeliest of them by name."""


def _choices(passed: Pass) -> list[_Choice | None]:
    """Of each item that chooses among answers or classes, with what probability, as it was trained for it."""
    found: list[_Choice | None] = [None] * passed.batch
    made = {"sigmoid": torch.sigmoid, "softmax": partial(torch.softmax, dim=-1)}
    for odds, probability in made.items():
        asked = [b for b, one in enumerate(passed.readings) if one.kind != "caption" and one.odds == odds]
        if not asked:
            continue
        shares = probability(passed.scores[:, 0].detach().float())
        best = shares.topk(min(TOP, shares.shape[1]))
        table, values, indices = shares.cpu().numpy(), best.values.tolist(), best.indices.tolist()
        for b in asked:
            likeliest = zip(indices[b], values[b], strict=True)
            called = passed.readings[b].choices.called
            found[b] = table[b], tuple((called(at), share) for at, share in likeliest)
    return found


def _result(
    passed: Pass,
    b: int,
    resolved: Sequence[Resolved],
    made: _Told,
    method: Method,
    below_last: bool,
    choice: _Choice | None,
) -> Explanation:
    reading, raw = passed.readings[b], made.raw[:, b]
    shares, predicted = choice or (None, ())
    explained = tuple(_of_target(target, made, at, b, shares, reading) for at, target in enumerate(resolved))
    return Explanation(
        image=passed.images[b],
        frame=_frame(passed.frames[b], method, raw),
        raw=raw[: len(resolved)],  # is copied, which frees the rest
        targets=explained,
        provenance=Provenance(
            passed.model,
            _layers(passed) if method.fuse else passed.layer,
            method.name,
            passed.quantity,
            made.batched,
            made.relus,
            versions=_versions(),
            checks=checks_of(passed),
            below_last=below_last or None,
        ),
        words=tuple(word.text for word in reading.words),
        prompt=reading.prompt,
        unknown=reading.unknown,
        predicted=predicted,
    )


def _layers(passed: Pass) -> str:
    return " + ".join(one.layer for one in (passed, *passed.others))


def _of_target(
    target: Resolved, made: _Told, at: int, b: int, shares: np.ndarray | None, reading: Reading
) -> Explained:
    score = made.scores[at][b]
    blank = None if made.blank is None else made.blank[at][b]
    error = None if made.error is None else made.error[at][b]
    share = _probability(target, score, shares, reading)
    kept = None if made.kept is None or math.isnan(made.kept[at][b]) else made.kept[at][b]
    return Explained(target.name, score, share, target.words, blank, error, kept)


def _frame(frame: Frame, method: Method, maps: Float[np.ndarray, "target *plane"]) -> Frame:
    """Maps at the pixels of the network input divide it, wherever the places of the layer look."""
    on_grid = method.cam is not None and method.rule is None
    if method.perturbed is not None:  # on the grid or at the pixels, as it likes
        on_grid = tuple(maps.shape[-2:]) != frame.input_size
    return frame if on_grid else replace(frame, centres=None)


def _probability(target: Resolved, score: float, shares: np.ndarray | None, reading: Reading) -> float | None:
    if target.composed:
        return None
    if reading.kind == "caption":
        return float(np.exp(score))
    return None if shares is None else float(shares[target.terms[0].choice])


def _versions() -> dict[str, str]:
    packages = ("vlx", "torch", "torchvision", "transformers")
    return {name: _version(name) for name in packages if name in sys.modules}


@cache
def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
