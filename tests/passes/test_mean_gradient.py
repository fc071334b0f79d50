"""One value added at every place: its gradient is the sum of theirs, whatever the model does with them."""

import gc
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

import vlx
from tests.adapters import small
from tests.explained import photo
from tests.passes.test_capture import Broken, state_of
from vlx.adapters.nets.backbones import torchvision_network
from vlx.adapters.nets.vgg import GlobalPool
from vlx.adapters.parts.classifier import Classifier
from vlx.errors import LayerError
from vlx.images.frame import Frame
from vlx.images.preprocess import Squash
from vlx.passes import mean_gradient
from vlx.passes.capture import capture
from vlx.passes.forward import token_grid
from vlx.passes.mean_gradient import on_maps, on_tokens
from vlx.passes.site import Site

ROWS, COLS, CHANNELS, ANSWERS = 2, 3, 4, 3
TOKENS = 1 + ROWS * COLS  # a class token first
USES = ("attention", "all", "class token", "changed in place", "changed in place, then read")


class Model(nn.Module):
    """Cross-attention to tokens, and what is not linear in them; ``uses`` says which."""

    def __init__(self, uses: str) -> None:
        super().__init__()
        self.uses = uses
        self.encoder = nn.Linear(CHANNELS, CHANNELS)
        self.keys, self.values = nn.Linear(CHANNELS, 5), Conv1D(5, CHANNELS)
        self.query = nn.Parameter(torch.randn(ANSWERS, 5))
        self.last = nn.Linear(CHANNELS, ANSWERS)
        self.broken = nn.Identity()

    def forward(self, tokens):
        seen = self.encoder(tokens)
        shares = torch.softmax(self.query @ self.keys(seen).mT, -1)
        y = (shares @ self.values(seen)).sum(-1)
        if self.uses == "all":
            y = (
                y
                + torch.tanh(seen).mean(1)[:, :ANSWERS]
                + self.last(seen[:, 0])
                + self.keys(seen).pow(2).mean((1, 2))[:, None]
            )
        if self.uses == "class token":
            y = self.last(seen[:, 0])
        if self.uses == "changed in place":
            y = y + seen.mul_(2).square().mean(1)[:, :ANSWERS]
        if self.uses == "changed in place, then read":
            y = y + self.last(seen.relu_()).mean(1)
        return self.broken(y)


def site():
    return Site("encoder", everywhere=on_tokens(lambda tokens: tokens - ROWS * COLS))


def made(uses="all", batch=2):
    torch.manual_seed(0)
    return Model(uses).double().eval(), torch.randn(batch, TOKENS, CHANNELS, dtype=torch.float64)


@pytest.mark.parametrize("uses", USES)
def test_the_gradient_of_the_value_is_the_sum_over_the_places(uses):
    model, tokens = made(uses)
    with torch.no_grad():
        plain = model(tokens)
    with capture(model, site()) as seen:
        y = model(tokens)
    torch.testing.assert_close(
        y, plain, rtol=1e-12, atol=1e-14
    )  # kernels differ where gradients are recorded
    assert not seen.shortcuts.everywhere.any()
    for item, answer in ((0, 0), (1, 2)):
        at_places, at_value = torch.autograd.grad(
            y[item, answer], [seen.features, seen.shortcuts.everywhere], retain_graph=True
        )
        for channel in range(CHANNELS):
            total = 0.0
            for token in range(1, TOKENS):  # the class token is no place
                total += float(at_places[item, token, channel])
            assert float(at_value[item, channel]) == pytest.approx(total, rel=1e-12, abs=1e-15)
        assert not at_value[1 - item].any()


def test_attention_needs_no_gradient_at_every_place():
    """The features that linear layers read are not on the way to the value."""
    model, tokens = made("attention")
    with capture(model, site()) as seen:
        y = model(tokens)
    reached = []
    for node in _nodes(y.grad_fn):
        if node.name() == "CloneBackward0":
            node.register_hook(lambda _, given: reached.append(given[0].shape))
    torch.autograd.grad(y[0, 0], seen.shortcuts.everywhere, retain_graph=True)
    assert reached == []
    torch.autograd.grad(y[0, 0], seen.features)
    assert reached == [seen.features.shape]


