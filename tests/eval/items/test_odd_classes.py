"""Whatever a folder of classes holds, an evaluation reads it, counts it with its reason, or says one line."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vlx
import vlx.eval
from tests.conftest import Run
from tests.eval import small
from vlx.eval.data.folder import look
from vlx.eval.runs.summary import Measured

Change = Callable[[Path], object]
TASKS = ("localisation", "classes-pointing", "classes-reject")
SIDES = ("xmin", "ymin", "xmax", "ymax")


def photo(path: Path, number: int) -> None:
    noise = np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


def xml(
    name: str = "a1", *, kind: object = "dog", box: tuple[object, ...] = (2, 3, 30, 40), size: str = ""
) -> str:
    sides = "".join(f"<{side}>{value}</{side}>" for side, value in zip(SIDES, box, strict=True))
    drawn = f"<object><name>{kind}</name><bndbox>{sides}</bndbox></object>"
    stated = size or "<size><width>64</width><height>48</height></size>"
    return f"<annotation><filename>{name}.jpg</filename>{stated}{drawn}</annotation>"


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    root = tmp_path / "voc"
    for folder in ("Annotations", "JPEGImages"):
        (root / folder).mkdir(parents=True)
    for number in range(1, 5):
        photo(root / "JPEGImages" / f"a{number}.jpg", number)
        kind = "dog" if number % 2 else "cat"
        (root / "Annotations" / f"a{number}.xml").write_text(xml(f"a{number}", kind=kind))
    return root


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    root = tmp_path / "coco"
    (root / "images").mkdir(parents=True)
    for number in range(1, 5):
        photo(root / "images" / f"a{number}.jpg", number)
    images = [{"id": n, "file_name": f"a{n}.jpg", "height": 48, "width": 64} for n in range(1, 5)]
    records = [
        {
            "id": n, "image_id": n, "category_id": 1 + n % 2, "iscrowd": 0, "bbox": [2, 3, 20, 30],
            "area": 600, "segmentation": [[2, 3, 22, 3, 22, 33, 2, 33]],
        }
        for n in range(1, 5)
    ]  # fmt: skip
    named = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    held = {"images": images, "annotations": records, "categories": named}
    (root / "instances.json").write_text(json.dumps(held))
    return root


def written(text: str | bytes) -> Change:
    """The first XML file with other content."""

    def change(root: Path) -> None:
        path = root / "Annotations" / "a1.xml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    return change


def linked(root: Path) -> None:
    path = root / "Annotations" / "a1.xml"
    path.unlink()
    path.symlink_to(path)


def piped(root: Path) -> None:
    path = root / "Annotations" / "a1.xml"
    path.unlink()
    os.mkfifo(path)


def record(**changed: Any) -> Change:
    """The first record of COCO's file with other fields."""

    def change(root: Path) -> None:
        path = root / "instances.json"
        held = json.loads(path.read_text())
        held["annotations"][0].update(changed)
        path.write_text(json.dumps(held))

    return change


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 9))
BOMB = f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]><annotation><filename>&l8;</filename></annotation>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]><annotation><filename>&f;</filename></annotation>'

DAMAGED: dict[str, tuple[Change, str]] = {
    "a bomb of entities": (written(BOMB), "document type"),
    "a bomb in another encoding": (written(BOMB.encode("utf-16")), "document type"),
    "an external entity": (written(OUTSIDE), "document type"),
    "half a file": (written(xml()[:-30]), "not an XML file"),
    "bytes of another encoding": (
        written(b'<?xml version="1.0" encoding="utf-8"?>' + xml(kind="caf\xe9").encode("latin-1")),
        "not an XML file",
    ),
    "an encoding that is none": (written(b'<?xml version="1.0" encoding="x-none"?>' + xml().encode()), "XML"),
    "an empty file": (written(b""), "not an XML file"),
    "zeros": (written(b"\0" * 4096), "not an XML file"),
    "another document": (written("<labels/>"), "expected an <annotation>"),
    "a circle of links": (linked, "cannot be read"),
    "a pipe": (piped, "cannot be read"),
    "a box outside": (written(xml(box=(70, 3, 90, 40))), "lies outside its image of 64 x 48"),
    "a box that is inverted": (written(xml(box=(30, 3, 2, 40))), "end lies before its beginning"),
    "a box of no numbers": (written(xml(box=("nan", 3, 30, 40))), "expected xmin, ymin, xmax, ymax"),
    "an endless box": (written(xml(box=(2, 3, "inf", 40))), "expected xmin, ymin, xmax, ymax"),
    "a box of 400 digits": (written(xml(box=(2, 3, "9" * 400, 40))), "expected xmin, ymin, xmax, ymax"),
    "a box without a name": (written(xml(kind=" ")), "has no name"),
    "a size of no numbers": (
        written(xml(size="<size><width>x</width><height>48</height></size>")), "expected two numbers",
    ),
    "an image on its side": (
        written(xml(box=(2, 3, 30, 40), size="<size><width>48</width><height>64</height></size>")),
        "whose file has 64 x 48",
    ),
    "a box outside an image that states no size": (
        written(xml(box=(70, 3, 90, 40), size="<size/>")), "lies outside its image of 64 x 48",
    ),
    "a name that leaves the folder": (written(xml("../../../../etc/hostname")), "is not a file name below"),
    "an absolute name": (written(xml("/etc/hostname")), "is not a file name below"),
    "a drive": (written(xml("C:\\photos\\a1")), "is not a file name below"),
}  # fmt: skip


