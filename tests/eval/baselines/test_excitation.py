"""Excitation backprop beside numbers worked by hand, the paper's loop, and networks as people have them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

import vlx
from tests.adapters import small
from tests.explained import photo
from tests.network.plain import Plain, TinyViT, state
from tests.speakers import ANSWERS, Chooser, Speaker
from vlx.adapters.parts.classifier import Classifier
from vlx.errors import LayerError, VlxError
from vlx.eval.baselines import LAYERS, NOTICE, c_mwp, mwp, notice_of
from vlx.eval.runs.methods import told
from vlx.images.preprocess import Preprocess, Squash


def by_hand() -> nn.Sequential:
    """Two places 1 and 3; hidden values 4 and 2."""
    net = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    values = {
        "2.weight": [[1, 1], [2, -1]],
        "2.bias": [0, 3],
        "4.weight": [[1, 3], [-1, 2]],
        "4.bias": [9, -9],
    }
    net.load_state_dict({name: torch.tensor(value, dtype=torch.float32) for name, value in values.items()})
    return net


@pytest.mark.parametrize(
    ("method", "index", "expected"),
    [
        # 4 x 1 and 2 x 3 of 10, then 1 and 3 of 4, and all of 2 x 1
        (mwp, 0, [0.4 * 0.25 + 0.6, 0.4 * 0.75]),
        (mwp, 1, [1.0, 0.0]),
        # no weight of class 0 is below 0: its dual has nothing to hand down
        (c_mwp, 0, [0.7, 0.3]),
        # the second hidden value less the first: 1 - 1/4 and -3/4
        (c_mwp, 1, [0.75, 0.0]),
    ],
)
def test_it_is_what_is_worked_out_by_hand(method, index, expected):
    found = vlx.explain_model(by_hand(), torch.tensor([[[[1.0, 3.0]]]]), index, "0", method=method)
    assert_close(found, torch.tensor([[expected]]))


def test_of_an_item_without_any_activation_nothing_is_left():
    found = vlx.explain_model(by_hand(), torch.zeros(1, 1, 1, 2), 0, "0", method=mwp)
    assert_close(found, torch.zeros(1, 1, 2))


class Vgg(nn.Module):
    """Convolutions, one grouped and strided, a maximum and linear layers."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True))
        self.pool = nn.MaxPool2d(2)
        self.second = nn.Sequential(nn.Conv2d(4, 6, 3, 2, 1, groups=2), nn.ReLU(inplace=True))
        self.fc = nn.Sequential(nn.Linear(54, 7), nn.ReLU(), nn.Dropout(), nn.Linear(7, 5))

    def forward(self, x: Tensor):
        return self.fc(self.second(self.pool(self.first(x))).flatten(1))


class Inception(nn.Module):
    """Two ways beside one another, joined and averaged."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
        self.one, self.three = nn.Conv2d(4, 2, 1), nn.Conv2d(4, 3, 3, padding=1)
        self.norm, self.fc = nn.LocalResponseNorm(3), nn.Linear(5, 5)

    def forward(self, x: Tensor):
        x = self.norm(self.first(x))
        x = torch.cat([self.one(x).relu(), self.three(x).relu()], 1)
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


class Residual(nn.Module):
    """A block with a shortcut, whose sums have terms below 0, and batch norms."""

    def __init__(self, *, in_place: bool = True):
        super().__init__()
        self.in_place = in_place
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
        self.a, self.b = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm_a, self.norm_b, self.fc = nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.Linear(4, 5)

    def forward(self, x: Tensor):
        x = self.first(x)
        out = self.norm_b(self.b(self.norm_a(self.a(x)).relu()))
        if self.in_place:
            out += x
        else:
            out = torch.add(out, x)
        return self.fc(nn.functional.relu(out, inplace=self.in_place).mean((2, 3)))


def of_linear(a: np.ndarray, w: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Eq. 10, one output after the other."""
    found = np.zeros_like(a)
    for j, probability in enumerate(p):
        share = a * np.maximum(w[j], 0)
        if share.sum() > 0:
            found += probability * share / share.sum()
    return found


