"""Calls as captum and pytorch-grad-cam write them, answered with the call that is meant."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from torch import nn

from vlx.errors import LayerError, VlxError

_Given = ParamSpec("_Given")
_Value = TypeVar("_Value")

_MEANT = {
    "model": "the network comes first",
    "forward_func": "the network comes first",
    "input_tensor": "the batch comes second",
    "input": "the batch comes second",
    "inputs": "the batch comes second",
    "target": "targets=",
    "target_category": "targets=",
    "target_layer": "layer=",
    "target_layers": "layer=, one at a time",
    "layers": "layer=, one at a time",
    "reshape_transform": "grid=",
    "additional_forward_args": "x=(image, others, …)",
    "relu_attributions": "method=vlx.grad_cam, which rectifies, or vlx.grad_cam_with(rectify=False)",
}
"""What names of other libraries are here."""
CALL = 'vlx.explain_model(net, x, targets=[3, 5], layer="layer4")'


def with_habits(call: Callable[_Given, _Value]) -> Callable[_Given, _Value]:
    """Answer arguments that a call does not have with one line, that shows those it has. Raises VlxError."""
    signature = inspect.signature(call)

    @wraps(call)
    def checked(*given: _Given.args, **named: _Given.kwargs) -> _Value:
        try:
            signature.bind(*given, **named)
        except TypeError as error:
            known = [f"{name}= is {_MEANT[name]}" for name in named if name in _MEANT]
            raise VlxError(f"{call.__name__}: {'; '.join(known) or error}; the call is {CALL}") from None
        return call(*given, **named)

    return checked


def need_network(net: Any) -> None:
    """Raise VlxError for what is no network of torch."""
    if isinstance(net, nn.Module):
        return
    if callable(getattr(net, "read", None)):
        raise VlxError(
            f"{type(net).__name__} is an adapter, which reads images: use vlx.explain_label, explain_caption "
            "or explain_answer, or give the nn.Module in it"
        )
    raise VlxError(f"{type(net).__name__} has no layers: give an nn.Module; the call is {CALL}")


def need_no_layer(net: nn.Module, targets: Any) -> None:
    """Raise VlxError where a layer stands in the place of the targets."""
    one = cast("list[Any]", targets)[0] if isinstance(targets, list | tuple) and targets else targets
    names = {name for name, _ in net.named_modules() if name}
    inside = isinstance(one, nn.Module) and any(one is module for module in net.modules())
    if inside or (isinstance(one, str) and one in names):
        raise VlxError(f"a layer came third, where targets are due: give it as layer=; the call is {CALL}")


def need_one_layer(layer: Any) -> None:
    """Raise LayerError for a list of layers, as pytorch-grad-cam takes them."""
    if isinstance(layer, list | tuple):
        raise LayerError(
            f"layer= is a {type(layer).__name__}: one layer is explained at a time, such as layer=net.layer4"
        )
