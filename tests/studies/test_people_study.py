"""From a model and a data folder to findings, by simulated raters; and the commands."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vlx
from tests.conftest import Run
from vlx.errors import VlxError
from vlx.eval.data.folder import look
from vlx.studies.page import read_findings
from vlx.studies.people.found_images import for_checks, shown_images, weaker
from vlx.studies.people.key import read_key, read_questions
from vlx.studies.people.make import Plan, make
from vlx.studies.people.questions import mask_from, pixels_of
from vlx.studies.people.simulated import salience
from vlx.studies.people.study import PeopleStudy, people_study

SMALL = PeopleStudy(pairs=4, ratings=2, compared=30)


def quiet(_line: str) -> None:
    """Tell nobody."""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small study of the built-in world."""
    out = tmp_path_factory.mktemp("people")
    people_study(SMALL, out, quiet)
    return out


def test_findings_say_that_raters_are_simulated(done: Path):
    found = read_findings(done)
    assert "of no person" in found.title
    assert "no person" in found.answer
    assert found.settings["simulated"] is True
    assert all(
        "imulated" in one.title or "ublished" in one.title or "brightness" in one.title
        for one in found.tables
    )
    guided = found.number("discrimination: Guided Grad-CAM")
    assert guided.value is not None
    assert guided.value > 0.8
    assert found.number("discrimination: chance").control
    assert found.number("discrimination: the photo alone").control
    assert found.number("discrimination: Guided Grad-CAM, people of the paper").value == 0.6123
    assert found.number("trust: Guided Grad-CAM, people of the paper").value == 1.27
    assert len(found.pictures) == 1


def test_a_run_goes_on_and_gives_the_same(done: Path):
    before = (done / "summary.json").read_bytes()
    (done / "discrimination" / "key.json").unlink()
    people_study(SMALL, done, quiet)
    assert (done / "summary.json").read_bytes() == before
    with pytest.raises(VlxError, match="other settings"):
        people_study(replace(SMALL, seed=1), done, quiet)


def test_questions_are_of_images_with_two_categories(done: Path):
    asked = read_questions(done / "discrimination")
    assert len({one.group for one in asked.values()}) == 4
    assert len({one.image for one in asked.values()}) == 2
    for one in asked.values():
        first, second = map(mask_from, one.masks)
        assert one.options[0] != one.options[1]
        assert first.any()
        assert second.any()
        assert not (first & second).all()
    guided = [one for one in asked.values() if one.shown == "guided_grad_cam"]
    for one in guided:  # the picture is that of its own category
        bright = salience(pixels_of(one.pictures[0]), one.over_photo)
        own, other = (bright[mask_from(mask)].mean() for mask in one.masks)
        assert own > other
    assert read_key(done / "discrimination").simulated


def test_the_better_model_stands_first(done: Path):
    key = read_key(done / "trust")
    assert key.facts["better"] == "scenes/classifier"
    high, low = key.facts["average precision"]
    assert high > 0.95
    assert 0.7 < low < high - 0.05


def test_a_weaker_copy_leaves_the_model_as_it_was():
    model = vlx.load("scenes/classifier")
    before = {name: one.clone() for name, one in model.network.state_dict().items()}
    first, second = weaker(model, 0.2, 0), weaker(model, 0.2, 0)
    for name, one in model.network.state_dict().items():
        assert torch.equal(one, before[name])
        assert torch.equal(first.network.state_dict()[name], second.network.state_dict()[name])
        changed = not torch.equal(first.network.state_dict()[name], one)
        assert changed == (one.ndim > 1)
    weight, noisy = model.network.classifier.fc7.weight, first.network.classifier.fc7.weight
    assert float((noisy - weight).std() / weight.std()) == pytest.approx(0.2, rel=0.05)


