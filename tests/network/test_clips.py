"""Networks that read clips: maps in time, rows and columns, and where they lie."""

import pytest
import torch
from torch import Tensor, nn

import vlx
from tests.network.plain import state
from vlx.errors import LayerError, VlxError
from vlx.images.clip import ClipFrame
from vlx.images.frame import Frame
from vlx.passes.clips import clip_places, clip_size, folded
from vlx.passes.mean_gradient import on_maps


class Clips(nn.Module):
    """Strides of 2 in time and space, and what reads the maps."""

    def __init__(self, head: str = "mean"):
        super().__init__()
        torch.manual_seed(3)
        self.cnn = nn.Sequential(
            nn.Conv3d(3, 6, 3, stride=(1, 2, 2), padding=1), nn.BatchNorm3d(6), nn.ReLU(),
            nn.Conv3d(6, 8, 3, stride=(2, 1, 1), padding=1), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.pool = nn.AdaptiveAvgPool3d(1 if head == "mean" else (2, 3, 3))
        self.fc = nn.Linear(8 if head == "mean" else 144, 5)

    def forward(self, x: Tensor):
        return self.fc(self.pool(self.cnn(x)).flatten(1))


def clips(count: int = 2, frames: int = 8, height: int = 12, width: int = 16) -> Tensor:
    return torch.randn(count, 3, frames, height, width, generator=torch.Generator().manual_seed(5))


def literal(net: nn.Module, layer: str, x: Tensor, classes: list[int]) -> Tensor:
    """Grad-CAM of one clip after the other: gradients averaged over time, rows and columns."""
    maps, kept = list[Tensor](), list[Tensor]()
    handle = net.get_submodule(layer).register_forward_hook(
        lambda _module, _inputs, output: (kept.append(output), output.clone())[1]
    )
    for clip, wanted in zip(x, classes, strict=True):
        (slope,) = torch.autograd.grad(net(clip[None])[0, wanted], kept[-1])
        maps.append((slope.mean((2, 3, 4), keepdim=True) * kept[-1]).sum(1)[0].relu().detach())
    handle.remove()
    return torch.stack(maps)


@pytest.mark.parametrize("head", ["mean", "places"])
def test_it_is_grad_cam_written_out_in_time(head: str):
    net, x = Clips(head).eval(), clips()
    expected = literal(net, "cnn", x, [3, 1])
    found = vlx.explain_model(net, x, [3, 1], "cnn")
    assert found.shape == (2, 4, 6, 8)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(vlx.explain_clip(net, x, [3, 1]).raw, expected)  # finds the layer itself


def test_gradient_times_activation_is_layer_wise_captum():
    captum = pytest.importorskip("captum.attr")
    net, x = Clips("places").eval(), clips()
    expected = captum.LayerGradientXActivation(net, net.cnn[2]).attribute(x, target=2).sum(1).relu()
    torch.testing.assert_close(vlx.explain_model(net, x, 2, "cnn.2", method="hires_cam"), expected.detach())
    saliency = captum.Saliency(net).attribute(x.clone().requires_grad_(), target=2, abs=False)
    torch.testing.assert_close(vlx.explain_model(net, x, 2, "cnn.3", method="gradient"), saliency)


def test_a_mean_is_exact_and_a_flattened_head_is_not():
    """What Grad-CAM keeps of the gradients: all behind a mean over all places of a clip."""
    net, x = Clips(), clips(1)
    mean = vlx.explain_model(net, x, 1, "cnn")
    torch.testing.assert_close(mean, vlx.explain_model(net, x, 1, "cnn", method="hires_cam"))
    other = Clips("places")
    assert not torch.allclose(
        vlx.explain_model(other, x, 1, "cnn"), vlx.explain_model(other, x, 1, "cnn", method="hires_cam")
    )


@pytest.mark.parametrize("method", [
    "grad_cam", "grad_cam_pp", "layer_cam", "xgrad_cam", "eigen_cam", "ablation_cam", "integrated_gradients",
    "integrated_grad_cam",
])  # fmt: skip
def test_a_clip_of_one_frame_is_an_image(method: str):
    """A 3-D network of kernels 1 in time on a still frame gives what the 2-D network gives."""
    torch.manual_seed(0)
    flat = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 10 * 14, 5))
    deep = nn.Sequential(nn.Conv3d(3, 6, (1, 3, 3)), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 10 * 14, 5))
    state_of = {
        name: value[:, :, None] if value.ndim == 4 else value for name, value in flat.state_dict().items()
    }
    deep.load_state_dict(state_of)
    x = clips(2, 1)
    expected = vlx.explain_model(flat, x[:, :, 0], [3, 1], "1", method=method)
    found = vlx.explain_model(deep, x, [3, 1], "1", method=method)
    torch.testing.assert_close(found, expected[:, None], rtol=1e-4, atol=1e-5)


