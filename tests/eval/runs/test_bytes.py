"""What decides rows is in a run's fingerprint or with its batches; what only ends a run is not."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Run
from tests.eval import small
from tests.eval.runs.measured import contents, parts
from vlx.errors import VlxError
from vlx.eval.items.options import Options
from vlx.eval.runs.batches import locked
from vlx.eval.runs.evaluate import evaluate
from vlx.eval.runs.request import VERSIONS, Request
from vlx.eval.tasks.attention import ATTENTION
from vlx.eval.tasks.boxes import BOXES
from vlx.eval.tasks.pointing import POINTING


@pytest.fixture
def copy(world: Path, tmp_path: Path) -> Path:
    """A world of one's own to change."""
    return Path(shutil.copytree(world, tmp_path / "copy"))


def asked(data: Path, **more: Any) -> Request:
    return Request("mine", str(data), **{"batch": 15, "threads": 1, "progress": False, **more})


def times(out: Path) -> dict[str, int]:
    return {name: (out / "parts" / name).stat().st_mtime_ns for name in parts(out)}


def told(out: Path) -> dict[str, Any]:
    return json.loads((out / "summary.json").read_text(encoding="utf-8"))


def test_images_that_were_replaced_are_measured_again(copy: Path, tmp_path: Path) -> None:
    out = evaluate(BOXES, asked(copy), tmp_path / "out", small.captioner())
    first, before = told(out), times(out)
    evaluate(BOXES, asked(copy), out, small.captioner())
    assert times(out) == before
    path = copy / "images" / "000000000001.jpg"
    Image.effect_noise(Image.open(path).size, 90).convert("RGB").save(path)
    evaluate(BOXES, asked(copy), out, small.captioner())
    assert sum(before[name] != now for name, now in times(out).items()) == 1
    new = evaluate(BOXES, asked(copy), tmp_path / "new", small.captioner())
    assert contents(out) == contents(new)
    assert told(out)["rows"]["grad_cam"] != first["rows"]["grad_cam"]


def test_human_maps_that_were_replaced_are_measured_again(copy: Path, tmp_path: Path) -> None:
    out = evaluate(ATTENTION, asked(copy), tmp_path / "out", small.vqa())
    first = told(out)["rows"]["grad_cam"]["items"]["mean"]
    for path in (copy / "attention").glob("*.png"):
        with Image.open(path) as picture:
            Image.fromarray(np.asarray(picture)[::-1, ::-1]).save(path)
    evaluate(ATTENTION, asked(copy), out, small.vqa())
    assert told(out)["rows"]["grad_cam"]["items"]["mean"] != first


