"""A small folder of data by hand, and models that are wrong on it in known ways."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from vlx.adapters.parts.classifier import Classifier
from vlx.images.preprocess import Preprocess, Squash

SIDE = 12
KINDS = ("dog", "cat", "bicycle", "car")
SHOWN = {1: ("dog", "cat"), 2: ("cat",), 3: ("bicycle", "car")}
"""What each image shows: the first category in the left third, the second in the right one."""


def data(folder: Path) -> Path:
    """Three photos of 12 pixels with instances, captions and questions."""
    (folder / "images").mkdir(parents=True)
    for at, colour in zip(SHOWN, ("red", "green", "blue"), strict=True):
        Image.new("RGB", (SIDE, SIDE), colour).save(folder / "images" / f"{at}.png")
    images = [{"id": at, "file_name": f"{at}.png", "width": SIDE, "height": SIDE} for at in SHOWN]
    objects = [(image, name, 8 * at) for image, shown in SHOWN.items() for at, name in enumerate(shown)]
    annotations = [
        {
            "id": at, "image_id": image, "category_id": 1 + KINDS.index(name), "iscrowd": 0, "area": 48,
            "bbox": [left, 0, 4, SIDE],
            "segmentation": [[left, 0, left + 4, 0, left + 4, SIDE, left, SIDE]],
        }
        for at, (image, name, left) in enumerate(objects, 1)
    ]  # fmt: skip
    write(folder / "instances.json", {
        "images": images, "annotations": annotations,
        "categories": [{"id": 1 + at, "name": name} for at, name in enumerate(KINDS)],
    })  # fmt: skip
    write(folder / "captions.json", {
        "images": images,
        "annotations": [{"id": at, "image_id": at, "caption": "a photo"} for at in SHOWN],
    })  # fmt: skip
    asked = {11: (1, "what is left ?", "dog"), 12: (2, "is the cat red ?", "yes"), 13: (3, "how many ?", "9")}
    write(folder / "questions.json", {
        "questions": [
            {"question_id": at, "image_id": image, "question": text} for at, (image, text, _) in asked.items()
        ],
    })  # fmt: skip
    write(folder / "annotations.json", {
        "annotations": [
            {
                "question_id": at, "image_id": image, "question_type": "what", "answer_type": "other",
                "multiple_choice_answer": answer, "answers": [{"answer": answer, "answer_id": 1}] * 10,
            }
            for at, (image, _, answer) in asked.items()
        ],
    })  # fmt: skip
    return folder


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


class Ranked(nn.Module):
    """Scores that stand in an order whatever the image, and a map that is brightest at the left."""

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.top = nn.Linear(4, len(order))
        with torch.no_grad():
            self.top.bias.copy_(torch.tensor([100.0 - 10 * order.index(at) for at in range(len(order))]))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.top(self.conv(pixels).relu().mean((2, 3)))


def ranked(order: Sequence[int], names: Sequence[str] = KINDS, *, multi_label: bool = False) -> Classifier:
    """A classifier that ranks its classes so on every image."""
    return Classifier(
        Ranked(order).eval(), names, Preprocess(Squash((SIDE, SIDE))), layer="conv", name="ranked",
        multi_label=multi_label,
    )  # fmt: skip
