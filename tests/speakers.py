"""Small models of a user's own, as the README shows how to write them, for tests of whole explanations."""

from collections.abc import Sequence
from functools import partial

import torch
from PIL import Image
from torch import Tensor, nn

import vlx
from tests import tiny
from vlx.images.preprocess import Preprocess, Squash, stack_images
from vlx.passes.reading import Reading, choices_of

ANSWERS = ("yes", "no", "red", "blue", "two", "dog", "cat")
CHOICES = choices_of("caption", tiny.WORDS)


class Speaker:
    """A user's own captioner, as the README shows it, around a small random network."""

    def __init__(self, says: str = "a dog on grass", layer: str = "cnn.features.3") -> None:
        self.model, self.says, self.layer, self.beams = tiny.captioner(), says, layer, list[int]()

    def read(self, images: Sequence[Image.Image], captions: Sequence[str]) -> vlx.Pass:
        pixels, frames = stack_images(
            Preprocess(Squash((tiny.SIZE, tiny.SIZE))), images, next(self.model.parameters())
        )
        said = [[CHOICES.index(word) for word in caption.split()] for caption in captions]
        ids = torch.tensor([row + [0] * (max(map(len, said)) - len(row)) for row in said])
        with vlx.capture(self.model, self.layer, vocabulary="vocabulary") as seen:
            scores = self.model(pixels, ids)
        return vlx.Pass(
            seen.features, scores, tuple(map(tiny.reading, said)), frames, tuple(images),
            below=vlx.Below(
                pixels, partial(vlx.output_at, self.model.cnn, self.layer.removeprefix("cnn.")),
                partial(self._rescored, ids),
            ),
            shortcuts=seen.shortcuts, above=seen.above(self.model, pixels, ids), model="speaker",
            layer=seen.layer,
        )  # fmt: skip

    def _rescored(self, ids: Tensor, pixels: Tensor, position: int) -> Tensor:
        with vlx.prepared(self.model), torch.no_grad():
            return self.model(pixels, ids[position].expand(len(pixels), -1))

    def generate(self, images: Sequence[Image.Image], beam: int = 1) -> list[str]:
        self.beams.append(beam)
        return [self.says] * len(images)


class Chooser(nn.Module):
    """A network whose scores are one linear layer on its pooled features."""

    def __init__(self, names: Sequence[str], kind: str) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.names, self.kind = tuple(names), kind
        self.conv, self.top = nn.Conv2d(3, 4, 3, stride=2).double(), nn.Linear(4, len(names)).double()

    def forward(self, pixels: Tensor) -> Tensor:
        return self.top(torch.relu(self.conv(pixels)).mean((2, 3)))

    def read(self, images: Sequence[Image.Image], questions: Sequence[str] | None = None) -> vlx.Pass:
        pixels, frames = stack_images(Preprocess(Squash((9, 9))), images, self.top.weight)
        with vlx.capture(self, "conv") as seen:
            scores = self(pixels)[:, None]
        asked = [""] * len(images) if questions is None else questions
        choices = choices_of(self.kind, self.names)
        readings = tuple(Reading(self.kind, (), choices, prompt=text) for text in asked)
        return vlx.Pass(
            seen.features, scores, readings, frames, tuple(images), quantity="logit", layer="conv"
        )
