"""Networks with shortcuts and branches, run again only where an image changed, give what they do in full."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

import vlx.methods.occlusion.changed
import vlx.methods.occlusion.follow
from tests.methods.occlusion.test_incremental import differences
from vlx.adapters.nets.backbones import torchvision_network
from vlx.adapters.nets.inception import EvenPool
from vlx.methods.occlusion.changed import MOST, Window
from vlx.methods.occlusion.follow import Changed
from vlx.methods.occlusion.incremental import changes_only

NETWORKS = (
    "resnet18",
    "resnet50",
    "googlenet",
    "inception_v3",
    "densenet121",
    "mobilenet_v2",
    "shufflenet_v2_x0_5",
)


def normal(network):
    """Norms that are not the identity, in evaluation mode, in double precision."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return network.double().eval().requires_grad_(False)


@pytest.fixture
def fallen(monkeypatch):
    """Fills with whether networks went on in full: they stood aside, or were seen to differ."""
    seen = []
    near = vlx.methods.occlusion.incremental._Again._as_in_full

    def noted(again, *given):
        seen.append(near(again, *given))
        return seen[-1]

    monkeypatch.setattr(vlx.methods.occlusion.incremental._Again, "_as_in_full", noted)
    return seen


@pytest.fixture
def reached(monkeypatch):
    """Fills with whether each convolution or pool was computed in a part alone."""
    seen = []
    on = Window.on

    def counted(window, part, first):
        found, box = on(window, part, first)
        seen.append(box is not None)
        return found, box

    monkeypatch.setattr(Window, "on", counted)
    return seen


def check_exact(network, batches):
    """Check every batch against the network in full."""
    with torch.no_grad():
        wanted = [network(images.clone()) for images in batches]
        with changes_only(network):
            network(batches[0])
            for images, scores in zip(batches, wanted, strict=True):
                given = images.clone()
                found = network(given)
                assert type(found) is torch.Tensor
                torch.testing.assert_close(found, scores, rtol=1e-10, atol=1e-10 * float(scores.abs().max()))
                assert torch.equal(given, images)


class Residual(nn.Module):
    """A random network of blocks with shortcuts, branches, strides, dilations, groups and pools."""

    def __init__(self, seed):
        super().__init__()
        draw = np.random.default_rng(seed)
        self.inplace = bool(draw.integers(2))
        self.stem = nn.Conv2d(
            3, 8, int(draw.integers(1, 6)), int(draw.integers(1, 3)), int(draw.integers(0, 3))
        )
        self.blocks = nn.ModuleList(self.block(draw) for _ in range(4))

    def block(self, draw):
        stride = int(draw.integers(1, 3))
        size = int(draw.choice([1, 3, 5]))
        dilation = int(draw.integers(1, 3))
        around = (size - 1) * dilation // 2
        act = [
            nn.ReLU(self.inplace),
            nn.ReLU6(self.inplace),
            nn.SiLU(),
            nn.LeakyReLU(0.1),
            nn.PReLU(8),
            nn.GELU(),
        ]
        main = nn.Sequential(
            nn.Conv2d(8, 8, size, stride, around, dilation, groups=int(draw.choice([1, 2, 8])), bias=False),
            nn.BatchNorm2d(8), act[int(draw.integers(len(act)))],
            nn.Conv2d(8, 8, (1, 3), padding=(0, 1)), nn.Dropout2d(), nn.BatchNorm2d(8),
        )  # fmt: skip
        pool = [
            nn.MaxPool2d(3, stride, 1),
            nn.AvgPool2d(3, stride, 1),
            nn.AvgPool2d(3, stride, 1, count_include_pad=False),
            nn.Conv2d(8, 8, 1, stride),
        ]
        side = nn.Sequential(pool[int(draw.integers(len(pool)))], nn.BatchNorm2d(8), nn.Identity())
        mixed = nn.Conv2d(16, 8, 1)
        return nn.ModuleDict({"main": main, "side": side, "mixed": mixed})

    def forward(self, images):
        found = functional.relu(self.stem((images - 0.1) / 2))
        for at, block in enumerate(self.blocks):
            main, side = block["main"](found), block["side"](found)
            if at % 2:
                found = block["mixed"](torch.cat([side, main], 1))
            elif self.inplace:
                main += side
                found = torch.relu_(main)
            else:
                found = 0.5 * torch.tanh(side + main) - main * side
        return found.mean((2, 3))


