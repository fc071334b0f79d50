"""Classifiers of torchvision, with their published ImageNet weights or a user's own."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

import torch
import torchvision
from PIL import Image
from torch import nn

from vlx.adapters.files.folders import only_file
from vlx.adapters.files.shapes import Shapes
from vlx.adapters.files.states import read_state
from vlx.adapters.files.weights import fit_weights, ready
from vlx.adapters.nets.backbones import torchvision_network
from vlx.adapters.parts.checkpoint import Checkpoint, Contents
from vlx.adapters.parts.classifier import Classifier, labels_beside
from vlx.errors import CheckpointError
from vlx.images.preprocess import Preprocess, ShortSide
from vlx.passes.site import Layer

_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # classifiers of GoogLeNet and Inception, for training

_OLD = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d)\.")
_PATTERNS = ("*.safetensors", "*.pth", "*.pt", "*.ckpt", "*.pth.tar")

_TELLING = (
    ("layer1.0.", ("resnet", "resnext", "wide_resnet")),
    ("classifier.6.", ("vgg", "alexnet")),
    ("features.*.squeeze.", ("squeezenet",)),
    ("features.denseblock1.", ("densenet",)),
    ("inception3a.", ("googlenet",)),
    ("Mixed_5b.", ("inception",)),
    ("features.1.conv.", ("mobilenet_v2",)),
    ("features.1.block.", ("mobilenet_v3",)),
    ("features.*.layer_scale", ("convnext",)),
    ("features.1.0.block.", ("efficientnet",)),
    ("stage2.0.branch1.", ("shufflenet",)),
    ("layers.16.", ("mnasnet",)),
    ("encoder.layers.encoder_layer_0.", ("vit",)),
    ("features.1.0.attn.", ("swin",)),
    ("blocks.0.layers.0.layers.MBconv.", ("maxvit",)),
)
"""How a tensor's name begins that tells a few networks of torchvision, and how their names begin."""


def load_torchvision(
    name: str,
    weights: str | None = None,
    *,
    layer: Layer | None = None,
    device: str = "cpu",
) -> Classifier:
    """Load a torchvision classifier: its published ImageNet weights, or a user's own file.

    ``weights`` is a ``.safetensors`` file, a ``.pth`` state_dict, or what a training saved around one (see
    `vlx.adapters.files.states`); of a folder, the one such file or the best. The number of classes is read
    from it. A file ``NAME.labels.txt`` beside it, one class a line, names the classes; images are prepared
    as for the first weights that torchvision published. Without ``weights`` it downloads its own.
    Raises CheckpointError for a file that does not fit.
    """
    if weights is None:
        return _published(name, layer, device)
    if Path(weights).is_dir():
        weights = str(only_file(weights, *_PATTERNS))
    published = torchvision_network(name)
    state = _today(read_state(weights, published.state_dict()))
    classes = _classes(name, published, state, weights)
    network = torchvision_network(name, classes=classes)
    own = network.state_dict()
    # Files from before torch counted the batches of a normalisation lack the counts, which nothing reads.
    counts = {key: value for key, value in own.items() if key.endswith("num_batches_tracked")}
    kept = {key: value for key, value in state.items() if not key.startswith(_AUXILIARY)}
    try:
        fit_weights(network, {**counts, **kept}, f"{weights}, as a {name},")
    except CheckpointError as error:
        raise CheckpointError(f"{error}{_it_is(state, name)}") from None
    if hasattr(network, "transform_input"):  # GoogLeNet and Inception: torchvision's weights ask for it
        cast(Any, network).transform_input = True
    labels = labels_beside(Path(weights), classes) or [f"class {index}" for index in range(classes)]
    entries: Any = torchvision.models.get_model_weights(name)
    first = next(iter(entries))
    return Classifier(
        ready(network, device), labels, _preprocess(first), layer=layer, name=f"torchvision/{name}"
    )


