"""Explain the scores of a Pass."""

import importlib.metadata
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast, overload

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vlx.errors import LayerError, VlxError
from vlx.explanation import Explained, Explanation, Provenance
from vlx.methods.gradients import (
    Gradients,
    Terms,
    any_nonzero,
    gradients,
    mean_gradients,
    pixel_gradients,
    values_of,
)
from vlx.methods.guided import Rule
from vlx.methods.occlusion.of_pass import occlusion_maps
from vlx.methods.occlusion.windows import Windows
from vlx.methods.values import Method, as_methods, grad_cam, plain_rule
from vlx.passes.forward import Pass
from vlx.passes.reading import Choices, Reading
from vlx.passes.targets import Resolved, Target

TOP = 5  # how many of the likeliest answers a result lists


Targets = Target | Sequence[Target] | Sequence[Sequence[Target]]
"""Those of every item, or one list for each item."""


@overload
def explain(
    passed: Pass, targets: Targets, method: Method | str = grad_cam, *, chunk: int | None = None
) -> list[Explanation]: ...
@overload
def explain(
    passed: Pass, targets: Targets, method: Sequence[Method | str], *, chunk: int | None = None
) -> list[list[Explanation]]: ...
def explain(
    passed: Pass,
    targets: Targets,
    method: Method | str | Sequence[Method | str] = grad_cam,
    *,
    chunk: int | None = None,
) -> list[Explanation] | list[list[Explanation]]:
    """Explain targets of a Pass: one Explanation for each of its items, all from one batched product.

    ``targets`` serve every item, or are given as one list for each item. Of several methods in a list
    each item has a list of Explanations instead, one for each method in their order: ``found[item][method]``.
    They share the Pass, and the gradients where these follow one rule; their maps are those of separate
    calls, to rounding. ``chunk`` bounds how many targets are differentiated together. Raises LayerError
    for a layer without rows and columns.

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
    found = _explained(passed, resolved, methods, chunk)
    alone = isinstance(method, str | Method)
    return found[0] if alone else [list(of_item) for of_item in zip(*found, strict=True)]


def raw_maps(
    passed: Pass, targets: Sequence[Sequence[Resolved]], method: Method
) -> Float[Tensor, "target batch *plane"]:
    """The maps alone, as tensors where the features are: on the feature grid, or at the pixels."""
    ((_, made),) = _made(passed, targets, [method], None)
    return made.raw.to(passed.features.device)


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


@dataclass(frozen=True, eq=False)
class _Maps:
    """The maps of one method, and how they were computed."""

    raw: Float[Tensor, "target batch *plane"]
    scores: Float[Tensor, "target batch"]
    batched: bool | None
    relus: int = 0


class _Shared:
    """What methods take of one Pass alike, made once; one set of gradients is held at a time."""

    def __init__(self, passed: Pass, terms: Terms, chunk: int | None) -> None:
        self.passed, self.terms, self.chunk = passed, terms, chunk
        self._head: tuple[Rule | None, int, Gradients] | None = None
        self._pixels: tuple[Rule | None, tuple[Tensor, int]] | None = None

    def head(self, rule: Rule | None) -> Gradients:
        """The gradients at the features by a rule."""
        kept = self._head
        if kept is None or kept[0] is not rule or kept[2].values._version != kept[1]:  # changed by a method
            self._head = None  # room first
            found = gradients(self.passed, self.terms, rule=rule, chunk=self.chunk)
            kept = self._head = rule, found.values._version, found
        return kept[2]

    def pixels(self, rule: Rule | None) -> tuple[Tensor, int]:
        """The gradients at the pixels by a rule, and how many ReLUs followed it."""
        if self._pixels is None or self._pixels[0] is not rule:
            self._pixels = None
            self._pixels = rule, pixel_gradients(self.passed, self.head(rule), rule)
        return self._pixels[1]


def _explained(
    passed: Pass, resolved: Sequence[Sequence[Resolved]], methods: Sequence[Method], chunk: int | None
) -> list[list[Explanation]]:
    """Explanations of every item by each method, in the order of the methods."""
    done = {
        at: [_result(passed, b, resolved[b], made, methods[at]) for b in range(passed.batch)]
        for at, made in _made(passed, resolved, methods, chunk)
    }
    return [done[at] for at in range(len(methods))]


def _made(
    passed: Pass, resolved: Sequence[Sequence[Resolved]], methods: Sequence[Method], chunk: int | None
) -> Iterator[tuple[int, _Maps]]:
    """The maps of each method by its position, as they are made."""
    for method in methods:
        if method.windows is None and method.cam is None and method.rule is None:
            raise VlxError(f"method {method.name} has neither a map on features nor a rule for pixels")
    shared = _Shared(passed, [[target.terms for target in item] for item in resolved], chunk)
    on_grid = _cams(shared, methods)
    for at in _by_rule(methods):
        method = methods[at]
        if method.windows is not None:
            yield at, _Maps(*_hidden(passed, resolved, method.windows), None)
        elif method.rule is not None:
            yield at, _at_pixels(shared, method.guidance, on_grid.get(at))
        else:
            yield at, on_grid[at]


def _by_rule(methods: Sequence[Method]) -> list[int]:
    """The methods by their positions, those of one rule one after another; first those without any."""
    rules = list({id(method.guidance): None for method in methods if method.guidance is not None})
    order = {rule: number for number, rule in enumerate(rules, 1)}
    return sorted(range(len(methods)), key=lambda at: order.get(id(methods[at].guidance), 0))


def _cams(shared: _Shared, methods: Sequence[Method]) -> dict[int, _Maps]:
    """Maps on the feature grid, by the positions of the methods that have one; from the same gradients."""
    passed = shared.passed
    asked = {at: method for at, method in enumerate(methods) if method.windows is None and method.cam}
    if not asked:
        return {}
    shape = passed.grid(passed.features.detach()).shape
    if shape[-2] * shape[-1] < 2:
        raise LayerError(
            f"layer {passed.layer} has a single place ({tuple(shape)}): name a layer below its pooling"
        )
    in_full = any(not method.needs_mean_only for method in asked.values())
    in_full = in_full or any(method.rule is plain_rule for method in methods)
    means = None if in_full else mean_gradients(passed, shared.terms, chunk=shared.chunk)
    return {at: _on_grid(shared, method, means) for at, method in asked.items()}


def _on_grid(shared: _Shared, method: Method, means: Gradients | None) -> _Maps:
    """The maps of one method on the feature grid."""
    passed, found = shared.passed, means or shared.head(None)
    at_places = found.values if means else passed.grid(found.values)
    if not any_nonzero(at_places) and any_nonzero(found.values):
        raise LayerError(
            f"at layer {passed.layer} the class token alone has a gradient: name a layer before the last "
            "attention, such as the first norm of the last block"
        )
    # A copy: a method of the user's own may change what it is given.
    features = passed.features if passed.create_graph else passed.features.detach()
    features = passed.grid(features).to(at_places.dtype, copy=True)
    assert method.cam is not None
    raw: Any = method.cam(features[None], at_places)
    expected = (*at_places.shape[:2], *features.shape[-2:])
    if isinstance(raw, Tensor) and raw.shape == (1, *expected[1:]):
        raw = raw.expand(expected)  # of the activations alone, which are the same for all targets
    if not isinstance(raw, Tensor) or raw.shape != expected:
        given = tuple(raw.shape) if isinstance(raw, Tensor) else type(raw).__name__
        raise VlxError(
            f"method {method.name} gives {given}, not maps (target, batch, row, col) of shape {expected}"
        )
    return _Maps(raw, found.scores, found.batched)


def _at_pixels(shared: _Shared, rule: Rule | None, on_grid: _Maps | None) -> _Maps:
    """Gradients at the pixels by a rule, multiplied with the maps on the grid where there are any."""
    pixels, relus = shared.pixels(rule)
    if on_grid is None:
        head = shared.head(rule)
        return _Maps(pixels, head.scores, head.batched, relus)
    # Every frame of a batch has the same input size.
    placed = shared.passed.frames[0].on_input(on_grid.raw)
    return _Maps(pixels * placed[:, :, None], on_grid.scores, on_grid.batched, relus)


def _hidden(passed: Pass, resolved: Sequence[Sequence[Resolved]], windows: Windows) -> tuple[Tensor, Tensor]:
    """Occlusion maps (target, batch, height, width) and scores (target, batch)."""
    count = max(map(len, resolved), default=0)
    raw = [
        torch.from_numpy(maps) for maps in occlusion_maps(passed, dict(enumerate(resolved)), windows).values()
    ]
    scores = values_of(passed, [[target.terms for target in item] for item in resolved], count)
    padded = [torch.cat([maps, maps.new_zeros(count - len(maps), *maps.shape[1:])]) for maps in raw]
    return torch.stack(padded, 1), scores


def _result(
    passed: Pass,
    b: int,
    resolved: Sequence[Resolved],
    made: _Maps,
    method: Method,
) -> Explanation:
    reading, raw, scores = passed.readings[b], made.raw[:, b], made.scores[:, b]
    shares = None if reading.kind == "caption" else _shares(reading, passed.scores[b, 0].detach().float())
    explained = tuple(
        Explained(
            target.name, float(score), _probability(target, float(score), shares, reading), target.words
        )
        for target, score in zip(resolved, scores, strict=False)
    )
    return Explanation(
        image=passed.images[b],
        frame=passed.frames[b],
        raw=raw[: len(resolved)].detach().cpu().float().numpy(),  # is copied, which frees the rest
        targets=explained,
        provenance=Provenance(
            passed.model, passed.layer, method.name, passed.quantity, made.batched, made.relus, _versions()
        ),
        words=tuple(word.text for word in reading.words),
        prompt=reading.prompt,
        unknown=reading.unknown,
        predicted=_likeliest(reading.choices, shares),
    )


def _shares(reading: Reading, logits: Float[Tensor, " choice"]) -> Float[Tensor, " choice"] | None:
    """The probability of every choice, as the model was trained for it."""
    if reading.odds == "none":
        return None
    return torch.sigmoid(logits) if reading.odds == "sigmoid" else torch.softmax(logits, -1)


def _probability(target: Resolved, score: float, shares: Tensor | None, reading: Reading) -> float | None:
    if target.composed:
        return None
    if reading.kind == "caption":
        return float(np.exp(score))
    return None if shares is None else float(shares[target.terms[0].choice])


def _likeliest(choices: Choices, shares: Tensor | None) -> tuple[tuple[str, float], ...]:
    if shares is None:
        return ()
    best = shares.topk(min(TOP, len(shares)))
    return tuple((choices.called(int(i)), float(p)) for p, i in zip(best.values, best.indices, strict=True))


def _versions() -> dict[str, str]:
    packages = ("vlx", "torch", "torchvision", "transformers")
    return {name: _version(name) for name in packages if name in sys.modules}


@cache
def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
