"""Caffe's networks: model files written in both layouts, read, and compared with the layers written out."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import Tensor

import vlx
from tests.adapters import caffe_nets, small
from tests.adapters.caffe_nets import Caffe, Run
from tests.adapters.conformance import CHECKS, SIGNED, Case, check_patch
from tests.adapters.files.caffe_writer import write_caffemodel
from tests.adapters.files.refusals import checked_refusal
from vlx.adapters.families.caffe import load_caffe
from vlx.adapters.files.weights import fit_weights, load_weights
from vlx.adapters.parts.caffe_cnn import CAFFE_MEAN, VGG_MEAN, load_vector_cnn
from vlx.adapters.parts.classifier import Classifier
from vlx.adapters.parts.resampling import torch7
from vlx.errors import LayerError
from vlx.images.preprocess import stack_images

PHOTOS = small.photos((80, 90), (97, 64))
NETS: dict[str, tuple[Run, int, str, str, tuple[int, int]]] = {
    "vgg16": (caffe_nets.vgg, 64, "relu5_3", "conv5_3", (4, 4)),
    "vgg19": (caffe_nets.vgg19, 32, "relu5_4", "conv5_4", (2, 2)),
    "alexnet": (caffe_nets.alexnet, 227, "relu5", "conv5", (13, 13)),
    "caffenet": (caffe_nets.caffenet, 227, "relu5", "conv5", (13, 13)),
    "googlenet": (caffe_nets.googlenet, 224, "inception_5b.output", "inception_5b/output", (7, 7)),
    "squeezenet": (caffe_nets.squeezenet, 227, "relu_conv10", "conv10", (15, 15)),
}
"""The network, its side, the layer to explain here and in Caffe (whose ReLUs write over), and its places."""
nets = pytest.mark.parametrize("name", NETS)


def made(name: str) -> Caffe:
    """A network that has met an image of its size, and so has weights."""
    net = Caffe()
    NETS[name][0](net, torch.zeros(1, 3, NETS[name][1], NETS[name][1]))
    return net


def written(folder: Path, net: Caffe, **given: Any) -> Path:
    return write_caffemodel(folder / "mine.caffemodel", net.layers(), **given)


def loaded(path: Path, **given: Any) -> Classifier:
    """In double precision, so that no sum's order matters."""
    model = load_caffe(path, **given)
    model.network.double()
    return model


@pytest.mark.parametrize("name", ["alexnet", "googlenet", "squeezenet"])
@pytest.mark.parametrize("check", CHECKS)
def test_conforms(check, name, tmp_path):
    """SqueezeNet at a layer below its last, above which nothing is left to record."""
    layer = {
        "squeezenet": "fire9/concat",
        "googlenet": "inception_3b/output" if check is check_patch else None,
    }
    model = loaded(written(tmp_path, made(name)), layer=layer.get(name))
    check(Case(model, model.network, PHOTOS, beside=1e-8))


