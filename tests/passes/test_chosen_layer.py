"""Layers by where they stand: found by the shapes of one run, whatever a network calls its blocks."""

import pytest
import torch
import torchvision
from torch import nn

import vlx
from tests.adapters import small
from tests.network.plain import Plain, TinyViT
from vlx.errors import LayerError
from vlx.passes.chosen_layer import choose_layer
from vlx.passes.default_layer import default_layer

NETWORKS = {
    "alexnet": (96, "features.11", "features.4", "features.1"),
    "vgg11": (64, "features.19", "features.14", "features.9"),
    "vgg16": (64, "features.29", "features.22", "features.15"),
    "vgg11_bn": (64, "features.27", "features.20", "features.13"),
    "resnet18": (64, "layer4", "layer3", "layer2"),
    "resnet50": (64, "layer4", "layer3", "layer2"),
    "googlenet": (96, "inception5b", "inception4e", "inception3b"),
    "inception_v3": (171, "Mixed_7c", "Mixed_6e", "Mixed_5d"),
    "mobilenet_v2": (64, "features", "features.13", "features.6"),
    "mobilenet_v3_small": (64, "features", "features.8", "features.3"),
    "squeezenet1_1": (96, "classifier.2", "features.7", "features.4"),
    "densenet121": (64, "features", "features.denseblock3", "features.denseblock2"),
    "efficientnet_b0": (64, "features", "features.5", "features.3"),
    "convnext_tiny": (64, "features", "features.5", "features.3"),
    "swin_t": (64, "permute", "features.5", "features.3"),
    "shufflenet_v2_x0_5": (64, "conv5", "stage3", "stage2"),
    "mnasnet0_5": (64, "layers", "layers.11", "layers.9"),
    "regnet_y_400mf": (64, "trunk_output", "trunk_output.block3", "trunk_output.block2"),
}
"""The side of the input, and the layers that are the last, and of twice and four times its rows."""


def built(name: str) -> nn.Module:
    extra = {"init_weights": False, "aux_logits": False} if name in ("googlenet", "inception_v3") else {}
    return torchvision.models.get_model(name, weights=None, num_classes=4, **extra)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_torchvision(name):
    side, *expected = NETWORKS[name]
    net, x = built(name), torch.zeros(1, 3, side, side)
    assert choose_layer(net, "last", x) == default_layer(net, x) == expected[0]
    assert choose_layer(net, "last/2", x) == expected[1]
    assert choose_layer(net, "last/4", x) == expected[2]
    assert net.training
    assert not any(module._forward_hooks for module in net.modules())
    assert all(weight.requires_grad and weight.grad is None for weight in net.parameters())


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "inception_v3"])
def test_the_layer_has_twice_the_rows_and_all_scores_rest_on_it(name):
    side = NETWORKS[name][0]
    net, x = built(name).eval(), torch.randn(1, 3, side, side)
    last, finer = (vlx.explain_model(net, x, 1, layer, method="hires_cam") for layer in ("last", "last/2"))
    assert all(abs(a - 2 * b) <= 1 for a, b in zip(finer.shape[1:], last.shape[1:], strict=True))
    with vlx.capture(net, choose_layer(net, "last/2", x)) as seen:
        scores = net(x)
    above = seen.above(lambda x: net(x)[:, None], x)
    run = above(0, seen.features.detach())
    assert torch.allclose(run.scores[0, 0], scores[0], atol=1e-4)
    blank = above(0, torch.zeros_like(seen.features)).scores
    other = seen.above(lambda x: net(x)[:, None], torch.randn_like(x))
    assert torch.equal(other(0, torch.zeros_like(seen.features)).scores, blank)  # nothing goes around it


def test_a_rectangular_input_and_one_that_a_network_changes_in_place():
    net = built("vgg11")
    assert choose_layer(net, "last/2", torch.zeros(1, 3, 64, 96)) == "features.14"

    class InPlace(Shrinking):
        def forward(self, x):
            return super().forward(x.sub_(0.5))

    assert choose_layer(InPlace(), "last/2", torch.zeros(1, 3, 16, 24)) == "two"


