"""Several methods of one Pass: what separate calls give, from one run of the model and shared gradients."""

import sys
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

import vlx
from tests.adapters import small
from tests.adapters.huggingface import tiny
from tests.test_api import PHOTO, classifier
from vlx.adapters.huggingface import wrap
from vlx.adapters.parts.classifier import Classifier
from vlx.api.captions import _own
from vlx.cli.caption import caption_with
from vlx.cli.classify import label_with
from vlx.cli.vqa import answer_with
from vlx.errors import GuidedError, VlxError
from vlx.images import Preprocess, Squash
from vlx.methods.values import as_methods

OTHER = np.random.default_rng(1).integers(0, 255, (50, 70, 3), np.uint8)
MANY_RUNS = (
    "occlusion", "reveal", "reveal_and_hide", "bands", "ablation_cam", "score_cam", "rise", "smooth_gradient",
)  # fmt: skip
METHODS = [
    *(method for method in vlx.METHODS if method.name not in MANY_RUNS),
    vlx.rise_with(count=8),
    vlx.grad_cam_with(pool="max", rectify=False),
    vlx.occlusion_with(size=9, stride=8),
]
ORDERS = [METHODS, METHODS[::-1], METHODS[::2] + METHODS[1::2], [vlx.grad_cam, vlx.guided_grad_cam]]


def assert_same(mine: vlx.Explanation, alone: vlx.Explanation) -> None:
    assert mine.provenance == alone.provenance
    assert [t.name for t in mine.targets] == [t.name for t in alone.targets]
    assert [t.score for t in mine.targets] == pytest.approx([t.score for t in alone.targets], rel=1e-6)
    largest = float(np.abs(alone.raw).max())
    np.testing.assert_allclose(mine.raw, alone.raw, rtol=1e-4, atol=1e-6 * largest)


def counted(module: nn.Module) -> list[int]:
    """Grows by one with each run of a module."""
    runs: list[int] = []
    module.register_forward_hook(lambda *_: runs.append(1))
    return runs


@pytest.mark.parametrize("methods", ORDERS)
def test_all_methods_of_a_caption_are_those_of_separate_calls(methods):
    model = small.captioner()
    photos = [vlx.open_image(PHOTO), vlx.open_image(OTHER)]
    said = model.generate(photos)
    alone = [vlx.explain_captions(model, photos, said, method=method) for method in methods]
    runs = counted(model.network.cnn)
    found = vlx.explain_captions(model, photos, said, method=[m for m in methods if m is not METHODS[-1]])
    # Pixels are reached through the layers below, once for each rule; the first features of another kind
    # show with all that lies below whether it may be left out, and masks are given to the whole, all at once.
    below = sum(method.rule is not None for method in methods)
    masked = len(photos) * sum(method.perturbed is not None for method in methods)
    assert len(runs) <= 1 + below + masked + any(method.path is not None for method in methods)
    assert [len(of_image) for of_image in found] == [len([m for m in methods if m is not METHODS[-1]])] * 2
    found = vlx.explain_captions(model, photos, said, method=methods)
    for item in range(2):
        for at in range(len(methods)):
            assert_same(found[item][at], alone[at][item])


@pytest.mark.parametrize("methods", ORDERS)
def test_all_methods_of_an_answer_and_a_class(methods):
    vqa = small.vqa()
    found = vlx.explain_answer(vqa, PHOTO, "is there a dog ?", vqa.answers[:2], method=methods)
    for mine, method in zip(found, methods, strict=True):
        assert_same(mine, vlx.explain_answer(vqa, PHOTO, "is there a dog ?", vqa.answers[:2], method=method))
    model = classifier()
    for mine, method in zip(vlx.explain_label(model, PHOTO, method=methods), methods, strict=True):
        assert_same(mine, vlx.explain_label(model, PHOTO, method=method))


