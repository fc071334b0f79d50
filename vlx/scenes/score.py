"""How good the built-in models are on the held-out scenes: ``python -m vlx.scenes.score``."""

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vlx.adapters.parts.captioner import CNNLSTMCaptioner
from vlx.adapters.parts.deeper_lstm import DeeperLSTM
from vlx.scenes.annotators import accuracy
from vlx.scenes.class_scores import report_classes
from vlx.scenes.held_out import ARCHIVE, held_out_scenes
from vlx.scenes.language import Asked
from vlx.scenes.models import ASSETS, load_captioner, load_vqa
from vlx.scenes.texts import named_categories, told
from vlx.scenes.training.log import Log

BATCH = 64
OTHER_SEED, OTHERS = 5, 2_000  # scenes whose commonest answers are told; those the text models learn from
HIDDEN = 32  # grey level of a simulated attention map from which a pixel counts as its region


@dataclass(frozen=True)
class Question:
    """A question about a held-out scene."""

    id: int
    image: int
    text: str
    answer: str
    """The true one."""
    kind: str
    people: list[str]
    """What ten simulated annotators answered."""


def main() -> None:
    """Print every score."""
    report(ASSETS, print)


def report(folder: Path, log: Log) -> None:
    """Score the models in ``folder`` on its held-out scenes, a line for each score."""
    world = held_out_scenes(folder / ARCHIVE.name)
    images = _images(world)
    precision, recall = object_words(load_captioner(folder=folder), images, _present(world))
    log(f"held-out scenes: {len(images)}")
    log(f"object words of greedy captions: precision {precision:.4f}, recall {recall:.4f}")
    asked = _questions(world)
    hidden = {one.id: _without(world, images[one.image], one.id) for one in asked}
    vqa, question_only = load_vqa(folder=folder), load_vqa(folder=folder, weights="question-only")
    rows = {
        "with the image": answered(vqa, asked, [images[one.image] for one in asked]),
        "question-only model": answered(question_only, asked, [images[one.image] for one in asked]),
        "commonest answer to its kind, in other scenes": commonest(asked, _elsewhere()),
        "commonest answer to its kind, in these": commonest(asked, asked),
        "answer's region hidden": answered(vqa, asked, [hidden[one.id] for one in asked]),
    }
    log(f"right answers, as a share of {len(asked)} questions:")
    for name, answers in rows.items():
        right = [float(given == one.answer) for given, one in zip(answers, asked, strict=True)]
        log(f"  {name}: {_by_kind(asked, right)}")
    log("VQA accuracy, against the answers of ten simulated annotators:")
    for name, answers in rows.items():
        agreed = [accuracy(given, one.people) for given, one in zip(answers, asked, strict=True)]
        log(f"  {name}: {_by_kind(asked, agreed)}")
    report_classes(folder, images, _present(world), log)


def object_words(
    model: CNNLSTMCaptioner, images: dict[int, Image.Image], present: dict[int, set[str]]
) -> tuple[float, float]:
    """Precision and recall of the categories that greedy captions name, over all scenes together."""
    ids = list(images)
    named: dict[int, set[str]] = {}
    for part in _parts(ids):
        for image_id, caption in zip(part, model.generate([images[i] for i in part]), strict=True):
            named[image_id] = named_categories(caption)
    right = sum(len(named[i] & present[i]) for i in ids)
    return right / max(1, sum(len(named[i]) for i in ids)), right / sum(len(present[i]) for i in ids)


def answered(model: DeeperLSTM, asked: Sequence[Question], images: Sequence[Image.Image]) -> list[str]:
    """The likeliest answer of a model to each question about its image."""
    found: list[str] = []
    for part in _parts(list(zip(images, asked, strict=True))):
        passed = model.read([image for image, _ in part], [one.text for _, one in part])
        found += [model.answers[at] for at in passed.scores[:, 0].argmax(1).tolist()]
    return found


def commonest(asked: Sequence[Question], known: Iterable[Question | Asked]) -> list[str]:
    """For each question the commonest answer to its kind among those that are known.

    Where these are the very questions that are asked, no constant answer to each kind does better on them.
    """
    given: dict[str, Counter[str]] = defaultdict(Counter)
    for one in known:
        given[one.kind][one.answer] += 1
    return [given[one.kind].most_common(1)[0][0] for one in asked]


def _elsewhere() -> Iterable[Asked]:
    """The questions about other scenes, which the models learned from."""
    return itertools.chain.from_iterable(told(OTHER_SEED, index)[2] for index in range(OTHERS))


def _by_kind(asked: Sequence[Question], values: Sequence[float]) -> str:
    """The mean over all questions, then kind by kind."""
    groups: dict[str, list[float]] = defaultdict(list)
    for one, value in zip(asked, values, strict=True):
        for name in ("all", one.kind):
            groups[name].append(value)
    return ", ".join(f"{name} {sum(found) / len(found):.3f}" for name, found in groups.items())


def _parts(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (items[at : at + BATCH] for at in range(0, len(items), BATCH))


def _images(world: Path) -> dict[int, Image.Image]:
    listed = json.loads((world / "instances.json").read_text(encoding="utf-8"))["images"]
    return {entry["id"]: Image.open(world / "images" / entry["file_name"]).convert("RGB") for entry in listed}


def _present(world: Path) -> dict[int, set[str]]:
    facts = json.loads((world / "instances.json").read_text(encoding="utf-8"))
    names = {kind["id"]: kind["name"] for kind in facts["categories"]}
    present: dict[int, set[str]] = {entry["id"]: set() for entry in facts["images"]}
    for annotation in facts["annotations"]:
        present[annotation["image_id"]].add(names[annotation["category_id"]])
    return present


def _questions(world: Path) -> list[Question]:
    questions = json.loads((world / "questions.json").read_text(encoding="utf-8"))["questions"]
    given = json.loads((world / "annotations.json").read_text(encoding="utf-8"))["annotations"]
    by_id = {entry["question_id"]: entry for entry in given}
    return [
        Question(
            q["question_id"], q["image_id"], q["question"], by_id[q["question_id"]]["multiple_choice_answer"],
            by_id[q["question_id"]]["question_type"],
            [person["answer"] for person in by_id[q["question_id"]]["answers"]],
        )
        for q in questions
    ]  # fmt: skip


def _without(world: Path, image: Image.Image, question_id: int) -> Image.Image:
    """The image with the answer's region, as the simulated annotators saw it, filled with its mean colour."""
    pixels = np.array(image)
    paths = sorted((world / "attention").glob(f"{question_id}_*.png"))
    region = np.max([np.asarray(Image.open(path)) for path in paths], axis=0) >= HIDDEN
    pixels[region] = pixels[~region].mean(0) if (~region).any() else pixels.mean((0, 1))
    return Image.fromarray(pixels)


if __name__ == "__main__":
    main()
