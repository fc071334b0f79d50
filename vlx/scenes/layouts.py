"""Scenes as data sets of classifiers: ILSVRC's localisation, as its devkit or Kaggle has it, and PASCAL VOC.

They are made of a folder that `vlx.scenes.formats.write_world` wrote, which is laid out as COCO is, so the
same truth stands in each: boxes are those of the pixels that are seen. Of ILSVRC, where an image has one
class, that is the class of the largest object, with the boxes of all objects of it.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args
from xml.sax.saxutils import escape

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from vlx.errors import VlxError
from vlx.images.files import write_whole
from vlx.scenes.inventory import CATEGORIES

Layout = Literal["ilsvrc", "kaggle", "voc"]
VOID = 255
"""What VOC's masks say where two segments meet: neither, and it is not scored."""
MARK = "vlx scenes"
SPLIT = "val"


@dataclass(frozen=True, eq=False)
class Object:
    """One object of a scene, as it is seen."""

    category: str
    mask: Bool[np.ndarray, "height width"]
    box: tuple[int, int, int, int]
    """Left, top, right, bottom of its pixels, counted from 0, all of them inclusive."""


@dataclass(frozen=True, eq=False)
class Shown:
    """One scene of a world."""

    number: int
    """From 1."""
    jpeg: bytes
    size: tuple[int, int]
    """Height and width."""
    objects: tuple[Object, ...]

    @property
    def largest(self) -> str:
        """The category of the object with most pixels; of two the first that was drawn."""
        return max(self.objects, key=lambda one: int(one.mask.sum())).category


def wnid_of(category: str) -> str:
    """The made-up WordNet id of a category, in the order of COCO's ids, which is that of the classifiers.

    >>> wnid_of("person"), wnid_of("toothbrush")
    ('n99000001', 'n99000090')
    """
    return f"n99{next(one.id for one in CATEGORIES if one.name == category):06d}"


def palette_index(category: str) -> int:
    """The value of a category in VOC's masks, from 1 on, in the order of the classifiers; 0 is the ground.

    >>> palette_index("person"), palette_index("toothbrush")
    (1, 62)
    """
    return 1 + next(at for at, one in enumerate(CATEGORIES) if one.name == category)


