"""Gradients of many targets at once: one batched vector-Jacobian product from scores to features.

Items of a batch do not influence one another, so one row of seeds serves one target of every item.
At a second cut (`Cut`) the vocabulary layer is differentiated once for all words, because the steps
are independent there, and only the part between the cuts is differentiated for each target.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from vlx.errors import LayerError, NumericError, VlxError
from vlx.methods.guided import Rule, need_relus, ruled
from vlx.passes.capture import as_captured
from vlx.passes.cut import Cut
from vlx.passes.forward import Pass
from vlx.passes.lstm import runs_fast
from vlx.passes.targets import Term

Terms = Sequence[Sequence[tuple[Term, ...]]]
"""For each item, for each target, the weighted scores it sums; short items are padded with ()."""


ROOM = 4 << 30
"""Bytes that the gradients of targets which are differentiated together should stay within."""

_WIDER = 32  # how much more than features or scores one target's gradients inside a large head take


@dataclass(frozen=True, eq=False)
class Gradients:
    """Gradients of the targets at the features, and the targets' values."""

    values: Float[Tensor, "target batch *feature"]
    scores: Float[Tensor, "target batch"]
    batched: bool
    """Whether one batched product served all targets; else they were differentiated one by one."""
    relus: int = 0
    """How many ReLUs between scores and features followed a guided rule."""
    any_nonzero: bool = True
    """Whether any gradient is not 0."""


def gradients(passed: Pass, terms: Terms, *, rule: Rule | None = None, chunk: int | None = None) -> Gradients:
    """Differentiate every target at the features of a Pass.

    ``chunk`` bounds how many targets are differentiated together, and so the memory; by default as many
    as are likely to fit into `ROOM`. Sums are taken in float32 or better. Raises LayerError if the
    features do not reach the scores.
    """
    return _differentiated(passed, passed.features, terms, rule, chunk)


def mean_gradients(passed: Pass, terms: Terms, *, chunk: int | None = None) -> Gradients | None:
    """The mean of every target's gradients over all places of the grid, (target, batch, channel, 1, 1).

    None where the Pass has no shortcut to it, or where the means are 0: then only the gradients at the
    places tell whether they are too.
    """
    if passed.shortcuts.everywhere is None:
        return None
    sums = _differentiated(passed, passed.shortcuts.everywhere, terms, None, chunk)
    if not sums.any_nonzero:
        return None
    rows, cols = passed.grid(passed.features.detach()).shape[-2:]
    return replace(sums, values=sums.values[..., None, None] / (rows * cols))


def _differentiated(
    passed: Pass, leaf: Tensor, terms: Terms, rule: Rule | None, chunk: int | None
) -> Gradients:
    count = max((len(item) for item in terms), default=0)
    if len(terms) != passed.batch or count == 0:
        raise VlxError(
            f"{len(terms)} lists of targets for {passed.batch} items: give one, not empty, for each"
        )
    scores = values_of(passed, terms, count)
    cut = passed.shortcuts.cut
    roots = [passed.scores] if cut is None else [cut.above, passed.scores]
    with (
        as_captured(passed.features),
        torch.inference_mode(False),
        torch.enable_grad(),
        ruled(roots, rule) as relus,
    ):
        scale = 8192.0 if torch.float16 in (passed.features.dtype, roots[0].dtype) else 1.0
        values, batched = _scaled(passed, leaf, terms, count, scale, chunk or _fitting(passed, roots[0]))
    least, most = bounds(values)
    if not (math.isfinite(least) and math.isfinite(most)):
        raise NumericError(
            f"the gradients at layer {passed.layer} are not finite: check the model's weights and precision"
        )
    return Gradients(values, scores, batched, relus, least != 0 or most != 0)


