"""Evidence by every call that explains: the score of the same text for features of 0, scored here by hand."""

import numpy as np
import pytest
import torch

import vlx
from tests.adapters import small
from tests.adapters.huggingface import tiny
from tests.network.plain import Plain, TinyViT
from tests.test_api import PHOTO, classifier
from tests.test_several_methods import OTHER, counted
from vlx.adapters.huggingface import wrap


def blank_of(passed, targets):
    """Scores where the layer gives 0, by the part above it, term by term."""
    run = passed.with_features(0, torch.zeros_like(passed.features[:1]))
    return [
        sum(
            term.weight * float(run.scores[0, term.step, term.choice].detach())
            for term in target.resolve(passed.readings[0]).terms
        )
        for target in targets
    ]


def test_words_phrases_and_captions_are_sums_of_words():
    model = small.captioner()
    said = model.generate([vlx.open_image(PHOTO)])[0]
    found = vlx.explain_caption(model, PHOTO, said, evidence=True)
    words, whole = found.targets[:-1], found.targets[-1]
    assert len(words) > 1
    assert whole.blank == pytest.approx(sum(one.blank for one in words), abs=1e-4)
    assert whole.from_image == pytest.approx(sum(one.from_image for one in words), abs=1e-4)
    both = vlx.phrase(" ".join(found.words[:2]))
    (pair,) = vlx.explain_caption(model, PHOTO, said, targets=both, evidence=True).targets
    assert pair.from_image == pytest.approx(words[0].from_image + words[1].from_image, abs=1e-4)
    assert any(abs(one.from_image) > 1e-3 for one in words)
    passed = model.read([vlx.open_image(PHOTO)], [said])
    expected = blank_of(passed, [vlx.word(at) for at in range(len(words))])
    assert [one.blank for one in words] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    "method", ["grad_cam", vlx.hires_cam, ["layer_cam", "guided_grad_cam"], ["gradient"]]
)
def test_it_is_off_by_default_and_changes_no_map(method):
    model = small.captioner()
    said = model.generate([vlx.open_image(PHOTO), vlx.open_image(OTHER)])
    plain = vlx.explain_captions(model, [PHOTO, OTHER], said, method=method)
    found = vlx.explain_captions(model, [PHOTO, OTHER], said, method=method, evidence=True)
    for one, other in zip(plain, found, strict=True):
        for bare, told in zip(np.atleast_1d(one), np.atleast_1d(other), strict=True):
            np.testing.assert_array_equal(bare.raw, told.raw)
            assert {target.blank for target in bare.targets} == {None}
            assert all(target.from_image == target.score - target.blank for target in told.targets)


def test_answers_chosen_and_written_and_of_a_batch():
    told = vlx.explain_answer(small.vqa(), PHOTO, "is it", [0, 1], evidence=True)
    assert len({one.blank for one in told.targets}) == 2
    passed = small.vqa().read([vlx.open_image(PHOTO)], ["is it"])
    expected = blank_of(passed, [vlx.answer(0), vlx.answer(1)])
    assert [one.blank for one in told.targets] == pytest.approx(expected, abs=1e-5)
    writer = wrap(*tiny.blip_vqa())
    asked = ["what is it ?", "is it a dog ?"]
    found = vlx.explain_answers(
        writer, [PHOTO, OTHER], asked, ["a dog", "a cat"], method=["grad_cam", "hires_cam"], evidence=True
    )
    for of_image in found:
        first, second = of_image
        assert first.targets[0].blank == second.targets[0].blank
        assert first.targets[0].from_image == first.targets[0].score - first.targets[0].blank
        assert first.provenance.score == "log-probability"
    alone = vlx.explain_answer(writer, PHOTO, asked[0], ["a dog", "a cat"], evidence=True)
    assert alone.targets[0].blank == pytest.approx(found[0][0].targets[0].blank, rel=1e-3)
    assert vlx.explain_answer(writer, PHOTO, asked[0], "a dog").targets[0].blank is None


def test_classes_and_texts_that_fit():
    matcher = wrap(*tiny.clip())
    (fits,) = vlx.explain_match(matcher, PHOTO, ["a dog", "a cat"], method=["grad_cam"], evidence=True)
    assert all(one.from_image == one.score - one.blank for one in fits.targets)
    assert vlx.explain_match(matcher, PHOTO, ["a dog"]).targets[0].blank is None
    model = classifier()
    found = vlx.explain_label(model, PHOTO, ["dog", "cat"], evidence=True)
    bias = model.network[4].bias.tolist()  # features of 0 are pooled to 0
    assert [one.blank for one in found.targets] == pytest.approx(bias[:2], abs=1e-6)
    several = vlx.explain_labels(model, [PHOTO, OTHER], ["dog", "cat"], evidence=True, method=["layer_cam"])
    assert [one[0].targets[0].blank for one in several] == pytest.approx(bias[:2], abs=1e-6)
    assert vlx.explain_label(model, PHOTO, targets=vlx.label(2), evidence=True).targets[0].blank == (
        pytest.approx(bias[2], abs=1e-6)
    )
    assert vlx.explain_label(model, PHOTO).targets[0].blank is None


def test_it_takes_one_more_run_above_the_layer_and_none_below():
    model = classifier(layer="1")
    below, above = counted(model.network[0]), counted(model.network[4])
    vlx.explain_label(model, PHOTO)
    plain = len(below), len(above)
    vlx.explain_label(model, PHOTO, evidence=True, method=["grad_cam", "hires_cam"])
    assert len(above) - plain[1] <= plain[1] + 2
    assert len(above) > 2 * plain[1]


@pytest.mark.parametrize("make", [Plain, lambda: TinyViT(1)])
def test_a_plain_network_gives_a_pair(make):
    net = make()
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    maps = vlx.explain_model(net, x, [1, 0])
    same, told = vlx.explain_model(net, x, [1, 0], evidence=True)
    assert torch.equal(maps, same)
    assert told is not None
    assert told.shape == (2,)
    assert not told.requires_grad
    along, by_path = vlx.explain_model(net, x, [1, 0], method="integrated_gradients", evidence=True)
    torch.testing.assert_close(told, by_path)
    assert along.shape == maps.shape
    if isinstance(net, Plain):  # features of 0 leave the bias
        scores = net.eval()(x)
        expected = torch.stack([scores[at, index] - net.fc.bias[index] for at, index in enumerate((1, 0))])
        torch.testing.assert_close(told, expected.detach())


def test_maps_that_are_differentiated_come_without_it():
    maps, told = vlx.explain_model(Plain(), torch.rand(1, 3, 12, 16), 1, create_graph=True, evidence=True)
    assert maps.requires_grad
    assert told is None