@pytest.mark.parametrize("most", [0.3, MOST, 1.0])
@pytest.mark.parametrize("seed", range(12))
def test_random_networks_give_what_they_give_in_full(seed, most, monkeypatch, fallen, reached):
    monkeypatch.setattr(vlx.methods.occlusion.changed, "MOST", most)
    torch.manual_seed(seed)
    check_exact(normal(Residual(seed)), [*differences([(40, 40), (37, 54)][seed % 2], seed=seed)])
    assert fallen == [True, True]
    assert any(reached)


@pytest.mark.parametrize("name", NETWORKS)
def test_published_networks_give_what_they_give_in_full(name, fallen, reached):
    torch.manual_seed(0)
    network = normal(torchvision_network(name, classes=5))
    image = torch.randn(1, 3, 128, 112, dtype=torch.float64)
    hidden = image.repeat(4, 1, 1, 1)
    for one, (row, col, size) in zip(
        hidden, [(0, 0, 9), (50, 40, 16), (118, 0, 20), (60, 100, 13)], strict=True
    ):
        one[:, row : row + size, col : col + size] = 0
    check_exact(network, [image, hidden, hidden[:1], hidden[2:]])
    assert fallen == [True, True]
    assert sum(reached) > (2 if "shuffle" in name else 20)


def test_inputs_that_the_network_takes_apart_first(reached):
    """Inception with ImageNet's weights scales each channel of its input before all else."""
    torch.manual_seed(0)
    network = normal(torchvision_network("googlenet", classes=5))
    network.transform_input = True
    check_exact(network, [*differences((64, 64), batch=3)][:4])
    assert sum(reached) > 20


class Squeezed(nn.Module):
    """A block that weighs its channels by their means over all places, then another convolution."""

    def __init__(self, way):
        super().__init__()
        self.way = way
        self.first, self.second, self.third = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3), nn.Conv2d(6, 6, 3)
        self.pool = EvenPool(nn.Conv2d(6, 6, 1))

    def forward(self, images):
        found = functional.relu(self.second(self.first(images)))
        later = self.third(found)
        match self.way:
            case "in place":
                found *= found.mean((2, 3), keepdim=True)
            case "view":
                found[:, :3] *= 2
            case "slice":
                found = torch.cat([found[:, :3].relu(), found[:, 3:]], 1)
                found = found * found.mean((1, 2, 3), keepdim=True)
            case "values":
                found = found * 2 if float(found.flatten()[0]) > 0 else found / 3
            case "even":
                found = self.pool(functional.avg_pool2d(found, 3, 1, 1))
            case "weights":
                found = functional.conv2d(found, self.second.weight.flip(1))
            case "drawn":
                found = found.transpose(2, 3)
            case _:
                found = torch.sigmoid(functional.adaptive_avg_pool2d(found, 1)) * found
        return later.flatten(1).sum(1) + self.third(found).flatten(1).square().sum(1)


@pytest.mark.parametrize("way", ["", "in place", "view", "slice", "values", "even", "weights", "drawn"])
def test_what_is_not_known_gets_whole_maps(way, fallen, reached):
    torch.manual_seed(0)
    check_exact(normal(Squeezed(way)), [*differences((30, 30), batch=3)])
    assert fallen == ([] if way == "view" else [True, True])  # a view that is changed changes what it is of
    assert any(reached)


def test_networks_that_weigh_channels(fallen):
    torch.manual_seed(0)
    network = normal(torchvision_network("mobilenet_v3_small", classes=5))
    check_exact(network, [*differences((64, 64), batch=3)][:3])
    assert fallen == [True, True]


class Odd(nn.Module):
    def __init__(self, way):
        super().__init__()
        self.way, self.runs = way, 0
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))

    def forward(self, images, scale=None):
        self.runs += 1
        found = self.body(images)
        match self.way:
            case "fails":
                if isinstance(found, Changed):
                    raise TypeError("plain tensors only")
            case "other":
                found = found + isinstance(found, Changed)
            case "new":
                found = found * (1 + self.runs * 0.0) * float(self.runs**0)
            case "changes images":
                images -= images
        return found.mean((1, 2, 3)) if scale is None else {"of": found.mean((1, 2, 3)) * scale}


def hidden_in(image):
    """Windows hidden."""
    images = image.repeat(3, 1, 1, 1)
    images[1, :, 4:9, 4:9] = images[2, :, 15:, :4] = 0
    return images


