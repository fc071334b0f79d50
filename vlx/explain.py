"""Explain the scores of a Pass."""

import importlib.metadata
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, cast

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
from vlx.methods.occlusion.of_pass import occlusion_maps
from vlx.methods.occlusion.windows import Windows
from vlx.methods.values import Method, as_method, grad_cam
from vlx.passes.forward import Pass
from vlx.passes.reading import Choices, Reading
from vlx.passes.targets import Resolved, Target

TOP = 5  # how many of the likeliest answers a result lists


def explain(
    passed: Pass,
    targets: Target | Sequence[Target] | Sequence[Sequence[Target]],
    method: Method | str = grad_cam,
    *,
    chunk: int | None = None,
) -> list[Explanation]:
    """Explain targets of a Pass: one Explanation for each of its items, all from one batched product.

    ``targets`` serve every item, or are given as one list for each item. ``chunk`` bounds how many
    targets are differentiated together. Raises LayerError for a layer without rows and columns.

    >>> run = captioner.read([vlx.open_image(photo)], ["a traffic light"])
    >>> (found,) = vlx.explain(run, [vlx.word("light"), vlx.caption()], vlx.layer_cam)
    >>> found.raw.shape, found.provenance.method
    ((2, 14, 14), 'layer_cam')
    """
    if not passed.images:
        raise VlxError("a Pass without images has maps and no Explanation: give it the images it was made of")
    lists, method = _for_each(passed, targets), as_method(method)
    resolved = [
        [target.resolve(reading) for target in wanted]
        for wanted, reading in zip(lists, passed.readings, strict=True)
    ]
    raw, scores, batched, relus = (
        _maps(passed, resolved, method, chunk)
        if method.windows is None
        else (*_hidden(passed, resolved, method.windows), None, 0)
    )
    return [
        _result(passed, b, resolved[b], raw[:, b], scores[:, b], method, batched, relus)
        for b in range(passed.batch)
    ]


def raw_maps(
    passed: Pass, targets: Sequence[Sequence[Resolved]], method: Method
) -> Float[Tensor, "target batch *plane"]:
    """The maps alone, as tensors where the features are: on the feature grid, or at the pixels."""
    if method.windows is None:
        return _maps(passed, targets, method, None)[0]
    return _hidden(passed, targets, method.windows)[0].to(passed.features.device)


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


def _maps(
    passed: Pass, resolved: Sequence[Sequence[Resolved]], method: Method, chunk: int | None
) -> tuple[Tensor, Tensor, bool, int]:
    """Raw maps (target, batch, *plane), scores (target, batch), and how they were computed."""
    terms = [[target.terms for target in item] for item in resolved]
    found, raw, relus = None, None, 0
    if method.cam is not None:
        found, raw = _cam(passed, terms, method.cam, method.needs_mean_only, chunk)
    if method.rule is not None:
        head = gradients(passed, terms, rule=method.guidance, chunk=chunk)
        pixels, relus = pixel_gradients(passed, head, method.guidance)
        found = found or head
        raw = pixels if raw is None else pixels * _on_input(passed, raw)[:, :, None]
    if found is None or raw is None:
        raise VlxError(f"method {method.name} has neither a map on features nor a rule for pixels")
    return raw, found.scores, found.batched, relus


def _cam(
    passed: Pass, terms: Terms, cam: Callable[[Tensor, Tensor], Tensor], mean_only: bool, chunk: int | None
) -> tuple[Gradients, Float[Tensor, "target batch row col"]]:
    """Maps on the feature grid, and the gradients they were made of."""
    features = passed.grid(passed.features if passed.create_graph else passed.features.detach())
    if features.shape[-2] * features.shape[-1] < 2:
        raise LayerError(
            f"layer {passed.layer} has a single place ({tuple(features.shape)}): "
            "name a layer below its pooling"
        )
    means = mean_gradients(passed, terms, chunk=chunk) if mean_only else None
    if means is not None:
        return means, cam(features.to(means.values.dtype)[None], means.values)
    found = gradients(passed, terms, chunk=chunk)
    at_places = passed.grid(found.values)
    if not any_nonzero(at_places) and any_nonzero(found.values):
        raise LayerError(
            f"at layer {passed.layer} the class token alone has a gradient: name a layer before the last "
            "attention, such as the first norm of the last block"
        )
    return found, cam(features.to(at_places.dtype)[None], at_places)


def _hidden(passed: Pass, resolved: Sequence[Sequence[Resolved]], windows: Windows) -> tuple[Tensor, Tensor]:
    """Occlusion maps (target, batch, height, width) and scores (target, batch)."""
    count = max(map(len, resolved), default=0)
    raw = [
        torch.from_numpy(maps) for maps in occlusion_maps(passed, dict(enumerate(resolved)), windows).values()
    ]
    scores = values_of(passed, [[target.terms for target in item] for item in resolved], count)
    padded = [torch.cat([maps, maps.new_zeros(count - len(maps), *maps.shape[1:])]) for maps in raw]
    return torch.stack(padded, 1), scores


def _on_input(passed: Pass, maps: Float[Tensor, "target batch row col"]) -> Tensor:
    """The maps on the pixels of the network input; every frame of a batch has the same input size."""
    return passed.frames[0].on_input(maps)


def _result(
    passed: Pass,
    b: int,
    resolved: Sequence[Resolved],
    raw: Tensor,
    scores: Tensor,
    method: Method,
    batched: bool | None,
    relus: int,
) -> Explanation:
    reading = passed.readings[b]
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
            passed.model, passed.layer, method.name, passed.quantity, batched, relus, _versions()
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
