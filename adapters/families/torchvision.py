"""Classifiers of torchvision, with their published ImageNet weights or a user's own."""

from pathlib import Path
from typing import Any, cast

import torch
import torchvision
from PIL import Image

from vlx.adapters.files.weights import fit_weights, load_weights, ready
from vlx.adapters.nets.backbones import torchvision_network
from vlx.adapters.parts.classifier import Classifier, labels_beside
from vlx.errors import CheckpointError, near_names
from vlx.images.preprocess import Preprocess, ShortSide
from vlx.passes.site import Layer

_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # classifiers of GoogLeNet and Inception, for training


def load_torchvision(
    name: str,
    weights: str | None = None,
    *,
    layer: Layer | None = None,
    device: str = "cpu",
) -> Classifier:
    """Load a torchvision classifier: its published ImageNet weights, or a user's own file.

    ``weights`` is a ``.safetensors`` file or a ``.pth`` state_dict; the number of classes is read from
    it. A file ``NAME.labels.txt`` beside it, one class a line, names the classes; images are prepared
    as for the first weights that torchvision published. Without ``weights`` it downloads its own.
    Raises CheckpointError for a file that does not fit.
    """
    if weights is None:
        return _published(name, layer, device)
    state = load_weights(weights)
    classes = _classes(name, state)
    network = torchvision_network(name, classes=classes)
    own = network.state_dict()
    # Files from before torch counted the batches of a normalisation lack the counts, which nothing reads.
    counts = {key: value for key, value in own.items() if key.endswith("num_batches_tracked")}
    kept = {key: value for key, value in state.items() if not key.startswith(_AUXILIARY)}
    fit_weights(network, {**counts, **kept}, f"{weights}, as a {name},")
    if hasattr(network, "transform_input"):  # GoogLeNet and Inception: torchvision's weights ask for it
        cast(Any, network).transform_input = True
    labels = labels_beside(Path(weights), classes) or [f"class {index}" for index in range(classes)]
    entries: Any = torchvision.models.get_model_weights(name)
    first = next(iter(entries))
    return Classifier(
        ready(network, device), labels, _preprocess(first), layer=layer, name=f"torchvision/{name}"
    )


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


def _classes(name: str, state: dict[str, torch.Tensor]) -> int:
    last = list(torchvision_network(name).state_dict())[-1]
    if last not in state or state[last].ndim < 1:
        raise CheckpointError(f"the file holds no {last!r}, so it is not a {name}{near_names(last, state)}")
    return len(state[last])
