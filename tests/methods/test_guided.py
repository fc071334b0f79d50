"""Guided rules catch every ReLU, whatever its form, and leave the model alone."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

import vlx
from tests import tiny
from vlx.errors import GuidedError
from vlx.methods.guided import deconvolution_rule, guided_rule, relu_nodes, ruled


def guided_by_hand(x: Tensor, weight: Tensor, seed: Tensor) -> Tensor:
    """y = seed . relu(weight x), guided: the gradient passes where input and gradient are positive."""
    before = weight @ x
    return weight.T @ (seed * (before > 0) * (seed > 0))


WEIGHT = torch.tensor([[1.0, 2.0], [-1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
X = torch.tensor([1.0, 0.5], dtype=torch.float64)  # weight x = 2, -0.5, 0.5
SEED = torch.tensor([1.0, 1.0, -2.0], dtype=torch.float64)

FORMS = {
    "module": nn.ReLU(),
    "in place": nn.ReLU(inplace=True),
    "function": F.relu,
    "torch": torch.relu,
    "method": lambda x: x.relu(),
    "method in place": lambda x: x.relu_(),
    "clamp": lambda x: x.clamp(min=0),
    "clamp_min": lambda x: torch.clamp_min(x, 0),
    "clamp both": lambda x: x.clamp(0, 6),
    "relu6": nn.ReLU6(),
    "relu6 function": F.relu6,
    "hardtanh": nn.Hardtanh(0, 6),
    "threshold": nn.Threshold(0, 0),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_form_of_relu_worked_by_hand(form):
    x = X.clone().requires_grad_()
    y = form(WEIGHT @ x)
    (plain,) = torch.autograd.grad(y, x, SEED, retain_graph=True)
    with ruled([y], guided_rule) as count:
        (guided,) = torch.autograd.grad(y, x, SEED, retain_graph=True)
    with ruled([y], deconvolution_rule):
        (deconvolved,) = torch.autograd.grad(y, x, SEED, retain_graph=True)
    (again,) = torch.autograd.grad(y, x, SEED)
    assert count == 1
    torch.testing.assert_close(plain, torch.tensor([-1.0, 4.0]).double())  # rows 1 and 3: (1, 2) - 2 (1, -1)
    torch.testing.assert_close(guided, guided_by_hand(X, WEIGHT, SEED))
    torch.testing.assert_close(guided, torch.tensor([1.0, 2.0]).double())  # row 1 alone
    torch.testing.assert_close(deconvolved, torch.tensor([0.0, 3.0]).double())  # rows 1 and 2
    torch.testing.assert_close(again, plain)


@pytest.mark.parametrize(
    "other", [F.gelu, F.silu, torch.tanh, lambda x: x.clamp(min=-1), lambda x: F.threshold(x, 1.0, 0.0)]
)
def test_other_nonlinearities_are_left_alone(other):
    x = X.clone().requires_grad_()
    y = other(WEIGHT @ x)
    assert not list(relu_nodes([y]))


def test_a_reused_relu_counts_each_time_it_ran():
    relu = nn.ReLU()
    x = X.clone().requires_grad_()
    y = relu(relu(WEIGHT @ x) - 1)
    assert len(list(relu_nodes([y]))) == 2


def test_rules_hold_inside_a_batched_product():
    x = X.clone().requires_grad_()
    y = torch.relu(WEIGHT @ x)
    seeds = torch.stack([SEED, -SEED])
    with ruled([y], guided_rule):
        (both,) = torch.autograd.grad(y, x, seeds, is_grads_batched=True)
    torch.testing.assert_close(both[0], guided_by_hand(X, WEIGHT, SEED))
    torch.testing.assert_close(both[1], guided_by_hand(X, WEIGHT, -SEED))


NETWORKS = {
    "vgg11": 10,
    "resnet18": 17,
    "inception_v3": 94,
    "googlenet": 57,
    "densenet121": 121,
    "mobilenet_v2": 35,
}


@pytest.mark.parametrize(("name", "relus"), NETWORKS.items())
def test_every_relu_of_a_network_is_caught(name, relus):
    extra = {"init_weights": False, "aux_logits": False} if name in ("googlenet", "inception_v3") else {}
    network = torchvision.models.get_model(name, weights=None, **extra).eval()
    size = 96 if name == "inception_v3" else 64
    pixels = torch.randn(1, 3, size, size, requires_grad=True)
    with ruled([network(pixels)], guided_rule) as count:
        assert count == relus


def test_guided_backprop_of_a_captioner_equals_captum_on_module_relus():
    captum = pytest.importorskip("captum.attr")
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8 * 8, 3)
    ).eval()
    pixels = tiny.pixels_of(1).float()
    inputs = pixels.clone().requires_grad_()
    with ruled([out := network(inputs)], guided_rule):
        (ours,) = torch.autograd.grad(out[0, 1], inputs)
    with pytest.warns(UserWarning, match="Setting backward hooks"):
        theirs = captum.GuidedBackprop(network).attribute(pixels.clone().requires_grad_(), target=1)
    torch.testing.assert_close(ours, theirs)


def test_a_caption_is_guided_through_head_and_cnn():
    """All three ReLUs, two at or below the layer and one above, against one uncut backward."""
    model, pixels = tiny.captioner(), tiny.pixels_of(1)
    run = tiny.caption_pass(model, pixels, [[1, 2, 4]])
    (guided,) = vlx.explain(run, [vlx.word(1)], vlx.guided_backprop)
    assert guided.provenance.guided_relus == 3
    inputs = pixels.clone().requires_grad_()
    model.eval()
    score = model(inputs, torch.tensor([[1, 2, 4]]))[0, 1, 2]
    with ruled([score], guided_rule):
        (expected,) = torch.autograd.grad(score, inputs)
    torch.testing.assert_close(torch.from_numpy(guided.raw[0]), expected[0].float())


def test_guided_grad_cam_is_the_product():
    run = tiny.caption_pass(tiny.captioner(), tiny.pixels_of(1), [[1, 2, 4]])
    targets = [vlx.word(0), vlx.word(2)]
    (guided,) = vlx.explain(run, targets, vlx.guided_backprop)
    (cam,) = vlx.explain(run, targets, vlx.grad_cam)
    (product,) = vlx.explain(run, targets, vlx.guided_grad_cam)
    wide = F.interpolate(torch.from_numpy(cam.raw)[:, None], size=(tiny.SIZE, tiny.SIZE), mode="bilinear")
    assert product.raw.any()
    torch.testing.assert_close(torch.from_numpy(product.raw), torch.from_numpy(guided.raw) * wide)


def test_a_model_without_relu_is_refused():
    model = tiny.captioner()
    model.cnn.features[1] = nn.GELU()
    model.cnn.features[3] = nn.GELU()
    model.cnn.forward = lambda pixels: torch.tanh(model.cnn.fc(model.cnn.features(pixels).flatten(1)))
    run = tiny.caption_pass(model, tiny.pixels_of(1), [[1, 2]])
    with pytest.raises(GuidedError, match="no ReLU"):
        vlx.explain(run, [vlx.caption()], vlx.guided_backprop)
    (plain,) = vlx.explain(run, [vlx.caption()], vlx.gradient)
    assert plain.raw.any()


@pytest.mark.parametrize(("name", "rule"), [("guided", guided_rule), ("deconvolution", deconvolution_rule)])
@pytest.mark.parametrize("pool", ["mean", "max"])
def test_rules_inside_grad_cam_weigh_channels_by_hand(name, rule, pool):
    """Gradients at the layer follow the rule through the ReLUs above it; the map is Grad-CAM of these."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(80, 6),
        nn.ReLU(inplace=True), nn.Linear(6, 3),
    ).eval()  # fmt: skip
    x = torch.rand(2, 3, 8, 8)
    features = net[1](net[0](x)).detach().requires_grad_()
    middle = net[2](features)
    hidden = net[5](middle.relu().flatten(1))

    def through(slope: Tensor, before: Tensor) -> Tensor:
        return slope.relu() * (before > 0) if rule is guided_rule else slope.relu()

    slope = through(net[7].weight[2].expand_as(hidden), hidden) @ net[5].weight
    slope = through(slope.view_as(middle), middle)
    (slope,) = torch.autograd.grad(middle, features, slope)
    weights = slope.mean((2, 3)) if pool == "mean" else slope.amax((2, 3))
    expected = torch.einsum("bkij,bk->bij", features, weights).relu().detach()
    method = vlx.grad_cam_with(rule=name, pool=pool)
    assert method.name == f"grad_cam_{'max_pool_' if pool == 'max' else ''}{name}"
    assert expected.any()
    torch.testing.assert_close(vlx.explain_model(net, x, 2, "1", method=method), expected)
    other = vlx.grad_cam_with(pool=pool)
    assert not torch.allclose(vlx.explain_model(net, x, 2, "1", method=other), expected)