def pixel_gradients(
    passed: Pass, head: Gradients, rule: Rule | None = None
) -> tuple[Float[Tensor, "target batch channel *time height width"], int]:
    """Carry gradients at the features down to the pixels of the network input, one target at a time.

    Returns the signed gradients and, for a guided rule, how many ReLUs followed it in all. Raises
    GuidedError if there was none, and VlxError if the Pass cannot reach its pixels.
    """
    if passed.below is None or passed.below.encode is None:
        raise VlxError(
            f"{passed.model} gives no way from pixels to layer {passed.layer}: use a method on features"
        )
    with torch.inference_mode(False), torch.enable_grad():
        pixels = passed.below.pixels.detach().clone().requires_grad_()
        features = passed.below.encode(pixels)
    if features.shape != passed.features.shape:
        raise LayerError(
            f"layer {passed.layer} gave {tuple(passed.features.shape)}, "
            f"but {tuple(features.shape)} from its pixels"
        )
    with as_captured(passed.features), ruled([features], rule) as relus:
        planes = pixels_of(features, pixels, head.values)
    if rule is not None:
        need_relus(relus + head.relus, passed.model)
    return planes, relus + head.relus


def pixels_of(
    features: Float[Tensor, "batch *feature"],
    pixels: Float[Tensor, "batch channel *time height width"],
    seeds: Float[Tensor, "target batch *feature"],
) -> Float[Tensor, "target batch channel *time height width"]:
    """Carry gradients at the features down to the pixels that they were computed from."""
    planes: list[Tensor] = []
    for seed, largest in zip(seeds, seeds.abs().flatten(1).amax(1).tolist(), strict=True):
        # A power of two, so exact: keeps small gradients of half-precision models from vanishing.
        scale = 2.0 ** -math.floor(math.log2(largest)) if largest > 0 else 1.0
        (found,) = torch.autograd.grad(features, pixels, (seed * scale).to(features.dtype), retain_graph=True)
        planes.append(found.to(seed.dtype) / scale)
    return torch.stack(planes)


def values_of(passed: Pass, terms: Terms, count: int) -> Float[Tensor, "target batch"]:
    """The values of ``count`` targets of each item; 0 where an item has fewer."""
    wide = torch.promote_types(passed.scores.dtype, torch.float32)
    found = torch.zeros(count, passed.batch, dtype=wide, device=passed.scores.device)
    target, item, step, choice, weight = _listed(terms, found)
    return found.index_put_(
        (target, item), weight * passed.scores.detach()[item, step, choice].to(wide), accumulate=True
    )


def _listed(terms: Terms, like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Float[Tensor, " term"]]:
    """Every term by its target, item, step and choice, and its weight, in the kind of ``like``."""
    listed = [
        (n, b, term.step, term.choice, term.weight)
        for b, item in enumerate(terms)
        for n, target in enumerate(item)
        for term in target
    ]
    *indices, weights = zip(*listed, strict=True) if listed else [()] * 5
    # A copy to another device waits for it: all in one.
    target, item, step, choice = torch.tensor(indices, dtype=torch.long).to(like.device)
    return target, item, step, choice, torch.tensor(weights, dtype=like.dtype).to(like.device)


def bounds(values: Tensor) -> tuple[float, float]:
    """The least and the largest value, NaN where any is; 0 of no values. A device is waited for once."""
    if not values.numel():
        return 0.0, 0.0
    least, most = torch.stack(values.detach().aminmax()).tolist()
    return least, most


def any_nonzero(values: Tensor) -> bool:
    """Whether any value is not 0."""
    return bounds(values) != (0.0, 0.0)