def of_convolution(a: np.ndarray, conv: nn.Conv2d, p: np.ndarray) -> np.ndarray:
    """Eq. 10, one output at one place after the other."""
    w, (pad, _), (stride, _) = conv.weight.detach().numpy(), conv.padding, conv.stride
    padded = np.pad(a, ((0, 0), (pad, pad), (pad, pad)))
    found, each = np.zeros_like(padded), w.shape[1]
    for j, row, col in np.ndindex(p.shape):
        first = j // (len(w) // conv.groups) * each
        at = np.s_[
            first : first + each,
            row * stride : row * stride + w.shape[2],
            col * stride : col * stride + w.shape[3],
        ]
        share = padded[at] * np.maximum(w[j], 0)
        if share.sum() > 0:
            found[at] += p[j, row, col] * share / share.sum()
    return found[:, pad : pad + a.shape[1], pad : pad + a.shape[2]]


def of_mean(a: np.ndarray, p: np.ndarray) -> np.ndarray:
    total = a.sum((1, 2), keepdims=True)
    return np.divide(a * p[:, None, None], total, out=np.zeros_like(a), where=total > 0)


def of_maximum(a: np.ndarray, p: np.ndarray) -> np.ndarray:
    found = np.zeros_like(a)
    for k, row, col in np.ndindex(p.shape):
        window = a[k, 2 * row : 2 * row + 2, 2 * col : 2 * col + 2]
        at = np.unravel_index(window.argmax(), window.shape)
        found[k, 2 * row + at[0], 2 * col + at[1]] += p[k, row, col]
    return found


def top(a: np.ndarray, fc: nn.Linear, index: int, contrast: bool) -> np.ndarray:
    p, w = np.eye(len(fc.weight))[index], fc.weight.detach().numpy()
    return of_linear(a, w, p) - (of_linear(a, -w, p) if contrast else 0)


def literal_vgg(net: Vgg, a: Tensor, index: int, contrast: bool) -> np.ndarray:
    pooled = net.pool(a[None])
    last = net.second(pooled)[0]
    hidden = net.fc[:2](last.flatten()[None])[0]
    p = of_linear(
        last.flatten().numpy(), net.fc[0].weight.numpy(), top(hidden.numpy(), net.fc[3], index, contrast)
    )
    p = of_convolution(pooled[0].numpy(), net.second[0], p.reshape(last.shape))
    return of_maximum(a.numpy(), p)


def literal_inception(net: Inception, a: Tensor, index: int, contrast: bool) -> np.ndarray:
    normed = net.norm(a[None])
    joined = torch.cat([net.one(normed).relu(), net.three(normed).relu()], 1)[0].numpy()
    p = of_mean(joined, top(joined.mean((1, 2)), net.fc, index, contrast))
    normed = normed[0].numpy()
    return of_convolution(normed, net.one, p[:2]) + of_convolution(normed, net.three, p[2:])


def literal_residual(net: Residual, a: Tensor, index: int, contrast: bool) -> np.ndarray:
    middle = net.norm_a(net.a(a[None])).relu()
    out = net.norm_b(net.b(middle))[0]
    last = (out + a).relu().numpy()
    p = of_mean(last, top(last.mean((1, 2)), net.fc, index, contrast))
    one, other = np.maximum(out.numpy(), 0), a.numpy()
    total = one + other
    inner, beside = (
        np.divide(p * term, total, out=np.zeros_like(p), where=total > 0) for term in (one, other)
    )
    return of_convolution(a.numpy(), net.a, of_convolution(middle[0].numpy(), net.b, inner)) + beside


NETS: list[tuple[Callable[[], nn.Module], Callable]] = [
    (Vgg, literal_vgg),
    (Inception, literal_inception),
    (Residual, literal_residual),
    (lambda: Residual(in_place=False), literal_residual),
]


