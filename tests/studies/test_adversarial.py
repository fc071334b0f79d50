"""Attacks reach their targets within their bounds, models stay as they were, and the study tells both."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import vlx
from tests.conftest import Run
from tests.eval import small
from tests.studies.few_scenes import few_scenes
from vlx.adapters.parts.classifier import Classifier
from vlx.errors import VlxError
from vlx.images.preprocess import LongSide, Preprocess, Squash
from vlx.scenes.models import load_captioner, load_classifier, load_vqa
from vlx.studies.adversarial.attack import (
    Attack,
    attack,
    goal_of,
    noise,
    pass_of,
    picture,
    probability,
    rounded,
)
from vlx.studies.adversarial.photo import ATTACKED, PhotoSettings, photo_study
from vlx.studies.adversarial.study import AdversarialSettings, adversarial_study, findings_of

PHOTO = "PHOTO"
"""Stands for the photo of the fixture."""


@pytest.fixture(scope="module")
def photo(held_out: Path) -> Path:
    return held_out / "images" / "000000000001.jpg"


@pytest.fixture(scope="module")
def few(held_out: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return few_scenes(held_out, tmp_path_factory.mktemp("few") / "scenes", (1, 2, 3))


def linear(weights: torch.Tensor, preprocess: Preprocess, *, multi_label: bool = False) -> Classifier:
    """Two classes, whose logits are the means of the colours times their weights (class, channel)."""
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    with torch.no_grad():
        for layer, own in ((network[0], torch.eye(3)[:, :, None, None]), (network[3], weights)):
            layer.weight.copy_(own)  # type: ignore[union-attr]
            layer.bias.zero_()  # type: ignore[union-attr]
    return Classifier(network.eval(), ["cat", "dog"], preprocess, layer="0", multi_label=multi_label)


def image(height: int = 8, width: int = 8, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def test_of_a_linear_model_the_attack_is_known():
    weights = torch.tensor([[5.0, -3.0, 0.0], [1.0, 1.0, 0.0]])
    model = linear(weights, Preprocess(Squash((8, 8)), mean=(0.5,) * 3, std=(0.25,) * 3))
    run = model.read([image()])
    found = attack(run, goal_of(run, vlx.label("dog")), Attack(size=6, steps=40))
    colours = torch.from_numpy(np.array(image())).permute(2, 0, 1) / 255
    best = (colours + torch.tensor([-1.0, 1.0, 0.0])[:, None, None] * 6 / 255).clamp(0, 1)
    got = found.pixels[0] * 0.25 + 0.5
    assert torch.allclose(got[:2], best[:2], atol=1e-6)  # the third channel says nothing
    means = best.flatten(1).mean(1)
    logits = weights[:, :2] @ ((means[:2] - 0.5) / 0.25)
    assert found.after == pytest.approx(float(logits.softmax(0)[1]), abs=1e-5)
    assert not found.reached
    assert found.steps == 40
    assert found.size == pytest.approx(6, abs=1e-3)


def test_colours_stay_in_bounds_and_padding_as_it_is():
    prepared = Preprocess(LongSide(8), (8, 8), (10.0, 20.0, 30.0), (1.0, 1.0, 1.0), 255.0, "BGR")
    model = linear(torch.tensor([[1.0, 0, 0], [0, 0, 1.0]]), prepared)
    run = model.read([image(4, 8)])
    found = attack(run, goal_of(run, vlx.label("cat")), Attack(size=255, steps=3, step=300))
    assert torch.equal(found.pixels[:, :, :2], torch.zeros(1, 3, 2, 8))
    assert torch.equal(found.pixels[:, :, 6:], torch.zeros(1, 3, 2, 8))
    inside = found.pixels[:, :, 2:6] + torch.tensor([10.0, 20.0, 30.0])[:, None, None]
    assert float(inside.min()) >= -1e-3
    assert float(inside.max()) <= 255 + 1e-3
    bytes_ = np.array(picture(run, found.pixels))[2:6]
    assert np.array_equal(bytes_[..., 2], inside[0, 0].round().numpy().astype(np.uint8))  # blue is the first


def test_true_classes_of_sigmoids_are_driven_away():
    model = linear(
        torch.tensor([[40.0, 0, 0], [30.0, 30.0, 0]]), Preprocess(Squash((8, 8))), multi_label=True
    )
    run = model.read([image()])
    goal = goal_of(run, vlx.label("dog"), [vlx.label("cat"), vlx.label("dog")])
    assert goal.down == (0,)
    found = attack(run, goal, Attack(size=200, steps=60))
    after = pass_of(run, found.pixels)
    assert found.reached
    assert float(after.scores.detach()[0, 0, 0]) < 0
    assert probability(after, after.scores, goal) > 0.9999
    assert goal_of(run, vlx.label("dog")).down == ()


@pytest.mark.parametrize("kind", ["captioner", "vqa", "classifier"])
def test_a_small_step_climbs_as_far_as_the_gradient_says(kind: str):
    """The log-probability rises by the sum of the gradient's absolute values, to first order."""
    run, target = asked(kind)
    goal = goal_of(run, target)
    size = 0.01
    found = attack(run, goal, Attack(size=size, steps=3, step=2 * size))
    up = np.log(found.after) - np.log(found.before)
    wave = noise(run, size)
    assert run.below is not None
    assert run.below.rescore is not None
    lame = np.log(probability(run, run.below.rescore(wave, 0), goal)) - np.log(found.before)
    assert up > 5 * abs(lame)
    assert found.size == pytest.approx(size, rel=1e-2)


