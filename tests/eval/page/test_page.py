"""The page of ``vlx evaluate all``: whole in one file, nothing executed, hostile text harmless."""

import base64
import hashlib
import json
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vlx
from tests.browser import browser
from tests.conftest import Run
from tests.eval import small
from vlx.cli.app import main
from vlx.errors import VlxError
from vlx.eval.items.options import Options
from vlx.eval.measures.statistics import summarise
from vlx.eval.page.evaluate_all import evaluate_all
from vlx.eval.page.examples import extremes
from vlx.eval.page.page import write_page
from vlx.eval.page.paper import PAPER, paper_value
from vlx.eval.page.plots import category_plot, distribution_plot, means_plot
from vlx.eval.runs.request import Request
from vlx.eval.tasks.pointing import POINTING

HOSTILE = "<script>alert(1)</script>"


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def hostile_world(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world whose captions hold a script, and which has no human attention."""
    copy = Path(shutil.copytree(world, tmp_path_factory.mktemp("hostile") / "world"))
    shutil.rmtree(copy / "attention")
    content = json.loads((copy / "captions.json").read_text())
    for caption in content["annotations"]:
        caption["caption"] += f" {HOSTILE}"
    (copy / "captions.json").write_text(json.dumps(content))
    return copy


GIVEN = (
    "--limit", 3, "--occluded", 1, "--window", 15, "--stride", 16, "--steps", 4,
    "--model", "scenes/captioner", "--model", "scenes/vqa", "--captions", 1,
)  # fmt: skip


@pytest.fixture(scope="module")
def made(hostile_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything measured."""
    out = tmp_path_factory.mktemp("all")
    command = ["evaluate", "all", "--data", str(hostile_world), "--out", str(out), *map(str, GIVEN)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["vlx.load"], "load", small.load)
        with pytest.raises(SystemExit) as ended:
            main(command)
    assert ended.value.code == 0
    return out


def test_everything_is_on_one_page_that_needs_nothing_else(made: Path) -> None:
    folders = {path.name for path in made.iterdir() if path.is_dir()}
    assert folders == {
        "boxes-scenes-captioner", "pointing-scenes-captioner", "area-scenes-captioner",
        "occlusion-scenes-captioner", "sanity-scenes-captioner", "deletion-scenes-captioner",
        "insertion-scenes-captioner",
        "occlusion-scenes-vqa", "sanity-scenes-vqa", "deletion-scenes-vqa", "insertion-scenes-vqa",
        "accuracy-scenes-vqa", "evidence-scenes-captioner", "hallucination-scenes-captioner",
    }  # fmt: skip
    text = (made / "report.html").read_text(encoding="utf-8")
    tags = Tags(text).found
    assert HOSTILE not in text
    assert "&lt;script&gt;" in text
    assert not {"script", "iframe", "object", "form"} & {tag for tag, _ in tags}
    sources = [attrs.get("src") or "" for tag, attrs in tags if tag == "img"]
    plots_and_photos = ("data:image/svg+xml;base64,", "data:image/jpeg;base64,")
    assert len(sources) >= 13 * 2
    assert all(source.startswith(plots_and_photos) for source in sources)
    assert all(attrs.get("alt") for tag, attrs in tags if tag == "img")
    assert not any("http" in (attrs.get("href") or "") for _, attrs in tags)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    sha = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policies = [attrs["content"] or "" for tag, attrs in tags if attrs.get("http-equiv")]
    assert f"'sha256-{sha}'" in policies[0]


def test_the_page_sets_measured_beside_the_paper_and_names_what_is_missing(made: Path) -> None:
    text = (made / "report.html").read_text(encoding="utf-8")
    assert "Not measured" in text
    assert "attention of scenes/vqa" in text
    assert "3.27 ± 0.18" in text
    assert "Highest scores" in text
    told = json.loads((made / "boxes-scenes-captioner" / "summary.json").read_text(encoding="utf-8"))
    mean = f"{told['rows']['grad_cam']['by_image']['mean']:.3f}"
    assert f"<td>{mean}</td>" in text
    assert text.count("Protocol: ") == 13


def test_a_second_run_measures_nothing_and_writes_the_same_page(
    hostile_world: Path, made: Path, run: Run
) -> None:
    before = (made / "report.html").read_bytes()
    part = made / "boxes-scenes-captioner" / "parts" / "000000.json"
    written = part.stat().st_mtime_ns
    status, said, _ = run("evaluate", "all", "--data", hostile_world, "--out", made, *GIVEN)
    assert (status, said) == (0, f"page: {made / 'report.html'}\n")
    assert (made / "report.html").read_bytes() == before
    assert part.stat().st_mtime_ns == written


def test_a_browser_shows_every_picture_also_on_a_small_screen(made: Path, tmp_path: Path) -> None:
    names = ("chromium", "chromium-browser", "google-chrome")
    driver, binary = shutil.which("chromedriver"), next(filter(None, map(shutil.which, names)), None)
    if driver is None or binary is None:
        pytest.skip("chromium and chromedriver are not installed")
    with browser(driver, binary, tmp_path) as page:
        page.open(made / "report.html")
        page.wait("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        page.size(390, 800, mobile=True)
        assert page.js("return document.documentElement.scrollWidth") <= 390
        assert [entry for entry in page.log("browser") if entry["level"] == "SEVERE"] == []


def test_nothing_measured_is_an_error_that_says_why(tmp_path: Path, run: Run) -> None:
    (tmp_path / "data").mkdir()
    status, _, err = run("evaluate", "all", "--data", tmp_path / "data", "--out", tmp_path / "out")
    assert status == 1
    assert "nothing was measured" in err
    assert "boxes of scenes/captioner" in err
    assert "boxes of scenes/captioner" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    with pytest.raises(VlxError, match="x: y"):
        write_page(tmp_path / "page.html", [], [("x", "y")])


def broken_masks(world: Path, copy: Path) -> Path:
    """A world whose masks cannot be read, which words alone need."""
    shutil.copytree(world, copy)
    content = json.loads((copy / "instances.json").read_text())
    for one in content["annotations"]:
        one["segmentation"] = {"size": [1, 1], "counts": "!!"}
    (copy / "instances.json").write_text(json.dumps(content))
    return copy


def test_what_fails_is_a_line_of_the_page_and_the_others_go_on(
    world: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = broken_masks(world, tmp_path / "data")
    monkeypatch.setitem(small.MODELS, "scenes/vqa", broken_model)
    given = (*GIVEN, "--model", "gone/model")
    status, said, _ = run("evaluate", "all", "--data", data, "--out", tmp_path / "out", *given)
    assert (status, said) == (0, f"page: {tmp_path / 'out' / 'report.html'}\n")
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<b>pointing of scenes/captioner</b>" in text
    assert "damaged_record" in text
    assert "segmentation.size is [1, 1]" in text
    assert "<b>gone/model</b>" in text
    assert "<b>sanity of scenes/vqa</b>" in text
    assert "ZeroDivisionError: of the model itself" in text
    assert (tmp_path / "out" / "boxes-scenes-captioner" / "summary.json").is_file()
    assert (tmp_path / "out" / "sanity-scenes-captioner" / "summary.json").is_file()


def broken_model() -> Any:
    model = small.vqa()

    def read(*_given: Any) -> Any:
        raise ZeroDivisionError("of the model itself")

    object.__setattr__(model, "read", read)
    return model


def test_all_takes_the_options_of_the_single_evaluations(
    world: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers: list[object] = []

    def load(name: str, **settings: object) -> Any:
        layers.append(settings["layer"])
        return small.load(name)

    monkeypatch.setattr(sys.modules["vlx.load"], "load", load)
    given = ("--layer", "features.2", "--tolerance", 9, "--answer", "human", "--annotators", "mean")
    status, _, err = run("evaluate", "all", "--data", world, "--out", tmp_path, *GIVEN, *given)
    assert status == 0, err
    for name in ("pointing-scenes-captioner", "attention-scenes-vqa"):
        options = json.loads((tmp_path / name / "settings.json").read_text())["settings"]["options"]
        assert (options["tolerance"], options["answer"], options["annotators"]) == (9, "human", "mean")
    assert layers == ["features.2"] * 2


def test_faults_and_what_reasons_mean_are_on_the_page(world: Path, tmp_path: Path, run: Run) -> None:
    data = Path(shutil.copytree(world, tmp_path / "data"))
    shutil.rmtree(data / "attention")
    missing = sorted((data / "images").iterdir())[0]
    missing.unlink()
    given = ("--model", "scenes/captioner", "--damaged", 0.5, "--occluded", 1, "--window", 15, "--stride", 60)
    assert run("evaluate", "all", "--data", data, "--out", tmp_path / "out", *given, "--captions", 1)[0] == 0
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert f"damaged data: no_image 5, the first: no image {missing}" in text
    assert "Left out: " in text
    assert "no_image (there is no such image file)" in text


def test_the_best_and_the_worst_are_of_different_images() -> None:
    rows = [
        {"item": f"{image}{n}", "image": image, "method": "m", "score": score}
        for image, n, score in [
            ("a", 1, 0.9), ("a", 2, 0.8), ("b", 1, 0.5), ("c", 1, 0.1), ("d", 1, None),
            ("e", 1, float("inf")), ("f", 1, 0.2), ("g", 1, 0.3), ("h", 1, 0.4),
        ]
    ]  # fmt: skip
    best, worst = extremes([*rows, {**rows[0], "method": "other", "score": 5.0}], "m")
    assert best == ["a1", "b1", "h1", "g1"]
    assert worst == ["c1", "f1", "a2"]
    assert extremes(rows[:1], "m") == ([], [])


def test_hits_and_misses_are_never_mixed_up() -> None:
    rows = [{"item": str(n), "image": str(n), "method": "m", "score": float(n < 2)} for n in range(9)]
    best, worst = extremes(rows, "m")
    assert set(best) == {"0", "1"}
    assert len(worst) == 4
    assert not {"0", "1"} & set(worst)
    assert extremes(rows[::-1], "m") == (best, worst)


def test_the_papers_numbers_are_those_it_prints() -> None:
    assert {(one.task, one.model_types, one.method): one.value for one in PAPER} == {
        ("boxes", ("captioner",), "grad_cam"): 3.27,
        ("boxes", ("captioner",), "guided_backprop"): 2.32,
        ("boxes", ("captioner",), "guided_grad_cam"): 6.38,
        ("pointing", ("captioner",), "grad_cam"): 0.300,
        ("attention", ("vqa",), "grad_cam"): 0.136,
        ("occlusion", ("vqa",), "grad_cam"): 0.60,
        ("occlusion", ("vqa",), "guided_backprop"): 0.42,
        ("occlusion", ("classifier",), "grad_cam"): 0.254,
        ("occlusion", ("classifier",), "guided_grad_cam"): 0.261,
        ("occlusion", ("classifier",), "guided_backprop"): 0.168,
        ("occlusion", ("classifier",), "c_mwp"): 0.220,
        ("occlusion", ("classifier",), "class_activation_map"): 0.208,
        ("classes-occlusion", ("classifier",), "grad_cam"): 0.254,
        ("classes-occlusion", ("classifier",), "guided_grad_cam"): 0.261,
        ("classes-occlusion", ("classifier",), "guided_backprop"): 0.168,
        ("classes-occlusion", ("classifier",), "c_mwp"): 0.220,
        ("classes-occlusion", ("classifier",), "class_activation_map"): 0.208,
        ("ablations", ("classifier",), "grad_cam"): 0.5965,
        ("ablations", ("classifier",), "grad_cam_no_relu"): 0.7498,
        ("ablations", ("classifier",), "grad_cam_no_relu_stretched"): 0.7498,
        ("ablations", ("classifier",), "grad_cam_no_relu_magnitude"): 0.7498,
        ("ablations", ("classifier",), "grad_cam_absolute"): 0.5819,
        ("ablations", ("classifier",), "grad_cam_max_pool"): 0.5996,
        ("ablations", ("classifier",), "grad_cam_deconvolution"): 0.8395,
        ("ablations", ("classifier",), "grad_cam_guided"): 0.5914,
        ("localisation", ("classifier",), "class_activation_map"): 0.5720,
        ("localisation", ("classifier",), "c_mwp"): 0.7092,
        ("localisation", ("classifier",), "gradient"): 0.6112,
        ("localisation", ("classifier",), "grad_cam"): 0.5651,
        ("classes-reject", ("classifier",), "grad_cam"): 0.7058,
        ("classes-reject", ("classifier",), "c_mwp"): 0.6030,
    }
    assert paper_value("boxes", "captioner", "hires_cam") is None


def test_plots_draw_what_there_is_and_stay_the_same() -> None:
    rows = {"grad_cam": summarise([1.0, 2.0, 3.0]), "a $x$ <b>": summarise([0.5, 0.6]), "none": summarise([])}
    for draw in (
        lambda: means_plot(rows, ["grad_cam"], {"grad_cam": 3.0}),
        lambda: category_plot({f"c{n}": rows["grad_cam"] for n in range(30)}),
        lambda: distribution_plot({"a": np.array([0.0, np.inf, 2.0]), "b": np.zeros(0)}, ["a"], ratio=True),
        lambda: distribution_plot({}, []),
    ):
        first = draw()
        assert first == draw()
        assert first.lstrip().startswith("<?xml")
        assert "<svg" in first


def test_methods_of_ones_own_are_on_the_page(world: Path, tmp_path: Path) -> None:
    def twice(activations, gradients):
        return (2 * activations * gradients).sum(-3).relu()

    mine = vlx.Method("mine (twice)", twice)
    request = Request("scenes/captioner", str(world), (mine,), options=Options(limit=1, captions=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["vlx.load"], "load", small.load)
        page = evaluate_all([request], [POINTING], tmp_path / "out", occluded=1)
    text = page.read_text(encoding="utf-8")
    assert "Not measured" not in text
    assert "mine (twice)" in text
