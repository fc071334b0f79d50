"""Small models and passes for tests of the core; double precision, seeded."""

from functools import partial

import torch
from PIL import Image
from torch import Tensor, nn

import vlx
from vlx.images.frame import Frame
from vlx.passes.reading import Reading, Word, choices_of

SIZE = 12
WORDS = ("end", "a", "dog", "cat", "on", "grass", "red", "bike")


class Cnn(nn.Module):
    """Two convolutions with in-place ReLUs, a pooling and a fully connected ReLU layer."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(4, 5, 3, stride=2, padding=1), nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        )  # fmt: skip
        self.fc = nn.Linear(5 * 9, 7)

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.relu(self.fc(self.features(pixels).flatten(1)))


class Captioner(nn.Module):
    """The image is the LSTM's first step, START (id 0) the second, words follow."""

    def __init__(self) -> None:
        super().__init__()
        self.cnn = Cnn()
        self.words = nn.Embedding(len(WORDS), 7)
        self.lstm = nn.LSTM(7, 6, batch_first=True)
        self.dropout = nn.Dropout(0.5)
        self.vocabulary = nn.Linear(6, len(WORDS))

    def forward(self, pixels: Tensor, ids: Tensor) -> Tensor:
        start = torch.zeros_like(ids[:, :1])
        said = self.words(torch.cat([start, ids], 1))
        steps = torch.cat([self.cnn(pixels)[:, None], said], 1)
        out, _ = self.lstm(steps)
        return torch.log_softmax(self.vocabulary(self.dropout(out[:, 1:])), -1)


def captioner(seed: int = 0) -> Captioner:
    torch.manual_seed(seed)
    model = Captioner().double()
    with torch.no_grad():  # spread, so that words differ and ReLUs are on both sides
        for parameter in model.parameters():
            parameter.mul_(2.0)
    return model


def pixels_of(count: int, seed: int = 1) -> Tensor:
    return torch.randn(
        count, 3, SIZE, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


def reading(ids: list[int]) -> Reading:
    words = tuple(Word(WORDS[index], (step,), (index,)) for step, index in enumerate(ids))
    return Reading("caption", words, choices_of("caption", WORDS), Word("END", (len(ids),), (0,)))


def caption_pass(
    model: Captioner,
    pixels: Tensor,
    captions: list[list[int]],
    *,
    layer: str = "cnn.features.3",
    cut: bool = True,
) -> vlx.Pass:
    longest = max(map(len, captions))
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in captions])
    top = "vocabulary" if cut else None
    with vlx.capture(model, layer, vocabulary=top) as seen:
        scores = model(pixels, ids)
    count = len(captions)
    photo = Image.new("RGB", (SIZE, SIZE))
    return vlx.Pass(
        features=seen.features,
        scores=scores,
        readings=tuple(map(reading, captions)),
        frames=(Frame.resized((SIZE, SIZE), (SIZE, SIZE)),) * count,
        images=(photo,) * count,
        below=vlx.Below(pixels, partial(vlx.output_at, model.cnn, layer.removeprefix("cnn."))),
        shortcuts=seen.shortcuts,
        layer=layer,
    )