def asked(kind: str) -> tuple[vlx.Pass, vlx.Target]:
    photo = image(224, 224)
    if kind == "captioner":
        return load_captioner().read([photo], ["a dog and a cat"]), vlx.word(1, instead="car")
    if kind == "vqa":
        return load_vqa().read([photo], ["what is on the left ?"]), vlx.answer("dog")
    return load_classifier().read([photo]), vlx.label("dog")


@pytest.mark.parametrize("stopped", [False, True])
def test_the_model_stays_as_it_was(stopped: bool, monkeypatch: pytest.MonkeyPatch):
    model = small.classifier()
    network = model.network.train()
    first = next(network.parameters()).requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    run = model.read([image(20, 20)])
    if stopped:

        def fails(*_: object) -> object:
            raise KeyboardInterrupt

        monkeypatch.setattr("vlx.studies.adversarial.attack.pixels_of", fails)
        with pytest.raises(KeyboardInterrupt):
            attack(run, goal_of(run, vlx.label("cat")), Attack(steps=2))
    else:
        attack(run, goal_of(run, vlx.label("cat")), Attack(steps=2))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(one.grad is None and one.requires_grad == (one is not first) for one in network.parameters())
    assert all(part.training and not part._forward_hooks for part in network.modules())
    assert torch.is_grad_enabled()