def test_the_sum_at_all_places_is_the_gradient_of_what_is_added_everywhere():
    net, x = Clips("places").eval(), clips()
    with vlx.capture(net, vlx.Site("cnn", everywhere=on_maps)) as seen:
        scores = net(x)
    assert seen.shortcuts.everywhere is not None
    full, short = torch.autograd.grad(scores[:, 2].sum(), [seen.features, seen.shortcuts.everywhere])
    torch.testing.assert_close(short, full.sum((2, 3, 4)))


@pytest.mark.parametrize("method", vlx.METHODS, ids=lambda method: method.name)
def test_every_method_gives_maps_or_says_why_not(method: vlx.Method):
    net, x = Clips(), clips(1)
    before = str(state(net))
    if method.name in ("score_cam", "rise", "occlusion", "reveal", "reveal_and_hide", "bands"):
        with pytest.raises(VlxError, match=rf"{method.name} explains images, not clips"):
            vlx.explain_clip(net, x, 1, "cnn.0", method=method)
    else:
        found = vlx.explain_clip(net, x, 1, "cnn.0", method=method)
        assert found.raw.shape in ((1, 8, 6, 8), (1, 3, 8, 12, 16))
        assert found.maps.shape == (1, 8, 12, 16)
        assert bool(found.maps.isfinite().all())
    assert str(state(net)) == before


def test_guided_grad_cam_lays_the_map_over_the_frames():
    net, x = Clips(), clips(1)
    guided = vlx.explain_model(net, x, 1, "cnn.0", method="guided_backprop")
    coarse = vlx.explain_model(net, x, 1, "cnn.0")
    fine = nn.functional.interpolate(coarse[:, None], (8, 12, 16), mode="trilinear", align_corners=False)
    torch.testing.assert_close(vlx.explain_model(net, x, 1, "cnn.0", method="guided_grad_cam"), guided * fine)


def test_methods_over_layers_refuse_clips():
    with pytest.raises(VlxError, match="layer_cam_fusion explains images, not clips"):
        vlx.explain_model(Clips(), clips(), 1, ["cnn.0", "cnn"], method="layer_cam_fusion")
    with pytest.raises(VlxError, match="is no clip"):
        vlx.explain_clip(
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(560, 5)), clips(2)[:, :, 0]
        )


def test_evidence_of_a_clip():
    net, x = Clips().eval(), clips()
    _, told = vlx.explain_model(net, x, [3, 1], "cnn", evidence=True)
    blank = net.fc(torch.zeros(2, 8))
    torch.testing.assert_close(told, (net(x) - blank)[[0, 1], [3, 1]])


def test_maps_of_clips_can_be_differentiated():
    net, x = Clips(), clips()
    found = vlx.explain_model(net, x, [3, 1], "cnn", create_graph=True)
    found.sum().backward()
    assert net.cnn[0].weight.grad is not None
    assert net.cnn[0].weight.grad.abs().sum() > 0


def test_half_precision():
    net, x = Clips().bfloat16(), clips().bfloat16()
    expected = vlx.explain_model(Clips(), clips(), [3, 1])
    torch.testing.assert_close(vlx.explain_model(net, x, [3, 1]).float(), expected, rtol=0.1, atol=0.02)


