"""Every command of ``vlx evaluate`` and ``vlx data``: what it writes, and one line for what goes wrong."""

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from tests.conftest import Run
from vlx.cli.app import app
from vlx.cli.evaluate import evaluate
from vlx.eval.items.options import Options
from vlx.eval.items.rows import need_pyarrow
from vlx.eval.tasks.all import TASKS

COMMANDS = (
    "boxes", "pointing", "area", "attention", "occlusion", "sanity", "deletion", "insertion", "accuracy",
    "evidence", "hallucination",
    "localisation", "classes-pointing", "classes-reject", "classes-occlusion", "seeds",
)  # fmt: skip
CLASSIFIED = {name: ("--model", "small/classifier") for name in COMMANDS[-5:]}
RESULTS = {"results.parquet", "summary.json", "summary.md", "summary.tex", "settings.json", "parts"}


def test_there_is_a_command_for_every_evaluation() -> None:
    assert tuple(one.name for one in TASKS) == COMMANDS
    for command in (*COMMANDS, "all", "merge"):
        result = CliRunner().invoke(app, ["evaluate", command, "--help"])
        assert result.exit_code == 0
        assert "Usage:" in result.output
    assert CliRunner().invoke(app, ["data", "check", "--help"]).exit_code == 0


WHAT = ["model", "data", "method", "out", "layer", "split"]
HOW = [
    "limit", "seed", "batch", "device", "precision", "threads", "damaged", "shard", "engine", "workers",
]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "own"),
    [
        ("boxes", ["wrong"]),
        ("pointing", ["captions", "tolerance", "wrong"]),
        ("area", ["captions", "wrong"]),
        ("attention", ["annotators", "answer"]),
        ("occlusion", ["captions", "answer", "window", "stride", "fill"]),
        ("sanity", ["captions", "answer"]),
        ("deletion", ["captions", "answer", "steps"]),
        ("insertion", ["captions", "answer", "steps"]),
        ("accuracy", []),
        ("evidence", ["captions"]),
        ("hallucination", ["captions"]),
        ("localisation", ["wrong", "threshold", "connectivity", "crop", "classes", "shuffled"]),
        ("classes-pointing", ["wrong", "radius", "crop", "classes", "shuffled"]),
        ("classes-reject", ["radius", "crop", "classes", "shuffled"]),
        ("classes-occlusion", ["wrong", "window", "stride", "fill", "crop", "classes"]),
        ("seeds", ["wrong", "foreground", "background", "saliency", "crop", "classes"]),
    ],
)
def test_every_evaluation_takes_the_same_options_and_its_own(command: str, own: list[str]) -> None:
    group: Any = get_command(evaluate)
    found = {option.name: option for option in group.commands[command].params}
    no_maps = {"accuracy": ["method", "layer"], "evidence": ["method"]}
    what = [one for one in WHAT if one not in no_maps.get(command, ())]
    assert list(found) == [*what, *own, *HOW]
    assert all(option.opts == [f"--{name}"] for name, option in found.items())
    told = {name: option.default for name, option in found.items() if option.default is not None}
    assert {name: told[name] for name in ("data", "seed", "batch", "damaged", "workers")} == {
        "data": "scenes", "seed": 0, "batch": 16, "damaged": 0.05, "workers": 1,
    }  # fmt: skip
    given = {name: told[name] for name in own if name in told}
    assert given == {name: getattr(Options(), name) for name in given}


