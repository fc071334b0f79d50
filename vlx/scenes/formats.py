"""Write scenes as data sets: COCO, DenseCap results, VQA v1 and VQA-HAT, the last two of simulated people."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image
from tqdm import tqdm

from vlx.errors import VlxError
from vlx.scenes.annotators import simulated_answers
from vlx.scenes.inventory import CATEGORIES
from vlx.scenes.language import Asked, region_caption
from vlx.scenes.plan import SIDE, Scene
from vlx.scenes.render import need_font, render
from vlx.scenes.texts import told

REGIONS = 5  # region captions a scene, at least
ANNOTATORS = 3
QUALITY = 85  # of the JPEG files, which keep the full resolution of colour: small objects need it
MARK = "vlx scenes"  # begins the description in every file written here
_LEVELS = 32  # attention maps are rounded to multiples of this, which makes small files


@dataclass
class _World:
    images: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    instances: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    captions: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    regions: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    questions: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    annotations: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


def write_world(out: str | Path, count: int, seed: int = 0, *, workers: int = 1) -> Path:
    """Render ``count`` scenes and write them to the folder ``out``; returns it.

    Files: ``images/`` (JPEG), ``instances.json``, ``captions.json``, ``results.json`` (DenseCap),
    ``questions.json``, ``annotations.json`` (answers of ten simulated annotators, who sometimes slip) and
    ``attention/<question_id>_<k>.png`` (three simulated maps each). The same seed gives the same files;
    scenes that an earlier call left there are replaced. Raises VlxError where the font is missing, ``count``
    is not positive, or the folder holds other images.
    """
    need_font()
    if count < 1:
        raise VlxError(f"{count} scenes are none: give 1 or more")
    folder = Path(out)
    _clear(folder)
    for name in ("images", "attention"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    jobs = [(str(folder), seed, index) for index in range(count)]
    world = _World()
    if workers > 1:
        with get_context("spawn").Pool(workers) as pool:
            _collect(world, tqdm(pool.imap(_write_scene, jobs, chunksize=16), total=count, desc="scenes"))
    else:
        _collect(world, tqdm(map(_write_scene, jobs), total=count, desc="scenes"))
    _write_json(folder, world, seed)
    return folder


def _clear(folder: Path) -> None:
    """Remove the pictures of earlier scenes, so that none of them is read as a new one."""
    old = [*folder.glob("images/*"), *folder.glob("attention/*")]
    if old and not _is_ours(folder / "instances.json"):
        raise VlxError(f"{folder} holds images that are no scenes of vlx: give a new or an empty folder")
    for path in old:
        path.unlink()


def _is_ours(path: Path) -> bool:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))["info"]["description"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return str(said).startswith(MARK)


def _collect(world: _World, parts: Any) -> None:
    for part in parts:
        world.images += part.images
        world.captions += part.captions
        world.regions += part.regions
        world.questions += part.questions
        world.annotations += part.annotations
        for annotation in part.instances:
            world.instances.append({**annotation, "id": len(world.instances) + 1})
    for number, caption in enumerate(world.captions, 1):
        caption["id"] = number


def _write_scene(job: tuple[str, int, int]) -> _World:
    folder, seed, index = Path(job[0]), job[1], job[2]
    scene, captions, asked = told(seed, index)
    pixels, masks = render(scene)
    random, answering = (np.random.default_rng([seed, index, stream]) for stream in (2, 3))
    image_id, name = index + 1, f"{index + 1:012d}.jpg"
    Image.fromarray(pixels).save(folder / "images" / name, quality=QUALITY, subsampling=0)
    world = _World()
    world.images.append(
        {"id": image_id, "file_name": name, "width": SIDE, "height": SIDE, "ground": scene.ground}
    )
    world.instances += [
        _instance(mask, item.category.id, image_id, item.colour)
        for item, mask in zip(scene.items, masks, strict=True)
    ]
    world.captions += [{"image_id": image_id, "caption": text} for text in captions]
    world.regions.append(_regions(name, scene, masks, random))
    for number, question in enumerate(asked):
        question_id = image_id * 10 + number
        world.questions.append(
            {"image_id": image_id, "question": question.question, "question_id": question_id}
        )
        answers = simulated_answers(question, scene, answering)
        world.annotations.append(_annotation(question, answers, image_id, question_id))
        for k in range(1, ANNOTATORS + 1):
            attention = _attention(masks[list(question.look)], random)
            path = folder / "attention" / f"{question_id}_{k}.png"
            Image.fromarray(attention).save(path)
    return world


def _instance(
    mask: Bool[np.ndarray, "height width"], category: int, image_id: int, colour: str | None
) -> dict[str, Any]:
    from pycocotools import mask as coco_mask

    encoded: Any = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    left, top, width, height = (float(value) for value in coco_mask.toBbox(encoded))
    return {
        "image_id": image_id,
        "category_id": category,
        "segmentation": {"size": encoded["size"], "counts": encoded["counts"].decode("ascii")},
        "area": float(mask.sum()),
        "bbox": [left, top, width, height],
        "iscrowd": 0,
        **({"colour": colour} if colour else {}),
    }


def _box(mask: Bool[np.ndarray, "height width"]) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of the seen pixels; bottom and right are exclusive."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1


def _regions(
    name: str, scene: Scene, masks: Bool[np.ndarray, "item height width"], random: np.random.Generator
) -> dict[str, Any]:
    """Region captions as DenseCap gives them: boxes 1-based (x, y, w, h), best score first."""
    boxes: list[list[float]] = []
    captions: list[str] = []
    for number in range(max(REGIONS, len(scene.items))):
        at = number % len(scene.items)
        top, left, bottom, right = _box(masks[at])
        shake = random.uniform(-0.06, 0.06, 4) * (number >= len(scene.items))
        height, width = bottom - top, right - left
        x, y = left + 1 + shake[0] * width, top + 1 + shake[1] * height
        boxes.append([round(float(v), 2) for v in (x, y, width * (1 + shake[2]), height * (1 + shake[3]))])
        captions.append(region_caption(scene.items[at], random))
    scores = sorted((round(float(score), 4) for score in random.uniform(0.5, 4.0, len(boxes))), reverse=True)
    return {"img_name": name, "boxes": boxes, "scores": scores, "captions": captions}


def _annotation(asked: Asked, answers: Sequence[str], image_id: int, question_id: int) -> dict[str, Any]:
    types = {"count": "number", "presence": "yes/no"}
    given = [
        {
            "answer": answer,
            "answer_confidence": "yes" if answer == asked.answer else "maybe",
            "answer_id": number,
        }
        for number, answer in enumerate(answers, 1)
    ]
    return {
        "question_id": question_id,
        "image_id": image_id,
        "question_type": asked.kind,
        "answer_type": types.get(asked.kind, "other"),
        "multiple_choice_answer": asked.answer,
        "answers": given,
    }


def _attention(
    masks: Bool[np.ndarray, "item height width"], random: np.random.Generator
) -> UInt8[np.ndarray, "height width"]:
    """What a simulated annotator uncovers: a soft blob over each object, centre and size a little off."""
    rows, cols = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    found = np.zeros((SIDE, SIDE))
    for mask in masks:
        top, left, bottom, right = _box(mask)
        height, width = bottom - top, right - left
        row = (top + bottom) / 2 + random.normal(0, 0.12) * height
        col = (left + right) / 2 + random.normal(0, 0.12) * width
        spread = random.uniform(0.4, 0.6)
        blob = np.exp(
            -0.5 * (((rows - row) / (spread * height)) ** 2 + ((cols - col) / (spread * width)) ** 2)
        )
        found = np.maximum(found, random.uniform(0.8, 1.0) * blob)
    return (found * 255 / _LEVELS).round().clip(0, 255 // _LEVELS).astype(np.uint8) * _LEVELS


def _write_json(folder: Path, world: _World, seed: int) -> None:
    info = {"description": f"{MARK}, seed {seed}", "version": "1"}
    kinds = [{"id": c.id, "name": c.name, "supercategory": "object"} for c in CATEGORIES]
    simulated = {**info, "description": f"{info['description']}, answers of simulated annotators"}
    vqa = {"info": info, "license": {}, "data_type": "scenes", "data_subtype": f"seed{seed}"}
    coco = {"info": info, "licenses": [], "images": world.images}
    files: Sequence[tuple[str, dict[str, Any]]] = (
        ("instances.json", {**coco, "annotations": world.instances, "categories": kinds}),
        ("captions.json", {**coco, "annotations": world.captions}),
        ("results.json", {"results": world.regions, "opt": {"image_size": SIDE}}),
        ("questions.json", {**vqa, "task_type": "Open-Ended", "questions": world.questions}),
        ("annotations.json", {**vqa, "annotations": world.annotations, "info": simulated}),
    )
    for name, content in files:
        (folder / name).write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
