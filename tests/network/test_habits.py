"""Calls in the manner of captum and pytorch-grad-cam, and inputs of other kinds: one line shows the call."""

import numpy as np
import pytest
import torch

import vlx
from tests.network.plain import Plain
from vlx.errors import VlxError

X = torch.randn(2, 3, 12, 16, generator=torch.Generator().manual_seed(0))
CALL = r"the call is vlx\.explain_model\(net, x, targets=\[3, 5\], layer=\"layer4\"\)"
explain = vlx.explain_model


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: explain(net, X, target=3), f"target= is targets=; {CALL}"),
        (lambda net: explain(model=net, target_layers=[net.cnn]), "target_layers= is layer=, one at a time"),
        (lambda net: explain(net, X, 3, reshape_transform=None), "reshape_transform= is grid="),
        (lambda net: explain(net, input_tensor=X), "input_tensor= is the batch comes second"),
        (lambda net: explain(net), f"missing a required argument: 'x'; {CALL}"),
        (lambda net: explain(net, X, 3, colour="red"), "unexpected keyword argument 'colour'"),
        (lambda net: explain(net, net.cnn, X), "not a Sequential: vlx.explain_model"),
        (lambda net: explain(net, X, net.cnn), "a layer came third"),
        (lambda net: explain(net, X, [net.cnn]), "a layer came third"),
        (lambda net: explain(lambda x: x, X), f"function has no layers: give an nn.Module; {CALL}"),
        (lambda net: explain(vlx.load("scenes/vqa"), X), "is an adapter, which reads images"),
        (lambda net: explain(net, X.numpy()), r"not an array: give torch\.from_numpy\(x\)"),
        (lambda net: explain(net, X[0]), r"not \(3, 12, 16\): give x\[None\]"),
        (lambda net: explain(net, X.byte()), r"x is torch\.uint8: give floats"),
        (
            lambda net: explain(net, X.double()),
            r"x is torch\.float64 and the network torch\.float32: give x\.to",
        ),
        (lambda net: explain(net, X[:0]), "is empty: give at least one image"),
        (lambda net: explain(net, "photo.jpg"), "not a str: for image files .* vlx.explain_label"),
        (lambda net: explain(net, list(X)), "not a list"),
        (lambda net: explain(net, X, 3, method="GradCAM"), "no method 'GradCAM'; near names: .*grad_cam"),
        (lambda net: explain(net, X, 3, method="gradient", create_graph=True), "use a method on features"),
    ],
)
def test_the_right_call_is_shown_in_one_line(call, message):
    with pytest.raises(VlxError, match=message) as raised:
        call(Plain())
    assert "\n" not in str(raised.value)


def test_positions_are_those_of_captum():
    net = Plain()
    found = explain(net, X, 3, net.cnn)
    assert torch.equal(found, explain(net=net, x=X, targets=np.int64(3), layer="cnn", method=vlx.grad_cam))
