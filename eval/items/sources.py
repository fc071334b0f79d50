"""Items from the files of a data folder: regions, words, captions, questions, human attention, images."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from vlx.eval.data.coco import Caption, Captions, CocoImage, Instances, read_captions, read_instances
from vlx.eval.data.densecap import BEST, read_densecap
from vlx.eval.data.folder import DataFolder
from vlx.eval.data.hat import find_human_maps
from vlx.eval.data.lexicon import VisualWord, tokenize, visual_words
from vlx.eval.data.photos import image_files
from vlx.eval.data.published import (
    ANSWERS_1,
    ANSWERS_2,
    ATTENTION,
    CAPTIONS,
    DENSECAP,
    IMAGES,
    INSTANCES,
    QUESTIONS_1,
    QUESTIONS_2,
    REGIONS,
)
from vlx.eval.data.records import DataError, number_of, read_record
from vlx.eval.data.visual_genome import read_regions
from vlx.eval.data.vqa import Annotation, Question, read_annotations, read_questions
from vlx.eval.items.item import Damage, Item
from vlx.eval.items.options import Options
from vlx.eval.items.shown import shown_in, with_shown
from vlx.eval.items.truth import HumanAnswers, HumanFiles, Region, Segments


def region_items(folder: DataFolder, options: Options) -> list[Item]:
    """Five regions an image: DenseCap's best, the first of Visual Genome, or the largest objects of COCO."""
    damage = Damage()
    readers = ((DENSECAP, _densecap), (REGIONS, _genome), (INSTANCES, _objects))
    read = next((read for source, read in readers if folder.has(source)), _densecap)
    items = [*read(folder, damage), *damage.items]
    return with_shown(folder, items) if options.wrong else items


def word_items(folder: DataFolder, options: Options, *, located: bool = True) -> list[Item]:
    """The visual words of the reference captions; with ``located`` each with its category's masks."""
    damage = Damage()
    instances = read_instances(folder.path(INSTANCES), damage) if located else None
    captions = read_captions(folder.path(CAPTIONS), damage, folder.split)
    shown: dict[int, tuple[str, ...] | None] = {}
    items: list[Item] = []
    for image, path, caption in captions_of(captions, folder, options, damage):
        if instances is not None and options.wrong and image.id not in shown:
            texts = (one.text for one in captions.by_image[image.id])
            shown[image.id] = shown_in(instances, image.id, texts)
        tokens = tokenize(caption.text)
        mentions: dict[str, int] = {}
        for word in visual_words(tokens):
            number = mentions.setdefault(word.category, 0)
            mentions[word.category] += 1
            item = _word_item(image, path, caption, tokens, word, number, instances)
            items.append(item if item.left_out else replace(item, shown=shown.get(image.id)))
    return [*items, *damage.items]


def caption_items(folder: DataFolder, options: Options) -> list[Item]:
    """The reference captions, each as a whole."""
    damage = Damage()
    captions = read_captions(folder.path(CAPTIONS), damage, folder.split)
    items = [
        Item(f"{image.id}/{caption.id}", path, str(image.id), caption.text)
        for image, path, caption in captions_of(captions, folder, options, damage)
    ]
    return [*items, *damage.items]


def question_items(folder: DataFolder, options: Options) -> list[Item]:
    """The questions of VQA v1, or else of v2, with their most frequent answers where these are there."""
    del options
    damage = Damage()
    first = folder.has(QUESTIONS_1) or not folder.has(QUESTIONS_2)
    questions, told = _asked(folder, damage, first)
    images = _ImageFiles(folder)
    made = [_question_item(question, told, images, damage) for question in questions.values()]
    return [*(item for item in made if item is not None), *damage.items]


def attention_items(folder: DataFolder, options: Options) -> list[Item]:
    """The questions of VQA v1 that people's attention was recorded for, with the maps."""
    del options
    damage = Damage()
    human = find_human_maps(folder.path(ATTENTION)).by_question
    questions, told = _asked(folder, damage, True)
    images = _ImageFiles(folder)
    items: list[Item] = []
    for question_id, paths in human.items():
        question = questions.get(question_id)
        if question is None:
            damage(DataError(f"{paths[0].name}: no question {question_id} in the questions of VQA v1"))
            continue
        item = _question_item(question, told, images, damage, paths)
        items += [] if item is None else [item]
    return [*items, *damage.items]