def made(make: Callable[[], nn.Module], seed: int = 0) -> tuple[nn.Module, Tensor]:
    """A network with biases and norms that count, and three pictures."""
    torch.manual_seed(seed)
    net = make().double().eval()
    for name, value in [*net.named_parameters(), *net.named_buffers()]:
        if value.is_floating_point() and ("bias" in name or "running" in name or "norm" in name):
            value.data.uniform_(0.1, 0.6)
    return net, torch.rand(3, 3, 12, 10 if not isinstance(net, Vgg) else 12, dtype=torch.float64)


@pytest.mark.parametrize(("make", "literal"), NETS)
@pytest.mark.parametrize("contrast", [False, True])
def test_it_is_the_loop_of_its_paper(make, literal, contrast):
    net, x = made(make)
    with torch.no_grad():
        features = net.first(x)
        expected = [
            literal(net, a, index, contrast).sum(0) for a, index in zip(features, (3, 0, 4), strict=True)
        ]
    expected = np.maximum(expected, 0) if contrast else np.stack(expected)
    found = vlx.explain_model(net, x, [3, 0, 4], "first", method=c_mwp if contrast else mwp)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-12)
    if not contrast:  # an output that its bias alone makes active ends its share
        assert (found.sum((1, 2)) <= 1 + 1e-9).all()
        assert (found.sum((1, 2)) > 0.99).all()


@pytest.mark.parametrize(
    ("name", "layer", "named"),
    [
        ("vgg16", LAYERS["vgg16"], {"init_weights": False}),
        ("alexnet", LAYERS["alexnet"], {}),
        ("googlenet", LAYERS["googlenet"], {"init_weights": False, "aux_logits": False}),
        ("resnet18", LAYERS["resnet50"], {}),
        ("densenet121", "features.denseblock4", {}),
        ("squeezenet1_0", "features.5", {}),
    ],
)
def test_maps_of_published_networks_add_up_to_1(name, layer, named):
    from torchvision import models

    torch.manual_seed(0)
    net = getattr(models, name)(num_classes=7, **named).train()
    before = str(state(net))
    for parameter in net.parameters():
        parameter.data.add_(1e-3)  # so that no output is without an input
    x = torch.rand(1, 3, 80, 72)
    found = vlx.explain_model(net, x, 3, layer, method=mwp)
    assert found.amin() >= 0
    assert_close(found.sum((1, 2)), torch.ones(1), rtol=1e-4, atol=0)
    contrasted = vlx.explain_model(net, x, 3, layer, method=c_mwp)
    assert contrasted.shape == found.shape
    assert contrasted.amin() >= 0
    assert str(state(net)) == before


def test_targets_add_up():
    net, x = made(Vgg)
    one, other = (vlx.explain_model(net, x, index, "first", method=mwp) for index in (1, 2))
    found = vlx.explain_model(net, x, vlx.label(1) - 0.5 * vlx.label(2), "first", method=mwp)
    assert_close(found, one - 0.5 * other)


def test_a_classifier_gives_what_its_network_gives():
    """With several targets of several images, from a Pass with shortcuts."""
    torch.manual_seed(0)
    net = Residual()
    model = Classifier(net, list("abcde"), Preprocess(Squash((24, 16))), layer="first")
    for layer in ("first", "a"):  # the second is below a norm, and has values below 0
        run = model.at(layer).read(small.photos((70, 90), (64, 48)))
        assert run.shortcuts.everywhere is not None
        for method in (mwp, c_mwp):
            made = vlx.explain(run, [[vlx.label(3), vlx.label(1)], [vlx.label("c")]], method)
            first, last = (
                vlx.explain_model(net, run.below.pixels, index, layer, method=method) for index in ([3, 2], 1)
            )
            np.testing.assert_allclose(made[0].raw, torch.stack([first[0], last[0]]), rtol=1e-4, atol=1e-7)
            np.testing.assert_allclose(made[1].raw, first[1:], rtol=1e-4, atol=1e-7)
            assert made[0].provenance.method == method.name


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_is_near(kind):
    net, x = made(Residual)
    expected = vlx.explain_model(net, x, 2, "first", method=mwp).float()
    found = vlx.explain_model(net.to(kind), x.to(kind), 2, "first", method=mwp)
    assert_close(found, expected, rtol=0.1, atol=2e-3)
    assert_close(found.sum((1, 2)), torch.ones(3), rtol=0.03, atol=0)


