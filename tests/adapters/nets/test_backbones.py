"""Any torchvision classifier as a CNN: its default layer, its vector, and captions explained on it."""

from dataclasses import replace

import pytest
import torch
import torchvision
from torch import nn

import vlx
from tests.adapters import small
from tests.adapters.conformance import (
    SIGNED,
    Case,
    check_batch,
    check_late_failures,
    check_nothing_below,
    check_parts,
    check_pixels,
)
from vlx.adapters.nets.backbones import default_layer, input_size, torchvision_network, without_classifier
from vlx.adapters.parts.classifier import Classifier
from vlx.errors import LayerError, VlxError
from vlx.images.preprocess import AsIs, LongSide, Preprocess, ShortSide, Squash, imagenet

LAYERS = {
    "alexnet": ("features.11", 4096),
    "convnext_tiny": ("features", 768),
    "densenet121": ("features", 1024),
    "efficientnet_b0": ("features", 1280),
    "googlenet": ("inception5b", 1024),
    "inception_v3": ("Mixed_7c", 2048),
    "maxvit_t": ("blocks.3", 512),
    "mnasnet1_0": ("layers", 1280),
    "mobilenet_v2": ("features", 1280),
    "mobilenet_v3_small": ("features", 1024),
    "resnet18": ("layer4", 512),
    "resnet50": ("layer4", 2048),
    "shufflenet_v2_x1_0": ("conv5", 1024),
    "swin_t": ("permute", 768),
    "vgg11_bn": ("features.27", 4096),
    "vgg16": ("features.29", 4096),  # relu5_3
    "vgg19": ("features.35", 4096),
}


@pytest.mark.parametrize(("name", "expected"), LAYERS.items())
def test_the_default_layer_is_the_last_before_the_last_pooling(name, expected):
    with torch.device("meta"):  # shapes alone
        network = torchvision_network(name).train()
    layer, length = expected
    assert default_layer(network) == layer
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())
    assert without_classifier(network) is network
    vector = network.eval()(torch.zeros(2, 3, 224, 224, device="meta"))
    assert vector.shape == (2, length)
    assert default_layer(network) == layer


def test_the_vector_of_vgg_is_rectified_fc7():
    torch.manual_seed(0)
    network = torchvision_network("alexnet").eval()
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        flat = network.avgpool(network.features(pixels)).flatten(1)
        expected = network.classifier[:6](flat)
        found = without_classifier(network)(pixels)
    assert torch.equal(found, expected)
    assert float(found.min()) == 0


def test_networks_of_tokens_have_no_default_layer():
    with torch.device("meta"):
        network = torchvision_network("vit_b_32")
    with pytest.raises(LayerError, match="VisionTransformer has no layer with rows and columns"):
        default_layer(network)


def test_layers_with_channels_last_are_seen_as_such():
    """A Pass that says nothing of its grid refuses them; the classifier turns them."""
    torch.manual_seed(0)
    network = torchvision_network("swin_t", classes=2)
    torch.nn.init.normal_(network.head.weight)  # torchvision begins with 0
    model = Classifier(network, ("cat", "dog"), imagenet(), layer="features.5")
    run = model.read(small.photos((224, 224)))
    assert run.features.shape == (1, 14, 14, 384)
    (found,) = vlx.explain(run, vlx.label(1), SIGNED)
    run.scores[0, 0, 1].backward()
    plane = (run.features.grad.mean((1, 2), keepdim=True) * run.features).sum(-1)[0].detach()
    assert float(plane.abs().max()) > 0
    torch.testing.assert_close(torch.from_numpy(found.raw[0]), plane, rtol=1e-4, atol=1e-6)
    with pytest.raises(LayerError, match=r"features\.5 gives 14 x 14 places with the 384 channels last"):
        replace(run, grid=vlx.conv_grid)


def test_networks_without_rows_or_without_a_linear_layer_are_told():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 224 * 224, 4))
    with pytest.raises(LayerError, match="name one with layer="):
        default_layer(flat)
    with torch.device("meta"):
        network = torchvision_network("squeezenet1_1")
    with pytest.raises(VlxError, match="SqueezeNet ends in no linear layer"):
        without_classifier(network)


def test_an_exception_while_the_layer_is_sought_leaves_nothing():
    network = torchvision_network("squeezenet1_1").train()
    with pytest.raises(RuntimeError):
        default_layer(network, (2, 2))  # smaller than its pooling
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(
    ("name", "near"), [("resnet19", "resnet1"), ("vgg-16", "vgg16"), ("fcn_resnet50", "resnet50")]
)
def test_unknown_networks_are_told_with_near_names(name, near):
    with pytest.raises(VlxError, match=f"no classifier '{name}'; near names: .*{near}"):
        torchvision_network(name)