def measured(task: str, data: Path) -> Measured:
    return vlx.eval.evaluate(small.classifier(), data, task=task)


def commanded(
    run: Run, monkeypatch: pytest.MonkeyPatch, task: str, data: Path, *more: str
) -> tuple[int, str, dict[str, Any]]:
    monkeypatch.setattr(sys.modules["vlx.load"], "load", small.load)
    out = data.parent / "out"
    status, _, err = run("evaluate", task, "--model", "small/classifier", "--data", data, "--out", out, *more)
    assert "Traceback" not in err
    summary = out / "summary.json"
    return status, err, json.loads(summary.read_text(encoding="utf-8")) if summary.is_file() else {}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_xml_is_counted_with_its_reason(voc: Path, name: str) -> None:
    change, says = DAMAGED[name]
    change(voc)
    for task in ("localisation", "classes-pointing"):
        found = measured(task, voc)
        assert found.alone["grad_cam"].n == 3
        assert found.damaged >= 1
        told = " ".join(one.detail for one in found.faults.values())
        assert says in told
        assert "\n" not in told


@pytest.mark.parametrize("task", ["localisation", "classes-pointing"])
def test_the_command_counts_bombs_and_goes_on(
    voc: Path, run: Run, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    written(BOMB)(voc)
    (voc / "Annotations" / "a2.xml").write_text(xml("../../a2"))
    status, err, summary = commanded(run, monkeypatch, task, voc, "--damaged", "1")
    assert status == 0, err
    assert (summary["damaged"], summary["rows"]["grad_cam"]["items"]["n"]) == (2, 2)
    assert "document type" in json.dumps(summary["faults"])


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"bbox": [200, 3, 20, 30]}, "lies outside its image of 64 x 48"),
        ({"bbox": [2, 3, -20, 30]}, "a box of -20 x 30 pixels"),
        ({"bbox": [2, 3, 0, 0]}, "a box of 0 x 0 pixels"),
        ({"bbox": [2, 3, float("nan"), 30]}, "bbox is"),
        ({"bbox": ["a", 3, 20, 30]}, "expected 4 numbers"),
        ({"category_id": 99}, "the id of a category of the same file"),
        ({"image_id": 99}, "the id of an image of the same file"),
    ],
)
def test_damaged_boxes_of_coco_are_counted_with_their_reason(
    coco: Path, changed: dict[str, object], says: str
) -> None:
    record(**changed)(coco)
    found = measured("localisation", coco)
    assert found.alone["grad_cam"].n == 3
    assert found.damaged >= 1
    assert says in " ".join(one.detail for one in found.faults.values())


def test_a_mask_of_another_size_than_its_image_is_counted(coco: Path) -> None:
    record(segmentation={"size": [10, 10], "counts": [40, 20, 40]})(coco)
    found = measured("classes-pointing", coco)
    assert (found.damaged, found.alone["grad_cam"].n) == (1, 3)


def test_classes_that_nobody_knows_are_told(voc: Path) -> None:
    written(xml(kind="quokka &amp; friends"))(voc)
    for task in ("localisation", "classes-pointing"):
        found = measured(task, voc)
        assert found.damaged == 0
        assert found.alone["grad_cam"].left_out == {"unknown_class": 1}
    assert measured("classes-reject", voc).damaged == 0


@pytest.mark.parametrize(
    ("text", "kept"), [("a1\n../../etc/hostname\na2\n", 2), ("a1\nnone\n", 1), ("a1  1\n\na2 -1\n", 2)]
)
def test_names_in_a_list_are_below_the_folder(voc: Path, text: str, kept: int) -> None:
    (voc / "ImageSets" / "Main").mkdir(parents=True)
    (voc / "ImageSets" / "Main" / "val.txt").write_text(text)
    found = vlx.eval.evaluate(small.classifier(), look(voc, "val"), task="localisation")
    assert found.alone["grad_cam"].n == kept


@pytest.mark.parametrize("task", TASKS)
def test_where_nothing_is_sound_one_line_says_why(
    voc: Path, run: Run, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    for path in (voc / "Annotations").glob("*.xml"):
        path.write_text(BOMB)
    status, err, _ = commanded(run, monkeypatch, task, voc)
    assert (status, err.count("\n")) == (1, 1), err
    assert err.startswith("vlx: ")
