"""The maps of a Pass by several methods, which share what they take of it alike."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vlx.errors import GuidedError, LayerError, VlxError
from vlx.methods.fusion import Fuse
from vlx.methods.fusion import mean as mean_of_layers
from vlx.methods.gradients import Gradients, Terms, any_nonzero, mean_gradients, values_of
from vlx.methods.guided import Rule
from vlx.methods.occlusion.of_pass import Shown, band_maps, window_maps
from vlx.methods.path import along
from vlx.methods.path import blank as blank_features
from vlx.methods.perturbed import Perturbed
from vlx.methods.shared import Maps, Shared, Told, kept_of
from vlx.methods.values import Method, plain_rule
from vlx.passes.forward import Pass
from vlx.passes.targets import Resolved


def maps_by_method(
    passed: Pass,
    resolved: Sequence[Sequence[Resolved]],
    methods: Sequence[Method],
    chunk: int | None,
    *,
    told: Told = "known",
) -> Iterator[tuple[int, Maps]]:
    """The maps of each method by its position, as they are made; ``told`` says whose `Maps.kept` is."""
    for method in methods:
        if not (method.windows or method.bands or method.cam or method.rule or method.perturbed):
            raise VlxError(f"method {method.name} has neither a map on features nor a rule for pixels")
    shared = Shared(passed, _terms(resolved), chunk)
    on_grid = _cams(shared, methods, told)
    for at in _by_rule(methods):
        method = methods[at]
        if method.fuse is not None:
            yield at, _fused(passed, resolved, method, method.fuse, chunk)
        elif method.windows is not None:
            shown = window_maps(passed, dict(enumerate(resolved)), method.windows, shared.windows)
            yield at, _at_windows(passed, resolved, shown)
        elif method.bands is not None:
            yield (
                at,
                _at_windows(passed, resolved, band_maps(passed, dict(enumerate(resolved)), method.bands)),
            )
        elif method.perturbed is not None:
            yield at, _perturbed(passed, resolved, method.perturbed)
        elif method.path is not None:
            yield at, _along(passed, resolved, method, chunk)
        elif method.rule is not None:
            yield at, _at_pixels(shared, method.guidance, on_grid.get(at))
        else:
            yield at, on_grid[at]


def _by_rule(methods: Sequence[Method]) -> list[int]:
    """The methods by their positions, those of one rule one after another; first those without any."""
    rules = list({id(method.guidance): None for method in methods if method.guidance is not None})
    order = {rule: number for number, rule in enumerate(rules, 1)}
    return sorted(range(len(methods)), key=lambda at: order.get(id(methods[at].guidance), 0))


def _cams(shared: Shared, methods: Sequence[Method], told: Told) -> dict[int, Maps]:
    """Maps on the feature grid, by the positions of the methods that have one; from the same gradients."""
    passed = shared.passed
    alone = {at: method for at, method in enumerate(methods) if method.cam and method.fuse is None}
    asked = {at: method for at, method in alone.items() if method.path is None}
    if not asked:
        return {}
    _need_places(passed)
    plain = [method for method in asked.values() if method.rule_above is None]
    in_full = told == "all" or not plain or any(not method.needs_mean_only for method in plain)
    in_full = in_full or any(method.rule is plain_rule for method in methods)
    means = None if in_full else mean_gradients(passed, shared.terms, chunk=shared.chunk)
    rules = {at: one.rule_above.name if one.rule_above else "" for at, one in asked.items()}
    order = sorted(asked, key=rules.__getitem__, reverse=True)  # the plain gradients last: they are kept
    return {at: _on_grid(shared, asked[at], means, told) for at in order}


def _need_places(passed: Pass) -> None:
    """Raise LayerError where the features have a single place."""
    shape = passed.grid(passed.features.detach()).shape
    if shape[-2] * shape[-1] < 2:
        raise LayerError(
            f"layer {passed.layer} has a single place ({tuple(shape)}): name a layer below its pooling"
        )


def _on_grid(shared: Shared, method: Method, means: Gradients | None, told: Told) -> Maps:
    """The maps of one method on the feature grid."""
    passed, rule = shared.passed, method.rule_above
    found = means if means and rule is None else shared.head(rule)
    if rule is not None and found.relus == 0:
        raise GuidedError(
            f"no ReLU is between layer {passed.layer} and the scores of {passed.model}, so {method.name} is "
            "Grad-CAM there: name a layer lower down, or use grad_cam"
        )
    at_places = found.values if found is means else passed.grid(found.values)
    if found is not means and found.any_nonzero and not any_nonzero(at_places):
        raise LayerError(
            f"at layer {passed.layer} the class token alone has a gradient: name a layer before the last "
            "attention, such as the first norm of the last block"
        )
    features = passed.features if passed.create_graph else passed.features.detach()
    # A copy: a method of the user's own may change what it is given.
    features = passed.grid(features).to(at_places.dtype, copy=True)
    kept = kept_of(shared, at_places, means is not None, told) if method.needs_mean_only else None
    return Maps(
        _mapped(method, features[None], at_places), found.scores, found.batched, found.relus, kept=kept
    )


def _mapped(
    method: Method, activations: Float[Tensor, "one batch channel row col"], at_places: Tensor
) -> Float[Tensor, "target batch row col"]:
    """What a method makes of activations and gradients. Raises VlxError where these are no maps."""
    assert method.cam is not None
    raw: Any = method.cam(activations, at_places)
    expected = (*at_places.shape[:2], *activations.shape[-2:])
    if isinstance(raw, Tensor) and raw.shape == (1, *expected[1:]):
        raw = raw.expand(expected)  # of the activations alone, which are the same for all targets
    if not isinstance(raw, Tensor) or raw.shape != expected:
        given = tuple(raw.shape) if isinstance(raw, Tensor) else type(raw).__name__
        raise VlxError(
            f"method {method.name} gives {given}, not maps (target, batch, row, col) of shape {expected}"
        )
    return raw


def _at_pixels(shared: Shared, rule: Rule | None, on_grid: Maps | None) -> Maps:
    """Gradients at the pixels by a rule, multiplied with the maps on the grid where there are any."""
    pixels, relus = shared.pixels(rule)
    if on_grid is None:
        head = shared.head(rule)
        return Maps(pixels, head.scores, head.batched, relus)
    # Every frame of a batch has the same input size.
    placed = shared.passed.frames[0].on_input(on_grid.raw)
    return replace(on_grid, raw=pixels * placed[:, :, None], relus=relus)


def _along(passed: Pass, resolved: Sequence[Sequence[Resolved]], method: Method, chunk: int | None) -> Maps:
    """Maps of the mean gradients along a path of features, one item after the other."""
    path = method.path
    assert path is not None
    _need_places(passed)
    scores = _scores(passed, resolved)
    blank, error, maps = torch.zeros_like(scores), torch.zeros_like(scores), dict[int, Tensor]()
    batched = exact = True
    for b, targets in _asked(resolved):
        terms = [target.terms for target in targets]
        found = along(passed, b, terms, path, mean_only=method.needs_mean_only, chunk=chunk)
        at_places = found.gradients if found.error is None else passed.grid(found.gradients)
        change = passed.grid(found.change[None]).to(at_places.dtype)
        maps[b] = _mapped(method, change[None], at_places[:, None])[:, 0]
        blank[: len(terms), b] = found.at_baseline
        exact, batched = exact and found.error is not None, batched and found.batched
        if found.error is not None:
            error[: len(terms), b] = found.error
    raw = _padded(maps, passed.batch, len(scores))
    return Maps(raw, scores, batched, 0, blank, error if exact else None)


def _fused(
    passed: Pass, resolved: Sequence[Sequence[Resolved]], method: Method, fuse: Fuse, chunk: int | None
) -> Maps:
    """One map of those at the layers of a Pass, from the finest to the coarsest."""
    if not passed.others:
        raise VlxError(
            f"{method.name} fuses maps of several layers: give a model at several, such as "
            'vlx.at_layers(model, ["last/2", "last"])'
        )
    made: list[Maps] = []
    for one in (passed, *passed.others):
        made += [found for _, found in maps_by_method(one, resolved, [replace(method, fuse=None)], chunk)]
    raw = fuse([one.raw for one in made])
    if raw.shape != made[0].raw.shape:
        raise VlxError(
            f"{method.name} fused maps to {tuple(raw.shape)}, not those of the finest layer, "
            f"{tuple(made[0].raw.shape)}"
        )
    blanks = [one.blank for one in made if one.blank is not None]
    errors = [one.error for one in made if one.error is not None]
    adds_up = fuse is mean_of_layers
    return Maps(
        raw,
        made[0].scores,
        all(one.batched for one in made),
        blank=torch.stack(blanks).mean(0) if adds_up and len(blanks) == len(made) else None,
        error=torch.stack(errors).mean(0) if adds_up and len(errors) == len(made) else None,
    )


def _asked(resolved: Sequence[Sequence[Resolved]]) -> list[tuple[int, Sequence[Resolved]]]:
    """The items of which anything is asked, by their positions."""
    found = [(b, targets) for b, targets in enumerate(resolved) if targets]
    if not found:
        raise VlxError("no targets to explain: give at least one, such as word(0) or caption()")
    return found


def blank_scores(
    passed: Pass, resolved: Sequence[Sequence[Resolved]]
) -> Float[Tensor, "target batch"] | None:
    """The scores of the same texts for features of 0; None where the Pass cannot tell."""
    if passed.above is None:
        return None
    count, found = max(map(len, resolved), default=0), list[Tensor]()
    for b, targets in enumerate(resolved):
        with torch.no_grad():
            run = passed.with_features(b, blank_features(passed, b)[None])
            found.append(values_of(run, [[target.terms for target in targets]], count))
    return torch.cat(found, 1)


def _perturbed(passed: Pass, resolved: Sequence[Sequence[Resolved]], maps: Perturbed) -> Maps:
    """Maps and scores of a method that changes what a model sees, one item after the other."""
    terms = _terms(resolved)
    wide = torch.promote_types(passed.features.dtype, torch.float32)  # as gradients have it
    raw = {b: maps(passed, b, terms[b]).to(wide) for b, _ in _asked(resolved)}
    scores = _scores(passed, resolved)
    return Maps(_padded(raw, passed.batch, len(scores)), scores)


def _at_windows(passed: Pass, resolved: Sequence[Sequence[Resolved]], found: Mapping[int, Shown]) -> Maps:
    """Maps of parts of the image that are hidden or shown, and scores."""
    scores = _scores(passed, resolved)
    raw = _padded({b: torch.from_numpy(shown.maps) for b, shown in found.items()}, passed.batch, len(scores))
    blank = torch.zeros_like(scores)
    for b, shown in found.items():
        if resolved[b] and shown.blank is None:
            return Maps(raw, scores)
        blank[: len(resolved[b]), b] = torch.from_numpy(shown.blank).to(blank)
    return Maps(raw, scores, blank=blank)


def _terms(resolved: Sequence[Sequence[Resolved]]) -> Terms:
    """The terms of the targets of each item."""
    return [[target.terms for target in item] for item in resolved]


def _scores(passed: Pass, resolved: Sequence[Sequence[Resolved]]) -> Float[Tensor, "target batch"]:
    """What every target is worth; 0 behind those of short items."""
    return values_of(passed, _terms(resolved), max(map(len, resolved), default=0))


def _padded(
    items: Mapping[int, Float[Tensor, "_target *plane"]], batch: int, count: int
) -> Float[Tensor, "target batch *plane"]:
    """The maps of all items beside one another; those of short items are followed by 0, or all 0."""
    one = next(iter(items.values()))
    filled = one.new_zeros(count, batch, *one.shape[1:])
    for b, maps in items.items():
        filled[: len(maps), b] = maps
    return filled
