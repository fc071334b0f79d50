"""Run a model so that its scores depend on one layer's output and on nothing below it.

Grad-CAM differentiates only what lies above a layer. So the layer's output is made a leaf while the
model runs: nothing below it is recorded, and parameters take no part. Everything that this changes
on the model is put back when the block ends, also after an exception.
"""

import weakref
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from vlx.errors import LayerError
from vlx.passes.at_layer import at_layer
from vlx.passes.beneath import Beneath
from vlx.passes.cut import Cut
from vlx.passes.fields.measured import watched
from vlx.passes.forward import Above, Again, Shortcuts
from vlx.passes.mean_gradient import Everywhere, taken_beside
from vlx.passes.modules import Modules, modules_of
from vlx.passes.prepare import prepared
from vlx.passes.site import Layer, Site, find_layer, layer_among

_captured = WeakTensorKeyDictionary()
"""For features, a weak reference to the model that gave them, and whether it was frozen."""


@dataclass(eq=False)
class Seen:
    """What `capture` saw: filled while the model runs, read after the block."""

    layer: str
    """The layer's dotted name in the model."""
    _features: Tensor | None = None
    _everywhere: Everywhere | None = None
    _cut: Cut | None = None
    _logits: Tensor | None = None
    _call: "_Call | None" = None

    @property
    def features(self) -> Tensor:
        """The layer's own output, a leaf of the graph above it."""
        if self._features is None:
            raise LayerError(
                f"layer {self.layer} was not reached: it takes no part in this run, or the model ran outside "
                "the block"
            )
        return self._features

    @property
    def shortcuts(self) -> Shortcuts:
        """The shorter ways to gradients that were asked for and reached, to be handed on in the Pass."""
        return Shortcuts(self._cut, None if self._everywhere is None else self._everywhere.value)

    @property
    def logits(self) -> Tensor:
        """What the vocabulary layer gave, for models that do not return it."""
        if self._logits is None:
            raise LayerError("the vocabulary layer was not reached: run the model inside the block")
        return self._logits

    def above(self, score: Callable[..., Tensor], *inputs: Tensor) -> Above:
        """How other features are scored in the place of these: ``above`` of the Pass.

        ``score(*inputs)`` runs the model and gives the scores of the Pass; the inputs have the batch first.
        It is given copies of those of one item, and ``steps`` of `capture` picks the same rows of each: where
        it picks others of every item, see `again`. What lies below the layer does not run again, where the
        scores show on its first use that it can be left out.

        >>> from torch import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> pixels = torch.ones(1, 3, 8, 8)
        >>> with vlx.capture(net, "0") as seen:
        ...     scores = net(pixels)[:, None]
        >>> above = seen.above(lambda pixels: net(pixels)[:, None], pixels)
        >>> above(0, torch.zeros(2, 4, 6, 6)).scores.shape
        torch.Size([2, 1, 4])
        """

        def of_item(_seen: Seen, position: int, count: int) -> Tensor:
            rows = (given[position : position + 1] for given in inputs)
            return score(*(row.expand(count, *row.shape[1:]) for row in rows))

        return again(self, of_item)


@dataclass(frozen=True, eq=False)
class _Call:
    """What `capture` was asked for."""

    model: nn.Module
    site: Site
    vocabulary: Layer | None
    steps: Callable[[Tensor], Tensor] | None
    beneath: Beneath


