"""Broden's tables and label maps: read as its README tells, and nothing outside the folder."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlx.errors import VlxError
from vlx.studies.neurons.broden import is_broden, read_broden
from vlx.studies.neurons.concepts import Concept

INDEX = "image,split,ih,iw,sh,sw,color,object,part,material,scene,texture\n"
LABELS = (
    "number,name,category,frequency,coverage,syns\n"
    "1,red-c,color(9),9,1.0,\n"
    "300,fabric,material(36);object(3),39,4.2,cloth\n"
    "301,street-s,scene(4),4,4,\n"
    "302,wheel,part(2),2,.1,\n"
)


def labels(path: Path, numbers: list[list[int]]) -> None:
    """A map of labels as Broden's: red + 256 x green."""
    values = np.array(numbers)
    pixels = np.stack([values % 256, values // 256, np.full_like(values, 77)], -1).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def broden(root: Path, index: str, table: str = LABELS) -> Path:
    (root / "images" / "ade").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 4), "green").save(root / "images" / "ade" / "1.jpg")
    labels(root / "images" / "ade" / "1_color.png", [[1, 0, 0, 1], [0, 0, 0, 0]])
    labels(root / "images" / "ade" / "1_part_1.png", [[302, 302, 0, 0], [0, 0, 0, 0]])
    labels(root / "images" / "ade" / "1_part_2.png", [[0, 0, 0, 0], [302, 0, 0, 300]])
    (root / "index.csv").write_text(INDEX + index)
    (root / "label.csv").write_text(table)
    return root


def test_label_maps_and_labels_of_whole_images(tmp_path: Path):
    row = "ade/1.jpg,train,4,8,2,4,ade/1_color.png,,ade/1_part_1.png;ade/1_part_2.png,,301,\n"
    root = broden(tmp_path, row + "ade/gone.jpg,val,4,8,2,4,,,,,301,\n")
    assert is_broden(root)
    data = read_broden(root)
    assert data.concepts == (
        Concept("color", "red-c"), Concept("material", "fabric"), Concept("scene", "street-s"),
        Concept("part", "wheel"),
    )  # fmt: skip
    assert [one.id for one in data.images] == ["ade/1.jpg"]
    assert data.left_out == {"no_image": 1}
    masks = data.images[0].masks()
    assert {at: mask.astype(int).tolist() for at, mask in masks.items()} == {
        0: [[1, 0, 0, 1], [0, 0, 0, 0]],
        1: [[0, 0, 0, 0], [0, 0, 0, 1]],
        2: [[1, 1, 1, 1], [1, 1, 1, 1]],
        3: [[1, 1, 0, 0], [1, 0, 0, 0]],
    }
    with pytest.raises(VlxError, match="no image of the split 'test'"):
        read_broden(root, split="test")


@pytest.mark.parametrize(
    "row",
    [
        "../../outside.jpg,train,4,8,2,4,,,,,301,\n",
        "/etc/passwd,train,4,8,2,4,,,,,301,\n",
        "ade/1.jpg,train,4,8,2,,,,,,301,\n",
        "ade/1.jpg,train,4,8,99999,99999,,,,,301,\n",
    ],
)
def test_a_damaged_row_is_left_out(tmp_path: Path, row: str):
    root = broden(tmp_path / "data", row)
    Image.new("RGB", (8, 4)).save(tmp_path / "outside.jpg")
    with pytest.raises(VlxError, match=r"holds no image .*damaged_record"):
        read_broden(root)


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("../../secret.png", "no absolute path"),
        ("ade/1.jpg", "no label map"),
        ("ade/none.png", "no such file"),
        ("ade/1_color.png", "index.csv says 5 x 3"),
        ("9", "label 9 is none"),
    ],
)
def test_a_damaged_label_map_is_one_clear_error(tmp_path: Path, cell: str, says: str):
    size = "3,5" if "color" in cell else "2,4"
    data = read_broden(broden(tmp_path, f"ade/1.jpg,train,4,8,{size},{cell},,,,,\n"))
    with pytest.raises(VlxError, match=says):
        data.images[0].masks()


def test_truncated_and_grey_label_maps(tmp_path: Path):
    data = read_broden(broden(tmp_path, "ade/1.jpg,train,4,8,2,4,ade/1_color.png,,,,,\n"))
    path = tmp_path / "images" / "ade" / "1_color.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(VlxError, match="no label map"):
        data.images[0].masks()
    Image.new("L", (4, 2)).save(path)
    with pytest.raises(VlxError, match="mode L"):
        data.images[0].masks()


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("number,name\n1,red\n", "no column category"),
        ("number,name,category\n", "names no label"),
        ("number,name,category\n1,red,color\n", "categories as object"),
        ("number,name,category\n1,red,color(2)\n1,blue,color(3)\n", "label 1 stands twice"),
        ("number,name,category\n-1,red,color(2)\n", "expected a number"),
    ],
)
def test_damaged_labels(tmp_path: Path, table: str, says: str):
    with pytest.raises(VlxError, match=says):
        read_broden(broden(tmp_path, "ade/1.jpg,train,4,8,2,4,,,,,301,\n", table))