def _nodes(node, found=None):
    found = {} if found is None else found
    if node is not None and node not in found:
        found[node] = None
        for inner, _ in node.next_functions:
            _nodes(inner, found)
    return list(found)


def passed(uses):
    model, tokens = made(uses, batch=1)
    with capture(model, site()) as seen:
        scores = model(tokens)[:, None]
    reading = vlx.Reading("answer", (), vlx.Choices(("a", "b", "c"), "answer"))
    image = photo()
    frame = Frame.resized((image.height, image.width), (16 * ROWS, 16 * COLS))
    return vlx.Pass(
        features=seen.features, scores=scores, readings=(reading,), frames=(frame,), images=(image,),
        grid=token_grid(ROWS, COLS, 1), shortcuts=seen.shortcuts, quantity="logit",
    )  # fmt: skip


def test_a_class_token_alone_is_told():
    with pytest.raises(LayerError, match="class token alone"):
        vlx.explain(passed("class token"), [vlx.answer("a")])


@pytest.mark.parametrize("broken", [False, True])
def test_a_model_is_as_it_was(broken):
    model, tokens = made()
    model.broken = Broken() if broken else model.broken
    before = state_of(model)
    try:
        with capture(model, site()):
            model(tokens)
    except ZeroDivisionError:
        assert broken
    assert state_of(model) == before


class Sum(nn.Module):
    """Several readers of the same maps, added up."""

    def __init__(self, *readers: nn.Module) -> None:
        super().__init__()
        self.readers = nn.ModuleList(readers)

    def forward(self, maps):
        return sum(reader(maps) for reader in self.readers)


class FirstOf(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, maps):
        return self.layer(maps)[0]


class Exchanged(nn.Module):
    """What it is given with two axes exchanged, and items moved on."""

    def __init__(self, first=-2, second=-1, roll=0) -> None:
        super().__init__()
        self.first, self.second, self.roll = first, second, roll

    def forward(self, maps):
        return maps.transpose(self.first, self.second).roll(self.roll, 0)


class PlacesFirst(nn.Module):
    def forward(self, maps):
        return maps.permute(0, 2, 3, 1)


READERS = {
    "means": lambda: nn.AdaptiveAvgPool2d(1),
    "means of parts": lambda: nn.AdaptiveAvgPool2d((2, 3)),
    "maxima": lambda: nn.AdaptiveMaxPool2d(2),
    "pools that share places": lambda: nn.MaxPool2d(3, 2, 1),
    "pools that leave places out": lambda: nn.AvgPool2d(2, 3),
    "pools of means with zeros around": lambda: nn.AvgPool2d(3, 2, 1),
    "pools of means that stick out": lambda: nn.AvgPool2d(3, 3, ceil_mode=True),
    "sums": lambda: nn.AvgPool2d(2, divisor_override=1),
    "maxima with their places": lambda: FirstOf(nn.MaxPool2d(2, return_indices=True)),
    "what, how much and where": GlobalPool,
    "a convolution": lambda: nn.Conv2d(CHANNELS, 5, 3),
    "changed in place": lambda: nn.ReLU(inplace=True),
    "changed in place, then pooled": lambda: nn.Sequential(nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1)),
}
LETS_THROUGH = (
    "means", "means of parts", "maxima", "pools that share places", "pools that leave places out",
    "pools of means that stick out", "what, how much and where",
)  # fmt: skip


def of_maps(*names, batch=2):
    torch.manual_seed(0)
    heads = (
        nn.Sequential(READERS[name](), nn.Flatten(), nn.LazyLinear(ANSWERS), nn.Tanh()) for name in names
    )
    model = nn.Sequential(nn.Conv2d(3, CHANNELS, 1), Sum(*heads)).double().eval()
    pixels = torch.randn(batch, 3, 5, 7, dtype=torch.float64)
    model(pixels)  # lazy layers see their sizes
    return model, pixels


