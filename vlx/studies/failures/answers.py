"""What VQA models decide: answers that people do not give, against their most frequent one.

The object that matters is the one that the true answer names, or else the question, where the data have
instances of it. A model that writes its answers is explained at the first word by which its answer differs
from the true one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from PIL import Image

from vlx.errors import UnknownChoice, VlxError
from vlx.eval.data.folder import DataFolder
from vlx.eval.data.lexicon import visual_words
from vlx.eval.items.item import Item, seed_of
from vlx.eval.items.options import Options
from vlx.eval.items.sources import answered_items
from vlx.eval.items.truth import HumanAnswers
from vlx.eval.measures.answers import accuracy, normalise
from vlx.passes.forward import Pass
from vlx.passes.reading import Reading, need_said
from vlx.passes.targets import Target, answer, word
from vlx.studies.failures.decided import OTHERS, Decided, Job, Objects, Read, objects_of, where

RIGHT = 0.5
"""The VQA accuracy from which an answer is right: that of one that two of ten people give is .6."""


@dataclass(frozen=True, eq=False)
class _Question:
    item: Item
    truth: HumanAnswers
    objects: Objects
    others: tuple[str, ...]
    """Answers to other questions of its type, in a drawn order."""


def answer_jobs(folder: DataFolder, options: Options) -> list[Job]:
    """One for each question that people answered."""
    items = answered_items(folder, options)
    shown = objects_of(folder)
    given: dict[str, dict[str, None]] = {}
    for item in items:
        given.setdefault(item.category, {})[item.answer] = None
    found: list[Job] = []
    for item in items:
        if not isinstance(item.truth, HumanAnswers):
            found.append(Job(item, partial(_nothing, item)))
            continue
        others = [one for one in given[item.category] if one and one != item.answer]
        Random(seed_of(options.seed, f"other {item.id}")).shuffle(others)
        asked = _Question(item, item.truth, shown.get(item.cluster, {}), tuple(others))
        found.append(Job(item, partial(_read, asked)))
    return found


def _nothing(item: Item, model: Any, image: Image.Image) -> Read:
    raise VlxError(f"question {item.id} has no answers")


def _read(asked: _Question, model: Any, image: Image.Image) -> Read:
    item = asked.item
    if not hasattr(model, "answers"):
        return _written(asked, model, image)
    passed = model.read([image], [item.text])
    reading, scores = passed.readings[0], passed.scores[0, 0].detach()
    best = int(scores.argmax())
    said = reading.choices.names[best]
    right = accuracy(said, asked.truth.answers) >= RIGHT
    truth = None if right else _choice(reading, item.answer)
    known = [at for one in asked.others if (at := _choice(reading, one)) is not None]
    others = [at for at in known if at not in (best, truth)]
    return Read(
        passed,
        (
            _decided(
                asked, image, said, right, answer(best),
                None if truth is None else answer(truth),
                list(map(answer, others[:OTHERS])),
            ),
        ),
        item.text,
    )  # fmt: skip


def _written(asked: _Question, model: Any, image: Image.Image) -> Read:
    """Of a model that writes its answers."""
    (said,) = model.respond([image], [asked.item.text])
    need_said([said])
    passed: Pass = model.read([image], [said], [asked.item.text])
    reading = passed.readings[0]
    right = accuracy(said.strip().rstrip("."), asked.truth.answers) >= RIGHT
    mine, theirs = [one.text for one in reading.words], asked.item.answer.split()
    pairs = enumerate(zip(mine, theirs, strict=False))
    at = next((place for place, (one, other) in pairs if normalise(one) != normalise(other)), 0)

    def instead(text: str) -> Target | None:
        first = (text.split()[at:] or [""])[0]
        return word(at, instead=first) if first and _choice(reading, first) is not None else None

    others = [one for text in asked.others if (one := instead(text)) is not None]
    truth = None if right else instead(asked.item.answer)
    return Read(
        passed,
        (_decided(asked, image, said, right, word(at), truth, others[:OTHERS]),),
        asked.item.text,
    )


def _decided(
    asked: _Question,
    image: Image.Image,
    said: str,
    right: bool,
    target: Target,
    truth: Target | None,
    others: Sequence[Target],
) -> Decided:
    return Decided(
        "answer", not right, said, target,
        truth="" if right else asked.item.answer, truth_target=truth,
        why="" if right or truth is not None else "unknown_answer", others=tuple(others),
        where=_where(asked, (image.height, image.width)),
    )  # fmt: skip


def _choice(reading: Reading, name: str) -> int | None:
    """The place of an answer, or of a word, among those that the model has."""
    try:
        return reading.choices.index(name) if name in reading.choices else None
    except UnknownChoice:  # several are called so
        return None


def _where(asked: _Question, size: tuple[int, int]) -> Any:
    """The object that the true answer names, or else the question."""
    for text in (asked.item.answer, asked.item.text):
        named = [one.category for one in visual_words(text) if one.category in asked.objects]
        if named:
            return where(asked.objects, named, size)
    return None
