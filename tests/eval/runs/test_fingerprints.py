"""Fingerprints of how models read: others for other facts, the same whatever is passing."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from tests.eval import small
from vlx.eval.runs.fingerprints import model_digests


@dataclass(frozen=True)
class Template:
    text: str
    room: int = 7


class Tokenizer:
    def __init__(self, **words: int) -> None:
        self.words, self.calls = words, []

    def get_vocab(self) -> dict[str, int]:
        return self.words


def model(**changed: Any) -> Any:
    plain = {
        "prompt": "a photo of", "template": Template("Q: {}"), "answers": ("yes", "no"), "scale": 1.0,
        "network": nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU()), "tokenizer": Tokenizer(dog=1),
        "images": SimpleNamespace(to_dict=lambda: {"size": 3, "transformers_version": "5"}),
    }  # fmt: skip
    return SimpleNamespace(**{**plain, **changed})


@pytest.mark.parametrize(
    "changed",
    [
        {"prompt": "a drawing of"}, {"template": Template("Q: {} A:")}, {"template": Template("Q: {}", 8)},
        {"answers": ("no", "yes")}, {"scale": 2.0}, {"tokenizer": Tokenizer(dog=2)},
        {"network": nn.Sequential(nn.Conv2d(3, 2, 3, stride=2), nn.ReLU())},
        {"network": nn.Sequential(nn.Conv2d(3, 2, 3), nn.GELU())},
        {"images": SimpleNamespace(to_dict=lambda: {"size": 4})},
    ],
)  # fmt: skip
def test_how_a_model_reads_is_in_its_fingerprint(changed: dict[str, Any]) -> None:
    assert model_digests(model(**changed)) != model_digests(model())


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "another"}, {"calls": 5}, {"seen": ["a"]}, {"_cache": ("x",)}, {"layer": "x"},
        {"images": SimpleNamespace(to_dict=lambda: {"size": 3, "transformers_version": "6"})},
    ],
)  # fmt: skip
def test_what_passes_is_not(changed: dict[str, Any]) -> None:
    assert model_digests(model(**changed)) == model_digests(model())


def test_a_model_that_was_used_keeps_its_fingerprint() -> None:
    from PIL import Image

    captioner = small.captioner()
    before = model_digests(captioner)
    captioner.read([Image.new("RGB", (60, 50))], ["a dog"])
    assert model_digests(captioner) == before == model_digests(small.captioner()) != {}
    assert model_digests(object()) == {}
