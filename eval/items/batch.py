"""One batch of items through a model: images opened, texts read, maps made, rows out.

Items of one image and text share one reading of the Pass, and all their maps come from one product.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os.path import isfile
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vlx.errors import ImageError, NumericError, TextError, UnknownWord, VlxError
from vlx.eval.data.records import DataError
from vlx.eval.items.control_maps import activation_maps, control_maps
from vlx.eval.items.item import Item
from vlx.eval.items.models import Models, type_of
from vlx.eval.items.options import Options
from vlx.eval.items.rows import SCORE, Row, left_out, row_of
from vlx.eval.measures.maps import Map
from vlx.eval.measures.statistics import Outcome
from vlx.explain import explain
from vlx.images.files import open_image, with_link
from vlx.methods.values import Method
from vlx.passes.forward import Pass
from vlx.passes.reading import Reading
from vlx.passes.targets import Target

Answers = Literal["predicted", "human"]
"""Which answers are read by a model that writes them: its own, or the most frequent human ones."""
Judge = Callable[[Map], Outcome]
"""What a map is worth."""


@dataclass(frozen=True)
class LeftOut:
    """Why an item has no target or no truth."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, eq=False)
class Scoring:
    """How the maps of one item are scored."""

    score: Judge
    """Of the method's map and of every control."""
    extras: Mapping[str, Judge] = field(default_factory=dict[str, Judge])
    """Further columns, of the method's map alone."""
    facts: Mapping[str, Outcome] = field(default_factory=dict[str, Outcome])
    """Columns that need no map."""


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

    def reading(self, at: int) -> Reading:
        """The reading of the item at a position."""
        return self.passed.readings[self.reading_of[at]]

    def scores(self, at: int) -> Float[Tensor, "step choice"]:
        """The scores of the item at a position."""
        return self.passed.scores[self.reading_of[at]]


@dataclass(frozen=True, eq=False)
class TargetMap:
    """What a method shows for one target."""

    plane: Map
    """On the pixels of the item's image."""
    target: str
    """The target's name."""


TargetOf = Callable[[Opened, int], Target | LeftOut]
"""The target of the item at a position."""
ScoringOf = Callable[[Opened, int, Target], Scoring | LeftOut]
"""How its maps are scored; may raise DataError where the truth is damaged or does not fit the image."""


def scored_rows(
    models: Models,
    items: Sequence[Item],
    methods: Sequence[Method],
    columns: Sequence[str],
    target_of: TargetOf,
    scoring_of: ScoringOf,
    *,
    seed: int = 0,
    view: Callable[[Image.Image], Image.Image] | None = None,
    answers: Answers | None = None,
) -> list[Row]:
    """Rows of a batch, in the order of the items and, for each, of the methods.

    ``view`` changes every image before the model sees it; maps lie on what it gives. ``answers`` says
    which are explained of a model that writes them (see `answers_of`). Data that are damaged, and what the
    model does not take, become rows that say so; any other error of the model or the method is raised (see
    `vlx.eval.runs.isolated`).
    """
    names = [method.name for method in methods]
    opened, unread = read_items(models.trained, items, view, answers)
    found = {item.id: left_out(item, names, columns, why.reason, why.detail) for item, why in unread}
    for part in opened:
        for at, made in enumerate(_measured(models, part, methods, target_of, scoring_of, seed)):
            item = part.items[at]
            if isinstance(made, LeftOut):
                made = left_out(item, names, columns, made.reason, made.detail)
            found[item.id] = made
    return [row for item in items for row in found[item.id]]


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


def maps_of(
    opened: Opened, passed: Pass, targets: Sequence[Target | LeftOut], method: Method
) -> list[TargetMap | None]:
    """The map of each item's target; None where there is no target.

    ``passed`` is the items' own Pass or that of another model on the same readings (see `again`).
    """
    asked: list[list[Target]] = [[] for _ in range(passed.batch)]
    numbers: list[int] = []
    for index, target in zip(opened.reading_of, targets, strict=True):
        numbers.append(len(asked[index]))
        if isinstance(target, Target):
            asked[index].append(target)
    explained = explain(passed, asked, method)
    return [
        TargetMap(explained[index].map(number).astype(np.float64), explained[index].targets[number].name)
        if isinstance(target, Target)
        else None
        for index, number, target in zip(opened.reading_of, numbers, targets, strict=True)
    ]


def _measured(
    models: Models,
    opened: Opened,
    methods: Sequence[Method],
    target_of: TargetOf,
    scoring_of: ScoringOf,
    seed: int,
) -> list[list[Row] | LeftOut]:
    count = len(opened.items)
    targets = [target_of(opened, at) for at in range(count)]
    results: list[list[Row] | LeftOut] = [t if isinstance(t, LeftOut) else [] for t in targets]
    if all(isinstance(target, LeftOut) for target in targets):
        return results
    activations = activation_maps(opened.passed, opened.reading_of)
    judges = [_judged(opened, at, targets[at], scoring_of, activations[at], seed) for at in range(count)]
    unlearned = again(models.shuffled, opened)
    for method in methods:
        own = maps_of(opened, opened.passed, targets, method)
        other = _unlearned_maps(opened, unlearned, targets, method)
        for at, (judge, mine, shuffled) in enumerate(zip(judges, own, other, strict=True)):
            if isinstance(judge, LeftOut):
                results[at] = judge
            elif mine is not None:
                results[at] = _added(results[at], opened, at, method, judge, mine, shuffled)
    return results


def _unlearned_maps(
    opened: Opened, passed: Pass, targets: Sequence[Target | LeftOut], method: Method
) -> list[TargetMap | None]:
    """The maps under shuffled weights; None for one item alone where those give no finite numbers."""
    try:
        return maps_of(opened, passed, targets, method)
    except NumericError:
        if len(opened.items) > 1:
            raise
        return [None]


def _judged(
    opened: Opened, at: int, target: Target | LeftOut, scoring_of: ScoringOf, activation: Map, seed: int
) -> tuple[Scoring, dict[str, Outcome]] | LeftOut:
    """How an item is scored, with the outcomes that are the same for every method."""
    if isinstance(target, LeftOut):
        return target
    item, image = opened.items[at], opened.images[at]
    try:
        scoring = scoring_of(opened, at, target)
    except DataError as error:
        return LeftOut("damaged_record", " ".join(str(error).split()))
    if isinstance(scoring, LeftOut):
        return scoring
    made = control_maps(item, (image.height, image.width), seed)
    try:  # these maps are sound, so that it is the truth that does not fit the image
        known = {name: scoring.score(plane) for name, plane in made.items()}
    except VlxError as error:
        return LeftOut("damaged_record", " ".join(str(error).split()))
    return scoring, {"mean_activation": scoring.score(activation), **known, **scoring.facts}


def _added(
    rows: list[Row] | LeftOut,
    opened: Opened,
    at: int,
    method: Method,
    judge: tuple[Scoring, dict[str, Outcome]],
    mine: TargetMap,
    shuffled: TargetMap | None,
) -> list[Row]:
    scoring, known = judge
    outcomes = {SCORE: scoring.score(mine.plane), **known}
    outcomes["random_weights"] = (
        Outcome(None, "not_finite") if shuffled is None else scoring.score(shuffled.plane)
    )
    outcomes |= {name: extra(mine.plane) for name, extra in scoring.extras.items()}
    unknown = len(opened.reading(at).unknown)
    row = row_of(opened.items[at], method.name, outcomes, target=mine.target, unknown=unknown)
    return [*(rows if isinstance(rows, list) else []), row]
