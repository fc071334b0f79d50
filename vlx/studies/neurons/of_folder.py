"""Concepts of a data folder: objects of COCO's instances or VOC's palettes, and what scenes tell beside."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from vlx.eval.data.class_masks import labels_of, read_masks, shown
from vlx.eval.data.coco import CocoImage, Instance, Instances, instance_mask, read_instances
from vlx.eval.data.folder import MARK, DataFolder
from vlx.eval.data.published import INSTANCES, VOC_MASKS
from vlx.eval.data.records import DataError, Record, read_record
from vlx.eval.measures.maps import Mask
from vlx.studies.kept import digest
from vlx.studies.neurons.concepts import SIDE, Concept, Labelled, MaskData, Masks, at_most

OBJECT, COLOUR, GROUND = "object", "colour", "ground"


@dataclass(frozen=True)
class _Beside:
    """What scenes tell beside their objects, by where the record of an instance stands, and by image."""

    colours: Mapping[str, str]
    grounds: Mapping[int, str]


def folder_masks(folder: DataFolder, side: int = SIDE) -> MaskData:
    """The images of a folder with the masks of its objects.

    Generated scenes also know the colours of objects and the ground, which is every pixel of no object.
    Damaged records and images that are not there are left out and counted. Raises DataError where the folder
    has neither instances nor palette files.

    >>> from vlx.eval.data.folder import look
    >>> from vlx.scenes import held_out_scenes
    >>> data = folder_masks(look(held_out_scenes()))
    >>> data.categories, sorted(data.concepts[at].name for at in data.images[1].masks())
    (('object', 'colour', 'ground'), ['blue', 'car', 'purple', 'road', 'suitcase'])
    """
    lost: list[DataError] = []
    if folder.has(VOC_MASKS) and not folder.has(INSTANCES):
        return _of_palettes(folder, side, lost)
    path = folder.path(INSTANCES)
    instances = read_instances(path, lost.append)
    beside = _beside(path)
    concepts = (
        *(Concept(OBJECT, name) for name in dict.fromkeys(instances.categories)),
        *(Concept(COLOUR, name) for name in sorted(set(beside.colours.values()))),
        *(Concept(GROUND, name) for name in sorted(set(beside.grounds.values()))),
    )
    images: list[Labelled] = []
    missing = Counter[str]()
    broken = {image for image, _ in instances.lost}
    for image in instances.images.values():
        file = _image(folder, image.file_name)
        if image.id in broken:
            missing["damaged_record"] += 1
        elif file is None or not file.is_file():
            missing["no_image"] += 1
        else:
            places = {one: at for at, one in enumerate(concepts)}
            masks = partial(_masks, instances, image, places, beside, side)
            images.append(Labelled(str(image.id), file, masks))
    if not images:
        raise DataError(f"{folder.root} holds no image with instances that can be read: {dict(missing)}")
    kept = digest(_facts(instances), beside.colours, beside.grounds)
    return MaskData(str(folder.root), concepts, tuple(images), kept, dict(missing))


def _image(folder: DataFolder, name: str) -> Path | None:
    """The file of an image; None where its name is none, or leads out of the folder."""
    try:
        return folder.image(name)
    except (OSError, ValueError, RuntimeError):  # VlxError is a ValueError
        return None


def _facts(instances: Instances) -> list[object]:
    return [
        [image, [[one.category, one.segmentation] for one in some]]
        for image, some in instances.by_image.items()
    ]


def _masks(
    instances: Instances, image: CocoImage, places: Mapping[Concept, int], beside: _Beside, side: int
) -> Masks:
    found: dict[int, Mask] = {}
    mine: Sequence[Instance] = instances.by_image.get(image.id, ())
    union: Mask | None = None

    def join(concept: Concept, mask: Mask) -> None:
        at = places[concept]
        found[at] = found[at] | mask if at in found else mask

    for one in mine:
        mask = at_most(instance_mask(one, image), side)
        union = mask if union is None else union | mask
        join(Concept(OBJECT, one.category), mask)
        if one.where in beside.colours:
            join(Concept(COLOUR, beside.colours[one.where]), mask)
    if image.id in beside.grounds:
        if union is None:
            union = at_most(np.zeros((image.height, image.width), bool), side)
        join(Concept(GROUND, beside.grounds[image.id]), ~union)
    return {at: mask for at, mask in found.items() if mask.any()}


def _beside(path: Path) -> _Beside:
    """The colours and grounds of generated scenes; of any other file none, which is not read again."""
    with path.open("rb") as file:
        ours = f'"description": "{MARK}'.encode() in file.read(400)
    if not ours:
        return _Beside({}, {})
    record = read_record(path)
    colours = {one.where: one.text("colour") for one in _with(record, "annotations", "colour")}
    grounds = {one.integer("id"): one.text("ground") for one in _with(record, "images", "ground")}
    return _Beside(colours, grounds)


def _with(record: Record, key: str, field: str) -> list[Record]:
    return [one for one in record.records(key, lambda _: None) if isinstance(one.fields.get(field), str)]


def _of_palettes(folder: DataFolder, side: int, lost: list[DataError]) -> MaskData:
    masks = read_masks(folder, lost.append)
    concepts = tuple(Concept(OBJECT, name) for name in masks.names)

    def decoded(truth: object) -> Masks:
        labels = labels_of(truth, len(masks.names))  # type: ignore[arg-type]
        return {label - 1: at_most(labels == label, side) for label in shown(labels)}

    images = [
        Labelled(one.id, one.path, partial(decoded, one.truth))
        for one in masks.images
        if not one.lost and one.path.is_file()
    ]
    if not images:
        raise DataError(f"{folder.root} holds no image with a palette file that can be read")
    left_out = {"no_image_or_damaged": len(masks.images) - len(images)}
    names = digest(masks.names, [one.id for one in masks.images])
    return MaskData(str(folder.root), concepts, tuple(images), names, left_out)
