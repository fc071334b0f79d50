"""One photo of one's own: drive a class, an answer or a word of its caption to a target; draw the maps."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vlx.api import written
from vlx.errors import Doubt, VlxError
from vlx.eval.data.lexicon import visual_words
from vlx.eval.items.models import types_of
from vlx.explain import explain
from vlx.images.files import open_image, png_of, write_whole
from vlx.load import load
from vlx.methods.values import method_named
from vlx.passes.forward import Pass
from vlx.passes.targets import Target, answer, label, word
from vlx.studies.adversarial.attack import (
    Attack,
    attack,
    goal_of,
    noise,
    pass_of,
    picture,
    probability,
)
from vlx.studies.adversarial.drawn import figure_png
from vlx.studies.adversarial.measured import alike
from vlx.studies.found import Findings, Number, Picture, Table
from vlx.studies.page import write_findings

ATTACKED = "attacked.png"
_LIKELIEST = 2


@dataclass(frozen=True)
class PhotoSettings:
    """What is attacked in a photo."""

    image: Path
    target: str
    """A class, an answer, or a word that takes the place of one of the caption."""
    model: str = "scenes/classifier"
    of: tuple[str, ...] = ()
    """What is there, whose maps are drawn: classes or answers; by default the likeliest."""
    question: str | None = None
    caption: str | None = None
    """None lets a captioner write its own."""
    word: str | int | None = None
    """Of the caption, by itself or its position from 0; None takes the first that names an object."""
    method: str = "grad_cam"
    layer: str | int | None = None
    how: Attack = field(default_factory=Attack)
    device: str = "cpu"


def photo_study(settings: PhotoSettings, out: Path, *, model: Any = None) -> Findings:
    """Attack one photo; write the figure, the attacked pixels as ``attacked.png``, and what was found.

    The file holds the network input in 8 bits, as large as the network takes it. Raises VlxError where the
    model does not know the target, or nothing tells what is asked.
    """
    model = load(settings.model, layer=settings.layer, device=settings.device) if model is None else model
    image, method = open_image(settings.image), method_named(settings.method)
    passed, target, true = _asked(settings, model, image)
    goal, reading = goal_of(passed, target, true), passed.readings[0]
    names = [one.resolve(passed.readings[0]).name for one in true]
    aim = target.resolve(passed.readings[0]).name
    there = list(zip(names, true, strict=True))
    if any(goal.up == goal_of(passed, one).up for one in true):
        raise VlxError(f"{aim} is what the photo is said to show: give another --target")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Doubt)
        found = attack(passed, goal, settings.how)
        png = figure_png(passed, found, there, (aim, target), method, settings.how)
        runs = {
            "original": passed,
            "attacked": pass_of(passed, found.pixels),
            "noise of the same size": pass_of(passed, noise(passed, settings.how.size, settings.how.seed)),
        }
        shown = {when: explain(run, true, method)[0].maps for when, run in runs.items()}
    file = picture(passed, found.pixels)
    sure = [
        Number(f"{name}, {when}", _share(run, one), 1, control="noise" in when, digits=6)
        for name, one in [(aim, target), *there]
        for when, run in runs.items()
    ]
    sure.append(Number(f"{aim}, rounded to 8 bits", found.rounded, 1, digits=6))
    again, said = _read_again(settings, model, passed, file, goal)
    if again is not None:
        sure.append(Number(f"{aim}, {ATTACKED} read by the model", again, 1, digits=6))
    like = [
        Number(f"{name}, {when}", value, 1, control="noise" in when)
        for at, name in enumerate(names)
        for when in ("attacked", "noise of the same size")
        if (value := alike(shown["original"][at], shown[when][at]).value) is not None
    ]
    notes = [
        f"{ATTACKED} holds what the network is given, {file.width} x {file.height} pixels of 8 bits: a model "
        "that resizes or crops reads it otherwise.",
        *([f"Of {ATTACKED} the model writes: {said}"] if said else []),
    ]
    what = f"{aim} has {found.after:.6f} after {found.steps} steps, {found.before:.6f} before"
    result = Findings(
        "adversarial",
        f"Adversarial noise: {settings.image.name} as {aim}",
        "Do the maps of what is there still show it when the model is sure of something else?",
        f"{what}; {'reached' if found.reached else 'not reached'}, the largest change {found.size:.1f}/255.",
        (
            Table(
                "Probabilities",
                tuple(sure),
                "In the photo, after the attack, and under random noise as large.",
            ),
            Table(
                "Rank correlation with the map of the original", tuple(like), "On 14 x 14 cells of the photo."
            ),
        ),
        {
            **_told(settings),
            "layer": passed.layer,
            "text": reading.prompt or reading.text,
        },
        (
            Picture(
                f"Above the original, below the attack, with the maps of {', '.join(names)} and {aim}", png
            ),
        ),
        notes=tuple(notes),
    )
    write_findings(out, result)
    write_whole(out / ATTACKED, png_of(file))
    return result


def _share(run: Pass, target: Target) -> float:
    return probability(run, run.scores, goal_of(run, target))


def _asked(settings: PhotoSettings, model: Any, image: Any) -> tuple[Pass, Target, list[Target]]:
    """The Pass of a photo, the target, and what is there."""
    kind = types_of(model)[0]
    if kind == "classifier":
        passed: Pass = model.read([image])
        return passed, label(settings.target), _named(passed, settings.of, label)
    if kind == "vqa":
        if settings.question is None:
            raise VlxError(f"{settings.model} answers questions: give one, as in --question 'what is it ?'")
        passed = model.read([image], [settings.question])
        return passed, answer(settings.target), _named(passed, settings.of, answer, 1)
    if kind != "captioner":
        raise VlxError(f"{settings.model} chooses no class, no answer from a list and no word: no attack")
    said = written(model, [image])[0] if settings.caption is None else settings.caption
    passed = model.read([image], [said])
    at = _position(passed, settings.word)
    others = [word(one) for one in settings.of]
    return passed, word(at, instead=settings.target), [word(at), *others]


def _named(passed: Pass, of: Sequence[str], target: Any, count: int = _LIKELIEST) -> list[Target]:
    if of:
        return [target(one) for one in of]
    row = passed.scores[0, 0].detach()
    return [target(at) for at in row.topk(min(count, len(row))).indices.tolist()]


def _position(passed: Pass, given: str | int | None) -> int:
    """Where the word stands that is driven elsewhere: the first that names an object, or the given."""
    reading = passed.readings[0]
    if given is not None:
        (at,) = word(given).resolve(reading).words
        return at
    tokens = [one.text for one in reading.words]
    found = visual_words(tokens)
    if not found:
        raise VlxError(f"no word of {reading.text!r} names an object: give --word")
    return found[0].head(tokens)


def _read_again(
    settings: PhotoSettings, model: Any, passed: Pass, file: Any, goal: Any
) -> tuple[float | None, str]:
    """The target's probability in the file, and what a captioner writes of it."""
    kind = types_of(model)[0]
    if kind == "classifier":
        run = model.read([file])
    elif kind == "vqa":
        run = model.read([file], [settings.question])
    else:
        run = model.read([file], [passed.readings[0].text])
        if run.scores.shape[1:] != passed.scores.shape[1:]:
            return None, written(model, [file])[0]
        return probability(run, run.scores, goal), written(model, [file])[0]
    return probability(run, run.scores, goal), ""


def _told(settings: PhotoSettings) -> dict[str, Any]:
    facts = asdict(settings)
    return {**facts, "image": settings.image.name, "of": list(settings.of)}