def test_places_look_where_they_look():
    """Strides of 2 with padding look at every other frame itself, not between it and the next."""
    net, x = Clips(), clips(1)
    found = vlx.explain_clip(net, x, 1, "cnn")
    assert found.clip.times == (0.5, 2.5, 4.5, 6.5)
    assert found.clip.frame.centres == (
        tuple(2 * i + 0.5 for i in range(6)),
        tuple(2 * i + 0.5 for i in range(8)),
    )
    lit = torch.zeros(1, 4, 6, 8)
    lit[0, 1, 2, 3] = 1
    placed = found.clip.on_clip(lit)[0]
    assert placed.argmax() == (2 * 12 + 4) * 16 + 6
    even = ClipFrame(Frame.resized((12, 16), (12, 16)), 8).on_clip(lit)[0]
    assert even.amax((1, 2)).argmax() in (2, 3)


def test_an_event_is_found_in_its_frame():
    """A flash in one frame, and a network that adds up brightness above a threshold, in strides of 4."""
    net = nn.Sequential(nn.Conv3d(3, 1, 3, stride=(4, 2, 2), padding=1), nn.ReLU(), nn.AdaptiveAvgPool3d(1),
                        nn.Flatten(), nn.Linear(1, 1))  # fmt: skip
    for weight in net.parameters():
        nn.init.ones_(weight)
    nn.init.constant_(net[0].bias, -1.0)
    x = torch.zeros(1, 3, 16, 16, 16)
    x[0, :, 8, 6, 10] = 1
    assert vlx.explain_clip(net, x, 0).peak() == (8, 6, 10)


def test_frames_of_larger_originals():
    frame = Frame.resized((24, 32), (12, 16))
    found = vlx.explain_clip(Clips(), clips(), 1, frame=frame)
    assert found.maps.shape == (2, 8, 24, 32)
    with pytest.raises(VlxError, match=r"frame is of inputs of \(5, 5\)"):
        vlx.explain_clip(Clips(), clips(), 1, frame=Frame.resized((24, 32), (5, 5)))


def test_a_map_without_a_positive_place_has_no_peak():
    net = Clips()
    nn.init.zeros_(net.fc.weight)
    with pytest.raises(VlxError, match="no peak"):
        vlx.explain_clip(net, clips(1), 1).peak()


def test_a_level_peak_lies_in_its_middle():
    level = torch.zeros(1, 3, 5, 5)
    level[0, :, 1:4, 1:4] = 1
    frame = ClipFrame(Frame.resized((5, 5), (5, 5)), 3)
    assert vlx.ClipMaps(level, frame, torch.zeros(1), "", "").peak() == (1, 2, 2)


def test_grids_of_clips():
    tokens = torch.randn(1, 393, 4)
    seen = clip_places(tokens, (16, 224, 224))(tokens)
    assert seen.shape == (1, 4, 8, 7, 7)
    assert torch.equal(seen[0, :, 1, 2, 3], tokens[0, 1 + 49 + 14 + 3])
    assert clip_places(tokens, (16, 224, 224), (2, 14, 14))(tokens).shape == (1, 4, 2, 14, 14)
    last = torch.randn(2, 4, 7, 9, 24)
    assert clip_places(last, (8, 224, 288))(last).shape == (2, 24, 4, 7, 9)
    assert folded(clip_places(last, (8, 224, 288)))(last[None]).shape == (1, 2, 24, 28, 9)
    own = clip_places(tokens, (16, 224, 224), lambda given: given[:, 1:].mT.unflatten(-1, (8, 7, 7)))
    assert torch.equal(own(tokens[None])[0], seen)
    for features, grid, message in (
        (tokens, (3, 3), r"give \(time, rows, cols\)"),
        (tokens, (9, 9, 9), "does not fill a grid of 9 x 9 x 9"),
        (torch.randn(1, 390, 4), None, "390 tokens are no grid of patches of 16 frames"),
        (torch.randn(1, 8, 7, 7), None, "has no places in time"),
        (tokens, lambda given: given, "the grid made"),
    ):
        with pytest.raises(LayerError, match=message):
            clip_places(features, (16, 224, 224), grid)(features)
    assert clip_size(torch.zeros(1, 3, 2, 5, 6)) == (2, 5, 6)
    assert clip_size(torch.zeros(1, 8, 3, 5, 6)) == (8, 5, 6)


