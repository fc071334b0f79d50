"""Occlusion as a method: falls of the score, all targets from the same masked inputs, on any model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import vlx
from tests.adapters import small
from tests.passes.test_capture import Broken
from vlx.adapters.parts.classifier import Classifier
from vlx.errors import VlxError
from vlx.images.preprocess import AsIs
from vlx.methods.occlusion.incremental import changes_only
from vlx.methods.occlusion.of_pass import once_an_input


@pytest.fixture
def answerer():
    model = small.vqa()
    model.preprocess = replace(model.preprocess, resize=AsIs(), window=None)
    return model


def score_of(model, pixels, question, answer):
    at = model.answers.index(answer)
    ids, lengths, _ = model.vocabulary.encode_questions([question], None, torch.device("cpu"))
    with torch.no_grad():
        return float(model.network(pixels[None], ids, lengths)[0, at])


def test_each_window_by_hand(answerer):
    """Windows of 9 pixels, 8 apart, on 32: centres 3, 11, 19 and 27; between them bilinear."""
    (photo,) = small.photos((32, 32))
    question, (first, second) = "is there a dog ?", answerer.answers[:2]
    run = answerer.read([photo], [question])
    targets = [vlx.answer(first), vlx.answer(second), vlx.answer(first) - vlx.answer(second)]
    (found,) = vlx.explain(run, targets, vlx.occlusion_with(size=9, stride=8))
    assert found.raw.shape == (3, 32, 32)
    centres = (3, 11, 19, 27)
    whole = {name: score_of(answerer, run.below.pixels[0], question, name) for name in (first, second)}
    mean = run.below.pixels[0].mean((1, 2))[:, None, None]  # middle grey is subtracted, so 0 is no mean
    for row in centres:
        for col in centres:
            masked = run.below.pixels[0].clone()
            masked[:, max(row - 4, 0) : row + 5, max(col - 4, 0) : col + 5] = mean
            falls = [whole[name] - score_of(answerer, masked, question, name) for name in (first, second)]
            assert found.raw[:, row, col] == pytest.approx([*falls, falls[0] - falls[1]], abs=1e-4)
    assert found.raw[:, 7, 3] == pytest.approx(found.raw[:, [3, 11], 3].mean(1), abs=1e-5)
    assert [target.score for target in found.targets][:2] == pytest.approx(list(whole.values()), abs=1e-4)


def test_items_of_a_batch_keep_their_questions(answerer):
    pictures, questions = small.photos((32, 32), (32, 32)), ["is there a dog ?", "how many cats ?"]
    method = vlx.occlusion_with(size=12, stride=10)
    run = answerer.read(pictures, questions)
    wanted = [[vlx.answer(answerer.answers[0])], [vlx.answer(name) for name in answerer.answers[:2]]]
    together = vlx.explain(run, wanted, method)
    for picture, question, mine, given in zip(pictures, questions, together, wanted, strict=True):
        (alone,) = vlx.explain(answerer.read([picture], [question]), given, method)
        assert mine.raw == pytest.approx(alone.raw, abs=1e-5)


def test_maps_lie_on_the_photo():
    model = small.vqa()
    photo = Image.new("RGB", (96, 64))
    found = vlx.explain_answer(model, photo, "is there a dog ?", method=vlx.occlusion_with(size=8, stride=8))
    height, width = model.read([photo], ["is there a dog ?"]).below.pixels.shape[2:]
    assert found.raw.shape == (1, height, width)
    assert found.maps.shape == (1, 64, 96)


def test_a_model_without_a_way_to_score_other_pixels_says_so(answerer):
    run = answerer.read(small.photos((32, 32)), ["is there a dog ?"])
    for below in (None, replace(run.below, rescore=None)):
        with pytest.raises(VlxError, match="no way to score other pixels"):
            vlx.explain(replace(run, below=below), [vlx.answer(answerer.answers[0])], vlx.occlusion)


class Viewing(nn.Module):
    """Ends as networks of old do: in a view, which asks that maps lie channel by channel in memory."""

    def __init__(self, chained):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 8, 3, 2, 1)
        self.features = nn.Sequential(self.first, self.second) if chained else None
        self.last = nn.Linear(8 * 8 * 8, 2)

    def forward(self, pixels):
        maps = self.second(self.first(pixels)) if self.features is None else self.features(pixels)
        return self.last(maps.view(len(maps), -1))


@pytest.mark.parametrize("chained", [True, False])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_images_lie_in_memory_as_the_network_takes_them(chained, layout):
    network = Viewing(chained).double().eval()
    (photo,) = small.photos((32, 32))
    targets, method = [vlx.label("cat")], vlx.occlusion_with(size=9, stride=8)
    names = ("dog", "cat")
    run = Classifier(network, names, small.PREPROCESS, layer="second").read([photo])
    (found,) = vlx.explain(run, targets, method)
    # The same network, which does not mind the order in memory and so may have either.
    network.forward = lambda pixels: network.last(network.second(network.first(pixels)).flatten(1))
    network.to(memory_format=layout)
    run = Classifier(network, names, small.PREPROCESS, layer="second").read([photo])
    (other,) = vlx.explain(run, targets, method)
    assert np.abs(other.raw).max() > 1e-3
    assert found.raw == pytest.approx(other.raw, abs=1e-6)


class Counting(nn.Module):
    """Stands before a network, counts the images that it is given."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.seen = inner, 0

    def forward(self, pixels):
        self.seen += len(pixels)
        return self.inner(pixels)


