"""The items of a batch as a model reads them: images opened, texts read, in as few Passes as they allow."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os.path import isfile
from typing import Any, Literal

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vlx.errors import ImageError, TextError, UnknownWord
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models, type_of
from vlx.eval.items.options import Options
from vlx.images.files import open_image, with_link
from vlx.passes.forward import Pass
from vlx.passes.reading import Reading

Answers = Literal["predicted", "human"]
"""Which answers are read by a model that writes them: its own, or the most frequent human ones."""


@dataclass(frozen=True)
class LeftOut:
    """Why an item has no target or no truth."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, eq=False)
class Opened:
    """Items with their images, read by the model in one Pass."""

    items: tuple[Item, ...]
    images: tuple[Image.Image, ...]
    """One for each item."""
    reading_of: tuple[int, ...]
    """Which reading of the Pass belongs to each item."""
    passed: Pass
    said: tuple[str, ...] | None = None
    """For each reading the answer that was read, of a model that writes its answers to questions."""
    mean: Float[Tensor, "reading step choice"] | None = None
    """What stands for the scores of the Pass, of images that are seen several times."""

    def reading(self, at: int) -> Reading:
        """The reading of the item at a position."""
        return self.passed.readings[self.reading_of[at]]

    def scores(self, at: int) -> Float[Tensor, "step choice"]:
        """The scores of the item at a position."""
        scores = self.passed.scores if self.mean is None else self.mean
        return scores[self.reading_of[at]]


def read_items(
    model: Any,
    items: Sequence[Item],
    view: Callable[[Image.Image], Image.Image] | None = None,
    answers: Answers | None = None,
) -> tuple[list[Opened], list[tuple[Item, LeftOut]]]:
    """Open the images and read the texts: what the model could read, and what not, with reasons.

    All are read in one Pass; only where that fails, because sizes differ or a text is at fault, each
    image and text is read alone. With ``answers`` the texts are questions, and what is read is the answer
    that the model writes, or the human one.
    """
    ready: list[tuple[Item, Image.Image]] = []
    unread: list[tuple[Item, LeftOut]] = []
    photos: dict[Any, Image.Image] = {}
    for item in items:
        if item.left_out:
            unread.append((item, LeftOut(item.left_out, item.detail)))
            continue
        if answers == "human" and not item.answer.strip():
            unread.append((item, LeftOut("unknown_answer")))
            continue
        reason = "damaged_image"
        try:
            if not isfile(item.image):  # or a pipe, from which reading might never come back
                unread.append((item, LeftOut("no_image", f"no image {with_link(item.image)}")))
                continue
            if item.image not in photos:
                photo = open_image(item.image)
                reason = "refused_image"  # which a view does, as the model says
                photos[item.image] = photo if view is None else view(photo)
            ready.append((item, photos[item.image]))
        except ImageError as error:
            unread.append((item, LeftOut(reason, str(error))))
    opened: list[Opened] = []
    # Questions one by one: some decoders see the padding of a shorter one.
    alike = dict.fromkeys("" if answers is None else item.text for item, _ in ready)
    for text in alike:
        some = ready if answers is None else [pair for pair in ready if pair[0].text == text]
        _read_or_split(model, some, opened, unread, answers)
    return opened, unread


def answers_of(models: Models, options: Options) -> Answers | None:
    """Which answers a model that writes them is explained on; None of a model that does not."""
    return options.answer if models.type == "responder" else None


def _read_or_split(
    model: Any,
    ready: list[tuple[Item, Image.Image]],
    opened: list[Opened],
    unread: list[tuple[Item, LeftOut]],
    answers: Answers | None,
) -> None:
    def read_as(item: Item) -> tuple[Any, str, str]:
        return item.image, item.text, item.answer if answers == "human" else ""

    pairs = list(dict.fromkeys(read_as(item) for item, _ in ready))
    photos = {item.image: photo for item, photo in ready}
    said = None if answers is None else [human for _, _, human in pairs]
    try:
        if answers == "predicted":
            said = model.respond([photos[image] for image, _, _ in pairs], [text for _, text, _ in pairs])
            silent = [pair for pair, text in zip(pairs, said, strict=True) if not text.strip()]
            unread.extend((item, LeftOut("said_nothing")) for item, _ in ready if read_as(item) in silent)
            ready = [(item, photo) for item, photo in ready if read_as(item) not in silent]
            said = [text for text in said if text.strip()]
            pairs = [pair for pair in pairs if pair not in silent]
            if not ready:
                return
        passed = read(model, [photos[image] for image, _, _ in pairs], [text for _, text, _ in pairs], said)
    except (ImageError, TextError) as error:
        if len(pairs) > 1:
            for pair in pairs:
                mine = [(item, photo) for item, photo in ready if read_as(item) == pair]
                _read_or_split(model, mine, opened, unread, answers)
            return
        reason = _refusal(error, pairs[0][1])
        unread.extend((item, LeftOut(reason, str(error))) for item, _ in ready)
        return
    items, images = zip(*ready, strict=True)
    reading_of = tuple(pairs.index(read_as(item)) for item in items)
    opened.append(Opened(items, images, reading_of, passed, None if said is None else tuple(said)))


def _refusal(error: ImageError | TextError, text: str) -> str:
    """Why a model does not read an image that could be opened, with this text."""
    if isinstance(error, ImageError):
        return "refused_image"
    if isinstance(error, UnknownWord):
        return "unknown_word"
    return "refused_text" if any(map(str.isalnum, text)) else "unreadable_text"


def read(
    model: Any, images: Sequence[Image.Image], texts: Sequence[str], said: Sequence[str] | None = None
) -> Pass:
    """A Pass of any model; a classifier reads no text, a model that writes them what is ``said`` to each."""
    if said is not None:
        return model.read(images, said, texts)
    return model.read(images) if type_of(model) == "classifier" else model.read(images, texts)


def again(model: Any, opened: Opened) -> Pass:
    """The same images and texts through another model."""
    first = [opened.reading_of.index(index) for index in range(opened.passed.batch)]
    texts = [opened.items[at].text for at in first]
    return read(model, [opened.images[at] for at in first], texts, opened.said)
