"""Broden, the data of Network Dissection, as its owners unpack it: tables, images and maps of labels.

``index.csv`` names each image below ``images/`` with the height and width of its labels (``sh``, ``sw``),
then for each category what it shows: numbers of labels that hold of the whole image, and names of PNG files
below ``images/`` whose pixels have labels, red + 256 x green, 0 where there is none. Several stand between
semicolons. ``label.csv`` has the numbers with their names and the categories that they occur in, as
``material(36);object(3)``. Nothing that a table names is read outside the folder.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int
from PIL import Image

from vlx.errors import quietly
from vlx.eval.data.records import DataError, inside
from vlx.eval.measures.maps import Mask
from vlx.studies.kept import digest
from vlx.studies.neurons.concepts import SIDE, Concept, Labelled, MaskData, Masks, at_most
from vlx.studies.neurons.tables import read_table

_FIXED = ("image", "split", "ih", "iw", "sh", "sw")
_MOST_SIDE = 4096
_NUMBER = re.compile(r"[0-9]{1,9}")
_OF_CATEGORY = re.compile(r"([^()]+)\(([0-9]{1,9})\)")


def is_broden(folder: str | Path) -> bool:
    """Whether a folder has Broden's two tables.

    >>> is_broden(".")
    False
    """
    return all((Path(folder) / name).is_file() for name in ("index.csv", "label.csv"))


def read_broden(folder: str | Path, *, split: str | None = None, side: int = SIDE) -> MaskData:
    """Broden's images with their labels; of a split such as val only those.

    A label counts in the category in which it occurs most often. An image whose row or label map is damaged,
    or that is not there, is left out and counted. Raises DataError where a table is missing or damaged, and
    where nothing is left.
    """
    root = Path(folder)
    by_number = _labels(root / "label.csv")
    labels = tuple(dict.fromkeys(by_number.values()))
    places = {number: labels.index(concept) for number, concept in by_number.items()}
    head, rows = read_table(root / "index.csv", _FIXED)
    categories = [name for name in head if name not in _FIXED]
    if not categories:
        raise DataError(f"{root / 'index.csv'} has no column of labels behind {', '.join(_FIXED)}")
    images: list[Labelled] = []
    missing = Counter[str]()
    for number, row in enumerate(rows, 2):
        if split is not None and row["split"] != split:
            continue
        where = f"{root / 'index.csv'}: line {number}"
        try:
            path = inside(root / "images", row["image"])
            size = _size(row, where)
            planes = [part for name in categories for part in row[name].split(";") if part.strip()]
        except DataError:
            missing["damaged_record"] += 1
            continue
        if not path.is_file():
            missing["no_image"] += 1
            continue
        images.append(
            Labelled(row["image"], path, partial(_masks, root / "images", planes, size, places, side, where))
        )
    if not images:
        which = "" if split is None else f" of the split {split!r}"
        raise DataError(f"{root} holds no image{which} that its index.csv names: {dict(missing)}")
    kept = digest([row for row in rows], [[one.category, one.name] for one in labels])
    return MaskData(str(root), labels, _once(images, missing), kept, dict(missing))


def _once(images: Sequence[Labelled], missing: Counter[str]) -> tuple[Labelled, ...]:
    found: dict[str, Labelled] = {}
    for one in images:
        if one.id in found:
            missing["damaged_record"] += 1
        else:
            found[one.id] = one
    return tuple(found.values())


def _labels(path: Path) -> dict[int, Concept]:
    """The concept of each number; several numbers may have the same."""
    _, rows = read_table(path, ("number", "name", "category"))
    found: dict[int, Concept] = {}
    for at, row in enumerate(rows, 2):
        where = f"{path}: line {at}"
        counts = [_OF_CATEGORY.fullmatch(part.strip()) for part in row["category"].split(";")]
        if not _NUMBER.fullmatch(row["number"]) or not row["name"].strip() or None in counts:
            raise DataError(f"{where}: expected a number, a name and categories as object(3)")
        number = int(row["number"])
        if number in found:
            raise DataError(f"{where}: label {number} stands twice")
        if number:  # 0 stands for no label
            most = max((int(one[2]), -place, one[1]) for place, one in enumerate(counts) if one is not None)
            found[number] = Concept(most[2], row["name"].strip())
    if not found:
        raise DataError(f"{path} names no label")
    return found


def _size(row: Mapping[str, str], where: str) -> tuple[int, int]:
    sides = [row["sh"].strip(), row["sw"].strip()]
    if not all(_NUMBER.fullmatch(one) and 1 <= int(one) <= _MOST_SIDE for one in sides):
        raise DataError(f"{where}: labels of {sides[0]} x {sides[1]} pixels")
    return int(sides[0]), int(sides[1])


def _masks(
    images: Path,
    planes: Sequence[str],
    size: tuple[int, int],
    places: Mapping[int, int],
    side: int,
    where: str,
) -> Masks:
    found: dict[int, Mask] = {}
    for plane in planes:
        if _NUMBER.fullmatch(plane.strip()):
            labels = np.full(size, int(plane))
        else:
            labels = _label_map(inside(images, plane.strip()), size)
        for number in np.unique(labels):
            if number == 0:
                continue
            if int(number) not in places:
                raise DataError(f"{where}: label {number} is none of label.csv")
            at, mask = places[int(number)], at_most(labels == number, side)
            found[at] = found[at] | mask if at in found else mask
    return {at: mask for at, mask in found.items() if mask.any()}


def _label_map(path: Path, size: tuple[int, int]) -> Int[np.ndarray, "row col"]:
    """The numbers of a PNG file: red + 256 x green."""
    try:
        with quietly(), Image.open(path, formats=("PNG",)) as image:
            if (image.height, image.width) != size:
                raise DataError(
                    f"{path}: {image.width} x {image.height} pixels, where index.csv says {size[1]} x "
                    f"{size[0]}"
                )
            if image.mode not in ("RGB", "RGBA"):
                raise DataError(f"{path}: a picture of mode {image.mode}, where labels are red + 256 x green")
            pixels = np.asarray(image).astype(np.int64)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: no label map that can be read ({error})") from None
    return pixels[..., 0] + 256 * pixels[..., 1]
