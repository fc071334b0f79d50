"""Hierarchical co-attention as an adapter: questions answered by looking at the image (Lu et al. 2016)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vlx.adapters.nets.backbones import input_size, zeros
from vlx.adapters.nets.coattention import CoAttentionNetwork
from vlx.adapters.parts.answerer import encode_questions, read_answers
from vlx.adapters.parts.vocabulary import Vocabulary
from vlx.errors import LayerError
from vlx.images.preprocess import Preprocess, stack_images
from vlx.passes.chosen_layer import chosen_layer
from vlx.passes.forward import Pass
from vlx.passes.prepare import prepared
from vlx.passes.site import Layer


class CoAttentionAnswerer:
    """A VQA model that attends to the question and the image together, at three levels.

    ``layer`` is a layer of the CNN, as `vlx.choose_layer` takes it; by default the map that is attended:
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
        name: str = "co-attention",
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
        self.layer, self.module = chosen_layer(
            network.cnn,
            layer,
            lambda: names[-1],
            lambda: ((zeros(network.cnn, input_size(preprocess)),), {}),
        )

    def at(self, layer: Layer) -> "CoAttentionAnswerer":
        """The same model, explained at another layer."""
        return CoAttentionAnswerer(
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
