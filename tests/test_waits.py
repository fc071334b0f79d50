"""However many targets and items there are, Python waits for values of tensors so many times a batch."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import vlx
from tests import tiny
from tests.waits import Waits
from vlx.adapters.parts.classifier import Classifier
from vlx.images import Preprocess, Squash

CAPTION = [1, 6, 7, 4, 5, 1, 3, 2]


def captioned(items: int, words: Sequence[int], method: vlx.Method) -> list[str]:
    model, targets = tiny.captioner(), [vlx.word(at) for at in words]
    pixels = tiny.pixels_of(items)
    tiny.caption_pass(model, pixels, [CAPTION] * items)  # the first run of a model is followed
    with Waits() as waits:
        vlx.explain(tiny.caption_pass(model, pixels, [CAPTION] * items), targets, method)
    return waits.found


@pytest.mark.parametrize("method", [vlx.grad_cam, vlx.hires_cam, vlx.guided_grad_cam])
def test_words_and_items_of_a_batch_are_not_waited_for_one_by_one(method):
    one = captioned(1, [0], method)
    assert captioned(1, range(8), method) == captioned(3, range(8), method) == one
    assert len(one) <= 10


def test_so_it_is_with_contrasts_whose_choices_are_scored_at_one_step():
    def found(count: int) -> list[str]:
        targets = [vlx.word(at) - vlx.word(at, instead="red") for at in range(count)]
        run = tiny.caption_pass(tiny.captioner(), tiny.pixels_of(1), [[1, 2, 4, 5]])
        with Waits() as waits:
            vlx.explain(run, targets)
        return waits.found

    assert found(4) == found(1)


def test_so_it_is_with_classes_named_or_likeliest():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6)
    )
    model = Classifier(network, list("abcdef"), Preprocess(Squash((12, 12))), layer="1")
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8))

    def found(items: int, labels: list[str] | None) -> list[str]:
        with Waits() as waits:
            vlx.explain_labels(model, [photo] * items, labels if labels is None else [labels] * items)
        return waits.found

    found(1, ["a"])  # the first run of a model is followed
    assert found(1, ["a"]) == found(4, ["a"]) == found(4, list("abcd"))
    assert found(1, None) == found(4, None)


def test_a_wait_is_seen():
    with Waits() as waits:
        one = torch.ones(2)
        _ = bool(one[0] > 0), float(one[1]), one.tolist(), one.cpu(), one[one > 0]
    assert len(waits.found) == 5
