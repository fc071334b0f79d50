"""Where the places of a layer look: by arithmetic, by gradients, and through every kind of operation."""

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn

import vlx
from vlx.images import Frame
from vlx.passes.fields import measured
from vlx.passes.fields.measured import centres_of, is_out_of_order
from vlx.passes.stand_in import stand_in


def placed(model, layer, size, grid=vlx.conv_grid):
    """The centres of a layer for pictures of a size, rows and columns, and what is told."""
    with vlx.capture(model, layer) as seen:
        model(torch.rand(2, 3, *size))
    return *centres_of(seen.features, grid, size), seen.features


def even(length, cells):
    return [(at + 0.5) * length / cells for at in range(cells)]


def network(name):
    kind = {"init_weights": False, "aux_logits": False} if name in ("inception_v3", "googlenet") else {}
    return getattr(torchvision.models, name)(weights=None, **kind).eval()


KNOWN = [
    # the first centre, the step and the number of cells along columns
    ("alexnet", "features.11", (224, 224), 15.5, 16, 13),
    ("squeezenet1_1", "features.12", (224, 224), 15.5, 16, 13),
    ("googlenet", "inception5b", (224, 224), 22.5, 32, 7),
    ("inception_v3", "Mixed_7c", (299, 299), 37.5, 32, 8),
    ("inception_v3", "Mixed_6b.branch7x7_2", (299, 299), 21.5, 16, 17),
    ("resnet18", "layer4", (224, 224), 0.5, 32, 7),
    ("resnet18", "layer4", (224, 289), 0.5, 32, 10),
    ("vgg11", "features.18", (224, 236), 8.0, 16, 14),
    ("mobilenet_v3_small", "features.12", (225, 225), 0.5, 32, 8),
]


@pytest.mark.parametrize(("name", "layer", "size", "first", "step", "cells"), KNOWN, ids=lambda one: str(one))
def test_centres_are_those_of_the_arithmetic(name, layer, size, first, step, cells):
    centres, told, _ = placed(network(name), layer, size)
    assert np.allclose(centres[1], first + step * np.arange(cells))
    assert told.startswith("up to ")


EVEN = [
    ("vgg11", "features.19", (224, 224), vlx.conv_grid),
    ("convnext_tiny", "features.7", (96, 64), vlx.conv_grid),
    ("swin_t", "features.7", (96, 64), lambda features: features.movedim(-1, -3)),
    ("vit_b_32", "encoder.layers.encoder_layer_2.ln_1", (224, 224), vlx.token_grid(7, 7, 1)),
]


@pytest.mark.parametrize(("name", "layer", "size", "grid"), EVEN, ids=lambda one: str(one))
def test_networks_that_divide_their_input_are_placed_as_before(name, layer, size, grid):
    centres, told, _ = placed(network(name), layer, size, grid)
    assert (centres, told) == (None, "the cells divide the network input evenly")


def by_gradients(net, layer, size):
    """The middle of what the middle column looks at, in a network of ones whose maxima are means."""

    def averaged(module):
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                pool = nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode)
                setattr(module, name, pool)
            averaged(child)

    averaged(net)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    net.double()
    pixels = (torch.rand(1, 3, *size, dtype=torch.float64) + 1).requires_grad_()
    features = vlx.output_at(net, layer, pixels)
    at = features.shape[-1] // 2
    (found,) = torch.autograd.grad(features[0, :, features.shape[-2] // 2, at].sum(), pixels)
    mass = found.abs().sum((0, 1, 2))
    return at, float((mass * (torch.arange(size[1]) + 0.5)).sum() / mass.sum())


DILATED = nn.Sequential(nn.Conv2d(3, 4, 3, 2, dilation=2), nn.ReLU(), nn.Conv2d(4, 4, (3, 5), (1, 2)))
POOLED = nn.Sequential(nn.Conv2d(3, 4, 5, 1, 2), nn.MaxPool2d(3, 2, ceil_mode=True), nn.Conv2d(4, 4, 2))
LIFTED = nn.Sequential(nn.Conv2d(3, 4, 7, 4), nn.ReLU(), nn.ConvTranspose2d(4, 4, 3, 2, 1))
GROUPED = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 6, 3, 2, groups=3), nn.AvgPool2d(2, 2))
RESIZED = nn.Sequential(nn.Conv2d(3, 4, 5, 3), nn.Upsample(scale_factor=2, mode="bilinear"))
CASES = [
    (DILATED, "2"), (POOLED, "2"), (LIFTED, "2"), (GROUPED, "2"), (RESIZED, "1"),
    (network("alexnet"), "features.11"), (network("squeezenet1_1"), "features.12"),
]  # fmt: skip


@pytest.mark.parametrize(("net", "layer"), CASES, ids=range(len(CASES)))
def test_centres_are_where_gradients_come_from(net, layer):
    size = (231, 243) if layer.startswith("features") else (61, 75)
    centres, _, features = placed(net, layer, size)
    line = even(size[1], features.shape[-1]) if centres is None else centres[1]
    at, found = by_gradients(net, layer, size)
    assert found == pytest.approx(line[at], abs=0.51 if "ConvTranspose2d" in str(net) else 1e-4)


