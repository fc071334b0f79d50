"""One decision about one photo, told in the names of neurons, as text and as a figure."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vlx.api.captions import written
from vlx.errors import TextError
from vlx.eval.items.models import type_of
from vlx.eval.items.opened import read
from vlx.eval.runs.repeatable import repeatable
from vlx.images.files import open_image
from vlx.methods.gradients import values_of
from vlx.passes.forward import Pass
from vlx.passes.targets import Resolved, Target, answer, label, word
from vlx.studies.found import Findings, Number, Picture, Table
from vlx.studies.neurons.concepts import MaskData, drawn_images
from vlx.studies.neurons.decisions import words_of
from vlx.studies.neurons.drawn import best_photos
from vlx.studies.neurons.explained import Neuron, Telling, Told, sentence, tell
from vlx.studies.neurons.features import grid_of
from vlx.studies.neurons.importance import importances
from vlx.studies.neurons.named import Named, Neurons, dissection_facts, mask_data, named, open_model
from vlx.studies.neurons.pictures import Explained, Photo, neuron_figure
from vlx.studies.page import write_findings


def neurons_photo(
    settings: Neurons,
    photo: Path,
    out: Path,
    *,
    of: str | None = None,
    text: str | None = None,
    progress: Callable[[str], None] = print,
) -> tuple[Findings, Path]:
    """Tell a decision about a photo in the names of neurons; returns the findings and their folder.

    ``of`` is a class, an answer or a word, by default the likeliest, or the first word of the caption that
    names a concept; ``text`` is the question to a VQA model, or a caption in the place of the model's own.
    Names are those of the labels of ``settings.masks``, else ``settings.data``; they are kept in the folder
    ``out``.
    """
    with repeatable(settings.threads):
        picture = open_image(photo)
        model = open_model(settings)
        masks = drawn_images(
            mask_data(settings.masks or settings.data, settings.split, settings.categories),
            settings.limit, settings.seed,
        )  # fmt: skip
        said = _text(model, picture, text)
        passed = read(model, [picture], [said])
        target = _target(passed, of, masks)
        known = named(model, masks, settings, out, progress)
        importance = importances(passed, [[target.terms]])[0, 0].double().cpu().numpy()
        features = grid_of(passed)[0]
        activity = features.mean((-1, -2)).double().cpu().numpy()
        found = tell(importance, known.names, settings.telling, activity)
        shown = Explained(Photo(picture, features, passed.frames[0]), target.name, importance, found, said)
        neurons = [*found.persuasive, *found.inhibitive]
        best = best_photos(settings, known, [one.unit for one in neurons])
        figure = neuron_figure(shown, known.found.thresholds, best)
        score = float(values_of(passed, [[target.terms]], 1)[0, 0])
        facts = {
            **dissection_facts(model, masks, settings), "image": photo.name, "of": target.name, "text": said,
            "count": settings.count, "iou": settings.iou, "order": settings.order, "weighted":
            settings.weighted, "names": None if settings.names is None else settings.names.name,
        }  # fmt: skip
    findings = _findings(settings, known, target, score, passed.quantity, found, figure, facts)
    folder = out / "photos" / f"{_safe(photo.stem)}-{_safe(target.name)}"
    write_findings(folder, findings)
    return findings, folder


def _text(model: Any, picture: Any, text: str | None) -> str:
    kind = type_of(model)
    if kind == "classifier":
        if text is not None:
            raise TextError("a classifier reads no text: leave out --text")
        return ""
    if kind == "vqa":
        if text is None or not text.strip():
            raise TextError("a VQA model answers a question: give one with --text")
        return text
    return written(model, [picture])[0] if text is None else text


def _target(passed: Pass, of: str | None, masks: MaskData) -> Resolved:
    """What is explained, on the one reading of a Pass."""
    reading = passed.readings[0]
    if reading.kind == "caption":
        which = of or next((name for name, _, _ in words_of(reading, masks)), None)
        if which is None:
            raise TextError(f"no word of {reading.text!r} names a concept of {masks.name}: pick one by --of")
        return word(which).resolve(reading)
    make: Callable[[Any], Target] = answer if reading.kind == "answer" else label
    best = int(passed.scores[0, 0].detach().argmax())
    return make(best if of is None else of).resolve(reading)


def _findings(
    settings: Neurons,
    known: Named,
    target: Resolved,
    score: float,
    quantity: str,
    found: Told,
    figure: bytes,
    facts: dict[str, Any],
) -> Findings:
    text = sentence(target.name, found)
    tables = tuple(
        Table(f"Importance of {role} neurons", _numbers(neurons), _protocol(settings.telling))
        for role, neurons in (("persuasive", found.persuasive), ("inhibitive", found.inhibitive))
        if neurons
    )
    named_units = sum(one.name is not None for one in (*found.persuasive, *found.inhibitive))
    notes = (
        f"The {quantity} of {target.name} is {score:.3g}. {named_units} of the neurons told have a name.",
        "One decision is no measurement: vlx study neurons without --image measures over a data set how far "
        "such names can be trusted.",
        f"Names: {known.table if known.given is None else settings.names}.",
    )
    return Findings(
        "neurons",
        f"Why “{target.name}”?",
        f"Which concepts do the neurons detect that persuade and inhibit {settings.model} here?",
        text,
        tables,
        facts,
        (Picture(text, figure),),
        {},
        notes,
    )


def _numbers(neurons: Sequence[Neuron]) -> tuple[Number, ...]:
    most = max((abs(one.importance) for one in neurons), default=0.0)
    digits = 3 if most == 0 else max(0, 2 - math.floor(math.log10(most)))
    return tuple(
        Number(
            f"unit {one.unit}: {'no name' if one.name is None else f'{one.name} ({one.category})'}, IoU "
            f"{one.iou:.2f}",
            float(np.round(one.importance, digits)), 1, digits=digits,
        )
        for one in neurons
    )  # fmt: skip


def _protocol(how: Telling) -> str:
    order = "dropped from those taken" if how.order == "select" else "dropped before"
    times = ", times the mean activation of the unit" if how.weighted else ""
    return (
        f"Eq. 1: the mean over places of the gradient of the score{times}; at most {how.count} above or "
        f"below 0. A name is told by an IoU above {how.iou:g}; units without one are {order}."
    )


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)[:60] or "_"
