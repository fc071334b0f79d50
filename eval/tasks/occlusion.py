"""Faithfulness to occlusion: rank correlation of a map with the falls of the score (paper 5.3, 8.2).

Windows are squares of the network input, so that they have one size whatever the photo. Maps are compared
there too: the image is first prepared as the model does. Where a model does not say how it prepares
images, as those of transformers, they are compared on the photo.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import torch
from PIL import Image

from vlx.errors import VlxError
from vlx.eval.data.folder import DataFolder
from vlx.eval.items.batch import LeftOut, Opened, Scoring, scored_rows
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models, ModelType, on_input
from vlx.eval.items.options import Options
from vlx.eval.items.rows import Row
from vlx.eval.items.sources import caption_items, image_items, question_items
from vlx.eval.measures.maps import Map
from vlx.eval.measures.occlusion import occlusion_correlation
from vlx.eval.tasks.attention import answer_target
from vlx.eval.tasks.task import Task
from vlx.methods.occlusion.of_pass import occlusion_maps
from vlx.methods.occlusion.windows import Windows
from vlx.methods.values import Method
from vlx.passes.targets import Resolved, Target, caption


def protocol(options: Options, model_type: ModelType) -> str:
    """What is measured."""
    said = "predicted" if options.answer == "predicted" else "most frequent human"
    what = {
        "captioner": "the log-probability of a whole reference caption",
        "vqa": f"the logit of the {said} answer",
        "classifier": "the logit of the predicted class",
    }[model_type]
    return (
        f"Faithfulness to occlusion (paper 5.3, 8.2): Spearman correlation with average ranks between a map "
        f"and the falls of the score, signed, when a square of {options.window} pixels is filled with the "
        f"mean colour, every {options.stride} pixels, bilinear between; {what}; both maps on the network "
        "input (on the photo for models of transformers), averaged over a 14 x 14 grid (every pixel: not "
        "averaged, which favours smooth maps). Mean over items"
    )


def items_for(folder: DataFolder, model_type: ModelType, options: Options) -> list[Item]:
    """Captions for a captioner, questions for a VQA model, images for a classifier."""
    made = {"captioner": caption_items, "vqa": question_items, "classifier": image_items}[model_type]
    return made(folder, options)


def chosen_target(which: str, opened: Opened, at: int) -> Target | LeftOut:
    """The whole caption, or the answer or class."""
    whole = opened.run.readings[0].kind == "caption"
    return caption() if whole else answer_target(which, opened, at)


def _rows(models: Models, items: Sequence[Item], methods: Sequence[Method], options: Options) -> list[Row]:
    view = None
    if hasattr(models.trained, "preprocess"):
        view = partial(prepared_view, models.trained)
        models = Models(on_input(models.trained), on_input(models.shuffled))
    known = cache(partial(_falls, options))  # images with several texts are hidden once; forgotten after
    return scored_rows(
        models, items, methods, OCCLUSION.columns, partial(chosen_target, options.answer),
        partial(_scoring, options, known), seed=options.seed, view=view,
    )  # fmt: skip


def prepared_view(model: Any, image: Image.Image) -> Image.Image:
    """The network input as an image; preparing it again without a resize gives the same input."""
    return model.preprocess.displayed(model.preprocess(image)[0])


def _falls(options: Options, opened: Opened) -> dict[int, Map]:
    """The falls of each item's score on the network input; of no item where one of them is at fault."""
    asked: dict[int, list[Resolved]] = {}
    where: dict[int, tuple[int, int]] = {}
    for at, place in enumerate(opened.places):
        target = chosen_target(options.answer, opened, at)
        if isinstance(target, Target):
            wanted = asked.setdefault(place, [])
            where[at] = place, len(wanted)
            wanted.append(target.resolve(opened.run.readings[place]))
    try:
        maps = occlusion_maps(opened.run, asked, Windows(options.window, options.stride))
    except VlxError:
        return {}
    return {at: maps[place][number] for at, (place, number) in where.items()}


def _scoring(
    options: Options, known: Callable[[Opened], dict[int, Map]], opened: Opened, at: int, target: Target
) -> Scoring:
    run, place = opened.run, opened.places[at]
    on_network = known(opened).get(at)
    if on_network is None:  # alone, which tells whether this one is at fault
        asked = {place: [target.resolve(run.readings[place])]}
        on_network = occlusion_maps(run, asked, Windows(options.window, options.stride))[place][0]
    falls = run.frames[place].place(torch.from_numpy(on_network)).numpy()
    return Scoring(
        lambda plane: occlusion_correlation(plane, falls),
        {"every_pixel": lambda plane: occlusion_correlation(plane, falls, size=None)},
    )


OCCLUSION = Task(
    "occlusion",
    "Faithfulness: rank correlation with occlusion (chance is 0)",
    ("captioner", "vqa", "classifier"),
    items_for,
    lambda options, opened, at: chosen_target(options.answer, opened, at),
    _rows,
    protocol,
    extras=("every_pixel",),
    span=(-1.0, 1.0),
)
