"""Targets against what comes next to them: the literal formula, on words, phrases, answers and classes."""

import numpy as np
import pytest
import torch

import vlx
from tests.adapters import small
from tests.adapters.huggingface import tiny
from vlx.adapters.huggingface import wrap
from vlx.adapters.parts.classifier import Classifier
from vlx.errors import TextError, VlxError
from vlx.images import Preprocess, Squash
from vlx.passes.reading import Choices, Reading, Word, choices_of, runners_up

GAMMA = 0.6


def against(scores, choice, others, weight=GAMMA):
    """The paper's formula: the score less the weighted mean of those of its runners-up."""
    return float(scores[choice] - weight * sum(scores[other] for other in others) / len(others))


def likeliest(scores, choice, count, signs):
    ranked = sorted(range(len(scores)), key=lambda at: -float(scores[at]))
    return [at for at in ranked if at != choice and at not in signs][:count]


def nearest(scores, choice, count):
    ranked = sorted(range(len(scores)), key=lambda at: abs(float(scores[at] - scores[choice])))
    return [at for at in ranked if at != choice][:count]


def test_words_phrases_and_captions_by_the_literal_formula():
    model = small.captioner()
    photos = small.photos((40, 48), (40, 48))
    said = model.generate(photos)
    run = model.read(photos, said)
    signs = set(model.vocabulary.choices.signs)
    assert signs
    targets = [vlx.word(1), vlx.word(0).against_runners_up(), vlx.caption().against_runners_up(2, weight=0.5)]
    text = " ".join(run.readings[0].text.split()[:2])
    found = vlx.explain(run, [[*targets, vlx.phrase(text).against_runners_up(1)], targets[1:]], "hires_cam")
    for item, (explained, reading) in enumerate(zip(found, run.readings, strict=True)):
        scores = run.scores[item].detach()

        def value(positions, count, weight=GAMMA, scores=scores, reading=reading):
            words = [reading.words[at] for at in positions]
            return sum(
                against(
                    scores[word.steps[0]],
                    word.ids[0],
                    likeliest(scores[word.steps[0]], word.ids[0], count, signs),
                    weight,
                )
                for word in words
            )

        one, whole = explained.targets[-3:-1] if item == 0 else explained.targets
        assert one.score == pytest.approx(value([0], 3), abs=1e-4)
        assert whole.score == pytest.approx(value(range(len(reading.words)), 2, 0.5), abs=1e-4)
        assert one.probability is None
        assert one.words == (0,)
    assert found[0].targets[0].probability is not None
    assert found[0].targets[3].score == pytest.approx(value_of_phrase(run, signs), abs=1e-4)
    assert found[0].targets[1].name == f"{run.readings[0].words[0].text} - 0.6 × 3 runners-up"


def value_of_phrase(run, signs):
    scores, words = run.scores[0].detach(), run.readings[0].words[:2]
    rows = [(scores[word.steps[0]], word.ids[0]) for word in words]
    return sum(against(row, own, likeliest(row, own, 1, signs)) for row, own in rows)


def test_its_map_is_that_of_the_difference_written_by_hand():
    model = small.captioner()
    (photo,) = small.photos((40, 48))
    run = model.read([photo], model.generate([photo]))
    word = run.readings[0].words[1]
    others = runners_up(run.readings[0], word.steps[0], word.ids[0], 3)
    names = [run.readings[0].choices.names[at] for at in others]
    by_hand = vlx.word(1) - 0.2 * sum(vlx.word(1, instead=name) for name in names)
    for method in ("grad_cam", "hires_cam", "integrated_gradients"):
        (found,) = vlx.explain(run, [vlx.contrast_runners_up(vlx.word(1)), by_hand], method)
        assert found.targets[0].score == pytest.approx(found.targets[1].score, abs=1e-5)
        assert found.raw[0] == pytest.approx(found.raw[1], abs=1e-6)
        assert np.abs(found.raw).max() > 0


def test_answers_and_classes_against_the_nearest_logits():
    vqa, (photo,) = small.vqa(), small.photos((40, 48))
    run = vqa.read([photo], ["is there a dog ?"])
    scores = run.scores[0, 0].detach()
    for choice in range(len(vqa.answers)):
        (found,) = vlx.explain(run, vlx.answer(choice).against_runners_up(2), "grad_cam")
        wanted = against(scores, choice, nearest(scores, choice, 2))
        assert found.targets[0].score == pytest.approx(wanted, abs=1e-5)
    found = vlx.explain_answer(vqa, photo, "is there a dog ?", vqa.answers[:1], runners_up=2)
    assert found.targets[0].score == pytest.approx(against(scores, 0, nearest(scores, 0, 2)), abs=1e-4)


