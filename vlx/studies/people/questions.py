"""What raters are asked: one picture and two objects, or two pictures and which robot is more reliable.

A question stands in a row of JSON with its pictures, so that it is drawn once. It can be asked in two
arrangements, whose sides are swapped: how a rater's answer counts follows from the arrangement.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from vlx.errors import VlxError
from vlx.images.files import png_of
from vlx.show.cards import base64_text

Kind = Literal["discrimination", "trust"]
KINDS: tuple[Kind, ...] = ("discrimination", "trust")
CHECK = "attention check"
"""Stands for a visualisation in questions whose answer is plain to see."""
PHOTO = "photo"
"""A control: the photo itself in grey, which knows nothing of the category that is asked for."""
ANSWERS: Mapping[Kind, tuple[int, ...]] = {"discrimination": (1, 2), "trust": (-2, -1, 0, 1, 2)}
"""What a page can answer, in the order of its buttons: the first or second object; robot A to robot B."""


@dataclass(frozen=True, eq=False)
class Question:
    """One thing to judge, in its first arrangement: the right object, or the better model, stands first."""

    name: str
    image: str
    """The id of the image in its data."""
    group: str
    """The image and its category; a rater sees a group once."""
    shown: str
    """The method, `PHOTO` or `CHECK`."""
    options: tuple[str, str]
    """The category that the picture was made for and the other one; of trust both are the category."""
    pictures: tuple[bytes, ...]
    """JPEG: one, or two of trust, the better model's first."""
    masks: tuple[bytes, ...]
    """PNG of one bit: the pixels of each option on the picture; of trust of the category alone."""
    over_photo: bool
    """Whether the pictures are colours over a grey photo, or colours on one ground."""
    empty: bool = False
    """Whether a picture shows no evidence at all."""


def row_of(question: Question) -> dict[str, Any]:
    """A question as JSON."""
    return {
        "image": question.image,
        "group": question.group,
        "shown": question.shown,
        "options": list(question.options),
        "pictures": [base64_text(one) for one in question.pictures],
        "masks": [base64_text(one) for one in question.masks],
        "over_photo": question.over_photo,
        "empty": question.empty,
    }


def question_of(name: str, row: Mapping[str, Any]) -> Question:
    """What `row_of` wrote. Raises VlxError where it is damaged."""
    try:
        first, second = row["options"]
        return Question(
            name, row["image"], row["group"], row["shown"], (first, second),
            tuple(map(base64.b64decode, row["pictures"])), tuple(map(base64.b64decode, row["masks"])),
            bool(row["over_photo"]), bool(row["empty"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise VlxError(f"the question {name} is damaged ({error}): make the study anew") from None


def arranged(
    kind: Kind, question: Question, turned: bool
) -> tuple[tuple[str, str], tuple[bytes, ...], tuple[bytes, ...]]:
    """Options, pictures and masks as a page has them from left to right."""
    if not turned:
        return question.options, question.pictures, question.masks
    masks = question.masks if kind == "trust" else question.masks[::-1]
    first, second = question.options
    return (second, first), question.pictures[::-1], masks


def counted(kind: Kind, answer: int, turned: bool) -> float:
    """How an answer counts: 1 for the right object and 0 for the other; -2 to 2, 2 for the better model.

    >>> counted("discrimination", 2, turned=True), counted("trust", -2, turned=False)
    (1.0, 2.0)
    """
    if kind == "discrimination":
        return float((answer == 1) != turned)
    return float(answer if turned else -answer)


def jpeg_of(picture: Image.Image) -> bytes:
    """A picture as JPEG with nothing else in the file: no time, no program, no comment."""
    buffer = io.BytesIO()
    bare = Image.fromarray(np.asarray(picture.convert("RGB")))
    bare.save(buffer, "JPEG", quality=88, subsampling=0, optimize=True)
    return buffer.getvalue()


def mask_png(mask: Bool[np.ndarray, "height width"], size: tuple[int, int]) -> bytes:
    """A mask at the (width, height) of a picture."""
    whole = Image.fromarray(mask.astype(np.uint8) * 255)
    small = np.asarray(whole.resize(size, Image.Resampling.BILINEAR)) > 127
    return png_of(Image.fromarray(small.astype(np.uint8) * 255))


def pixels_of(blob: bytes) -> UInt8[np.ndarray, "height width 3"]:
    """A picture of a question."""
    return np.asarray(Image.open(io.BytesIO(blob)).convert("RGB"))


def mask_from(blob: bytes) -> Bool[np.ndarray, "height width"]:
    """A mask of a question."""
    return np.asarray(Image.open(io.BytesIO(blob)).convert("L")) > 127


def methods_in(questions: Sequence[Question]) -> list[str]:
    """The visualisations of some questions, in their order, without the checks.

    >>> methods_in([])
    []
    """
    return list(dict.fromkeys(one.shown for one in questions if one.shown != CHECK))
