"""Find an image file under the name that data give it, where and however people have it.

A name is sought as it is. Where it is not there, it may lie without the folder that its name begins with, or
be spelled otherwise: ``.JPG`` or ``.jpeg`` for ``.jpg``, letters of the other case, accents composed
or not. Of several files that would do none is taken.
"""

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vlx.eval.data.records import DataError, name_parts
from vlx.images.files import SUFFIXES

PLACES = (
    "images", "val2014", "train2014", "test2014", "test2015", "val2017", "train2017", "test2017",
    "VG_100K", "VG_100K_2", "vis/data", "JPEGImages",
    "images/val2014", "images/train2014", "images/val2017", "images/train2017", "images/VG_100K",
    "images2/VG_100K_2",
    "ILSVRC/Data/CLS-LOC/val", "Data/CLS-LOC/val", "ILSVRC2012_img_val", "val",
    "VOC2007/JPEGImages", "VOC2012/JPEGImages",
    "VOCdevkit/VOC2007/JPEGImages", "VOCdevkit/VOC2012/JPEGImages",
)  # fmt: skip
"""Folders of images, as their owners' archives unpack."""

_FIRST = {name for place in PLACES for name in place.split("/")}
_NOT_PHOTOS = {
    "masks", "labels", "attention", "vqahat_val", "vqahat_train", "segmentationclass",
    "segmentationobject", "stuffthingmaps",
}  # fmt: skip
_PEEK = 50  # entries of a folder that are looked at before it is said to hold no images


Parts = tuple[str, ...]
"""A file's name and the folders before it."""


@dataclass(frozen=True, eq=False)
class Photos:
    """The folders of a data folder in which images lie."""

    root: Path
    places: tuple[Path, ...]
    """All of them below the data folder, as a person knows them."""
    known: tuple[Path, ...]
    """Those that have their owners' names, and the data folder itself; links are resolved."""
    others: tuple[Path, ...] = ()
    """Further ones, in which a name must be the only one of its kind."""
    _listed: dict[Path, Mapping[str, list[str]]] = field(
        default_factory=dict[Path, Mapping[str, list[str]]], repr=False
    )

    def find(self, names: Sequence[str]) -> Path:
        """The file of the first of these names that is there, else the path where it is missed.

        Raises DataError for a name that leads out of the folder, and where several files would do.
        """
        parted = [name_parts(name, self.root) for name in names]
        exact = [folder.joinpath(*parts) for parts in parted for folder in self.known]
        found = next(filter(os.path.isfile, exact), None)
        if found is None:
            found = next(filter(None, map(self._elsewhere, parted)), None)
        return found or next(filter(os.path.lexists, exact), exact[0])

    def _elsewhere(self, parts: Parts) -> Path | None:
        first = _FIRST | {self.root.name}
        shorter = [parts[at:] for at in range(1, len(parts)) if set(parts[:at]) <= first]
        for tail in (parts, *shorter):
            found = next(filter(None, (self._spelled(folder, tail) for folder in self.known)), None)
            if found is not None:
                return found
        several = [path for folder in self.others if (path := self._spelled(folder, parts)) is not None]
        if len(several) > 1:
            places = ", ".join(path.parent.name for path in several[:4])
            raise DataError(f"{'/'.join(parts)!r} lies in several folders ({places}): give one as --data")
        return several[0] if several else None

    def _spelled(self, folder: Path, parts: Parts) -> Path | None:
        """The one file below a folder whose name is this one but for its spelling."""
        path = folder
        for part in parts:
            names = self._names(path).get(_spelling(part), [])
            if len(names) > 1 and part not in names:
                raise DataError(f"several files could be {'/'.join(parts)!r}: {', '.join(names[:4])}")
            path = path / (part if part in names or not names else names[0])
        return path if os.path.isfile(path) else None

    def _names(self, folder: Path) -> Mapping[str, list[str]]:
        """The names in a folder by how they are spelled; listed once."""
        if folder not in self._listed:
            found: dict[str, list[str]] = {}
            for name in entries(folder):
                found.setdefault(_spelling(name), []).append(name)
            self._listed[folder] = found
        return self._listed[folder]


def photos_in(root: Path, split: str | None = None) -> Photos:
    """The folders of a data folder in which images lie, those of a split before the others."""
    places = sorted(PLACES, key=lambda place: split is None or split not in place)  # the sort is stable
    known = [root / place for place in places if os.path.isdir(root / place)]
    others = [
        folder
        for folder in (*folders_in(root), *folders_in(root / "images"))
        if folder not in known and folder.name.lower() not in _NOT_PHOTOS and holds_images(folder)
    ]
    first = tuple(path.resolve() for path in (*known, root))
    return Photos(root, (*known, *others), first, tuple(path.resolve() for path in others))


def holds_images(folder: Path, peek: int | None = _PEEK) -> bool:
    """Whether a file of an image lies in a folder, among its first entries or (None) all."""
    return any(name.lower().endswith(SUFFIXES) for name in entries(folder)[:peek])


def image_files(folders: Iterable[Path]) -> list[Path]:
    """The image files in some folders, each folder's in the order of their names."""
    return [
        folder / name
        for folder in folders
        for name in sorted(entries(folder))
        if name.lower().endswith(SUFFIXES) and os.path.isfile(folder / name)
    ]


def entries(folder: Path) -> list[str]:
    """What lies in a folder, but for what is hidden, as the companions that macOS leaves (``._1.jpg``)."""
    try:
        return [name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError:
        return []


def folders_in(root: Path) -> list[Path]:
    """The folders just below a folder, but for those that are hidden."""
    try:
        with os.scandir(root) as entries:
            return sorted(Path(one) for one in entries if one.name[0] != "." and one.is_dir())
    except OSError:
        return []


def _spelling(name: str) -> str:
    plain = unicodedata.normalize("NFC", name).casefold()
    return f"{plain[:-5]}.jpg" if plain.endswith(".jpeg") else plain
