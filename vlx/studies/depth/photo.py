"""One photo of one's own: a class, an answer or a word at every layer, and several models side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image

from vlx.api import written
from vlx.errors import VlxError
from vlx.eval.items.models import ModelType, type_of
from vlx.images.files import open_image
from vlx.load import load
from vlx.methods.values import Method, method_named
from vlx.passes.forward import Pass
from vlx.passes.targets import Target, answer, label, word
from vlx.studies.depth.drawn import layers_figure, models_figure
from vlx.studies.depth.maps import AtLayer, Read, layers_of
from vlx.studies.depth.measured import alike
from vlx.studies.found import Findings, Number, Picture, Table
from vlx.studies.page import write_findings

SIDE_BY_SIDE = ("guided_backprop", "grad_cam", "guided_grad_cam")
"""The columns of the paper's figure 19."""


@dataclass(frozen=True)
class DepthPhotoSettings:
    """What is drawn of a photo."""

    image: Path
    models: tuple[str, ...] = ()
    """None takes a built-in one that does what is asked."""
    names: tuple[str, ...] = ()
    """Classes, answers, or words of the caption; by default the likeliest of each model, or all words."""
    question: str | None = None
    caption: str | None = None
    method: str = "grad_cam"
    """At each layer."""
    layers: tuple[str | int, ...] = ()
    device: str = "cpu"


def depth_photo_study(
    settings: DepthPhotoSettings, out: Path, *, models: Mapping[str, Any] | None = None
) -> Findings:
    """Draw one photo at every layer of each model, and several models side by side; write what was found.

    ``models`` serve in the place of those that the settings name. Raises VlxError where a model does not know
    what is asked, or nothing can be drawn.
    """
    image, method = open_image(settings.image), method_named(settings.method)
    opened = _opened(settings) if models is None else dict(models)
    tables, pictures, notes, answers = list[Table](), list[Picture](), list[str](), list[str]()
    runs: list[tuple[str, Pass, Target]] = []
    for name, model in opened.items():
        read = _reads(settings, name, model, image)
        passed = read(model)
        targets = _targets(settings, passed)
        runs.append((name, passed, targets[0][1]))
        try:
            layers = layers_of(model, read, settings.layers)
            png, found = layers_figure(model, read, layers, targets, method)
        except VlxError as error:
            if len(opened) == 1:
                raise
            notes.append(f"{name} is not drawn over its layers: {error}")
            continue
        told = ", ".join(one for one, _ in targets)
        pictures.append(Picture(f"{name}: {told} at every layer, the deepest first", png))
        of = f" ({name})" if len(opened) > 1 else ""
        table = _neighbours(found, targets, of)
        tables.append(table)
        answers.append(_said(found, table, name, of))
    if len(opened) > 1 or settings.question is not None:
        picture, table, refused = _side_by_side(runs, method)
        pictures.insert(0, picture)
        tables.insert(0, table)
        notes += refused
        answers.insert(
            0, f"{'; '.join(f'{one.name} {one.value:.2f}' for one in table.numbers[: len(runs)])}."
        )
    facts = {**asdict(settings), "image": settings.image.name, "models": list(opened)}
    facts |= {"names": list(settings.names), "layers": list(settings.layers)}
    result = Findings(
        "depth",
        f"Maps over depth: {settings.image.name}",
        "Where does each layer, and each model, look for what is asked?",
        " ".join(answers),
        tuple(tables),
        facts,
        tuple(pictures),
        notes=tuple(notes),
    )
    write_findings(out, result)
    return result


def _opened(settings: DepthPhotoSettings) -> dict[str, Any]:
    asks, says = settings.question is not None, settings.caption is not None
    usual = "scenes/vqa" if asks else "scenes/captioner" if says else "scenes/classifier-gap"
    return {name: load(name, device=settings.device) for name in settings.models or (usual,)}