def test_a_seed_gives_the_same_attack():
    run, target = asked("classifier")
    goal = goal_of(run, target)
    first, again, other = (attack(run, goal, Attack(steps=2, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(first.pixels, again.pixels)
    assert not torch.equal(first.pixels, other.pixels)


def test_noise_is_as_large_as_the_attack():
    run, _ = asked("classifier")
    assert run.below is not None
    change = (noise(run, 8) - run.below.pixels) * 0.25 * 255  # the model's standard deviation
    assert float(change.abs().max()) == pytest.approx(8, abs=1e-3)
    assert float((change.abs() > 7.9).float().mean()) > 0.8  # all that do not reach black or white


def test_eight_bits_are_what_a_file_holds(tmp_path: Path):
    run, target = asked("classifier")
    found = attack(run, goal_of(run, target), Attack(steps=4))
    picture(run, found.pixels).save(tmp_path / "attacked.png")
    again = load_classifier().read([vlx.open_image(tmp_path / "attacked.png")])
    assert again.below is not None
    assert torch.allclose(again.below.pixels, rounded(run, found.pixels), atol=1e-6)
    assert probability(again, again.scores, goal_of(run, target)) == pytest.approx(found.rounded, abs=1e-5)


def test_an_attack_in_eight_bits_is_its_file():
    run, target = asked("classifier")
    found = attack(run, goal_of(run, target), Attack(steps=4, eight_bits=True))
    assert found.rounded == found.after
    assert torch.equal(rounded(run, found.pixels), found.pixels)
    assert found.size <= 8.01


def test_an_attacked_pass_is_explained_by_any_method():
    run, target = asked("classifier")
    after = pass_of(run, noise(run, 8))
    methods = ("grad_cam", "guided_backprop", "integrated_gradients")
    ((*found,),) = vlx.explain(after, target, methods)
    assert [one.provenance.method for one in found] == list(methods)
    own = vlx.explain(pass_of(run, run.below.pixels), target)[0]  # type: ignore[union-attr]
    assert np.allclose(own.raw, vlx.explain(run, target)[0].raw, rtol=1e-4, atol=1e-7)


def test_what_cannot_be_attacked_is_refused():
    model = small.classifier()
    two = model.read([image(), image()])
    one = model.read([image()])
    goal = goal_of(one, vlx.label("cat"))
    assert one.below is not None
    for run, said in (
        (two, "one image at a time"),
        (replace(one, above=None), "no way from its pixels"),
        (replace(one, below=None), "no way from its pixels"),
        (replace(one, below=replace(one.below, colour=None)), "what colours"),
        (replace(one, below=replace(one.below, colour=lambda rgb: -torch.tensor(rgb))), "darker than black"),
    ):
        with pytest.raises(VlxError, match=said):
            attack(run, goal)
    with pytest.raises(VlxError, match="drives to one"):
        goal_of(one, vlx.label("cat") - vlx.label("dog"))
    for wrong in ({"size": 0}, {"size": 300}, {"steps": 0}, {"step": -1.0}, {"enough": 1.0}):
        with pytest.raises(VlxError):
            Attack(**wrong)


def test_half_precision_is_attacked():
    model = small.classifier()
    model.network.to(torch.bfloat16)
    run = model.read([image(20, 20)])
    found = attack(run, goal_of(run, vlx.label("cat")), Attack(size=16, steps=5))
    assert found.pixels.dtype == torch.bfloat16
    assert found.after > found.before


@pytest.mark.parametrize("kind", ["classifier", "vqa", "captioner"])
def test_the_study_tells_before_and_after(kind: str, tmp_path: Path, few: Path):
    model = load_classifier() if kind == "classifier" else small.MODELS[f"scenes/{kind}"]()
    settings = AdversarialSettings(f"scenes/{kind}", str(few), limit=2, steps=2, pictures=1)
    lines: list[str] = []
    found = adversarial_study(settings, tmp_path, lines.append, model=model)
    assert len(lines) == 2
    assert found.number("target reached").n + sum(found.left_out.values()) == 2
    assert found.number("true object's map, before").n >= 1
    assert found.number("centre point").control
    assert (tmp_path / "report.html").is_file()
    assert len(found.pictures) == 1
    again = adversarial_study(settings, tmp_path, lines.append, model=model)
    assert len(lines) == 2  # nothing is made twice
    assert again.tables == found.tables
    with pytest.raises(VlxError, match="other settings"):
        adversarial_study(replace(settings, size=4), tmp_path, model=model)


def test_numbers_are_means_over_objects_and_images():
    thing = {
        "name": "dog", "known": True, "centre": 0.0, "pixel": 0.1, "random": 0.0, "area random": 0.5,
        "like activation": 0.1, "activation before": 1.0, "activation after": 0.0,
        "area activation before": 0.7, "area activation after": 0.6,
        **{f"probability {when}": 0.9 for when in ("before", "after", "noise")},
        "grad_cam": {
            **{f"{one}{when}": 0.5 for one in _PARTS for when in ("before", "after", "noise")},
            **{f"like {one}": 0.2 for one in ("after", "noise", "goal", "wrong")},
        },
    }  # fmt: skip
    lost = {**thing, "known": False, "grad_cam": {**thing["grad_cam"], "hit after": "zero_map"}}  # type: ignore[dict-item]
    hit = {**thing, "grad_cam": {**thing["grad_cam"], "hit after": 1.0}}  # type: ignore[dict-item]
    image = {
        "goal": "cat", "before": 0.1, "after": 1.0, "rounded": 0.5, "noise": 0.1, "steps": 3, "size": 8.0,
        "reached": True, "first": True, "background centre": 1.0, "background pixel": 0.9,
        "background activation": 1.0, "targets": {"grad_cam": {"on true": 0.0, "background": 1.0}},
    }  # fmt: skip
    rows = {
        "1": {**image, "things": [hit, lost]},
        "2": {**image, "things": [thing], "reached": False},
        "3": {"left_out": "unknown_class"},
    }
    found = findings_of(AdversarialSettings(), "classifier", rows, (), {})
    assert found.number("target reached").value == 0.5
    after = found.number("true object's map, after")
    assert (after.value, after.n, after.clusters, after.left_out) == (0.75, 2, 2, {"zero_map": 1})
    told = found.number("true object's map, after, of what the model told before")
    assert told.left_out == {"not_told_before": 1}
    assert found.number("after minus before").value == 0.25
    assert found.number("target above .9999 after rounding to 8 bits").value == 0
    assert found.left_out == {"unknown class": 1}
    with pytest.raises(VlxError, match="none of 1 images"):
        findings_of(AdversarialSettings(), "classifier", {"3": rows["3"]}, (), {})


_PARTS = ("hit ", "area ", "goal ", "area goal ", "own minus wrong hit ", "own minus wrong area ")


def test_a_photo_of_ones_own(photo: Path, tmp_path: Path, run: Run):
    status, said, problem = run(
        "study", "adversarial", "--image", photo, "--target", "zebra", "--of", "dog", "--steps", 3, "--out",
        tmp_path,
    )  # fmt: skip
    assert (status, problem) == (0, "")
    assert "zebra, attacked" in said
    assert Image.open(tmp_path / ATTACKED).size == (224, 224)
    told = json.loads((tmp_path / "summary.json").read_text())
    assert told["pictures"] == ["Above the original, below the attack, with the maps of dog and zebra"]


@pytest.mark.parametrize("kind", ["vqa", "captioner"])
def test_a_photo_with_words(kind: str, photo: Path, tmp_path: Path):
    aim, question = "blue" if kind == "vqa" else "car", "is there a dog ?"
    asked = PhotoSettings(
        photo, aim, f"scenes/{kind}", question=question, caption="a dog on a bench", how=Attack(steps=2)
    )
    found = photo_study(asked, tmp_path, model=small.MODELS[f"scenes/{kind}"]())
    again = found.number(f"{aim}, {ATTACKED} read by the model")
    assert again.value == pytest.approx(found.number(f"{aim}, rounded to 8 bits").value, abs=1e-4)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--of", "dog"), "--image"),
        (("--image", PHOTO), "--target"),
        (("--image", PHOTO, "--target", "unicorn"), "unicorn"),
        (("--image", PHOTO, "--target", "dog", "--of", "dog"), "another --target"),
        (("--image", PHOTO, "--target", "dog", "--model", "scenes/vqa"), "--question"),
        (("--size", "0"), "size"),
        (("--model", "scenes/vqa", "--data", "nowhere"), ""),
    ],
)
def test_bad_input_is_one_line(given: tuple[str, ...], said: str, photo: Path, run: Run, tmp_path: Path):
    asked = [photo if one == PHOTO else one for one in given]
    status, _, problem = run("study", "adversarial", *asked, "--out", tmp_path / "out")
    assert status == 1
    assert said in problem
    assert len(problem.strip().splitlines()) == 1
