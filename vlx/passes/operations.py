"""What a network does above a layer, one operation after the other, and others in their place.

Rules that are not gradients (excitation backprop) and the form of a head (class activation maps) are about
operations, however these are written: as modules, functions, methods or in place. So the part above the layer
is run again, and every operation of the network on something that depends on the features is shown to a rule,
which gives its result. Nothing of the model is edited.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vlx.errors import LayerError, VlxError
from vlx.passes.capture import model_of
from vlx.passes.forward import Pass
from vlx.passes.stand_in import stand_in

MIXES = frozenset(("linear", "conv1d", "conv2d", "conv3d", "conv_transpose2d", "matmul", "mm", "addmm"))
"""Operations with weights, by their names."""
MOVES = frozenset(
    (
        "view", "view_as", "reshape", "reshape_as", "flatten", "unflatten", "permute", "transpose",
        "swapaxes", "movedim", "t", "squeeze", "unsqueeze", "getitem", "get", "select", "narrow",
        "index_select", "contiguous", "clone", "alias", "to", "float", "double", "half", "bfloat16", "type",
        "type_as", "cpu", "cuda", "expand", "expand_as", "chunk", "split", "unbind", "tensor_split", "cat",
        "concat", "concatenate", "stack", "pad", "roll", "flip", "channel_shuffle", "pixel_shuffle",
        "pixel_unshuffle", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout",
        "alpha_dropout", "register_hook", "requires_grad",
    )
)  # fmt: skip
"""Operations that put values elsewhere, or change nothing in evaluation mode."""
_OUTSIDE = MIXES | {"lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "bmm", "einsum"}


@dataclass(frozen=True, eq=False)
class Operation:
    """One call of torch whose result may depend on the features."""

    name: str
    """Without the underscores of methods that work in place: ``conv2d``, ``relu``, ``add``, ``getitem``."""
    call: Callable[..., Any]
    args: tuple[Any, ...]
    named: Mapping[str, Any]

    def plain(self) -> Any:
        """What the call gives."""
        return self.call(*self.args, **self.named)

    @property
    def first(self) -> Tensor:
        """The tensor it works on."""
        return self.args[0] if self.args and isinstance(self.args[0], Tensor) else self.named["input"]

    def on(self, first: Tensor, **others: Any) -> Any:
        """What the call gives of another first tensor."""
        if self.args and isinstance(self.args[0], Tensor):
            return self.call(first, *self.args[1:], **{**self.named, **others})
        return self.call(*self.args, **{**self.named, "input": first, **others})

    @property
    def depending(self) -> list[Tensor]:
        """Its tensors that depend on the features."""
        return [one for one in tensors_in((self.args, self.named)) if one.requires_grad]


RuleOfOperation = Callable[[Operation], Any]
"""Gives the result of an operation."""


class _Shown(TorchFunctionMode):
    """Shows every operation on what depends on the features to a rule, while the network runs."""

    def __init__(self, rule: RuleOfOperation, model: str) -> None:
        super().__init__()
        self.rule, self.model, self.inside = rule, model, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, or what the rule has in its place."""
        del types
        done = Operation(plain_name(func), func, args, kwargs or {})
        if not torch.is_grad_enabled() or not done.depending:
            return done.plain()
        if self.inside:
            return self.rule(done)
        if done.name in _OUTSIDE:
            raise LayerError(
                f"the scores of {self.model} are made outside the network that was captured, by {done.name}: "
                "capture a module that holds the whole head"
            )
        return done.plain()


def plain_name(call: Callable[..., Any]) -> str:
    """The name of a call of torch without what says that it is an operator or works in place.

    >>> plain_name(torch.Tensor.add_), plain_name(torch.Tensor.__getitem__)
    ('add', 'getitem')
    """
    name = str(getattr(call, "__name__", call)).strip("_")
    return {"iadd": "add", "radd": "add", "imul": "mul", "rmul": "mul", "isub": "sub"}.get(name, name)


def run_again(passed: Pass, position: int, rule: RuleOfOperation, begin: Callable[[], None]) -> Pass:
    """Run the part above the layer again on the features of one item, as a Pass of that item alone.

    The rule gives the results of the network's operations; it may change how gradients flow, and no value.
    ``begin`` is called whenever the network begins: it may run twice. Raises LayerError for models of texts,
    where the head lies outside the network, and where values came out otherwise; VlxError where the Pass
    cannot run again.
    """
    network = model_of(passed.features)
    kind = {"answer": "an answer", "caption": "a caption"}.get(passed.readings[position].kind)
    if kind is not None:
        raise VlxError(f"{passed.model} gives {kind}: this method is for classifiers alone")
    if network is None or any(isinstance(one, torch.jit.ScriptModule) for one in network.modules()):
        what = "its features are not from vlx.capture" if network is None else "TorchScript hides them"
        raise LayerError(f"the operations of {passed.model} cannot be followed: {what}")
    with _shown(network, _Shown(rule, passed.model), begin):
        run = passed.with_features(position, passed.features[position : position + 1].detach())
    own, again = passed.scores[position : position + 1].detach(), run.scores.detach()
    if not _near(own, again, passed.features.dtype):
        # Of a function of all scores an item has but its share there: here it is alone.
        alone = passed.with_features(position, passed.features[position : position + 1].detach())
        own = alone.scores.detach()
    if not _near(own, again, passed.features.dtype):
        raise LayerError(
            f"{passed.model} gives other scores when it is followed: it changes a tensor in place and goes "
            "on with the tensor, not with the result"
        )
    return run


def _near(one: Tensor, other: Tensor, kind: torch.dtype) -> bool:
    close = 1e-3 if kind.itemsize >= 4 else 5e-2
    return torch.allclose(one, other, close, close * max(float(one.abs().amax()), 1e-6))


@contextmanager
def _shown(network: nn.Module, mode: _Shown, begin: Callable[[], None]) -> Generator[None, None, None]:
    """Show the operations of a network to the rule of a mode in the block."""
    own = network.forward

    def forward(*given: Any, **named: Any) -> Any:
        if not mode.inside:
            begin()
        mode.inside += 1
        try:
            return own(*given, **named)
        finally:
            mode.inside -= 1

    with stand_in(network, forward), mode:
        yield


def tensors_in(given: Any) -> Iterator[Tensor]:
    """The tensors in lists, tuples and mappings of arguments."""
    if isinstance(given, Tensor):
        yield given
    elif isinstance(given, Mapping):
        for one in cast("Mapping[str, Any]", given).values():
            yield from tensors_in(one)
    elif isinstance(given, list | tuple):
        for one in cast("list[Any]", given):
            yield from tensors_in(one)


def valued(value: Tensor, like: Float[Tensor, "*plane"]) -> Tensor:
    """The value of one tensor with the gradient of another."""
    like = like.to(value.dtype)
    return value.detach() + (like - like.detach())
