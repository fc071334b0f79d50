"""Studies with people that need no model: coloured squares as pictures."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from vlx.studies.people.key import Key, about, write_key
from vlx.studies.people.make import Made
from vlx.studies.people.plan import assigned, opaque
from vlx.studies.people.questions import CHECK, Kind, Question, jpeg_of, mask_png

METHODS = ("guided_backprop", "guided_grad_cam")


def square(side: int, left: bool) -> Image.Image:
    """Grey, with a red square in one half."""
    pixels = np.full((side, side, 3), 128, np.uint8)
    pixels[side // 4 : side // 2, slice(0, side // 4) if left else slice(-side // 4, None)] = (220, 20, 20)
    return Image.fromarray(pixels)


def halves(side: int) -> tuple[bytes, bytes]:
    """Masks of the left and of the right half."""
    left = np.zeros((side, side), bool)
    left[:, : side // 2] = True
    return mask_png(left, (side, side)), mask_png(~left, (side, side))


def question(kind: Kind, image: int, category: int, shown: str, side: int = 32) -> Question:
    """One question about image ``image``; the right object lies on the left, the better model looks at it."""
    names = (f"thing{image}a", f"thing{image}b")
    options = (names[category], names[1 - category]) if kind == "discrimination" else (names[0], names[0])
    count = 1 if kind == "discrimination" else 2
    pictures = tuple(jpeg_of(square(side, left)) for left in (True, False)[:count])
    masks = halves(side)[: 3 - count]
    group = f"{image}/{names[category]}"
    return Question(f"{group}/{shown}", str(image), group, shown, options, pictures, masks, False)


def questions(
    kind: Kind, images: int = 6, checks: int = 4, methods: tuple[str, ...] = METHODS
) -> list[Question]:
    """Both categories of so many images (of trust one) by each method, and checks."""
    categories = (0, 1) if kind == "discrimination" else (0,)
    found = [question(kind, i, c, m) for i in range(images) for c in categories for m in methods]
    for at in range(checks):
        plain = question(kind, 100 + at, 0, CHECK)
        found.append(Question(f"check {at}", plain.image, f"check {at}", *_rest(plain)))
    return found


def _rest(one: Question) -> tuple:
    return one.shown, one.options, one.pictures, one.masks, one.over_photo


def study(
    folder: Path,
    kind: Kind,
    *,
    images: int = 6,
    ratings: int = 4,
    per_rater: int = 6,
    checks: int = 4,
    seed: int = 0,
    simulated: bool = False,
) -> Made:
    """A study in a folder, without its pages."""
    asked = questions(kind, images, checks)
    orders = assigned(asked, ratings, per_rater, checks, seed)
    codes = opaque([one.name for one in asked], seed)
    raters = {
        f"rater-{at:02}": tuple(codes[one.question, one.turned] for one in mine)
        for at, mine in enumerate(orders)
    }
    key = Key(
        kind, "cafe", raters, {code: named for named, code in codes.items()},
        {one.name: about(one) for one in asked}, {"methods": list(METHODS), "checks": checks}, {}, simulated,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    write_key(folder, key)
    return Made(folder, {one.name: one for one in asked}, key)


def jpeg(blob: bytes) -> Image.Image:
    """A picture of a page."""
    return Image.open(io.BytesIO(blob))
