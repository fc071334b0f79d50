"""Image classifiers: y is the logit of a class (paper section 3)."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from vlx.adapters.nets.backbones import default_layer, input_size
from vlx.errors import CheckpointError
from vlx.images.preprocess import Preprocess, stack_images
from vlx.passes.capture import capture, output_at
from vlx.passes.forward import Below, Pass, logit_scores
from vlx.passes.mean_gradient import on_maps
from vlx.passes.prepare import prepared
from vlx.passes.reading import Odds, Reading, choices_of
from vlx.passes.site import Layer, Site, find_layer


class Classifier:
    """A CNN that gives one logit for each class; any model, any spatial layer.

    >>> from torchvision.models import resnet18
    >>> from vlx.images import imagenet
    >>> model = Classifier(resnet18(num_classes=2), ["cat", "dog"], imagenet())
    >>> model.layer, model.read([vlx.open_image(photo)]).features.shape
    ('layer4', torch.Size([1, 512, 7, 7]))
    """

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
        with capture(self.network, Site(self._module, everywhere=on_maps)) as seen:
            scores = logit_scores(self.network(pixels))
        # A head of one logit is trained with a sigmoid: a softmax of one is always 1.
        odds: Odds = "sigmoid" if len(self.labels) == 1 else "softmax"
        reading = Reading("label", (), choices_of("label", self.labels), odds=odds)
        return Pass(
            features=seen.features,
            scores=scores,
            readings=(reading,) * len(images),
            frames=frames,
            images=tuple(images),
            below=Below(
                pixels,
                encode=partial(output_at, self.network, self._module),
                rescore=self._rescored,
                cnn=self.network,
            ),
            shortcuts=seen.shortcuts,
            quantity="logit",
            model=self.name,
            layer=self.layer,
        )

    def _rescored(
        self, pixels: Float[Tensor, "batch 3 height width"], _position: int
    ) -> Float[Tensor, "batch 1 choice"]:
        with prepared(self.network), torch.no_grad():
            return logit_scores(self.network(pixels))


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