def test_every_torchvision_classifier_is_known():
    names = torchvision.models.list_models(module=torchvision.models)
    assert len(names) > 70
    assert set(LAYERS) < set(names)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3", "mnasnet0_5"])
def test_the_number_of_classes_is_as_asked(name):
    with torch.device("meta"):
        network = torchvision_network(name, classes=7).eval()
    assert network(torch.zeros(1, 3, 96, 96, device="meta")).shape == (1, 7)


@pytest.mark.parametrize(
    ("preprocess", "size"),
    [
        (imagenet(), (224, 224)),
        (imagenet(299), (299, 299)),
        (Preprocess(Squash((32, 48))), (32, 48)),
        (Preprocess(ShortSide(64)), (64, 64)),
        (Preprocess(LongSide(50), (40, 60)), (40, 60)),
        (Preprocess(AsIs()), (224, 224)),
    ],
)
def test_the_input_size_of_a_preprocessing(preprocess, size):
    assert input_size(preprocess) == size


def test_a_network_for_one_size_finds_its_default_layer_at_that_size():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(900, 2))
    with pytest.raises(RuntimeError):
        default_layer(network)
    assert default_layer(network, (32, 32)) == "1"
    plain = Classifier(network, ("cat", "dog"), small.PREPROCESS)
    assert plain.layer == "1"
    assert plain.read(small.photos((32, 32))).features.shape == (1, 4, 30, 30)


BACKBONES = {
    "resnet18": ("layer4", (2, 2)),
    "mobilenet_v3_small": ("features.12", (2, 2)),
    "shufflenet_v2_x0_5": ("stage4", (2, 2)),
    "densenet121": ("features.transition3", (2, 2)),
    "googlenet": ("inception4e", (4, 4)),
    "convnext_tiny": ("features.5", (4, 4)),
    "swin_t": ("permute", (2, 2)),
}


def captioned(name: str, layer: str | int) -> Case:
    """A captioner on a torchvision CNN with random weights, at 64 pixels."""
    torch.manual_seed(0)
    backbone = without_classifier(torchvision_network(name)).eval()
    preprocess = Preprocess(ShortSide(70), (64, 64))
    model = small.captioner(backbone=backbone, features=LENGTHS[name], preprocess=preprocess, layer=layer)
    backbone.load_state_dict(fresh(name).state_dict())  # weights twice as large would overflow
    return Case(model, model.network, small.photos((70, 90), (96, 64)), ("a dog", "red bike on grass"), 1e-8)


LENGTHS = {**{name: length for name, (_, length) in LAYERS.items()}, "shufflenet_v2_x0_5": 1024}


def fresh(name: str) -> nn.Module:
    torch.manual_seed(0)
    return without_classifier(torchvision_network(name)).double()


@pytest.mark.parametrize(("name", "expected"), BACKBONES.items())
def test_a_captioner_on_a_torchvision_network(name, expected):
    layer, places = expected
    case = captioned(name, layer)
    run = case.read()
    assert run.features.shape[2:] == places
    for check in (check_parts, check_batch, check_pixels, check_nothing_below, check_late_failures):
        check(case)


def test_a_layer_by_name_and_by_index_is_the_same():
    by_index = captioned("resnet18", -2)  # the innermost layers end in …, avgpool, fc (an identity)
    assert by_index.adapter.layer == "avgpool"
    with pytest.raises(LayerError, match="single place"):
        vlx.explain(by_index.read(), [vlx.caption()])
    names = [
        name for name, module in by_index.adapter.network.cnn.named_modules() if not any(module.children())
    ]
    index = names.index("layer3.1.bn2")
    found = [
        vlx.explain(captioned("resnet18", layer).read(), [vlx.caption()], SIGNED)[1].raw
        for layer in (index, "layer3.1.bn2")
    ]
    assert found[0].shape == (1, 4, 4)
    assert (found[0] == found[1]).all()
    assert abs(found[0]).max() > 0


def test_an_unknown_layer_of_a_backbone_is_told():
    with pytest.raises(LayerError, match=r"no layer 'layer5' in this ResNet; near names: layer"):
        captioned("resnet18", "layer5")
    with pytest.raises(LayerError, match="no layer 500: the model has"):
        captioned("resnet18", 500)
