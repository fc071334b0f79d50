"""Where other libraries are wrong: how, and that vlx gives the value worked out by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

import vlx
from tests.methods.test_agreement import assert_near, classified, library, maps, pooled, scaled


def test_small_gradients_are_lost_there_to_a_constant_in_grad_cam_pp():
    """As gradients vanish alpha tends to 1/2, and the map to half the sum of positive gradients."""
    network, pixels = scaled(pooled(0), 1e-6), torch.randn(1, 3, 18, 26).double()
    features = network[:2](pixels).detach().requires_grad_()
    (slopes,) = torch.autograd.grad(network[2:](features)[0, 2], features)
    limit = (slopes.relu().sum((2, 3), keepdim=True) / 2 * features).sum(1).relu()
    assert_near(maps(network, pixels, "1", 2, vlx.grad_cam_pp), limit, 1e-2)
    theirs = library("GradCAMPlusPlus", network, "1", pixels, 2)
    assert theirs.max() < 1e-6 * limit.max()


def test_a_constant_map_is_not_nothing():
    """Stretching to 0..1 makes of even evidence none at all; a raw map keeps it."""
    package = pytest.importorskip("pytorch_grad_cam")
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.5)
    pixels = torch.ones(1, 3, 4, 4)
    wanted = package.utils.model_targets.ClassifierOutputTarget(0)
    stretched = package.GradCAM(network, [network[0]])(pixels, [wanted])
    assert stretched.max() == 0
    # each of 2 channels: activation 3 * 0.5 + 0.5 = 2, weight 0.5 / 16
    np.testing.assert_allclose(maps(network, pixels, "0", 0, vlx.grad_cam), np.full((1, 4, 4), 0.125))


def test_conv5_3_of_vgg_means_its_own_output():
    """An in-place ReLU follows: captum takes the output as it was, pytorch-grad-cam as overwritten."""
    captum = pytest.importorskip("captum.attr")
    torch.manual_seed(0)
    features = make_layers(cfgs["D"])  # VGG-16
    for module in features:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * 512, 5))
    network, pixels = nn.Sequential(features, head).double().eval(), torch.randn(1, 3, 64, 64).double()
    conv, relu = features[28], features[29]
    assert relu.inplace
    own = F.conv2d(features[:28](pixels), conv.weight, conv.bias, padding=1).detach().requires_grad_()
    assert bool((own < 0).any())
    for target in range(5):
        (slopes,) = torch.autograd.grad(head(features[30](F.relu(own)))[0, target], own)
        alphas = slopes.mean((2, 3), keepdim=True)
        worked, overwritten = (alphas * own).sum(1).relu(), (alphas * own.relu()).sum(1).relu()
        assert (worked - overwritten).abs().max() > 0.1 * overwritten.max()
        assert_near(maps(network, pixels, "0.28", target, vlx.grad_cam), worked)
        theirs = captum.LayerGradCam(network, conv).attribute(pixels, target=target, relu_attributions=True)
        assert_near(theirs[:, 0].detach().numpy(), worked)
        assert_near(library("GradCAM", network, "0.28", pixels, target).numpy(), overwritten)


def test_guided_maps_where_relus_are_functions():
    """captum finds modules alone, so its guided map is silently the plain gradient; written out, ours."""
    captum = pytest.importorskip("captum.attr")

    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 3)

        def forward(self, pixels):
            return F.relu(self.second(torch.relu(self.first(pixels)))).mean((2, 3))

    torch.manual_seed(0)
    network, pixels = Functional().double(), torch.randn(1, 3, 10, 12).double()
    inputs = pixels.clone().requires_grad_()
    with pytest.warns(UserWarning, match="Setting backward hooks"):
        theirs = captum.GuidedBackprop(network).attribute(inputs, target=2)
    (plain,) = torch.autograd.grad(network(inputs)[0, 2], inputs)
    torch.testing.assert_close(theirs, plain)
    # relu passes where its input and the gradient are positive, layer by layer
    below = network.first(pixels)
    above = network.second(below.relu())
    slope = torch.zeros_like(above)
    slope[:, 2] = 1 / above[0, 0].numel()
    slope = F.conv_transpose2d(slope * (above > 0), network.second.weight)
    expected = F.conv_transpose2d(slope * (slope > 0) * (below > 0), network.first.weight)
    assert_near(maps(network, pixels, "second", 2, vlx.guided_backprop), expected)
    assert (expected - plain).abs().max() > 0.1 * plain.abs().max()


def test_one_target_does_not_serve_the_first_image_alone():
    """There, one target for a batch of 4 gives three maps of zeros; here lengths are checked."""
    package = pytest.importorskip("pytorch_grad_cam")
    network, pixels = pooled(0), torch.randn(4, 3, 18, 26).double()
    target = next(t for t in range(4) if (maps(network, pixels, "3", t, vlx.grad_cam).max((1, 2)) > 0).all())
    wanted = package.utils.model_targets.ClassifierOutputTarget(target)
    theirs = package.GradCAM(network, [network[3]])(pixels, [wanted])
    assert theirs[0].any()
    assert not theirs[1:].any()
    with pytest.raises(vlx.VlxError, match="1 lists of targets for 4 items"):
        vlx.explain(classified(network, pixels, "3", 4), [[vlx.label(target)]])


def test_a_frozen_network_is_explained_alike():
    """There, a frozen network raises; here no parameter takes part."""
    package = pytest.importorskip("pytorch_grad_cam")
    network, pixels = pooled(0), torch.randn(1, 3, 18, 26).double()
    expected = maps(network, pixels, "3", 2, vlx.guided_grad_cam)
    network.requires_grad_(False)
    wanted = package.utils.model_targets.ClassifierOutputTarget(2)
    with pytest.raises(RuntimeError, match="does not require grad"):
        package.GradCAM(network, [network[3]])(pixels, [wanted])
    assert_near(maps(network, pixels, "3", 2, vlx.guided_grad_cam), expected)
