"""The class of each pixel: palette files as PASCAL VOC writes them, and COCO's instances over one another.

Label 0 is the background, 255 a pixel that does not count. Of palette files the classes are VOC's, unless a
file ``labels.txt`` or ``class_names.txt`` beside the folder says others, a line each from the background on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vlx.errors import VlxError
from vlx.eval.data.coco import CocoImage, Instance, instance_mask, read_instances
from vlx.eval.data.folder import DataFolder
from vlx.eval.data.photos import entries
from vlx.eval.data.published import INSTANCES, VOC_MASKS
from vlx.eval.data.records import Damaged, DataError, inside, spared
from vlx.eval.measures.seeds import IGNORED, Labels
from vlx.images.files import FORMATS, LIMIT

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""Classes 1 to 20 of PASCAL VOC's masks."""
_NAMES = ("labels.txt", "class_names.txt")
_NOTHING = ("background", "_background_", "__background__")
_ENDS = (".jpg", ".JPEG", ".jpeg", ".png")


@dataclass(frozen=True, eq=False)
class Overlaid:
    """The instances of one image, each with the label of its class."""

    image: CocoImage
    instances: tuple[tuple[int, Instance], ...]


@dataclass(frozen=True, eq=False)
class Masked:
    """One image and where the class of each of its pixels is told."""

    id: str
    path: Path
    truth: "Path | Overlaid"
    """A palette file, or instances."""
    lost: str = ""
    """What is wrong with the record, so that the truth is not whole."""


@dataclass(frozen=True, eq=False)
class ClassMasks:
    """Images with the class of each pixel."""

    names: tuple[str, ...]
    """Of the classes from label 1 on."""
    images: tuple[Masked, ...]


def read_masks(folder: DataFolder, damaged: Damaged | None = None) -> ClassMasks:
    """The images of a folder with their masks: palette files where it has any, else COCO's instances.

    Of palette files those that ``ImageSets/Segmentation`` lists for the folder's split, where it does. Masks
    are read when they are asked for. Raises DataError where there are none.

    >>> from vlx.eval.data.folder import look
    >>> from vlx.scenes import held_out_scenes
    >>> masks = read_masks(look(held_out_scenes()))
    >>> masks.names[:2], sorted({masks.names[label - 1] for label in shown(labels_of(masks.images[0].truth))})
    (('person', 'bicycle'), ['airplane', 'skateboard', 'traffic light', 'umbrella'])
    """
    if folder.has(VOC_MASKS) or not folder.has(INSTANCES):
        return _of_palettes(folder, damaged)
    return _of_instances(folder, damaged)


def labels_of(truth: Path | Overlaid, classes: int | None = None) -> Labels:
    """The class of each pixel. Raises DataError where the truth is damaged or has more than ``classes``.

    Of instances that cover one another the smaller lies on top.
    """
    return read_palette(truth, classes) if isinstance(truth, Path) else _drawn(truth)


def shown(labels: Labels) -> list[int]:
    """The classes that some pixels have, without background and what does not count.

    >>> shown(np.array([[0, 3, 255, 1]]))
    [1, 3]
    """
    return [int(one) for one in np.unique(labels) if one not in (0, IGNORED)]


def read_palette(path: Path, classes: int | None = None) -> Labels:
    """The labels of a palette file, or of a grey one with labels as values.

    Raises DataError for a file that is damaged, that has colours and no labels, or labels above ``classes``.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > LIMIT:
                raise DataError(f"{path}: {image.width} x {image.height} pixels are too many")
            if image.mode not in ("P", "L"):
                raise DataError(f"{path}: a file of mode {image.mode}: expected labels as palette or grey")
            labels = np.asarray(image, dtype=np.int64)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, VlxError):
            raise
        raise DataError(f"{path}: no mask that can be read ({error})") from None
    wrong = [one for one in shown(labels) if classes is not None and one > classes]
    if wrong:
        raise DataError(f"{path}: label {wrong[0]}, and there are {classes} classes")
    return labels


def _drawn(drawn: Overlaid) -> Labels:
    labels = np.zeros((drawn.image.height, drawn.image.width), dtype=np.int64)
    masks = [(label, instance_mask(one, drawn.image)) for label, one in drawn.instances]
    for label, mask in sorted(masks, key=lambda pair: -int(pair[1].sum())):
        labels[mask] = label
    return labels


def _of_instances(folder: DataFolder, damaged: Damaged | None) -> ClassMasks:
    found = read_instances(folder.path(INSTANCES), damaged)
    if len(found.categories) >= IGNORED:
        raise DataError(f"{len(found.categories)} categories: masks have labels for {IGNORED - 1}")
    label = {name: at for at, name in enumerate(found.categories, 1)}
    images: list[Masked] = []
    for image in found.images.values():
        with spared(damaged):
            path = folder.image(*dict.fromkeys((image.file_name, Path(image.file_name).name)))
            instances = tuple((label[one.category], one) for one in found.of(image.id))
            lost = next((why for (key, _), why in found.lost.items() if key == image.id), "")
            images.append(Masked(str(image.id), path, Overlaid(image, instances), lost))
    return ClassMasks(found.categories, tuple(images))


def _of_palettes(folder: DataFolder, damaged: Damaged | None) -> ClassMasks:
    place = folder.path(VOC_MASKS)
    names = _names(place.parent)
    images: list[Masked] = []
    for stem in _listed(place, folder.split):
        with spared(damaged):
            path = folder.image(*(f"{stem}{end}" for end in _ENDS))
            images.append(Masked(stem, path, inside(place, f"{stem}.png")))
    return ClassMasks(names, tuple(images))


def _listed(place: Path, split: str | None) -> Sequence[str]:
    listed = None if split is None else place.parent / "ImageSets" / "Segmentation" / f"{split}.txt"
    if listed is not None and listed.is_file():
        lines = listed.read_text(encoding="utf-8", errors="replace").split("\n")
        return [line.split()[0].removesuffix(".jpg") for line in lines if line.split()]
    return sorted(Path(name).stem for name in entries(place) if name.lower().endswith(".png"))


def _names(root: Path) -> tuple[str, ...]:
    path = next((root / name for name in _NAMES if (root / name).is_file()), None)
    return VOC_CLASSES if path is None else tuple(_told(path))


def _told(path: Path) -> Iterator[str]:
    """The names in a file: a line each, the background and what comes before it left out."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    at = next((at for at, line in enumerate(lines) if line.casefold() in _NOTHING), None)
    if at is None or len(lines) - at < 2 or len(lines) - at > IGNORED:
        raise DataError(f"{path}: expected 'background', then the name of each class from 1 on, a line each")
    yield from lines[at + 1 :]