def test_all_takes_what_the_single_evaluations_take() -> None:
    group: Any = get_command(evaluate)
    found = {option.name for option in group.commands["all"].params}
    single = {option.name for command in COMMANDS for option in group.commands[command].params}
    assert single - found == {"shard"}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_writes_rows_and_summaries(command: str, world: Path, tmp_path: Path, run: Run) -> None:
    more = {
        "occlusion": ("--window", 15, "--stride", 16),
        "deletion": ("--steps", 4),
        "insertion": ("--steps", 4),
        **CLASSIFIED,
        "classes-occlusion": (*CLASSIFIED["classes-occlusion"], "--method", "grad_cam", "--stride", 16),
    }
    out = tmp_path / "out"
    status, said, err = run(
        "evaluate", command, "--data", world, "--out", out, "--limit", 2, *more.get(command, ())
    )
    assert status == 0
    assert {path.name for path in out.iterdir()} >= RESULTS
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert parquet.read_table(out / "results.parquet").num_rows == summary["items"] > 0
    assert summary["images"] == 2
    assert ("statistics" in summary) == (command in ("evidence", "hallucination", "seeds"))
    assert summary["settings"]["task"] == command
    assert "Protocol: " in said
    assert f"results: {out}" in said
    count = summary["settings"]["count"]
    assert f"{count}/{count}" in err  # the bar, at its end
    assert summary["items"] == count or (command == "hallucination" and summary["items"] > count)  # own words
    for line in summary["rows"].values():
        assert {"n", "mean", "standard_error", "interval", "left_out", "clustered_error"} <= set(
            line["items"]
        )
    others = {
        "accuracy": {"majority answer", "majority of type"},
        "evidence": {"log probability"},
        "hallucination": {"mean activation", "random map"},
    }
    controls = others.get(command, {"centre prior", "random map"})
    assert {"random weights", *controls} <= {
        name.rpartition(", ")[2].removeprefix("against ").replace("all weights shuffled", "random weights")
        for name in summary["rows"]
    }


def test_results_go_to_a_folder_of_their_own_by_default(
    world: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("evaluate", "boxes", "--data", world, "--limit", 1)[0] == 0
    assert run("evaluate", "boxes", "--data", world, "--limit", 1, "--shard", "1/2")[0] == 0
    assert (tmp_path / "vlx-evaluation" / "boxes" / "summary.md").is_file()
    assert (tmp_path / "vlx-evaluation" / "boxes" / "shard-1-of-2" / "summary.md").is_file()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("boxes", "--data", "nowhere"), "nowhere: no such folder"),
        (("boxes", "--model", "scenes/vqa"), "boxes needs a captioner, and scenes/vqa is a vqa"),
        (("attention", "--model", "scenes/captioner"), "attention needs a vqa"),
        (("evidence", "--model", "scenes/vqa"), "evidence needs a captioner, and scenes/vqa is a vqa"),
        (("hallucination", "--model", "scenes/vqa"), "hallucination needs a captioner, and scenes/vqa is"),
        (("boxes", "--method", "gradcam"), "no method 'gradcam'; near names: grad_cam"),
        (("boxes", "--device", "tpu9"), "no device 'tpu9'"),
        (("boxes", "--shard", "3/2"), "shard 3/2"),
        (("boxes", "--precision", "half"), "half"),
        (("boxes", "--batch", "0"), "Invalid value for '--batch'"),
        (("boxes", "--workers", "2"), "--workers 2 is for --engine ray"),
        (("merge", "nowhere", "--out", "out"), "nowhere holds no results"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    given: tuple[str, ...], told: str, world: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = () if "--data" in given or given[0] == "merge" else ("--data", world)
    status, _, err = run("evaluate", *given, *data)
    assert status in (1, 2)
    assert err.startswith("vlx: ")
    assert err.count("\n") == 1
    assert told in err
    assert "Traceback" not in err


def test_missing_data_name_their_owner(world: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "images").mkdir()
    status, _, err = run("evaluate", "pointing", "--data", tmp_path, "--out", tmp_path / "out")
    assert status == 1
    assert "has no COCO" in err
    assert "https://cocodataset.org" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["evidence", "hallucination"])
def test_words_are_scored_where_there_are_captions_alone(
    command: str, world: Path, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "instances.json").write_bytes((world / "instances.json").read_bytes())
    status, _, err = run("evaluate", command, "--data", tmp_path / "data", "--out", tmp_path / "out")
    assert status == 1
    assert err.count("\n") == 1
    assert "has no COCO captions" in err


