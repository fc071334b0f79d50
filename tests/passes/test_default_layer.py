"""The layer that is explained where none is named: on the way of all scores, and where places still count."""

import pytest
import torch
from torch import nn

import vlx
from tests.network.plain import Plain, TinyViT
from vlx.errors import LayerError
from vlx.passes.default_layer import default_layer, last_map


def cnn(channels: int = 8) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.ReLU())


class Gate(nn.Module):
    """Attention over places, behind the last map."""

    def __init__(self):
        super().__init__()
        self.cnn, self.gate, self.fc = cnn(), nn.Conv2d(8, 1, 1), nn.Linear(8, 3)

    def forward(self, x):
        maps = self.cnn(x)
        return self.fc((maps * self.gate(maps).sigmoid()).mean((2, 3)))


class ChannelGate(Gate):
    """Squeeze and excitation: a gate of one number a channel."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1))


class Side(Gate):
    """A branch for segments, which no score rests on."""

    def forward(self, x):
        maps = self.cnn(x)
        self.segments = self.gate(maps)
        return self.fc(maps.mean((2, 3)))


class Auxiliary(Gate):
    """Returns what a side branch gives too, behind its scores."""

    def forward(self, x):
        maps = self.cnn(x)
        return self.fc(maps.mean((2, 3))), self.gate(maps)


class Pyramid(nn.Module):
    """Scores rest on maps of two sizes; only the stem carries both."""

    def __init__(self):
        super().__init__()
        self.stem, self.low, self.high = cnn(), nn.Conv2d(8, 8, 4, 4), nn.Conv2d(8, 8, 2, 2)
        self.fc = nn.Linear(16, 3)

    def forward(self, x):
        stem = self.stem(x)
        low = self.low(stem)
        return self.fc(torch.cat([stem.mean((2, 3)), self.high(low).mean((2, 3))], 1))


class InPlace(Gate):
    """Changes its input and its maps in place."""

    def forward(self, x):
        maps = self.cnn(x.sub_(0.5))
        return self.fc(maps.mul_(2).mean((2, 3)))


class Frozen(Gate):
    """Runs its CNN without gradients, as people do who train a head."""

    def forward(self, x):
        with torch.no_grad():
            maps = self.cnn(x)
        return self.fc(maps.mean((2, 3)))


X = torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("make", [Gate, ChannelGate, Side, Auxiliary, InPlace, Frozen, Plain])
def test_the_last_map_on_the_way_of_all_scores(make):
    net = make()
    assert default_layer(net, X[:1].clone()) == last_map(net, X[:1].clone()) == "cnn"
    given = X.clone()
    assert vlx.explain_model(net, given.clone(), 1).shape == (2, 16, 24)


def test_maps_of_the_scores_themselves_are_passed_over():
    class Segments(Gate):
        def forward(self, x):
            return {"out": nn.functional.interpolate(self.gate(self.cnn(x)), scale_factor=2)}

    net = Segments()
    net.gate = nn.Sequential(nn.Conv2d(8, 6, 3), nn.ReLU(), nn.Conv2d(6, 3, 1))
    assert default_layer(net, X[:1]) == "gate.1"
    found = vlx.explain_model(net, X, lambda scores: scores[:, 1, 4:9, 4:9].flatten(1).sum(1))
    assert found.shape == (2, 14, 22)


def test_of_heads_at_several_sizes_the_last_map():
    assert default_layer(Pyramid(), X[:1]) == "high"


@pytest.mark.parametrize(("in_front", "layer"), [(1, "blocks.1.norm1"), (2, "blocks.1.norm1"), (0, "norm")])
def test_of_tokens_the_last_norm_whose_patches_count(in_front, layer):
    net, x = TinyViT(in_front), torch.randn(1, 3, 32, 32)
    assert default_layer(net, x) == layer
    nn.init.zeros_(net.head.weight)  # as heads often begin
    assert default_layer(net, x) == layer
    with pytest.raises(LayerError, match="has no layer with rows and columns"):
        last_map(net, x)


def test_of_tokens_that_no_norm_follows_all_that_the_scores_rest_on():
    net = TinyViT(0)
    net.norm = nn.Identity()
    assert default_layer(net, torch.randn(1, 3, 32, 32)) == "blocks.1"


def test_a_named_image_among_other_inputs():
    class Named(Plain):
        def forward(self, x, scale):
            return super().forward(x * scale)

    assert default_layer(Named(), x=X[:1], scale=2.0) == "cnn"
    with pytest.raises(LayerError, match="no input has rows and columns"):
        default_layer(nn.Linear(4, 2), torch.ones(1, 4))


def test_nothing_is_left_after_an_exception():
    class Failing(Plain):
        def forward(self, x):
            super().forward(x)
            raise KeyError("mine")

    net = Failing().train()
    with pytest.raises(KeyError, match="mine"):
        default_layer(net, X)
    assert not any(module._forward_hooks for module in net.modules())
    assert all(module.training for module in net.modules())
    assert all(parameter.requires_grad for parameter in net.parameters())