def _reads(settings: DepthPhotoSettings, name: str, model: Any, image: Image.Image) -> Read:
    kind: ModelType = type_of(model)
    if kind == "classifier":
        return lambda one: one.read([image])
    if kind == "vqa":
        if settings.question is None:
            raise VlxError(f"{name} answers questions: give one, as in --question 'what is it ?'")
        return lambda one: one.read([image], [settings.question])
    if settings.question is not None:
        raise VlxError(f"{name} chooses no answer from a list: its answers are words, so give a --caption")
    said = written(model, [image])[0] if settings.caption is None else settings.caption
    return lambda one: one.read([image], [said])


def _targets(settings: DepthPhotoSettings, passed: Pass) -> list[tuple[str, Target]]:
    """What is drawn of a photo, with its names."""
    reading = passed.readings[0]
    if reading.kind == "caption":
        chosen = [word(one) for one in settings.names or range(len(reading.words))]
    else:
        make = answer if reading.kind == "answer" else label
        count = 1 if reading.kind == "answer" else 2
        row = passed.scores[0, 0].detach()
        likeliest = row.topk(min(count, len(row))).indices.tolist()
        chosen = [make(one) for one in settings.names or likeliest]
    return [(one.resolve(reading).name, one) for one in chosen]


def _neighbours(found: Sequence[AtLayer], targets: Sequence[tuple[str, Target]], of: str) -> Table:
    """How like the maps of neighbouring layers are, where the grid stays and where it is coarser."""
    numbers: list[Number] = []
    kinds: dict[bool, list[float]] = {False: [], True: []}
    for below, above in pairwise(found):
        values = [alike(below.found[0].map(at), above.found[0].map(at)).value for at in range(len(targets))]
        kept = [value for value in values if value is not None]
        if kept:
            kinds[below.grid != above.grid] += kept
            name = f"{below.layer} to {above.layer}{of}"
            numbers.append(Number(name, sum(kept) / len(kept), len(kept)))
    for coarser, said in ((False, "where the grid stays"), (True, "across a down-sampling")):
        if kinds[coarser]:
            mean = sum(kinds[coarser]) / len(kinds[coarser])
            numbers.append(Number(f"{said}{of}", mean, len(kinds[coarser])))
    return Table(
        f"Rank correlation of the maps of neighbouring layers{of}",
        tuple(numbers),
        "On 14 x 14 cells of the photo; the mean over what is drawn. One photo: no intervals.",
    )


def _said(found: Sequence[AtLayer], table: Table, name: str, of: str) -> str:
    known = {one.name: one.value for one in table.numbers}
    within, across = known.get(f"where the grid stays{of}"), known.get(f"across a down-sampling{of}")
    text = f"{name} at {len(found)} layers"
    if within is not None and across is not None:
        text += (
            f": neighbours are alike by {within:.2f} where the grid stays, {across:.2f} where it is coarser"
        )
    return f"{text}."


def _side_by_side(
    runs: Sequence[tuple[str, Pass, Target]], method: Method
) -> tuple[Picture, Table, list[str]]:
    """The figure of all models, what each says, and how like their maps are."""
    notes: list[str] = []
    names = [*SIDE_BY_SIDE] if method.name in SIDE_BY_SIDE else [method.name, *SIDE_BY_SIDE]
    try:
        png, found = models_figure(runs, [method_named(name) for name in names])
    except VlxError as error:
        notes.append(f"side by side by {method.name} alone: {error}")
        names = [method.name]
        png, found = models_figure(runs, [method])
    at = names.index(method.name)
    said = [explained[at].targets[0] for explained in found]
    numbers = [
        Number(f"{name} says {one.name}", one.score if one.probability is None else one.probability, 1)
        for (name, _, _), one in zip(runs, said, strict=True)
    ]
    for first in range(len(runs)):
        for second in range(first + 1, len(runs)):
            value = alike(found[first][at].map(0), found[second][at].map(0)).value
            if value is not None:
                numbers.append(Number(f"likeness of {runs[first][0]} and {runs[second][0]}", value, 1))
    table = Table(
        "What each model says, and how like their maps are",
        tuple(numbers),
        f"Probabilities of what is drawn; likeness is Spearman's correlation of the {method.name} maps on 14 "
        "x 14 cells of the photo.",
    )
    told = ", ".join(name for name, _, _ in runs)
    return (
        Picture(f"{told}: the photo with what each says, and its maps by {', '.join(names)}", png),
        table,
        notes,
    )
