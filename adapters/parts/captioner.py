"""CNN+LSTM captioners that read the image as the first step: neuraltalk2, Show and Tell."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn

from vlx.adapters.nets.backbones import layer_of
from vlx.adapters.parts.search import Search, beam_search, greedy
from vlx.adapters.parts.vocabulary import Vocabulary, padded
from vlx.errors import TextError, VlxError
from vlx.images.frame import Frame
from vlx.images.preprocess import Preprocess, stack_images
from vlx.passes.at_layer import output_at
from vlx.passes.capture import Seen, capture, cut_at
from vlx.passes.forward import Below, Pass, log_probabilities
from vlx.passes.mean_gradient import on_maps
from vlx.passes.prepare import prepared
from vlx.passes.reading import Reading, Word, need_said
from vlx.passes.site import Layer, Site

Encoded = tuple[list[str], list[int], tuple[str, ...]]
"""The words of a caption, their ids, and those that are unknown."""


@runtime_checkable
class WordByWord(Protocol):
    """What the captioner needs of its network: scores of a whole caption, and of one word after another.

    The network is an ``nn.Module``. Its state is a tuple of tensors with the batch on axis 1.
    """

    @property
    def cnn(self) -> nn.Module:
        """From pixels to what `first` takes; holds the layer that is explained."""
        ...

    @property
    def vocabulary(self) -> nn.Module:
        """The last part, from hidden rows, one for each step, to the logits of words."""
        ...

    @property
    def start(self) -> int:
        """The id of START."""
        ...

    def first(self, vector: Tensor, /) -> Any:
        """The state after the image, before START."""
        ...

    def step(self, state: Any, said: Tensor, /) -> tuple[Any, Tensor]:
        """Feed one word to each row: the new state, and the logits of the next word."""
        ...

    def __call__(self, pixels: Tensor, ids: Tensor, /) -> Tensor:
        """Logits (batch, step, word) of every word at every step, the step after the last word included."""
        ...


class CNNLSTMCaptioner:
    """A captioner that is stepped one word at a time: it reads the image first, then START, then the words.

    Step t of its scores gives word t, counted from 0: the LSTM's output after START gives the first
    word. ``layer`` is a layer of the CNN, as `vlx.choose_layer` takes it; by default the last before
    its pooling.
    ``beam`` is the width that `generate` takes if not told, ``search`` how a wider one than 1 searches.
    """

    def __init__(
        self,
        network: WordByWord,
        vocabulary: Vocabulary,
        preprocess: Preprocess,
        *,
        layer: Layer | None = None,
        steps: int = 20,
        beam: int = 1,
        search: Search = beam_search,
        name: str = "captioner",
    ) -> None:
        if network.start != vocabulary.start:
            raise VlxError(
                f"the network starts captions with token {network.start}, the vocabulary with "
                f"{vocabulary.start}: build the network with start={vocabulary.start}"
            )
        self.network = network
        self.vocabulary = vocabulary
        self.preprocess = preprocess
        self.steps = steps
        self.beam = beam
        self.search = search
        self.name = name
        self.layer, self._module = layer_of(network.cnn, layer, preprocess)

    def at(self, layer: Layer) -> "CNNLSTMCaptioner":
        """The same model, explained at another layer."""
        return CNNLSTMCaptioner(
            self.network, self.vocabulary, self.preprocess, layer=layer, steps=self.steps, beam=self.beam,
            search=self.search, name=self.name,
        )  # fmt: skip

    def read(self, images: Sequence[Image.Image], captions: Sequence[str]) -> Pass:
        """Score every word of the given captions, one for each image, by teacher forcing."""
        if len(images) != len(captions):
            raise TextError(f"{len(captions)} captions for {len(images)} images: give one for each")
        pixels, frames = stack_images(self.preprocess, images, next(self._whole.parameters()))
        encoded, ids = self._encoded(captions, pixels.device)
        site = Site(self._module, everywhere=on_maps)
        with capture(self._whole, site, vocabulary=self.network.vocabulary) as seen:
            scores = self._scores(pixels, ids)
        return self._passed(images, frames, pixels, encoded, ids, seen, scores)

    def read_own(self, images: Sequence[Image.Image], beam: int | None = None) -> Pass:
        """Score every word of the captions that `generate` writes; the CNN runs once for both.

        Raises TextError where it writes an empty one.
        """
        pixels, frames = stack_images(self.preprocess, images, next(self._whole.parameters()))
        network = self.network
        with capture(self._whole, Site(self._module, everywhere=on_maps)) as seen:
            image: Tensor = network.cnn(pixels)
            said = self._decoded(image.detach(), self.beam if beam is None else beam)
            captions = [self.vocabulary.text(ids) for ids in said]
            need_said(captions)
            encoded, ids = self._encoded(captions, pixels.device)
            with _already_seen(self._whole, image), cut_at(self._whole, seen, network.vocabulary):
                scores = self._scores(pixels, ids)
        return self._passed(images, frames, pixels, encoded, ids, seen, scores)

    def _encoded(
        self, captions: Sequence[str], device: torch.device
    ) -> tuple[list[Encoded], Int[Tensor, "item step"]]:
        """Captions by their words, and the ids of all, padded."""
        encoded = [self.vocabulary.encode(caption) for caption in captions]
        # An LSTM reads from the left, so padding on the right has no influence on the words.
        return encoded, padded([ids for _, ids, _ in encoded], device)

    def _passed(
        self,
        images: Sequence[Image.Image],
        frames: tuple[Frame, ...],
        pixels: Float[Tensor, "batch 3 height width"],
        encoded: Sequence[Encoded],
        ids: Int[Tensor, "item step"],
        seen: Seen,
        scores: Float[Tensor, "batch steps word"],
    ) -> Pass:
        return Pass(
            features=seen.features,
            scores=scores,
            readings=tuple(self._reading(*item) for item in encoded),
            frames=frames,
            images=tuple(images),
            below=Below(
                pixels,
                encode=partial(output_at, self.network.cnn, self._module),
                rescore=partial(self._rescored, ids),
                cnn=self.network.cnn,
                colour=self.preprocess.colour,
            ),
            shortcuts=seen.shortcuts,
            above=seen.above(self._scores, pixels, ids),
            model=self.name,
            layer=self.layer,
        )

    def _scores(
        self, pixels: Float[Tensor, "batch 3 height width"], ids: Int[Tensor, "batch step"]
    ) -> Float[Tensor, "batch steps word"]:
        return log_probabilities(self.network(pixels, ids))

    def _rescored(
        self, ids: Int[Tensor, "item step"], pixels: Float[Tensor, "batch 3 height width"], position: int
    ) -> Float[Tensor, "batch steps word"]:
        with prepared(self._whole), torch.no_grad():
            return self._scores(pixels, ids[position].expand(len(pixels), -1))

    def generate(self, images: Sequence[Image.Image], beam: int | None = None) -> list[str]:
        """Write one caption for each image: greedy with a beam of 1, else the best of the beam."""
        pixels, _ = stack_images(self.preprocess, images, next(self._whole.parameters()))
        return [self.vocabulary.text(ids) for ids in self.decode(pixels, self.beam if beam is None else beam)]

    def decode(self, pixels: Float[Tensor, "batch 3 height width"], beam: int = 1) -> list[list[int]]:
        """The word ids of one caption for each network input, without START and END."""
        with prepared(self._whole), torch.no_grad():
            return self._decoded(self.network.cnn(pixels), beam)

    def _decoded(self, image: Any, beam: int) -> list[list[int]]:
        """The word ids of one caption for each image, from what the CNN gives of it."""
        with prepared(self._whole), torch.no_grad():
            state, count, device = self.network.first(image), len(image), image.device
            if beam == 1:
                return greedy(state, self._step, count, *self._ends, self.steps, device)
            return [
                self.search(
                    _rows(state, torch.tensor([row], device=device)),
                    self._step, _rows, beam, *self._ends, self.steps, device,
                )
                for row in range(count)
            ]  # fmt: skip

    @property
    def _ends(self) -> tuple[int, int]:
        return self.vocabulary.start, self.vocabulary.end

    @property
    def _whole(self) -> nn.Module:
        return cast(nn.Module, self.network)

    def _step(self, state: Any, said: Int[Tensor, " row"]) -> tuple[Any, Tensor]:
        state, logits = self.network.step(state, said)
        return state, log_probabilities(logits)

    def _reading(self, tokens: list[str], ids: list[int], unknown: tuple[str, ...]) -> Reading:
        words = tuple(
            Word(token, (step,), (index,))
            for step, (token, index) in enumerate(zip(tokens, ids, strict=True))
        )
        end = Word("END", (len(words),), (self.vocabulary.end,))
        return Reading("caption", words, self.vocabulary.choices, end, unknown=unknown)


class _Seen(nn.Module):
    """Stands for a CNN that has seen the images."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.image = image

    def forward(self, pixels: Tensor) -> Tensor:
        del pixels
        return self.image


@contextmanager
def _already_seen(network: nn.Module, image: Tensor) -> Generator[None, None, None]:
    """Let a network go on, in the block, from what its CNN gave, without running it."""
    cnn = network.cnn
    network.cnn = _Seen(image)
    try:
        yield
    finally:
        network.cnn = cnn


def _rows(state: tuple[Tensor, ...], rows: Int[Tensor, " row"]) -> tuple[Tensor, ...]:
    return tuple(part[:, rows] for part in state)
