"""Chains of convolutions that run again only where an image changed give what they give when run in full."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import vlx
import vlx.methods.occlusion.changed
from tests.adapters import small
from tests.passes.test_capture import Broken, state_of
from vlx.adapters.nets.backbones import torchvision_network
from vlx.adapters.parts.classifier import Classifier
from vlx.methods.occlusion.boxes import Axis, Span
from vlx.methods.occlusion.changed import Window
from vlx.methods.occlusion.incremental import changes_only


def chain(*layers):
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(3), nn.Flatten()).double().eval()


def vgg_like():
    again = nn.ReLU(inplace=True)  # stands in the chain twice
    return chain(
        nn.Conv2d(3, 4, 3, 1, 1), again, nn.Conv2d(4, 6, 3, 1, 1), again, nn.MaxPool2d(2),
        nn.Sequential(nn.Conv2d(6, 8, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU(),
    )  # fmt: skip


CHAINS = {
    "as in VGG": vgg_like,
    "as in AlexNet": lambda: chain(
        nn.Conv2d(3, 4, 7, 4, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
        nn.Conv2d(4, 6, 5, 1, 2), nn.ReLU(),
    ),
    "pools that stick out": lambda: chain(
        nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), nn.Conv2d(4, 4, 1),
        nn.MaxPool2d(2, 3, 1, ceil_mode=True), nn.Conv2d(4, 5, 3, 1, 1),
    ),
    "each axis on its own": lambda: chain(
        nn.Conv2d(3, 4, (1, 5), (2, 1), (0, 2)),
        nn.Conv2d(4, 8, (3, 2), 1, (2, 1), dilation=(2, 1), groups=2),
        nn.SiLU(), nn.MaxPool2d((2, 1), (1, 2)), nn.Conv2d(8, 4, 3, 1, 1, bias=False),
    ),
    "strides that skip": lambda: chain(
        nn.Conv2d(3, 4, 2, 3), nn.BatchNorm2d(4), nn.GELU(), nn.Dropout(),
        nn.MaxPool2d(1, 2), nn.Conv2d(4, 4, 1),
    ),
    "part of a network": lambda: torchvision_network("squeezenet1_1", classes=5).double().eval(),
}  # fmt: skip


def differences(shape, batch=7, seed=0):
    """An image, and batches that differ from it: in windows, in one pixel, nowhere, everywhere."""
    draw = np.random.default_rng(seed)
    image = torch.from_numpy(draw.normal(size=(1, 3, *shape)))
    yield image
    for size in (1, 5, 12, 30):
        images = image.repeat(batch, 1, 1, 1)
        for one in images:
            top, left = (int(draw.integers(-size + 1, length)) for length in shape)
            one[:, max(top, 0) : top + size, max(left, 0) : left + size] = 0
        yield images
    corners = image.repeat(4, 1, 1, 1)
    for one, (row, col) in zip(corners, itertools.product((0, -1), repeat=2), strict=True):
        one[1, row, col] += 1
    yield corners
    yield image.repeat(2, 1, 1, 1)
    yield torch.randn(3, 3, *shape, dtype=torch.float64)
    apart = image.repeat(2, 1, 1, 1)
    apart[0, :, 0, 0] = apart[0, :, -1, -1] = 3  # far apart: all between them is computed again
    yield apart


@pytest.mark.parametrize("most", [0.0, 0.3, vlx.methods.occlusion.changed.MOST, 1.0])
@pytest.mark.parametrize("shape", [(40, 40), (37, 54)])
@pytest.mark.parametrize("name", CHAINS)
def test_any_images_give_what_the_network_gives(name, shape, most, monkeypatch):
    monkeypatch.setattr(vlx.methods.occlusion.changed, "MOST", most)
    torch.manual_seed(0)
    network = CHAINS[name]()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    batches = [*differences(shape)]
    with torch.no_grad():
        wanted = [network(images.clone()) for images in batches]
        assert wanted[3].std(0).max() > 1e-4  # the windows matter
        with changes_only(network):
            network(batches[0])
            for images, scores in zip(batches, wanted, strict=True):
                torch.testing.assert_close(network(images.clone()), scores)


def computed_again(monkeypatch):
    """Fills with the rows and columns that are computed again of each map."""
    sizes = []
    on = Window.on

    def counted(window, part, first):
        found, box = on(window, part, first)
        if box is not None:
            assert found.shape[2:] == (box.rows.length, box.cols.length)
            sizes.append((box.rows.length, box.cols.length))
        return found, box

    monkeypatch.setattr(Window, "on", counted)
    return sizes


def test_only_what_a_window_reaches_is_computed(monkeypatch):
    """Rows 10 to 14 of 40 are hidden: convolutions of 3 change rows 9 to 15, then 8 to 16; a pool of 2 rows
    4 to 8; a convolution 3 to 9; a pool 1 to 4; a convolution 0 to 5 of 10."""
    network, sizes = vgg_like(), computed_again(monkeypatch)
    image = torch.randn(1, 3, 40, 40, dtype=torch.float64)
    hidden = image.clone()
    hidden[:, :, 10:15, 10:15] = 0
    with torch.no_grad(), changes_only(network):
        network(image)
        network(hidden)
    assert sizes[-6:] == [(7, 7), (9, 9), (5, 5), (7, 7), (4, 4), (6, 6)]


@pytest.mark.parametrize(
    ("axis", "changed", "count", "outputs"),
    [
        (Axis(3, 1, 1), (5, 2), 10, (4, 4)),
        (Axis(3, 1, 1), (0, 1), 10, (0, 2)),  # outputs 0 and 1: there is none before the edge
        (Axis(2, 2, 0), (3, 1), 5, (1, 1)),
        (Axis(2, 2, 0), (3, 2), 5, (1, 2)),
        (Axis(2, 2, 0), (10, 1), 5, (4, 1)),  # the pixel that is left over: the last output, for want of none
        (Axis(1, 3, 0), (3, 1), 4, (1, 1)),
        (Axis(1, 3, 0), (4, 1), 4, (2, 1)),  # a pixel that is skipped
    ],
)
def test_reached_outputs_by_hand(axis, changed, count, outputs):
    start, length = changed
    reached = axis.reached(Span(np.array([start]), length), count)
    assert (int(reached.starts[0]), reached.length) == outputs


@pytest.mark.parametrize("seed", range(20))
def test_reached_outputs_are_those_that_read_a_change(seed):
    """The definition, written out: output i reads inputs i * stride - padding and on."""
    draw = np.random.default_rng(seed)
    axis = Axis(int(draw.integers(1, 6)), int(draw.integers(1, 4)), int(draw.integers(0, 3)))
    length = int(draw.integers(8, 30))
    count = (length + 2 * axis.padding - axis.extent) // axis.stride + 1
    changed = Span(draw.integers(0, length - 4, 5), 4)
    reached = axis.reached(changed, count)
    for places, mine in zip(changed.places, reached.places, strict=True):
        first = np.arange(count) * axis.stride - axis.padding
        read = {out for out, at in enumerate(first) if any(at <= p < at + axis.extent for p in places)}
        assert read <= set(mine.tolist())
        assert mine[0] >= 0
        assert mine[-1] < count
        assert len(mine) <= (4 + axis.extent - 2) // axis.stride + 1  # as many as can read 4 inputs


def centred(_module, _inputs, output):
    """A hook that looks at all places."""
    return output - output.mean((2, 3), keepdim=True)


def test_layers_with_hooks_run_in_full():
    torch.manual_seed(0)
    network = vgg_like()
    image = torch.randn(1, 3, 40, 40, dtype=torch.float64)
    hidden = image.clone()
    hidden[:, :, 10:15, 10:15] = 0
    handle = network[0].register_forward_hook(centred)
    with torch.no_grad():
        wanted = network(hidden)
        with changes_only(network):
            network(image)
            torch.testing.assert_close(network(hidden), wanted)
    handle.remove()


@pytest.mark.parametrize(("tracked", "training"), [(True, True), (False, False)])
def test_normalisation_over_the_batch_runs_in_full(tracked, training):
    """An item's scores depend on all places of all items: nothing may be left out."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4, track_running_stats=tracked)
    network = chain(nn.Conv2d(3, 4, 3), norm, nn.Conv2d(4, 4, 3)).train(training)
    images = torch.randn(1, 3, 20, 20, dtype=torch.float64).repeat(4, 1, 1, 1)
    images[1:, :, 3:9, 3:9] = 0
    with torch.no_grad():
        wanted = network(images)
        with changes_only(network):
            network(images[:1])
            torch.testing.assert_close(network(images), wanted)