def damage_truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def damage_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [Path.unlink, damage_truncated, damage_folder])
def test_a_repaired_image_is_measured_again(
    copy: Path, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    path, request = copy / "images" / "000000000012.jpg", asked(copy, batch=5)
    whole = evaluate(BOXES, request, tmp_path / "whole", small.captioner())
    good = path.read_bytes()
    damage(path)
    with pytest.raises(
        VlxError, match=r"5 of 60 items .* more than 5\.0%: .*_image 5, the first: .*000000000012"
    ):
        evaluate(BOXES, request, tmp_path / "out", small.captioner())
    out = evaluate(BOXES, replace(request, damaged=0.5), tmp_path / "out", small.captioner())
    assert (told(out)["damaged"], told(out)["settings"]["damaged"]) == (5, 0.5)
    if path.is_dir():
        path.rmdir()
    path.write_bytes(good)
    evaluate(BOXES, request, out, small.captioner())
    assert contents(out) == contents(whole)


def test_a_run_that_passes_its_share_goes_on_with_a_larger_one(copy: Path, tmp_path: Path) -> None:
    for path in sorted((copy / "images").iterdir())[-3:]:
        damage_truncated(path)
    request, out = asked(copy, batch=5), tmp_path / "out"
    with pytest.raises(VlxError, match="repair them, or allow more by --damaged"):
        evaluate(BOXES, request, out, small.captioner())
    before = times(out)
    assert before
    evaluate(BOXES, replace(request, damaged=0.5), out, small.captioner())
    assert {name: times(out)[name] for name in before} == before


@pytest.mark.parametrize("broken", ["images", "captions"])
def test_what_is_known_to_be_damaged_ends_a_run_before_its_first_batch(
    copy: Path, tmp_path: Path, broken: str
) -> None:
    if broken == "images":
        shutil.rmtree(copy / "images")
    else:
        content = json.loads((copy / "captions.json").read_text())
        for caption in content["annotations"]:
            caption["image_id"] = "none"
        (copy / "captions.json").write_text(json.dumps(content))
    model = small.captioner()
    model.read = lambda *_given: pytest.fail("read")  # pyright: ignore[reportAttributeAccessIssue]
    said = "no_image .*000000000" if broken == "images" else r"damaged_record .*image_id is \"none\""
    with pytest.raises(VlxError, match=said):
        evaluate(POINTING, asked(copy), tmp_path / "out", model)
    assert parts(tmp_path / "out") == []


REFUSED: dict[str, Any] = {
    "other options": {"options": Options(limit=3)},
    "another batch": {"batch": 7},
    "another method": {"methods": ("gradient",)},
}


@pytest.mark.parametrize("after", REFUSED)
def test_a_refused_run_leaves_its_folder_to_any_other(copy: Path, tmp_path: Path, after: str) -> None:
    model = small.captioner()
    read = model.read

    def refuse(*_given: Any) -> Any:
        raise VlxError("no")

    model.read = refuse
    with pytest.raises(VlxError, match="no"):
        evaluate(BOXES, asked(copy), tmp_path / "out", model)
    model.read = read
    evaluate(BOXES, asked(copy, **REFUSED[after]), tmp_path / "out", model)
    assert (tmp_path / "out" / "summary.json").is_file()


@pytest.mark.parametrize("left", ["settings", "half settings", "empty parts"])
def test_what_an_ended_process_leaves_without_a_batch_binds_nobody(
    copy: Path, tmp_path: Path, left: str
) -> None:
    out = tmp_path / "out"
    (out / "parts").mkdir(parents=True)
    if left != "empty parts":
        text = '{"settings": {"task": "pointing"}, "shard": [1, 1]}'
        (out / "settings.json").write_text(text if left == "settings" else text[:20])
    evaluate(BOXES, asked(copy, options=Options(limit=1)), out, small.captioner())
    assert told(out)["images"] == 1


@pytest.mark.parametrize("taken", ["file", "below a file"])
def test_a_folder_that_cannot_be_is_said_in_one_line(copy: Path, tmp_path: Path, taken: str) -> None:
    (tmp_path / "out").write_text("x")
    out = tmp_path / "out" if taken == "file" else tmp_path / "out" / "more"
    with pytest.raises(VlxError, match="no results can be written to"), locked(out):
        pass


def test_settings_state_what_decides_rows(copy: Path, tmp_path: Path) -> None:
    def settings(name: str, model: Any = None, **more: Any) -> dict[str, Any]:
        request = asked(copy, options=Options(limit=1), **more)
        return told(evaluate(POINTING, request, tmp_path / name, model or small.captioner()))["settings"]

    first = settings("a")
    assert list(first["versions"]) == list(VERSIONS)
    assert "transformers" in first["versions"]
    assert settings("again") == first
    other = small.captioner()
    other.preprocess = replace(other.preprocess, mean=(0.1, 0.1, 0.1))
    assert settings("b", other)["more"] != first["more"]
    with pytest.raises(VlxError, match="holds other settings"):
        evaluate(POINTING, asked(copy, options=Options(limit=1)), tmp_path / "a", other)


def test_shards_that_differ_in_what_ends_them_are_merged(world: Path, tmp_path: Path, run: Run) -> None:
    given = ("evaluate", "boxes", "--data", world, "--limit", 4, "--batch", 8)
    for index, share in ((1, 0.05), (2, 0.5)):
        status, _, err = run(*given, "--out", tmp_path, "--shard", f"{index}/2", "--damaged", share)
        assert status == 0, err
    folders = [tmp_path / f"shard-{index}-of-2" for index in (1, 2)]
    assert run("evaluate", "merge", *folders, "--out", tmp_path / "all")[0] == 0


def test_the_line_quotes_the_first_reason_of_each_kind(copy: Path, tmp_path: Path, run: Run) -> None:
    images = sorted((copy / "images").iterdir())
    images[0].unlink()
    damage_truncated(images[1])
    given = ("evaluate", "boxes", "--data", copy, "--out", tmp_path / "out", "--batch", 60)
    status, _, err = run(*given, "--damaged", 0.1)
    assert status == 1
    line = err.splitlines()[-1]
    assert f"damaged_image 5, the first: {images[1]} is " in line
    assert "no_image 5, the first: no image" in line
    status, said, err = run(*given, "--damaged", 0.3)
    assert status == 0
    assert "- damaged data: no_image 5, the first: no image" in said
    assert "vlx: boxes: left out damaged_image 5" in err
