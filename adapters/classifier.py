"""Image classifiers: y is the logit of a class (paper section 3)."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
import torchvision
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from vlx.adapters.backbones import default_layer, input_size, torchvision_network
from vlx.adapters.weights import fit_weights, load_weights, ready
from vlx.errors import CheckpointError, near_names
from vlx.images.preprocess import Preprocess, ShortSide, stack_images
from vlx.passes.capture import capture, output_at
from vlx.passes.forward import Pass, logit_scores
from vlx.passes.mean_gradient import map_offset
from vlx.passes.prepare import prepared
from vlx.passes.reading import Reading, choices_of
from vlx.passes.site import Layer, Site, find_layer

_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # classifiers of GoogLeNet and Inception, for training


class Classifier:
    """A CNN that gives one logit for each class; any model, any spatial layer."""

    def __init__(
        self,
        network: nn.Module,
        labels: Sequence[str],
        preprocess: Preprocess,
        *,
        layer: Layer | None = None,
        name: str = "classifier",
    ) -> None:
        self.network = network
        self.labels = tuple(labels)
        self.preprocess = preprocess
        self.name = name
        chosen = default_layer(network, input_size(preprocess)) if layer is None else layer
        self.layer, self._module = find_layer(network, chosen)

    def at(self, layer: Layer) -> "Classifier":
        """The same model, explained at another layer."""
        return Classifier(self.network, self.labels, self.preprocess, layer=layer, name=self.name)

    def read(self, images: Sequence[Image.Image]) -> Pass:
        """Score every class of each image in one run; nothing below the layer is recorded."""
        pixels, frames = stack_images(self.preprocess, images, next(self.network.parameters()))
        with capture(self.network, Site(self._module, offset=map_offset)) as seen:
            scores = logit_scores(self.network(pixels))
        reading = Reading("label", (), choices_of("label", self.labels))
        return Pass(
            features=seen.features,
            scores=scores,
            readings=(reading,) * len(images),
            frames=frames,
            images=tuple(images),
            offset=seen.offset,
            pixels=pixels,
            encode=partial(output_at, self.network, self._module),
            rescore=self._rescored,
            cnn=self.network,
            kind="logit",
            model=self.name,
            layer=self.layer,
        )

    def _rescored(
        self, pixels: Float[Tensor, "batch 3 height width"], _place: int
    ) -> Float[Tensor, "batch 1 choice"]:
        with prepared(self.network), torch.no_grad():
            return logit_scores(self.network(pixels))


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


def labels_beside(weights: Path, classes: int) -> Sequence[str] | None:
    """The classes named in ``NAME.labels.txt`` beside a weight file, one a line; None without it.

    Raises CheckpointError unless it names as many as the weights have.
    """
    path = weights.with_suffix(".labels.txt")
    if not path.is_file():
        return None
    names = path.read_text(encoding="utf-8").splitlines()
    if len(names) != classes:
        raise CheckpointError(f"{path} names {len(names)} classes, but the weights have {classes}")
    return names
