"""Every check lets sound adapters pass, and catches the one fault it is there for."""

import pytest
from torchvision.models import alexnet, googlenet, resnet18, squeezenet1_1, vgg11

import vlx
from tests.adapters import small
from tests.check import broken
from tests.check.broken import (
    PICTURE,
    TEXT,
    Faulty,
    FaultyCaptioner,
    FaultyClassifier,
    Matching,
    Responder,
)
from vlx.adapters.parts.classifier import Classifier
from vlx.check import first_use
from vlx.check.model import check_model
from vlx.errors import TextError
from vlx.images import imagenet

NAMES = (
    "places", "patches", "image", "later words", "next word", "sum", "own words", "question", "texts",
)  # fmt: skip


def outcomes(model, **given):
    found = check_model(model, PICTURE, **given)
    assert tuple(check.name for check in found) == NAMES
    return {check.name: check.outcome for check in found}


def failed(model, **given):
    return {name for name, outcome in outcomes(model, **given).items() if outcome == "fail"}


def captioner(fault=broken.sound):
    return FaultyCaptioner(small.captioner(), fault)


def classifier():
    return Classifier(vgg11(num_classes=3).eval(), ["a", "b", "c"], imagenet(64), layer="features.10")


@pytest.mark.parametrize("vocabulary", [small.NEURALTALK2, small.SHOW_AND_TELL])
def test_a_sound_captioner_passes_all_that_concerns_it(vocabulary):
    found = outcomes(small.captioner(vocabulary), caption=TEXT)
    assert {name for name, outcome in found.items() if outcome == "pass"} == set(NAMES[:6])


def test_what_a_model_wrote_itself_is_the_likeliest():
    assert outcomes(small.captioner())["own words"] == "pass"


def test_sound_models_of_every_other_door_pass():
    assert outcomes(small.vqa())["question"] == "pass"
    assert outcomes(Matching())["texts"] == "pass"
    assert outcomes(Responder(small.captioner(), broken.prompted))["question"] == "pass"
    for model in (small.vqa(), Matching(), Responder(small.captioner(), broken.prompted), classifier()):
        assert failed(model) == set()


@pytest.mark.parametrize("network", [resnet18, alexnet, squeezenet1_1, googlenet])
def test_patches_move_their_own_cells_of_networks_that_do_not_divide_the_input(network):
    kind = {"aux_logits": False, "init_weights": False} if network is googlenet else {}
    model = Classifier(network(num_classes=2, **kind).eval(), ["a", "b"], imagenet())
    found = {check.name: check for check in check_model(model, PICTURE)}
    assert found["patches"].outcome == "pass", found["patches"].told
    assert "pixels" in found["places"].told


