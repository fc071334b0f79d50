"""HieCoAttenVQA's published models: questions answered by hierarchical co-attention (Lu et al. 2016).

A checkpoint ``model_….t7``, its ``vqa_data_prepro.json`` and a CNN make it. Images are squashed to 448
pixels: blue first, 0 to 255, less VGG's mean for VGG-19; red first, ImageNet's mean and deviation for a
ResNet. Questions are lower-cased Treebank tokens, "?" among them, left aligned and padded or clipped to
26; unknown words read as ``UNK``. Explained by default is the map that is attended, 14 x 14.
"""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from vlx.adapters.families.hiecoatten_weights import VECTORS, named_weights, read_checkpoint, sizes_of
from vlx.adapters.files.source import read_json
from vlx.adapters.files.states import read_state
from vlx.adapters.files.torch7.fields import Field
from vlx.adapters.files.torch7.reader import read_t7
from vlx.adapters.files.weights import fit_around_cnn, ready
from vlx.adapters.nets.coattention import CoAttentionNetwork
from vlx.adapters.nets.lua import torch_modules
from vlx.adapters.nets.resnet import TELLING, resnet_map
from vlx.adapters.parts.caffe_cnn import VGG19_FILE, VGG_MEAN, load_vector_cnn, squashed
from vlx.adapters.parts.checkpoint import Checkpoint, Contents, File, Need, short_text, whole_numbers
from vlx.adapters.parts.coattention import CoAttentionAnswerer
from vlx.adapters.parts.resampling import torch7
from vlx.adapters.parts.vocabulary import Vocabulary, treebank_tokens
from vlx.errors import CheckpointError
from vlx.images.preprocess import Preprocess, Squash
from vlx.passes.prepare import prepared
from vlx.passes.site import Layer

VGG = squashed(448, VGG_MEAN)
"""The authors' images for VGG-19: blue first, 0 to 255, less VGG's mean."""
RESIDUAL = Preprocess(Squash((448, 448)), resample=torch7)
"""The authors' images for a ResNet: red first, 0 to 1, ImageNet's mean and deviation."""

TEXTS = File("vqa_data_prepro.json", ("vqa_data_prepro*.json",), "its words and answers")
RESNET_FILE = File("resnet-200.t7", ("resnet-200.t7",), "its CNN")
FILES = (
    File("model….t7", ("model*.t7",), "its weights"),
    TEXTS,
    File(f"{VGG19_FILE.name} or {RESNET_FILE.name}", ("*.caffemodel", "resnet*.t7", "*.pth"), "its CNN"),
)


def load_hiecoatten(
    checkpoint: str | Path,
    vocabulary: str | Path,
    cnn: str | Path | nn.Module,
    *,
    layer: Layer | None = None,
    device: str = "cpu",
) -> CoAttentionAnswerer:
    """Load the published model: its ``.t7``, its ``vqa_data_prepro.json``, and the CNN it looks through.

    ``cnn`` is a file of VGG-19 (``.caffemodel``, or weights in torchvision's names), one of a ResNet
    (``.t7`` of fb.resnet.torch, or weights in torchvision's names), or a module whose last child gives
    the feature map, which becomes a frozen part of the model. That the files go together is told by
    their sizes, and on images by `CoAttentionAnswerer.attention` and `spread_of`. Raises CheckpointError
    for a file that is damaged, of another kind, or of another training.
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
    model = CoAttentionAnswerer(
        network, questions, answers, prepare, layer=layer, name=f"hiecoatten/{Path(checkpoint).stem}"
    )
    channels = _channels(model)
    if channels != sizes.features:
        raise CheckpointError(
            f"{source} attends to maps of {sizes.features} channels if its words are the {words - 1} of "
            f"{vocabulary}, but the CNN gives {channels}: one of the two is not of its training"
        )
    return model


def detect(held: Contents) -> Checkpoint | None:
    """The four vectors, and the options of training beside them."""
    options = held.table.get("lmOpt")
    if held.lengths(*VECTORS) is None or not isinstance(options, dict):
        return None
    sizes = whole_numbers(options, hidden="hidden_size", layers="num_layers", words="seq_length")
    vocabulary = whole_numbers(options, words="vocab_size").get("words")
    cnn = RESNET_FILE if short_text(options, "feature_type") == "Residual" else VGG19_FILE
    attention = short_text(options, "atten_type")
    name = f"HieCoAtten ({attention})" if attention else "HieCoAtten"
    return Checkpoint(name, vocabulary, sizes, (Need(TEXTS, vocabulary), Need(cnn)))


def read_vocabulary(path: str | Path) -> tuple[Vocabulary, tuple[str, ...]]:
    """Words and answers of ``vqa_data_prepro.json``, which numbers both from 1; word 0 is padding."""
    facts = read_json(path, "file of words")
    words, answers = _numbered(facts, "ix_to_word", path), _numbered(facts, "ix_to_ans", path)
    unknown = words.index("UNK") + 1 if "UNK" in words else None
    return Vocabulary(("PAD", *words), 0, 0, unknown, treebank_tokens), answers


def load_eye(path: str | Path, *, residual: bool) -> nn.Sequential:
    """Read VGG-19 up to ``pool5``, or a ResNet up to the map before its average.

    Raises CheckpointError for a file of another network.
    """
    if residual and Path(path).suffix == ".t7":
        network = Field(read_t7(path), f"{path} is no ResNet of fb.resnet.torch")
        return torch_modules(network, before="SpatialAveragePooling")
    if residual:
        return resnet_map(read_state(path, TELLING), str(path))
    layers = dict(load_vector_cnn(path).network.named_children())
    if "relu5_4" not in layers:
        raise CheckpointError(f"{path} is no VGG-19: it has no layer conv5_4")
    names = list(layers)[: list(layers).index("pool5") + 1]
    return nn.Sequential(OrderedDict((name, layers[name]) for name in names))


def _channels(model: CoAttentionAnswerer) -> int:
    """Of the map that the CNN gives."""
    with prepared(model.network), torch.no_grad():
        grey = torch.zeros(1, 3, 64, 64).to(next(model.network.parameters()))
        return model.network.cnn(grey).shape[1]


def _numbered(facts: Any, key: str, path: str | Path) -> tuple[str, ...]:
    table: Any = facts.get(key) if isinstance(facts, Mapping) else None
    if not isinstance(table, Mapping) or not table:
        raise CheckpointError(f"{path} does not say {key}: give the model's vqa_data_prepro.json")
    named = cast(Mapping[Any, Any], table)
    names = [named.get(str(number)) for number in range(1, len(named) + 1)]
    if not all(isinstance(name, str) for name in names):
        raise CheckpointError(f"{path} does not number {key} from 1 to {len(named)}")
    return tuple(cast(list[str], names))
