"""The README's own captioner is run as printed."""

import re
from pathlib import Path

import pytest
import torch
import torchvision
from PIL import Image
from torch import nn

import vlx

README = Path(__file__).parents[1] / "README.md"


class Theirs(nn.Module):
    """A captioner as somebody else might have written it."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.cnn = torchvision.models.resnet18(num_classes=16)
        self.embedding = nn.Embedding(words, 16)
        self.gru = nn.GRU(16, 16, batch_first=True)
        self.out = nn.Linear(16, words)

    def forward(self, pixels, ids):
        start = torch.zeros_like(ids[:, :1])
        state = self.cnn(pixels)[None]
        hidden, _ = self.gru(self.embedding(torch.cat([start, ids], 1)), state)
        return self.out(hidden)


@pytest.fixture
def example() -> str:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (found,) = [block for block in blocks if "class MyCaptioner" in block]
    return found


def test_the_example_stays_under_thirty_lines(example):
    assert len([line for line in example.splitlines() if line.strip()]) < 30


def test_the_example_explains_every_word(example):
    space: dict[str, object] = {}
    exec(example, space)
    torch.manual_seed(0)
    words = ["END", "a", "dog", "on", "grass"]
    model = space["MyCaptioner"](Theirs(len(words)), words)
    photo = Image.new("RGB", (300, 240), "olive")
    found = vlx.explain_caption(model, photo, "a dog on grass")
    assert [target.name for target in found.targets] == ["a", "dog", "on", "grass", "caption"]
    assert found.maps.shape == (5, 240, 300)
    total = sum(target.score for target in found.targets[:4])
    assert found.targets[4].score == pytest.approx(total, abs=1e-5)
    both = vlx.explain_captions(model, [photo, photo], ["a dog", "a dog on grass"])
    assert both[1].targets[1].score == pytest.approx(found.targets[1].score, abs=1e-5)
