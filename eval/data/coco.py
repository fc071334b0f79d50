"""COCO files: captions, and the mask of a category in an image.

A crowd (``iscrowd`` 1, RLE) is a region of many instances that were not drawn one by one. It is
part of the union by default, since the word is true of it; leave it out with ``crowd=False``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as rle

from vlx.errors import near_names, quietly
from vlx.eval.data.records import Damaged, DataError, Record, inside, read_record, spared
from vlx.eval.measures.boxes import Box
from vlx.eval.measures.maps import Mask


@dataclass(frozen=True)
class CocoImage:
    """One image of the data set."""

    id: int
    file_name: str
    height: int
    width: int

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
    crowd: bool
    segmentation: object
    """Polygons (lists of x, y in pixels) or a run-length code, as the file holds it."""
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

    def of(self, image_id: int) -> tuple[Instance, ...]:
        """The instances of an image; raises DataError for an image that is not in the file."""
        if image_id not in self.images:
            raise DataError(f"no image {image_id} among the {len(self.images)} of the file")
        return self.by_image.get(image_id, ())


def read_captions(path: str | Path, damaged: Damaged | None = None) -> Captions:
    """The captions of ``captions_*.json``, images without a caption included.

    A damaged record raises DataError, or is skipped and told to ``damaged``.

    >>> from vlx.scenes import held_out_scenes
    >>> captions = read_captions(held_out_scenes() / "captions.json")
    >>> captions.images[1].file_name
    '000000000001.jpg'
    """
    file = read_record(path)
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
            names[record.integer("id")] = record.text("name")
    grouped: dict[int, list[Instance]] = {}
    for record in file.records("annotations", damaged):
        with spared(damaged):
            image_id = _image_id(record, images)
            grouped.setdefault(image_id, []).append(_instance(record, image_id, names))
    by_image = {image: tuple(instances) for image, instances in grouped.items()}
    return Instances(images, tuple(names.values()), by_image)


def instance_mask(instance: Instance, image: CocoImage) -> Mask:
    """The pixels of one instance on its image.

    Polygons are filled by pycocotools. Raises DataError for a mask of another size or a damaged
    one.

    >>> from vlx.scenes import held_out_scenes
    >>> instances = read_instances(held_out_scenes() / "instances.json")
    >>> instance_mask(instances.of(1)[0], instances.images[1]).shape
    (224, 224)
    """
    size = (image.height, image.width)
    code = _checked_code(instance, size)
    try:
        with quietly("__array__", DeprecationWarning):  # pycocotools 2.0 under NumPy 2
            decoded = rle.decode(rle.merge(code) if isinstance(code, list) else code)
    except (ValueError, TypeError) as error:
        raise DataError(f"{instance.where}.segmentation cannot be decoded ({error})") from None
    return decoded.astype(bool)


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


def _images(file: Record, damaged: Damaged | None) -> dict[int, CocoImage]:
    images: dict[int, CocoImage] = {}
    for record in file.records("images", damaged):
        with spared(damaged):
            image = CocoImage(
                record.integer("id"),
                record.text("file_name"),
                record.integer("height"),
                record.integer("width"),
            )
            if image.height < 1 or image.width < 1:
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


def _instance(record: Record, image_id: int, names: Mapping[int, str]) -> Instance:
    category = names.get(record.integer("category_id"))
    if category is None:
        raise record.wrong("category_id", "the id of a category of the same file")
    segmentation = record.fields.get("segmentation")
    if not isinstance(segmentation, list | dict) or not segmentation:
        raise record.wrong("segmentation", "polygons or a run-length code")
    crowd = record.integer("iscrowd") if "iscrowd" in record else 0
    box = Box(*record.numbers("bbox", 4))
    return Instance(image_id, category, box, bool(crowd), segmentation, record.where)


def _checked_code(instance: Instance, size: tuple[int, int]) -> Any:
    """The run-length code of a segmentation, checked before the C code of pycocotools reads it."""
    shape: Any = instance.segmentation
    if isinstance(shape, list):
        polygons = [np.asarray(polygon, dtype=np.float64) for polygon in shape]
        if not all(_is_polygon(polygon, size) for polygon in polygons):
            raise DataError(
                f"{instance.where}.segmentation: expected polygons of 3 or more points near the "
                f"{size[0]} x {size[1]} image"
            )
        return rle.frPyObjects(shape, *size)
    counts: Any = shape.get("counts")
    if tuple(shape.get("size", ())) != size:
        raise DataError(
            f"{instance.where}.segmentation.size is {shape.get('size')}: the image is {list(size)}"
        )
    if isinstance(counts, str):
        return shape
    if not isinstance(counts, list) or sum(counts) != size[0] * size[1] or min(counts) < 0:
        raise DataError(f"{instance.where}.segmentation.counts do not add up to {size[0] * size[1]}")
    return rle.frPyObjects(shape, *size)


def _is_polygon(points: np.ndarray, size: tuple[int, int]) -> bool:
    reach = 10 * max(size)  # far points would make pycocotools allocate a cell for every step
    flat = points.ndim == 1 and len(points) >= 6 and len(points) % 2 == 0
    return flat and bool(np.isfinite(points).all() and np.abs(points).max() <= reach)
