"""Image classifiers: y is the logit of a class (paper section 3)."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from vlx.adapters.nets.backbones import channels_of, input_size, zeros
from vlx.errors import CheckpointError
from vlx.images.preprocess import Preprocess, stack_images
from vlx.passes.at_layer import output_at
from vlx.passes.capture import capture
from vlx.passes.chosen_layer import chosen_layer
from vlx.passes.default_layer import default_layer
from vlx.passes.forward import Below, Pass, logit_scores
from vlx.passes.outputs import class_logits
from vlx.passes.places import on_channels_first, places
from vlx.passes.prepare import prepared
from vlx.passes.reading import Odds, Reading, choices_of
from vlx.passes.site import Layer, Site
from vlx.passes.unwrap import unwrapped

_LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601, as Pillow's L


class Classifier:
    """A network that gives one logit for each class: a CNN or a transformer, at any layer with places.

    ``layer`` is by default the last map before the last pooling, such as ``layer4`` of a ResNet; in a
    transformer that keeps to tokens, the last norm whose patches have a gradient; `vlx.choose_layer` says how
    others are named. Of several things that a
    network returns, the first or the one called logits are its scores. A network of one channel is given
    the luminance of the normalised image. What is wrapped, in DataParallel or by torch.compile, is unwrapped.
    ``multi_label`` says that it was trained with a sigmoid for each class, so that several may be there: the
    probability of one then does not depend on the others.

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
        multi_label: bool = False,
    ) -> None:
        self.network = network = unwrapped(network)
        self.labels = tuple(labels)
        self.preprocess = preprocess
        self.name = name
        self.multi_label = multi_label
        size = input_size(preprocess)
        self._channels = channels_of(network, size)
        black = partial(zeros, network, size, self._channels)
        self.layer, self._module = chosen_layer(
            network, layer, lambda: default_layer(network, black()), lambda: ((black(),), {})
        )

    def at(self, layer: Layer) -> "Classifier":
        """The same model, explained at another layer."""
        return Classifier(
            self.network,
            self.labels,
            self.preprocess,
            layer=layer,
            name=self.name,
            multi_label=self.multi_label,
        )

    def read(self, images: Sequence[Image.Image]) -> Pass:
        """Score every class of each image in one run; nothing below the layer is recorded."""
        pixels, frames = stack_images(self.preprocess, images, next(self.network.parameters()))
        size = frames[0].input_size
        with capture(self.network, Site(self._module, everywhere=on_channels_first(size))) as seen:
            scores = self._scores(pixels)
        # A head of one logit is trained with a sigmoid: a softmax of one is always 1.
        odds: Odds = "sigmoid" if self.multi_label or len(self.labels) == 1 else "softmax"
        reading = Reading("label", (), choices_of("label", self.labels), odds=odds)
        return Pass(
            features=seen.features,
            scores=scores,
            readings=(reading,) * len(images),
            frames=frames,
            images=tuple(images),
            grid=places(seen.features, size),
            below=Below(
                pixels,
                encode=self._encoded,
                rescore=self._rescored,
                cnn=self.network,
                colour=self.preprocess.colour,
            ),
            shortcuts=seen.shortcuts,
            above=seen.above(self._scores, pixels),
            quantity="logit",
            model=self.name,
            layer=self.layer,
        )

    def _rescored(
        self, pixels: Float[Tensor, "batch 3 height width"], _position: int
    ) -> Float[Tensor, "batch 1 choice"]:
        with prepared(self.network), torch.no_grad():
            return self._scores(pixels)

    def _scores(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 1 choice"]:
        return logit_scores(class_logits(self.network(self._seen(pixels)), len(pixels)))

    def _encoded(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch *feature"]:
        return output_at(self.network, self._module, self._seen(pixels))

    def _seen(
        self, pixels: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """What the network is given of the pixels: their luminance where it takes one channel."""
        if self._channels == 3:
            return pixels
        return (pixels * pixels.new_tensor(_LUMINANCE)[:, None, None]).sum(1, keepdim=True)


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
