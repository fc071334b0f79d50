"""Full-size captioners on random weights, and the same work done with vlx and with other libraries."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import vlx
from vlx.adapters.nets.backbones import torchvision_network, without_classifier
from vlx.adapters.nets.recurrent import caption_network
from vlx.adapters.parts.captioner import CNNLSTMCaptioner
from vlx.adapters.parts.vocabulary import Vocabulary
from vlx.images.preprocess import AsIs, Preprocess

WORDS = 12
VOCABULARY = 10_001
Work = Callable[[], object]


@dataclass(frozen=True, eq=False)
class Subject:
    """A captioner with an image and a caption of 12 words."""

    name: str
    model: CNNLSTMCaptioner
    image: Image.Image
    text: str
    pixels: Tensor
    ids: Tensor
    module: nn.Module


SUBJECTS = {
    "VGG-16, neuraltalk2 head": ("vgg16", 4096, True, 224),
    "ResNet-50, neuraltalk2 head": ("resnet50", 2048, True, 224),
    "Inception v3, Show and Tell head": ("inception_v3", 2048, False, 299),
}


def subject(name: str, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Subject:
    """Build one of the subjects, on a device and in a precision."""
    network_name, features, rectified, side = SUBJECTS[name]
    torch.manual_seed(0)
    cnn = without_classifier(torchvision_network(network_name)).eval()
    network = caption_network(cnn, features, VOCABULARY, rectified=rectified).eval().to(device, dtype)
    names = ["END", *(f"w{i}" for i in range(1, VOCABULARY))]
    model = CNNLSTMCaptioner(network, Vocabulary(names, 0, 0), Preprocess(AsIs()), name=name)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8))
    ids = [1 + 17 * t for t in range(WORDS)]
    module = cnn.get_submodule(model.layer)
    return Subject(
        name, model, image, " ".join(f"w{i}" for i in ids),
        model.preprocess(image)[0][None].to(device, dtype), torch.tensor([ids], device=device), module,
    )  # fmt: skip


class WordScores(nn.Module):
    """Pixels in, the log-probabilities of the caption's words out: a classifier for other libraries."""

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self.network = subject.model.network
        self.ids = subject.ids

    def forward(self, pixels: Tensor) -> Tensor:
        logits = self.network(pixels, self.ids.expand(len(pixels), -1))[:, :WORDS]
        return torch.log_softmax(logits, -1).gather(2, self.ids.expand(len(pixels), -1)[..., None])[..., 0]


def bare(subject: Subject) -> Work:
    """One forward without gradients."""

    @torch.no_grad()
    def run() -> object:
        return subject.model.network(subject.pixels, subject.ids)

    return run


def ours(subject: Subject, targets: list[vlx.Target], method: vlx.Method = vlx.grad_cam) -> Work:
    """From the image to raw maps, through the public API."""

    def run() -> object:
        return vlx.explain(subject.model.read([subject.image], [subject.text]), targets, method)

    return run


METHODS = (vlx.grad_cam, vlx.hires_cam, vlx.grad_cam_pp, vlx.layer_cam, vlx.xgrad_cam)
"""Methods on the feature map that are compared with one another."""


def one_call(subject: Subject, method: vlx.Method | Sequence[vlx.Method]) -> object:
    """Every word of the caption by one method or several."""
    given = list(method) if isinstance(method, Sequence) else [method]
    return vlx.explain_caption(
        subject.model, subject.image, subject.text, words=list(range(WORDS)), method=given
    )


def words() -> list[vlx.Target]:
    """Every word."""
    return [vlx.word(position) for position in range(WORDS)]


def pytorch_grad_cam(subject: Subject, count: int) -> Work:
    """One call for each word: its targets are picked one at a time from the model's output."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    wrapped = WordScores(subject).eval()

    def run() -> object:
        with GradCAM(model=wrapped, target_layers=[subject.module]) as cam:
            return [
                cam(input_tensor=subject.pixels, targets=[ClassifierOutputTarget(t)]) for t in range(count)
            ]

    return run


def captum(subject: Subject, count: int) -> Work:
    """One attribution for each word, at the layer."""
    from captum.attr import LayerGradCam

    cam = LayerGradCam(WordScores(subject).eval(), subject.module)
    pixels = subject.pixels

    def run() -> object:
        return [cam.attribute(pixels, target=t, relu_attributions=True) for t in range(count)]

    return run


def torch_cam(subject: Subject, count: int) -> Work:
    """One forward, then one retained-graph extraction for each word."""
    from torchcam.methods import GradCAM

    wrapped = WordScores(subject).eval()

    def run() -> object:
        # Its hooks want gradients from the input on.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            extractor = GradCAM(wrapped, subject.module)
            scores = wrapped(subject.pixels.clone().requires_grad_())
            maps = [extractor(t, scores, retain_graph=True, normalized=False) for t in range(count)]
            extractor.remove_hooks()
        return maps

    return run


RIVALS = {"pytorch-grad-cam": pytorch_grad_cam, "captum": captum, "torch-cam": torch_cam}
