"""The demonstration: captions and answers on held-out scenes, scores with controls, one report page."""

import json
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from vlx.api import explain_answer, explain_caption
from vlx.errors import VlxError
from vlx.eval.data.folder import look
from vlx.eval.items.models import with_controls
from vlx.eval.items.options import Options
from vlx.eval.runs.in_memory import measure_in_memory
from vlx.eval.runs.summary import Measured, markdown, short
from vlx.eval.tasks.boxes import BOXES
from vlx.eval.tasks.pointing import POINTING
from vlx.explanation import Explanation
from vlx.images.files import open_image
from vlx.methods.values import grad_cam, guided_grad_cam
from vlx.scenes import held_out_scenes
from vlx.scenes.models import load_captioner, load_vqa
from vlx.show.report import write_report

SCENES = 6  # scenes shown with caption and one question each
OWN_QUESTIONS = ("is there a person ?", "is there a dog ?")
METHODS = (grad_cam, guided_grad_cam)


def run_demo(out: Path, image: Path | None = None) -> Path:
    """Explain held-out scenes, and an image of one's own; print scores; returns the report's path.

    The built-in models know the built-in scenes; on a photo they show the tool, not its power.
    """
    own = [] if image is None else [(f"your image: {image.name}", image)]
    out.mkdir(parents=True, exist_ok=True)
    items: list[list[Explanation]] = []
    names: list[str] = []
    for name, explained in tqdm(_explained(own), total=2 * SCENES + 3 * len(own), desc="explaining"):
        explained[0].save(out / f"{len(items):02d}")
        items.append(explained)
        names.append(name)
    for name, explained in zip(names, items, strict=True):
        print(_line(name, explained[0]))
    report = write_report(out / "report.html", items, "Why did you say that?", names=names)
    scores = held_out_scores()
    print("\nThe captioner's maps on the held-out scenes, beside their controls (intervals over images):\n")
    for found in scores:
        print(short(found))
    table = out / "scores.md"
    table.write_text("\n".join(map(markdown, scores)), encoding="utf-8")
    print(f"protocols and more numbers: {table}")
    print(f"report: {report}")
    return report


def held_out_scores(limit: int | None = None, world: Path | None = None) -> list[Measured]:
    """Box ratio and word pointing of the built-in captioner on held-out scenes, beside their controls.

    ``limit`` is how many scenes, drawn at random but always the same; ``world`` is a folder of other ones.
    Raises VlxError where it holds no scenes.
    """
    world = world or held_out_scenes()
    if not (world / "instances.json").is_file():
        raise VlxError(f"no scenes in {world}: write some with vlx scenes generate")
    models, folder = with_controls(load_captioner()), look(world)
    options = Options(limit=limit, captions=1)
    return [measure_in_memory(task, models, folder, options, METHODS) for task in (BOXES, POINTING)]


def _explained(own: list[tuple[str, Path]]) -> Iterator[tuple[str, list[Explanation]]]:
    captioner, vqa, world = load_captioner(), load_vqa(), held_out_scenes()
    for name, path in [*own, *_scenes(world)]:
        image = open_image(path)
        yield name, explain_caption(captioner, image, method=METHODS, evidence=True)
        for question, answers in _questions(world, path):
            yield name, explain_answer(vqa, image, question, answers, method=METHODS, evidence=True)


def _scenes(world: Path) -> list[tuple[str, Path]]:
    """Some held-out scenes with several objects each."""
    facts = json.loads((world / "instances.json").read_text(encoding="utf-8"))
    several = [
        entry
        for entry in facts["images"]
        if sum(annotation["image_id"] == entry["id"] for annotation in facts["annotations"]) > 1
    ]
    return [
        (f"held-out scene {entry['id']}", world / "images" / entry["file_name"]) for entry in several[:SCENES]
    ]


def _questions(world: Path, path: Path) -> list[tuple[str, list[str]]]:
    """A scene's first question with its answer and another one of the same type; fixed ones for photos."""
    if path.parent != world / "images":
        return [(question, ["yes", "no"]) for question in OWN_QUESTIONS]
    told = json.loads((world / "annotations.json").read_text(encoding="utf-8"))["annotations"]
    asked = json.loads((world / "questions.json").read_text(encoding="utf-8"))["questions"]
    wording = {entry["question_id"]: entry["question"] for entry in asked}
    mine = [entry for entry in told if entry["image_id"] == int(path.stem)]
    first = max(mine, key=lambda entry: entry["question_type"] in ("colour", "left of", "side"))
    alike = sorted(
        {e["multiple_choice_answer"] for e in told if e["question_type"] == first["question_type"]}
        - {first["multiple_choice_answer"]}
    )
    return [(wording[first["question_id"]], [first["multiple_choice_answer"], alike[0]])]


def _line(name: str, explained: Explanation) -> str:
    if explained.prompt:
        told = ", ".join(
            f"{t.name} {t.probability:.0%}" for t in explained.targets if t.probability is not None
        )
        return f"{name}: {explained.prompt}  {told}"
    return f"{name}: {' '.join(explained.words)}"