def test_frames_that_run_as_images():
    """A 2-D network on every frame, whose features are put together by a Site."""

    class Framewise(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(1)
            self.cnn, self.fc = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()), nn.Linear(4, 5)

        def forward(self, x: Tensor):
            maps = self.cnn(x.transpose(1, 2).flatten(0, 1))
            return self.fc(maps.mean((2, 3)).unflatten(0, (len(x), -1)).mean(1))

    net, x = Framewise(), clips()
    with pytest.raises(LayerError, match=r"gives \(16, 4, 12, 16\) for a batch of 2"):
        vlx.explain_model(net, x, 1, "cnn")
    site = vlx.Site(
        "cnn",
        unpack=lambda maps: maps.unflatten(0, (-1, 8)).transpose(1, 2),
        pack=lambda maps: maps.transpose(1, 2).flatten(0, 1),
    )
    found = vlx.explain_clip(net, x, 1, site)
    alone = nn.Sequential(net.cnn, nn.AdaptiveAvgPool2d(1), nn.Flatten(), net.fc)
    each = [vlx.explain_model(alone, x[:, :, at], 1, "0") for at in range(8)]
    torch.testing.assert_close(found.raw * 8, torch.stack(each, 1))


PUBLISHED = {
    "r3d_18": ((3, 8, 32, 32), "layer4", (1, 2, 2)),
    "mc3_18": ((3, 4, 32, 32), "layer4", (4, 2, 2)),
    "r2plus1d_18": ((3, 8, 32, 32), "layer4", (1, 2, 2)),
    "swin3d_t": ((3, 4, 64, 64), "norm", (2, 2, 2)),
}


@pytest.mark.parametrize("name", ["r3d_18", "mc3_18", "r2plus1d_18", "swin3d_t"])
def test_published_networks(name: str):
    check_published(name)


def test_tokens_of_clips():
    """A multiscale transformer: a class token in front of patches in time, rows and columns."""
    from torchvision.models.video.mvit import MSBlockConfig, MViT

    torch.manual_seed(0)
    sides = {"kernel_q": [3, 3, 3], "kernel_kv": [3, 3, 3]}
    blocks = [
        MSBlockConfig(1, 16, 32, **sides, stride_q=[1, 1, 1], stride_kv=[1, 4, 4]),
        MSBlockConfig(2, 32, 32, **sides, stride_q=[1, 2, 2], stride_kv=[1, 2, 2]),
    ]
    net = MViT((64, 64), 8, blocks, False, False, False, False, num_classes=7)
    found = vlx.explain_clip(net, torch.randn(1, 3, 8, 64, 64), 3)
    assert found.layer == "blocks.1.norm1"
    assert found.raw.shape == (1, 4, 16, 16)
    assert found.clip.times == (0.5, 2.5, 4.5, 6.5)


def check_published(name: str) -> None:
    from torchvision.models import video

    torch.manual_seed(0)
    size, layer, shape = PUBLISHED[name]
    net = getattr(video, name)(num_classes=7)
    x = torch.randn(1, *size)
    found = vlx.explain_clip(net, x, 3)
    assert found.layer == layer
    assert found.raw.shape == (1, *shape)
    assert found.maps.shape == (1, *size[1:])


def test_finer_layers_of_clips():
    from torchvision.models.video import r3d_18

    net, x = r3d_18(num_classes=7), torch.randn(1, 3, 8, 32, 32)
    assert vlx.choose_layer(net, "last/2", x) == "layer3"
    found = vlx.explain_clip(net, x, 3, "last/2")
    assert found.raw.shape == (1, 2, 4, 4)
    # Each of the two strides of 2 looks at every other frame itself.
    assert found.clip.times == (0.5, 4.5)
    assert found.clip.frame.centres == (tuple(8 * i + 0.5 for i in range(4)),) * 2
