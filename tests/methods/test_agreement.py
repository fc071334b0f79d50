"""Agreement with what others published: CAM where the head is a global average, captum, pytorch-grad-cam."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from scipy.io import loadmat
from torch import Tensor, nn

import vlx
from vlx.adapters.files.weights import fit_weights, load_weights
from vlx.adapters.parts.classifier import Classifier
from vlx.images.frame import Frame
from vlx.images.preprocess import Preprocess, ShortSide
from vlx.passes.reading import Reading, choices_of

SIGNED = vlx.grad_cam_with(rectify=False)


def classified(network: nn.Module, pixels: Tensor, layer: str, classes: int) -> vlx.Pass:
    """A Pass of a classifier on given input of any number of channels."""
    with vlx.capture(network, layer) as seen:
        logits = network(pixels)[:, None]
    size, of_colours = (pixels.shape[2], pixels.shape[3]), pixels.shape[1] == 3
    reading = Reading("label", (), choices_of("label", [f"class {c}" for c in range(classes)]))
    return vlx.Pass(
        seen.features,
        logits,
        (reading,) * len(pixels),
        (Frame.resized(size, size),) * len(pixels),
        (Image.new("RGB", size[::-1]),) * len(pixels),
        below=vlx.Below(pixels, lambda given: vlx.output_at(network, layer, given)) if of_colours else None,
        quantity="logit",
    )


def maps(network: nn.Module, pixels: Tensor, layer: str, target: int, method: vlx.Method) -> np.ndarray:
    classes = network(pixels[:1]).shape[1]
    found = vlx.explain(classified(network, pixels, layer, classes), [vlx.label(target)], method)
    return np.stack([result.raw[0] for result in found])


def assert_near(found: np.ndarray, expected: Tensor | np.ndarray, beside: float = 1e-5) -> None:
    """Equal to within a share of the largest value, which is not 0."""
    expected = np.asarray(torch.as_tensor(expected).detach())
    largest = np.abs(expected).max()
    assert largest > 0
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=beside * largest)


def pooled(seed: int) -> nn.Sequential:
    """Convolutions, a global average and one linear layer: the networks that CAM is made for."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 9, 3, 1, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(9, 4),
    ).double().eval()  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_grad_cam_is_cam_by_the_number_of_places(seed):
    """Section 3.1: alpha is w / Z, and the places of CAM average to the logit."""
    network, pixels = pooled(seed), torch.randn(2, 3, 18, 26).double()
    with torch.no_grad():
        cam = torch.einsum("bkij,k->bij", network[:4](pixels), network[6].weight[2])
        logit = network(pixels)[:, 2]
    assert cam.shape == (2, 9, 13)
    torch.testing.assert_close(cam.mean((1, 2)) + network[6].bias[2].detach(), logit)
    assert_near(maps(network, pixels, "3", 2, SIGNED), cam / (9 * 13))
    assert_near(maps(network, pixels, "3", 2, vlx.grad_cam), cam.relu() / (9 * 13))


def test_grad_cam_is_the_published_cam_of_a_real_network(shared_data):
    """GoogLeNet-CAM on ten crops: its published activations, last weights and scores."""
    image = loadmat(shared_data / "cam" / "data_img1.mat")
    weights = loadmat(shared_data / "cam" / "data_net.mat")["weights_LR"]
    features = torch.from_numpy(image["activation_lastconv"].transpose(3, 2, 1, 0).copy())
    head = nn.Sequential(nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, 1000, False))
    head[3].weight.data = torch.from_numpy(weights.T.copy())
    scores = torch.softmax(head(features), 1).detach().numpy()
    np.testing.assert_allclose(scores, image["scores"][0, 0].T, atol=1e-3)
    best = int(scores.mean(0).argmax())
    cam = torch.einsum("bkij,k->bij", features, torch.from_numpy(weights[:, best]))
    assert cam.shape == (10, 14, 14)
    assert_near(maps(head, features, "0", best, SIGNED), cam / 196)
    assert_near(maps(head, features, "0", best, vlx.grad_cam), cam.relu() / 196)


