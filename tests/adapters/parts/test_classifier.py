"""Classifiers: any torchvision model and layer, classes by name and index, and weight files."""

import re
import warnings
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision.models._api import WeightsEnum

import vlx
from tests.adapters import small
from tests.adapters.conformance import CHECKS, SIGNED, Case
from vlx.adapters.families.torchvision import load_torchvision
from vlx.adapters.inspect import inspect
from vlx.adapters.nets.backbones import torchvision_network
from vlx.adapters.parts.classifier import Classifier
from vlx.errors import CheckpointError, LayerError, Notice, UnknownChoice, VlxError
from vlx.images.preprocess import Preprocess, ShortSide, Squash

NAMES = ("cat", "tiger cat", "dog", "hot dog", "car")
SMALL = Preprocess(ShortSide(70), (64, 64))


def network(name: str = "squeezenet1_1", seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return torchvision_network(name, classes=len(NAMES)).eval()


def classifier(name: str = "squeezenet1_1", layer: str | int | None = None) -> Classifier:
    return Classifier(network(name).double(), NAMES, SMALL, layer=layer, name=name)


@pytest.mark.parametrize("check", CHECKS)
def test_conforms(check):
    model = classifier("shufflenet_v2_x0_5", "stage2")
    check(Case(model, model.network, small.photos((70, 90), (96, 64)), beside=1e-8))


@pytest.mark.parametrize(
    ("name", "layer", "expected"),
    [
        ("squeezenet1_1", None, "classifier.2"),
        ("squeezenet1_1", 0, "features.0"),
        ("mobilenet_v3_small", None, "features"),
        ("mobilenet_v3_small", "features.5", "features.5"),
        ("resnet18", "layer2.0.conv1", "layer2.0.conv1"),
        ("resnet18", "maxpool", "maxpool"),
        ("googlenet", "inception3a.branch2", "inception3a.branch2"),
        ("mnasnet0_5", 3, "layers.3"),
    ],
)
def test_any_layer_of_any_network(name, layer, expected):
    """The signed map is the mean gradient of an uncut backward, times the features, summed."""
    model = classifier(name, layer)
    assert model.layer == expected
    run = model.read(small.photos((70, 90)))
    (result,) = vlx.explain(run, [vlx.label(3)], SIGNED)
    kept: list[torch.Tensor] = []

    def keep(_module, _inputs, output):
        kept.append(output)
        return output.clone()

    handle = model.network.get_submodule(expected).register_forward_hook(keep)
    logit = model.network(run.below.pixels)[0, 3]
    handle.remove()
    (slope,) = torch.autograd.grad(logit, kept[0])
    plane = (slope.mean((2, 3), keepdim=True) * kept[0]).sum(1)[0].detach()
    assert plane.abs().max() > 0
    assert result.targets[0].score == pytest.approx(logit.item())
    np.testing.assert_allclose(result.raw[0], plane, rtol=1e-4, atol=1e-6 * float(plane.abs().max()))


def test_classes_by_name_and_by_index():
    model, (photo,) = classifier(), small.photos((70, 90))
    found = vlx.explain_label(model, photo, ["tiger cat", 1, "Hot Dog", 3])
    assert np.array_equal(found.raw[0], found.raw[1])
    assert np.array_equal(found.raw[2], found.raw[3])
    assert found.targets[0].score == found.targets[1].score
    every = vlx.explain_label(model, photo, list(NAMES))
    assert sum(target.probability for target in every.targets) == pytest.approx(1.0, abs=1e-6)
    best = max(every.targets, key=lambda target: target.score)
    assert vlx.explain_label(model, photo).targets == (best,)
    assert dict(every.predicted) == {target.name: target.probability for target in every.targets}


@pytest.mark.parametrize("bias", [-4.0, 0.0, 3.0])
def test_a_head_of_one_logit_has_the_probability_of_its_sigmoid(bias):
    head = nn.Linear(4, 1)
    nn.init.constant_(head.bias, bias)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    model = Classifier(net, ["sick"], SMALL, layer="1")
    found = vlx.explain_label(model, small.photos((40, 50))[0])
    share = 1 / (1 + np.exp(-found.targets[0].score))
    assert found.targets[0].probability == pytest.approx(share, rel=1e-5)
    assert found.predicted == (("sick", pytest.approx(share, rel=1e-5)),)


def test_of_several_labels_each_has_the_probability_of_its_sigmoid():
    (photo,) = small.photos((40, 50))
    one, several = (Classifier(network(), NAMES, SMALL, multi_label=many) for many in (False, True))
    assert several.at("features.1").multi_label
    found = vlx.explain_label(several, photo, list(NAMES))
    alone = vlx.explain_label(one, photo, list(NAMES))
    for target, other in zip(found.targets, alone.targets, strict=True):
        assert target.score == other.score
        assert target.probability == pytest.approx(1 / (1 + np.exp(-target.score)), rel=1e-5)
    assert np.array_equal(found.raw, alone.raw)
    assert dict(found.predicted) == {target.name: target.probability for target in found.targets}


def test_what_is_unknown_is_told():
    model, (photo,) = classifier(), small.photos((70, 90))
    with pytest.raises(UnknownChoice, match=r"no class 'tigercat' among its 5; near names: tiger cat"):
        vlx.explain_label(model, photo, ["tigercat"])
    with pytest.raises(VlxError, match="no class 5"):
        vlx.explain_label(model, photo, [5])
    with pytest.raises(LayerError, match=r"near names: .*features\.1"):
        classifier(layer="featurs.1")
    with pytest.raises(VlxError, match="4 names for 5 choices"):
        Classifier(network(), NAMES[:4], SMALL).read([photo.convert("RGB")])


def written(path, model: nn.Module, name: str):
    file = path / name
    if file.suffix == ".safetensors":
        save_file(model.state_dict(), file)
    else:
        torch.save(model.state_dict(), file)
    return str(file)


@pytest.mark.parametrize("file", ["mine.pth", "mine.safetensors"])
@pytest.mark.parametrize("name", ["squeezenet1_1", "mnasnet0_5", "shufflenet_v2_x0_5"])
def test_a_users_own_weights(name, file, tmp_path):
    """The number of classes is read from the file, their names from a file beside it."""
    model = network(name, seed=3)
    spec = f"torchvision/{name}:{written(tmp_path, model, file)}"
    loaded = vlx.load(spec)
    assert loaded.labels == tuple(f"class {index}" for index in range(5))
    assert loaded.name == f"torchvision/{name}"
    run = loaded.read(small.photos((70, 90)))
    with torch.no_grad():
        torch.testing.assert_close(
            run.scores[0, 0].detach(), model(run.below.pixels)[0], rtol=1e-4, atol=1e-5
        )
    (tmp_path / "mine.labels.txt").write_text("\n".join(NAMES), encoding="utf-8")
    assert vlx.load(spec, layer=0).labels == NAMES
    (tmp_path / "mine.labels.txt").write_text("cat\ndog\n", encoding="utf-8")
    with pytest.raises(CheckpointError, match="names 2 classes, but the weights have 5"):
        vlx.load(spec)


def test_files_without_the_counts_of_batches_are_read(tmp_path):
    model = network("shufflenet_v2_x0_5", seed=3)
    state = {key: value for key, value in model.state_dict().items() if "num_batches" not in key}
    assert len(state) < len(model.state_dict())
    torch.save(state, tmp_path / "old.pth")
    loaded = load_torchvision("shufflenet_v2_x0_5", str(tmp_path / "old.pth"))
    assert torch.equal(loaded.network.conv5[0].weight, model.conv5[0].weight)


def test_auxiliary_classifiers_in_a_file_are_left_out(tmp_path):
    model = network("googlenet")
    state = {**model.state_dict(), "aux1.fc2.bias": torch.zeros(5)}
    torch.save(state, tmp_path / "g.pth")
    loaded = load_torchvision("googlenet", str(tmp_path / "g.pth"))
    assert loaded.layer == "inception5b"
    assert torch.equal(loaded.network.fc.weight, model.fc.weight)


@pytest.mark.parametrize("name", ["squeezenet1_1", "inception_v3", "efficientnet_b1"])
def test_images_are_prepared_as_torchvision_prepares_them(name, tmp_path):
    torch.save(network(name).state_dict(), tmp_path / "w.pth")
    loaded = load_torchvision(name, str(tmp_path / "w.pth"))
    wanted = next(iter(torchvision.models.get_model_weights(name))).transforms()
    for image in small.photos((300, 417), (500, 333)):
        found, _ = loaded.preprocess(image)
        torch.testing.assert_close(found, wanted(image), atol=1e-5, rtol=0)
    assert getattr(loaded.network, "transform_input", True)


@pytest.mark.parametrize(
    ("held", "asked", "message"),
    [
        ("squeezenet1_1", "resnet18", r"holds no 'fc\.bias', so it is not a resnet18"),
        ("squeezenet1_0", "squeezenet1_1", r"as a squeezenet1_1, .*features\.0\.weight \(96, 3, 7, 7\) for"),
        ("shufflenet_v2_x1_0", "shufflenet_v2_x0_5", r"as a shufflenet_v2_x0_5, .*of another shape"),
        ("resnet18", "resnet34", r"as a resnet34, .*\d+ missing \(layer1\.2\.conv1\.weight"),
        ("resnet34", "resnet18", r"as a resnet18, .*\d+ unknown \(layer1\.2\.conv1\.weight"),
    ],
)
def test_weights_of_another_network_are_refused_in_one_line(held, asked, message, tmp_path):
    file = written(tmp_path, network(held), "w.pth")
    with pytest.raises(CheckpointError, match=message) as raised:
        load_torchvision(asked, file)
    assert "\n" not in str(raised.value)


def test_names_and_files_that_do_not_exist_are_told(tmp_path):
    with pytest.raises(VlxError, match="no classifier 'resnet19'; near names"):
        vlx.load("torchvision/resnet19")
    with pytest.raises(CheckpointError, match="no weight file"):
        vlx.load(f"torchvision/resnet18:{tmp_path}/none.pth")
    with pytest.raises(VlxError, match="no classifier 'resnet19'"):
        vlx.load(f"torchvision/resnet19:{written(tmp_path, network(), 'w.pth')}")


def test_without_a_network_the_way_out_is_told(monkeypatch):
    def offline(*_args, **_kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr(WeightsEnum, "get_state_dict", offline)
    with pytest.raises(CheckpointError, match=r"squeezenet1_1 could not be fetched .*squeezenet1_1:FILE"):
        vlx.load("torchvision/squeezenet1_1")


def test_published_weights_bring_their_classes_and_size(monkeypatch):
    torch.manual_seed(0)
    state = torchvision_network("squeezenet1_1").state_dict()
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_args, **_kwargs: state)
    loaded = vlx.load("torchvision/squeezenet1_1")
    assert len(loaded.labels) == 1000
    assert loaded.labels[281:283] == ("tabby", "tiger cat")
    assert loaded.preprocess.window == (224, 224)
    assert torch.equal(loaded.network.features[0].weight, state["features.0.weight"])


def test_a_transformer_of_torchvision_by_name_and_file(tmp_path):
    torch.manual_seed(0)
    spec = f"torchvision/vit_b_32:{written(tmp_path, network('vit_b_32'), 'vit.pth')}"
    model, (photo,) = vlx.load(spec), small.photos((70, 90))
    assert model.layer == "encoder.layers.encoder_layer_11.ln_1"
    assert vlx.explain_label(model, photo).raw.shape == (1, 7, 7)
    hidden = vlx.explain_label(model, photo, method=vlx.occlusion_with(size=112, stride=112))
    assert hidden.raw.shape == (1, 224, 224)
    assert vlx.explain_label(model.at("encoder.layers.encoder_layer_3"), photo).raw.shape == (1, 7, 7)


def grey_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, len(NAMES))
    )


