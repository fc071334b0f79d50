"""Models under evaluation: what a model does, its precision, and its copies with shuffled weights."""

import copy
import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from types import ModuleType
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import nn

from vlx.api.protocols import Responder
from vlx.asking import arguments_of_read
from vlx.errors import VlxError
from vlx.eval.items.uses import Uses, own_weights

ModelType = Literal["captioner", "vqa", "classifier", "responder"]
"""What a model does; a responder writes its answers to questions, a vqa model chooses them from a list."""

Scores = Callable[[Any], torch.Tensor]
"""The scores that a model gives of some items."""

PRECISIONS = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True, eq=False)
class Models:
    """A model, and copies of it that know nothing, which are made when they are first asked for."""

    trained: Any
    make_shuffled: Callable[[], Any]
    make_top_shuffled: Callable[[Scores], Any]
    taken_as: ModelType | None = None
    """What it is asked to do, of one that does several things."""

    @property
    def type(self) -> ModelType:
        """What the model does here."""
        return self.taken_as or types_of(self.trained)[0]

    @property
    def shuffled(self) -> Any:
        """The entries of every weight in random order: same values, nothing learned."""
        return self.make_shuffled()

    def top_shuffled(self, scores: Scores) -> Any:
        """Only the last layer shuffled that some scores use."""
        return self.make_top_shuffled(scores)


def types_of(model: Any) -> tuple[ModelType, ...]:
    """What a model does, told by what it offers, most models one thing; one that writes answers captions too.

    Raises VlxError where it does nothing that is evaluated.
    """
    # A family of models that write may have some that take no question.
    if not isinstance(model, Responder) or not getattr(model, "takes_prompt", True):
        return (_first_type(model),)
    more = any(hasattr(model, name) for name in ("generate", "answers", "labels"))
    return (_first_type(model), "responder") if more else ("responder",)


def type_of(model: Any) -> ModelType:
    """What a model does in the first place. Raises VlxError where it does nothing that is evaluated."""
    return types_of(model)[0]


def _first_type(model: Any) -> ModelType:
    takes = arguments_of_read(model)
    if hasattr(model, "generate") or (hasattr(model, "respond") and not hasattr(model, "answers")):
        return "captioner"
    if hasattr(model, "answers"):
        return "vqa"
    if takes == 1 or (takes == 0 and hasattr(model, "labels")):
        return "classifier"
    if takes == 0:
        raise VlxError(
            f"{type(model).__name__} has neither generate (a captioner) nor answers (a VQA model) nor labels "
            "(a classifier), and no read"
        )
    # Who gives no generate has still to say which texts are read: captions, or questions.
    return "captioner" if "caption" in list(inspect.signature(model.read).parameters)[1] else "vqa"


def with_controls(model: Any, seed: int = 0) -> Models:
    """A model with its copies under shuffled weights; the model itself stays as it is."""
    tops: list[Any] = []

    def top(scores: Scores) -> Any:
        if not tops:
            tops.append(top_shuffled(model, scores, seed))
        return tops[0]

    return Models(model, cache(partial(shuffled, model, seed)), top)


def shuffled(model: Any, seed: int = 0) -> Any:
    """A copy of a model, the entries of each of its tensors in random order (Adebayo et al. 2018).

    The random order is drawn on the CPU, so it is the same on every device.
    """
    changed = copied(model)
    layers = _layers(changed)
    if not layers:
        raise VlxError("the model holds no weights in any of its attributes: there is nothing to shuffle")
    _shuffle([weight for layer in layers for weight in own_weights(layer)], seed)
    return changed


def top_shuffled(model: Any, scores: Scores, seed: int = 0) -> Any:
    """A copy of a model with only the last layer shuffled that changes ``scores``, which it gives of a model.

    The last is the one that is used last, whatever the order in which the model holds its layers; layers
    that the scores do not depend on, or whose weights are all alike, do not count. A weight that several
    layers share is shuffled in all of them. All other weights are shared with the model.
    """
    layers = _layers(model)
    with Uses(layers) as uses:
        before = scores(model)
    used = sorted(uses.last, key=lambda at: -uses.last[at])
    for at in [*used, *(at for at in reversed(range(len(layers))) if at not in uses.last)]:
        mine = own_weights(layers[at])
        memo: dict[int, Any] = {id(tensor): tensor for tensor in _tensors(model)}
        for weight in mine:
            memo.pop(id(weight), None)
        changed = copied(model, memo)
        _shuffle([memo[id(weight)] for weight in mine], seed)
        if not torch.equal(scores(changed), before):
            return changed
    raise VlxError("no layer of the model changes its scores when its weights are shuffled")


