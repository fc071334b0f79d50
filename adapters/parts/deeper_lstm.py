"""Deeper LSTM Q + norm I: VQA as classification over a fixed list of answers (Lu et al. 2015)."""

from collections.abc import Sequence

from PIL import Image

from vlx.adapters.nets.backbones import layer_of
from vlx.adapters.nets.question import QuestionNetwork
from vlx.adapters.parts.answerer import read_answers
from vlx.adapters.parts.vocabulary import Vocabulary
from vlx.images.preprocess import Preprocess
from vlx.passes.forward import Pass
from vlx.passes.site import Layer


class DeeperLSTM:
    """A VQA model: CNN features of the image times LSTM features of the question, then an answer.

    ``layer`` is a layer of the CNN, as `vlx.choose_layer` takes it; by default the last before its
    pooling. Of a question no more than ``longest`` words are read.
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
        self.layer, self.module = layer_of(network.cnn, layer, preprocess)

    def at(self, layer: Layer) -> "DeeperLSTM":
        """The same model, explained at another layer."""
        return DeeperLSTM(
            self.network, self.vocabulary, self.answers, self.preprocess, layer=layer, longest=self.longest,
            name=self.name,
        )  # fmt: skip

    def read(self, images: Sequence[Image.Image], questions: Sequence[str]) -> Pass:
        """Score every answer to one question for each image."""
        return read_answers(self, images, questions)