class Two(nn.Module):
    """Scores of two linear layers, so that neither is the top."""

    def __init__(self):
        super().__init__()
        self.first, self.one, self.two = nn.Conv2d(3, 4, 1), nn.Linear(4, 5), nn.Linear(4, 5)

    def forward(self, x: Tensor):
        means = self.first(x).relu().mean((2, 3))
        return self.one(means) + self.two(means)


def smooth() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Conv2d(4, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def softly() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Softmax(1))


@pytest.mark.parametrize(
    ("make", "layer", "method", "message"),
    [
        (smooth, "0", mwp, "no rule for silu above layer 0 of Sequential"),
        (smooth, "1", mwp, "needs activations of 0 or more, and conv2d above layer 1"),
        (softly, "1", mwp, "no rule for softmax above layer 1 of Sequential: it knows"),
        (TinyViT, "blocks.0", mwp, "no rule for layer_norm"),
        (Two, "first", c_mwp, "2 layers with weights give the scores of Two above layer first"),
        (lambda: nn.Sequential(*softly()[:4]), "1", c_mwp, "no layer with weights gives the scores"),
    ],
)
def test_what_has_no_rule_is_refused_and_the_network_left_alone(make, layer, method, message):
    net = make().train()
    before = str(state(net))
    with pytest.raises(LayerError, match=message) as error:
        vlx.explain_model(net, torch.rand(2, 3, 32, 32), 1, layer, method=method)
    assert "\n" not in str(error.value)
    assert str(state(net)) == before


def test_models_of_texts_are_refused():
    with pytest.raises(VlxError, match="gives a caption: this method is for classifiers alone"):
        vlx.explain_caption(Speaker(), photo(), method=mwp)
    with pytest.raises(VlxError, match="gives an answer"):
        vlx.explain_answer(Chooser(ANSWERS, "answer"), photo(), "what is it ?", method=mwp)
    with pytest.raises(VlxError, match="cannot be differentiated"):
        vlx.explain_model(Plain(), torch.rand(1, 3, 8, 8), method=mwp, create_graph=True)


def test_a_head_outside_of_what_was_captured_is_refused():
    net = Plain()

    class Own:
        labels = tuple("abcde")

        def read(self, images):
            pixels = torch.rand(len(images), 3, 16, 16)

            def score(pixels):
                return net.fc(net.cnn(pixels).mean((2, 3)))[:, None]

            with vlx.capture(net.cnn, "2") as seen:
                scores = score(pixels)
            said = vlx.Reading("label", (), vlx.Choices(self.labels))
            frames = tuple(vlx.Frame.resized(image.size[::-1], (16, 16)) for image in images)
            return vlx.Pass(
                seen.features, scores, (said,) * len(images), frames, tuple(images),
                above=seen.above(score, pixels), quantity="logit",
            )  # fmt: skip

    with pytest.raises(LayerError, match="outside the network that was captured, by linear"):
        vlx.explain_label(Own(), photo(), method=mwp)


def test_they_are_told_apart_and_bear_their_notice():
    assert told(mwp) == told(replace(mwp))
    assert told(c_mwp).startswith("c_mwp (")
    assert told(replace(c_mwp, name="mwp")) != told(mwp)
    assert mwp not in vlx.METHODS
    assert c_mwp not in vlx.METHODS
    for names in (["grad_cam", "c_mwp"], ["mwp, shuffled weights"], ["mwp minus centre prior"]):
        assert notice_of(names) == NOTICE
    assert notice_of(["mwp_of_mine", "grad_cam"]) == ""
    with pytest.raises(VlxError, match="no method 'mwp'"):
        vlx.method_named("mwp")
