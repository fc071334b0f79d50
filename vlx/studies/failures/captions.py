"""What captioners decide: words of objects that are not there, and objects that no word names.

A word of a category that the image does not show, by its instances and its captions together (CHAIR, Rohrbach
et al. 2018, arXiv 1809.02156), stands against the word of an object that was missed: the likeliest at the
step where it was said. An object that stands against none is a mistake of its own, at the step of that word
of an object where its own word is likeliest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from PIL import Image

from vlx.eval.data.coco import read_captions, read_instances
from vlx.eval.data.folder import DataFolder
from vlx.eval.data.lexicon import built_in, categories_named, visual_words
from vlx.eval.data.published import CAPTIONS, INSTANCES
from vlx.eval.data.records import DataError
from vlx.eval.items.absent import known_word, wrong_words
from vlx.eval.items.class_sources import guess_items
from vlx.eval.items.item import Item
from vlx.eval.items.opened import LeftOut
from vlx.eval.items.options import Options
from vlx.eval.items.shown import shown_in
from vlx.eval.items.truth import Present
from vlx.passes.forward import Pass
from vlx.passes.reading import Reading, need_said
from vlx.passes.targets import Target, word
from vlx.studies.failures.decided import OTHERS, Decided, Job, Objects, Read, objects_in, where


def caption_jobs(folder: DataFolder, options: Options) -> list[Job]:
    """One for each image with COCO instances."""
    instances = read_instances(folder.path(INSTANCES), _passed_by)
    texts: dict[int, list[str]] = {}
    if folder.has(CAPTIONS):
        told = read_captions(folder.path(CAPTIONS), _passed_by, folder.split)
        texts = {image: [one.text for one in some] for image, some in told.by_image.items()}
    found: list[Job] = []
    for item in guess_items(folder, options, 1):
        if isinstance(item.truth, Present):
            number = int(item.cluster)
            item = replace(item, shown=shown_in(instances, number, texts.get(number, ())))
        found.append(Job(item, partial(_read, replace(options, wrong=OTHERS), item)))
    return found


def _passed_by(_error: DataError) -> None:
    """The items tell of damaged records."""


@dataclass(frozen=True)
class _Said:
    """A word of a caption that names a category."""

    head: int
    category: str
    several: bool


def _read(options: Options, item: Item, model: Any, image: Image.Image) -> Read:
    assert isinstance(item.truth, Present)
    assert item.shown is not None
    (caption,) = model.generate([image])
    need_said([caption])
    passed = model.read([image], [caption])
    reading = passed.readings[0]
    objects, size = objects_in(item.truth), (image.height, image.width)
    known = {names[0] for names in item.truth.categories}
    said = [one for one in _said(reading) if one.category in known]
    text = " ".join(one.text for one in reading.words)
    named = categories_named([text])  # a word that may name an object does: "an umbrella stands" there
    missed = [name for name in objects if name not in named]
    found: list[Decided] = []
    taken: set[str] = set()
    for one in said:
        right = one.category in item.shown
        name, choice, why = ("", "", "") if right else _nearest(passed, one, missed)
        taken |= {name} - {""}
        own = one.category if right else name
        found.append(
            Decided(
                "hallucinated", not right, one.category, word(one.head), truth=name,
                truth_target=word(one.head, instead=choice) if choice else None, why=why,
                others=_others(options, item, reading, one), at=one.head,
                where=where(objects, [own], size) if own else None,
            )
        )  # fmt: skip
    found += [
        _missed(options, item, passed, said, name, objects, size) for name in missed if name not in taken
    ]
    return Read(passed, tuple(found), text, counts={"objects": len(objects), "missed": len(missed)})


def _said(reading: Reading) -> list[_Said]:
    """The words of a caption that name categories, and whether they name several."""
    tokens = [one.text.strip(".,;:!?\"'") for one in reading.words]
    known = [(one, one.head(tokens)) for one in visual_words(tokens) if one.category in built_in().names]
    return [
        _Said(head, one.category, (tokens[head].lower(),) in built_in().plurals)
        for one, head in known
        if reading.words[head].text not in reading.unknown
    ]


def _nearest(passed: Pass, one: _Said, missed: Sequence[str]) -> tuple[str, str, str]:
    """The missed category whose word is likeliest in the place of another, that word, and else why none."""
    if not missed:
        return "", "", "nothing_missed"
    step = passed.readings[0].words[one.head].steps[0]
    scores = passed.scores[0, step].detach()
    words = _words(passed.readings[0], missed, one.several)
    if not words:
        return missed[0], "", "no_word"
    name = max(words, key=lambda name: float(scores[words[name][1]]))
    return name, words[name][0], ""


def _words(reading: Reading, categories: Sequence[str], several: bool) -> Mapping[str, tuple[str, int]]:
    """The word that the model has for each category, and its token."""
    found: dict[str, tuple[str, int]] = {}
    for name in categories:
        text = known_word(name, reading.choices, several)
        if text is not None:
            found[name] = text, reading.choices.index(text)
    return found


def _missed(
    options: Options,
    item: Item,
    passed: Pass,
    said: Sequence[_Said],
    name: str,
    objects: Objects,
    size: tuple[int, int],
) -> Decided:
    """An object that no word names, where its word came nearest to being said."""
    reading = passed.readings[0]
    # Without any word of an object its word may stand in the place of each.
    places = list(said) or [_Said(at, "", False) for at in range(len(reading.words))]
    best: tuple[float, _Said, str] | None = None
    for one in places:
        found = _words(reading, [name], one.several).get(name)
        if found is not None:
            score = float(passed.scores.detach()[0, reading.words[one.head].steps[0], found[1]])
            if best is None or score > best[0]:
                best = score, one, found[0]
    _, one, choice = best or (0.0, places[0], "")
    text = one.category or reading.words[one.head].text
    return Decided(
        "missed", True, text, word(one.head), truth=name,
        truth_target=word(one.head, instead=choice) if choice else None, why="" if choice else "no_word",
        others=_others(options, item, reading, one), at=one.head, where=where(objects, [name], size),
    )  # fmt: skip


def _others(options: Options, item: Item, reading: Reading, one: _Said) -> tuple[Target, ...]:
    """Words of other categories that the image does not show, in the place of one."""
    found = wrong_words(options, replace(item, category=one.category), reading, one.head)
    if isinstance(found, LeftOut):
        return ()
    return tuple(word(one.head, instead=text) for text in found)
