"""HieCoAttenVQA's published models: questions answered by hierarchical co-attention (Lu et al. 2016).

A checkpoint ``model_….t7``, its ``vqa_data_prepro.json`` and a CNN make it. Images are squashed to 448
pixels: blue first, 0 to 255, less VGG's mean for VGG-19; red first, ImageNet's mean and deviation for a
ResNet. Questions are lower-cased Treebank tokens, "?" among them, left aligned and padded or clipped to
26; unknown words read as ``UNK``. Explained by default is the map that is attended, 14 x 14.
"""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from vlx.adapters.families.caffe import VGG_MEAN, load_vector_cnn, squashed
from vlx.adapters.families.hiecoatten_file import named_weights, read_checkpoint, read_vocabulary, sizes_of
from vlx.adapters.files.torch7.fields import Part
from vlx.adapters.files.torch7.reader import read_t7
from vlx.adapters.files.weights import fit_around_cnn, load_weights, ready
from vlx.adapters.nets.coattention import CoAttentionNetwork
from vlx.adapters.nets.lua import torch_modules
from vlx.adapters.nets.resnet import resnet_map
from vlx.adapters.parts.answerer import encode_questions, read_answers
from vlx.adapters.parts.resampling import torch7
from vlx.adapters.parts.vocabulary import Vocabulary
from vlx.errors import CheckpointError, LayerError
from vlx.images.preprocess import Preprocess, Squash, stack_images
from vlx.passes.forward import Pass
from vlx.passes.prepare import prepared
from vlx.passes.site import Layer, find_layer

VGG = squashed(448, VGG_MEAN)
"""The authors' images for VGG-19: blue first, 0 to 255, less VGG's mean."""
RESIDUAL = Preprocess(Squash((448, 448)), resample=torch7)
"""The authors' images for a ResNet: red first, 0 to 1, ImageNet's mean and deviation."""


class HieCoAtten:
    """A VQA model that attends to the question and the image together, at three levels.

    ``layer`` is a layer of the CNN, by name or index; by default the feature map that is attended:
    pool5 of VGG-19, the last stage of a ResNet, 14 x 14 at 448 pixels. Questions longer than the
    network reads are clipped, as in training.
    """

    def __init__(
        self,
        network: CoAttentionNetwork,
        vocabulary: Vocabulary,
        answers: Sequence[str],
        preprocess: Preprocess,
        *,
        layer: Layer | None = None,
        name: str = "hiecoatten",
    ) -> None:
        self.network = network
        self.vocabulary = vocabulary
        self.answers = tuple(answers)
        self.preprocess = preprocess
        self.longest: int | None = network.steps
        self.name = name
        names = [name for name, _ in network.cnn.named_children()]
        if layer is None and not names:
            raise LayerError(
                f"{type(network.cnn).__name__} has no layers: give a CNN whose last one gives a map"
            )
        self.layer, self.module = find_layer(network.cnn, names[-1] if layer is None else layer)

    def at(self, layer: Layer) -> "HieCoAtten":
        """The same model, explained at another layer."""
        return HieCoAtten(
            self.network, self.vocabulary, self.answers, self.preprocess, layer=layer, name=self.name
        )

    def read(self, images: Sequence[Image.Image], questions: Sequence[str]) -> Pass:
        """Score every answer to one question for each image."""
        return read_answers(self, images, questions)

    def attention(
        self, images: Sequence[Image.Image], questions: Sequence[str]
    ) -> Float[Tensor, "3 batch row col"]:
        """The share of attention of each place of the feature map: by words, by phrases, by the question."""
        pixels, _ = stack_images(self.preprocess, images, next(self.network.parameters()))
        ids, lengths, _ = encode_questions(self, images, questions)
        with prepared(self.network), torch.no_grad():
            features = self.network.cnn(pixels)
            levels = self.network.levels(features, *self.network.asked(ids, lengths))
        return torch.stack([level.places for level in levels]).unflatten(2, features.shape[2:])


def spread_of(attention: Float[Tensor, "*lead row col"]) -> Float[Tensor, "*lead"]:
    """How widely attention is spread: its effective number of places over all places, from 0 to 1.

    The check of a loaded file: weights in their right places attend to few of them (well below 1),
    weights in wrong places to nearly all alike.
    """
    shares = attention.flatten(-2)
    return torch.special.entr(shares).sum(-1).exp() / shares.shape[-1]


def load_hiecoatten(
    checkpoint: str | Path,
    vocabulary: str | Path,
    cnn: str | Path | nn.Module,
    *,
    layer: Layer | None = None,
    device: str = "cpu",
) -> HieCoAtten:
    """Load the published model: its ``.t7``, its ``vqa_data_prepro.json``, and the CNN it looks through.

    ``cnn`` is a file of VGG-19 (``.caffemodel``, or weights in torchvision's names), one of a ResNet
    (``.t7`` of fb.resnet.torch, or weights in torchvision's names), or a module whose last child gives
    the feature map, which becomes a frozen part of the model. That the files go together is told by
    their sizes, and on images by `HieCoAtten.attention` and `spread_of`. Raises CheckpointError for a
    file that is damaged, of another kind, or of another training.
    """
    questions, answers = read_vocabulary(vocabulary)
    vectors, options = read_checkpoint(checkpoint)
    words, source = len(questions.names), str(checkpoint)
    sizes = sizes_of(vectors, words, len(answers), options.attention, source)
    # Where the checkpoint does not say what it looks through, the number of channels does.
    residual = (options.features or ("Residual" if sizes.features == 2048 else "VGG")) == "Residual"
    eye = cnn if isinstance(cnn, nn.Module) else ready(load_eye(cnn, residual=residual), device)
    with torch.device("meta"):
        network = CoAttentionNetwork(
            eye, sizes.features, words, len(answers), variant=sizes.variant, hidden=sizes.hidden,
            last=sizes.last, layers=sizes.layers, steps=options.steps,
        )  # fmt: skip
    fit_around_cnn(network, named_weights(vectors, sizes, words, len(answers)), source)
    network.to(device).eval().requires_grad_(False)
    prepare = RESIDUAL if residual else VGG
    model = HieCoAtten(
        network, questions, answers, prepare, layer=layer, name=f"hiecoatten/{Path(checkpoint).stem}"
    )
    channels = _channels(model)
    if channels != sizes.features:
        raise CheckpointError(
            f"{source} attends to maps of {sizes.features} channels if its words are the {words - 1} of "
            f"{vocabulary}, but the CNN gives {channels}: one of the two is not of its training"
        )
    return model


def load_eye(path: str | Path, *, residual: bool) -> nn.Sequential:
    """Read VGG-19 up to ``pool5``, or a ResNet up to the map before its average.

    Raises CheckpointError for a file of another network.
    """
    if residual and Path(path).suffix == ".t7":
        network = Part(read_t7(path), f"{path} is no ResNet of fb.resnet.torch")
        return torch_modules(network, before="SpatialAveragePooling")
    if residual:
        return resnet_map(load_weights(path), str(path))
    layers = dict(load_vector_cnn(path).network.named_children())
    if "relu5_4" not in layers:
        raise CheckpointError(f"{path} is no VGG-19: it has no layer conv5_4")
    names = list(layers)[: list(layers).index("pool5") + 1]
    return nn.Sequential(OrderedDict((name, layers[name]) for name in names))


def _channels(model: HieCoAtten) -> int:
    """Of the map that the CNN gives."""
    with prepared(model.network), torch.no_grad():
        grey = torch.zeros(1, 3, 64, 64).to(next(model.network.parameters()))
        return model.network.cnn(grey).shape[1]
