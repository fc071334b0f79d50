"""What a data folder holds."""

import gzip
import json
from pathlib import Path

import pytest

from vlx.eval.data import folder as folder_module
from vlx.eval.data.coco import read_captions
from vlx.eval.data.folder import check, look
from vlx.eval.data.published import CAPTIONS, INSTANCES, QUESTIONS_1, QUESTIONS_2, SOURCES
from vlx.eval.data.records import DataError
from vlx.scenes import formats


def test_check_says_what_is_there_and_where_the_rest_is_published(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "captions_val2014.json").write_text("{}")
    (tmp_path / "val2014").mkdir()
    (tmp_path / "val2014" / "a.jpg").write_bytes(b"")
    lines = check(look(tmp_path))
    assert len(lines) == len(SOURCES)
    assert lines[0] == "found    COCO captions: annotations/captions_val2014.json"
    assert lines[-1] == "found    images: val2014 (1 files)"
    missing = [line for line in lines if line.startswith("missing")]
    assert len(missing) == len(SOURCES) - 2
    assert all("http" in line for line in missing)


def test_several_files_of_a_kind_need_a_choice(tmp_path: Path) -> None:
    for split in ("train2014", "val2014"):
        (tmp_path / f"captions_{split}.json").write_text("{}")
    with pytest.raises(DataError, match=r"several COCO captions .*--split"):
        look(tmp_path).path(CAPTIONS)
    assert look(tmp_path, "val2014").path(CAPTIONS).name == "captions_val2014.json"
    with pytest.raises(DataError, match="no such folder"):
        look(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"has no COCO captions .*cocodataset.org"):
        look(tmp_path / "empty").path(CAPTIONS)


IMAGES = [{"id": 1, "file_name": "1.jpg", "height": 9, "width": 9}]
CAPTIONED = {"images": IMAGES, "annotations": [{"image_id": 1, "id": 1, "caption": "a dog"}]}
DRAWN = {
    "images": IMAGES, "categories": [{"id": 2, "name": "dog"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 2, "bbox": [1, 1, 2, 2], "segmentation": []}],
}  # fmt: skip
ASKED = {"questions": [{"question_id": 10, "image_id": 1, "question": "why ?"}]}
CLEVR = {"questions": [{"image_filename": "1.png", "question": "why ?"}]}


def put(folder: Path, **files: object) -> Path:
    """A folder with JSON files; __ in a name is a slash."""
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_questions_of_another_format_are_not_taken_and_named(tmp_path: Path) -> None:
    folder = look(put(tmp_path, questions=CLEVR, captions=CAPTIONED))
    assert not folder.has(QUESTIONS_1)
    with pytest.raises(DataError, match=r"no VQA v1 questions .*: questions\.json \(questions of CLEVR\)"):
        folder.path(QUESTIONS_1)
    assert "not read questions.json: questions of CLEVR" in check(folder)
    assert look(put(tmp_path, questions=ASKED)).path(QUESTIONS_1).name == "questions.json"
    second = {"questions": [{**ASKED["questions"][0], "question_id": 1003}]}
    assert look(put(tmp_path, questions=second)).path(QUESTIONS_2).name == "questions.json"


@pytest.mark.parametrize("name", ["captions", "instances", "results", "questions", "annotations"])
@pytest.mark.parametrize("content", [{}, [], {"a": 1}, [{"image_id": 1, "caption": "a"}], {"results": {}}])
def test_a_name_that_other_tools_use_says_nothing(name: str, content: object, tmp_path: Path) -> None:
    folder = look(put(tmp_path, **{name: content}))
    assert not any(folder.has(source) for source in SOURCES)
    assert [one.path.name for one in folder.declined] == [f"{name}.json"]


@pytest.mark.parametrize(
    "name", ["coco", "my captions", "captions", "_annotations.coco", "a__x", "instances"]
)
def test_a_file_under_any_name_is_taken_by_its_content(name: str, tmp_path: Path) -> None:
    folder = look(put(tmp_path, **{name.replace("/", "__"): CAPTIONED}))
    assert folder.path(CAPTIONS).name == f"{name.rpartition('__')[2]}.json"
    assert not folder.has(INSTANCES)


def test_official_names_come_before_others(tmp_path: Path) -> None:
    put(
        tmp_path,
        annotations__captions_val2014=CAPTIONED,
        mine=CAPTIONED,
        annotations__instances_val2014=DRAWN,
    )
    folder = look(tmp_path)
    assert folder.path(CAPTIONS).name == "captions_val2014.json"
    assert folder.path(INSTANCES).name == "instances_val2014.json"
    assert [line for line in check(folder) if "mine" in line] == [
        "not read mine.json: COCO captions too, which captions_val2014.json holds under their usual name"
    ]


