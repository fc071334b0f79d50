"""Damaged images and records: counted rows below the share that is stated, an error above it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
from PIL import Image

from tests.conftest import Run
from tests.eval import small
from vlx.eval.data.folder import look
from vlx.eval.items.item import Item, checked
from vlx.eval.items.models import with_controls
from vlx.eval.items.options import Options
from vlx.eval.items.rows import SCORE
from vlx.eval.tasks.attention import ATTENTION
from vlx.eval.tasks.boxes import BOXES
from vlx.eval.tasks.pointing import POINTING
from vlx.eval.tasks.sanity import SANITY
from vlx.methods.values import grad_cam

FILES = ("captions", "instances", "results", "questions", "annotations")


@pytest.fixture
def copy(world: Path, tmp_path: Path) -> Path:
    """A world of one's own to damage."""
    return Path(shutil.copytree(world, tmp_path / "copy"))


def edit(folder: Path, name: str, change: Callable[[Any], None]) -> None:
    content = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    change(content)
    (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def rows(out: Path) -> list[dict[str, Any]]:
    return parquet.read_table(out / "results.parquet").to_pylist()


def test_damaged_and_missing_images_become_rows(copy: Path, tmp_path: Path, run: Run) -> None:
    images = sorted((copy / "images").iterdir())
    images[0].unlink()
    images[1].write_bytes(images[1].read_bytes()[:200])
    images[2].write_bytes(b"<html>not found</html>")
    given = ("evaluate", "boxes", "--data", copy, "--out", tmp_path / "out", "--batch", 4)
    assert run(*given, "--damaged", 0.3)[0] == 0
    found = rows(tmp_path / "out")
    reasons = [row["left_out"] for row in found]
    assert len(found) == 60
    assert (reasons.count("no_image"), reasons.count("damaged_image")) == (5, 10)
    assert all(row["detail"] for row in found if row["left_out"] in ("no_image", "damaged_image"))
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["damaged"] == 15
    left_out = summary["rows"]["grad_cam"]["items"]["left_out"]
    assert {**left_out, "zero_map": 0} == {"damaged_image": 10, "no_image": 5, "zero_map": 0}
    assert "damaged_image 10, no_image 5" in (tmp_path / "out" / "summary.md").read_text(encoding="utf-8")


def test_too_many_of_them_end_the_run_with_a_line(copy: Path, tmp_path: Path, run: Run) -> None:
    for path in sorted((copy / "images").iterdir())[:3]:
        path.unlink()
    given = ("evaluate", "boxes", "--data", copy, "--out", tmp_path / "out", "--batch", 4)
    for _ in range(2):  # the second finds it at once in what was kept
        status, _, err = run(*given)
        assert status == 1
        assert "have a damaged image or record, more than 5.0%" in err.splitlines()[-1]
        assert "Traceback" not in err
        assert not (tmp_path / "out" / "summary.json").exists()


def test_damaged_records_become_rows(copy: Path, tmp_path: Path, run: Run) -> None:
    def spoil(content: Any) -> None:
        content["results"][0]["captions"].pop()
        content["results"][1]["captions"][0] = "..."
        content["results"][2]["boxes"][0] = [900, 900, 5, 5]
        content["results"].append(7)

    edit(copy, "results", spoil)
    given = ("evaluate", "boxes", "--data", copy, "--out", tmp_path / "out", "--damaged", 0.2)
    assert run(*given)[0] == 0
    found = rows(tmp_path / "out")
    by_reason = {reason: [row for row in found if row["left_out"] == reason] for reason in
                 ("damaged_record", "unreadable_text", "empty_box")}  # fmt: skip
    assert {reason: len(some) for reason, some in by_reason.items()} == {
        "damaged_record": 2, "unreadable_text": 1, "empty_box": 1,
    }  # fmt: skip
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert (summary["items"], summary["images"], summary["damaged"]) == (57, 11, 3)
    assert "results[0]" in by_reason["damaged_record"][0]["detail"]
    assert "results[12] is a number" in by_reason["damaged_record"][1]["detail"]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..\\x.jpg", "a\0b", "C:x.jpg", "\\\\a\\b", ""]
)
def test_paths_that_leave_the_folder_are_refused(copy: Path, name: str) -> None:
    def rename(content: Any) -> None:
        content["images"][0]["file_name"] = name

    for file in ("captions", "instances"):
        edit(copy, file, rename)
    edit(copy, "results", lambda content: content["results"][0].update(img_name=name))
    folder = look(copy)
    for task, model_type in ((BOXES, "captioner"), (POINTING, "captioner"), (SANITY, "classifier")):
        items = task.items(folder, model_type, Options())
        refused = [item for item in items if item.left_out == "damaged_record"]
        assert refused
        assert all(repr(name) in item.detail for item in refused)
        assert not any(name and str(item.image).endswith(name) for item in items)


