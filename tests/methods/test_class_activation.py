"""CAM is what its paper writes, and Grad-CAM before its ReLU up to 1 / Z (Grad-CAM paper, Eq. 4 to 8)."""

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
from vlx.images.preprocess import Preprocess, Squash

CAM = vlx.class_activation_map
SIGNED = vlx.grad_cam_with(rectify=False)


def test_it_is_worked_by_hand():
    net = nn.Sequential(nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
    net[3].weight.data = torch.tensor([[2.0, -1.0], [0.0, 1.0]])
    x = torch.tensor([[[[1.0, 2.0]], [[5.0, 0.0]]]])
    found = vlx.explain_model(net, x.repeat(2, 1, 1, 1), [0, 1], "0", method=CAM)
    assert_close(found, torch.tensor([[[-3.0, 4.0]], [[5.0, 0.0]]]))


class Head(nn.Module):
    """Maps, and one of the ways in which people write their mean."""

    def __init__(self, way: str):
        super().__init__()
        torch.manual_seed(3)
        self.way = way
        self.cnn = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU())
        self.drop, self.fc = nn.Dropout(0.5), nn.Linear(8, 4)
        self.norm, self.last = nn.BatchNorm1d(8), nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor):
        maps = self.cnn(x)
        if self.way == "pool":
            return self.fc(self.drop(nn.functional.adaptive_avg_pool2d(maps, (1, 1)).flatten(1)))
        if self.way == "window":
            return self.fc(nn.functional.avg_pool2d(maps, maps.shape[2:]).squeeze(-1).squeeze(-1))
        if self.way == "mean":
            return self.fc(maps.mean([2, 3]))
        if self.way == "flat":
            return self.fc(maps.flatten(2).mean(-1))
        if self.way == "tokens":
            return self.fc(maps.flatten(2).transpose(1, 2).mean(1))
        if self.way == "last":
            return self.fc(maps.permute(0, 2, 3, 1).mean((1, 2)))
        if self.way == "sum":
            return self.fc(maps.sum((2, 3)))
        if self.way == "affine":
            return 2 * self.fc(self.norm(maps.mean((2, 3)))) + 1
        return self.last(maps.mean((2, 3), keepdim=True)).flatten(1)


WAYS = ["pool", "window", "mean", "flat", "tokens", "last", "sum", "affine", "convolution"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("training", [False, True])
def test_it_is_the_sum_of_its_paper_and_grad_cam_times_z(way, training):
    net, x = Head(way).train(training), torch.rand(3, 3, 18, 26)
    before = str(state(net))
    found = vlx.explain_model(net, x, [0, 3, 1], "cnn", method=CAM)
    assert str(state(net)) == before
    with torch.no_grad():
        maps = net.eval().cnn(x)
    weights = (net.last if way == "convolution" else net.fc).weight.detach().flatten(1)
    if way == "affine":
        weights = 2 * weights * (net.norm.weight / (net.norm.running_var + net.norm.eps).sqrt()).detach()
    expected = torch.stack(
        [torch.einsum("k,kij->ij", weights[c], a) for c, a in zip((0, 3, 1), maps, strict=True)]
    )
    assert_close(found, expected, rtol=1e-4, atol=1e-6)
    z = 1 if way == "sum" else expected[0].numel()
    assert_close(found, z * vlx.explain_model(net, x, [0, 3, 1], "cnn", method=SIGNED), rtol=1e-4, atol=1e-6)


def test_its_mean_is_the_logit_without_its_bias():
    net, x = Plain(), torch.rand(2, 3, 12, 16)
    found = vlx.explain_model(net, x, [3, 1], method=CAM)
    logits = net.eval()(x)[[0, 1], [3, 1]] - net.fc.bias[[3, 1]]
    assert_close(found.mean((1, 2)), logits.detach())


def test_targets_add_up_and_a_relu_behind_the_layer_belongs_to_the_maps():
    net, x = Plain(), torch.rand(2, 3, 12, 16)
    one, other = (vlx.explain_model(net, x, index, "cnn.4", method=CAM) for index in (1, 2))
    assert_close(vlx.explain_model(net, x, vlx.label(1) - vlx.label(2), "cnn.3", method=CAM), one - other)
    assert_close(vlx.explain_model(net, x, lambda scores: scores[:, 1].sum(), "cnn.4", method=CAM), one)


def test_a_classifier_gives_what_its_network_gives():
    net = Plain()
    model = Classifier(net, list("abcde"), Preprocess(Squash((24, 16))))
    run = model.read(small.photos((70, 90), (64, 48)))
    made = vlx.explain(run, [[vlx.label(3), vlx.label(1)], [vlx.label("c")]], "class_activation_map")
    first, last = (vlx.explain_model(net, run.below.pixels, index, method=CAM) for index in ([3, 2], 1))
    np.testing.assert_allclose(made[0].raw, torch.stack([first[0], last[0]]), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(made[1].raw, first[1:], rtol=1e-4, atol=1e-6)
    assert made[0].frame.centres == run.frames[0].centres


def test_dead_maps_give_a_map_of_zeros():
    net = Plain()
    net.cnn[3].weight.data.zero_()
    net.cnn[3].bias.data.fill_(-1)
    model = Classifier(net, list("abcde"), Preprocess(Squash((24, 16))))
    assert not vlx.explain_label(model, photo(), method=CAM).raw.any()


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16, torch.float16])
def test_other_precisions(kind):
    net, x = Head("mean"), torch.rand(2, 3, 18, 26)
    expected = vlx.explain_model(net, x, 1, "cnn", method=CAM)
    found = vlx.explain_model(net.to(kind), x.to(kind), 1, "cnn", method=CAM)
    assert found.dtype == (kind if kind is torch.float64 else torch.float32)
    assert_close(found.float(), expected, rtol=0.05, atol=0.02)