def test_maps_of_a_real_squeezenet_worked_from_its_class_maps(shared_data):
    """y is the mean of the class's rectified map: the map itself over Z, and its gradient below."""
    network = torchvision.models.squeezenet1_0(weights=None)
    weights = load_weights(shared_data / "squeezenet" / "squeezenet1_0_deepcomp_caffe_bgr.pth")
    fit_weights(network, weights, "squeezenet").eval()
    network.classifier[1].padding = (1, 1)
    caffe = Preprocess(
        ShortSide(256), (227, 227), (104.0, 117.0, 123.0), (1.0, 1.0, 1.0), 255.0, channels="BGR"
    )
    names = [f"class {index}" for index in range(1000)]
    with Image.open(sorted((shared_data / "photos").glob("*.jpg"))[0]) as photo:
        model = Classifier(network, names, caffe, layer="classifier.2")
        run = model.read([photo.convert("RGB")])
        best = int(run.scores[0, 0].argmax())
        assert torch.softmax(run.scores[0, 0], 0).max() > 0.1  # far from 1 / 1000: a working network
        with torch.no_grad():
            features = network.features(run.below.pixels)
            linear = F.conv2d(features, network.classifier[1].weight, None, padding=1)[:, best]
            class_map = network.classifier[2](network.classifier[1](features))[:, best]
        places = class_map[0].numel()
        assert_near(vlx.explain(run, [vlx.label(best)])[0].raw, class_map / places)
        below = Classifier(network, names, caffe, layer="features").read([photo.convert("RGB")])
    hires = (linear * (class_map > 0)).relu() / places  # what the features add where the map is positive
    inside = hires[:, 1:-1, 1:-1]  # the outermost places see padding alone
    assert_near(vlx.explain(below, [vlx.label(best)], vlx.hires_cam)[0].raw, inside, 1e-4)


NETWORKS = {"resnet18": "layer4", "mobilenet_v3_small": "features.8", "squeezenet1_1": "features.10"}


def random_network(name: str) -> nn.Module:
    torch.manual_seed(0)
    return torchvision.models.get_model(name, weights=None, num_classes=5).double().eval()


@pytest.mark.parametrize(("name", "layer"), NETWORKS.items())
def test_grad_cam_equals_captum(name, layer):
    captum = pytest.importorskip("captum.attr")
    network, pixels = random_network(name), torch.randn(2, 3, 96, 64).double()
    theirs = captum.LayerGradCam(network, network.get_submodule(layer))
    for rectify, method in ((False, SIGNED), (True, vlx.grad_cam)):
        expected = theirs.attribute(pixels, target=3, relu_attributions=rectify)[:, 0]
        assert_near(maps(network, pixels, layer, 3, method), expected)


@pytest.mark.parametrize("name", ["squeezenet1_1", "alexnet"])
@pytest.mark.parametrize("kind", ["GuidedBackprop", "Deconvolution"])
def test_guided_maps_equal_captum_where_every_relu_is_a_module(kind, name):
    captum = pytest.importorskip("captum.attr")
    network, pixels = random_network(name), torch.randn(2, 3, 64, 96).double()
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False  # its backward hooks do not work on layers in place
    with pytest.warns(UserWarning, match="Setting backward hooks"):
        expected = getattr(captum, kind)(network).attribute(pixels.clone().requires_grad_(), target=3)
    method = {"GuidedBackprop": vlx.guided_backprop, "Deconvolution": vlx.deconvolution}[kind]
    assert_near(maps(network, pixels, "features", 3, method), expected)
    plain = maps(network, pixels, "features", 3, vlx.gradient)
    assert np.abs(plain - expected.detach().numpy()).max() > 0.01 * np.abs(plain).max()


def library(kind: str, network: nn.Module, layer: str, pixels: Tensor, target: int) -> Tensor:
    """The rectified map of pytorch-grad-cam before it is stretched to 0..1 and resized."""
    package = pytest.importorskip("pytorch_grad_cam")
    wanted = package.utils.model_targets.ClassifierOutputTarget(target)
    module = network.get_submodule(layer)
    cam = getattr(package, kind)(network, [module])
    cam(pixels, [wanted] * len(pixels))
    seen = cam.activations_and_grads
    activations, slopes = seen.activations[0].numpy(), seen.gradients[0].numpy()
    raw = cam.get_cam_image(pixels, module, [wanted], activations, slopes, False)
    seen.release()
    network.zero_grad()
    return torch.from_numpy(raw).relu()


KINDS = {
    "GradCAM": vlx.grad_cam,
    "HiResCAM": vlx.hires_cam,
    "GradCAMPlusPlus": vlx.grad_cam_pp,
    "XGradCAM": vlx.xgrad_cam,
    "LayerCAM": vlx.layer_cam,
}


def scaled(network: nn.Sequential, factor: float) -> nn.Sequential:
    """The same network with its last layer, and so every gradient, multiplied."""
    with torch.no_grad():
        network[-1].weight.mul_(factor)
    return network


@pytest.mark.parametrize(("kind", "method"), KINDS.items())
@pytest.mark.parametrize("seed", range(2))
def test_maps_equal_pytorch_grad_cam(kind, method, seed):
    """With gradients so large that the constants it adds to denominators do not matter."""
    network, pixels = scaled(pooled(seed), 1e4), torch.randn(2, 3, 18, 26).double()
    for layer in ("1", "3"):
        assert_near(maps(network, pixels, layer, 2, method), library(kind, network, layer, pixels, 2))