def answered_items(folder: DataFolder, options: Options) -> list[Item]:
    """The questions of VQA v1, or else of v2, with people's answers and the most frequent ones."""
    del options
    damage = Damage()
    second = folder.has(QUESTIONS_2) and folder.has(ANSWERS_2)
    first = (folder.has(QUESTIONS_1) and folder.has(ANSWERS_1)) or not second
    folder.path(ANSWERS_1 if first else ANSWERS_2)  # which must be there
    questions, told = _asked(folder, damage, first)
    common = Counter(one.answer for one in told.values())
    by_type: dict[str, Counter[str]] = {}
    for one in told.values():
        by_type.setdefault(one.question_type, Counter())[one.answer] += 1
    images, items = _ImageFiles(folder), list[Item]()
    for question in questions.values():
        item, mine = _question_item(question, told, images, damage), told.get(question.id)
        if item is not None and mine is not None:
            often = (counts.most_common(1)[0][0] for counts in (common, by_type[mine.question_type]))
            items.append(replace(item, truth=HumanAnswers(mine.answers, *often)))
        elif item is not None:
            items.append(replace(item, left_out="no_answers"))
    return [*items, *damage.items]


def image_items(folder: DataFolder, options: Options) -> list[Item]:
    """The images of the COCO instances, or else the image files of the folder, without any text."""
    del options
    damage = Damage()
    if not folder.has(INSTANCES):
        files = image_files(folder.found[IMAGES.name])
        if files:
            return [Item(f"image {folder.name(path)}", path, folder.name(path)) for path in files]
    items: list[Item] = []
    for image in read_instances(folder.path(INSTANCES), damage).images.values():
        path = image_path(folder, damage, image.file_name)
        items += [] if path is None else [Item(f"image {image.id}", path, str(image.id))]
    return [*items, *damage.items]


def _densecap(folder: DataFolder, damage: Damage) -> Iterator[Item]:
    path = folder.path(DENSECAP)
    told = read_record(path).fields.get("opt")
    size = told.get("image_size") if isinstance(told, dict) else None
    longest = round(number) if (number := number_of(size)) and number >= 1 else None
    for image in read_densecap(path, best=BEST, damaged=damage):
        file = image_path(folder, damage, image.file_name)
        for number, region in enumerate(image.regions if file else ()):
            truth = Region(region.box, longest)
            yield _region_item(f"{image.file_name}#{number}", file, region.caption, truth)


def _genome(folder: DataFolder, damage: Damage) -> Iterator[Item]:
    for image_id, regions in read_regions(folder.path(REGIONS), damaged=damage).items():
        file = image_path(folder, damage, f"{image_id}.jpg")
        for region in regions[:BEST] if file else ():
            yield _region_item(f"{image_id}#{region.id}", file, region.phrase, Region(region.box))


def _objects(folder: DataFolder, damage: Damage) -> Iterator[Item]:
    """The largest objects of each image that were drawn one by one, each called by its category."""
    instances = read_instances(folder.path(INSTANCES), damage)
    for image in instances.images.values():
        drawn = [(at, one) for at, one in enumerate(instances.of(image.id)) if not one.crowd]
        drawn.sort(key=lambda pair: -pair[1].box.width * pair[1].box.height)
        file = image_path(folder, damage, image.file_name) if drawn else None
        for at, one in drawn[:BEST] if file else ():
            truth = Region(one.box, max(image.height, image.width) or None)
            item = _region_item(f"{image.id}#{at}", file, _named(one.category), truth)
            yield replace(item, category=one.category)


def _region_item(name: str, file: Path | None, text: str, region: Region) -> Item:
    named = visual_words(text)
    category = named[0].category if named else ""
    return Item(name, file or Path(), name.rpartition("#")[0], text, region, category=category)


