"""What cannot be explained is refused in one line that says what would work; models stay as they were."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import vlx
from tests import tiny
from tests.explained import photo
from tests.passes.test_capture import state_of
from tests.speakers import ANSWERS, Chooser, Speaker
from vlx.errors import ImageError, LayerError, TextError, UnknownChoice, VlxError


def check_refused(kind: type[VlxError], message: str, call, *given: object, **named: object) -> None:
    with pytest.raises(kind, match=message) as error:
        call(*given, **named)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("caption", ["", "   ", "\n\t"])
def test_an_empty_caption(caption):
    check_refused(TextError, "the given caption is empty", vlx.explain_caption, Speaker(), photo(), caption)


def test_a_model_that_says_nothing():
    check_refused(TextError, "the model said nothing", vlx.explain_caption, Speaker(says=""), photo())


def test_one_caption_for_each_image():
    check_refused(
        TextError, "1 captions for 2 images", vlx.explain_captions, Speaker(), [photo()] * 2, ["a dog"]
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cat"], "no word 'cat' in 'a dog on grass'"),
        (["dog grass"], "no word 'dog grass' in"),
        ([4], "no word 4 in 'a dog on grass': it has 4, counted from 0"),
        ([-5], "no word -5"),
        ([""], "an empty word"),
        ([" "], "an empty word"),
        ([], "not empty"),
    ],
)
def test_words_that_are_not_there(words, message):
    check_refused(VlxError, message, vlx.explain_caption, Speaker(), photo(), words=words)


def test_a_word_that_stands_twice_is_asked_for_by_position():
    message = r"'a' occurs 2 times in 'a dog on a bike': use one of the positions \[0, 3\]"
    check_refused(TextError, message, vlx.explain_caption, Speaker(), photo(), "a dog on a bike", words=["a"])
    found = vlx.explain_caption(Speaker(), photo(), "a dog on a bike", words=[0, 3])
    assert [target.words for target in found.targets] == [(0,), (3,)]
    assert not np.array_equal(found.raw[0], found.raw[1])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (vlx.word("dog", instead="dgo"), "the model knows no word 'dgo' among its 8; near names: dog"),
        (vlx.word("dog", instead="zebra"), "no word 'zebra' among its 8; for example: end, a"),
        (vlx.answer("red"), r"answer\(\) does not fit a caption: use word\(\), phrase\(\) or caption\(\)"),
        (vlx.label(0), r"label\(\) does not fit a caption"),
        (vlx.word("dog") - vlx.word("cat"), "no word 'cat' in 'a dog on grass'"),
    ],
)
def test_targets_that_do_not_fit_a_caption(target, message):
    check_refused(TextError, message, vlx.explain_caption, Speaker(), photo(), targets=[target])


def test_unknown_answers_and_classes_come_with_near_names():
    answering, naming = Chooser(ANSWERS, "answer"), Chooser(ANSWERS, "label")
    check_refused(
        UnknownChoice, "knows no answer 'blew' among its 7; near names: blue",
        vlx.explain_answer, answering, photo(), "?", ["blew"],
    )  # fmt: skip
    check_refused(
        UnknownChoice, "no class 'dgo' .* near names: dog", vlx.explain_label, naming, photo(), ["dgo"]
    )
    check_refused(TextError, "no class 7: there are 7", vlx.explain_label, naming, photo(), [7])
    check_refused(TextError, "no class -1", vlx.explain_label, naming, photo(), [-1])
    check_refused(TextError, r"use label\(\)", vlx.explain_label, naming, photo(), targets=[vlx.word(0)])
    for nothing in ({"answers": []}, {"targets": []}):
        check_refused(VlxError, "give at least one", vlx.explain_answer, answering, photo(), "?", **nothing)


def test_lists_of_targets_that_do_not_fit_the_pass():
    run = Speaker().read([photo()] * 2, ["a dog", "cat"])
    check_refused(VlxError, "no targets to explain: give at least one", vlx.explain, run, [])
    check_refused(VlxError, "3 lists of targets for 2 items", vlx.explain, run, [[vlx.word(0)]] * 3)
    check_refused(VlxError, "not empty", vlx.explain, run, [[], []])


def test_an_image_that_cannot_be_opened(tmp_path):
    check_refused(ImageError, "no image", vlx.explain_caption, Speaker(), tmp_path / "gone.png")
    check_refused(
        ImageError, "expected bytes", vlx.explain_caption, Speaker(), np.zeros((3, 8, 8), np.float32)
    )


class Sided(tiny.Captioner):
    """A network with a convolution that takes no part in its scores, and one that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.side, self.spare = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, pixels, ids):
        self.side(pixels)
        return super().forward(pixels + 0 * self.pool(pixels), ids)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("cnn.featuers.3", "no layer 'cnn.featuers.3' in this Sided; near names: cnn.features.3"),
        ("conv5_3", "no layer 'conv5_3' in this Sided"),
        ("cnn.fc", r"output of shape \(1, 7\) has no rows and columns"),
        ("words", "has no rows and columns"),
        ("pool", "has a single place .* name a layer below its pooling"),
        ("side", "side is not on the path|scores do not depend on layer side"),
        ("spare", "layer spare was not reached"),
    ],
)
def test_layers_that_explain_nothing(layer, message):
    speaker = Speaker(layer=layer)
    torch.manual_seed(0)
    speaker.model = Sided().double()
    speaker.model.train()
    speaker.model.cnn.eval()
    before = state_of(speaker.model)
    check_refused(LayerError, message, vlx.explain_caption, speaker, photo())
    assert state_of(speaker.model) == before


@pytest.mark.parametrize("method", vlx.METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize("fails", [False, True])
def test_a_model_is_as_it_was_after_success_and_after_an_exception(method, fails):
    speaker = Speaker()
    speaker.model.train()
    speaker.model.cnn.features[1].eval()
    speaker.model.vocabulary.weight.requires_grad_(False)
    before = state_of(speaker.model)
    if fails:
        check_refused(
            TextError, "no word", vlx.explain_caption, speaker, photo(), words=["zebra"], method=method
        )
    else:
        assert np.isfinite(vlx.explain_caption(speaker, photo(), method=method).raw).all()
    assert state_of(speaker.model) == before


def test_the_models_own_exception_passes_through():
    speaker = Speaker()
    before = state_of(speaker.model)

    class Mine(Exception):
        pass

    def broken(images, captions):
        with vlx.capture(speaker.model, speaker.layer):
            raise Mine

    speaker.read = broken
    with pytest.raises(Mine):
        vlx.explain_caption(speaker, photo())
    assert state_of(speaker.model) == before


def test_weights_that_are_not_finite_are_told():
    speaker = Speaker()
    with torch.no_grad():
        speaker.model.lstm.weight_hh_l0.fill_(float("nan"))
    check_refused(VlxError, "not finite: check the model's weights", vlx.explain_caption, speaker, photo())


def test_a_picture_of_one_pixel_is_explained():
    found = vlx.explain_caption(Speaker(), Image.new("RGB", (1, 1), "red"))
    assert found.maps.shape == (5, 1, 1)
    assert np.isfinite(found.maps).all()
