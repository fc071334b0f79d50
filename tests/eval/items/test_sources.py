"""Items from the files of a data folder, under whichever names and in whichever folders they lie."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from vlx.eval.data.folder import look
from vlx.eval.data.records import DataError
from vlx.eval.items.options import Options
from vlx.eval.items.sources import answered_items
from vlx.eval.items.truth import HumanAnswers, Region, Segments, box_on_file
from vlx.eval.tasks.attention import ATTENTION
from vlx.eval.tasks.boxes import BOXES
from vlx.eval.tasks.occlusion import OCCLUSION
from vlx.eval.tasks.pointing import POINTING


def test_every_region_word_and_question_is_an_item(world: Path) -> None:
    folder = look(world)
    told = {name: json.loads((world / f"{name}.json").read_text()) for name in ("results", "questions")}
    boxes = BOXES.items(folder, "captioner", Options())
    expected = [text for image in told["results"]["results"] for text in image["captions"][:5]]
    assert [item.text for item in boxes] == expected
    questions = OCCLUSION.items(folder, "vqa", Options())
    assert [item.question_id for item in questions] == [
        entry["question_id"] for entry in told["questions"]["questions"]
    ]
    attention = ATTENTION.items(folder, "vqa", Options())
    assert {item.question_id for item in attention} == {item.question_id for item in questions}
    words = POINTING.items(folder, "captioner", Options(captions=1))
    assert all(item.word in item.text.lower() for item in words)
    assert all(isinstance(item.truth, Segments) and item.truth.instances for item in words)
    assert len({item.id for item in (*boxes, *words)}) == len(boxes) + len(words)


def test_the_second_mention_of_a_category_is_its_own_item(world: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(world, tmp_path / "copy"))
    content = json.loads((copy / "captions.json").read_text())
    content["annotations"] = [{"id": 1, "image_id": 1, "caption": "A dog, a cat and another dog."}]
    (copy / "captions.json").write_text(json.dumps(content))
    items = POINTING.items(look(copy), "captioner", Options())
    assert [(item.word, item.mention) for item in items] == [("dog", 0), ("cat", 0), ("dog", 1)]


def test_visual_genome_serves_where_there_is_no_densecap(tmp_path: Path) -> None:
    regions = [
        {"region_id": n, "image_id": 3, "x": n, "y": 1, "width": 5, "height": 6, "phrase": f"dog {n}"}
        for n in range(1, 8)
    ]
    (tmp_path / "region_descriptions.json").write_text(json.dumps([{"id": 3, "regions": regions}]))
    (tmp_path / "VG_100K").mkdir()
    items = BOXES.items(look(tmp_path), "captioner", Options())
    assert [item.text for item in items] == [f"dog {n}" for n in range(1, 6)]
    assert items[0].category == "dog"
    assert items[0].image == (tmp_path / "VG_100K" / "3.jpg").resolve()
    assert isinstance(items[1].truth, Region)
    assert (items[1].truth.box.x, items[1].truth.longest) == (1.0, None)  # 1-based in the file


def official(world: Path, folder: Path) -> Path:
    """The same data under the names and in the folders in which their owners publish them."""
    (folder / "annotations").mkdir(parents=True)
    for name, called in {
        "captions": "annotations/captions_val2014.json",
        "instances": "annotations/instances_val2014.json",
        "questions": "OpenEnded_mscoco_val2014_questions.json",
        "annotations": "mscoco_val2014_annotations.json",
    }.items():
        content = json.loads((world / f"{name}.json").read_text())
        for image in content.get("images", []):
            image["file_name"] = f"COCO_val2014_{image['file_name']}"
        (folder / called).write_text(json.dumps(content))
    (folder / "val2014").mkdir()
    for path in (world / "images").iterdir():
        shutil.copy(path, folder / "val2014" / f"COCO_val2014_{path.name}")
    shutil.copytree(world / "attention", folder / "vqahat_val")
    return folder


def test_the_official_layout_gives_the_same_items(world: Path, tmp_path: Path) -> None:
    folder = official(world, tmp_path / "coco")
    for task, model_type in ((POINTING, "captioner"), (ATTENTION, "vqa"), (OCCLUSION, "classifier")):
        here, there = (task.items(look(one), model_type, Options()) for one in (world, folder))
        assert [(item.id, item.text, item.category) for item in here] == [
            (item.id, item.text, item.category) for item in there
        ]
        assert all(item.image.is_file() for item in there)
        assert all(item.image.parent.name == "val2014" for item in there)


def test_version_2_questions_serve_where_there_is_no_version_1(world: Path, tmp_path: Path) -> None:
    folder = official(world, tmp_path / "coco")
    for name in ("OpenEnded_mscoco_val2014_questions.json", "mscoco_val2014_annotations.json"):
        (folder / name).rename(folder / f"v2_{name}")
    items = OCCLUSION.items(look(folder), "vqa", Options())
    assert [item.id for item in items] == [item.id for item in OCCLUSION.items(look(world), "vqa", Options())]
    assert all(item.answer and item.category for item in items)
    with pytest.raises(DataError, match="VQA v1 questions"):  # VQA-HAT numbers questions of version 1
        ATTENTION.items(look(folder), "vqa", Options())
    (folder / "v2_mscoco_val2014_annotations.json").unlink()
    assert {item.answer for item in OCCLUSION.items(look(folder), "vqa", Options())} == {""}


def test_images_may_have_any_name_where_a_coco_file_gives_it(world: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(world, tmp_path / "copy"))
    content = json.loads((copy / "captions.json").read_text())
    for image in content["images"]:
        (copy / "images" / image["file_name"]).rename(copy / "images" / f"photo {image['id']}.jpg")
        image["file_name"] = f"photo {image['id']}.jpg"
    (copy / "captions.json").write_text(json.dumps(content))
    items = ATTENTION.items(look(copy), "vqa", Options())
    assert {item.image.name for item in items} == {f"photo {n}.jpg" for n in range(1, 13)}
    assert all(item.image.is_file() for item in items)


def test_real_photos_have_items(shared_data: Path) -> None:
    words = POINTING.items(look(shared_data / "coco-80"), "captioner", Options(captions=1))
    assert len(words) > 80
    assert all(item.image.is_file() for item in words)
    boxes = BOXES.items(look(shared_data / "densecap-14"), "captioner", Options())
    assert len(boxes) == 14 * 5
    assert {item.truth.longest for item in boxes if isinstance(item.truth, Region)} == {720}
    assert all(item.image.is_file() for item in boxes)


def test_objects_of_coco_serve_where_there_are_no_regions(tmp_path: Path) -> None:
    names = {1: "dog", 2: "airplane", 3: "skis", 4: "bus", 5: "wine glass"}
    boxes = [(1, 8, 0), (2, 4, 0), (3, 6, 0), (1, 9, 1), (4, 2, 0), (5, 3, 0), (1, 1, 0)]
    drawn = [
        {"id": n, "image_id": 7, "category_id": kind, "bbox": [0, 0, side, side], "iscrowd": crowd,
         "segmentation": [[0, 0, side, 0, side, side]]}
        for n, (kind, side, crowd) in enumerate(boxes)
    ]  # fmt: skip
    content = {
        "images": [{"id": 7, "file_name": "7.jpg", "height": 20, "width": 30},
                   {"id": 8, "file_name": "8.jpg", "height": 20, "width": 30}],
        "categories": [{"id": number, "name": name} for number, name in names.items()],
        "annotations": drawn,
    }  # fmt: skip
    (tmp_path / "instances_val2017.json").write_text(json.dumps(content))
    items = BOXES.items(look(tmp_path), "captioner", Options())
    assert [item.text for item in items] == ["a dog", "skis", "an airplane", "a wine glass", "a bus"]
    assert [item.category for item in items] == ["dog", "skis", "airplane", "wine glass", "bus"]
    assert {item.cluster for item in items} == {"7"}
    truth = items[0].truth
    assert isinstance(truth, Region)
    assert (truth.box.width, truth.longest) == (8, 30)
    assert box_on_file(truth, (40, 60)).width == pytest.approx(16)  # on a photo of twice the size


def test_photos_of_visual_genome_may_be_links(tmp_path: Path) -> None:
    region = {"region_id": 1, "image_id": 3, "x": 1, "y": 1, "width": 5, "height": 6, "phrase": "a dog"}
    regions = [{"id": number, "regions": [{**region, "image_id": number}]} for number in (3, 4)]
    (tmp_path / "region_descriptions.json").write_text(json.dumps(regions))
    (tmp_path / "VG_100K").mkdir()
    (tmp_path / "disk").write_bytes(b"x")
    (tmp_path / "VG_100K" / "3.jpg").symlink_to(tmp_path / "disk")
    (tmp_path / "VG_100K" / "4.jpg").symlink_to("/datasets/4.jpg")
    items = BOXES.items(look(tmp_path), "captioner", Options())
    assert [item.image.name for item in items] == ["3.jpg", "4.jpg"]
    assert not any(item.left_out for item in items)  # what the second is, is seen when it is opened


def test_a_folder_of_photos_alone_serves_classifiers(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "images", tmp_path / "photos")
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    for root, below in ((tmp_path / "photos", ""), (tmp_path, "photos/")):
        items = OCCLUSION.items(look(root), "classifier", Options())
        names = [f"{below}{path.name}" for path in sorted((world / "images").iterdir())]
        assert [item.cluster for item in items] == names
        assert all(item.image.is_file() for item in items)
    with pytest.raises(DataError, match="COCO captions"):
        OCCLUSION.items(look(tmp_path), "captioner", Options())


def test_answered_questions_hold_peoples_answers_and_the_most_frequent_ones(
    world: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(world, tmp_path / "copy"))
    told = json.loads((copy / "annotations.json").read_text())["annotations"]
    items = answered_items(look(copy), Options())
    assert [item.question_id for item in items] == [one["question_id"] for one in told]
    first = items[0].truth
    assert isinstance(first, HumanAnswers)
    assert list(first.answers) == [one["answer"] for one in told[0]["answers"]]
    often = Counter(one["multiple_choice_answer"] for one in told)
    assert often[first.common] == max(often.values())
    mine = Counter(one["multiple_choice_answer"] for one in told
                   if one["question_type"] == told[0]["question_type"])  # fmt: skip
    assert mine[first.common_of_type] == max(mine.values())
    (copy / "annotations.json").write_text(json.dumps({"annotations": told[1:]}))
    assert [item.left_out for item in answered_items(look(copy), Options())[:2]] == ["no_answers", ""]
    (copy / "annotations.json").unlink()
    with pytest.raises(DataError, match="VQA v1 annotations"):
        answered_items(look(copy), Options())
