"""The calls as people make them: numbers of NumPy and torch, one text for a list, the wrong model."""

import numpy as np
import pytest
import torch
from torch import nn

import vlx
from tests.adapters import small
from vlx.adapters.parts.classifier import Classifier
from vlx.asking import read_of
from vlx.errors import VlxError
from vlx.images import Preprocess, Squash
from vlx.methods.values import as_method
from vlx.passes.site import _index
from vlx.passes.targets import whole_number

PHOTO = np.random.default_rng(0).integers(0, 255, (64, 48, 3), np.uint8)


def network(classes=3):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes)
    )


def classifier(names=("dog", "cat", "ball"), **how):
    return Classifier(network(len(names)), names, Preprocess(Squash((32, 32))), **{"layer": "1", **how})


@pytest.mark.parametrize(
    "labels",
    [[np.int64(1)], [torch.tensor(1)], torch.tensor([1]), np.array([1]), 1, np.int64(1), "cat", ["cat"]],
)
def test_a_class_by_its_name_or_any_number(labels):
    explanation = vlx.explain_label(classifier(), PHOTO, labels)
    assert [target.name for target in explanation.targets] == ["cat"]


@pytest.mark.parametrize("value", [True, np.bool_(1), 1.0, None, torch.tensor(True), torch.ones(2)])
def test_what_is_no_class_is_refused_in_one_line(value):
    with pytest.raises(VlxError, match="names no class: give its text or its index"):
        whole_number(value, "class")


def test_of_two_classes_of_one_name_the_likelier_is_explained():
    model = classifier(["crane", "dog", "crane"])
    with torch.no_grad():
        model.network[4].bias.copy_(torch.tensor([-5.0, 0.0, 5.0]))
    explanation, asked = vlx.explain_label(model, PHOTO), vlx.explain_label(model, PHOTO, [2])
    assert explanation.targets == asked.targets
    np.testing.assert_array_equal(explanation.raw, asked.raw)
    assert explanation.targets[0].probability == explanation.predicted[0][1]
    assert explanation.targets[0].name == explanation.predicted[0][0] == "crane (2)"
    with pytest.raises(VlxError, match="give the index of one"):
        vlx.explain_label(model, PHOTO, ["crane"])


def test_words_by_any_number_and_one_alone():
    model = small.captioner()
    text = model.generate([vlx.open_image(PHOTO)])[0]
    first = text.split()[0]
    for words in (list(np.arange(1)), np.arange(1), torch.arange(1), 0, [0]):
        assert vlx.explain_caption(model, PHOTO, text, words=words).targets[0].words == (0,)
    if text.split().count(first) == 1:
        assert vlx.explain_caption(model, PHOTO, text, words=first).targets[0].name == first


def test_a_method_by_its_name():
    named = vlx.explain_label(classifier(), PHOTO, ["dog"], method="hires_cam")
    np.testing.assert_array_equal(
        named.raw, vlx.explain_label(classifier(), PHOTO, ["dog"], method=vlx.hires_cam).raw
    )
    for method, told in (("hirescam", "near names: hires_cam"), (vlx.methods, "is no method")):
        with pytest.raises(VlxError, match=told):
            as_method(method)


def test_targets_add_up_and_divide():
    passed = classifier().read([vlx.open_image(PHOTO)])
    dog, cat = vlx.label("dog"), vlx.label("cat")
    targets = [dog, cat, sum([dog, cat]), (dog + cat) / 2, np.float64(0.5) * dog, dog * torch.tensor(0.5)]
    scores = [target.score for target in vlx.explain(passed, targets)[0].targets]
    np.testing.assert_allclose(
        scores[2:],
        [scores[0] + scores[1], (scores[0] + scores[1]) / 2, scores[0] / 2, scores[0] / 2],
        rtol=1e-6,
    )
    assert vlx.explain(passed, dog)[0].targets[0].name == "dog"
    with pytest.raises(TypeError):
        dog + 1
    with pytest.raises(TypeError):
        dog * cat


def test_the_wrong_model_is_told_in_one_line():
    with pytest.raises(VlxError, match="Sequential has no method read"):
        read_of(network(), "explain_label", [PHOTO])
    with pytest.raises(VlxError, match=r"explain_label does not fit .*questions.*use explain_caption"):
        vlx.explain_label(small.vqa(), PHOTO)
    with pytest.raises(VlxError, match="for one image use explain_caption"):
        vlx.explain_captions(small.captioner(), "photo.jpg")


@pytest.mark.parametrize("layer", [np.int64(1), torch.tensor(1), 1, "1"])
def test_a_layer_by_any_number(layer):
    assert classifier(layer=layer).layer == "1"


@pytest.mark.parametrize("layer", [["1"], 1.5, vlx.Site("1")])
def test_what_is_no_layer_is_refused_in_one_line(layer):
    with pytest.raises(VlxError, match="a layer cannot be a "):
        _index(layer)