def test_images_of_another_size_run_in_full():
    network = vgg_like()
    images = torch.randn(2, 3, 24, 32, dtype=torch.float64)
    with torch.no_grad():
        wanted = network(images)
        with changes_only(network):
            network(torch.randn(1, 3, 40, 40, dtype=torch.float64))
            torch.testing.assert_close(network(images), wanted)


def test_what_is_not_a_number_stays_so():
    network = vgg_like()
    image = torch.zeros(1, 3, 40, 40, dtype=torch.float64)
    broken = image.clone()
    broken[0, 0, 20, 20] = torch.nan
    with torch.no_grad(), changes_only(network):
        network(image)
        assert network(broken).isnan().any()
        assert not network(image).isnan().any()


def test_the_network_is_as_it_was_after_success_and_after_an_exception():
    network = vgg_like()
    image = torch.randn(1, 3, 40, 40, dtype=torch.float64)
    before, wanted = state_of(network), network(image)
    with changes_only(network):
        network(image)
    assert state_of(network) == before
    broken = nn.Sequential(network, Broken())
    with pytest.raises(ZeroDivisionError), changes_only(broken):
        broken(image)
    assert "forward" not in vars(broken)
    assert state_of(network) == before
    assert "forward" not in vars(network)
    assert torch.equal(network(image), wanted)


def of_captioner():
    model = small.captioner()
    photos = small.photos((48, 40), (32, 64))
    run = model.read(photos, ["a dog on the left", "a cat"])
    return run, [[vlx.word(0), vlx.caption()], [vlx.word(1)]]


def of_answers():
    model = small.vqa()
    run = model.read(small.photos((48, 40)), ["is there a dog ?"])
    return run, [[vlx.answer(name) for name in model.answers[:2]]]


def of_classes():
    torch.manual_seed(0)
    network = nn.Sequential(*vgg_like(), nn.Linear(8 * 9, 2)).double()
    run = Classifier(network, ("dog", "cat"), small.PREPROCESS).read(small.photos((48, 40)))
    return run, [[vlx.label("cat")]]


@pytest.mark.parametrize("of", [of_captioner, of_answers, of_classes])
def test_occlusion_maps_are_those_of_the_whole_network(of, monkeypatch):
    run, targets = of()
    sizes = computed_again(monkeypatch)
    method = vlx.occlusion_with(size=9, stride=7)
    whole = vlx.explain(replace(run, below=replace(run.below, cnn=None)), targets, method)
    assert sizes == []
    found = vlx.explain(run, targets, method)
    assert sizes
    for mine, theirs in zip(found, whole, strict=True):
        assert np.abs(theirs.raw).max() > 1e-6
        assert mine.raw == pytest.approx(theirs.raw, abs=1e-5 * float(np.abs(theirs.raw).max()) + 1e-6)
