"""COCO files: captions, and the mask of a category in an image.

A crowd (``iscrowd`` 1, RLE) is a region of many instances that were not drawn one by one. It is
part of the union by default, since the word is true of it; leave it out with ``crowd=False``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vlx.errors import near_names
from vlx.eval.data.records import Damaged, DataError, Record, inside, read_record, spared
from vlx.eval.data.segmentations import box_around, segmented
from vlx.eval.measures.boxes import Box
from vlx.eval.measures.maps import Mask


@dataclass(frozen=True)
class CocoImage:
    """One image of the data set."""

    id: int
    file_name: str
    height: int
    width: int
    """Both 0 where the file does not say."""

    def path(self, root: str | Path) -> Path:
        """Its file below ``root``; raises DataError for a name that leaves it."""
        return inside(root, self.file_name)


@dataclass(frozen=True)
class Caption:
    """One caption of one image."""

    id: int
    image_id: int
    text: str


@dataclass(frozen=True, eq=False)
class Instance:
    """One annotated object, or a crowd of them."""

    image_id: int
    category: str
    box: Box
    """Where the file states none, the one around the segmentation."""
    crowd: bool
    segmentation: object
    """Polygons or run-length codes, as the file holds them (see `vlx.eval.data.segmentations`)."""
    where: str
    """Where it stands in its file."""


@dataclass(frozen=True, eq=False)
class Captions:
    """The captions file of a data set."""

    images: Mapping[int, CocoImage]
    by_image: Mapping[int, tuple[Caption, ...]]


@dataclass(frozen=True, eq=False)
class Instances:
    """The instances file of a data set."""

    images: Mapping[int, CocoImage]
    categories: tuple[str, ...]
    by_image: Mapping[int, tuple[Instance, ...]]
    lost: Mapping[tuple[int, str], str] = field(default_factory=dict[tuple[int, str], str])
    """What is wrong with a damaged record of an image and a category, whose masks are then not whole."""

    def of(self, image_id: int) -> tuple[Instance, ...]:
        """The instances of an image; raises DataError for an image that is not in the file."""
        if image_id not in self.images:
            raise DataError(f"no image {image_id} among the {len(self.images)} of the file")
        return self.by_image.get(image_id, ())


def read_captions(path: str | Path, damaged: Damaged | None = None, split: str | None = None) -> Captions:
    """The captions of ``captions_*.json``, images without a caption included.

    Karpathy's ``dataset_coco.json`` is read too: ``split`` (test, val2014, ...) picks images there, and they
    have no size. A damaged record raises DataError, or is skipped and told to ``damaged``.

    >>> from vlx.scenes import held_out_scenes
    >>> captions = read_captions(held_out_scenes() / "captions.json")
    >>> captions.images[1].file_name
    '000000000001.jpg'
    """
    file = read_record(path)
    if "annotations" not in file and "sentences" in next(file.records("images", lambda _: None), file):
        return _karpathy(file, damaged, split)
    images = _images(file, damaged)
    grouped: dict[int, list[Caption]] = {}
    for record in file.records("annotations", damaged):
        with spared(damaged):
            image_id = _image_id(record, images)
            caption = Caption(record.integer("id"), image_id, record.text("caption").strip())
            grouped.setdefault(image_id, []).append(caption)
    return Captions(images, {image: tuple(captions) for image, captions in grouped.items()})


def read_instances(path: str | Path, damaged: Damaged | None = None) -> Instances:
    """The instances of ``instances_*.json``; masks are decoded when they are asked for.

    A damaged record raises DataError, or is skipped and told to ``damaged``.

    >>> from vlx.scenes import held_out_scenes
    >>> instances = read_instances(held_out_scenes() / "instances.json")
    >>> sorted({instance.category for instance in instances.of(1)})
    ['airplane', 'skateboard', 'traffic light', 'umbrella']
    """
    file = read_record(path)
    images = _images(file, damaged)
    names: dict[int, str] = {}
    for record in file.records("categories", damaged):
        with spared(damaged):
            number, name = record.integer("id"), record.text("name")
            if names.setdefault(number, name) != name:
                raise DataError(
                    f"{record.where}: category id {number} stands twice, as {names[number]!r} too"
                )
    grouped: dict[int, list[Instance]] = {}
    lost: dict[tuple[int, str], str] = {}
    for record in file.records("annotations", damaged):
        with spared(damaged):
            image_id = _image_id(record, images)
            category = _category(record, names)
            try:
                instance = _instance(record, images[image_id], category)
                grouped.setdefault(image_id, []).append(instance)
            except DataError as error:
                lost[image_id, category] = str(error)
                raise
    by_image = {image: tuple(instances) for image, instances in grouped.items()}
    return Instances(images, tuple(names.values()), by_image, lost)


def instance_mask(instance: Instance, image: CocoImage) -> Mask:
    """The pixels of one instance on its image, as `segmented` reads them.

    Raises DataError for a mask of another size or a damaged one.

    >>> from vlx.scenes import held_out_scenes
    >>> instances = read_instances(held_out_scenes() / "instances.json")
    >>> instance_mask(instances.of(1)[0], instances.images[1]).shape
    (224, 224)
    """
    return segmented(instance.segmentation, (image.height, image.width), instance.where)


def union_mask(instances: Instances, image_id: int, category: str, *, crowd: bool = True) -> Mask:
    """The pixels of all instances of a category in an image; all False where there are none.

    Raises DataError for a category that the file does not have.

    >>> from vlx.scenes import held_out_scenes
    >>> instances = read_instances(held_out_scenes() / "instances.json")
    >>> bool(union_mask(instances, 1, "umbrella").any()), bool(union_mask(instances, 1, "dog").any())
    (True, False)
    """
    if category not in instances.categories:
        hint = near_names(category, instances.categories)
        raise DataError(f"no category {category!r}{hint}")
    found = [
        instance
        for instance in instances.of(image_id)
        if instance.category == category and (crowd or not instance.crowd)
    ]
    return joined_mask(found, instances.images[image_id])


def joined_mask(instances: Iterable[Instance], image: CocoImage) -> Mask:
    """The pixels of any of these instances of one image; raises DataError where one is damaged.

    >>> from vlx.scenes import held_out_scenes
    >>> instances = read_instances(held_out_scenes() / "instances.json")
    >>> joined_mask(instances.of(1), instances.images[1]).shape
    (224, 224)
    """
    mask = np.zeros((image.height, image.width), dtype=bool)
    for instance in instances:
        mask |= instance_mask(instance, image)
    return mask


def _karpathy(file: Record, damaged: Damaged | None, split: str | None) -> Captions:
    """The captions of Karpathy and Fei-Fei's splits: one record an image, its sentences inside."""
    images: dict[int, CocoImage] = {}
    by_image: dict[int, tuple[Caption, ...]] = {}
    for record in file.records("images", damaged):
        with spared(damaged):
            folder = record.text("filepath") if "filepath" in record else ""
            if split is not None and split not in (record.fields.get("split"), folder):
                continue
            name = record.text("filename")
            image_id = record.integer("cocoid" if "cocoid" in record else "imgid")
            captions = [
                Caption(one.integer("sentid"), image_id, one.text("raw").strip())
                for one in record.records("sentences", damaged)
            ]
            if image_id in images:
                raise DataError(f"{record.where}: image id {image_id} stands twice")
            images[image_id] = CocoImage(image_id, f"{folder}/{name}" if folder else name, 0, 0)
            by_image[image_id] = tuple(captions)
    return Captions(images, by_image)