def together(largest: int) -> int:
    """How many targets are differentiated together by default: features or the root of scores have so many
    bytes, whichever are more.

    >>> together(1 << 20)
    128
    """
    return max(1, ROOM // (_WIDER * largest))


def _fitting(passed: Pass, root: Tensor) -> int:
    """How many targets are likely to fit into `ROOM` when they are differentiated together."""
    return together(max(part.numel() * part.element_size() for part in (passed.features, root)))


def _scaled(
    passed: Pass, leaf: Tensor, terms: Terms, count: int, scale: float, chunk: int
) -> tuple[Tensor, bool]:
    wide, cut = torch.promote_types(passed.features.dtype, torch.float32), passed.shortcuts.cut
    while True:
        if cut is None:
            root, seeds = passed.scores, _score_seeds(passed.scores, terms, count, scale)
        else:
            root, seeds = cut.above, _cut_seeds(passed.scores, cut, terms, count, scale)
        values, batched = _vjp(root, leaf, seeds, chunk, passed)
        if scale == 1:
            return values.to(wide), batched
        if all(map(math.isfinite, bounds(values))):
            return values.to(wide) / scale, batched
        scale = max(1.0, scale / 8)


def _score_seeds(
    scores: Float[Tensor, "batch step choice"], terms: Terms, count: int, scale: float
) -> Float[Tensor, "target batch step choice"]:
    seeds = scores.new_zeros(count, *scores.shape)
    target, item, step, choice, weight = _listed(terms, seeds)
    return seeds.index_put_((target, item, step, choice), weight * scale, accumulate=True)


def _cut_seeds(
    scores: Float[Tensor, "batch step choice"], cut: Cut, terms: Terms, count: int, scale: float
) -> Float[Tensor, "target *row hidden"]:
    """Differentiate each needed score once at the cut, then sum rows into one seed a target.

    Steps are independent, so one backward serves one choice at every step of every item; a second
    one is needed only where two choices of the same step are asked for, as in a contrast.
    """
    rounds = _rounds(terms)
    numbers = {score: number for number, one in enumerate(rounds) for score in one}
    needed = torch.tensor([*numbers], dtype=torch.long).reshape(-1, 3).T.to(scores.device)
    found: list[Tensor] = []
    for items, steps, choices in (one.unbind() for one in needed.split([len(one) for one in rounds], 1)):
        picked = scores[items, steps, choices].sum() * scale  # one index: each of its own would fill a tensor
        (gradient,) = torch.autograd.grad(picked, cut.leaf, retain_graph=True)
        found.append(gradient)
    assert cut.rows is not None  # a Pass works them out
    seeds = cut.leaf.new_zeros(count, *cut.leaf.shape).flatten(1, -2)
    target, item, step, _, weight = _listed(terms, seeds)
    row = cut.rows[item, step]
    asked = ((b, term.step, term.choice) for b, some in enumerate(terms) for one in some for term in one)
    number = torch.tensor([numbers[score] for score in asked], dtype=torch.long).to(step.device)
    rows = torch.stack(found).flatten(1, -2)[number, row] if found else seeds.new_zeros(0, seeds.shape[-1])
    seeds.index_put_((target, row), weight[:, None] * rows, accumulate=True)
    return seeds.unflatten(1, cut.leaf.shape[:-1])


def _rounds(terms: Terms) -> list[list[tuple[int, int, int]]]:
    """The needed (item, step, choice) in rounds, of which none holds two choices of one step."""
    rounds: list[list[tuple[int, int, int]]] = []
    taken: dict[tuple[int, int], int] = {}
    needed = {
        (b, term.step, term.choice): None
        for b, item in enumerate(terms)
        for target in item
        for term in target
    }
    for b, step, choice in needed:
        at = taken.get((b, step), 0)
        taken[b, step] = at + 1
        if at == len(rounds):
            rounds.append([])
        rounds[at].append((b, step, choice))
    return rounds


def _vjp(root: Tensor, leaf: Tensor, seeds: Tensor, chunk: int, passed: Pass) -> tuple[Tensor, bool]:
    """Products of seeds with the Jacobian of root: batched, or one by one where that is unsupported."""
    if len(seeds) > 1 and chunk > 1:
        try:
            parts = [_grad(root, leaf, part, passed, True) for part in seeds.split(chunk)]
            return parts[0] if len(parts) == 1 else torch.cat(parts), True
        except RuntimeError:
            # Some operation has no batching rule (or memory ran out); the loop tells the truth either way.
            pass
    found = torch.stack([_grad(root, leaf, seed, passed, False) for seed in seeds])
    return found, len(seeds) == 1


def _grad(root: Tensor, leaf: Tensor, seeds: Tensor, passed: Pass, batched: bool) -> Tensor:
    def product(seeds: Tensor, batched: bool) -> Tensor:
        (found,) = torch.autograd.grad(
            root,
            leaf,
            seeds,
            retain_graph=True,
            create_graph=passed.create_graph,
            allow_unused=True,
            is_grads_batched=batched,
        )
        if found is None:  # pyright: ignore[reportUnnecessaryComparison] - allow_unused gives None
            raise LayerError(
                f"layer {passed.layer} is not on the path from the image to the scores: name another"
            )
        return found

    if batched and runs_fast(root):
        return torch.vmap(partial(product, batched=False))(seeds)
    return product(seeds, batched)
