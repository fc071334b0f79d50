"""Visual Genome regions: boxes with phrases, on the pixels of the original image.

``region_descriptions.json`` of version 1.2 and later (``region_id``, ``image_id``) and of 1.0
(``id``, ``image``), and ``image_data.json``. The coordinates are read as 1-based by default, as
DenseCap's preparation does; the data set itself does not say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vlx.eval.data.records import Damaged, DataError, Record, read_records, spared
from vlx.eval.measures.boxes import Box


@dataclass(frozen=True)
class GenomeRegion:
    """A region of an image with the phrase that describes it."""

    id: int
    image_id: int
    box: Box
    """0-based, in pixels of the original image."""
    phrase: str


@dataclass(frozen=True)
class GenomeImage:
    """One image of ``image_data.json``."""

    id: int
    height: int
    width: int
    coco_id: int | None
    """The same photo in COCO, where there is one."""


def read_regions(
    path: str | Path, *, one_based: bool = True, damaged: Damaged | None = None
) -> Mapping[int, tuple[GenomeRegion, ...]]:
    """The regions of each image, by image id.

    Empty boxes and empty phrases stay in; measures leave the first out and count them. A damaged
    image raises DataError, or is skipped and told to ``damaged``.
    """
    shift = 1.0 if one_based else 0.0
    images: dict[int, tuple[GenomeRegion, ...]] = {}
    for record in read_records(path, damaged):
        with spared(damaged):
            image_id = _image_id(record)
            if image_id in images:
                raise DataError(f"{record.where}: image {image_id} stands twice")
            images[image_id] = tuple(_region(region, image_id, shift) for region in record.records("regions"))
    return images


def read_image_data(path: str | Path) -> Mapping[int, GenomeImage]:
    """The images of ``image_data.json``, by image id."""
    images: dict[int, GenomeImage] = {}
    for record in read_records(path):
        image_id = record.integer("image_id" if "image_id" in record else "id")
        height, width = record.integer("height"), record.integer("width")
        if height < 1 or width < 1:
            raise DataError(f"{record.where} is {height} x {width} pixels")
        coco = record.fields.get("coco_id")
        coco_id = None if coco is None else record.integer("coco_id")
        images[image_id] = GenomeImage(image_id, height, width, coco_id)
    return images


def _image_id(record: Record) -> int:
    """The image of a group of regions: at ``id``, or with its first region."""
    if "id" in record:
        return record.integer("id")
    first = next(record.records("regions"), None)
    if first is None:
        raise record.wrong("id", "the id of the image")
    return first.integer("image_id" if "image_id" in first else "image")


def _region(record: Record, image_id: int, shift: float) -> GenomeRegion:
    own = "image_id" if "image_id" in record else "image"
    if own in record and record.integer(own) != image_id:
        raise record.wrong(own, f"{image_id}, the image of the group")
    x, y = record.number("x") - shift, record.number("y") - shift
    return GenomeRegion(
        record.integer("region_id" if "region_id" in record else "id"),
        image_id,
        Box(x, y, record.number("width"), record.number("height")),
        record.text("phrase").strip(),
    )
