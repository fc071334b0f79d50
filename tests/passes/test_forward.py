"""What a Pass sees at once: scores that are no log-probabilities, and which rows give which steps."""

import numpy as np
import pytest
import torch
from torch import nn

import vlx
from vlx.errors import LayerError, VlxError
from vlx.images import Preprocess, Squash, stack_images

WORDS = ["<s>", "a", "dog", "cat", "the", "ball"]
SHAPES = {
    "whole": lambda fc, rows: fc(rows),
    "flat": lambda fc, rows: fc(rows.reshape(-1, 16)).view(*rows.shape[:2], 6),
    "time first": lambda fc, rows: fc(rows.transpose(0, 1)).transpose(0, 1),
    "flat, time first": lambda fc, rows: (
        fc(rows.transpose(0, 1).reshape(-1, 16)).view(rows.shape[1], rows.shape[0], 6).transpose(0, 1)
    ),
}


class Network(nn.Module):
    def __init__(self, shaped) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.shaped = shaped
        self.cnn = nn.Sequential(nn.Conv2d(3, 16, 3, 4), nn.ReLU())
        self.embedding, self.rnn = nn.Embedding(6, 16), nn.GRU(16, 16, batch_first=True)
        self.fc = nn.Linear(16, 6)
        self.double()

    def forward(self, pixels, ids):
        image = self.cnn(pixels).mean((2, 3))[:, None]
        hidden, _ = self.rnn(self.embedding(ids) + 3 * image)
        return self.shaped(self.fc, hidden)


class Mine:
    def __init__(self, shaped, vocabulary, normalised=vlx.log_probabilities) -> None:
        self.network, self.vocabulary, self.normalised = Network(shaped), vocabulary, normalised

    def read(self, images, captions):
        pixels, frames = stack_images(Preprocess(Squash((64, 64))), images, self.network.fc.weight)
        said = [caption.split() for caption in captions]
        ids = torch.tensor([[WORDS.index(word) for word in row] for row in said])
        with vlx.capture(self.network, "cnn", vocabulary=self.vocabulary) as seen:
            begun = torch.cat([ids[:, :1] * 0, ids[:, :-1]], 1)
            scores = self.normalised(self.network(pixels, begun))
        readings = tuple(
            vlx.Reading(
                "caption",
                tuple(vlx.Word(word, (t,), (WORDS.index(word),)) for t, word in enumerate(row)),
                vlx.Choices(WORDS),
            )
            for row in said
        )
        return vlx.Pass(
            seen.features, scores, readings, frames, tuple(images), shortcuts=seen.shortcuts, layer=seen.layer
        )

    def generate(self, images, beam=1):
        raise NotImplementedError


def photos(count):
    random = np.random.default_rng(0)
    return [random.integers(0, 255, (64, 64, 3), np.uint8) for _ in range(count)]


def maps(shaped, vocabulary, count):
    captions = ["a dog ball", "a cat ball", "the ball a"][:count]
    found = vlx.explain_captions(Mine(shaped, vocabulary), photos(count), captions)
    return np.stack([explanation.raw for explanation in found])


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_rows_of_any_order_give_the_maps_of_the_uncut_graph(shape, count):
    """Three captions of three words are a square, in which only gradients tell the two axes."""
    expected = maps(SHAPES["whole"], None, count)
    assert expected.any()
    np.testing.assert_allclose(maps(SHAPES[shape], "fc", count), expected, rtol=1e-6, atol=1e-12)


def test_rows_that_mix_are_refused():
    def mixed(fc, rows):
        return fc(rows.reshape(-1, 16)).roll(1, 0).view(*rows.shape[:2], 6)

    with pytest.raises(LayerError, match="leave vocabulary out"):
        maps(mixed, "fc", 3)


@pytest.mark.parametrize("scale", [1, -1])
def test_logits_are_not_taken_for_log_probabilities(scale):
    """Those below 0 neither: what tells is that all choices add up to more than 1."""
    model = Mine(SHAPES["whole"], None, lambda logits: scale * logits.abs())
    with pytest.raises(VlxError, match=r"add up to .*: give the Pass vlx.log_probabilities\(logits\)"):
        vlx.explain_captions(model, photos(1), ["a dog"])


def test_probabilities_of_some_choices_alone_are_taken():
    model = Mine(SHAPES["whole"], None, lambda logits: vlx.log_probabilities(logits) - 1)
    assert vlx.explain_captions(model, photos(1), ["a dog"])[0].targets[0].probability < 1