@contextmanager
def capture(
    model: nn.Module,
    layer: Layer | Site,
    *,
    vocabulary: Layer | None = None,
    steps: Callable[[Tensor], Tensor] | None = None,
    create_graph: bool = False,
    features: Tensor | None = None,
) -> Generator[Seen, None, None]:
    """Make the layer's output a leaf while the model runs in the block.

    The named layer means its own output, whatever later layers do to it in place; a `Site` says
    otherwise. With ``vocabulary`` the graph is cut a second time at the input of that layer, so that
    gradients of many words share the work above it; its input's rows must be independent steps.
    ``steps`` picks from that input, (batch, row, hidden), the rows that are scored, (batch, step, hidden):
    the vocabulary layer sees no others, so its logits are (batch, step, choice). With ``features`` the model
    goes on with these, in the place of the layer's own.

    With ``create_graph`` the features are no leaf but keep the graph below them, and parameters record
    gradients, so that maps can be differentiated: hand it on in the Pass.

    Raises LayerError if the layer does not exist, was not reached, runs several times without a
    ``call``, or gives no tensor of floats, and where weights are packed so that no gradients pass.

    >>> from torch import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    >>> with vlx.capture(net, "0") as seen:
    ...     scores = net(torch.ones(1, 3, 8, 8))
    >>> seen.features.shape, seen.features.is_leaf
    (torch.Size([1, 4, 6, 6]), True)
    """
    site = layer if isinstance(layer, Site) else Site(layer)
    modules = modules_of(model)
    name, module = layer_among(modules, site.layer)
    beneath = Beneath(model, module, through=site.side == "output")
    seen = Seen(name, _call=_Call(model, replace(site, layer=module), vocabulary, steps, beneath))
    _need_gradients(modules)
    _need_hooks(modules, name)

    def cut(found: Tensor) -> Tensor:
        given = site.unpack(found) if features is None else features
        kept = (_keep_features if create_graph else _cut_features)(model, seen, site, given)
        if watch is not None:
            watch.reached(found, site.unpack, seen.features)
        return kept

    with ExitStack() as stack:
        stack.enter_context(prepared(model, frozen=not create_graph))
        first = features is None  # other features are of no picture, and what led to them may not run
        watch = (
            stack.enter_context(watched(modules, (name, site.side, site.field, site.call))) if first else None
        )
        stack.enter_context(at_layer(name, module, site, cut, beneath.at_layer))
        if first and not (site.call or create_graph):
            stack.enter_context(beneath.watched(modules))
        if site.everywhere is not None:
            stack.enter_context(taken_beside(modules, lambda: seen._everywhere))  # pyright: ignore[reportPrivateUsage]
        if vocabulary is not None:
            stack.enter_context(cut_at(model, seen, vocabulary, steps))
        yield seen
        _ = seen.features


@contextmanager
def cut_at(
    model: nn.Module, seen: Seen, vocabulary: Layer, steps: Callable[[Tensor], Tensor] | None = None
) -> Generator[None, None, None]:
    """Cut the graph at the input of the vocabulary layer, in a part of the block of `capture`.

    As ``vocabulary`` and ``steps`` there; for models that also run that layer to write the text.
    """
    at, top = find_layer(model, vocabulary)
    if seen._call is not None:  # pyright: ignore[reportPrivateUsage]
        seen._call = replace(seen._call, vocabulary=vocabulary, steps=steps)  # pyright: ignore[reportPrivateUsage]
    with ExitStack() as stack:
        hook = _vocabulary_hook(seen, at, steps)
        stack.callback(top.register_forward_pre_hook(hook, prepend=True).remove)
        stack.callback(top.register_forward_hook(_keep_logits(seen)).remove)
        yield


@contextmanager
def as_captured(features: Tensor) -> Generator[None, None, None]:
    """Hold the model that gave the features of a `capture` as it was held then: backward may run it again."""
    known = _captured.get(features)
    model, frozen = (None, True) if known is None else (known[0](), known[1])
    with nullcontext() if model is None else prepared(model, frozen=frozen):
        yield


def model_of(features: Tensor) -> nn.Module | None:
    """The model that gave the features of a `capture`; None for others, and where it is gone."""
    known = _captured.get(features)
    return None if known is None else known[0]()


ScoreItem = Callable[[Seen, int, int], Tensor]
"""Runs the model on so many copies of the item at a position, and gives their scores."""
StepsOfItem = Callable[[int, int], Callable[[Tensor], Tensor]]
"""What `capture` takes as ``steps``, for so many copies of the item at a position."""

_skips: "weakref.WeakKeyDictionary[nn.Module, dict[str, bool]]" = weakref.WeakKeyDictionary()
"""Of models, by layer, whether their scores are the same when what lies below the layer does not run."""


