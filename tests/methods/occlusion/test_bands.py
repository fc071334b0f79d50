"""Bands of an image shown one by one: the product of what rows and columns say, by hand and on any model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax

import vlx
from tests.adapters import small
from tests.methods.occlusion.test_of_pass import Counting
from vlx.errors import VlxError
from vlx.eval.runs.methods import told
from vlx.images.preprocess import AsIs
from vlx.methods.occlusion import of_pass
from vlx.methods.occlusion.bands import Bands

QUESTION = "is there a dog ?"


@pytest.fixture
def answerer():
    model = small.vqa()
    model.preprocess = replace(model.preprocess, resize=AsIs(), window=None)
    return model


def shown_alone(run, rows, cols):
    """The scores where some rows and columns of pixels are shown, on the mean colour of the image."""
    pixels = run.below.pixels[:1]
    masked = pixels.mean((2, 3), keepdim=True).expand_as(pixels).clone()
    masked[..., rows, cols] = pixels[..., rows, cols]
    return run.below.rescore(masked, 0)[0].double().numpy()


def literal(run, count, posterior):
    """The map of the paper's loop, bilinear between the middles of the bands."""
    height, width = run.below.pixels.shape[2:]
    whole, high, wide = slice(None), height // count, width // count
    down = [posterior(shown_alone(run, slice(i * high, (i + 1) * high), whole)) for i in range(count)]
    across = [posterior(shown_alone(run, whole, slice(j * wide, (j + 1) * wide))) for j in range(count)]
    rows = np.interp(np.arange(height), [(i + 0.5) * high - 0.5 for i in range(count)], down)
    cols = np.interp(np.arange(width), [(j + 0.5) * wide - 0.5 for j in range(count)], across)
    return np.array([[row * col for col in cols] for row in rows])


@pytest.mark.parametrize("odds", ["softmax", "sigmoid"])
def test_answers_by_the_literal_loop(answerer, odds):
    run = answerer.read(small.photos((32, 48)), [QUESTION])
    run = replace(run, readings=tuple(replace(reading, odds=odds) for reading in run.readings))
    names = answerer.answers[:2]
    method = vlx.bands_with(count=4, fill="mean")
    (found,) = vlx.explain(run, [vlx.answer(name) for name in names], method)
    assert found.raw.shape == (2, 32, 48)
    shares = (lambda logits: np.exp(log_softmax(logits))) if odds == "softmax" else expit
    for at, name in enumerate(names):
        choice = answerer.answers.index(name)
        wanted = literal(run, 4, lambda scores, choice=choice: shares(scores[0])[choice])
        assert found.raw[at] == pytest.approx(wanted, rel=1e-4)
        blank = shown_alone(run, slice(0, 0), slice(0, 0))[0, choice]
        assert found.targets[at].blank == pytest.approx(blank, abs=1e-4)
    assert 0 < found.raw.min() <= found.raw.max() <= 1


def test_words_by_the_literal_loop_and_a_caption_by_its_mean_word():
    model = small.captioner()
    photos = small.photos((40, 48))
    said = model.generate(photos)
    run = model.read(photos, said)
    words = run.readings[0].words
    targets = [vlx.word(0), vlx.caption(), vlx.word(0) - vlx.word(1)]
    (found,) = vlx.explain(run, targets, vlx.bands_with(count=2))

    def chances(scores):
        return [scores[word.steps[0], word.ids[0]] for word in words]

    one = literal(run, 2, lambda scores: np.exp(chances(scores)[0]))
    assert found.raw[0] == pytest.approx(one, rel=1e-4)
    mean = literal(run, 2, lambda scores: np.exp(np.mean(chances(scores))))
    assert found.raw[1] == pytest.approx(mean, rel=1e-4)
    # What has no probability is a share of the best band, of which there is one among rows and columns.
    odds = literal(run, 2, lambda scores: np.exp(chances(scores)[0] - chances(scores)[1]))
    assert found.raw[2] / odds == pytest.approx(found.raw[2].max() / odds.max(), rel=1e-4)
    assert 0 < found.raw[2].max() <= 1


