"""What is attacked in the images of a data folder: a class, an answer or a word, and what is true there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from vlx.errors import ImageError, TextError, UnknownChoice
from vlx.eval.data.coco import Instances, joined_mask, read_instances
from vlx.eval.data.folder import DataFolder
from vlx.eval.data.lexicon import tokenize, visual_words
from vlx.eval.data.published import INSTANCES
from vlx.eval.data.records import DataError
from vlx.eval.items.absent import wrong_words
from vlx.eval.items.class_sources import class_items
from vlx.eval.items.item import Damage, Item, checked, drawn, seed_of
from vlx.eval.items.models import ModelType
from vlx.eval.items.opened import LeftOut, read_items
from vlx.eval.items.options import Options
from vlx.eval.items.sources import question_items, word_items
from vlx.eval.items.truth import Segments, mask_of
from vlx.eval.tasks.targets import word_target
from vlx.images.files import open_image
from vlx.passes.forward import Pass
from vlx.passes.reading import Choices
from vlx.passes.targets import answer, word
from vlx.studies.truths import TOLD, WRONG, Case, Thing, case_of_classes, seen_of


@dataclass(frozen=True, eq=False)
class Images:
    """The images of a study by name, and how each is opened."""

    names: tuple[str, ...]
    open: Callable[[str], Case | LeftOut]
    damaged: int
    """Records of the data that are damaged."""


def images_of(
    model: Any, kind: ModelType, folder: DataFolder, target: str | None, limit: int | None, seed: int
) -> Images:
    """The images that are attacked; ``target`` is the goal of all, else one that is not there is drawn."""
    options = Options(wrong=WRONG, limit=limit, seed=seed, captions=None)
    make = {"classifier": class_items, "vqa": question_items, "captioner": word_items}[kind]
    items = drawn(checked(make(folder, options)), None, seed)
    damaged = sum(item.left_out == "damaged_record" for item in items)
    items = drawn([item for item in items if not item.left_out], limit, seed)
    by_image: dict[str, list[Item]] = {}
    for item in items:
        by_image.setdefault(item.cluster, []).append(item)
    given: dict[str, set[str]] = {}
    for item in items:
        given.setdefault(item.category, set()).add(item.answer)
    instances = None if kind == "classifier" else read_instances(folder.path(INSTANCES), Damage())

    def opened(name: str) -> Case | LeftOut:
        mine = by_image[name]
        try:
            if kind == "classifier":
                return case_of_classes(model, mine, target, seed)
            assert instances is not None
            if kind == "vqa":
                return _of_questions(model, mine, instances, given, target, seed)
            return _of_words(model, mine, instances, options, target)
        except (ImageError, DataError, TextError) as error:
            return LeftOut("refused", " ".join(str(error).split()))

    return Images(tuple(by_image), opened, damaged)


def _of_questions(
    model: Any,
    items: Sequence[Item],
    instances: Instances,
    given: Mapping[str, set[str]],
    target: str | None,
    seed: int,
) -> Case | LeftOut:
    """The first question of an image, in a drawn order, about one object that it shows.

    Others than the true answer are drawn from those that are ``given`` to questions of its type, where there
    are any.
    """
    why = LeftOut("no_question_about_an_object")
    for item in sorted(items, key=lambda one: seed_of(seed, one.id)):
        there = instances.of(int(item.cluster))
        said = {one.category for text in (item.text, item.answer) for one in visual_words(tokenize(text))}
        shown = [name for name in said if any(one.category == name for one in there)]
        if len(shown) != 1 or not item.answer:
            continue
        image = open_image(item.image)
        passed: Pass = model.read([image], [item.text])
        choices = passed.readings[0].choices
        try:
            own = choices.index(item.answer)
        except UnknownChoice:
            why = LeftOut("unknown_answer")
            continue
        alike = {_index(choices, one) for one in given.get(item.category, ())} - {own, None}
        rest = sorted(at for at in alike if at is not None) or [
            at for at in range(len(choices.names)) if at != own and not choices.is_sign(at)
        ]
        others = Random(seed_of(seed, f"target {item.id}")).sample(rest, min(len(rest), WRONG + 1))
        if target is not None:
            at = choices.index(target)
            if at == own:
                why = LeftOut("target_is_true")
                continue
            others = [at, *(one for one in others if one != at)][: WRONG + 1]
        if not others:
            return LeftOut("nothing_absent")
        mask = joined_mask(
            [one for one in there if one.category == shown[0]], instances.images[int(item.cluster)]
        )
        objects = joined_mask(there, instances.images[int(item.cluster)])
        right = int(passed.scores[0, 0].argmax()) == own
        thing = Thing(f"{item.text} {item.answer}", answer(own), mask & seen_of(passed), right)
        goal, *wrong = others
        return Case(passed, answer(goal), choices.names[goal], (thing,), tuple(map(answer, wrong)), objects)
    return why


def _of_words(
    model: Any, items: Sequence[Item], instances: Instances, options: Options, target: str | None
) -> Case | LeftOut:
    """The first word of an image's captions that the model reads, and words that fit its article."""
    why = LeftOut("no_word")
    for item in items:
        opened, unread = read_items(model, [item])
        if unread:
            why = unread[0][1]
            continue
        found = word_target(opened[0], 0)
        if isinstance(found, LeftOut):
            why = found
            continue
        passed = opened[0].passed
        reading = passed.readings[0]
        (head,) = found.resolve(reading).words
        absent = wrong_words(replace(options, wrong=20), item, reading, head)
        if isinstance(absent, LeftOut):
            why = absent
            continue
        fitting = [one for one in absent if _fits(reading.words[head - 1].text if head else "", one)]
        if target is not None:
            fitting = [target, *(one for one in fitting if one != target)]
        if not fitting:
            why = LeftOut("no_word_that_fits")
            continue
        assert isinstance(item.truth, Segments)
        mask = mask_of(item.truth)
        own = reading.words[head]
        row = passed.scores[0, own.steps[0]].detach()
        known = own.ids[0] in row.topk(min(TOLD, len(row))).indices.tolist()
        goal, *wrong = (word(head, instead=one) for one in fitting[: WRONG + 1])
        thing = Thing(own.text, word(head), mask & seen_of(passed), known)
        objects = joined_mask(instances.of(int(item.cluster)), instances.images[int(item.cluster)])
        return Case(passed, goal, fitting[0], (thing,), tuple(wrong), objects)
    return why


def _index(choices: Choices, name: str) -> int | None:
    """The choice of this name, if there is just one."""
    try:
        return choices.index(name)
    except UnknownChoice:
        return None


def _fits(article: str, other: str) -> bool:
    """Whether a word may follow what stands before it: the language alone forbids ``an dog``."""
    return article not in ("a", "an") or (other[0] in "aeiou") == (article == "an")
