"""What a layer gives of images, of whatever kind a model is."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vlx.api.captions import written
from vlx.errors import ImageError, NumericError, TextError, VlxError
from vlx.eval.items.models import type_of
from vlx.images.files import open_image
from vlx.images.frame import Frame
from vlx.passes.forward import Pass
from vlx.studies.neurons.concepts import Labelled

QUESTION = "what is it ?"
"""What a VQA model is asked where only its features count."""
Read = Callable[[Sequence[Image.Image]], Pass]


@dataclass(frozen=True, eq=False)
class Seen:
    """One image, what the layer gave of it, and where the network input lies on it."""

    image: Labelled
    features: Float[Tensor, "unit row col"]
    frame: Frame


def reader(model: Any, question: str = QUESTION) -> Read:
    """How a model reads images alone: a captioner with its own captions, a VQA model with one question."""
    kind = type_of(model)
    if kind == "classifier":
        return model.read
    if kind == "vqa":
        return lambda images: model.read(images, [question] * len(images))

    def own(images: Sequence[Image.Image]) -> Pass:
        return model.read(images, written(model, images))

    return own


def grid_of(passed: Pass) -> Float[Tensor, "batch unit row col"]:
    """The features of a Pass on their grid, in float32 or better; raises NumericError where they are not
    finite.
    """
    features = passed.grid(passed.features.detach())
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    if not bool(torch.isfinite(features).all()):
        raise NumericError(f"the features at layer {passed.layer} are not finite")
    return features


def seen_images(
    read: Read, images: Sequence[Labelled], left_out: Callable[[str, str], None], batch: int = 16
) -> Iterator[Seen]:
    """What a layer gives of each image that can be read, in order; ``left_out`` is told of the others."""
    for first in range(0, len(images), batch):
        ready: list[tuple[Labelled, Image.Image]] = []
        for image in images[first : first + batch]:
            try:
                ready.append((image, open_image(image.path)))
            except ImageError as error:
                left_out("damaged_image", str(error))
        yield from _seen(read, ready, left_out)


def _seen(
    read: Read, ready: Sequence[tuple[Labelled, Image.Image]], left_out: Callable[[str, str], None]
) -> Iterator[Seen]:
    """All in one run; where that fails, because sizes differ or one is at fault, each alone."""
    if not ready:
        return
    try:
        passed = read([photo for _, photo in ready])
        features = grid_of(passed)
    except (ImageError, TextError, NumericError) as error:
        if len(ready) == 1:
            left_out("refused_image", str(error))
            return
        for one in ready:
            yield from _seen(read, [one], left_out)
        return
    for (image, _), mine, frame in zip(ready, features, passed.frames, strict=True):
        yield Seen(image, mine, frame)


def units_of(features: Tensor, units: int | None) -> int:
    """How many channels there are; raises VlxError where another image had another number."""
    if units is not None and len(features) != units:
        raise VlxError(f"the layer has {len(features)} channels, and had {units} of another image")
    return len(features)