def test_a_network_of_one_channel_sees_the_luminance():
    """What it is given is Pillow's grey image, normalised, where the three channels are normalised alike."""
    net, (photo,) = grey_network(), small.photos((70, 90))
    preprocess = Preprocess(Squash((32, 24)), mean=(0.13,) * 3, std=(0.31,) * 3)
    model = Classifier(net, NAMES, preprocess)
    seen: list[torch.Tensor] = []
    handle = net.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    assert model.layer == "1"
    for method in ("grad_cam", "guided_grad_cam", vlx.occlusion_with(size=8, stride=8)):
        assert vlx.explain_label(model, photo, ["dog"], method=method).raw.any()
    handle.remove()
    shown = photo.resize((24, 32), Image.Resampling.BILINEAR).convert("L")
    expected = (torch.from_numpy(np.array(shown)) / 255 - 0.13) / 0.31
    torch.testing.assert_close(seen[0][0, 0], expected.float(), atol=0.02, rtol=0)


def test_channels_that_images_do_not_have_are_told():
    with pytest.raises(VlxError, match=r"takes images of 4 channels, .* vlx\.explain_model"):
        Classifier(nn.Sequential(nn.Conv2d(4, 8, 3), nn.Flatten(), nn.Linear(8, 5)), NAMES, SMALL)

    class Own(nn.Module):
        """Makes one channel of three by itself."""

        def __init__(self) -> None:
            super().__init__()
            self.net = grey_network()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x.mean(1, keepdim=True))

    assert vlx.explain_label(Classifier(Own(), NAMES, SMALL), small.photos((70, 90))[0]).raw.any()


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda net: torch.compile(net, backend="eager")])
def test_wrapped_networks_are_unwrapped(wrap):
    net, (photo,) = grey_network(), small.photos((70, 90))
    found = vlx.explain_label(Classifier(wrap(net), NAMES, SMALL), photo)
    assert np.array_equal(found.raw, vlx.explain_label(Classifier(net, NAMES, SMALL), photo).raw)