def test_rules_inside_grad_cam_beside_other_methods_and_without_a_relu():
    from tests.explained import photo
    from vlx.adapters.parts.classifier import Classifier
    from vlx.images.preprocess import Preprocess, Squash

    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(5, 3),
    )  # fmt: skip
    model = Classifier(net, list("abc"), Preprocess(Squash((12, 12))), layer="1")
    methods = [
        vlx.grad_cam_with(rule="guided"),
        vlx.grad_cam,
        vlx.guided_grad_cam,
        vlx.grad_cam_with(rule="deconvolution"),
        vlx.hires_cam,
    ]
    for some in (methods, methods[:2], methods[:1], methods[::-1]):
        together = vlx.explain_label(model, photo(), "b", method=some)
        for found, method in zip(together, some, strict=True):
            alone = vlx.explain_label(model, photo(), "b", method=method)
            torch.testing.assert_close(torch.from_numpy(found.raw), torch.from_numpy(alone.raw))
            assert found.provenance.guided_relus == alone.provenance.guided_relus
    assert vlx.explain_label(model, photo(), "b", method=methods[0]).provenance.guided_relus == 1
    with pytest.raises(GuidedError, match="no ReLU is between layer 3 and the scores of classifier"):
        vlx.explain_label(model.at("3"), photo(), "b", method=methods[0])
    with pytest.raises(vlx.VlxError, match="has no map on features alone"):
        vlx.integrated_with(methods[0])
    with pytest.raises(vlx.VlxError, match="cannot be differentiated"):
        vlx.explain_model(net, torch.rand(1, 3, 12, 12), 1, "1", method=methods[0], create_graph=True)