class Shrinking(nn.Module):
    """Three steps, of which the last two shrink; the second has a way around it."""

    def __init__(self, around: bool = False):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.three, self.fc, self.around = nn.Conv2d(4, 4, 2, 2), nn.Linear(4, 3), around

    def forward(self, x):
        first = self.one(x)
        second = self.two(first).relu()
        return self.fc(self.three(second + first if self.around else second).mean((2, 3)))


def test_a_layer_that_some_of_the_last_goes_around_is_passed_over():
    x = torch.randn(1, 3, 16, 16)
    assert choose_layer(Shrinking(), "last/2", x) == "two"
    assert choose_layer(Shrinking(around=True), "last/2", x) == "one"


def test_a_layer_that_runs_twice_is_passed_over():
    class Twice(Shrinking):
        def forward(self, x):
            maps = self.two(self.two(self.one(x)))
            return self.fc(self.three(maps).mean((2, 3)))

    assert choose_layer(Twice(), "last/2", torch.randn(1, 3, 16, 16)) == "one"


def test_a_module_that_is_called_last_is_meant_first():
    net = nn.Sequential()
    net.add_module("first", nn.Conv2d(3, 4, 3))
    net.add_module("last", nn.Conv2d(4, 4, 3, padding=1))
    net.add_module("relu", nn.ReLU())
    net.add_module("pool", nn.AdaptiveAvgPool2d(1))
    net.add_module("flatten", nn.Flatten())
    x = torch.randn(1, 3, 8, 8)
    assert [choose_layer(net, layer, x) for layer in ("last", None, -2, net.first)] == [
        "last",
        "relu",
        "pool",
        "first",
    ]


def test_a_grid_that_never_changes_is_a_clear_error():
    net, x = TinyViT(), torch.randn(1, 3, 32, 32)
    assert choose_layer(net, "last", x) == "blocks.1.norm1"
    with pytest.raises(LayerError, match=r"^last/2: all blocks have 4 x 4 places: name a block$"):
        choose_layer(net, "last/2", x)
    with pytest.raises(LayerError, match="all blocks have 16 x 24 places"):
        vlx.explain_model(Plain(), torch.randn(1, 3, 16, 24), 1, "last/2")


def test_what_is_not_there_is_said_with_what_is():
    net, x = Shrinking(), torch.randn(1, 3, 16, 24)
    with pytest.raises(
        LayerError, match=r"last/4: no block below three, which has 8 x 12 .* there are 16 x 24"
    ):
        choose_layer(net, "last/4", x)
    with pytest.raises(LayerError, match=r"no layer 'last/3': give last, last/2, 4, 8, 16 or 32"):
        choose_layer(net, "last/3", x)
    with pytest.raises(LayerError, match=r"no layer 'last/2' .*choose_layer finds it"):
        vlx.find_layer(net, "last/2")
    with pytest.raises(LayerError, match="no input"):
        choose_layer(net, "last/2", torch.ones(1, dtype=torch.long))


def test_the_network_is_as_it_was_after_an_exception():
    class Failing(Shrinking):
        def forward(self, x):
            self.one(x)
            raise KeyError("mine")

    net = Failing()
    with pytest.raises(KeyError, match="mine"):
        choose_layer(net, "last/2", torch.randn(1, 3, 8, 8))
    assert net.training
    assert not any(module._forward_hooks for module in net.modules())


def test_adapters_take_it_and_say_the_name_that_it_had():
    captioner, (photo,) = small.captioner(), small.photos((64, 48))
    own = captioner.layer
    assert captioner.at("last").layer == own
    finer = captioner.at("last/2")
    found = vlx.explain_caption(finer, photo, captioner.generate([photo])[0], method="hires_cam")
    rows = vlx.explain_caption(captioner, photo, captioner.generate([photo])[0]).raw.shape[1]
    assert found.raw.shape[1] == 2 * rows
    assert found.provenance.layer == finer.layer != own
    vqa = small.vqa(layer="last/2")
    assert vqa.layer == finer.layer
    assert small.vqa(layer="last").layer == small.vqa().layer


def test_the_built_in_models():
    for name in ("scenes/captioner", "scenes/vqa"):
        default = vlx.load(name).layer
        assert vlx.load(name, layer="last").layer == default
        assert vlx.load(name, layer="last/2").layer != default
