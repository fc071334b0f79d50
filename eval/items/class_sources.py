"""Items of classifiers from the files of a data folder: classes with boxes or masks, and whole images."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vlx.eval.data.classes import names_of, read_classes
from vlx.eval.data.coco import CocoImage, Instance, read_instances
from vlx.eval.data.folder import DataFolder
from vlx.eval.data.ilsvrc import (
    Labelled,
    Synsets,
    number_in,
    read_blacklist,
    read_ground_truth,
    read_solution,
    read_synsets,
)
from vlx.eval.data.photos import entries
from vlx.eval.data.published import (
    ILSVRC_BLACKLIST,
    ILSVRC_BOXES,
    ILSVRC_SYNSETS,
    ILSVRC_TRUTH,
    INSTANCES,
    VOC_BOXES,
)
from vlx.eval.data.records import DataError, inside, spared
from vlx.eval.data.voc import Annotated, clipped, read_boxes
from vlx.eval.items.item import Damage, Item, seed_of
from vlx.eval.items.options import Options
from vlx.eval.items.sources import image_path
from vlx.eval.items.truth import Boxes, ClassNames, Present, Segments
from vlx.eval.measures.localisation import Corners

WRONG = 12
"""So many absent categories stand with an item; the first that the model has are explained beside its own."""
_NO_DAMAGE = ("all_difficult", "no_boxes")
_ENDS = (".jpg", ".JPEG", ".png")

Shown = Mapping[str, "Segments | Boxes | str"]
"""What an image shows: for each category where, or why that cannot be told."""


@dataclass(frozen=True, eq=False)
class _Image:
    """One image of data with several categories."""

    id: str
    path: Path
    shown: Shown


def localisation_items(folder: DataFolder, options: Options) -> list[Item]:
    """The images of ILSVRC's validation set with their class and its boxes; else those of VOC or COCO.

    There an item is an image and one of the categories that it shows.
    """
    damage = Damage()
    if folder.has(ILSVRC_TRUTH) or folder.has(ILSVRC_BOXES):
        return [*_ilsvrc(folder, damage), *damage.items]
    return [*_of_classes(folder, options, damage, boxes=True), *damage.items]


def class_items(folder: DataFolder, options: Options) -> list[Item]:
    """Each category that each image of VOC or COCO shows: its filled boxes, or its masks, crowds included."""
    damage = Damage()
    return [*_of_classes(folder, options, damage, boxes=False), *damage.items]


def guess_items(folder: DataFolder, options: Options, count: int) -> list[Item]:
    """For each image of VOC or COCO so many items, one for each of the likeliest categories of a model."""
    damage = Damage()
    categories, images = _images(folder, damage, boxes=False)
    known = [names_of(name, _given(options)) for name in categories]
    items: list[Item] = []
    for image in images:
        wrong = [f"{name}: {one}" for name, one in image.shown.items() if isinstance(one, str)]
        truths = [
            (categories.index(name), one) for name, one in image.shown.items() if not isinstance(one, str)
        ]
        for number in range(count):
            item = Item(f"{image.id}/{number + 1}", image.path, image.id, mention=number)
            broken = [one for one in wrong if not one.endswith(": all_difficult")]
            if broken:
                items.append(replace(item, left_out="damaged_record", detail=broken[0]))
            else:
                items.append(replace(item, truth=Present(tuple(known), tuple(truths))))
    return [*items, *damage.items]


def _ilsvrc(folder: DataFolder, damage: Damage) -> Iterator[Item]:
    synsets = _synsets(folder)
    index = synsets.index
    blacklist = read_blacklist(folder.path(ILSVRC_BLACKLIST)) if folder.has(ILSVRC_BLACKLIST) else frozenset()
    xml = folder.path(ILSVRC_BOXES) if folder.has(ILSVRC_BOXES) else None
    for one in _labelled(folder, synsets, damage, xml):
        item = Item(one.name, Path(), one.name, category=one.wnid)
        try:
            told = _xml_of(xml, one.name, damage)
            item = replace(item, image=folder.image(f"{one.name}.JPEG", f"{one.wnid}/{one.name}.JPEG"))
            if one.wnid not in index:
                raise DataError(
                    f"{one.name} is of {one.wnid or 'no class'}, which is none of the {len(index)}"
                )
            truth = _boxes_of(one, told)
        except DataError as error:
            yield replace(item, left_out="damaged_record", detail=" ".join(str(error).split()))
            continue
        if number_in(one.name) in blacklist:
            truth = replace(truth, why="blacklisted")
        words = synsets.words[one.wnid]
        classes = ClassNames((one.wnid, *words), index[one.wnid], len(index))
        yield replace(item, text=", ".join(words), truth=truth, classes=classes)


def _synsets(folder: DataFolder) -> Synsets:
    """The classes: Kaggle's list, or the devkit's, which alone tells its numbers."""
    found = sorted(folder.found[ILSVRC_SYNSETS.name], key=lambda path: path.name == "synset_words.txt")
    if not found:
        folder.path(ILSVRC_SYNSETS)  # raises
    read = [read_synsets(path) for path in found]
    numbered = next((one for one in read if one.of_number), read[0])
    words = next((one.words for one in read if set(one.words) == set(numbered.words)), numbered.words)
    return Synsets(words, numbered.of_number)


def _labelled(folder: DataFolder, synsets: Synsets, damage: Damage, xml: Path | None) -> Iterator[Labelled]:
    """The images with their classes: of Kaggle's table, of the devkit's, or else as their boxes say."""
    if not folder.has(ILSVRC_TRUTH):
        assert xml is not None
        for name in sorted(entries(xml)):
            if name.lower().endswith(".xml"):
                with spared(damage):
                    told = read_boxes(xml / name, damage, origin=0)
                    kinds = sorted({one.name for one in told.objects})
                    yield Labelled(Path(name).stem, kinds[0] if len(kinds) == 1 else "", ())
        return
    files = folder.found[ILSVRC_TRUTH.name]
    table = next((path for path in files if path.suffix == ".csv"), None)
    if table is not None:
        yield from read_solution(table, damage)
    else:
        yield from read_ground_truth(folder.path(ILSVRC_TRUTH), synsets, damage)


def _xml_of(folder: Path | None, name: str, damage: Damage) -> Annotated | None:
    if folder is None:
        return None
    path = inside(folder, f"{name}.xml")
    return read_boxes(path, damage, origin=0) if path.is_file() else None


def _boxes_of(one: Labelled, told: Annotated | None) -> Boxes:
    """The boxes of an image: those of the table, else of its XML, which must be of its class."""
    if told is not None and any(drawn.name != one.wnid for drawn in told.objects):
        other = next(drawn.name for drawn in told.objects if drawn.name != one.wnid)
        raise DataError(f"{one.name} is of {one.wnid}, and its boxes are of {other}")
    if told is not None and told.lost:
        raise DataError(f"{one.name} has a damaged box")
    size = told.size if told is not None else (0, 0)
    corners = one.boxes or (tuple(drawn.box for drawn in told.objects) if told is not None else ())
    return Boxes(size, corners, "" if corners else "no_boxes")


def _of_classes(folder: DataFolder, options: Options, damage: Damage, *, boxes: bool) -> Iterator[Item]:
    given = _given(options)
    categories, images = _images(folder, damage, boxes=boxes)
    for image in images:
        absent = [name for name in categories if name not in image.shown]
        for category, truth in image.shown.items():
            item = Item(f"{image.id}/{category}", image.path, image.id, text=category, category=category)
            if isinstance(truth, str):
                kept = truth in ("all_difficult", "no_boxes")
                yield replace(
                    item, left_out=truth if kept else "damaged_record", detail="" if kept else truth
                )
                continue
            mixed = random.Random(seed_of(options.seed, f"wrong {item.id}")).sample(absent, len(absent))
            wrong = tuple(names for name in mixed if (names := names_of(name, given)))[:WRONG]
            names = names_of(category, given)
            yield replace(
                item, truth=truth, classes=ClassNames(names, wrong=wrong, others=len(image.shown) - 1)
            )


def _given(options: Options) -> Mapping[str, tuple[str, ...]] | None:
    return None if options.classes is None else read_classes(options.classes)


def _images(folder: DataFolder, damage: Damage, *, boxes: bool) -> tuple[list[str], list[_Image]]:
    """All categories of the data, and the images with what they show of them."""
    if folder.has(VOC_BOXES) or not folder.has(INSTANCES):
        images = list(_voc(folder, damage, boxes))
        return sorted({name for image in images for name in image.shown}), images
    instances = read_instances(folder.path(INSTANCES), damage)
    found: list[_Image] = []
    for image in instances.images.values():
        path = image_path(folder, damage, image.file_name)
        mine = instances.of(image.id)
        shown: dict[str, Segments | Boxes | str] = {}
        for name in dict.fromkeys(one.category for one in mine):
            some = tuple(one for one in mine if one.category == name)
            if not boxes:
                shown[name] = Segments(image, some)
                continue
            try:
                corners = tuple(_corners(one, image) for one in some if not one.crowd)
                shown[name] = Boxes((image.height, image.width), corners) if corners else "no_boxes"
            except DataError as error:
                shown[name] = str(error)
        shown |= {name: why for (key, name), why in instances.lost.items() if key == image.id}
        if path is not None:
            found.append(_Image(str(image.id), path, shown))
    return list(instances.categories), found


def _corners(one: Instance, image: CocoImage) -> Corners:
    """The box of an object of COCO by its outermost pixels, cut at the border of its image."""
    box = one.box
    if min(box.width, box.height) <= 0:
        raise DataError(f"{one.where} ({one.category}) has a box of {box.width:g} x {box.height:g} pixels")
    right, bottom = max(box.x, box.x + box.width - 1), max(box.y, box.y + box.height - 1)
    drawn, size = Corners(box.x, box.y, right, bottom), (image.height, image.width)
    return clipped(drawn, size, f"{one.where} ({one.category})") if min(size) else drawn


def _voc(folder: DataFolder, damage: Damage, boxes: bool) -> Iterator[_Image]:
    """The images of a folder of XML files, or those that ``ImageSets/Main`` lists for the split."""
    place = folder.path(VOC_BOXES)
    names = sorted(name for name in entries(place) if name.lower().endswith(".xml"))
    listed = None if folder.split is None else place.parent / "ImageSets" / "Main" / f"{folder.split}.txt"
    if listed is not None and listed.is_file():
        lines = listed.read_text(encoding="utf-8", errors="replace").split("\n")
        names = [f"{line.split()[0]}.xml" for line in lines if line.split()]
    for name in names:
        with spared(damage):
            told = read_boxes(inside(place, name), damage)
            stem = Path(name).stem
            files = ([told.file_name] if told.file_name else []) + [f"{stem}{end}" for end in _ENDS]
            yield _Image(stem, folder.image(*files), _shown(told, boxes))


def _shown(told: Annotated, boxes: bool) -> Shown:
    shown: dict[str, Segments | Boxes | str] = {}
    for name in dict.fromkeys(one.name for one in told.objects):
        mine = [one for one in told.objects if one.name == name]
        every = all(one.difficult for one in mine)
        shown[name] = (
            "all_difficult" if every and not boxes else Boxes(told.size, tuple(one.box for one in mine))
        )
    return shown | {name: why for name, why in zip(told.lost, told.whys, strict=True) if name}