@pytest.mark.parametrize("names", [*((name,) for name in READERS), ("means", "maxima", "a convolution")])
def test_the_gradient_of_the_value_on_maps_is_the_sum_over_the_places(names):
    model, pixels = of_maps(*names)
    with torch.no_grad():
        plain = model(pixels)
    with capture(model, Site("0", everywhere=on_maps)) as seen:
        y = model(pixels)
    torch.testing.assert_close(
        y, plain, rtol=1e-12, atol=1e-14
    )  # kernels differ where gradients are recorded
    for item, answer in ((0, 0), (1, 2)):
        at_places, at_value = torch.autograd.grad(
            y[item, answer], [seen.features, seen.shortcuts.everywhere], retain_graph=True
        )
        assert at_places.any()
        for channel in range(CHANNELS):
            total = 0.0
            for row in range(5):
                for col in range(7):
                    total += float(at_places[item, channel, row, col])
            assert float(at_value[item, channel]) == pytest.approx(total, rel=1e-9, abs=1e-12)
        assert not at_value[1 - item].any()


@pytest.mark.parametrize("name", LETS_THROUGH)
def test_pools_need_no_gradient_at_every_place(name):
    model, pixels = of_maps(name)
    with capture(model, Site("0", everywhere=on_maps)) as seen:
        y = model(pixels)
    widest = []
    for node in _nodes(y.grad_fn):
        node.register_hook(lambda into, _given: widest.extend(g.shape for g in into if g is not None))
    torch.autograd.grad(y[0, 0], seen.shortcuts.everywhere)
    assert widest
    assert seen.features.shape not in widest


@pytest.mark.parametrize("columns", [1, 2, 5])
def test_what_a_pool_says_of_a_value_everywhere(columns):
    """Adding a number at each place adds it to the maximum, the number times the columns to the sum."""
    maps, value = torch.randn(2, 3, 4, columns).double(), torch.randn(2, 3).double()
    pool = GlobalPool()
    more = pool(maps + value[..., None, None]) - pool(maps)
    torch.testing.assert_close(pool.of_everywhere(value, 4, columns), more)
    torch.testing.assert_close(more[:, :3], value)
    torch.testing.assert_close(more[:, 3:6], value * columns)


FLATTENED = {
    "VGG": [nn.MaxPool2d(2, ceil_mode=True), nn.AdaptiveAvgPool2d((3, 4)), nn.Flatten(), nn.Dropout()],
    "a pool alone": [nn.MaxPool2d(2), nn.Flatten()],
    "no pool": [nn.Flatten()],
    "changed in between": [nn.AvgPool2d(2), nn.Tanh(), nn.Flatten()],
    "changed in place": [nn.AvgPool2d(2), nn.ReLU(inplace=True), nn.Flatten()],
    "rows and columns exchanged": [nn.AvgPool2d(2), Exchanged(), nn.Flatten()],
    "places first": [nn.AvgPool2d(2), PlacesFirst(), nn.Flatten()],
    "a row each": [nn.AvgPool2d(2), nn.Flatten(2)],
    "items exchanged": [nn.AvgPool2d(2), nn.Flatten(), Exchanged(0, 0, 1)],
}
BESIDE = ("VGG", "a pool alone", "no pool")
"""Where the value goes past the linear layer beside the features, if maps without a pool lie in order."""


def flattened(name, memory_format=torch.contiguous_format):
    torch.manual_seed(0)
    rest = [nn.LazyLinear(ANSWERS), nn.Tanh(), nn.Flatten(), nn.LazyLinear(ANSWERS)]
    model = nn.Sequential(nn.Conv2d(3, CHANNELS, 1), *FLATTENED[name], *rest).double().eval()
    pixels = torch.randn(2, 3, 5, 7, dtype=torch.float64)
    model(pixels)
    return model.to(memory_format=memory_format), pixels


def sums_of(seen, y):
    """The gradients at the value, and the sums of those at the places."""
    at_places, at_value = torch.autograd.grad(
        y[1, 2], [seen.features, seen.shortcuts.everywhere], retain_graph=True
    )
    return at_value, at_places.sum((2, 3))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", FLATTENED)