@nets
@pytest.mark.parametrize("v1", [True, False])
def test_scores_and_maps_are_those_of_its_layers(v1, name, tmp_path):
    run_layers, side, layer, top, places = NETS[name]
    net = made(name)
    model = loaded(written(tmp_path, net, v1=v1))
    assert model.layer == layer
    pixels, _ = stack_images(model.preprocess, PHOTOS, torch.zeros(1).double())
    assert pixels.shape[2:] == (side, side)
    expected = run_layers(net, pixels.requires_grad_())
    run = model.read(PHOTOS)
    assert run.features.shape[2:] == places
    torch.testing.assert_close(run.features.detach(), net.tops[top].detach(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(run.scores[:, 0].detach(), expected.detach(), rtol=1e-9, atol=1e-9)
    assert expected.std() > 0
    found = vlx.explain(run, [vlx.label(4)], SIGNED)
    (slope,) = torch.autograd.grad(expected[:, 4].sum(), net.tops[top])
    planes = (slope.mean((2, 3), keepdim=True) * net.tops[top]).sum(1).detach()
    for result, plane in zip(found, planes, strict=True):
        np.testing.assert_allclose(
            result.raw[0], plane, rtol=1e-5, atol=1e-6 * float(plane.abs().max() + 1e-9)
        )


def test_alexnet_and_caffenet_differ_by_what_comes_first(tmp_path):
    """The same weights; the order of the file's layers tells which of the two it is."""
    alex, reference = made("alexnet"), made("caffenet")
    reference.blobs = alex.blobs
    scores = []
    for name, net in (("alexnet", alex), ("caffenet", reference)):
        (tmp_path / name).mkdir()
        scores.append(loaded(written(tmp_path / name, net)).read(PHOTOS).scores.detach())
    assert (scores[0] - scores[1]).abs().max() > 1e-3 * scores[0].abs().max()


@nets
def test_images_are_prepared_as_in_the_demo_of_the_paper(name, tmp_path):
    model = load_caffe(written(tmp_path, made(name)))
    side, mean = NETS[name][1], CAFFE_MEAN if name in ("googlenet", "squeezenet") else VGG_MEAN
    for image in PHOTOS:
        pixels = torch7(np.asarray(image, np.float32), (side, side))[..., ::-1] - np.array(mean)
        found, frame = model.preprocess(image)
        torch.testing.assert_close(
            found.double(), torch.from_numpy(pixels).permute(2, 0, 1), rtol=0, atol=1e-3
        )
        assert frame.box == (0.0, 0.0, float(image.height), float(image.width))


def test_the_published_vgg_asks_for_224_pixels(tmp_path):
    net = Caffe()
    caffe_nets.vgg(net, torch.zeros(1, 3, 224, 224))
    model = load_caffe(written(tmp_path, net))
    assert model.read(PHOTOS[:1]).features.shape[2:] == (14, 14)
    check_patch(Case(model, model.network, PHOTOS, beside=1e-4))


def test_classes_have_names(tmp_path):
    path = written(tmp_path, made("alexnet"))
    assert load_caffe(path).labels == tuple(f"class {index}" for index in range(6))
    path.with_suffix(".labels.txt").write_text("a\nb\nc\nd\ne\ntiger cat\n", encoding="utf-8")
    model = load_caffe(path)
    assert vlx.explain_label(model, PHOTOS[0], ["tiger cat"]).map("tiger cat").shape == (80, 90)
    assert model.name == "caffe/mine"
    net = Caffe()
    caffe_nets.alexnet(net, torch.zeros(1, 3, 67, 67))
    net.blobs["fc8"] = [torch.zeros(1000, 8), torch.zeros(1000)]
    (tmp_path / "whole").mkdir()
    assert load_caffe(written(tmp_path / "whole", net)).labels[281:283] == ("tabby", "tiger cat")


def test_layers_by_caffes_name_and_by_index(tmp_path):
    path = written(tmp_path, made("googlenet"))
    for layer in ("inception_5b/output", "inception_5b.output"):
        assert load_caffe(path, layer=layer).layer == "inception_5b.output"
    assert load_caffe(path, layer="inception_4c/3x3").read(PHOTOS[:1]).features.shape[1:] == (4, 14, 14)
    assert load_caffe(path, layer=0).layer == "conv1.7x7_s2"
    with pytest.raises(
        LayerError, match=r"no layer 'inception_5c\.output' .*near names: inception_5b\.output"
    ):
        load_caffe(path, layer="inception_5c/output")


@pytest.mark.parametrize(
    ("name", "finer"),
    [("vgg16", "relu4_3"), ("alexnet", "relu2"), ("googlenet", "inception_4e"), ("squeezenet", "fire8")],
)
def test_layers_by_where_they_stand(name, finer, tmp_path):
    path = written(tmp_path, made(name))
    assert load_caffe(path, layer="last").layer == load_caffe(path).layer == NETS[name][2]
    assert load_caffe(path, layer="last/2").layer == finer


def test_classifiers_that_serve_training_are_left_out(tmp_path):
    net = made("googlenet")
    path = written(tmp_path, net)
    scores = load_caffe(path).read(PHOTOS).scores.detach()
    net.order += ["loss1/conv", "loss2/classifier"]
    net.blobs |= {
        "loss1/conv": [torch.ones(2, 2, 1, 1), torch.ones(2)],
        "loss2/classifier": [torch.ones(2, 2)],
    }
    assert torch.equal(load_caffe(written(tmp_path, net)).read(PHOTOS).scores.detach(), scores)


@pytest.mark.parametrize("name", ["vgg16", "vgg19", "alexnet", "caffenet"])
def test_the_vector_of_a_network_is_its_rectified_fc7(name, tmp_path):
    net = made(name)
    cnn = load_vector_cnn(written(tmp_path, net))
    pixels = 50 * torch.randn(2, 3, NETS[name][1], NETS[name][1])
    NETS[name][0](net, pixels)
    torch.testing.assert_close(cnn.network(pixels), net.tops["fc7"], rtol=1e-4, atol=1e-4)
    assert cnn.outputs == 8
    assert cnn.layer == NETS[name][2]


def changed(net: Caffe, layer: str, blobs: list[Tensor] | None) -> Caffe:
    if blobs is None:
        net.order.remove(layer)
    else:
        net.order += [layer] if layer not in net.order else []
        net.blobs[layer] = blobs
    return net


WRONG = [
    ("vgg16", "conv2_1", None, r"holds no layer 'conv2_1'; near names: .*conv2_2"),
    ("vgg16", "fc6", [torch.ones(9, 21), torch.ones(9)], r"'fc6' of 21 inputs, no square map of 5 channels"),
    ("vgg16", "fc7", [torch.ones(8, 7), torch.ones(8)], r"holds layers that do not fit one another"),
    ("vgg16", "conv1_2", [torch.ones(3, 3, 3), torch.ones(3)], r"a layer 'conv1_2' of shape \(3, 3, 3\)"),
    ("vgg16", "conv1_2", [torch.ones(3, 3, 3, 3), torch.ones(4)], r"conv1_2\.bias \(4,\) for \(3,\)"),
    ("vgg16", "conv1_2", [torch.ones(3, 3, 3, 3)], r"1 missing \(conv1_2\.bias\)"),
    ("vgg16", "conv9_9", [torch.ones(3, 3, 3, 3)], r"1 unknown \(conv9_9\.weight\)"),
    ("alexnet", "conv2", [torch.ones(7, 4, 5, 5), torch.ones(7)], r"of 7 channels, which make no 2 groups"),
    ("googlenet", "inception_3a/5x5", [torch.ones(3, 5, 5, 5), torch.ones(3)], r"do not fit one another"),
    ("squeezenet", "conv1", None, r"holds no layer 'conv1'; near names: conv10"),
    (
        "squeezenet",
        "fire9/squeeze1x1",
        None,
        r"is no VGG-16, .*SqueezeNet 1\.0: its layers are conv1,",
    ),
]


@pytest.mark.parametrize(("name", "layer", "blobs", "message"), WRONG)
def test_wrong_files_are_refused_in_one_line(name, layer, blobs, message, tmp_path):
    path = written(tmp_path, changed(made(name), layer, blobs))
    told = checked_refusal(lambda: load_caffe(path))
    assert str(path) in told
    assert re.search(message, told), told


@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.999])
def test_truncated_files_are_refused_in_one_line(share, tmp_path):
    path = written(tmp_path, made("vgg16"))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "truncated" in checked_refusal(lambda: load_caffe(path))