@pytest.mark.parametrize(
    ("fault", "caught"),
    [
        (broken.permuted, {"places", "patches"}),
        (broken.turned, {"places", "patches"}),
        (broken.flipped, {"places", "patches"}),
        (broken.another_stride, {"places"}),
        (broken.unseen_order, {"patches"}),
        (broken.elsewhere, {"patches"}),
        (broken.leaking, {"later words", "sum"}),
        (broken.counting_words, {"sum"}),
        (broken.late, {"next word"}),
        (broken.early, {"later words"}),
        (broken.blind, {"patches", "image"}),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_a_fault_of_a_captioner_is_caught(fault, caught):
    assert failed(captioner(fault), caption=TEXT) == caught


def test_an_ignored_question_is_caught():
    assert failed(Faulty(small.vqa(), broken.deaf)) == {"question"}
    assert failed(Responder(small.captioner(), broken.unprompted)) == {"question"}


def test_faults_of_the_grid_are_caught_through_every_door():
    for fault in (broken.permuted, broken.turned):
        assert failed(Faulty(small.vqa(), fault)) == {"places", "patches"}
        assert failed(FaultyClassifier(classifier(), fault)) == {"places", "patches"}


def test_texts_that_lean_on_each_other_or_all_score_alike_are_caught():
    assert failed(Matching(mix=0.1)) == {"texts"}
    assert failed(Matching(same=True)) == {"texts"}


def test_what_is_not_applicable_says_why():
    found = {check.name: check for check in check_model(small.captioner(), PICTURE, caption="a")}
    assert found["later words"].line == "not applicable: the caption has no two words that differ"
    with pytest.raises(TextError, match="--caption"):
        check_model(FaultyCaptioner(Mute(), broken.sound), PICTURE)
    with pytest.raises(vlx.VlxError, match="takes no prompt"):
        check_model(small.captioner(), PICTURE, prompt="what?")
    with pytest.raises(vlx.VlxError, match="neither read nor compare"):
        check_model(object(), PICTURE)


class Mute:
    def generate(self, images, beam=1):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("fault", "name"),
    [(broken.permuted, "places"), (broken.leaking, "later words"), (broken.late, "next word")],
)
def test_the_first_use_warns_of_a_fault_and_provenance_tells(fault, name, monkeypatch):
    monkeypatch.setenv(first_use.SWITCH, "1")
    model = captioner(fault)
    with pytest.warns(UserWarning, match=f"small at layer .* fails the check '{name}'"):
        found = vlx.explain_caption(model, PICTURE, TEXT)
    assert found.provenance.checks[name].startswith("fail: ")
    again = vlx.explain_caption(model, PICTURE, TEXT)  # warned of once
    assert again.provenance.checks == found.provenance.checks


def test_the_first_use_asks_another_question(monkeypatch):
    monkeypatch.setenv(first_use.SWITCH, "1")
    with pytest.warns(UserWarning, match="'question'"):
        vlx.explain_answer(Faulty(small.vqa(), broken.deaf), PICTURE, "is there a dog ?")
    found = vlx.explain_answer(small.vqa(), PICTURE, "is there a dog ?")
    assert found.provenance.checks["question"].startswith("pass: ")
    with pytest.warns(UserWarning, match="'question'"):
        vlx.explain_answer(Responder(small.captioner(), broken.unprompted), PICTURE, "where?", [TEXT])


def test_a_model_is_read_once_more_when_it_is_first_used_and_never_again(monkeypatch):
    monkeypatch.setenv(first_use.SWITCH, "1")
    model = captioner()
    for reads in (2, 3, 4):
        vlx.explain_caption(model, PICTURE, TEXT)
        assert model.reads == reads
    other = captioner()
    monkeypatch.delenv(first_use.SWITCH)
    assert set(vlx.explain_caption(other, PICTURE, TEXT).provenance.checks) == {"places"}
    assert other.reads == 1
    monkeypatch.setenv(first_use.SWITCH, "0")
    assert vlx.explain_caption(other, PICTURE, TEXT).provenance.checks == {}
    assert other.reads == 2


def test_a_grid_in_another_order_is_told_without_another_run():
    model = captioner(broken.turned)
    with pytest.warns(UserWarning, match="fails the check 'places'"):
        found = vlx.explain_caption(model, PICTURE, TEXT)
    assert found.provenance.checks["places"].startswith("fail: ")
    assert model.reads == 1


def test_a_check_that_cannot_be_made_leaves_the_explanation(monkeypatch):
    monkeypatch.setenv(first_use.SWITCH, "1")

    def short_of_memory(model, images, captions):
        if captions != [TEXT]:
            raise RuntimeError("out of memory\nmore")
        return model.read(images, captions)

    found = vlx.explain_caption(captioner(short_of_memory), PICTURE, TEXT)
    assert found.provenance.checks["later words"] == "not applicable: out of memory"


def test_checks_are_saved_with_the_explanation(tmp_path, monkeypatch):
    monkeypatch.setenv(first_use.SWITCH, "1")
    found = vlx.explain_caption(small.captioner(), PICTURE, TEXT)
    found.save(tmp_path / "a")
    assert vlx.load_explanation(tmp_path / "a").provenance == found.provenance
    assert set(found.provenance.checks) == {"places", "later words", "next word"}
