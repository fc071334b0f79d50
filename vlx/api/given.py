"""What people give the calls: images, names, methods; and the reading of them by a model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, SupportsIndex, cast

import numpy as np
from PIL import Image
from torch import Tensor

from vlx.api.protocols import Responder
from vlx.errors import TextError, VlxError
from vlx.explain import explain
from vlx.images.files import open_image
from vlx.methods.values import Method
from vlx.passes.forward import Pass
from vlx.passes.targets import Target, answer, label

One = str | SupportsIndex
"""A word, answer or class by its text, or by its index as Python, NumPy or torch give it."""
Some = Sequence[One] | One | np.ndarray | Tensor
"""Several, or one."""
SomeOfEach = Sequence[Some | None] | One | np.ndarray | Tensor
"""Several, one, or None for the likeliest, for each image; or one for all of them."""
Picture = str | Path | Image.Image | np.ndarray
"""An image: a file's path, a Pillow image, or an array (height, width, 3) of bytes."""
Methods = Sequence[Method | str]
"""Several methods, by themselves or by their names."""


def opened_all(call: str, images: Sequence[Picture]) -> list[Image.Image]:
    """The images of a call for several, which is named; ``explain_labels`` stands beside explain_label.

    Raises VlxError for one alone or none.
    """
    if isinstance(images, str | Path | Image.Image) or getattr(images, "ndim", 4) < 4:
        raise VlxError(f"{call} takes a list of images: for one image use {call.removesuffix('s')}")
    found = [open_image(image) for image in images]
    if not found:
        raise VlxError(f"{call} needs images: the list is empty")
    return found


def listed(given: Any) -> list[Any]:
    """A list of what is given, which may be a single text, number or target."""
    alone = isinstance(given, str | Target | int) or getattr(given, "ndim", 1) == 0
    return [given] if alone else list(cast("Sequence[Any]", given))


def one_for_each(given: Any, count: int, noun: str) -> list[Any]:
    """What is given for each of so many images; one alone is for all. Raises VlxError for other numbers."""
    if given is None or isinstance(given, str | Target | int) or getattr(given, "ndim", 1) == 0:
        return [given] * count
    found = list(cast("Sequence[Any]", given))
    if len(found) != count:
        raise TextError(f"{len(found)} {noun} for {count} images: give one, or a list of them, for each")
    return found


def against(targets: Sequence[Target], runners_up: int | None) -> list[Target]:
    """Targets, each against so many of its runners-up, where that is asked for."""
    return list(targets) if runners_up is None else [one.against_runners_up(runners_up) for one in targets]


def responder(model: Any) -> Responder:
    """A model that takes prompts. Raises VlxError for any other."""
    if not isinstance(model, Responder):
        raise VlxError(f"{type(model).__name__} takes no prompt: leave it out, or use a model that answers")
    return model


def explain_choices(
    passed: Pass,
    named: Sequence[Some | None],
    targets: Sequence[Target] | Target | None,
    method: Method | str | Methods,
    chunk: int | None,
    runners_up: int | None,
    evidence: bool,
) -> list[Any]:
    """Of each item an Explanation, or one for each of several methods, of what is named or asked for."""
    if targets is not None:
        wanted = against(listed(targets), runners_up)
        return explain(passed, wanted, method, chunk=chunk, evidence=evidence, kept=True)
    best = passed.scores[:, 0].argmax(1).tolist() if any(names is None for names in named) else []
    each = [
        against(_choice_targets(passed, item, [best[item]] if names is None else names), runners_up)
        for item, names in enumerate(named)
    ]
    return explain(passed, each, method, chunk=chunk, evidence=evidence, kept=True)


def _choice_targets(passed: Pass, item: int, names: Some) -> list[Target]:
    """The named answers or classes of an item of a Pass."""
    chosen = listed(names)
    if not chosen:
        raise VlxError("no targets to explain: give at least one answer or class, or leave them out")
    return [answer(name) if passed.readings[item].kind == "answer" else label(name) for name in chosen]
