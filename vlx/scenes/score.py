"""How good the built-in models are on the held-out scenes: ``python -m vlx.scenes.score``."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vlx.adapters.parts.captioner import CNNLSTMCaptioner
from vlx.adapters.parts.deeper_lstm import DeeperLSTM
from vlx.scenes.held_out import ARCHIVE, held_out_scenes
from vlx.scenes.models import ASSETS, load_captioner, load_vqa
from vlx.scenes.texts import named_categories
from vlx.scenes.training.log import Log

BATCH = 64
HIDDEN = 32  # grey level of a simulated attention map from which a pixel counts as its region


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
    hidden = {key: _without(world, images[image], key) for key, image, _, _, _ in asked}
    vqa, question_only = load_vqa(folder=folder), load_vqa(folder=folder, weights="question-only")
    rows = {
        "with the image": accuracies(vqa, [(images[i], q, a, kind) for _, i, q, a, kind in asked]),
        "question-only model": accuracies(
            question_only, [(images[i], q, a, kind) for _, i, q, a, kind in asked]
        ),
        "answer's region hidden": accuracies(
            vqa, [(hidden[key], q, a, kind) for key, _, q, a, kind in asked]
        ),
    }
    log(f"VQA accuracy over {len(asked)} questions:")
    for name, found in rows.items():
        told = ", ".join(f"{kind} {value:.3f}" for kind, value in found.items())
        log(f"  {name}: {told}")


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


def accuracies(model: DeeperLSTM, items: Sequence[tuple[Image.Image, str, str, str]]) -> dict[str, float]:
    """The share of right answers to (image, question, answer, kind): over all, then kind by kind."""
    right: dict[str, list[bool]] = defaultdict(list)
    for part in _parts(items):
        passed = model.read([image for image, *_ in part], [question for _, question, *_ in part])
        best = passed.scores[:, 0].argmax(1).tolist()
        for at, (_, _, answer, kind) in zip(best, part, strict=True):
            for name in ("all", kind):
                right[name].append(model.answers[at] == answer)
    return {name: sum(found) / len(found) for name, found in right.items()}


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


def _questions(world: Path) -> list[tuple[int, int, str, str, str]]:
    """(question id, image id, question, answer, kind)."""
    questions = json.loads((world / "questions.json").read_text(encoding="utf-8"))["questions"]
    told = json.loads((world / "annotations.json").read_text(encoding="utf-8"))["annotations"]
    by_id = {entry["question_id"]: entry for entry in told}
    return [
        (q["question_id"], q["image_id"], q["question"], by_id[q["question_id"]]["multiple_choice_answer"],
         by_id[q["question_id"]]["question_type"])
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