def open_torchvision(where: str, *, layer: Layer | None = None, device: str = "cpu") -> Classifier:
    """Load a network by its name, or by its name, a colon and a file of weights; see `load_torchvision`."""
    name, _, weights = where.partition(":")
    return load_torchvision(name, weights or None, layer=layer, device=device)


def detect(held: Contents) -> Checkpoint | None:
    """A network with the same tensors, its number of classes aside."""
    for name, network in _candidates(held.tensors):
        classes = _classes_of(held.tensors, network)
        if classes is not None:
            return Checkpoint(f"torchvision/{name}", None, {"classes": classes})
    return None


def _published(name: str, layer: Layer | None, device: str) -> Classifier:
    if name not in torchvision.models.list_models():
        torchvision_network(name)  # raises the error that names near ones
    entry: Any = torchvision.models.get_model_weights(name)["DEFAULT"]
    try:
        network = torchvision_network(name, weights=entry)
    except (OSError, RuntimeError) as error:  # RuntimeError: what came has another checksum
        raise CheckpointError(
            f"the published weights of {name} could not be fetched ({error}): "
            f"give a file, as torchvision/{name}:FILE"
        ) from None
    labels: list[str] = entry.meta["categories"]
    return Classifier(
        ready(network, device), labels, _preprocess(entry), layer=layer, name=f"torchvision/{name}"
    )


def _preprocess(entry: Any) -> Preprocess:
    """What torchvision does to an image before it reaches a network of these weights."""
    asked: Any = entry.transforms()
    side = int(asked.crop_size[0])
    return Preprocess(
        ShortSide(int(asked.resize_size[0])),
        (side, side),
        mean=tuple(asked.mean),
        std=tuple(asked.std),
        resample=Image.Resampling[asked.interpolation.name],
    )


def _classes(name: str, network: nn.Module, state: dict[str, torch.Tensor], source: str) -> int:
    """How many classes the last layer gives."""
    last = list(network.state_dict())[-1]
    if last in state and state[last].ndim:
        return len(state[last])
    wrong = f"{source} holds no {last!r}, so it is not a {name}"
    try:
        fit_weights(network, state, "it")
    except CheckpointError as error:
        wrong = f"{wrong}: {error}{_it_is(state, name)}"
    raise CheckpointError(wrong)


def _it_is(state: dict[str, torch.Tensor], name: str) -> str:
    """What weights that do not fit are of, if that is known, as the tail of an error message."""
    told = detect(Contents(tensors={key: tuple(tensor.shape) for key, tensor in state.items()}))
    return f"; it is a {told.family}" if told and told.family != f"torchvision/{name}" else ""


def _today(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights under the names of today: DenseNets were published as ``denselayer1.norm.1``."""
    return {_OLD.sub(r"\1\2.", name): tensor for name, tensor in state.items()}


def _candidates(shapes: Shapes) -> Iterator[tuple[str, Shapes]]:
    """The networks that the names of tensors may be of, with their own tensors."""
    told = [
        begins for telling, begins in _TELLING if any(fnmatchcase(name, f"{telling}*") for name in shapes)
    ]
    if not told:
        return
    for name in torchvision.models.list_models(module=torchvision.models):
        if name.startswith(told[0]):
            extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
            with torch.device("meta"):
                network = torchvision.models.get_model(name, weights=None, **extra)
            yield name, {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


def _classes_of(shapes: Shapes, network: Shapes) -> int | None:
    """The number of classes, if tensors are those of a network of 1,000, but for its last layers."""
    given, own = _counted(shapes), _counted(network)
    main = {name for name in own if not name.startswith(("aux", "AuxLogits"))}
    if not main <= set(given) <= set(own):
        return None
    last = {name for name in given if own[name][:1] == (1000,)}
    if any(given[name][name in last :] != own[name][name in last :] for name in given):
        return None
    counts = {given[name][:1] for name in last & main}
    return counts.pop()[0] if len(counts) == 1 and () not in counts else None


def _counted(shapes: Shapes) -> Shapes:
    """Without the counters of batch normalisation, which older files lack."""
    return {name: sizes for name, sizes in shapes.items() if not name.endswith("num_batches_tracked")}