def test_cams_share_one_product_and_guided_methods_another():
    run = small.captioner().read_own([vlx.open_image(PHOTO)])
    cams = [vlx.grad_cam, vlx.hires_cam, vlx.layer_cam, vlx.gradient]
    guided = [vlx.guided_backprop, vlx.guided_grad_cam]

    def watched(name, room="shared"):
        home = sys.modules[f"vlx.methods.{room}"]
        return mock.patch.object(home, name, side_effect=getattr(home, name))

    with (
        watched("gradients") as full,
        watched("mean_gradients", "maps") as means,
        watched("pixel_gradients") as pixels,
    ):
        vlx.explain(run, vlx.caption(), [guided[0], *cams, guided[1]])
        assert (full.call_count, means.call_count, pixels.call_count) == (2, 0, 2)
        vlx.explain(run, vlx.caption(), [vlx.grad_cam, vlx.grad_cam_with(rectify=False), vlx.grad_cam])
        assert (full.call_count, means.call_count) == (2, 1)


def test_one_method_in_a_list_is_a_list_and_names_do():
    model = classifier()
    (alone,) = vlx.explain_label(model, PHOTO, method=["hires_cam"])
    assert alone.provenance.method == "hires_cam"
    both = vlx.explain_label(model, PHOTO, method=("grad_cam", vlx.hires_cam))
    assert [one.provenance.method for one in both] == ["grad_cam", "hires_cam"]
    with pytest.raises(VlxError, match="no methods"):
        vlx.explain_label(model, PHOTO, method=[])
    with pytest.raises(VlxError, match="near names: hires_cam"):
        vlx.explain_label(model, PHOTO, method=["grad_cam", "hirescam"])
    with pytest.raises(VlxError, match="None is no method"):
        as_methods([vlx.grad_cam, None])


def test_a_method_that_changes_what_it_is_given_disturbs_no_other():
    def greedy(activations, gradients):
        activations.mul_(0), gradients.abs_()
        return gradients.sum(-3)

    model, methods = classifier(), [vlx.hires_cam, vlx.Method("greedy", greedy), vlx.hires_cam, vlx.grad_cam]
    found = vlx.explain_label(model, PHOTO, method=methods)
    assert_same(found[2], found[0])
    assert_same(found[0], vlx.explain_label(model, PHOTO, method=vlx.hires_cam))
    assert_same(found[3], vlx.explain_label(model, PHOTO, method=vlx.grad_cam))


def test_maps_of_a_wrong_shape_are_told_and_maps_without_gradients_serve_every_target():
    model = classifier()
    for wrong in (lambda a, g: a, lambda a, g: float(g.sum()), lambda a, g: g.sum((-3, -2, -1))):
        with pytest.raises(VlxError, match=r"method mine gives .*not maps \(target, batch, row, col\)"):
            vlx.explain_label(model, PHOTO, ["dog", "cat"], method=vlx.Method("mine", wrong))
    plain = vlx.Method("activation", lambda activations, _gradients: activations.mean(-3))
    found = vlx.explain_label(model, PHOTO, ["dog", "cat"], method=plain)
    np.testing.assert_array_equal(found.raw[0], found.raw[1])
    with pytest.raises(VlxError, match="neither a map on features nor a rule"):
        vlx.explain_label(model, PHOTO, method=[vlx.grad_cam, vlx.Method("nothing")])


def test_a_model_without_relus_is_told_as_by_a_separate_call():
    torch.manual_seed(0)
    smooth = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    model = Classifier(smooth, ["a", "b"], Preprocess(Squash((32, 32))), layer="1")
    with pytest.raises(GuidedError, match="no ReLU"):
        vlx.explain_label(model, PHOTO, method=[vlx.grad_cam, vlx.guided_backprop])
    assert len(vlx.explain_label(model, PHOTO, method=[vlx.grad_cam, vlx.gradient])) == 2