def test_data_check_lists_and_fails_on_nothing(world: Path, tmp_path: Path, run: Run) -> None:
    status, out, err = run("data", "check", world)
    assert (status, err) == (0, "")
    maps = len(list((world / "attention").glob("*.png")))
    assert f"found    VQA-HAT maps: attention ({maps} files)" in out
    assert "missing  VQA v2 questions" in out
    status, out, err = run("data", "check", tmp_path)
    assert status == 1
    assert "holds no file that an evaluation reads" in err
    assert "missing  COCO captions" in out


def test_data_check_takes_a_folder_of_photos_and_says_what_is_not_read(
    world: Path, tmp_path: Path, run: Run
) -> None:
    status, out, _ = run("data", "check", world / "images")
    assert status == 0
    assert "found    images: ." in out
    (tmp_path / "questions.json").write_text('{"questions": [{"image_filename": "a", "question": "b"}]}')
    status, out, err = run("data", "check", tmp_path)
    assert status == 1
    assert "not read questions.json: questions of CLEVR" in out
    status, _, err = run("evaluate", "accuracy", "--data", tmp_path)
    assert status == 1
    assert err.count("\n") == 1
    assert "VQA v1 annotations" in err


def test_pyarrow_is_asked_for_in_one_line(
    world: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert need_pyarrow().__name__ == "pyarrow"
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    status, _, err = run("evaluate", "boxes", "--data", world, "--out", tmp_path / "out")
    assert (status, err) == (1, "vlx: results are written by pyarrow: pip install 'vlx[evaluate]'\n")


def test_precision_and_seed_are_settings(world: Path, tmp_path: Path, run: Run) -> None:
    means: dict[str, float] = {}
    for name, more in {
        "a": (), "b": ("--precision", "float64"), "c": ("--precision", "bfloat16"), "d": ("--seed", 5),
    }.items():  # fmt: skip
        out = tmp_path / name
        assert run("evaluate", "boxes", "--data", world, "--out", out, "--method", "gradient", *more)[0] == 0
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        means[name] = summary["rows"]["gradient"]["items"]["mean"]
        means[f"{name} random"] = summary["rows"]["random map"]["items"]["mean"]
    assert means["a"] == pytest.approx(means["b"], rel=1e-3)
    assert means["a"] == pytest.approx(means["c"], rel=0.2)
    assert means["a"] != means["b"] != means["c"]
    assert means["a"] == means["d"]
    assert means["a random"] == means["b random"] != means["d random"]


def test_the_built_in_world_is_the_default(held_out: Path, tmp_path: Path, run: Run) -> None:
    assert run("evaluate", "boxes", "--limit", 2, "--out", tmp_path)[0] == 0
    rows = parquet.read_table(tmp_path / "results.parquet").to_pylist()
    assert len(rows) == 10
    assert all(row["centre_prior"] is not None for row in rows)


def test_real_photos_are_measured(shared_data: Path, tmp_path: Path, run: Run) -> None:
    given = ("--limit", 3, "--out", tmp_path / "pointing", "--captions", 1)
    assert run("evaluate", "pointing", "--data", shared_data / "coco-80", *given)[0] == 0
    given = ("--limit", 2, "--out", tmp_path / "boxes")
    assert run("evaluate", "boxes", "--data", shared_data / "densecap-14", *given)[0] == 0
    rows = parquet.read_table(tmp_path / "boxes" / "results.parquet").to_pylist()
    assert len(rows) == 10
    assert all(row["centre_prior"] is not None for row in rows)
    words = parquet.read_table(tmp_path / "pointing" / "results.parquet").to_pylist()
    assert {row["left_out"] for row in words} <= {None, "zero_map", "empty_mask", "unknown_word"}
    assert any(row["left_out"] is None and row["centre_prior"] is not None for row in words)