def test_an_image_with_several_questions_is_seen_once(answerer):
    """Four windows a side and the untouched image, for two images; three of each are seen in full too."""
    one, other = small.photos((32, 32), (32, 32))
    photos, asked = [one, other, one, one], ["is there a dog ?", "what colour ?", "what colour ?", "a cat ?"]
    wanted = [[vlx.answer("yes")], [vlx.answer("red")], [], [vlx.answer("no"), vlx.answer("two")]]
    method = vlx.occlusion_with(size=9, stride=8)
    alone = [
        vlx.explain(answerer.read([photo], [text]), [targets], method)[0] if targets else None
        for photo, text, targets in zip(photos, asked, wanted, strict=True)
    ]
    answerer.network.cnn = Counting(answerer.network.cnn)
    run = answerer.read(photos, asked)
    run = replace(run, below=replace(run.below, cnn=answerer.network.cnn))
    answerer.network.cnn.seen = 0
    together = vlx.explain(run, wanted, method)
    assert answerer.network.cnn.seen == 2 * (1 + 4 * 4 + 3)
    for mine, theirs in zip(together, alone, strict=True):
        if theirs is None:
            assert mine.raw.shape == (0, 32, 32)
        else:
            assert np.abs(theirs.raw).max() > 1e-6
            assert np.array_equal(mine.raw, theirs.raw)


def test_a_network_gives_again_what_it_gave_for_the_very_tensor():
    inner = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Conv2d(2, 2, 3))
    network = Counting(inner).eval()
    images, others = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        wanted, second = network(images), network(others)
        network.seen = 0
        with once_an_input(network):
            network(images).zero_()  # what it gave may be changed
            assert torch.equal(network(images), wanted)
            assert network.seen == 2
            assert torch.equal(network(others), second)
            assert torch.equal(network(images), wanted)
            assert torch.equal(network(images.clone()), wanted)
            assert network.seen == 8
            assert torch.equal(network(pixels=images), wanted)
    assert "forward" not in vars(network)
    broken = nn.Sequential(*inner, Broken())
    with pytest.raises(ZeroDivisionError), changes_only(broken), once_an_input(broken):
        broken(images)
    assert "forward" not in vars(broken)


def test_a_network_that_gives_several_tensors_runs_each_time():
    class Pair(nn.Module):
        def forward(self, images):
            return images, images

    images, pair = torch.randn(1, 3, 4, 4), Pair()
    with once_an_input(pair):
        assert pair(images)[0] is images
