"""Deletion and insertion: whether the probability follows the highest pixels of a map (Petsiuk et al. 2018).

Pixels change on the network input, as the windows of the occlusion do: curves are alike whatever the photo.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from scipy import ndimage

from vlx.errors import VlxError
from vlx.eval.items.batch import Scoring, scored_rows
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models, ModelType
from vlx.eval.items.opened import LeftOut, Opened, answers_of
from vlx.eval.items.options import Options
from vlx.eval.items.rows import Row
from vlx.eval.measures.faithfulness import Curve, deletion, insertion
from vlx.eval.measures.maps import Map
from vlx.eval.measures.pointing import flat
from vlx.eval.measures.statistics import Outcome
from vlx.eval.tasks.occlusion import for_input, items_for, whole_target
from vlx.eval.tasks.task import Task
from vlx.images.bilinear import linear_weights
from vlx.images.frame import Frame
from vlx.methods.occlusion.windows import Pixels
from vlx.methods.values import Method
from vlx.passes.reading import Reading
from vlx.passes.targets import Resolved, Target

Erase = Callable[..., Curve]
"""Deletion or insertion, on arrays."""

BLUR = 20
"""The standard deviation of the blur is this part of the shorter side of the input."""


LEAST = 0.1
"""Of the probability between the untouched and the changed input, for an area relative to them."""


def protocol(erase: Erase, options: Options, model_type: ModelType) -> str:
    """What is measured."""
    said = "predicted" if options.answer == "predicted" else "most frequent human"
    what = {
        "captioner": "the geometric mean of the probabilities of a reference caption's tokens",
        "responder": f"the geometric mean of the probabilities of the {said} answer's tokens",
        "vqa": f"the probability of the {said} answer",
        "classifier": "the probability of the predicted class",
    }[model_type]
    how = (
        "pixels of the network input become 0, its mean colour, the highest of the map first; low is good"
        if erase is deletion
        else f"pixels are put back into the input blurred by 1/{BLUR} of its side, the highest of the map "
        "first; high is good"
    )
    name = "Deletion" if erase is deletion else "Insertion"
    return (
        f"{name} (Petsiuk et al. 2018): the area under {what} while {how}; {options.steps} steps, "
        "equal values together; relative: with the untouched input at 1 and the changed one at 0, where they "
        f"are {LEAST:g} or more apart; maps without a highest pixel left out. Mean over items"
    )


def _task(name: str, title: str, erase: Erase) -> Task:
    def rows(models: Models, items: Sequence[Item], methods: Sequence[Method], options: Options) -> list[Row]:
        models, view = for_input(models)
        return scored_rows(
            models, items, methods, task.columns, partial(whole_target, options),
            partial(_scoring, erase, options), seed=options.seed, view=view,
            answers=answers_of(models, options),
        )  # fmt: skip

    task = Task(
        name, title, ("responder", "captioner", "vqa", "classifier"), items_for, whole_target, rows,
        partial(protocol, erase), extras=("relative",), facts=("untouched",), span=(0.0, 1.0), costly=True,
    )  # fmt: skip
    return task


def _scoring(erase: Erase, options: Options, opened: Opened, at: int, target: Target) -> Scoring | LeftOut:
    index, reading, below = opened.reading_of[at], opened.reading(at), opened.passed.below
    if below is None or below.rescore is None:
        raise VlxError(f"{opened.passed.model} gives no way to score other pixels")
    resolved, rescore = target.resolve(reading), below.rescore
    untouched = _shares(opened.scores(at)[None].detach(), resolved, reading)
    if untouched is None:
        return LeftOut("no_probability")
    wide = torch.promote_types(below.pixels.dtype, torch.float32)
    pixels = below.pixels[index].detach().to("cpu", wide).numpy()
    empty = np.zeros_like(pixels) if erase is deletion else _blurred(pixels)

    def score(images: np.ndarray) -> np.ndarray:
        found = _shares(rescore(torch.from_numpy(images).to(below.pixels), index), resolved, reading)
        assert found is not None
        return found

    last: list[tuple[Map, Curve]] = []  # a map's area and relative area are of one curve

    def curve(plane: Map) -> Curve:
        if not last or last[0][0] is not plane:
            ranked = _on_network(plane, opened.passed.frames[index])
            last[:] = [(plane, erase(pixels, ranked, score, empty, steps=options.steps))]
        return last[0][1]

    def judge(value: Callable[[Curve], Outcome], plane: Map) -> Outcome:
        reason = flat(plane)
        return value(curve(plane)) if reason is None else Outcome(None, reason)

    return Scoring(
        partial(judge, lambda found: Outcome(found.area)),
        {"relative": partial(judge, _relative)},
        {"untouched": Outcome(float(untouched[0]))},
    )


def _relative(curve: Curve) -> Outcome:
    """The relative area, where the ends of the curve lie far enough apart to divide by."""
    apart = abs(float(curve.scores[0] - curve.scores[-1]))
    return curve.relative_area if apart >= LEAST else Outcome(None, "small_change")


def _shares(scores: torch.Tensor, target: Resolved, reading: Reading) -> np.ndarray | None:
    """The probability of a target in each of some runs; None where the model was trained for none."""
    rows, places = [term.step for term in target.terms], [term.choice for term in target.terms]
    if reading.kind == "caption":
        return scores[:, rows, places].double().mean(1).exp().cpu().numpy()
    if reading.odds == "none":
        return None
    logits = scores[:, rows[0]].double()
    shares = torch.sigmoid(logits) if reading.odds == "sigmoid" else torch.softmax(logits, -1)
    return shares[:, places[0]].cpu().numpy()


def _blurred(pixels: Pixels) -> Pixels:
    deviation = min(pixels.shape[1:]) / BLUR
    return ndimage.gaussian_filter(pixels, (0, deviation, deviation), mode="nearest")


def _on_network(plane: Map, frame: Frame) -> Map:
    """A map on the image, on the pixels of the network input."""
    weights = []
    for axis in (0, 1):
        centres = np.arange(frame.input_size[axis]) + 0.5
        at = np.array([frame.to_image(centre, centre)[axis] for centre in centres]) - 0.5
        weights.append(linear_weights(at, plane.shape[axis]))
    return weights[0] @ plane @ weights[1].T


DELETION = _task("deletion", "Deletion: the probability while the map's pixels go (low is good)", deletion)
INSERTION = _task(
    "insertion", "Insertion: the probability while the map's pixels come (high is good)", insertion
)
