"""What a JSON file holds is told by its first records, whatever its name."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from vlx.eval.data.content import content_of
from vlx.eval.data.published import SOURCES

NAMED = {"id": 2, "name": "dog", "supercategory": "animal"}
IMAGES = [{"id": 1, "file_name": "1.jpg", "height": 9, "width": 9}]
SAID = {"image_id": 1, "id": 1, "caption": "a"}
VQA = {"question_id": 10, "image_id": 1, "question": "why ?"}
TOLD = {"question_id": 10, "image_id": 1, "answers": [], "multiple_choice_answer": "no"}
OBJECT = {"image_id": 1, "category_id": 2, "bbox": [1, 1, 2, 2], "segmentation": [], "id": 1}
READ: dict[str, tuple[Any, str]] = {
    "captions": ({"images": IMAGES, "annotations": [SAID]}, "COCO captions"),
    "captions first": ({"annotations": [SAID], "images": []}, "COCO captions"),
    "Karpathy's": ({"images": [{"sentences": [], "filename": "1.jpg"}], "dataset": "coco"}, "COCO captions"),
    "instances": ({"images": IMAGES, "annotations": [OBJECT], "categories": []}, "COCO instances"),
    "boxes alone": (
        {"annotations": [{"image_id": 1, "category_id": 2, "bbox": [1, 1, 2, 2]}]}, "COCO instances",
    ),
    "no instances": ({"images": IMAGES, "annotations": [], "categories": [NAMED]}, "COCO instances"),
    "no instances first": (
        {"annotations": [], "categories": [NAMED], "info": {}, "images": IMAGES}, "COCO instances",
    ),
    "densecap": ({"opt": {}, "results": [{"img_name": "a", "boxes": []}]}, "DenseCap results"),
    "regions": ([{"id": 1, "regions": [{"phrase": "a", "x": 1}]}], "Visual Genome regions"),
    "no regions": ([{"id": 1, "regions": []}], "Visual Genome regions"),
    "questions 1": ({"info": {}, "questions": [VQA]}, "VQA v1 questions"),
    "questions 2": ({"questions": [{**VQA, "question_id": 1000}]}, "VQA v2 questions"),
    "answers 1": ({"annotations": [TOLD]}, "VQA v1 annotations"),
    "answers 2": ({"annotations": [{**TOLD, "image_id": 458, "question_id": 458003}]}, "VQA v2 annotations"),
}  # fmt: skip
OTHER: dict[str, tuple[Any, str]] = {
    "CLEVR": ({"questions": [{"image_filename": "1.png", "question": "why ?"}]}, "CLEVR"),
    "GQA": ({"0523": {"question": "why ?", "imageId": "1", "answer": "so"}}, "GQA"),
    "other questions": ({"questions": [{"qid": 1, "text": "why ?"}]}, "its records have qid, text"),
    "questions of texts": ({"questions": ["why ?"]}, "not VQA's"),
    "a model's captions": ([{"image_id": 1, "caption": "a"}], "that a model wrote"),
    "a model's answers": ([{"question_id": 1, "answer": "a"}], "answers that a model gave"),
    "detections": ([{"image_id": 1, "category_id": 1, "bbox": [], "score": 1}], "detections"),
    "keypoints": ({"annotations": [{**OBJECT, "keypoints": []}]}, "keypoints"),
    "panoptic": ({"annotations": [{"image_id": 1, "segments_info": []}]}, "panoptic"),
    "no keypoints": (
        {"images": IMAGES, "annotations": [], "categories": [{**NAMED, "keypoints": []}]},
        "another format",
    ),
    "no segments": (
        {"images": IMAGES, "annotations": [], "categories": [{**NAMED, "isthing": 1}]},
        "another format",
    ),
    "no captions": ({"images": IMAGES, "annotations": []}, "another format"),
    "image infos": ({"images": IMAGES, "categories": []}, "without annotations"),
    "VG objects": ([{"image_id": 1, "objects": []}], "objects of Visual Genome"),
    "VG answers": ([{"id": 1, "qas": []}], "questions and answers of Visual Genome"),
    "VG images": ([{"image_id": 1, "width": 1, "height": 1, "url": ""}], "image_data.json"),
    "BLIP's": ([{"image": "1.jpg", "caption": "a", "image_id": "x"}], "that a model wrote"),
    "labelme": ({"version": "5", "flags": {}, "shapes": [], "imagePath": "1.jpg"}, "labelme"),
    "VIA": ({"1.jpg123": {"filename": "1.jpg", "regions": []}}, "VGG image annotator"),
    "a list of texts": (["a"], "another format"),
    "anything": ({"a": 1, "b": {"c": 2}}, "begins with a, b, c"),
    "nothing": ({}, "an empty object"),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("value", "format"), READ.values(), ids=READ.keys())
def test_what_is_read_is_told(value: Any, format: str, packed: bool, tmp_path: Path) -> None:
    text = b"\xef\xbb\xbf \n" + json.dumps(value, indent=1).encode()
    (tmp_path / "x.json").write_bytes(gzip.compress(text) if packed else text)
    found = content_of(tmp_path / "x.json")
    assert (found.format, found.sure) == (format, True)
    assert format in {source.name for source in SOURCES}


@pytest.mark.parametrize(("value", "says"), OTHER.values(), ids=OTHER.keys())
def test_what_is_not_read_is_said(value: Any, says: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(value), encoding="utf-8")
    found = content_of(tmp_path / "x.json")
    assert found.format is None
    assert says in found.says


@pytest.mark.parametrize(
    ("blob", "says"),
    [
        (b"", "an empty file"),
        (b"   ", "no JSON text"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\x1f\x8b\x00", "cannot be read"),
        (b"\xff\xfe{\x00", "no JSON text"),
        (b"[" * 100_000, "another format"),
        (b'{"images": [{"a": ' + b"[" * 100_000, "images of another format"),
        (b'{"annotations": [{"id"', "annotations of another format"),
    ],
)
def test_what_is_damaged_is_never_an_exception(blob: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(blob)
    found = content_of(tmp_path / "x.json")
    assert (found.format, found.sure) == (None, False)
    assert says in found.says
    assert "cannot be read" in content_of(tmp_path / "gone.json").says


def test_a_damaged_first_record_does_not_hide_the_others(tmp_path: Path) -> None:
    for damaged in ({"id": 1}, 7, None, [], {}):
        (tmp_path / "x.json").write_text(json.dumps({"annotations": [damaged, SAID, SAID]}))
        assert content_of(tmp_path / "x.json").format == "COCO captions"
    (tmp_path / "x.json").write_text(json.dumps([{"regions": [3]}, {"regions": "x"}]))
    assert content_of(tmp_path / "x.json").format is None


def test_a_first_record_may_be_long(tmp_path: Path) -> None:
    drawn = {"segmentation": [[0.5] * 50_000], "image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2]}
    (tmp_path / "x.json").write_text(json.dumps({"annotations": [drawn]}))
    assert content_of(tmp_path / "x.json").format == "COCO instances"


def test_the_file_is_not_read_as_a_whole(tmp_path: Path) -> None:
    text = json.dumps({"annotations": [{"image_id": 1, "id": 1, "caption": "a"}]})
    (tmp_path / "x.json").write_text(text[:-2] + ", this is no JSON" * 1000)
    assert content_of(tmp_path / "x.json").format == "COCO captions"