def test_one_band_is_the_whole_image(answerer):
    run = answerer.read(small.photos((32, 32)), [QUESTION])
    target = vlx.answer(answerer.answers[0])
    (found,) = vlx.explain(run, target, vlx.bands_with(count=1))
    assert found.raw == pytest.approx(found.targets[0].probability ** 2, rel=1e-4)


def test_bands_divide_the_pixels():
    assert Bands(3).edges(10) == [(0, 3), (3, 7), (7, 10)]
    for length in range(8, 40):
        edges = Bands(8).edges(length)
        lengths = [end - start for start, end in edges]
        assert (edges[0][0], edges[-1][1], sum(lengths)) == (0, length, length)
        assert max(lengths) - min(lengths) <= 1


def test_an_image_with_several_questions_is_seen_once(answerer):
    one, other = small.photos((32, 32), (32, 32))
    photos, asked = [one, other, one], ["is there a dog ?", "what colour ?", "a cat ?"]
    wanted = [[vlx.answer("yes")], [], [vlx.answer("no"), vlx.answer("two")]]
    alone = [
        vlx.explain(answerer.read([photo], [text]), [targets], vlx.bands)[0] if targets else None
        for photo, text, targets in zip(photos, asked, wanted, strict=True)
    ]
    answerer.network.cnn = Counting(answerer.network.cnn)
    run = answerer.read(photos, asked)
    run = replace(run, below=replace(run.below, cnn=answerer.network.cnn))
    answerer.network.cnn.seen = 0
    together = vlx.explain(run, wanted, vlx.bands)
    assert answerer.network.cnn.seen == 1 + 2 * 8 + 3  # three in full too: is the result the same?
    for mine, theirs in zip(together, alone, strict=True):
        if theirs is None:
            assert mine.raw.shape == (0, 32, 32)
        else:
            assert mine.raw == pytest.approx(theirs.raw, rel=1e-5)
            for told_so, alike in zip(mine.targets, theirs.targets, strict=True):
                assert told_so.blank == pytest.approx(alike.blank, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_and_changes_alone(dtype, monkeypatch):
    model = small.captioner()
    model.network.to(dtype)
    photos = small.photos((40, 48))
    said = model.generate(photos)
    (found,) = vlx.explain(model.read(photos, said), vlx.caption(), vlx.bands)
    monkeypatch.setattr(of_pass, "changes_only", lambda _cnn: torch.no_grad())
    (in_full,) = vlx.explain(model.read(photos, said), vlx.caption(), vlx.bands)
    assert np.isfinite(found.raw).all()
    assert found.raw.min() > 0
    assert found.raw == pytest.approx(in_full.raw, rel=1e-5 if dtype == torch.float64 else 0.2)


def test_a_value_without_chances_does_not_overflow():
    net = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 2))
    x = torch.rand(2, 3, 16, 16)
    layer = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), net)
    maps = vlx.explain_model(layer, x, lambda scores: 1e4 * scores[:, 0], "0", method="bands")
    assert maps.shape == (2, 16, 16)
    assert maps.isfinite().all()
    assert maps.max() <= 1


def test_names_settings_and_errors(answerer):
    assert vlx.method_named("bands") is vlx.bands
    assert vlx.method_named("bands_12").bands == Bands(12)
    assert vlx.method_named("bands_blur").bands == Bands(fill="blur")
    assert vlx.bands_with(count=12, fill="#ff8000").name == "bands_12_ff8000"
    settings = [told(vlx.bands_with(count=n)) for n in (4, 5)]
    assert settings == ["bands_4 (bands 4, batch 16)", "bands_5 (bands 5, batch 16)"]
    for wrong in ({"count": 0}, {"count": -3}, {"batch": 0}):
        with pytest.raises(VlxError, match=r"count .* and batch .* must be 1 or more"):
            vlx.bands_with(**wrong)
    run = answerer.read(small.photos((32, 32)), [QUESTION])
    with pytest.raises(VlxError, match="33 bands do not fit 32 pixels: give at most 32"):
        vlx.explain(run, vlx.answer(0), vlx.bands_with(count=33))
    with pytest.raises(VlxError, match="no way to score other pixels"):
        vlx.explain(replace(run, below=None), vlx.answer(0), vlx.bands)