def _images(file: Record, damaged: Damaged | None) -> dict[int, CocoImage]:
    images: dict[int, CocoImage] = {}
    for record in file.records("images", damaged):
        with spared(damaged):
            stated = "height" in record or "width" in record
            height, width = (record.integer(side) if stated else 0 for side in ("height", "width"))
            image = CocoImage(record.integer("id"), _file_name(record), height, width)
            if stated and min(height, width) < 1:
                raise DataError(f"{record.where} is {image.height} x {image.width} pixels")
            if image.id in images:
                raise DataError(f"{record.where}: image id {image.id} stands twice")
            images[image.id] = image
    return images


def _image_id(record: Record, images: Mapping[int, CocoImage]) -> int:
    image_id = record.integer("image_id")
    if image_id not in images:
        raise record.wrong("image_id", "the id of an image of the same file")
    return image_id


def _file_name(record: Record) -> str:
    """The name of the file, or that at the end of its address, as in LVIS."""
    if "file_name" not in record and "coco_url" in record:
        return record.text("coco_url").rpartition("/")[2]
    return record.text("file_name")


def _category(record: Record, names: Mapping[int, str]) -> str:
    category = names.get(record.integer("category_id"))
    if category is None:
        raise record.wrong("category_id", "the id of a category of the same file")
    return category


def _instance(record: Record, image: CocoImage, category: str) -> Instance:
    segmentation = record.fields.get("segmentation")
    if not isinstance(segmentation, list | dict) or not segmentation:
        raise record.wrong("segmentation", "polygons or a run-length code")
    crowd = record.integer("iscrowd") if record.fields.get("iscrowd") is not None else 0
    if record.fields.get("bbox") is None:
        box = box_around(segmentation, (image.height, image.width), record.where)
    else:
        box = Box(*record.numbers("bbox", 4))
    return Instance(image.id, category, box, bool(crowd), segmentation, record.where)