def test_the_command_line_runs_a_model_once_for_all_methods():
    methods = [vlx.grad_cam, vlx.hires_cam, vlx.grad_cam_pp, vlx.layer_cam, vlx.xgrad_cam]
    photo = vlx.open_image(PHOTO)
    for model, explained in (
        (one := classifier(), label_with([("", one)], methods, None)),
        (one := small.vqa(), answer_with([("", one)], methods, "is there a dog ?", None)),
        (one := small.captioner(), caption_with([("", one)], methods, None, None, None, None)),
        (
            one := small.captioner(),
            caption_with([("", one)], methods, one.generate([photo])[0], None, None, None),
        ),
    ):
        runs = counted(getattr(model.network, "cnn", model.network))
        assert [found.provenance.method for found in explained(photo)] == [m.name for m in methods]
        assert len(runs) == 1


def test_answers_and_classes_of_a_batch_are_those_of_each_image():
    vqa, photos = small.vqa(), [PHOTO, OTHER, PHOTO]
    asked, answers = ["is there a dog ?", "what is it ?", "is there a cat ?"], [["yes", "no"], "red", None]
    found = vlx.explain_answers(vqa, photos, asked, answers, method=["grad_cam", "hires_cam"])
    for of_image, photo, question, names in zip(found, photos, asked, answers, strict=True):
        for mine, method in zip(of_image, ("grad_cam", "hires_cam"), strict=True):
            assert_same(mine, vlx.explain_answer(vqa, photo, question, names, method=method))
    for mine, photo in zip(vlx.explain_answers(vqa, photos, asked[0]), photos, strict=True):
        assert_same(mine, vlx.explain_answer(vqa, photo, asked[0]))
    assert {one.targets[0].name for one in vlx.explain_answers(vqa, photos, asked, "no")} == {"no"}
    model = classifier()
    for labels in (None, "cat", 1, ["dog", "cat", "ball"], [["dog", "cat"], 2, None], np.arange(3)):
        each = [labels] * 3 if labels is None or isinstance(labels, str | int) else labels
        for mine, photo, names in zip(vlx.explain_labels(model, photos, labels), photos, each, strict=True):
            assert_same(mine, vlx.explain_label(model, photo, names))
    targets = [vlx.label("dog") - vlx.label("cat"), vlx.label(2)]
    for mine, photo in zip(vlx.explain_labels(model, photos, targets=targets), photos, strict=True):
        assert_same(mine, vlx.explain_label(model, photo, targets=targets))


def test_what_does_not_fit_a_batch_is_told_in_one_line():
    vqa, model = small.vqa(), classifier()
    with pytest.raises(VlxError, match="2 questions for 1 images"):
        vlx.explain_answers(vqa, [PHOTO], ["is there a dog ?", "what is it ?"])
    with pytest.raises(VlxError, match="2 answers for 1 images: give one, or a list of them, for each"):
        vlx.explain_answers(vqa, [PHOTO], "is there a dog ?", ["yes", "no"])
    with pytest.raises(VlxError, match="3 classes for 2 images"):
        vlx.explain_labels(model, [PHOTO, OTHER], ["dog", "cat", "ball"])
    with pytest.raises(VlxError, match=r"for one image use explain_label$"):
        vlx.explain_labels(model, "photo.jpg")
    with pytest.raises(VlxError, match=r"for one image use explain_answer$"):
        vlx.explain_answers(vqa, "photo.jpg", "is there a dog ?")
    with pytest.raises(VlxError, match="the list is empty"):
        vlx.explain_labels(model, [])
    with pytest.raises(VlxError, match="give at least one"):
        vlx.explain_labels(model, [PHOTO, OTHER], ["dog", []])
    for wrong in (model, vqa):
        with pytest.raises(VlxError, match="writes no captions: give one, or use explain_answer"):
            _own(wrong, [vlx.open_image(PHOTO)], None, None)