def copied(model: Any, memo: dict[int, Any] | None = None) -> Any:
    """A deep copy of a model. Raises VlxError where it holds what cannot be copied."""
    try:
        return copy.deepcopy(model, memo)
    except (TypeError, RuntimeError, NotImplementedError, AttributeError, copy.Error) as error:
        reason = str(error).strip().split("\n")[0]
        raise VlxError(
            f"{type(model).__name__} cannot be copied ({reason}), as shuffled weights and another precision "
            "need it: give it a __deepcopy__, or keep in it what can be copied"
        ) from None


def networks(model: Any) -> list[nn.Module]:
    """The networks that a model holds in its attributes, or the model itself where it is one."""
    if isinstance(model, nn.Module):
        return [model]
    found = list({id(one): one for one in _held(model, 3)}.values())
    inner = {id(part) for network in found for part in network.modules() if part is not network}
    return [network for network in found if id(network) not in inner]


def _held(value: object, depth: int) -> Iterator[nn.Module]:
    """The networks in an object's attributes, in lists and dicts there, and in what these hold."""
    inside: Iterable[object] = ()
    if isinstance(value, Mapping):
        inside = cast("Mapping[object, object]", value).values()
    elif isinstance(value, list | tuple):
        inside = cast("list[object]", value)
    elif not isinstance(value, type | ModuleType):
        slots = getattr(type(value), "__slots__", ())
        named = [getattr(value, one, None) for one in ([slots] if isinstance(slots, str) else slots)]
        inside = [*getattr(value, "__dict__", {}).values(), *named]
    for one in inside:
        if isinstance(one, nn.Module):
            yield one
        elif depth and not isinstance(one, str | bytes | int | float | torch.Tensor | np.ndarray):
            yield from _held(one, depth - 1)


def in_precision(model: Any, precision: str) -> Any:
    """The model with its weights in this precision: a copy, unless they are so already.

    Raises VlxError naming the known ones.
    """
    dtype = _dtype(model, precision)
    if all(tensor.dtype == dtype for tensor in _tensors(model) if tensor.is_floating_point()):
        return model
    return set_precision(copied(model), precision)


def set_precision(model: Any, precision: str) -> Any:
    """The model itself, its weights now in this precision; see `in_precision`."""
    dtype = _dtype(model, precision)
    for network in networks(model):
        network.to(dtype)
    return model


def _dtype(model: Any, precision: str) -> torch.dtype:
    if precision not in PRECISIONS:
        raise VlxError(f"no precision {precision!r}; known: {', '.join(PRECISIONS)}")
    for network in networks(model):
        if any(not weight.is_floating_point() or weight.is_meta for weight in network.parameters()):
            raise VlxError(
                f"weights of {type(network).__name__} are quantised or kept off its device: load it whole, "
                f"for {precision} and for the controls, which shuffle weights"
            )
    return PRECISIONS[precision]


def weights_digest(model: Any) -> str:
    """A fingerprint of every weight and buffer of a model, also of buffers that are not saved with it."""
    total = hashlib.sha256()
    for network in networks(model):
        for name, value in {**network.state_dict(), **dict(network.named_buffers())}.items():
            if isinstance(value, torch.Tensor):
                total.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
                total.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def _tensors(model: Any) -> list[torch.Tensor]:
    """All weights and buffers."""
    return [t for network in networks(model) for t in (*network.parameters(), *network.buffers())]


def _layers(model: Any) -> list[nn.Module]:
    """The layers that have weights of their own, in the order in which the model holds them."""
    return [layer for network in networks(model) for layer in network.modules() if own_weights(layer)]


def _shuffle(weights: Sequence[torch.Tensor], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in weights:
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))
