"""A plain network and tensors: the maps of the adapters, differentiable on request, nothing left behind."""

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import get_model

import vlx
from tests.adapters import small
from tests.network.plain import Plain, Smooth, TinyViT, literal, state
from vlx.adapters.parts.classifier import Classifier
from vlx.errors import LayerError, VlxError
from vlx.images.preprocess import Preprocess, Squash

SIGNED = vlx.grad_cam_with(rectify=False)


def batch(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_close(found, expected, atol=1e-5):
    assert float(expected.abs().max()) > 0
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=atol * float(expected.abs().max()))


def test_it_is_grad_cam_written_out():
    net, x = Plain(), batch(3, 3, 12, 16)
    found = vlx.explain_model(net, x, [3, 1, 0], "cnn.2")
    assert_close(found, literal(net, "cnn.2", x, [3, 1, 0]))
    assert found.shape == (3, 12, 16)
    assert found.dtype == torch.float32
    assert not found.requires_grad


FILLING = [method for method in vlx.METHODS if method.windows or method.bands]
"""What they fill with depends on what is known of the preprocessing."""


@pytest.mark.parametrize("method", [method.name for method in vlx.METHODS if method not in FILLING])
def test_it_is_what_the_classifier_gives(method):
    net = Plain()
    model = Classifier(net, list("abcde"), Preprocess(Squash((24, 16))))
    run = model.read(small.photos((70, 90), (64, 48)))
    expected = [found.raw for found in vlx.explain(run, [vlx.label(3), vlx.label(1)], method)]
    for at, index in enumerate((3, 1)):
        found = vlx.explain_model(net, run.below.pixels, index, method=method)
        assert_close(found, torch.from_numpy(np.stack([raw[at] for raw in expected])))


@pytest.mark.parametrize("make", [vlx.occlusion_with, vlx.reveal_with, vlx.reveal_and_hide_with])
def test_occlusion_is_what_the_classifier_gives(make):
    net, method = Plain(), make(size=8, stride=8, fill="zero")
    model = Classifier(net, list("abcde"), Preprocess(Squash((24, 16))))
    run = model.read(small.photos((70, 90), (64, 48)))
    expected = np.stack([found.raw[0] for found in vlx.explain(run, vlx.label(3), method)])
    for targets in (3, [3, 3], lambda scores: scores[:, 3]):
        found = vlx.explain_model(net, run.below.pixels, targets, method=method)
        assert_close(found, torch.from_numpy(expected).to(found))


@pytest.mark.parametrize("make", [Plain, lambda: TinyViT(1), lambda: TinyViT(0)])
def test_a_batch_gives_what_single_items_give(make):
    """In training mode too, where batch normalisation would mix them."""
    net, x = make().train(), batch(3, 3, 32, 32)
    found = vlx.explain_model(net, x, [3, 1, 4])
    for at, index in enumerate((3, 1, 4)):
        assert_close(found[at : at + 1], vlx.explain_model(net, x[at : at + 1], index))


def test_tokens_get_their_grid():
    net, x = TinyViT(2), batch(2, 3, 32, 32)
    found = vlx.explain_model(net, x, [3, 1])
    grid = vlx.token_grid(4, 4, skip=2)
    assert_close(found, literal(net, "blocks.1.norm1", x, [3, 1], grid))
    assert found.shape == (2, 4, 4)
    for given in ((4, 4), grid, lambda tokens: tokens[:, 2:].transpose(1, 2).unflatten(2, (4, 4))):
        assert torch.equal(vlx.explain_model(net, x, [3, 1], grid=given), found)
    assert vlx.explain_model(net, x, [3, 1], grid=(3, 6)).shape == (2, 3, 6)
    with pytest.raises(LayerError, match=r"does not fill a grid of 5 x 5"):
        vlx.explain_model(net, x, 3, grid=(5, 5))
    with pytest.raises(LayerError, match=r"grid=4: give \(rows, cols\), or a function"):
        vlx.explain_model(net, x, 3, grid=4)
    with pytest.raises(LayerError, match=r"the grid made \(2, 18, 16\) of \(2, 18, 16\)"):
        vlx.explain_model(net, x, 3, grid=lambda tokens: tokens)


