"""Decisions of a model over a data set, with the importances of all units: one row an image.

Of a classifier it is the likeliest class, of a VQA model the likeliest answer to each question of the folder,
of a captioner each word of its own caption that names a concept of the data. Beside each stands another
decision at the same place, for a concept of the same category that the image does not show.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from vlx.api.captions import written
from vlx.eval.data.classes import matched, names_of
from vlx.eval.data.lexicon import visual_words
from vlx.eval.data.vqa import Question
from vlx.eval.items.item import seed_of
from vlx.eval.items.models import type_of
from vlx.eval.items.opened import read
from vlx.images.files import open_image
from vlx.passes.forward import Pass
from vlx.passes.reading import Choices, Reading
from vlx.passes.targets import Term
from vlx.studies.kept import Facts
from vlx.studies.neurons.concepts import Labelled, MaskData
from vlx.studies.neurons.features import grid_of
from vlx.studies.neurons.importance import importances

_DIGITS = 6
MOST_QUESTIONS = 3
"""Questions of an image that are asked, at most."""


@dataclass(frozen=True, eq=False)
class Decision:
    """One decision of a model about one image."""

    image: str
    text: str
    """The question, or the caption that the word stands in; empty of a classifier."""
    target: str
    own: int | None
    """The concept that is decided for; None where the data have none of this name."""
    importance: Float[np.ndarray, " unit"]
    other: int | None
    """A concept that the image does not show."""
    other_importance: Float[np.ndarray, " unit"] | None
    activity: Float[np.ndarray, " unit"]
    terms: tuple[tuple[Term, ...], tuple[Term, ...]]
    """Of the decision, and of the other one, which may be empty."""


def decisions_in(image: str, row: Facts) -> list[Decision]:
    """The decisions of a row that `row_of` made."""
    return [
        Decision(
            image,
            one["text"],
            one["target"],
            one["own"],
            np.array(one["importance"]),
            one["other"],
            None if one["other_importance"] is None else np.array(one["other_importance"]),
            np.array(row["activity"]),
            (_terms(one["terms"]), _terms(one["other_terms"])),
        )
        for one in row["decisions"]
    ]


def row_of(
    model: Any, data: MaskData, questions: Mapping[str, Sequence[Question]], seed: int
) -> Callable[[Labelled], Facts]:
    """What a model decides about an image, as a row."""
    kind = type_of(model)
    concepts = data.concepts
    choices_of: dict[int, Mapping[int, int]] = {}

    def known(choices: Choices) -> Mapping[int, int]:
        if id(choices) not in choices_of:
            choices_of.clear()  # of a model that makes its choices anew each time
            choices_of[id(choices)] = choices_by_concept(data, choices)
        return choices_of[id(choices)]

    def made(image: Labelled) -> Facts:
        photo, shown = open_image(image.path), set(image.masks())
        found: list[Facts] = []
        activity: list[float] = []
        for text in _texts(model, kind, photo, questions.get(image.id, ())):
            passed = read(model, [photo], [text])
            activity = _numbers(grid_of(passed)[0].mean((-1, -2)))
            named = known(passed.readings[0].choices)
            asked = _asked(passed, kind, data, named)
            if kind != "classifier":
                asked = [one for one in asked if one[1] is not None]
            pairs: list[tuple[str, int | None, tuple[Term, ...], int | None, tuple[Term, ...]]] = []
            for target, own, terms in asked:
                absent = [
                    at
                    for at in named
                    if at not in shown
                    and at != own
                    and (own is None or concepts[at].category == concepts[own].category)
                ]
                order = Random(seed_of(seed, f"other {image.id} {text} {target}"))
                other = order.choice(absent) if absent else None
                instead = () if other is None else (Term(1.0, terms[0].step, named[other]),)
                pairs.append((target, own, terms, other, instead))
            found += _rows(passed, text, pairs)
        return {"activity": activity, "decisions": found}

    return made


def again(model: Any, image: Labelled, row: Facts) -> Facts:
    """The decisions of a row, explained in another model: its importances in the place of those there."""
    photo, found = open_image(image.path), list[Facts]()
    activity = row["activity"]
    for text in dict.fromkeys(one["text"] for one in row["decisions"]):
        passed = read(model, [photo], [text])
        activity = _numbers(grid_of(passed)[0].mean((-1, -2)))
        mine = [one for one in row["decisions"] if one["text"] == text]
        pairs = [
            (one["target"], one["own"], _terms(one["terms"]), one["other"], _terms(one["other_terms"]))
            for one in mine
        ]
        found += _rows(passed, text, pairs)
    return {"activity": activity, "decisions": found}


def choices_by_concept(data: MaskData, choices: Choices) -> Mapping[int, int]:
    """The choice of a model that means each concept, by its name or, of classes, one of ImageNet's for it."""
    found: dict[int, int] = {}
    for at, concept in enumerate(data.concepts):
        if choices.noun == "class":
            places = matched(names_of(concept.shown), list(choices.names))
            if places:
                found[at] = places[0]
        elif concept.shown in choices:
            found[at] = choices.index(concept.shown)
    return found