def test_a_linear_layer_reads_flattened_maps(name, memory_format):
    model, pixels = flattened(name, memory_format)
    with torch.no_grad():
        plain = model(pixels)
    with capture(model, Site("0", everywhere=on_maps)) as seen:
        y = model(pixels)
    torch.testing.assert_close(y, plain, rtol=1e-12, atol=1e-14)
    at_value, summed = sums_of(seen, y)
    assert summed.any()
    torch.testing.assert_close(at_value, summed, rtol=1e-9, atol=1e-14)
    reads = [node.name() for node in _nodes(y.grad_fn)].count("AddmmBackward0")
    reached = []
    for node in _nodes(y.grad_fn):
        if node.name() == "AddmmBackward0":
            node.register_hook(lambda _into, given: reached.append(given[0].shape))
    torch.autograd.grad(y[1, 2], seen.shortcuts.everywhere)
    copied = name == "no pool" and memory_format == torch.channels_last
    beside = name in BESIDE and not copied
    assert len(reached) == (reads - 1 if beside else reads)  # not through the flattened features


def scaled(model):
    with torch.no_grad():
        first_linear(model).weight[2, 1] *= 7


def scaled_by_data(model):
    first_linear(model).weight.data *= 7


def row_by_data(model):
    first_linear(model).weight.data[2] = 7


def exchanged(model):
    layer = first_linear(model)
    layer.weight = nn.Parameter(layer.weight.flip(0))


def loaded(model):
    model.load_state_dict({name: 3 * value.flip(0) for name, value in model.state_dict().items()})


def single(model):
    model.float()


@pytest.mark.parametrize("change", [scaled, scaled_by_data, row_by_data, exchanged, loaded, single])
def test_changed_weights_of_a_linear_layer_are_read_anew(change):
    model, pixels = flattened("VGG")
    for number in range(2):
        with capture(model, Site("0", everywhere=on_maps)) as seen:
            y = model(pixels.to(model[0].weight.dtype))
        at_value, summed = sums_of(seen, y)
        torch.testing.assert_close(at_value, summed, rtol=1e-5, atol=1e-8)
        if not number:
            change(model)


def first_linear(model):
    return next(layer for layer in model if isinstance(layer, nn.Linear))


def test_sums_of_weights_go_with_their_layer():
    model, pixels = flattened("VGG")
    before = len(mean_gradient._sums)
    with capture(model, Site("0", everywhere=on_maps)):
        model(pixels)
    assert len(mean_gradient._sums) == before + 1
    del model
    gc.collect()
    assert len(mean_gradient._sums) == before


def test_no_value_is_added_on_maps_of_tokens_and_none_on_tokens_of_maps():
    assert on_maps(torch.randn(2, 3, 4)) is None
    assert on_tokens(lambda _tokens: 0)(torch.randn(2, 3, 4, 5)) is None


@pytest.mark.parametrize("network", ["captioner", "vqa", "resnet18", "squeezenet1_1"])
def test_maps_of_cnns_are_those_of_the_gradients_at_every_place(network):
    photos = small.photos((48, 40), (32, 64))
    if network == "captioner":
        run = small.captioner().read(photos, ["a dog on the grass", "a cat"])
        targets = [[vlx.word(0), vlx.word(2), vlx.caption()], [vlx.word(1)]]
    elif network == "vqa":
        model = small.vqa()
        run = model.read(photos, ["is there a dog ?", "what colour ?"])
        targets = [vlx.answer("yes"), vlx.answer("red") - vlx.answer("blue")]
    else:
        torch.manual_seed(0)
        cnn = torchvision_network(network, classes=3).double().eval()
        wide = replace(small.PREPROCESS, resize=Squash((96, 96)))
        run = Classifier(cnn, ("dog", "cat", "car"), wide).read(photos)
        targets = [vlx.label("cat"), vlx.label("dog")]
    for method in (vlx.grad_cam, vlx.guided_grad_cam):
        found = vlx.explain(run, targets, method)
        long_way = replace(run, shortcuts=replace(run.shortcuts, everywhere=None))
        for mine, theirs in zip(found, vlx.explain(long_way, targets, method), strict=True):
            assert theirs.raw.any()
            assert mine.raw == pytest.approx(theirs.raw, rel=1e-5, abs=1e-6 * float(np.abs(theirs.raw).max()))