@pytest.mark.parametrize(
    ("name", "layer", "shape"),
    [
        ("vit_b_32", None, (7, 7)),
        ("vit_b_32", "encoder.layers.encoder_layer_11.ln_1", (7, 7)),
        ("swin_t", None, (7, 7)),
        ("swin_t", "features.5", (14, 14)),
        ("swin_t", "features.7.1.norm1", (7, 7)),
    ],
)
def test_transformers_of_torchvision(name, layer, shape):
    """The classifier and the plain door agree, with the literal loop too."""
    torch.manual_seed(0)
    net = get_model(name, weights=None, num_classes=4)
    for head in (
        module for module in net.modules() if isinstance(module, nn.Linear) and module.out_features == 4
    ):
        nn.init.normal_(head.weight)  # torchvision begins its heads of transformers with 0
    model = Classifier(net, list("abcd"), Preprocess(Squash((224, 224))), layer=layer)
    run = model.read(small.photos((70, 90)))
    assert run.grid(run.features.detach()).shape[-2:] == shape
    (signed,) = vlx.explain(run, vlx.label(2), SIGNED)
    found = vlx.explain_model(net, run.below.pixels, 2, model.layer, method=SIGNED)
    assert_close(found, torch.from_numpy(signed.raw))
    assert found.shape == (1, *shape)
    assert_close(
        vlx.explain_model(net, run.below.pixels, 2, layer),
        literal(net, model.layer, run.below.pixels, [2], run.grid),
    )


def test_maps_can_be_differentiated():
    """By the input and by weights below and above the layer, against differences of the maps."""
    net, x = Smooth().double(), batch(2, 2, 6, 5).double().requires_grad_()

    def maps(x):
        return vlx.explain_model(net, x, [2, 1], "cnn", method=SIGNED, create_graph=True)

    assert torch.autograd.gradcheck(maps, x)
    for weight in (net.cnn[0].weight, net.fc[0].weight, net.fc[2].bias):
        (slope,) = torch.autograd.grad(maps(x).square().sum(), weight, allow_unused=True)
        at, step = (0,) * weight.ndim, 1e-5
        with torch.no_grad():
            values = []
            for sign in (1, -1):
                weight[at] += sign * step
                values.append(vlx.explain_model(net, x, [2, 1], "cnn", method=SIGNED).square().sum())
                weight[at] -= sign * step
        expected = float(values[0] - values[1]) / (2 * step)
        assert float(0 if slope is None else slope[at]) == pytest.approx(expected, rel=1e-4, abs=1e-8)


@pytest.mark.parametrize("method", ["grad_cam", "hires_cam", "grad_cam_pp", "layer_cam", "xgrad_cam"])
def test_differentiable_maps_are_the_same_maps(method):
    net, x = Plain(), batch(2, 3, 12, 16)
    found = vlx.explain_model(net, x, [3, 1], "cnn.2", method=method, create_graph=True)
    assert torch.equal(found.detach(), vlx.explain_model(net, x, [3, 1], "cnn.2", method=method))
    before = state(net)
    found.sum().backward()
    assert all(parameter.grad is not None for parameter in net.cnn[:2].parameters())
    net.zero_grad()
    assert str(state(net)) == str(before)


def test_a_head_alone_can_learn_from_maps():
    """Where nothing below the layer records, the features are a leaf, and weights above it still count."""
    net, x = Plain(), batch(2, 3, 12, 16)
    net.cnn.requires_grad_(False)
    vlx.explain_model(net, x, 3, "cnn.2", create_graph=True).sum().backward()
    assert net.fc.weight.grad.abs().max() > 0
    assert net.cnn[3].weight.grad is None
    assert [parameter.requires_grad for parameter in net.parameters()] == [False] * 6 + [True] * 2


def test_a_map_can_be_trained():
    net, x = Plain(), batch(4, 3, 12, 16)
    learn = torch.optim.Adam(net.parameters(), 0.01)
    losses = []
    for _ in range(12):
        maps = vlx.explain_model(net, x, 2, "cnn.2", method=SIGNED, create_graph=True)
        loss = maps[:, :, :8].square().mean()  # nothing is to be seen on the left
        learn.zero_grad()
        loss.backward()
        learn.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_the_network_is_left_as_it_was(training, create_graph):
    net, x = Plain().train(training), batch(2, 3, 12, 16).requires_grad_()
    net.cnn[0].weight.requires_grad_(False)
    net.fc.bias.grad = torch.ones(5)
    before = str(state(net))
    vlx.explain_model(net, x, 3, create_graph=create_graph)
    assert str(state(net)) == before
    assert x.grad is None
    for targets, layer in ((9, None), (lambda scores: scores.nothing, "cnn"), (3, "fc"), ([1], "cnn.0")):
        with pytest.raises((VlxError, AttributeError)):
            vlx.explain_model(net, x, targets, layer, create_graph=create_graph)
        assert str(state(net)) == before