SEEN = {
    "106490881": "swimming trunks",
    "1287073593": "dogsled",
    "1352410176": "sandbar",
    "138718600": "mountain bike",
    "1392272228": "Kerry blue terrier",
    "1523984678": "tennis ball",
    "1773928579": "malinois",
}
"""What some photos show, as a person can see: the first number of a file's name, and a class."""


def real_squeezenet(shared_data: Path, folder: Path) -> tuple[Path, torch.nn.Module]:
    """Real weights as a caffemodel, and the same in torchvision's network with the padding of Caffe's."""
    tensors = load_weights(shared_data / "squeezenet" / "squeezenet1_0_deepcomp_caffe_bgr.pth")
    theirs = torchvision.models.squeezenet1_0(weights=None).eval()
    fit_weights(theirs, tensors, "squeezenet")
    theirs.classifier[1].padding = (1, 1)
    fires = [name for name, block in theirs.features.named_children() if hasattr(block, "squeeze")]
    names = {"features.0": "conv1", "classifier.1": "conv10"}
    for at, name in enumerate(fires, 2):
        ways = {"squeeze": "squeeze1x1", "expand1x1": "expand1x1", "expand3x3": "expand3x3"}
        names |= {f"features.{name}.{own}": f"fire{at}/{way}" for own, way in ways.items()}
    blobs: dict[str, list[Tensor]] = {}
    for key, value in tensors.items():
        blobs.setdefault(names[key.rpartition(".")[0]], []).append(value)
    return write_caffemodel(folder / "squeezenet_v1.0.caffemodel", blobs), theirs


def test_a_real_network_sees_what_photos_show(shared_data, tmp_path):
    """SqueezeNet 1.0 of Caffe: blue first, less the mean, its last convolution padded."""
    path, theirs = real_squeezenet(shared_data, tmp_path)
    model = load_caffe(path)
    red_first = replace(model.preprocess, channels="RGB", mean=model.preprocess.mean[::-1])
    swapped = Classifier(model.network, model.labels, red_first, layer="relu_conv10")
    found: dict[str, list[str]] = {"BGR": [], "RGB": []}
    for number in SEEN:
        (file,) = (shared_data / "photos").glob(f"{number}_*.jpg")
        with Image.open(file) as opened:
            photo = opened.convert("RGB")
        run = model.read([photo])
        with torch.no_grad():
            torch.testing.assert_close(run.scores[0].detach(), theirs(run.below.pixels), rtol=1e-4, atol=1e-4)
        assert run.features.shape == (1, 1000, 15, 15)
        for order, other in (("BGR", model), ("RGB", swapped)):
            found[order].append(vlx.explain_label(other, photo).targets[0].name)
    assert found["BGR"] == list(SEEN.values())
    assert sum(one == other for one, other in zip(found["RGB"], SEEN.values(), strict=True)) < 5