def test_maps_and_other_models_too(tmp_path: Path):
    models = ("scenes/classifier", "scenes/classifier-gap")
    plan = Plan("trust", models, methods=("grad_cam",), pairs=2, ratings=1, compared=6, checks=2)
    made = make(plan, tmp_path, quiet)
    asked = [one for one in made.questions.values() if one.shown == "grad_cam"]
    assert len(asked) == 2
    assert all(one.over_photo and len(one.pictures) == 2 for one in asked)
    picture = pixels_of(asked[0].pictures[0]).astype(int)
    assert np.abs(picture.max(2) - picture.min(2)).max() > 50  # coloured over a grey photo
    tokens = list(made.key.raters)
    assert list(make(plan, tmp_path, quiet).key.raters) == tokens  # links stay
    assert all(len(one) == 16 for one in tokens)


def test_voc_boxes_serve(tmp_path: Path):
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "JPEGImages").mkdir()
    for name, hard in (("one", 0), ("two", 1)):
        Image.new("RGB", (40, 30)).save(tmp_path / "JPEGImages" / f"{name}.jpg")
        objects = "".join(
            f"<object><name>{what}</name><difficult>{difficult}</difficult><bndbox><xmin>{left}</xmin>"
            f"<ymin>1</ymin><xmax>{left + 9}</xmax><ymax>10</ymax></bndbox></object>"
            for what, left, difficult in (("cat", 1, hard), ("dog", 21, 0))
        )
        size = "<size><width>40</width><height>30</height><depth>3</depth></size>"
        text = f"<annotation><filename>{name}.jpg</filename>{size}{objects}</annotation>"
        (tmp_path / "Annotations" / f"{name}.xml").write_text(text)
    (found,), unknown = shown_images(look(tmp_path), 0)  # one is left out: its cat is difficult
    assert (found.id, found.names, unknown) == ("one", ("cat", "dog"), 1)
    assert found.mask(1, found.image()).sum() == 100
    assert [one.id for one, _ in for_checks([found], {"one"}, 5, 0)] == ["one"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kind": "discrimination", "methods": ("grad_cm",)}, "no method 'grad_cm'"),
        ({"kind": "trust", "methods": ("photo",)}, "control of discrimination"),
        ({"kind": "trust", "models": ("a", "b", "c")}, "compares two"),
        ({"kind": "trust", "noise": 0.0}, "noise above 0"),
        ({"kind": "discrimination", "pairs": 0}, "at least 1"),
    ],
)
def test_plans_need_sense(given: dict, says: str):
    with pytest.raises(VlxError, match=says):
        Plan(**given)


def test_models_that_are_no_classifiers(tmp_path: Path):
    with pytest.raises(VlxError, match="give --model a classifier"):
        make(Plan("discrimination", ("scenes/captioner",)), tmp_path, quiet)


def test_commands(run: Run, tmp_path: Path):
    out = tmp_path / "made"
    consent = tmp_path / "consent.txt"
    consent.write_text("We are a <b>laboratory</b>.\n\nWrite to us.\n")
    status, told, complained = run(
        "study", "people", "make", "discrimination", "--pairs", 2, "--ratings", 1, "--method", "photo",
        "--consent", consent, "--out", out,
    )  # fmt: skip
    assert (status, complained) == (0, "")
    assert "vlx study people serve" in told
    (page, *_) = sorted((out / "pages").iterdir())
    assert "We are a &lt;b&gt;laboratory" in page.read_text()
    status, told, complained = run("study", "people", "analyse", out)
    assert status == 1
    assert complained.count("\n") == 1
    assert "holds no answers" in complained
    status, told, _ = run("study", "people", "power")
    assert status == 0
    assert "raters needed" in told
    status, _, complained = run("study", "people", "serve", tmp_path / "none")
    assert (status, complained.count("\n")) == (1, 1)
    status, _, complained = run(
        "study", "people", "make", "trust", "--method", "photo", "--out", tmp_path / "x"
    )
    assert (status, complained.count("\n")) == (1, 1)


def test_real_photos(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REAL_CLASSIFIERS", str(shared_data))
    name = "python:benchmarks.real_classifiers:mobilenet"
    data = str(shared_data / "coco-80")
    methods = ("guided_grad_cam", "grad_cam")
    made = make(Plan("discrimination", (name,), data, methods=methods, pairs=4, ratings=1), tmp_path, quiet)
    assert made.key.facts["images"] >= 1
    assert sum(one.shown == "attention check" for one in made.questions.values()) >= 6