def test_it_works_wherever_gradients_are_off():
    net, x = Plain(), batch(2, 3, 12, 16)
    expected = vlx.explain_model(net, x, 3)
    with torch.no_grad():
        assert torch.equal(vlx.explain_model(net, x, 3), expected)
    with torch.inference_mode():
        assert torch.equal(vlx.explain_model(net, x.clone(), 3), expected)


def test_nothing_is_moved_between_devices(monkeypatch):
    """Without a second device: no call asks for one, and what lies elsewhere is told."""
    net, x = Plain(), batch(2, 3, 12, 16)
    for name in ("cpu", "cuda", "numpy"):
        monkeypatch.setattr(torch.Tensor, name, lambda *_args, **_named: pytest.fail("a tensor was moved"))
    assert vlx.explain_model(net, x, 3).device == x.device
    with pytest.raises(VlxError, match=r"x is on cpu and the network on meta: give x.to\('meta'\)"):
        vlx.explain_model(Plain().to("meta"), x, 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_maps_lie_on_the_device():
    net, x = Plain().cuda(), batch(2, 3, 12, 16).cuda()
    found = vlx.explain_model(net, x, [3, 1])
    assert found.device == x.device
    assert_close(found.cpu(), vlx.explain_model(net.cpu(), x.cpu(), [3, 1]), atol=1e-3)


def test_networks_of_several_inputs():
    class Beside(Plain):
        def forward(self, x, weights):
            return self.fc(self.cnn(x).mean((2, 3)) * weights)

    net, x, weights = Beside(), batch(2, 3, 12, 16), batch(2, 8, seed=1).exp()
    found = vlx.explain_model(net, (x, weights), [3, 1], "cnn.2")
    assert torch.equal(vlx.explain_model(net, {"x": x, "weights": weights}, [3, 1], "cnn.2"), found)
    assert_close(found[1:], vlx.explain_model(net, (x[1:], weights[1:]), 1, "cnn.2"))
    hidden = vlx.explain_model(net, (x, weights), [3, 1], method=vlx.occlusion_with(size=4, stride=4))
    one = vlx.explain_model(net, (x[1:], weights[1:]), 1, method=vlx.occlusion_with(size=4, stride=4))
    assert_close(hidden[1:], one)


def test_layers_that_do_not_serve_are_told():
    net, x = Plain(), batch(2, 3, 12, 16)
    for layer, message in (
        ("cnn.9", "no layer 'cnn.9' in this Plain; near names"),
        ("fc", r"output of shape \(2, 5\) has no rows and columns"),
        ([net.cnn], "layer= is a list: one layer is explained at a time"),
        (nn.Conv2d(3, 3, 3), "the given Conv2d is not a layer of this Plain"),
    ):
        with pytest.raises(LayerError, match=message):
            vlx.explain_model(net, x, 3, layer)
    with pytest.raises(LayerError, match="has no layer with rows and columns: name one with layer="):
        vlx.explain_model(nn.Sequential(nn.Flatten(), nn.Linear(576, 5)), x, 3)
    turned = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Flatten(0, 1), nn.Unflatten(0, (-1, 4)), nn.Flatten(), nn.Linear(560, 5)
    )
    with pytest.raises(LayerError, match=r"layer 1 gives \(8, 10, 14\) for a batch of 2: name one"):
        vlx.explain_model(turned, x, 3, "1")
    vit = TinyViT(1)
    with pytest.raises(LayerError, match="the class token alone has a gradient"):
        vlx.explain_model(vit, batch(1, 3, 32, 32), 3, "norm")


def test_a_layer_by_any_name_gives_the_same_map():
    net, x = Plain(), batch(2, 3, 12, 16)
    found = vlx.explain_model(net, x, 3, "cnn.2")
    for layer in (net.cnn[2], vlx.Site("cnn.2"), vlx.Site("cnn.3", side="input"), 2, np.int64(2)):
        assert torch.equal(vlx.explain_model(net, x, 3, layer), found)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions(dtype):
    net, x = Plain().to(dtype), batch(2, 3, 12, 16).to(dtype)
    found = vlx.explain_model(net, x, 3, "cnn.2")
    assert found.dtype == torch.promote_types(dtype, torch.float32)
    expected = vlx.explain_model(Plain(), x.float(), 3, "cnn.2")
    torch.testing.assert_close(found.float(), expected, rtol=0.1, atol=0.05 * float(expected.max()))
