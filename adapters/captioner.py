"""CNN+LSTM captioners that read the image as the first step: neuraltalk2, Show and Tell."""

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from vlx.adapters.backbones import default_layer, input_size
from vlx.adapters.decoding import beam_search, greedy
from vlx.adapters.networks import CaptionNetwork, State
from vlx.adapters.vocabulary import Vocabulary
from vlx.capture import Layer, capture, find_layer, output_at, prepared
from vlx.errors import TextError, VlxError
from vlx.images import Preprocess, stack_images
from vlx.passes import Pass, log_probabilities
from vlx.reading import Reading, Word


class CNNLSTMCaptioner:
    """A captioner whose LSTM reads the image first, then START, then the words.

    Step t of its scores gives word t, counted from 0: the LSTM's output after START gives the first
    word. ``layer`` is a layer of the CNN, by name or index; by default the last before its pooling.
    """

    def __init__(
        self,
        network: CaptionNetwork,
        vocabulary: Vocabulary,
        preprocess: Preprocess,
        *,
        layer: Layer | None = None,
        steps: int = 20,
        name: str = "captioner",
    ) -> None:
        if network.start != vocabulary.start:
            raise VlxError(
                f"the network starts captions with token {network.start}, the vocabulary with "
                f"{vocabulary.start}: build it as CaptionNetwork(..., start={vocabulary.start})"
            )
        self.network = network
        self.vocabulary = vocabulary
        self.preprocess = preprocess
        self.steps = steps
        self.name = name
        chosen = default_layer(network.cnn, input_size(preprocess)) if layer is None else layer
        self.layer, self._module = find_layer(network.cnn, chosen)

    def read(self, images: Sequence[Image.Image], captions: Sequence[str]) -> Pass:
        """Score every word of the given captions, one for each image, by teacher forcing."""
        if len(images) != len(captions):
            raise TextError(f"{len(captions)} captions for {len(images)} images: give one for each")
        pixels, frames = stack_images(self.preprocess, images, next(self.network.parameters()))
        encoded = [self.vocabulary.encode(caption) for caption in captions]
        ids = _padded([ids for _, ids, _ in encoded], pixels.device)
        with capture(self.network, self._module, vocabulary=self.network.vocabulary) as seen:
            scores = log_probabilities(self.network(pixels, ids))
        return Pass(
            features=seen.features,
            scores=scores,
            readings=tuple(self._reading(*item) for item in encoded),
            frames=frames,
            images=tuple(images),
            cut=seen.cut,
            pixels=pixels,
            encode=partial(output_at, self.network.cnn, self._module),
            model=self.name,
            layer=self.layer,
        )

    def generate(self, images: Sequence[Image.Image], beam: int = 1) -> list[str]:
        """Write one caption for each image: greedy, or the best of a beam."""
        pixels, _ = stack_images(self.preprocess, images, next(self.network.parameters()))
        return [self.vocabulary.text(ids) for ids in self.decode(pixels, beam)]

    def decode(self, pixels: Float[Tensor, "batch 3 height width"], beam: int = 1) -> list[list[int]]:
        """The word ids of one caption for each network input, without START and END."""
        with prepared(self.network), torch.no_grad():
            state = self.network.first(self.network.cnn(pixels))
            if beam == 1:
                return greedy(state, self._step, len(pixels), *self._ends, self.steps, pixels.device)
            return [
                beam_search(
                    _rows(state, torch.tensor([row], device=pixels.device)),
                    self._step, _rows, beam, *self._ends, self.steps, pixels.device,
                )
                for row in range(len(pixels))
            ]  # fmt: skip

    @property
    def _ends(self) -> tuple[int, int]:
        return self.vocabulary.start, self.vocabulary.end

    def _step(self, state: State, said: Int[Tensor, " row"]) -> tuple[State, Tensor]:
        state, logits = self.network.step(state, said)
        return state, log_probabilities(logits)

    def _reading(self, tokens: list[str], ids: list[int], unknown: tuple[str, ...]) -> Reading:
        words = tuple(
            Word(token, (step,), (index,))
            for step, (token, index) in enumerate(zip(tokens, ids, strict=True))
        )
        end = Word("END", (len(words),), (self.vocabulary.end,))
        return Reading("caption", words, self.vocabulary.choices, end, unknown=unknown)


def _rows(state: State, rows: Int[Tensor, " row"]) -> State:
    return state[0][:, rows], state[1][:, rows]


def _padded(ids: Sequence[Sequence[int]], device: torch.device) -> Int[Tensor, "batch step"]:
    """Right-padded with 0: an LSTM reads from the left, so padding has no influence on the words."""
    longest = max(len(row) for row in ids)
    return torch.tensor([[*row, *[0] * (longest - len(row))] for row in ids], device=device)