def test_photos_may_be_links_and_those_that_lead_nowhere_are_counted(
    copy: Path, tmp_path: Path, run: Run
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    images = sorted((copy / "images").iterdir())
    for path in images:
        path.rename(disk / path.name)
        path.symlink_to(disk / path.name)
    images[1].unlink()
    images[1].symlink_to(tmp_path / "gone" / "photo.jpg")
    images[2].unlink()
    images[2].symlink_to(images[2])
    (disk / images[3].name).write_bytes(b"damaged")
    out = tmp_path / "out"
    assert run("evaluate", "boxes", "--data", copy, "--out", out, "--damaged", 0.3)[0] == 0
    found = rows(out)
    reasons = [row["left_out"] for row in found]
    assert (len(found), reasons.count("no_image"), reasons.count("damaged_image")) == (60, 10, 5)
    details = {row["detail"] for row in found if row["left_out"] in ("no_image", "damaged_image")}
    assert len(details) == 3
    assert all("link to" in detail for detail in details)
    assert any(str(tmp_path / "gone" / "photo.jpg") in detail for detail in details)


def test_a_folder_of_photos_may_be_a_link(copy: Path, tmp_path: Path) -> None:
    (copy / "images").rename(tmp_path / "disk")
    (copy / "images").symlink_to(tmp_path / "disk")
    items = BOXES.items(look(copy), "captioner", Options())
    assert not any(item.left_out for item in items)
    assert {item.image.parent for item in items} == {tmp_path / "disk"}


def test_truth_that_does_not_fit_its_image_is_a_damaged_record(copy: Path) -> None:
    Image.new("RGB", (100, 80), "red").save(copy / "images" / "000000000001.jpg")
    for path in (copy / "attention").glob("1[0-9]_1.png"):
        path.write_bytes(b"no image")
    models = with_controls(small.captioner())
    items = [one for one in POINTING.items(look(copy), "captioner", Options()) if one.cluster == "1"]
    made = POINTING.rows(models, items, [grad_cam], Options())
    assert {row.outcomes[SCORE].left_out for row in made} <= {"damaged_record", "unknown_word"}
    assert any("224" in row.detail and "80" in row.detail for row in made)
    asked = [one for one in ATTENTION.items(look(copy), "vqa", Options()) if one.cluster == "1"]
    told = ATTENTION.rows(with_controls(small.vqa()), asked, [grad_cam], Options())
    assert {row.outcomes[SCORE].left_out for row in told} == {"damaged_record"}


def test_a_question_without_its_record_and_a_double_id_are_damaged(copy: Path) -> None:
    edit(copy, "questions", lambda content: content["questions"].pop(0))
    items = ATTENTION.items(look(copy), "vqa", Options())
    details = [item.detail for item in items if item.left_out == "damaged_record"]
    assert any("no question" in detail for detail in details)
    twice = checked([Item("a", Path("x"), "1"), Item("a", Path("y"), "1"), Item("b", Path("x"), "1")])
    assert [item.id for item in twice] == ["a", "a (2)", "b"]
    assert [item.left_out for item in twice] == ["", "damaged_record", ""]


def test_one_bad_text_does_not_spoil_its_batch(world: Path) -> None:
    from dataclasses import replace

    models = with_controls(small.captioner())
    items = BOXES.items(look(world), "captioner", Options())[:4]
    spoilt = [items[0], replace(items[1], text="!!!"), *items[2:]]
    good, mixed = (BOXES.rows(models, some, [grad_cam], Options()) for some in (items, spoilt))
    assert [row.outcomes[SCORE].left_out for row in mixed] == [None, "unreadable_text", None, None]
    for at in (0, 2, 3):
        assert mixed[at].outcomes[SCORE].value == pytest.approx(good[at].outcomes[SCORE].value, rel=1e-3)