def test_files_that_bear_each_others_names_are_told_apart(tmp_path: Path) -> None:
    folder = look(put(tmp_path, captions=DRAWN, instances=CAPTIONED))
    assert (folder.path(CAPTIONS).name, folder.path(INSTANCES).name) == ("instances.json", "captions.json")


def test_a_damaged_official_file_is_left_to_its_reader(tmp_path: Path) -> None:
    (tmp_path / "captions_val2014.json").write_text("{")
    (tmp_path / "OpenEnded_mscoco_val2014_questions.json").write_text("")
    folder = look(tmp_path)
    assert folder.has(CAPTIONS)
    assert folder.has(QUESTIONS_1)
    put(tmp_path, captions_val2014=CLEVR)
    assert not look(tmp_path).has(CAPTIONS)


def test_splits_in_folders_of_their_own_are_chosen_by_their_folder(tmp_path: Path) -> None:
    put(tmp_path, train___annotations=DRAWN, valid___annotations=DRAWN)
    with pytest.raises(DataError, match=r"several COCO instances \(train/_annotations\.json, valid/"):
        look(tmp_path).path(INSTANCES)
    assert look(tmp_path, "valid").path(INSTANCES).parent.name == "valid"
    assert look(tmp_path / "train").path(INSTANCES).parent.name == "train"


def test_packed_files_are_taken_and_archives_are_named(tmp_path: Path) -> None:
    blob = gzip.compress(json.dumps(CAPTIONED).encode())
    (tmp_path / "captions_val2014.json.gz").write_bytes(blob)
    (tmp_path / "val2014.zip").write_bytes(b"PK\x03\x04")
    folder = look(tmp_path)
    assert folder.path(CAPTIONS).name == "captions_val2014.json.gz"
    assert read_captions(folder.path(CAPTIONS)).by_image[1][0].text == "a dog"
    assert "not read val2014.zip: an archive: unpack it" in check(folder)
    with pytest.raises(DataError, match=r"val2014\.zip \(an archive: unpack it\)"):
        folder.path(INSTANCES)
    with pytest.raises(DataError, match=r"val2014\.zip: an archive: unpack it and give the folder"):
        look(tmp_path / "val2014.zip")
    with pytest.raises(DataError, match="a file: give the folder"):
        look(tmp_path / "captions_val2014.json.gz")


def test_a_folder_that_is_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "val2014").symlink_to("/datasets/val2014")
    assert "not read val2014: a link to /datasets/val2014, where nothing is" in check(look(tmp_path))
    with pytest.raises(DataError, match="a link to /datasets/val2014, where nothing is"):
        look(tmp_path / "val2014")


def test_links_of_photos_that_lead_nowhere_are_counted(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.jpg").write_bytes(b"x")
    (tmp_path / "images" / "2.jpg").symlink_to(tmp_path / "images" / "1.jpg")
    (tmp_path / "images" / "3.jpg").symlink_to("/datasets/3.jpg")
    assert "found    images: images (2 files, 1 links to nothing)" in check(look(tmp_path))


def test_many_json_files_are_one_for_each_image_and_not_looked_into(tmp_path: Path) -> None:
    for number in range(101):
        (tmp_path / f"{number}.json").write_text(json.dumps(CAPTIONED))
    assert not look(tmp_path).has(CAPTIONS)
    (tmp_path / "100.json").unlink()
    assert len(look(tmp_path).found[CAPTIONS.name]) == 100


def test_check_shows_some_of_many_files(tmp_path: Path) -> None:
    put(tmp_path, **{f"q{number:02d}": CLEVR for number in range(23)})
    lines = check(look(tmp_path))
    assert lines[-1] == "not read 3 other files"
    assert len(lines) == len(SOURCES) + 21


def test_generated_scenes_are_told_by_what_is_written_into_them(held_out, tmp_path):
    assert folder_module.MARK == formats.MARK
    assert folder_module.look(held_out).simulated
    assert not folder_module.look(tmp_path).simulated
    (tmp_path / "questions.json").write_text('{"info": {"description": "VQA v1"}}')
    assert not folder_module.look(tmp_path).simulated
    told = folder_module.check(folder_module.look(held_out))
    assert [line.partition(":")[0] for line in told if line.endswith(", simulated")] == [
        "found    VQA v1 annotations", "found    VQA-HAT maps",
    ]  # fmt: skip
