"""Faithfulness to occlusion: rank correlation of a map with the falls of the score (paper 5.3, 8.2).

Windows are squares of the network input, so that they have one size whatever the photo. Maps are compared
there too: the image is first prepared as the model does. Where a model does not say how it prepares
images, as those of transformers, they are compared on the photo.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch
from PIL import Image

from vlx.errors import VlxError
from vlx.eval.data.folder import DataFolder
from vlx.eval.items.batch import Scoring, TargetOf, scored_rows
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models, ModelType
from vlx.eval.items.opened import LeftOut, Opened, answers_of
from vlx.eval.items.options import Options
from vlx.eval.items.rows import Row
from vlx.eval.items.sources import caption_items, image_items, question_items
from vlx.eval.measures.maps import Map
from vlx.eval.measures.occlusion import occlusion_correlation
from vlx.eval.tasks.targets import answer_target
from vlx.eval.tasks.task import Task
from vlx.images.preprocess import AsIs, Preprocess
from vlx.methods.occlusion.fills import checked_fill
from vlx.methods.occlusion.of_pass import occlusion_maps
from vlx.methods.occlusion.windows import SIDE, SIZE, STRIDE, Windows
from vlx.methods.values import Method
from vlx.passes.targets import Resolved, Target, caption

FILLS = {
    None: "the mean colour of the model's data where its preprocessing subtracts that, else of the image",
    "mean": "the mean colour of the image",
    "blur": "the image blurred as widely as the square",
    "zero": "0, the colour that the model's preprocessing subtracts, whatever that is",
}


def told(pixels: int | None, usual: int) -> str:
    """How long the side of a window is, or how far windows are apart."""
    return (
        f"{usual} pixels (as large a share of an input below {SIDE})"
        if pixels is None
        else f"{pixels} pixels"
    )


def protocol(options: Options, model_type: ModelType) -> str:
    """What is measured."""
    said = "predicted" if options.answer == "predicted" else "most frequent human"
    what = {
        "captioner": "the log-probability of a whole reference caption",
        "vqa": f"the logit of the {said} answer",
        "classifier": "the logit of the predicted class",
        "responder": f"the log-probability of the {said} answer",
    }[model_type]
    return (
        f"Faithfulness to occlusion (paper 5.3, 8.2): Spearman correlation with average ranks between a map "
        f"and the falls of the score, signed, when a square of {told(options.window, SIZE)} is filled with "
        f"{FILLS.get(options.fill, f'the colour {options.fill}')}, every {told(options.stride, STRIDE)}, "
        f"bilinear between; {what}; both maps on the network "
        "input (on the photo for models of transformers), averaged over a 14 x 14 grid (every pixel: not "
        "averaged, which favours smooth maps). Mean over items"
    )


def items_for(folder: DataFolder, model_type: ModelType, options: Options) -> list[Item]:
    """Captions for a captioner, questions for a model that answers them, images for a classifier."""
    made = {"captioner": caption_items, "classifier": image_items}.get(model_type, question_items)
    return made(folder, options)


def whole_target(options: Options, opened: Opened, at: int) -> Target | LeftOut:
    """The whole caption, or the answer or class."""
    if opened.said is None and opened.reading(at).kind == "caption":
        return caption()
    return answer_target(options, opened, at)


def _rows(models: Models, items: Sequence[Item], methods: Sequence[Method], options: Options) -> list[Row]:
    models, view = for_input(models)
    target_of = partial(whole_target, options)
    known = cache(partial(falls, target_of, _windows(options)))  # of each image once; forgotten after
    return scored_rows(
        models, items, methods, OCCLUSION.columns, target_of, partial(_scoring, options, known),
        seed=options.seed, view=view, answers=answers_of(models, options),
    )  # fmt: skip


def for_input(models: Models) -> tuple[Models, Callable[[Image.Image], Image.Image] | None]:
    """The models for images that are prepared as their network input, and what prepares them.

    Where the model does not say how it prepares images, the models as they are, for photos.
    """
    if not isinstance(getattr(models.trained, "preprocess", None), Preprocess):
        return models, None
    changed = replace(
        models, trained=on_input(models.trained), make_shuffled=lambda: on_input(models.shuffled)
    )
    return changed, partial(prepared_view, models.trained)


def on_input(model: Any) -> Any:
    """The same model for images that already have the size of its network input.

    Raises VlxError where the model does not say how it prepares images.
    """
    if not hasattr(model, "preprocess"):
        raise VlxError(f"occlusion needs a model with a preprocess, which {type(model).__name__} has not")
    direct = copy.copy(model)
    direct.preprocess = replace(model.preprocess, resize=AsIs(), window=None)
    return direct


def prepared_view(model: Any, image: Image.Image) -> Image.Image:
    """The network input as an image; preparing it again without a resize gives the same input."""
    return model.preprocess.displayed(model.preprocess(image)[0])


def _windows(options: Options) -> Windows:
    return Windows(options.window, options.stride, fill=checked_fill(options.fill))


def falls(target_of: TargetOf, windows: Windows, opened: Opened) -> dict[int, Map]:
    """The falls of each item's score on the network input; of no item where one of them is at fault.

    Images with several items are hidden once.
    """
    asked: dict[int, list[Resolved]] = {}
    where: dict[int, tuple[int, int]] = {}
    for at, index in enumerate(opened.reading_of):
        target = target_of(opened, at)
        if isinstance(target, Target):
            wanted = asked.setdefault(index, [])
            where[at] = index, len(wanted)
            wanted.append(target.resolve(opened.reading(at)))
    try:
        maps = occlusion_maps(opened.passed, asked, windows)
    except VlxError:
        return {}
    return {at: maps[index][number] for at, (index, number) in where.items()}


def falls_of(known: dict[int, Map], windows: Windows, opened: Opened, at: int, target: Target) -> Map:
    """The falls of an item's score on its image: those that are known of it, or found alone.

    Raises VlxError, where it is alone, if this item is at fault.
    """
    index, frame = opened.reading_of[at], opened.passed.frames[opened.reading_of[at]]
    on_network = known.get(at)
    if on_network is None:
        asked = {index: [target.resolve(opened.reading(at))]}
        on_network = occlusion_maps(opened.passed, asked, windows)[index][0]
    return frame.on_image(torch.from_numpy(on_network)).numpy()


def _scoring(
    options: Options, known: Callable[[Opened], dict[int, Map]], opened: Opened, at: int, target: Target
) -> Scoring:
    found = falls_of(known(opened), _windows(options), opened, at, target)
    return Scoring(
        lambda plane: occlusion_correlation(plane, found),
        {"every_pixel": lambda plane: occlusion_correlation(plane, found, size=None)},
    )


OCCLUSION = Task(
    "occlusion",
    "Faithfulness: rank correlation with occlusion (chance is 0)",
    ("responder", "captioner", "vqa", "classifier"),
    items_for,
    whole_target,
    _rows,
    protocol,
    extras=("every_pixel",),
    span=(-1.0, 1.0),
    costly=True,
)