@pytest.mark.parametrize("beam", [None, 1, 3])
def test_a_caption_of_its_own_is_read_from_the_same_run_of_the_cnn(beam):
    model, photos = small.captioner(), [vlx.open_image(PHOTO), vlx.open_image(OTHER)]
    said = model.generate(photos, **({} if beam is None else {"beam": beam}))
    given = vlx.explain_captions(model, photos, said, method=["grad_cam", "gradient", "occlusion"])
    runs = counted(model.network.cnn)
    passed = model.read_own(photos, beam)
    assert len(runs) == 1
    assert [reading.text for reading in passed.readings] == [
        r.text for r in model.read(photos, said).readings
    ]
    own = vlx.explain_captions(model, photos, beam=beam, method=["grad_cam", "gradient", "occlusion"])
    for mine, theirs in zip(own, given, strict=True):
        for one, other in zip(mine, theirs, strict=True):
            assert_same(one, other)


def test_a_model_whose_writing_was_replaced_is_asked_for_its_own_words():
    class Fixed(type(small.captioner())):
        def generate(self, images, beam=1):
            return [said] * len(images)

    model = small.captioner()
    said = model.generate([vlx.open_image(OTHER)])[0] + " " + model.generate([vlx.open_image(PHOTO)])[0]
    fixed = Fixed(model.network, model.vocabulary, model.preprocess, layer=model.layer)
    assert " ".join(vlx.explain_caption(fixed, PHOTO).words).lower() == said.lower()
    model.generate = lambda images, beam=1: [said] * len(images)
    assert " ".join(vlx.explain_caption(model, PHOTO).words).lower() == said.lower()


def test_a_model_that_writes_its_answers_reads_a_batch_once_for_all_methods():
    model = wrap(*tiny.blip_vqa())
    photos, asked = [vlx.open_image(PHOTO)] * 2, ["what is it ?"] * 2
    answers = [["a dog", "a cat"], None]
    with mock.patch.object(model, "read", side_effect=model.read) as read:
        found = vlx.explain_answers(model, photos, asked, answers, method=["grad_cam", "hires_cam"])
    assert read.call_count == 1
    assert [[len(one.targets) for one in of_image] for of_image in found] == [[2, 2], [1, 1]]
    for of_image, question, names in zip(found, asked, answers, strict=True):
        for mine, method in zip(of_image, ("grad_cam", "hires_cam"), strict=True):
            alone = vlx.explain_answer(model, photos[0], question, names, method=method)
            assert [t.name for t in mine.targets] == [t.name for t in alone.targets]
            assert mine.prompt == alone.prompt == question
            np.testing.assert_allclose(
                mine.raw, alone.raw, rtol=1e-2, atol=1e-4 * float(alone.raw.max() + 1e-9)
            )
    others = ["what is it ?", "is it a dog ?"]
    for mine, question in zip(vlx.explain_answers(model, photos, others, "a dog"), others, strict=True):
        assert_same(mine, vlx.explain_answer(model, photos[0], question, "a dog"))
    for wrong in ([[], None], [[" "], None], [[3], None]):
        with pytest.raises(VlxError, match="no answer"):
            vlx.explain_answers(model, photos, asked, wrong)


def test_texts_that_fit_by_several_methods_of_one_run():
    model = wrap(*tiny.clip())
    runs = counted(model.model.vision_model)
    found = vlx.explain_match(model, PHOTO, ["a dog", "a cat"], method=["grad_cam", "hires_cam"])
    assert len(runs) == 1
    for mine, method in zip(found, ("grad_cam", "hires_cam"), strict=True):
        assert_same(mine, vlx.explain_match(model, PHOTO, ["a dog", "a cat"], method=method))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_other_precisions_and_chunks(dtype):
    model = small.captioner()
    model.network.to(dtype)
    said = model.generate([vlx.open_image(PHOTO)])[0]
    cams = [vlx.grad_cam, vlx.hires_cam, vlx.layer_cam]
    with torch.no_grad():
        found = vlx.explain_caption(model, PHOTO, said, method=cams, chunk=2)
    for mine, method in zip(found, cams, strict=True):
        alone = vlx.explain_caption(model, PHOTO, said, method=method)
        largest = float(np.abs(alone.raw).max())
        rounding = 0.05 if dtype == torch.bfloat16 else 1e-4
        np.testing.assert_allclose(mine.raw, alone.raw, atol=rounding * largest)
