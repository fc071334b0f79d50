"""Deeper LSTM Q + norm I as an adapter: any answer, any question, alone and in batches."""

import numpy as np
import pytest
import torch

import vlx
from tests.adapters import small
from tests.adapters.conformance import CHECKS, Case
from vlx.adapters.nets.question import QuestionNetwork
from vlx.adapters.parts.deeper_lstm import DeeperLSTM
from vlx.errors import LayerError, TextError, UnknownChoice, VlxError
from vlx.images.preprocess import stack_images

ASKED = ("is the dog red ?", "what colour ?", "is a cat on the red bike on the grass ?")


def case() -> Case:
    model = small.vqa()
    return Case(model, model.network, small.photos((32, 32), (48, 60), (70, 40)), ASKED)


@pytest.mark.parametrize("check", CHECKS)
def test_conforms(check):
    check(case())


def test_scores_and_gradients_equal_the_network_alone():
    whole = case().item(2)
    model = whole.adapter
    pixels, _ = stack_images(model.preprocess, whole.images, next(model.network.parameters()))
    ids = [small.QUESTIONS.names.index(word) for word in ASKED[2].split()]
    inputs = pixels.clone().requires_grad_()
    logits = model.network(inputs, torch.tensor([ids]), torch.tensor([len(ids)]))[0]
    run = whole.read()
    torch.testing.assert_close(run.scores[0, 0], logits, rtol=1e-12, atol=1e-12)
    targets = [vlx.answer("blue"), vlx.answer("blue") - vlx.answer("red")]
    (result,) = vlx.explain(run, targets, vlx.gradient)
    for raw, y in zip(result.raw, (logits[3], logits[3] - logits[2]), strict=True):
        (expected,) = torch.autograd.grad(y, inputs, retain_graph=True)
        assert expected.abs().max() > 0
        torch.testing.assert_close(torch.from_numpy(raw), expected[0].float())


def test_any_answer_can_be_forced():
    model, (image,) = small.vqa(), small.photos((48, 60))
    forced = vlx.explain_answer(model, image, ASKED[0], list(small.ANSWERS))
    assert [target.name for target in forced.targets] == list(small.ANSWERS)
    assert len({target.score for target in forced.targets}) == len(small.ANSWERS)
    free = vlx.explain_answer(model, image, ASKED[0])
    best = max(forced.targets, key=lambda target: target.score)
    assert free.targets == (best,)
    assert free.predicted[0] == (best.name, best.probability)
    assert free.prompt == ASKED[0]
    at = forced.targets.index(best)
    np.testing.assert_allclose(free.raw[0], forced.raw[at], rtol=1e-5, atol=1e-9)
    against = vlx.explain_answer(model, image, ASKED[0], targets=[-vlx.answer("red")])
    assert against.targets[0].score == pytest.approx(-forced.targets[2].score)
    assert against.targets[0].probability is None


def test_probabilities_sum_to_one():
    model, (image,) = small.vqa(), small.photos((48, 60))
    forced = vlx.explain_answer(model, image, ASKED[1], list(small.ANSWERS))
    shares = [target.probability for target in forced.targets]
    assert sum(shares) == pytest.approx(1.0, abs=1e-6)
    assert min(shares) > 0
    odds = np.exp([target.score for target in forced.targets])
    np.testing.assert_allclose(shares, odds / odds.sum(), rtol=1e-5)
    assert dict(forced.predicted) == {t.name: t.probability for t in forced.targets}
    assert [share for _, share in forced.predicted] == sorted(shares, reverse=True)


def test_an_unknown_answer_is_told_with_near_ones_and_never_replaced():
    model, (image,) = small.vqa(), small.photos((48, 60))
    with pytest.raises(UnknownChoice, match=r"knows no answer 'bleu' among its 5; near names: blue"):
        vlx.explain_answer(model, image, ASKED[0], ["red", "bleu"])


def test_unknown_words_of_a_question_are_reported():
    model, (image,) = small.vqa(), small.photos((48, 60))
    explanation = vlx.explain_answer(model, image, "Is the zebra red, the zebra or the ox ?")
    assert explanation.unknown == ("zebra", ",", "or", "ox")
    assert vlx.explain_answer(model, image, ASKED[0]).unknown == ()
    other = vlx.explain_answer(model, image, "Is the horse red, the horse or the cow ?", ["red"])
    same = vlx.explain_answer(model, image, "Is the zebra red, the zebra or the ox ?", ["red"])
    assert other.targets[0].score == same.targets[0].score  # both are read as the unknown word


def test_the_question_and_the_image_both_matter():
    model, images = small.vqa(), small.photos((48, 60), (48, 60))
    scores = [
        vlx.explain_answer(model, image, question, ["red"]).targets[0].score
        for image in images
        for question in ASKED[:2]
    ]
    assert len(set(scores)) == 4


def test_what_does_not_fit_is_told():
    model, images = small.vqa(), small.photos((32, 32), (40, 40))
    with pytest.raises(TextError, match="1 questions for 2 images"):
        model.read(images, [ASKED[0]])
    with pytest.raises(TextError, match="holds no word"):
        model.read(images[:1], [""])
    with pytest.raises(VlxError, match="no images"):
        model.read([], [])
    with pytest.raises(LayerError, match=r"near names: features\.4"):
        small.vqa(layer="feature.4")
    network = QuestionNetwork(small.cnn(), 12, len(small.QUESTIONS.names), 4)
    few = DeeperLSTM(network, small.QUESTIONS, small.ANSWERS, small.PREPROCESS)
    with pytest.raises(VlxError, match="5 names for 4 choices"):
        few.read(images[:1], [ASKED[0]])
    with pytest.raises(TextError, match=r"use answer\(\)"):
        vlx.explain_answer(model, images[0], ASKED[0], targets=[vlx.word("red")])


def test_layers_by_name_and_by_index():
    (image,) = small.photos((32, 32))
    maps = [
        vlx.explain_answer(small.vqa(layer=layer), image, ASKED[0], targets=[vlx.answer("red")]).raw
        for layer in ("features.0", 0)
    ]
    assert maps[0].shape == (1, 16, 16)
    assert np.array_equal(*maps)
    assert small.vqa().layer == "features"