@pytest.mark.parametrize(
    "make", [lambda s: (s, s[:, :2]), lambda s: {"logits": s}, lambda s: [s], lambda s: s[..., None]]
)
def test_networks_that_return_more_than_logits(make):
    class Returning(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = grey_network()

        def forward(self, x: torch.Tensor) -> object:
            return make(self.net(x))

    (photo,) = small.photos((70, 90))
    found = vlx.explain_label(Classifier(Returning(), NAMES, SMALL, layer="net.1"), photo, ["dog"])
    expected = vlx.explain_label(Classifier(grey_network(), NAMES, SMALL, layer="1"), photo, ["dog"])
    assert np.array_equal(found.raw, expected.raw)


def test_weights_of_a_training_are_read_and_explained(tmp_path):
    network = torchvision_network("squeezenet1_1", classes=3)
    state = network.state_dict()
    pixels = torch.rand(1, 3, 64, 64)
    wanted = network.eval()(pixels)
    (tmp_path / "runs").mkdir()
    lightning = {"state_dict": {f"model.{name}": value for name, value in state.items()}, "epoch": 3}
    torch.save(lightning, tmp_path / "runs" / "best.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "runs" / "last.ckpt")
    for file in ("runs/best.ckpt", "runs"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Notice)
            loaded = vlx.load(f"torchvision/squeezenet1_1:{tmp_path / file}")
        assert torch.allclose(loaded.network(pixels), wanted)
    assert inspect(tmp_path / "runs" / "best.ckpt").family == "torchvision/squeezenet1_1"


def test_densenets_of_their_first_publication_are_read(tmp_path):
    network = torchvision_network("densenet121", classes=3)
    today = network.state_dict()
    old = {re.sub(r"(denselayer\d+\.\w+?)(\d)\.", r"\1.\2.", name): one for name, one in today.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "w.pth")
    assert len(load_torchvision("densenet121", str(tmp_path / "w.pth")).labels) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"features.0.bias": None}, r"1 missing \(features.0.bias\)"),
        ({"head.weight": torch.ones(2)}, r"1 unknown \(head.weight\)"),
        ({"classifier.1.bias": torch.ones(4)}, "it is of 3 classes, the network of 4"),
        (
            {"classifier.1.bias": None},
            r"so it is not a squeezenet1_1: it does not fit",
        ),
    ],
)
def test_what_does_not_fit_in_a_checkpoint_is_one_line(change, said, tmp_path):
    state = {**torchvision_network("squeezenet1_1", classes=3).state_dict(), **change}
    kept = {name: value for name, value in state.items() if value is not None}
    torch.save({"model": {f"module.{name}": value for name, value in kept.items()}}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=said) as caught:
        load_torchvision("squeezenet1_1", str(tmp_path / "w.pth"))
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_say_of_which(tmp_path):
    torch.save({"net": torchvision_network("squeezenet1_0", classes=3).state_dict()}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"; it is a torchvision/squeezenet1_0$"):
        load_torchvision("squeezenet1_1", str(tmp_path / "w.pth"))
