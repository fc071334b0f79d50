"""What a model looks at in what it decided: maps, evidence and where the maps point, as a row to keep."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os.path import isfile
from typing import Any

import numpy as np
from PIL import Image

from vlx.errors import ImageError, NumericError, TextError, VlxError
from vlx.eval.data.records import DataError
from vlx.eval.items.control_maps import activation_maps, control_maps
from vlx.eval.items.models import type_of
from vlx.eval.measures.maps import Map, Mask
from vlx.eval.measures.pointing import all_maxima, flat
from vlx.explain import explain
from vlx.explanation import Explained, Explanation
from vlx.images.files import open_image
from vlx.methods.values import Method
from vlx.passes.targets import Target
from vlx.show.cards import view_of
from vlx.show.evidence import unit
from vlx.studies.failures.decided import Decided, Job, Read
from vlx.studies.kept import Facts

PARTS = ("said", "truth", "contrast", "reverse")
"""The maps of a mistake: of what was said, of the truth, of the first less the second, and the other way."""


def reduced(image: Image.Image, factor: int) -> Image.Image:
    """An image as one of so many times fewer pixels a side, enlarged again: what is small is lost.

    >>> from PIL import Image
    >>> reduced(Image.new("RGB", (90, 60)), 3).size
    (90, 60)
    """
    if factor <= 1:
        return image
    size = max(1, image.width // factor), max(1, image.height // factor)
    return image.resize(size, Image.Resampling.BOX).resize(image.size, Image.Resampling.BILINEAR)


def row_of(model: Any, job: Job, methods: Sequence[Method], shrink: int, seed: int) -> Facts:
    """All that a model decided on one image or question: numbers, and of mistakes their maps.

    What cannot be read has ``left_out`` with a reason instead.
    """
    found = read_job(model, job, shrink)
    if isinstance(found, str):
        return {"left_out": found, "decided": []}
    read, image = found
    if not read.decided:
        return {
            "left_out": "nothing_decided", "decided": [], "counts": dict(read.counts),
            "cluster": job.item.cluster,
        }  # fmt: skip
    try:
        made = _explained(read, methods)
    except NumericError:
        return {"left_out": "not_finite", "decided": []}
    controls = _controls(job, read, image, seed)
    decided = [_decided(read, one, made[at], controls) for at, one in enumerate(read.decided)]
    return {
        "cluster": job.item.cluster,
        "text": read.text,
        "counts": dict(read.counts),
        "decided": decided,
    }


def read_job(model: Any, job: Job, shrink: int) -> "tuple[Read, Image.Image] | str":
    """What a model decides, and the image as it saw it; or why it was not read."""
    if job.item.left_out:
        return job.item.left_out
    if not isfile(job.item.image):  # or a pipe, from which reading might never come back
        return "no_image"
    try:
        image = reduced(open_image(job.item.image), shrink)
    except ImageError:
        return "damaged_image"
    try:
        return job.read(model, image), image
    except DataError:
        return "damaged_record"
    except ImageError:
        return "refused_image"
    except TextError:
        return "refused_text"


@dataclass(frozen=True, eq=False)
class _Made:
    """The explanations of one thing that was decided, by method; targets as in `PARTS`, then the others."""

    by_method: Mapping[str, Explanation]
    parts: tuple[str, ...]
    """What each target is: of `PARTS`, or ``other``."""


def _explained(read: Read, methods: Sequence[Method]) -> list[_Made]:
    """One product for all that was decided on the image."""
    asked: list[Target] = []
    spans: list[tuple[slice, tuple[str, ...]]] = []
    for one in read.decided:
        mine = dict(_targets(one))
        names = (*mine, *("other" for _ in one.others))
        start = len(asked)
        asked += [*mine.values(), *one.others]
        spans.append((slice(start, len(asked)), names))
    (whole,) = explain(read.passed, [asked], list(methods), evidence=True)
    return [
        _Made({method.name: _part(one, span) for method, one in zip(methods, whole, strict=True)}, names)
        for span, names in spans
    ]


def _targets(one: Decided) -> Iterator[tuple[str, Target]]:
    yield "said", one.said_target
    if one.truth_target is not None:
        yield "truth", one.truth_target
        yield "contrast", one.said_target - one.truth_target
        yield "reverse", one.truth_target - one.said_target


def _part(explanation: Explanation, span: slice) -> Explanation:
    return replace(explanation, raw=explanation.raw[span], targets=explanation.targets[span])


def _controls(job: Job, read: Read, image: Image.Image, seed: int) -> dict[str, Map]:
    made = control_maps(job.item, (image.height, image.width), seed)
    (activation,) = activation_maps(read.passed, [0])
    return {"centre": made["centre_prior"], "random map": made["random_map"], "mean activation": activation}


def _decided(read: Read, one: Decided, made: _Made, controls: Mapping[str, Map]) -> Facts:
    first = next(iter(made.by_method.values()))
    told = dict(zip(made.parts, first.targets, strict=True))
    facts: Facts = {
        "kind": one.kind,
        "wrong": one.wrong,
        "said": one.said,
        "truth": one.truth,
        "why": one.why,
        "word": one.at,
        "unit": unit(first),
        "scores": {name: _score(told[name]) for name in PARTS[:3] if name in told},
        "peaks": {name: _finite(float(found.grid_maps[0].max())) for name, found in made.by_method.items()},
    }
    if one.where is not None:
        own, rest = one.where.own, one.where.rest
        facts["points"] = {
            name: _points(made.parts, found, own, rest) for name, found in made.by_method.items()
        }
        facts["controls"] = {name: pointed(plane, own, rest) for name, plane in controls.items()}
        facts["area"] = float(own.mean())
    if one.wrong:
        facts["views"] = [_view(made.parts, found) for found in made.by_method.values()]
    return facts


def _score(told: Explained) -> dict[str, float | None]:
    return {
        "score": _finite(told.score),
        "probability": None if told.probability is None else _finite(told.probability),
        "image": None if told.from_image is None else _finite(told.from_image),
        "blank": None if told.blank is None else _finite(told.blank),
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _points(parts: Sequence[str], found: Explanation, own: Mask, rest: Mask) -> Facts:
    """Where each map has its maximum; of the others a list."""
    facts: Facts = {"others": []}
    for at, name in enumerate(parts):
        here = pointed(found.map(at).astype(np.float64), own, rest)
        if name == "other":
            facts["others"].append(here)
        else:
            facts[name] = here
    return facts


def pointed(plane: Map, own: Mask, rest: Mask) -> list[float] | str:
    """The shares of a map's maxima on the object that matters, on another object, and on neither.

    Mostly one maximum, so one of them is 1. Of a map without a maximum the reason why not.

    >>> own, rest = np.array([[True, False, False]]), np.array([[False, True, False]])
    >>> pointed(np.array([[2.0, 2.0, 0.0]]), own, rest), pointed(np.zeros((1, 3)), own, rest)
    ([0.5, 0.5, 0.0], 'zero_map')
    """
    reason = flat(plane)
    if reason is not None:
        return reason
    at = all_maxima(plane)
    mine, other = own[at[:, 0], at[:, 1]], rest[at[:, 0], at[:, 1]]
    return [float(mine.mean()), float(other.mean()), float((~mine & ~other).mean())]


def _shown(parts: Sequence[str], found: Explanation) -> list[Explanation]:
    """What is drawn: said and truth on one scale, and the contrast, red for what was said, on its own."""
    count = 2 if "truth" in parts else 1
    pair = _part(found, slice(0, count))
    if count == 1:
        return [pair]
    raw, forth, back = found.raw, parts.index("contrast"), parts.index("reverse")
    # A method that ends in a ReLU shows one side of the difference at a time.
    one_sided = not found.at_pixels and min(raw[forth].min(), raw[back].min()) >= 0
    signed = raw[forth] - raw[back] if one_sided else raw[forth]
    return [pair, replace(found, raw=signed[None], targets=found.targets[forth : forth + 1])]


def _view(parts: Sequence[str], found: Explanation) -> Facts:
    first, *more = [view_of(one) for one in _shown(parts, found)]
    return {**first, "maps": [*first["maps"], *(view["maps"][0] for view in more)]}


def serving(model: Any, jobs: Sequence[Job], methods: Sequence[Method], shrink: int) -> dict[str, str]:
    """Methods that the model does not allow, with why, tried on the first image where it decides anything."""
    for job in jobs:
        found = read_job(model, job, shrink)
        if isinstance(found, str) or not found[0].decided:
            continue
        refused: dict[str, str] = {}
        for method in methods:
            try:
                explain(found[0].passed, found[0].decided[0].said_target, method)
            except VlxError as error:
                refused[method.name] = str(error)
        return refused
    name = getattr(model, "name", type_of(model))
    raise VlxError(f"{name} decides nothing on these data: they show none of its classes, words or answers")