def concept_of_label(data: MaskData, names: Sequence[str]) -> Mapping[int, int]:
    """The concept that each class of a model is, where it is one."""
    found: dict[int, int] = {}
    for at, concept in enumerate(data.concepts):
        for place in matched(names_of(concept.shown), list(names)):
            found.setdefault(place, at)
    return found


def _texts(model: Any, kind: str, photo: Image.Image, questions: Sequence[Question]) -> list[str]:
    """What is read beside an image: questions, or the model's own caption; nothing with a classifier."""
    if kind == "classifier":
        return [""]
    if kind == "vqa":
        return list(dict.fromkeys(one.text for one in questions))[:MOST_QUESTIONS]
    return written(model, [photo])


def _asked(
    passed: Pass, kind: str, data: MaskData, named: Mapping[int, int]
) -> list[tuple[str, int | None, tuple[Term, ...]]]:
    """What is decided: its name, the concept that it is, and its score."""
    reading = passed.readings[0]
    if kind != "classifier" and reading.kind == "caption":
        return words_of(reading, data)
    best = int(passed.scores[0, 0].detach().argmax())
    name = reading.choices.called(best)
    if kind == "classifier":
        own = concept_of_label(data, list(reading.choices.names)).get(best)
    else:
        own = next((at for at, choice in named.items() if choice == best), None)
    return [(name, own, (Term(1.0, 0, best),))]


def words_of(reading: Reading, data: MaskData) -> list[tuple[str, int | None, tuple[Term, ...]]]:
    """The words of a caption that name a concept, as the lexicon or its own name has it; each name once."""
    texts = [word.text for word in reading.words]
    meant = {word.head(texts): word.category for word in visual_words(texts)}
    found: dict[int, tuple[str, int | None, tuple[Term, ...]]] = {}
    for at, word in enumerate(reading.words):
        concept = data.place(meant.get(at, word.text))
        if concept is not None and concept not in found:
            terms = tuple(Term(1.0, step, index) for step, index in zip(word.steps, word.ids, strict=True))
            found[concept] = (word.text, concept, terms)
    return list(found.values())


def _rows(
    passed: Pass,
    text: str,
    pairs: Sequence[tuple[str, int | None, tuple[Term, ...], int | None, tuple[Term, ...]]],
) -> list[Facts]:
    if not pairs:
        return []
    wanted = [terms for _, _, own, _, other in pairs for terms in (own, other)]
    kept = [at for at, terms in enumerate(wanted) if terms]
    values = importances(passed, [[wanted[at] for at in kept]])[:, 0]
    found = {at: _numbers(one) for at, one in zip(kept, values, strict=True)}
    return [
        {
            "text": text, "target": target, "own": own, "importance": found[2 * at], "terms": _listed(terms),
            "other": other, "other_importance": found.get(2 * at + 1), "other_terms": _listed(instead),
        }
        for at, (target, own, terms, other, instead) in enumerate(pairs)
    ]  # fmt: skip


def _numbers(values: Any) -> list[float]:
    return [float(f"{one:.{_DIGITS}g}") for one in values.detach().double().cpu().tolist()]


def _listed(terms: Sequence[Term]) -> list[list[float | int]]:
    return [[one.weight, one.step, one.choice] for one in terms]


def _terms(listed: Sequence[Sequence[float | int]]) -> tuple[Term, ...]:
    return tuple(Term(float(weight), int(step), int(choice)) for weight, step, choice in listed)