def test_two_classes_have_one_runner_up_and_one_has_none():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    model = Classifier(net, ["cat", "dog"], Preprocess(Squash((16, 16))), layer="0")
    (photo,) = small.photos((16, 16))
    found = vlx.explain_label(model, photo, "dog", runners_up=3)
    (plain,) = vlx.explain(model.read([photo]), [vlx.label("dog") - 0.6 * vlx.label("cat")], vlx.grad_cam)
    assert found.targets[0].score == pytest.approx(plain.targets[0].score, abs=1e-6)
    assert found.raw == pytest.approx(plain.raw, abs=1e-6)
    alone = Reading("label", (), Choices(["cat"], "class"), scores=torch.ones(1, 1))
    with pytest.raises(TextError, match="'cat' has no runner-up: the model has no other class to choose"):
        vlx.label("cat").against_runners_up().resolve(alone)


def test_a_plain_network_takes_them_too():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    x = torch.rand(2, 3, 16, 16)
    scores = net(x).detach()
    maps = vlx.explain_model(net, x, vlx.label(1).against_runners_up(2), "0", method="hires_cam")
    for item in range(2):
        others = nearest(scores[item], 1, 2)
        by_hand = vlx.label(1) - 0.3 * vlx.label(others[0]) - 0.3 * vlx.label(others[1])
        alone = vlx.explain_model(net, x[item : item + 1], by_hand, "0", method="hires_cam")
        assert torch.allclose(maps[item], alone[0], atol=1e-6)


def test_signs_are_no_runners_up():
    names = ["<end>", "a", "dog", "cat", "[PAD]", "END", "", "##<|im_end|>", "unk"]
    scores = torch.tensor([[9.0, 1, 0, 2, 8, 7, 6, 5, 4]]).log_softmax(-1)
    words = (Word("dog", (0,), (2,)),)
    reading = Reading(
        "caption", words, choices_of("caption", names, {8}), Word("END", (1,), (5,)), scores=scores
    )
    assert runners_up(reading, 0, 2, 3) == (3, 1)
    resolved = vlx.word(0).against_runners_up(3).resolve(reading)
    assert [(term.choice, term.weight) for term in resolved.terms] == [(2, 1.0), (3, -0.3), (1, -0.3)]
    answers = Reading("answer", (), choices_of("answer", ["<end>", "yes"]), scores=torch.tensor([[1.0, 2.0]]))
    assert runners_up(answers, 0, 1, 3) == (0,)  # an answer is an answer, whatever its name


def test_equal_scores_keep_their_order_and_composed_targets_each_part():
    names = ["a", "b", "c", "d"]
    reading = Reading("label", (), Choices(names, "class"), scores=torch.tensor([[1.0, 2.0, 0.0, 5.0]]))
    assert runners_up(reading, 0, 0, 2) == (1, 2)
    resolved = (vlx.label("a") - 2 * vlx.label("d")).against_runners_up(1, weight=0.5).resolve(reading)
    told = [(term.choice, term.weight) for term in resolved.terms]
    assert told == [(0, 1.0), (1, -0.5), (3, -2.0), (1, 1.0)]


def test_words_of_several_tokens_each_against_their_own():
    model = wrap(*tiny.llava())
    (photo,) = small.photos((40, 48))
    run = model.read([photo], ["a dogs runs"])
    (word,) = [word for word in run.readings[0].words if word.text == "dogs"]
    assert len(word.steps) == 2
    scores, special = run.scores[0].detach(), set(model.parts.tokenizer.all_special_ids)
    names = run.readings[0].choices
    signs = special | {at for at in range(len(names.names)) if names.names[at].lstrip("#").startswith("<")}
    wanted = sum(
        against(scores[step], own, likeliest(scores[step], own, 3, signs))
        for step, own in zip(word.steps, word.ids, strict=True)
    )
    (found,) = vlx.explain(run, vlx.word("dogs").against_runners_up(), "grad_cam")
    assert found.targets[0].score == pytest.approx(wanted, abs=1e-4)
    answered = vlx.explain_answer(model, photo, "what is there", ["a dog", "a cat"], runners_up=3)
    assert [target.name for target in answered.targets] == [
        "a dog - 0.6 × 3 runners-up", "a cat - 0.6 × 3 runners-up",
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions(dtype):
    model = small.captioner()
    model.network.to(dtype)
    (photo,) = small.photos((40, 48))
    found = vlx.explain_caption(model, photo, model.generate([photo])[0], runners_up=3)
    assert np.isfinite(found.raw).all()
    assert all(target.name.endswith("runners-up") for target in found.targets)


def test_what_does_not_serve_is_said():
    for wrong in ({"count": 0}, {"count": -1}, {"weight": float("nan")}):
        with pytest.raises(VlxError, match=r"runners-up with weight .*: give 1 or more, and a finite weight"):
            vlx.word(0).against_runners_up(**wrong)
    reading = Reading("label", (), Choices(["a", "b"], "class"))
    with pytest.raises(VlxError, match="runners-up are told by scores"):
        vlx.label("a").against_runners_up().resolve(reading)
    with pytest.raises(TextError, match="does not fit a label"):
        vlx.word(0).against_runners_up().resolve(reading)