def again(seen: Seen, score: ScoreItem, steps: StepsOfItem | None = None) -> Above:
    """As `Seen.above`, for models that are given the rows to be scored, or do not return their scores."""
    call = seen._call  # pyright: ignore[reportPrivateUsage]
    assert call is not None

    def once(position: int, features: Tensor, skip: bool) -> Again:
        count = len(features)
        kept = steps(position, count) if steps else call.steps
        skipped = call.beneath.skipped(position, count, len(seen.features)) if skip else nullcontext()
        seeing = capture(call.model, call.site, vocabulary=call.vocabulary, steps=kept, features=features)
        with seeing as found, skipped:
            scores = score(found, position, count)
        return Again(found.features, scores, found.shortcuts)

    def above(position: int, features: Tensor) -> Again:
        known, name = _skips.setdefault(call.model, {}), find_layer(call.model, call.site.layer)[0]
        if name not in known:
            whole = once(position, features, False)
            with suppress(Exception):
                short = once(position, features, call.beneath.reached)
                known[name] = torch.allclose(short.scores, whole.scores, 1e-3, 1e-3)
            known.setdefault(name, False)
            return whole
        return once(position, features, known[name])

    return above


def _cut_features(model: nn.Module, seen: Seen, site: Site, found: Tensor) -> Tensor:
    seen._features = found.detach().clone().requires_grad_()  # pyright: ignore[reportPrivateUsage]
    _captured[seen.features] = weakref.ref(model), True
    if site.everywhere is not None:
        seen._everywhere = site.everywhere(seen.features)  # pyright: ignore[reportPrivateUsage]
    if seen._everywhere is not None:  # pyright: ignore[reportPrivateUsage]
        return site.pack(seen._everywhere.added)  # pyright: ignore[reportPrivateUsage]
    with torch.enable_grad():  # the network may run what lies below without, and what lies above with them
        # A later in-place layer overwrites this copy, not the leaf.
        return site.pack(seen.features.clone())


def _keep_features(model: nn.Module, seen: Seen, site: Site, found: Tensor) -> Tensor:
    features = found.clone()
    seen._features = features if features.requires_grad else features.requires_grad_()  # pyright: ignore[reportPrivateUsage]
    _captured[seen.features] = weakref.ref(model), False
    return site.pack(seen.features.clone())


def _vocabulary_hook(
    seen: Seen, name: str, steps: Callable[[Tensor], Tensor] | None
) -> Callable[[nn.Module, Any], Any]:
    def hook(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        if seen._cut is not None:  # pyright: ignore[reportPrivateUsage]
            raise LayerError(f"layer {name} runs several times: leave vocabulary out for this model")
        above: Tensor = inputs[0] if steps is None else steps(inputs[0])
        leaf = above.detach().contiguous().requires_grad_()  # else its weights are read anew for each item
        seen._cut = Cut(above, leaf)  # pyright: ignore[reportPrivateUsage]
        return (leaf, *inputs[1:])

    return hook


def _keep_logits(seen: Seen) -> Callable[[nn.Module, Any, Any], None]:
    def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        seen._logits = output  # pyright: ignore[reportPrivateUsage]

    return hook


def _need_hooks(modules: Modules, layer: str) -> None:
    """Raise LayerError for a layer of TorchScript, which takes no hooks."""
    scripted = modules.of_kind(torch.jit.ScriptModule)
    way = ["", *accumulate(layer.split("."), "{}.{}".format)] if scripted else []
    if any(modules.of(name) is one for name in way for one in scripted):
        raise LayerError(
            f"layer {layer} is TorchScript, which takes no hooks: use the nn.Module that it was made of, or "
            "a layer outside"
        )


def _need_gradients(modules: Modules) -> None:
    """Raise LayerError where layers of 4 bits are packed: gradients would go around them unseen."""
    for module in modules.listed:
        own = module._parameters  # pyright: ignore[reportPrivateUsage] - by its public name it takes longer
        weight = own["weight"] if "weight" in own else None  # noqa: SIM401 - TorchScript's has no get
        if getattr(getattr(weight, "quant_state", None), "packing_format_for_cpu", False):
            raise LayerError(
                f"the 4-bit weights of {modules.name_of(module)} were packed when the model ran, and no "
                "gradients pass them: load the model anew and let vlx run it first"
            )
