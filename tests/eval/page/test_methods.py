"""All methods beside one another: the table, the advice by its numbers, and the command with its page."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.browser import browser
from tests.conftest import Run
from vlx.eval.items.rows import OWN_MINUS_WRONG, SCORE, Row
from vlx.eval.measures.statistics import Outcome
from vlx.eval.page.evaluate_methods import compared, takes_many_runs, usual_methods
from vlx.eval.page.methods_advice import advice, markdown, plain
from vlx.eval.page.methods_table import Column, MethodsTable, by_cost, cells, column, note
from vlx.eval.page.plots import worth_plot
from vlx.eval.runs.collected import measured
from vlx.eval.runs.costs import Cost
from vlx.eval.runs.summary import Measured
from vlx.eval.tasks.all import TASKS
from vlx.eval.tasks.pointing import POINTING
from vlx.methods.values import METHODS, Method, grad_cam, occlusion, rise

SAMPLE = replace(
    POINTING, controls=("random_weights", "centre_prior"), shared=("centre_prior",), facts=("random_pixel",),
)  # fmt: skip


def found(scores: dict[str, list[float]], wrong: dict[str, list[float]] | None, *, centre: float) -> Measured:
    """A run of some methods: one item an image, its score and own minus wrong by method."""
    rows: list[Row] = []
    for at in range(len(next(iter(scores.values())))):
        for method, values in scores.items():
            told = {
                SCORE: Outcome(values[at]), "random_weights": Outcome(0.0), "centre_prior": Outcome(centre),
                "random_pixel": Outcome(0.1),
            }  # fmt: skip
            if wrong is not None:
                told[OWN_MINUS_WRONG] = Outcome(wrong[method][at])
            rows.append(Row(str(at), str(at), method, "", "dog", "dog", "dog", None, 0, "", told))
    task = SAMPLE if wrong is not None else replace(SAMPLE, wrong=False)
    return measured(task, rows, "how", 0)


def cost(ratio: float, forwards: int = 1) -> Cost:
    return Cost(4, forwards, 0, 2, 3, ratio / 10, ratio, 5, 3 << 20)


def table(columns: list[Column], costs: dict[str, Cost]) -> MethodsTable:
    return MethodsTable("mine", "layer", "“a dog” on 1.jpg", list(costs), costs, columns, {"bad": "why not"})


@pytest.fixture(scope="module")
def sampled() -> MethodsTable:
    few = found({"slow": [1.0, 1.0]}, {"slow": [0.9, 1.0]}, centre=0.5)
    many = found(
        {"dear": [1.0, 1.0, 0.0, 1.0], "cheap": [1.0, 0.0, 1.0, 0.0]},
        {"dear": [0.5, 0.3, 0.4, 0.2], "cheap": [0.1, -0.1, 0.1, -0.2]},
        centre=0.5,
    )
    pointing = column(SAMPLE, [many, few], [["dear", "cheap"], ["slow"]])
    return table([pointing], {"dear": cost(5.0), "cheap": cost(1.5), "slow": cost(200.0, 400)})


def test_the_table_has_every_method_by_its_cost_then_the_controls(sampled: MethodsTable) -> None:
    head, *lines = cells(sampled)
    assert head == [
        "", "× forward", "pointing", "pointing: own − wrong", "n", "forwards", "runs below",
        "runs of the head", "backwards", "MiB",
    ]  # fmt: skip
    assert [line[0] for line in lines] == [
        "cheap", "dear", "slow", "control: centre prior", "control: shuffled weights, the highest",
        "random pixel",
    ]  # fmt: skip
    assert by_cost(sampled) == ["cheap", "dear", "slow"]
    dear = lines[1]
    assert dear[:2] == ["dear", "5.0"]
    assert (dear[2], dear[4]) == ("0.750", "4")
    assert re.fullmatch(r"0\.350 \[0\.2\d\d, 0\.4\d\d\] \*", dear[3])
    assert dear[5:] == ["1", "0", "2", "3", "3"]
    assert lines[0][3].startswith("\N{MINUS SIGN}0.025 [\N{MINUS SIGN}0.")
    assert not lines[0][3].endswith("*")
    assert (lines[2][1], lines[2][4]) == ("200", "2")
    assert lines[3] == ["control: centre prior", "", "0.500", "", "4", "", "", "", "", ""]
    assert {len(line) for line in (head, *lines)} == {10}
    text = markdown(sampled)
    assert "| dear | 5.0 | 0.750 |" in text
    assert "bad: not measured: why not" in text
    assert "own − wrong: the score of a map less" in note(sampled)
    assert "above controls" not in note(sampled)


def test_advice_follows_the_numbers(sampled: MethodsTable) -> None:
    # Of the two that are sure, slow has the higher own minus wrong, and costs more.
    first, second = advice(sampled)
    assert first.startswith(
        "Use slow: own − wrong is surely above 0 in 1 of 1 evaluation(s) (pointing 0.950 ["
    )
    assert first.endswith("; 200 × a forward.")
    assert second.startswith("For less: dear: ")
    assert second.endswith("; 5.0 × a forward.")
    high = {"control: centre prior": replace(sampled.columns[0].controls["control: centre prior"], mean=0.9)}
    first, second = advice(replace(sampled, columns=[replace(sampled.columns[0], controls=high)]))
    assert first.endswith("a forward.")  # of fewer images than the control
    assert second.endswith(" Its pointing 0.750 lies below that of centre prior, 0.900.")
    alone = replace(sampled.columns[0], worth={"cheap": sampled.columns[0].worth["cheap"]})
    (line,) = advice(replace(sampled, columns=[alone]))
    assert line.startswith("No method is sure: own − wrong may be 0 for each of 1 in pointing.")
    assert advice(replace(sampled, columns=[])) == []
    twice = replace(sampled, columns=[sampled.columns[0], replace(sampled.columns[0], worth={
        "dear": sampled.columns[0].worth["dear"], "slow": sampled.columns[0].worth["cheap"]
    })])  # fmt: skip
    assert advice(twice)[0].startswith("Use dear: own − wrong is surely above 0 in 2 of 2")  # in most of them
    assert len(advice(twice)) == 1  # the cheapest sure one is the same


def test_without_wrong_words_the_closest_control_decides() -> None:
    run = found({"a": [1.0, 1.0, 0.5, 1.0], "b": [0.5, 0.0, 0.5, 1.0]}, None, centre=0.75)
    task = replace(SAMPLE, wrong=False)
    pointing = column(task, [run], [["a", "b"]])
    assert not pointing.wrong
    assert pointing.worth["a"].against == "centre prior"
    value, _ = pointing.decided("a")
    assert value == pytest.approx(0.125)
    assert pointing.decided("b")[0] == pytest.approx(-0.25)
    assert pointing.decided("c") == (None, None)
    shown = table([pointing], {"a": cost(2.0), "b": cost(1.0), "c": cost(3.0)})
    assert "above controls: the score less" in note(shown)
    assert cells(shown)[3][2:5] == ["–", "–", "–"]
    told = plain(shown)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    (evaluation,) = told["evaluations"]
    assert evaluation["methods"]["a"]["against"] == "centre prior"
    assert evaluation["decides"] == "above controls"
    assert evaluation["controls"]["control: centre prior"]["value"] == 0.75


def test_methods_and_evaluations_that_are_compared() -> None:
    names = [task.name for task in compared(TASKS)]
    assert {"boxes", "pointing", "attention", "occlusion"} <= set(names)
    assert not {"accuracy", "sanity", "deletion", "insertion", "evidence", "hallucination"} & set(names)
    assert len(usual_methods()) == len(METHODS)
    assert rise not in usual_methods()
    assert "rise_500" in [method.name for method in usual_methods()]
    assert takes_many_runs(occlusion)
    assert not takes_many_runs(grad_cam)
    assert not takes_many_runs(Method("mine", grad_cam.cam))


def test_the_plot_draws_what_there_is_and_stays_the_same() -> None:
    points = [("a", 1.5, 0.2, (0.1, 0.3)), ("b$", 100.0, -0.1, None), ("c", 3.0, float("inf"), None)]
    assert worth_plot(points, "own − wrong") == worth_plot(points, "own − wrong")
    assert worth_plot([], "own − wrong").startswith("<?xml")
    assert worth_plot(points, "above controls", ratio=True) != worth_plot(points, "above controls")


GIVEN = (
    "--limit", 2, "--slow-limit", 1, "--captions", 1, "--window", 15, "--stride", 16,
    "--method", "grad_cam", "--method", "integrated_gradients", "--method", "ablation_cam",
)  # fmt: skip


def test_the_command_writes_a_table_json_and_a_page_and_goes_on(
    world: Path, tmp_path: Path, run: Run
) -> None:
    out = tmp_path / "out"
    status, said, err = run("evaluate", "methods", "--data", world, "--out", out, *GIVEN)
    assert status == 0, err
    folders = {path.name for path in out.iterdir() if path.is_dir()}
    assert {
        f"{name}{slow}" for slow in ("", "-slow")
        for name in (
            "boxes-scenes-captioner", "pointing-scenes-captioner", "occlusion-scenes-captioner",
            "attention-scenes-vqa", "occlusion-scenes-vqa",
        )
    } <= folders  # fmt: skip
    assert "Methods of scenes/captioner at layer features.4" in said
    assert said.endswith(f"page: {out / 'report.html'}\n")
    assert (out / "methods.md").read_text(encoding="utf-8") in said
    told = json.loads((out / "methods.json").read_text(encoding="utf-8"))
    assert [one["model"] for one in told["models"]] == ["scenes/captioner", "scenes/vqa"]
    assert told["missing"] == []
    captioner = told["models"][0]
    assert set(captioner["costs"]) == {"grad_cam", "integrated_gradients", "ablation_cam"}
    assert captioner["costs"]["integrated_gradients"]["heads"] == 4
    assert told["models"][1]["costs"]["grad_cam"]["targets"] == 1
    (pointing,) = [one for one in captioner["evaluations"] if one["task"] == "pointing"]
    assert pointing["methods"]["ablation_cam"]["score"]["images"] == 1
    assert pointing["methods"]["grad_cam"]["score"]["images"] == 2
    before = {name: (out / name).read_bytes() for name in ("methods.json", "methods.md", "report.html")}
    assert run("evaluate", "methods", "--data", world, "--out", out, *GIVEN)[0] == 0
    assert before == {name: (out / name).read_bytes() for name in before}  # costs are kept, too
    page = before["report.html"].decode()
    assert "<script" not in page
    assert "Which method should I use?" in page
    _shown(out / "report.html", tmp_path)


def _shown(page: Path, folder: Path) -> None:
    """Every picture is there in a browser, also on a small screen; nothing where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    driver, binary = shutil.which("chromedriver"), next(filter(None, map(shutil.which, names)), None)
    if driver is None or binary is None:
        return
    with browser(driver, binary, folder) as shown:
        shown.open(page)
        shown.wait("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        shown.size(390, 800, mobile=True)
        assert shown.js("return document.documentElement.scrollWidth") <= 390


def test_what_a_model_cannot_do_is_told_and_the_rest_goes_on(world: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "out"
    given = ("--limit", 2, "--captions", 1, "--task", "pointing", "--data", world, "--out", out)
    status, said, _ = run(
        "evaluate", "methods", *given, "--fast", "--method", "grad_cam", "--method", "ablation_cam",
        "--model", "scenes/captioner", "--model", "nowhere",
    )  # fmt: skip
    assert status == 0
    assert "not measured: nowhere: " in said
    assert "ablation_cam" not in said
    assert {path.name for path in out.iterdir() if path.is_dir()} == {"pointing-scenes-captioner"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--task", "pointin"), "no evaluation 'pointin' that compares methods; near names: pointing"),
        (("--task", "accuracy"), "no evaluation 'accuracy' that compares methods"),
        (("--method", "gradcam"), "vlx: no method 'gradcam'; near names: grad_cam"),
        (("--fast", "--method", "rise"), "no method is left"),
        (
            ("--model", "scenes/vqa", "--task", "pointing"),
            "scenes/vqa is a vqa, which none of pointing is for",
        ),
        (("--data", "nowhere"), "nowhere: no such folder"),
    ],
)
def test_what_is_wrong_is_one_line(
    given: tuple[str, ...], told: str, world: Path, tmp_path: Path, run: Run
) -> None:
    data = () if "--data" in given else ("--data", world)
    status, _, err = run("evaluate", "methods", "--out", tmp_path / "out", *data, *given)
    assert status == 1
    assert err.count("\n") == 1
    assert err.startswith("vlx: ")
    assert told in err
