"""Readers that go on past damaged records: each is told once, the others are read as ever."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vlx.eval.data.coco import read_captions, read_instances
from vlx.eval.data.densecap import read_densecap
from vlx.eval.data.records import DataError
from vlx.eval.data.visual_genome import read_regions
from vlx.eval.data.vqa import read_annotations, read_questions

IMAGES = [
    {"id": 1, "file_name": "a.jpg", "height": 4, "width": 4},
    {"id": 2, "file_name": "b.jpg", "height": 0, "width": 4},
]
INSTANCE = {"image_id": 1, "category_id": 7, "bbox": [0, 0, 1, 1], "segmentation": [[0, 0, 1, 0, 1, 1]]}
DENSE = {"img_name": "a.jpg", "boxes": [[1, 1, 2, 2]], "scores": [0.5], "captions": ["a dog"]}
QUESTION = {"image_id": 1, "question_id": 10, "question": "is it red ?"}
TOLD: dict[str, Any] = {
    "question_id": 10, "image_id": 1, "multiple_choice_answer": "yes", "question_type": "is",
    "answer_type": "yes/no", "answers": [{"answer": "yes"}],
}  # fmt: skip
REGION = {"region_id": 1, "image_id": 1, "x": 1, "y": 1, "width": 2, "height": 2, "phrase": "a dog"}

CASES: dict[str, tuple[Any, Callable[..., Any], Callable[[Any], list[str]], list[str]]] = {
    "captions": (
        {"images": IMAGES, "annotations": [{"id": 1, "image_id": 1, "caption": "a dog"}, {"id": 2}, 3]},
        read_captions,
        lambda read: [caption.text for caption in read.by_image[1]],
        ["images[1] is 0 x 4", "no 'image_id'", "annotations[2] is a number"],
    ),
    "instances": (
        {
            "images": IMAGES[:1],
            "categories": [{"id": 7, "name": "dog"}, {"id": 8}],
            "annotations": [{**INSTANCE, "category_id": 8}, INSTANCE, {**INSTANCE, "segmentation": None}],
        },
        read_instances,
        lambda read: [instance.category for instance in read.of(1)],
        ["categories[1] has no 'name'", "annotations[0].category_id", "annotations[2].segmentation"],
    ),
    "densecap": (
        {"results": [DENSE, {**DENSE, "scores": []}]},
        read_densecap,
        lambda read: [image.regions[0].caption for image in read],
        ["1 boxes, 0 scores"],
    ),
    "questions": (
        {"questions": [QUESTION, QUESTION, {**QUESTION, "question": 5}]},
        read_questions,
        lambda read: [question.text for question in read.values()],
        ["question 10 stands twice", "question is 5"],
    ),
    "annotations": (
        {"annotations": [{**TOLD, "answers": []}, TOLD]},
        read_annotations,
        lambda read: [one.answer for one in read.values()],
        ["answers is []"],
    ),
    "regions": (
        [{"id": 1, "regions": [REGION]}, {"id": 2, "regions": [REGION]}],
        read_regions,
        lambda read: [region.phrase for region in read[1]],
        ["regions[0].image_id is 1: expected 2"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_damaged_records_are_told_and_skipped(name: str, tmp_path: Path) -> None:
    content, read, seen, expected = CASES[name]
    path = tmp_path / "data.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError):
        read(path)
    told: list[DataError] = []
    found = read(path, damaged=told.append)
    assert len(told) == len(expected)
    assert all(part in str(error) for part, error in zip(expected, told, strict=True))
    assert len(seen(found)) == 1
