"""Deeper LSTM Q + norm I: VQA as classification over a fixed list of answers (Lu et al. 2015)."""

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from vlx.adapters.backbones import default_layer, input_size
from vlx.adapters.networks import QuestionNetwork
from vlx.adapters.vocabulary import Vocabulary
from vlx.capture import Layer, capture, find_layer, output_at, prepared
from vlx.errors import TextError
from vlx.images import Preprocess, stack_images
from vlx.passes import Pass, logit_scores
from vlx.reading import Reading, choices_of


class DeeperLSTM:
    """A VQA model: CNN features of the image times LSTM features of the question, then an answer.

    ``layer`` is a layer of the CNN, by name or index; by default the last before its pooling. Of a
    question no more than ``longest`` words are read.
    """

    def __init__(
        self,
        network: QuestionNetwork,
        vocabulary: Vocabulary,
        answers: Sequence[str],
        preprocess: Preprocess,
        *,
        layer: Layer | None = None,
        longest: int | None = None,
        name: str = "vqa",
    ) -> None:
        self.network = network
        self.vocabulary = vocabulary
        self.answers = tuple(answers)
        self.preprocess = preprocess
        self.longest = longest
        self.name = name
        chosen = default_layer(network.cnn, input_size(preprocess)) if layer is None else layer
        self.layer, self._module = find_layer(network.cnn, chosen)

    def at(self, layer: Layer) -> "DeeperLSTM":
        """The same model, explained at another layer."""
        return DeeperLSTM(
            self.network, self.vocabulary, self.answers, self.preprocess, layer=layer, longest=self.longest,
            name=self.name,
        )  # fmt: skip

    def read(self, images: Sequence[Image.Image], questions: Sequence[str]) -> Pass:
        """Score every answer to one question for each image."""
        if len(images) != len(questions):
            raise TextError(f"{len(questions)} questions for {len(images)} images: give one for each")
        pixels, frames = stack_images(self.preprocess, images, next(self.network.parameters()))
        ids, lengths, unknown = self.vocabulary.encode_questions(questions, self.longest, pixels.device)
        with capture(self.network, self._module) as seen:
            scores = logit_scores(self.network(pixels, ids, lengths))
        choices = choices_of("answer", self.answers)
        return Pass(
            features=seen.features,
            scores=scores,
            readings=tuple(
                Reading("answer", (), choices, prompt=question, unknown=words)
                for question, words in zip(questions, unknown, strict=True)
            ),
            frames=frames,
            images=tuple(images),
            pixels=pixels,
            encode=partial(output_at, self.network.cnn, self._module),
            rescore=partial(self._rescored, ids, lengths),
            kind="logit",
            model=self.name,
            layer=self.layer,
        )

    def _rescored(
        self,
        ids: Int[Tensor, "item word"],
        lengths: Int[Tensor, " item"],
        pixels: Float[Tensor, "batch 3 height width"],
        place: int,
    ) -> Float[Tensor, "batch 1 choice"]:
        one = slice(place, place + 1)  # its question is encoded once, for all pixels
        with prepared(self.network), torch.no_grad():
            return logit_scores(self.network(pixels, ids[one], lengths[one]))