class Gated(Plain):
    """A mean that gates the maps it is of."""

    def forward(self, x: Tensor):
        maps = self.cnn(x)
        return self.fc((maps * maps.mean((2, 3), keepdim=True)).mean((2, 3)))


def behind(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), *layers)


@pytest.mark.parametrize(
    ("net", "layer", "what"),
    [
        (behind(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)), "1", "adaptive_avg_pool2d before"),
        (behind(nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten()), "1", "max_pool2d before the mean"),
        (behind(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 3)), "1", "adaptive_max_pool2d before"),
        (behind(nn.Conv2d(4, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()), "1", "conv2d before the mean"),
        (
            behind(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3)),
            "1",
            "relu behind the mean",
        ),
        (behind(nn.Flatten(), nn.Linear(784, 3)), "1", "linear before the mean"),
        (Gated(), "cnn.4", "mul of maps and of their mean"),
        (TinyViT(), "blocks.0", "layer_norm before the mean"),
    ],
)
def test_other_heads_are_refused_with_what_stands_in_the_way(net, layer, what):
    net.train()
    before = str(state(net))
    with pytest.raises(LayerError, match=f"stands {what}.*; name the layer that is averaged") as error:
        vlx.explain_model(
            net, torch.rand(1, 3, 16, 16) if layer == "1" else torch.rand(1, 3, 32, 32), 1, layer, method=CAM
        )
    assert "\n" not in str(error.value)
    assert str(state(net)) == before


def test_models_of_texts_and_maps_to_be_differentiated_are_refused():
    with pytest.raises(VlxError, match="gives a caption: this method is for classifiers alone"):
        vlx.explain_caption(Speaker(), photo(), method=CAM)
    with pytest.raises(VlxError, match="this method is for classifiers alone"):
        vlx.explain_answer(Chooser(ANSWERS, "answer"), photo(), "what is it ?", method=CAM)
    with pytest.raises(VlxError, match="cannot be differentiated"):
        vlx.explain_model(Plain(), torch.rand(1, 3, 8, 8), method=CAM, create_graph=True)


def test_it_is_known_by_name_and_not_among_those_that_serve_all():
    assert vlx.method_named("class_activation_map") is CAM
    assert CAM not in vlx.METHODS


def test_it_is_the_published_cam_of_a_real_network(shared_data):
    """GoogLeNet-CAM's own activations and weights; its class scores too."""
    from scipy.io import loadmat

    image = loadmat(shared_data / "cam" / "data_img1.mat")
    weights = torch.from_numpy(loadmat(shared_data / "cam" / "data_net.mat")["weights_LR"]).float()
    x = torch.from_numpy(image["activation_lastconv"]).float().permute(3, 2, 1, 0).contiguous()
    net = nn.Sequential(
        nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, 1000, bias=False)
    )
    net[3].weight.data = weights.T.contiguous()
    best = net(x).argmax(1)
    found = vlx.explain_model(net, x, best, "0", method=CAM)
    expected = torch.einsum("nkij,kn->nij", x, weights[:, best])
    assert_close(found, expected, rtol=1e-4, atol=1e-3)
    z = x.shape[2] * x.shape[3]
    assert_close(found, z * vlx.explain_model(net, x, best, "0", method=SIGNED), rtol=1e-4, atol=1e-3)


def test_of_a_real_squeezenet_it_is_the_channel_of_the_class(shared_data):
    import torchvision

    from vlx.adapters.files.weights import fit_weights, load_weights

    net = torchvision.models.squeezenet1_0(weights=None)
    weights = load_weights(shared_data / "squeezenet" / "squeezenet1_0_deepcomp_caffe_bgr.pth")
    fit_weights(net, weights, "squeezenet").eval()
    net.classifier[1].padding = (1, 1)
    picture = vlx.open_image(sorted((shared_data / "photos").glob("*.jpg"))[0]).resize((227, 227))
    rgb = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float()
    x = (rgb.flip(0) - torch.tensor([104.0, 117.0, 123.0])[:, None, None])[None]
    with torch.no_grad():
        maps, best = net.classifier[:3](net.features(x)), int(net(x).argmax())
    for layer in ("classifier.1", "classifier.2"):
        found = vlx.explain_model(net, x, best, layer, method=CAM)
        assert_close(found, maps[:, best], rtol=1e-4, atol=1e-4)
    z = maps[0, 0].numel()
    assert_close(
        found, z * vlx.explain_model(net, x, best, "classifier.2", method=SIGNED), rtol=1e-4, atol=1e-4
    )
    with pytest.raises(LayerError, match="stands conv2d before the mean"):
        vlx.explain_model(net, x, best, "features.12", method=CAM)