class Padded(nn.Module):
    """Pads as TensorFlow's SAME does, in a function."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, 2)

    def forward(self, pixels):
        return self.conv(nn.functional.pad(pixels, (0, 1, 0, 1)))


class Cropping(nn.Module):
    """Looks at a part of its input only."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 4, 4)

    def forward(self, pixels):
        return self.conv(pixels[:, :, 8:40, 16:48])


class Merging(nn.Module):
    """Patches of 4 pixels, four of which become one by slices, as in Swin, beside a class token."""

    def __init__(self):
        super().__init__()
        self.conv, self.mix = nn.Conv2d(3, 4, 4, 4), nn.Linear(16, 5)

    def forward(self, pixels):
        maps = self.conv(pixels).permute(0, 2, 3, 1)
        parts = [maps[:, row::2, col::2] for row in (0, 1) for col in (0, 1)]
        tokens = self.mix(torch.cat(parts, -1)).flatten(1, 2)
        return torch.cat([torch.zeros(len(tokens), 1, 5), tokens], 1)


def test_padding_and_slicing_move_the_places():
    assert placed(Padded(), "conv", (32, 32))[0][0] == tuple(1.5 + 2.0 * np.arange(16))
    rows, cols = placed(Cropping(), "conv", (48, 64))[0]
    assert (rows[0], cols[0], len(rows), len(cols)) == (10.0, 18.0, 8, 8)


def test_merged_patches_lie_in_their_middle():
    model = nn.Sequential(Merging(), nn.Identity())
    assert placed(model, "1", (32, 64), vlx.token_grid(4, 8, 1))[:2] == (
        None,
        "the cells divide the network input evenly",
    )


def test_a_grid_in_another_order_or_with_a_class_token_is_told():
    model = nn.Sequential(Merging(), nn.Identity())

    def turned(tokens):
        return vlx.token_grid(8, 8, 1)(tokens).transpose(-1, -2)

    def shifted(tokens):
        return vlx.token_grid(8, 8)(tokens[..., :-1, :])

    for grid in (turned, shifted):
        centres, told, _ = placed(model, "1", (64, 64), grid)
        assert centres is None
        assert is_out_of_order(told)


class Global(nn.Module):
    """Gives maps of which nothing tells where they look."""

    def __init__(self):
        super().__init__()
        self.conv, self.top = nn.Conv2d(3, 4, 4, 4), nn.Linear(4, 36)

    def forward(self, pixels):
        return self.top(self.conv(pixels).mean((2, 3))).view(-1, 1, 6, 6)


def test_of_what_cannot_be_followed_nothing_is_claimed():
    model = nn.Sequential(Global(), nn.Identity())
    centres, told, _ = placed(model, "1", (24, 24))
    assert centres is None
    assert told.startswith("not measured")


def test_a_layer_is_followed_once_for_a_size_and_anew_when_windows_change(monkeypatch):
    begun = counting(monkeypatch)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    for size in ((20, 20), (20, 20), (20, 24), (20, 20)):
        assert placed(model, "1", size)[0][0][0] == 1.5
    assert len(begun) == 2
    model[0].padding = (2, 2)
    assert placed(model, "1", (20, 20))[0][0][0] == -0.5
    assert len(begun) == 3


def test_following_changes_no_number_and_leaves_nothing_behind(monkeypatch):
    model = network("googlenet")
    pixels = torch.rand(2, 3, 96, 96)
    with vlx.capture(model, "inception5b") as first:
        scores = model(pixels)
    monkeypatch.setenv(measured.SWITCH, "0")
    with vlx.capture(model, "inception5b") as second:
        again = model(pixels)
    assert torch.equal(scores, again)
    assert torch.equal(first.features, second.features)
    assert centres_of(second.features, vlx.conv_grid, (96, 96))[0] is None
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert measured.current_mode() is None


def test_an_exception_ends_the_following():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())

    def broken(*_):
        raise ZeroDivisionError

    model[1].register_forward_pre_hook(broken)
    with pytest.raises(ZeroDivisionError), vlx.capture(model, "1"):
        model(torch.rand(1, 3, 8, 8))
    assert measured.current_mode() is None


def test_a_frame_places_maps_at_their_centres():
    frame = Frame((10, 20), (5, 10), (0.0, 0.0, 10.0, 20.0), ((1.5, 3.5), (2.0, 4.0, 6.0)))
    maps = torch.tensor([[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]])
    drawn = frame.on_image(maps)
    at = torch.arange(20) + 0.5
    expected = ((at / 2 - 2) / 2).clamp(0, 2)
    torch.testing.assert_close(drawn[0], expected)
    torch.testing.assert_close(drawn[9], expected + 10)
    torch.testing.assert_close(frame.on_input(maps)[0], ((torch.arange(10) + 0.5 - 2) / 2).clamp(0, 2))
    # other maps divide the input, as those of occlusion do
    other = torch.rand(5, 10)
    assert torch.equal(frame.on_image(other), Frame.resized((10, 20), (5, 10)).on_image(other))
    with pytest.raises(vlx.VlxError, match="do not rise"):
        Frame((10, 20), (5, 10), (0.0, 0.0, 10.0, 20.0), ((3.0, 1.0), (1.0,)))