def write_layout(world: str | Path, out: str | Path, layout: str) -> Path:
    """Write the scenes of the folder ``world`` to the folder ``out``, laid out otherwise; returns it.

    ``ilsvrc``: ``devkit/data/`` (classes by the devkit's own numbers, which are not those of networks, and
    which class each is), ``bbox/val/`` (XML, pixels from 0), ``val/``. ``kaggle``: ``LOC_val_solution.csv``,
    ``LOC_synset_mapping.txt`` and ``ILSVRC/``. ``voc``: ``Annotations/`` (XML, pixels from 1),
    ``ImageSets/``, ``JPEGImages/``, ``SegmentationClass/`` and ``SegmentationObject/`` (palette PNG, 255
    where segments meet), and ``labels.txt``, the category of each value in the masks. Raises VlxError for
    another layout, a folder without scenes, and one that holds folders under the names of these files.
    """
    folder = Path(out)
    files = laid_out(world, layout)
    for name, content in files.items():
        path = folder / name
        if path.exists() and not path.is_file():
            raise VlxError(f"{path} is no file: give a new or an empty folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    return folder


def laid_out(world: str | Path, layout: str) -> dict[str, bytes]:
    """The files of a layout, by their names. Raises VlxError for an unknown one, or without scenes."""
    return dict(_LAYOUTS[layout_named(layout)](tuple(scenes_of(world))))


def layout_named(name: str) -> Layout:
    """A layout by its name. Raises VlxError for any other.

    >>> layout_named("voc")
    'voc'
    """
    found = next((one for one in get_args(Layout) if one == name), None)
    if found is None:
        known: tuple[str, ...] = get_args(Layout)
        raise VlxError(f"no layout {name!r} of scenes; known: {', '.join(known)}")
    return found


def scenes_of(world: str | Path) -> Iterator[Shown]:
    """The scenes of a folder with their objects, those that nothing is seen of left out."""
    from pycocotools import mask as coco_mask

    folder = Path(world)
    try:
        told: Any = json.loads((folder / "instances.json").read_text(encoding="utf-8"))
        said = str(told["info"]["description"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VlxError(f"{folder} holds no scenes ({error}): write some with vlx scenes generate") from None
    if not said.startswith(MARK):
        raise VlxError(f"{folder} holds other images than scenes: write some with vlx scenes generate")
    names = {one["id"]: one["name"] for one in told["categories"]}
    of_image: dict[int, list[Object]] = {one["id"]: [] for one in told["images"]}
    for one in told["annotations"]:
        mask = coco_mask.decode(one["segmentation"]).astype(bool)
        if mask.any():
            of_image[one["image_id"]].append(Object(names[one["category_id"]], mask, _box(mask)))
    for one in told["images"]:
        jpeg = (folder / "images" / Path(one["file_name"]).name).read_bytes()
        yield Shown(one["id"], jpeg, (one["height"], one["width"]), tuple(of_image[one["id"]]))


def _box(mask: Bool[np.ndarray, "height width"]) -> tuple[int, int, int, int]:
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(cols[0]), int(rows[0]), int(cols[-1]), int(rows[-1])


def _ilsvrc(scenes: tuple[Shown, ...]) -> Iterator[tuple[str, bytes]]:
    # Numbered by name and not by WordNet id, as the devkit's are in another order than those of networks.
    numbers = {name: at for at, name in enumerate(sorted(one.name for one in CATEGORIES), 1)}
    kinds = [f"{wnid_of(name)} {at} {name.replace(' ', '_')}" for name, at in numbers.items()]
    yield "devkit/data/map_clsloc.txt", _text(kinds)
    truth = [str(numbers[scene.largest]) for scene in scenes]
    yield "devkit/data/ILSVRC2012_validation_ground_truth.txt", _text(truth)
    for at, scene in enumerate(scenes, 1):
        name = f"ILSVRC2012_val_{at:08d}"
        yield f"bbox/val/{name}.xml", _ilsvrc_xml(name, scene)
        yield f"val/{name}.JPEG", scene.jpeg


def _kaggle(scenes: tuple[Shown, ...]) -> Iterator[tuple[str, bytes]]:
    kinds = [f"{wnid_of(one.name)} {', '.join(noun for noun, _ in one.nouns)}" for one in CATEGORIES]
    yield "LOC_synset_mapping.txt", _text(kinds)
    rows = ["ImageId,PredictionString"]
    for at, scene in enumerate(scenes, 1):
        name, wnid = f"ILSVRC2012_val_{at:08d}", wnid_of(scene.largest)
        boxes = " ".join(" ".join(map(str, (wnid, *one.box))) for one in _of_largest(scene))
        rows.append(f"{name},{boxes}")
        yield f"ILSVRC/Annotations/CLS-LOC/val/{name}.xml", _ilsvrc_xml(name, scene)
        yield f"ILSVRC/Data/CLS-LOC/val/{name}.JPEG", scene.jpeg
    yield "LOC_val_solution.csv", _text(rows)


def _ilsvrc_xml(name: str, scene: Shown) -> bytes:
    wnid = wnid_of(scene.largest)
    return _xml("val", name, scene.size, [(wnid, one.box) for one in _of_largest(scene)], origin=0)


def _of_largest(scene: Shown) -> list[Object]:
    return [one for one in scene.objects if one.category == scene.largest]


def _voc(scenes: tuple[Shown, ...]) -> Iterator[tuple[str, bytes]]:
    names = [f"{scene.number:06d}" for scene in scenes]
    yield "labels.txt", _text(["background", *(one.name for one in CATEGORIES)])
    for part in ("Main", "Segmentation"):
        yield f"ImageSets/{part}/{SPLIT}.txt", _text(names)
    for one in CATEGORIES:
        there = [any(drawn.category == one.name for drawn in scene.objects) for scene in scenes]
        lines = [f"{name} {'1' if yes else '-1':>2}" for name, yes in zip(names, there, strict=True)]
        yield f"ImageSets/Main/{one.name.replace(' ', '_')}_{SPLIT}.txt", _text(lines)
    for name, scene in zip(names, scenes, strict=True):
        boxes = [(one.category, one.box) for one in scene.objects]
        yield f"Annotations/{name}.xml", _xml("JPEGImages", f"{name}.jpg", scene.size, boxes, origin=1)
        yield f"JPEGImages/{name}.jpg", scene.jpeg
        kinds, objects = np.zeros(scene.size, np.uint8), np.zeros(scene.size, np.uint8)
        for number, one in enumerate(scene.objects, 1):
            kinds[one.mask], objects[one.mask] = palette_index(one.category), number
        void = borders(objects)
        for folder, plane in (("SegmentationClass", kinds), ("SegmentationObject", objects)):
            yield f"{folder}/{name}.png", _png(np.where(void, np.uint8(VOID), plane))


def borders(objects: UInt8[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """The pixels one of whose eight neighbours is of another object: a border of two pixels.

    >>> borders(np.array([[0, 0, 0, 1, 1]], np.uint8)).astype(int)
    array([[0, 0, 1, 1, 0]])
    """
    around = np.pad(objects, 1, mode="edge")
    height, width = objects.shape
    found = np.zeros(objects.shape, bool)
    for down in range(3):
        for right in range(3):
            found |= around[down : down + height, right : right + width] != objects
    return found


def _xml(
    folder: str,
    name: str,
    size: tuple[int, int],
    boxes: list[tuple[str, tuple[int, int, int, int]]],
    *,
    origin: int,
) -> bytes:
    """An annotation as VOC writes it, its pixels counted from ``origin``."""
    height, width = size
    lines = [
        "<annotation>",
        f"\t<folder>{folder}</folder>",
        f"\t<filename>{name}</filename>",
        f"\t<source><database>{MARK}</database></source>",
        f"\t<size><width>{width}</width><height>{height}</height><depth>3</depth></size>",
        "\t<segmented>1</segmented>",
    ]
    for kind, box in boxes:
        left, top, right, bottom = (side + origin for side in box)
        lines += [
            f"\t<object><name>{escape(kind)}</name><pose>Unspecified</pose><truncated>0</truncated>"
            "<difficult>0</difficult>",
            f"\t\t<bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
            "</bndbox></object>",
        ]
    return _text([*lines, "</annotation>"])


def _png(plane: UInt8[np.ndarray, "height width"]) -> bytes:
    image, buffer = Image.fromarray(plane, "P"), io.BytesIO()
    image.putpalette(_palette().tobytes())
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _palette() -> UInt8[np.ndarray, "256 3"]:
    """VOC's colours: bits 0, 3, 6 of a value are the upper bits of red, the next those of green, of blue."""
    values = np.arange(256)
    bits = [[(values >> (3 * at + colour) & 1) << (7 - at) for at in range(3)] for colour in range(3)]
    return np.stack([sum(one, np.zeros(256, int)) for one in bits], 1).astype(np.uint8)


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


_LAYOUTS: Mapping[Layout, Callable[[tuple[Shown, ...]], Iterator[tuple[str, bytes]]]] = {
    "ilsvrc": _ilsvrc,
    "kaggle": _kaggle,
    "voc": _voc,
}
