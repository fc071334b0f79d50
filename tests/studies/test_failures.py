"""Failure modes: what counts as a mistake, what its maps are, and what the numbers say."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vlx
from tests import tiny
from tests.conftest import Run
from tests.eval import small
from tests.speakers import Speaker
from tests.studies import failing
from vlx.errors import VlxError
from vlx.eval.data.folder import look
from vlx.eval.items.options import Options
from vlx.eval.measures.drawn import roc_area
from vlx.images.files import open_image
from vlx.methods.values import as_methods
from vlx.studies.failures import study
from vlx.studies.failures.answers import answer_jobs
from vlx.studies.failures.captions import caption_jobs
from vlx.studies.failures.classes import class_jobs
from vlx.studies.failures.decided import Job, Read
from vlx.studies.failures.drawn import frame_of, plane_of
from vlx.studies.failures.numbers import Case, cases_of, confusions, telling_table
from vlx.studies.failures.pointing import points_table
from vlx.studies.failures.seen import reduced, row_of
from vlx.studies.failures.study import FailuresSettings, failures_study
from vlx.studies.found import Table
from vlx.studies.page import read_findings


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return failing.data(tmp_path / "data")


def decided(job: Job, model: Any) -> Read:
    return job.read(model, open_image(job.item.image))


def told(read: Read) -> list[tuple[str, bool, str, str]]:
    return [(one.kind, one.wrong, one.said, one.truth) for one in read.decided]


# What is a mistake -----------------------------------------------------------------------------


def test_a_class_is_wrong_where_the_image_does_not_show_it(data: Path) -> None:
    jobs = class_jobs(look(data), Options())
    model = failing.ranked([3, 0, 1, 2])  # car, dog, cat, bicycle
    found = [told(decided(job, model)) for job in jobs]
    assert found == [
        [("class", True, "car", "dog")],  # of dog and cat the likelier
        [("class", True, "car", "cat")],
        [("class", False, "car", "")],
    ]
    where = decided(jobs[0], model).decided[0].where
    assert where is not None
    assert np.flatnonzero(where.own.any(axis=0)).tolist() == [0, 1, 2, 3]  # the dog
    assert np.flatnonzero(where.rest.any(axis=0)).tolist() == [8, 9, 10, 11]  # the cat
    (other,) = decided(jobs[0], model).decided[0].others
    assert other.name == "2"  # the bicycle: neither said nor there


def test_a_sigmoid_says_as_many_classes_as_the_image_shows(data: Path) -> None:
    jobs = class_jobs(look(data), Options())
    model = failing.ranked([3, 0, 1, 2], multi_label=True)
    assert [told(decided(job, model)) for job in jobs] == [
        [("class", True, "car", "cat"), ("class", False, "dog", "")],
        [("class", True, "car", "cat")],
        [("class", False, "car", ""), ("class", True, "dog", "bicycle")],
    ]


def test_classes_that_the_model_has_not_count_for_nothing(data: Path) -> None:
    model = failing.ranked([1, 0], ("dog", "sofa, couch"))
    reads = [decided(job, model) for job in class_jobs(look(data), Options())]
    assert [told(read) for read in reads] == [[("class", False, "dog", "")], [], []]
    assert [read.counts for read in reads] == [
        {"unknown_class": 1},
        {"unknown_class": 1},
        {"unknown_class": 2},
    ]


def test_a_word_is_wrong_where_nothing_shows_it_and_stands_against_what_is_missed(data: Path) -> None:
    jobs = caption_jobs(look(data), Options())
    reads = [decided(job, Speaker("a dog on grass")) for job in jobs]
    assert told(reads[0]) == [("hallucinated", False, "dog", ""), ("missed", True, "dog", "cat")]
    assert told(reads[1]) == [("hallucinated", True, "dog", "cat")]
    # Bicycle and car: the model has a word for the first alone, and the second is a mistake of its own.
    assert told(reads[2]) == [("hallucinated", True, "dog", "bicycle"), ("missed", True, "dog", "car")]
    assert [one.why for one in reads[2].decided] == ["", "no_word"]
    assert [read.counts for read in reads] == [
        {"objects": 2, "missed": 1}, {"objects": 1, "missed": 1}, {"objects": 2, "missed": 2}
    ]  # fmt: skip
    (first,) = reads[1].decided
    step = reads[1].passed.readings[0].words[first.at or 0].steps
    assert first.truth_target is not None
    terms = (first.said_target - first.truth_target).resolve(reads[1].passed.readings[0]).terms
    assert [(term.weight, term.step, tiny.WORDS[term.choice]) for term in terms] == [
        (1.0, step[0], "dog"), (-1.0, step[0], "cat"),
    ]  # fmt: skip


def test_the_truth_of_a_word_is_the_likeliest_missed_one_at_its_step(data: Path) -> None:
    content = json.loads((data / "instances.json").read_text())
    for one in content["annotations"]:
        one["image_id"] = 2  # everything stands on one image, but the dog
    content["annotations"] = [one for one in content["annotations"] if one["category_id"] != 1]
    failing.write(data / "instances.json", content)
    job = caption_jobs(look(data), Options())[1]
    read = decided(job, Speaker("a dog on grass"))
    scores = read.passed.scores[0, 1].detach()
    likelier = max(("cat", "bike"), key=lambda name: float(scores[tiny.WORDS.index(name)]))
    assert told(read)[0] == ("hallucinated", True, "dog", {"cat": "cat", "bike": "bicycle"}[likelier])
    assert sorted(one.truth for one in read.decided) == ["bicycle", "car", "cat"]  # each once


def test_a_caption_without_objects_misses_what_the_image_shows(data: Path) -> None:
    read = decided(caption_jobs(look(data), Options())[1], Speaker("a red"))
    assert [one[:2] + one[3:] for one in told(read)] == [("missed", True, "cat")]


def test_an_answer_is_wrong_where_people_do_not_give_it(data: Path) -> None:
    jobs = answer_jobs(look(data), Options())
    found = [decided(job, small.vqa()) for job in jobs]
    said = small.vqa().answers
    for read, job in zip(found, jobs, strict=True):
        best = said[int(read.passed.scores[0, 0].argmax())]
        (one,) = read.decided
        assert (one.said, one.wrong) == (best, best != job.item.answer)
        if one.wrong:
            assert one.truth == job.item.answer
            assert (one.truth_target is None) == (job.item.answer not in said)
    # The dog that the answer names; the cat of the question; no object.
    lefts = [
        None if (w := read.decided[0].where) is None else np.flatnonzero(w.own.any(axis=0))[0]
        for read in found
    ]
    assert lefts == [0, 0, None]


# Their maps and numbers ------------------------------------------------------------------------


def test_the_contrast_is_the_map_of_the_difference(data: Path) -> None:
    job = class_jobs(look(data), Options())[0]
    model = failing.ranked([3, 0, 1, 2])
    methods = as_methods(["integrated_gradients", "grad_cam"])
    row = row_of(model, job, methods, 1, 0)
    (one,) = row["decided"]
    exact, cam = one["views"]
    said, truth, contrast = (plane_of(exact, at) for at in range(3))
    assert contrast == pytest.approx(said - truth, abs=1e-4 * float(np.abs(said).max()))  # it is linear
    (free,) = vlx.explain(
        model.read([open_image(job.item.image)]),
        [vlx.label("car") - vlx.label("dog")], vlx.grad_cam_with(rectify=False),
    )  # fmt: skip
    signed = plane_of(cam, 2)
    assert signed == pytest.approx(free.raw[0], abs=1e-4 * float(np.abs(free.raw).max()))
    scores = one["scores"]
    assert scores["contrast"]["score"] == pytest.approx(scores["said"]["score"] - scores["truth"]["score"])
    assert scores["said"]["image"] == pytest.approx(scores["said"]["score"] - scores["said"]["blank"])
    assert frame_of(exact, (12, 12)).box == (0, 0, 12, 12)
    json.dumps(row, allow_nan=False)


def test_a_model_is_left_as_it_was_and_faults_are_reasons(data: Path, tmp_path: Path) -> None:
    jobs = caption_jobs(look(data), Options())
    speaker = Speaker("a dog on grass")
    before = {name: value.clone() for name, value in speaker.model.state_dict().items()}
    (data / "images" / "2.png").unlink()
    (data / "images" / "3.png").write_text("no picture")
    rows = [row_of(speaker, job, as_methods("grad_cam"), 1, 0) for job in jobs]
    assert [row.get("left_out") for row in rows] == [None, "no_image", "damaged_image"]
    assert all((before[name] == value).all() for name, value in speaker.model.state_dict().items())
    assert all(one.grad is None for one in speaker.model.parameters())
    silent = row_of(Speaker(""), jobs[0], as_methods("grad_cam"), 1, 0)
    assert silent["left_out"] == "refused_text"


def test_a_reduced_image_keeps_its_size_and_loses_what_is_small() -> None:
    photo = Image.new("RGB", (7, 4))
    photo.putpixel((3, 1), (255, 255, 255))
    assert reduced(photo, 1) is photo
    less = reduced(photo, 3)
    assert less.size == (7, 4)
    assert np.asarray(less).max() < 60
    assert reduced(photo, 50).size == (7, 4)


def fact(wrong: bool, said: str = "dog", truth: str = "cat", **more: Any) -> dict[str, Any]:
    """One thing that was decided, as a row keeps it."""
    points = {"said": [1.0, 0.0, 0.0], "others": [[0.0, 1.0, 0.0], "zero_map"]}
    if wrong:
        points |= {"truth": [1.0, 0.0, 0.0], "contrast": [0.0, 0.0, 1.0], "reverse": [0.5, 0.5, 0.0]}
    score = {"score": 1.0, "probability": 0.5, "image": 2.0, "blank": -1.0}
    return {
        "kind": "class", "wrong": wrong, "said": said, "truth": truth if wrong else "", "why": "",
        "word": None, "unit": "logits", "scores": {"said": score, "truth": score, "contrast": score},
        "peaks": {"m": 1.0}, "points": {"m": points}, "area": 0.25,
        "controls": {"centre": [0.0, 1.0, 0.0], "random map": "flat_map", "mean activation": [1.0, 0.0, 0.0]},
    } | more  # fmt: skip


def case(wrong: bool, image: str = "1", **more: Any) -> Case:
    return Case("model", image, Path(f"{image}.png"), "", fact(wrong, **more))


def valued(table: Table | None) -> dict[str, float | None]:
    assert table is not None
    return {one.name: one.value for one in table.numbers}


def test_where_maps_point_counted_by_hand() -> None:
    other = {"m": {"said": [0.0, 0.0, 1.0], "others": [], "truth": "zero_map", "contrast": [0.0, 0.0, 1.0],
                   "reverse": [1.0, 0.0, 0.0]}}  # fmt: skip
    nowhere = fact(True)
    del nowhere["points"], nowhere["controls"], nowhere["area"]
    cases = [
        case(True),
        case(True, "2", points=other),
        case(False, "3"),
        Case("model", "4", Path("4"), "", nowhere),
    ]
    table = points_table("model", "class", cases, ["m"], 0)
    found = valued(table)
    on = "on the object that was missed"
    assert found == {
        f"m: what was said, {on}": 0.5,
        "m: what was said, on another object": 0.0,
        "m: what was said, on no object": 0.5,
        f"m: what was said less others, {on}": 1.0,
        f"m: the truth, {on}": 1.0,
        f"m: the truth less others, {on}": 1.0,
        "m: contrast, elsewhere than what was said": 0.5,
        f"neither said nor true, m, {on}": 0.0,
        "neither said nor true, m, elsewhere than what was said": 1.0,
        "m: of what is right, on its object": 1.0,
        f"mean activation, {on}": 1.0,
        f"centre, {on}": 0.0,
        f"random map, {on}": None,
        f"random pixel, {on}": 0.25,
    }
    numbers = {one.name: one for one in table.numbers}
    first = numbers["m: what was said, on the object that was missed"]
    assert (first.n, first.clusters, first.left_out, first.control) == (2, 2, {"no_object": 1}, False)
    truth = numbers["m: the truth, on the object that was missed"]
    assert truth.left_out == {"no_object": 1, "zero_map": 1}
    assert [one.control for one in table.numbers].count(True) == 6


def test_what_tells_right_from_wrong_is_an_area_under_the_curve() -> None:
    random = np.random.default_rng(0)
    wrong = random.random(30) < 0.4
    chances, nats = random.random(30), random.normal(size=30)

    def scores(at: int) -> dict[str, Any]:
        return {"said": {"score": 0.0, "probability": chances[at], "image": nats[at], "blank": 0.0}}

    cases = [case(bool(wrong[at]), str(at // 2), scores=scores(at)) for at in range(30)]
    table = telling_table("model", "class", cases, ["m"], 0)
    found = valued(table)
    assert found["confidence"] == pytest.approx(roc_area(chances, ~wrong))
    assert found["evidence"] == pytest.approx(roc_area(nats, ~wrong))
    assert found["confidence less evidence"] == pytest.approx(
        (found["confidence"] or 0) - (found["evidence"] or 0)
    )
    assert found["score without the image"] == 0.5
    assert table is not None
    assert {one.clusters for one in table.numbers} == {15}
    blind = [{"said": {**scores(at)["said"], "image": None}} for at in range(30)]
    none = [case(bool(wrong[at]), str(at), scores=blind[at]) for at in range(30)]
    assert valued(telling_table("model", "class", none, ["m"], 0))["evidence"] is None
    assert telling_table("model", "class", [one for one in cases if one.wrong], ["m"], 0) is None


def test_confusions_are_counted_the_most_frequent_first() -> None:
    cases = [case(True), case(True, said="cow"), case(True, said="cow"), case(False, said="cow")]
    assert confusions(cases) == [("class", "cow", "cat", 2), ("class", "dog", "cat", 1)]
    unsaid = [case(True, said=said, kind="missed") for said in ("dog", "cow")]  # what was said is right there
    assert confusions(unsaid) == [("missed", "", "cat", 2)]


# The study -------------------------------------------------------------------------------------


class Mute:
    """It reads captions and writes none."""

    def read(self, images: Any, captions: Any) -> None: ...


def models(name: str, **_settings: object) -> Any:
    return {
        "classes": lambda: failing.ranked([3, 0, 1, 2]),
        "speaker": lambda: Speaker("a dog on grass"),
        "vqa": small.vqa,
        "right": lambda: failing.ranked([0], ("dog",)),
        "mute": Mute,
    }[name]()


def settings(data: Path, **more: Any) -> FailuresSettings:
    return replace(FailuresSettings(("classes", "speaker", "vqa"), str(data)), **more)


@pytest.fixture
def own_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "load", models)


def test_the_study_writes_its_findings_and_goes_on_where_it_stopped(
    data: Path, tmp_path: Path, own_models: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, lines = tmp_path / "out", list[str]()
    found = failures_study(settings(data), out, lines.append)
    assert any(line.startswith("classes: 3 of 3") for line in lines)
    assert found.number("classes that are wrong").value == pytest.approx(2 / 3)
    assert found.number("object words that are wrong").value == pytest.approx(2 / 3)
    assert found.number("objects that no word names").value == pytest.approx(4 / 5)
    assert "classes: 2 of 3 classes wrong" in found.answer
    assert read_findings(out).answer == found.answer
    pages = [(out / name).read_bytes() for name in ("mistakes.html", "report.html")]
    monkeypatch.setattr(study, "row_of", None)  # nothing is measured again
    failures_study(settings(data, cases=1), out, lines.append)  # the page alone is another
    assert b"most confident of, and leaves" in (out / "mistakes.html").read_bytes()
    failures_study(settings(data), out, lines.append)
    assert [(out / name).read_bytes() for name in ("mistakes.html", "report.html")] == pages
    with pytest.raises(VlxError, match="other settings"):
        failures_study(settings(data, shrink=2), out)


def test_a_model_that_is_never_wrong_has_a_page_that_says_so(
    data: Path, tmp_path: Path, own_models: None
) -> None:
    found = failures_study(settings(data, models=("right",)), tmp_path / "out", lambda _line: None)
    assert found.answer == "No mistake was made on these data."
    assert "No mistake was made on these data." in (tmp_path / "out" / "mistakes.html").read_text()
    assert not found.pictures


def test_what_cannot_be_asked_is_one_line(data: Path, tmp_path: Path, own_models: None) -> None:
    with pytest.raises(VlxError, match="writes no captions"):
        failures_study(settings(data, models=("mute",)), tmp_path / "out")
    with pytest.raises(VlxError, match="give a model at least"):
        FailuresSettings(())
    (data / "annotations.json").unlink()
    with pytest.raises(VlxError, match="VQA"):
        failures_study(settings(data, models=("vqa",)), tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(VlxError, match="has no"):
        failures_study(settings(tmp_path / "empty", models=("classes",)), tmp_path / "out")
    with pytest.raises(VlxError, match="allows none of these methods"):
        failures_study(settings(data, models=("classes",), methods=("logit_lens",)), tmp_path / "new")


def test_the_command_prints_the_summary_and_where_the_pages_are(
    data: Path, tmp_path: Path, own_models: None, run: Run
) -> None:
    status, said, _ = run(
        "study",
        "failures",
        "--model",
        "classes",
        "--data",
        data,
        "--out",
        tmp_path / "out",
        "--method",
        "grad_cam",
    )
    assert status == 0
    assert "| classes that are wrong | 0.667 |" in said
    assert f"page: {tmp_path / 'out' / 'mistakes.html'}" in said
    status, said, complained = run("study", "failures", "--data", tmp_path / "none", "--out", tmp_path / "x")
    assert (status, said) == (1, "")
    assert len(complained.splitlines()) == 1


def test_rows_without_anything_decided_count_as_left_out(
    data: Path, tmp_path: Path, own_models: None
) -> None:
    found = failures_study(settings(data, models=("right",)), tmp_path / "out", lambda _line: None)
    assert found.left_out == {"right: nothing decided": 2}
    assert cases_of("x", [{"left_out": "no_image", "decided": []}], [Path()]) == []