def counting(monkeypatch):
    """The pictures that are followed from now on."""
    begun, real = [], measured.Following
    monkeypatch.setattr(measured, "Following", lambda picture: begun.append(picture.shape) or real(picture))
    return begun


def test_other_features_are_not_followed_and_keep_their_places(monkeypatch):
    begun = counting(monkeypatch)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 80, 3), np.uint8))
    passed = Seer().read([image])
    assert len(begun) == 1
    for _ in range(2):  # with what lies below the layer, and without
        again = passed.with_features(0, torch.rand(2, 8, 9, 9))
        assert (again.placed, again.frames) == (passed.placed, passed.frames * 2)
        assert again.scores.shape == (2, 1, 2)
    assert len(begun) == 1


def test_a_model_of_which_a_part_is_stood_in_for_is_not_measured(monkeypatch):
    begun = counting(monkeypatch)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
    with stand_in(model[0], lambda pixels: torch.ones(len(pixels), 4, 18, 18)):
        centres, told, _ = placed(model, "2", (20, 20))
    assert (centres, told[:12], begun) == (None, "not measured", [])
    assert placed(model, "2", (20, 20))[0][0][0] == 2.5  # nothing of that run was kept
    assert len(begun) == 1


METHODS_AT = [
    ("integrated_gradients", True), ("integrated_grad_cam", True), ("eigen_cam", True),
    ("ablation_cam", True), ("score_cam", True), (vlx.rise_with(count=4), False),
    ("smooth_gradient", False), ("gradient", False), ("guided_grad_cam", False),
]  # fmt: skip


@pytest.mark.parametrize(("method", "on_grid"), METHODS_AT, ids=lambda one: str(getattr(one, "name", one)))
def test_maps_on_the_grid_lie_where_the_layer_looks(method, on_grid):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 80, 3), np.uint8))
    found = vlx.explain_label(Seer(), image, [0], method=method)
    assert (found.frame.centres is not None) == on_grid
    assert found.raw.shape[-2:] == ((9, 9) if on_grid else (101, 101))


class Seer:
    """A classifier of one's own, whose convolution without padding sees no border."""

    def __init__(self):
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 21, 10), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
        )

    def read(self, images):
        pixels, frames = vlx.images.stack_images(
            vlx.images.preprocess.Preprocess(vlx.images.preprocess.Squash((101, 101))), images,
            self.net[0].weight,
        )  # fmt: skip
        with vlx.capture(self.net, "1") as seen:
            scores = self.net(pixels)[:, None]
        reading = vlx.Reading("label", (), vlx.Choices(["a", "b"]))
        return vlx.Pass(
            seen.features, scores, (reading,), frames, tuple(images), quantity="logit",
            below=vlx.Below(pixels, lambda p: vlx.output_at(self.net, "1", p), self.rescored),
            above=seen.above(lambda p: self.net(p)[:, None], pixels),
        )  # fmt: skip

    def rescored(self, pixels, _position):
        with vlx.prepared(self.net), torch.no_grad():
            return self.net(pixels)[:, None]


def test_an_explanation_keeps_its_centres_and_old_files_load(tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 80, 3), np.uint8))
    found = vlx.explain_label(Seer(), image, [0], method="hires_cam")
    assert found.frame.centres[0] == tuple(10.5 + 10.0 * np.arange(9))
    assert "up to 5.3 pixels" not in found.provenance.checks["places"]
    found.save(tmp_path / "a")
    back = vlx.load_explanation(tmp_path / "a")
    assert back.frame == found.frame
    assert np.array_equal(back.maps, found.maps)
    facts = (tmp_path / "a.json").read_text()
    assert '"centres"' in facts
    for method in ("gradient", "guided_grad_cam", vlx.occlusion_with(size=20, stride=20)):
        if method != "guided_grad_cam" and isinstance(method, str):
            assert vlx.explain_label(Seer(), image, [0], method=method).frame.centres is None


def test_the_shift_of_inception_is_gone():
    """The median shift of outer cells on an image of 480 x 640, from where cells were drawn before."""
    centres, _, _ = placed(network("inception_v3"), "Mixed_7c", (299, 299))
    frame = Frame.resized((480, 640), (299, 299))
    before, now = (
        [frame.to_image(row, col) for row in rows for col in cols]
        for rows, cols in ((even(299, 8), even(299, 8)), centres)
    )
    shift = np.linalg.norm(np.array(before) - np.array(now), axis=1).reshape(8, 8)
    outer = np.ones((8, 8), bool)
    outer[1:-1, 1:-1] = False
    print(f"Mixed_7c on 480 x 640: outer cells were drawn {np.median(shift[outer]):.1f} pixels off, now 0")
    assert np.median(shift[outer]) == pytest.approx(43.0, abs=3)
