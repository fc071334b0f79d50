"""Whatever a data folder holds, an evaluation reads it, counts it, or says one line."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import Run

Change = Callable[[Path], object]


def edited(name: str, change: Callable[[Any], object]) -> Change:
    def spoil(folder: Path) -> None:
        path = folder / f"{name}.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        change(content)
        path.write_text(json.dumps(content), encoding="utf-8")

    return spoil


def every(name: str, part: str, **changed: Any) -> Change:
    """All records of a part with other fields; None takes a field away."""

    def change(content: Any) -> None:
        for record in content[part]:
            record.update(changed)
            for key in [key for key, value in changed.items() if value is None]:
                del record[key]

    return edited(name, change)


def image(folder: Path) -> Path:
    return folder / "images" / "000000000001.jpg"


def pipe(folder: Path) -> None:
    image(folder).unlink()
    os.mkfifo(image(folder))


def folder_for_image(folder: Path) -> None:
    image(folder).unlink()
    image(folder).mkdir()


def folder_for_captions(folder: Path) -> None:
    (folder / "captions.json").unlink()
    (folder / "captions.json").mkdir()


def circle(folder: Path) -> None:
    image(folder).unlink()
    image(folder).symlink_to(image(folder))


def with_mark(folder: Path) -> None:
    path = folder / "captions.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


def tiny(folder: Path) -> None:
    Image.new("RGB", (1, 1)).save(image(folder))


READ: dict[str, Change] = {
    "a byte order mark": with_mark,
    "ids of captions as texts": every("captions", "annotations", image_id="1"),
    "no boxes": every("instances", "annotations", bbox=None),
    "no crowds": every("instances", "annotations", iscrowd=None),
    "masks in lists": edited(
        "instances",
        lambda content: [
            record.update(segmentation=[record["segmentation"]])
            for record in content["annotations"]
            if isinstance(record["segmentation"], dict)
        ],
    ),
    "no instances at all": edited("instances", lambda content: content.update(annotations=[])),
}
COUNTED: dict[str, Change] = {
    "an image that is a pipe": pipe,
    "an image that is a folder": folder_for_image,
    "an image that is a circle of links": circle,
    "an image that is empty": lambda folder: image(folder).write_bytes(b""),
    "an image of one pixel": tiny,
    "a name that is too long": edited("captions", lambda c: c["images"][0].update(file_name="x" * 300)),
    "a name of no encoding": edited("captions", lambda c: c["images"][0].update(file_name="\ud800.jpg")),
    "an image twice": edited("captions", lambda c: c["images"].append(c["images"][0])),
    "a caption that is no text": edited("captions", lambda c: c["annotations"][0].update(caption=["a dog"])),
    "a number of 400 digits": edited("captions", lambda c: c["annotations"][0].update(image_id=10**400)),
    "an endless box": edited("instances", lambda c: c["annotations"][0].update(bbox=[0, 0, float("inf"), 1])),
    "masks of nothing": every("instances", "annotations", segmentation=[]),
    "masks without runs": every("instances", "annotations", segmentation={"counts": [], "size": None}),
    "masks of no size": every("instances", "annotations", segmentation={"counts": [0], "size": [0, 0]}),
    "masks of texts": every("instances", "annotations", segmentation={"counts": "!!", "size": "large"}),
}  # fmt: skip
REFUSED: dict[str, Change] = {
    "no images": lambda folder: shutil.rmtree(folder / "images"),
    "no captions": edited("captions", lambda content: content.update(annotations=[])),
    "ids that are names": every("captions", "annotations", image_id="one"),
    "half a file": lambda folder: (folder / "captions.json").write_text('{"images": [{"id": 1}'),
    "a list for an object": lambda folder: (folder / "captions.json").write_text("[]"),
    "an object for a list": edited("captions", lambda content: content.update(annotations={})),
    "a folder for a file": folder_for_captions,
}  # fmt: skip


def measured(run: Run, world: Path, tmp_path: Path, change: Change) -> tuple[int, str, Path]:
    data = Path(shutil.copytree(world, tmp_path / "data"))
    change(data)
    out = tmp_path / "out"
    given = ("--data", data, "--out", out, "--captions", 1, "--damaged", 1)
    status, _, err = run("evaluate", "pointing", *given)
    assert "Traceback" not in err
    return status, err, out


@pytest.mark.parametrize("name", READ)
def test_what_is_sound_is_read(world: Path, tmp_path: Path, run: Run, name: str) -> None:
    status, err, out = measured(run, world, tmp_path, READ[name])
    assert status == 0, err
    assert json.loads((out / "summary.json").read_text())["damaged"] == 0


@pytest.mark.parametrize("name", COUNTED)
def test_what_is_damaged_is_counted_with_its_reason(world: Path, tmp_path: Path, run: Run, name: str) -> None:
    status, err, out = measured(run, world, tmp_path, COUNTED[name])
    assert status == 0, err
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["damaged"] > 0
    assert all(one["detail"] for reason, one in summary["faults"].items() if reason != "unknown_word")


@pytest.mark.parametrize("name", REFUSED)
def test_where_nothing_is_sound_one_line_says_why(world: Path, tmp_path: Path, run: Run, name: str) -> None:
    data = Path(shutil.copytree(world, tmp_path / "data"))
    REFUSED[name](data)
    status, _, err = run("evaluate", "pointing", "--data", data, "--out", tmp_path / "out")
    assert (status, err.count("\n")) == (1, 1)
    assert err.startswith("vlx: ")
    assert len(err) < 700