def _named(category: str) -> str:
    """A category as a caption names one of it: a dog, an airplane; skis and scissors are plural."""
    plural = category.endswith("s") and not category.endswith(("ss", "us"))
    return category if plural else f"{'an' if category[:1].lower() in 'aeiou' else 'a'} {category}"


def captions_of(
    captions: Captions, folder: DataFolder, options: Options, damage: Damage
) -> Iterator[tuple[CocoImage, Path, Caption]]:
    """The first captions of each image, as many as are asked for, with the image and its file."""
    for image in captions.images.values():
        path = image_path(folder, damage, image.file_name)
        for caption in captions.by_image.get(image.id, ())[: options.captions]:
            if path is not None:
                yield image, path, caption


def _word_item(
    image: CocoImage,
    path: Path,
    caption: Caption,
    tokens: list[str],
    word: VisualWord,
    mention: int,
    instances: Instances | None,
) -> Item:
    first, stop = word.span
    make = partial(
        Item,
        id=f"{image.id}/{caption.id}/{first}",
        image=path,
        cluster=str(image.id),
        text=caption.text,
        word=" ".join(tokens[first:stop]),
        mention=mention,
        category=word.category,
    )
    if instances is None:
        return make()
    if word.category not in instances.categories:
        return make(left_out="no_category")
    if image.id not in instances.images:
        return make(left_out="no_instances")
    lost = instances.lost.get((image.id, word.category))
    if lost is not None:  # the masks of what is left of them would not be all of the category
        return make(left_out="damaged_record", detail=lost)
    mine = tuple(one for one in instances.of(image.id) if one.category == word.category)
    return make(truth=Segments(instances.images[image.id], mine))


def _asked(
    folder: DataFolder, damage: Damage, first: bool
) -> tuple[Mapping[int, Question], Mapping[int, Annotation]]:
    asked, answered = (QUESTIONS_1, ANSWERS_1) if first else (QUESTIONS_2, ANSWERS_2)
    questions = read_questions(folder.path(asked), damage)
    if not folder.has(answered):
        return questions, {}
    return questions, read_annotations(folder.path(answered), questions, damage)


class _ImageFiles:
    """Image files by COCO id: by their official names, or as the COCO files of the folder name them."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._named: Mapping[int, CocoImage] | None = None

    def path(self, image_id: int) -> Path:
        """The file of an image; a path that does not exist where there is none."""
        official = [f"COCO_{split}2014_{image_id:012d}.jpg" for split in ("val", "train")]
        found = self._folder.image(*official, f"COCO_test2015_{image_id:012d}.jpg", f"{image_id:012d}.jpg")
        if found.is_file():
            return found
        if self._named is None:
            self._named = self._read()
        return self._folder.image(self._named[image_id].file_name) if image_id in self._named else found

    def _read(self) -> Mapping[int, CocoImage]:
        for source, read in ((CAPTIONS, read_captions), (INSTANCES, read_instances)):
            if self._folder.has(source):
                return read(self._folder.path(source), lambda _error: None).images
        return {}


def _question_item(
    question: Question,
    told: Mapping[int, Annotation],
    images: _ImageFiles,
    damage: Damage,
    paths: tuple[Path, ...] | None = None,
) -> Item | None:
    try:
        file = images.path(question.image_id)
    except DataError as error:
        damage(error)
        return None
    answered = told.get(question.id)
    return Item(
        str(question.id),
        file,
        str(question.image_id),
        question.text,
        None if paths is None else HumanFiles(paths),
        category=answered.question_type if answered else "",
        question_id=question.id,
        answer=answered.answer if answered else "",
    )


def image_path(folder: DataFolder, damage: Damage, name: str) -> Path | None:
    """The file of an image that data name; None where the name is none, which ``damage`` is told."""
    try:
        return folder.image(name)
    except DataError as error:
        damage(error)
    except (OSError, ValueError, RuntimeError) as error:  # too long, of no encoding, a circle of links
        shown = name if len(name) <= 60 else f"{name[:57]}..."
        damage(DataError(f"{shown!r} is no file name ({type(error).__name__})"))
    return None