@pytest.mark.parametrize("way", ["fails", "other", "new"])
def test_networks_that_are_not_followed_run_in_full(way):
    torch.manual_seed(0)
    check_exact(
        normal(Odd(way)), [image := torch.randn(1, 3, 24, 24, dtype=torch.float64), *[hidden_in(image)] * 3]
    )


def test_a_network_that_changes_its_images_does_so():
    torch.manual_seed(0)
    network = normal(Odd("changes images"))
    image = torch.randn(1, 3, 24, 24, dtype=torch.float64)
    images = hidden_in(image)
    with torch.no_grad():
        wanted = network(images.clone())
        with changes_only(network):
            network(image.clone())
            torch.testing.assert_close(network(images), wanted)
    assert not images.any()


def test_other_arguments_and_results_are_kept():
    torch.manual_seed(0)
    network = normal(Odd(""))
    image = torch.randn(1, 3, 24, 24, dtype=torch.float64)
    images, scale = hidden_in(image), torch.randn(3, dtype=torch.float64)
    with torch.no_grad():
        wanted = network(images, scale)["of"]
        with changes_only(network):
            network(images=image)
            for _ in range(2):
                torch.testing.assert_close(network(images, scale=scale)["of"], wanted)


def test_hooks_see_whole_maps():
    torch.manual_seed(0)
    network, seen = normal(Residual(1)), []
    image = torch.randn(1, 3, 40, 40, dtype=torch.float64)
    images = image.repeat(2, 1, 1, 1)
    images[1, :, 10:15, 10:15] = 0
    with torch.no_grad():
        handle = network.stem.register_forward_hook(
            lambda _layer, _inputs, output: seen.append(output.numpy())
        )
        wanted = network(images)
        with changes_only(network):
            network(image)
            torch.testing.assert_close(network(images), wanted)
        handle.remove()
    assert np.allclose(seen[0], seen[3], rtol=1e-12, atol=1e-12)


def test_runs_that_are_recorded_are_those_of_the_network():
    torch.manual_seed(0)
    network = normal(Residual(1)).requires_grad_()
    image = torch.randn(1, 3, 40, 40, dtype=torch.float64)
    with changes_only(network):
        network(image)
        (gradient,) = torch.autograd.grad(network(image).sum(), network.stem.weight)
    (wanted,) = torch.autograd.grad(network(image).sum(), network.stem.weight)
    assert torch.equal(gradient, wanted)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_other_precisions(kind, layout, fallen):
    torch.manual_seed(0)
    network = normal(torchvision_network("resnet18", classes=5)).to(kind, memory_format=layout)
    image = torch.randn(1, 3, 96, 96).to(kind)
    images = hidden_in(image).contiguous(memory_format=layout)
    with torch.no_grad():
        wanted = network(images).float()
        with changes_only(network):
            network(image)
            found = network(images).float()
    assert fallen == [True, True]
    close = 1e-5 if kind is torch.float32 else 3e-2
    torch.testing.assert_close(found, wanted, rtol=0, atol=close * float(wanted.abs().max()))


def test_a_network_that_does_something_new_in_each_run_keeps_little():
    """Each run would keep maps of its own: past a limit the network runs in full."""

    class Scaled(Odd):
        def forward(self, images, scale=None):
            self.runs += 1
            found = self.body[0](images)[:, :3]
            return self.body(functional.leaky_relu(found, 0.1 / max(1, self.runs - 6))).mean((1, 2, 3))

    torch.manual_seed(0)
    network = normal(Scaled(""))
    image = torch.randn(1, 3, 24, 24, dtype=torch.float64)
    images = hidden_in(image)
    with torch.no_grad(), changes_only(network):
        network(image)
        for _ in range(80):
            network(images)
        network.runs = 0
        found = network(images)
    network.runs = 0
    with torch.no_grad():
        torch.testing.assert_close(found, network(images))


def test_little_is_multiplied_and_added():
    """A window of 5 in the middle of 384: each stage of a ResNet-18 is computed in a part of its maps."""
    torch.manual_seed(0)
    network = normal(torchvision_network("resnet18", classes=5)).float()
    image = torch.randn(1, 3, 384, 384)
    hidden = image.clone()
    hidden[:, :, 190:195, 190:195] = 0
    with torch.no_grad():
        with FlopCounterMode(display=False) as whole:
            network(hidden)
        with changes_only(network):
            network(image)
            network(hidden)
            with FlopCounterMode(display=False) as part:
                network(hidden)
    assert part.get_total_flops() < 0.45 * whole.get_total_flops()
