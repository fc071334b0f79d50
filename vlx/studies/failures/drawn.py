"""Pictures of the maps that rows keep, for where no script draws them."""

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image

from vlx.images.frame import Frame
from vlx.show.colours import Scale, overlay

_INPUT = 1000
"""Pixels a side of the network input that positions are told in; any number would do."""


def plane_of(view: Mapping[str, Any], at: int) -> Float[np.ndarray, "row col"]:
    """The values of a map that a view keeps in 65536 steps of its scale."""
    told = view["maps"][at]
    steps = np.frombuffer(base64.b64decode(told["grid"]), "<u2").reshape(view["rows"], view["cols"])
    share = steps / 65535
    return told["high"] * (2 * share - 1 if told["signed"] else share)


def frame_of(view: Mapping[str, Any], size: tuple[int, int]) -> Frame:
    """Where the maps of a view lie on a photo of (height, width)."""
    box = tuple(share * size[axis % 2] for axis, share in enumerate(view["box"]))
    frame = Frame(size, (_INPUT, _INPUT), (box[0], box[1], box[2], box[3]))
    if view["down"] is None or view["across"] is None:
        return frame
    down, across = (tuple(share * _INPUT for share in line) for line in (view["down"], view["across"]))
    return Frame(size, frame.input_size, frame.box, centres=(down, across))


def picture_of(photo: Image.Image, view: Mapping[str, Any], at: int) -> Image.Image:
    """A map over the photo in grey, as the page draws it; gradients at the pixels alone."""
    told, size = view["maps"][at], (photo.height, photo.width)
    frame = frame_of(view, size)
    if view["pixels"]:
        top, left, bottom, right = map(round, frame.box)
        shown = Image.open(io.BytesIO(base64.b64decode(told["jpeg"]))).convert("RGB")
        picture = Image.new("RGB", photo.size, (told["zero"],) * 3)
        picture.paste(shown.resize((max(1, right - left), max(1, bottom - top))), (left, top))
        return picture
    placed = frame.on_image(torch.from_numpy(plane_of(view, at))).numpy()
    return overlay(photo, placed, Scale(told["high"], told["signed"]))


def fitted(photo: Image.Image, longest: int) -> Image.Image:
    """A photo with its longer side at most so many pixels."""
    factor = longest / max(photo.size)
    if factor >= 1:
        return photo
    return photo.resize(
        (max(1, round(photo.width * factor)), max(1, round(photo.height * factor))), Image.Resampling.LANCZOS
    )
