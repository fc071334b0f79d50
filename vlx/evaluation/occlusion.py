"""Faithfulness to occlusion: rank correlation of a map with the falls of the score (paper 5.3, 8.2).

Everything happens on the pixels of the network input: the image is first prepared as the model does, so
that windows have one size whatever the photo.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image

from vlx.eval.maps import Map
from vlx.eval.occlusion import occlusion, occlusion_correlation
from vlx.evaluation.attention import answer_target
from vlx.evaluation.batch import LeftOut, Opened, Scoring, read, scored_rows
from vlx.evaluation.evaluator import Evaluator
from vlx.evaluation.folder import DataFolder
from vlx.evaluation.items import Item
from vlx.evaluation.models import Kind, Models, on_input
from vlx.evaluation.options import Options
from vlx.evaluation.rows import Row
from vlx.evaluation.sources import caption_items, image_items, question_items
from vlx.methods import Method
from vlx.passes import Pass
from vlx.targets import Target, caption

AT_ONCE = 32
"""Masked images in one run; fixed, as it may change the last digit of a score."""


def protocol(options: Options, kind: Kind) -> str:
    """What is measured."""
    said = "predicted" if options.answer == "predicted" else "most frequent human"
    what = {
        "captioner": "the log-probability of a whole reference caption",
        "vqa": f"the logit of the {said} answer",
        "classifier": "the logit of the predicted class",
    }[kind]
    return (
        f"Faithfulness to occlusion (paper 5.3, 8.2): Spearman correlation with average ranks between a map "
        f"and the falls of the score, signed, when a square of {options.window} pixels is filled with the "
        f"mean colour, every {options.stride} pixels, bilinear between; {what}; both maps on the network "
        "input, averaged over a 14 x 14 grid (every pixel: not averaged, which favours smooth maps). Mean "
        "over items"
    )


def items_for(folder: DataFolder, kind: Kind, options: Options) -> list[Item]:
    """Captions for a captioner, questions for a VQA model, images for a classifier."""
    made = {"captioner": caption_items, "vqa": question_items, "classifier": image_items}[kind]
    return made(folder, options)


def chosen_target(which: str, opened: Opened, at: int) -> Target | LeftOut:
    """The whole caption, or the answer or class."""
    whole = opened.run.readings[0].kind == "caption"
    return caption() if whole else answer_target(which, opened, at)


def _rows(models: Models, items: Sequence[Item], methods: Sequence[Method], options: Options) -> list[Row]:
    direct = Models(on_input(models.trained), on_input(models.shuffled))
    return scored_rows(
        direct, items, methods, OCCLUSION.columns, partial(chosen_target, options.answer),
        partial(_scoring, direct.trained, options), seed=options.seed,
        view=partial(prepared_view, models.trained),
    )  # fmt: skip


def prepared_view(model: Any, image: Image.Image) -> Image.Image:
    """The network input as an image; preparing it again without a resize gives the same input."""
    return model.preprocess.displayed(model.preprocess(image)[0])


def _scoring(model: Any, options: Options, opened: Opened, at: int, target: Target) -> Scoring:
    falls = occluded(model, opened.images[at], opened.items[at].text, target, options)
    return Scoring(
        lambda plane: occlusion_correlation(plane, falls),
        {"every_pixel": lambda plane: occlusion_correlation(plane, falls, size=None)},
    )


def occluded(model: Any, view: Image.Image, text: str, target: Target, options: Options) -> Map:
    """The occlusion map of one target on the pixels of its network input."""
    mean = np.asarray(model.preprocess.displayed(torch.zeros(3, 1, 1)), dtype=np.float64)[0, 0]
    pixels = np.asarray(view, dtype=np.float64).transpose(2, 0, 1)

    def score(images: Float[np.ndarray, "batch channel height width"]) -> Float[np.ndarray, " batch"]:
        some = [Image.fromarray(one.transpose(1, 2, 0).astype(np.uint8)) for one in images]
        return values(read(model, some, [text] * len(some)), target)

    found = occlusion(pixels, score, size=options.window, stride=options.stride, fill=mean, batch=AT_ONCE)
    return found.map


def values(run: Pass, target: Target) -> Float[np.ndarray, " batch"]:
    """The value of a target on every item of a run."""
    scores = run.scores.detach().cpu().double().numpy()
    return np.array(
        [
            sum(term.weight * scores[place, term.step, term.choice] for term in target.resolve(reading).terms)
            for place, reading in enumerate(run.readings)
        ],
        dtype=np.float64,
    )


OCCLUSION = Evaluator(
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
