"""Image files under the names that data give them, as people have them."""

import os
import unicodedata
from pathlib import Path

import pytest

from vlx.eval.data.photos import image_files, photos_in
from vlx.eval.data.records import DataError


def filled(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root.resolve()


NINE = "COCO_train2014_000000000009.jpg"
CAFE = "café ☃ 1.jpg"
FOUND = {
    "beside the annotations": ("1.jpg", "1.jpg"),
    "in images": ("1.jpg", "images/1.jpg"),
    "in an official folder": ("COCO_val2014_1.jpg", "val2014/COCO_val2014_1.jpg"),
    "in a folder of images": ("1.jpg", "images/train2017/1.jpg"),
    "with its folder": (
        "train2014/COCO_train2014_000000000009.jpg",
        "train2014/COCO_train2014_000000000009.jpg",
    ),
    "with its folder below images": ("train2014/1.jpg", "images/train2014/1.jpg"),
    "with a folder that is not there": ("train2014/1.jpg", "images/1.jpg"),
    "with two folders that are not there": ("images/train2014/1.jpg", "1.jpg"),
    "with the name of the data folder": ("data/1.jpg", "1.jpg"),
    "with slashes of Windows": ("val2014\\1.jpg", "val2014/1.jpg"),
    "with slashes of Windows and no folder": ("val2014\\1.jpg", "images/1.jpg"),
    "in a folder of one's own": ("1.jpg", "my photos/1.jpg"),
    "beside annotations in their folder": ("1.jpg", "annotations/1.jpg"),
    "below a folder of one's own": ("a/b/1.jpg", "images/a/b/1.jpg"),
    "upper-case suffix": ("1.jpg", "images/1.JPG"),
    "lower-case suffix": ("1.JPG", "images/1.jpg"),
    "jpeg": ("1.jpg", "images/1.jpeg"),
    "JPEG": ("1.jpg", "images/1.JPEG"),
    "upper-case name": ("img_1.png", "images/IMG_1.PNG"),
    "a folder of other case": ("Val2014/1.jpg", "val2014/1.jpg"),
    "blanks": ("my photo 1.jpg", "images/my photo 1.jpg"),
    "letters": (CAFE, f"images/{CAFE}"),
    "composed letters": (CAFE, f"images/{unicodedata.normalize('NFD', CAFE)}"),
    "letters in parts": (unicodedata.normalize("NFD", CAFE), f"images/{CAFE}"),
    "Visual Genome": ("1.jpg", "VG_100K_2/1.jpg"),
}


@pytest.mark.parametrize(("name", "there"), FOUND.values(), ids=FOUND.keys())
def test_a_photo_is_found(name: str, there: str, tmp_path: Path) -> None:
    root = filled(tmp_path / "data", there, "images/other.jpg")
    assert photos_in(root).find([name]) == root / there


MISSED = {
    "another suffix": ("1.jpg", "images/1.png"),
    "another folder": ("a/1.jpg", "images/b/1.jpg"),
    "a companion of macOS": ("1.jpg", "images/._1.jpg"),
    "a folder": ("1.jpg", "images/1.jpg/x.jpg"),
    "masks": ("1.jpg", "masks/1.jpg"),
    "a long name": ("x" * 5000, "images/1.jpg"),
    "half a letter": ("\ud800.jpg", "images/1.jpg"),
}


@pytest.mark.parametrize(("name", "there"), MISSED.values(), ids=MISSED.keys())
def test_a_photo_is_missed(name: str, there: str, tmp_path: Path) -> None:
    root = filled(tmp_path, there)
    found = photos_in(root).find([name])
    assert not os.path.isfile(found)
    assert found.name == name.rpartition("/")[2]


def test_the_exact_name_comes_first_and_of_several_near_ones_none(tmp_path: Path) -> None:
    root = filled(tmp_path, "images/1.jpg", "images/1.JPG", "images/2.JPG", "images/2.Jpg")
    if len(list((root / "images").iterdir())) < 4:
        pytest.skip("names of other case are the same file here")
    photos = photos_in(root)
    assert photos.find(["1.jpg"]).name == "1.jpg"
    assert photos.find(["1.JPG"]).name == "1.JPG"
    with pytest.raises(DataError, match=r"several files could be '2\.jpg': 2\.J"):
        photos.find(["2.jpg"])


def test_folders_of_ones_own_must_agree_and_a_split_comes_first(tmp_path: Path) -> None:
    root = filled(tmp_path, "a/1.jpg", "b/1.jpg", "train2017/2.jpg", "val2017/2.jpg")
    with pytest.raises(DataError, match=r"several folders \(a, b\)"):
        photos_in(root).find(["1.jpg"])
    assert photos_in(root).find(["2.jpg"]).parent.name == "val2017"
    assert photos_in(root, "train2017").find(["2.jpg"]).parent.name == "train2017"


def test_links_are_followed_and_one_that_leads_nowhere_is_the_path_that_is_missed(tmp_path: Path) -> None:
    disk, root = filled(tmp_path / "disk", "1.jpg"), filled(tmp_path / "data", "images/x.jpg")
    (root / "images" / "1.jpg").symlink_to(disk / "1.jpg")
    (root / "val2014").symlink_to(disk)
    (root / "train2014").mkdir()
    (root / "train2014" / "3.jpg").symlink_to("/datasets/3.jpg")
    photos = photos_in(root)
    assert photos.find(["1.jpg"]) == root / "images" / "1.jpg"
    assert photos.find(["val2014/1.jpg"]).resolve() == disk / "1.jpg"
    assert photos.find(["3.jpg"]) == root / "train2014" / "3.jpg"


@pytest.mark.parametrize("name", ["../x.jpg", "/x.jpg", "images/../../x.jpg", "..\\x.jpg", "C:\\x.jpg", ""])
def test_no_spelling_leads_out(name: str, tmp_path: Path) -> None:
    root = filled(tmp_path / "data", "images/1.jpg")
    filled(tmp_path, "x.jpg")
    with pytest.raises(DataError, match="is not a file name below"):
        photos_in(root).find([name])


def test_image_files_are_those_with_names_of_images(tmp_path: Path) -> None:
    root = filled(tmp_path, "b.PNG", "a.jpg", "._a.jpg", "a.json", "sub/c.jpg")
    assert [path.name for path in image_files([root, root / "sub", root / "gone"])] == [
        "a.jpg",
        "b.PNG",
        "c.jpg",
    ]
