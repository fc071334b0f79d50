"""ILSVRC's localisation data: the class and the boxes of each validation image, as published or from Kaggle.

A class is known by its WordNet id. The numbers of the devkit's ground truth are its own (`meta_clsloc.mat`,
`map_clsloc.txt`), not those of networks, which follow the sorted WordNet ids: one is never read as the other.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vlx.eval.data.records import Damaged, DataError, number_of, spared
from vlx.eval.measures.localisation import Corners

_WNID = re.compile(r"n\d{8}")
_MOST = 1 << 28  # bytes of a table
CLASSES = 1000


@dataclass(frozen=True, eq=False)
class Synsets:
    """The classes."""

    words: Mapping[str, tuple[str, ...]]
    """For each WordNet id the words that mean it; none where the file names none."""
    of_number: Mapping[int, str]
    """The WordNet id of each of the devkit's own numbers, where the file has these."""

    @property
    def index(self) -> Mapping[str, int]:
        """The place of each WordNet id among all sorted ones, which is its number in networks."""
        return {name: at for at, name in enumerate(sorted(self.words))}


@dataclass(frozen=True)
class Labelled:
    """One validation image."""

    name: str
    """Of the image, without a suffix."""
    wnid: str
    boxes: tuple[Corners, ...]
    """Empty where they stand in a file of their own."""


def read_synsets(path: str | Path) -> Synsets:
    """The classes of ``LOC_synset_mapping.txt``, ``synset_words.txt``, ``map_clsloc.txt`` or ``meta*.mat``.

    Of a text each line begins with a WordNet id; a whole number after it is the devkit's own. Raises
    DataError for any other file.
    """
    file = Path(path)
    return _of_mat(file) if file.suffix.lower() == ".mat" else _of_text(file)


def read_ground_truth(
    path: str | Path, synsets: Synsets, damaged: Damaged | None = None
) -> Iterator[Labelled]:
    """The images of ``*_validation_ground_truth.txt``: the devkit's number of a class a line, by file name.

    Raises DataError where ``synsets`` do not tell these numbers: they are in no other order.
    """
    file = Path(path)
    if not synsets.of_number:
        raise DataError(
            f"{file} holds numbers of the devkit, and no file says which class each is: put its "
            "meta_clsloc.mat, meta.mat or map_clsloc.txt beside it"
        )
    for number, line in enumerate(_lines(file), 1):
        with spared(damaged):
            told = number_of(line.strip())
            wnid = synsets.of_number.get(told) if isinstance(told, int) else None
            if wnid is None:
                raise DataError(
                    f"{file}: line {number} is {line.strip()[:40]!r}: expected the number of a class"
                )
            yield Labelled(f"ILSVRC2012_val_{number:08d}", wnid, ())


def read_solution(path: str | Path, damaged: Damaged | None = None) -> Iterator[Labelled]:
    """The images of Kaggle's ``LOC_val_solution.csv``, their boxes with them, in pixels from 0."""
    file = Path(path)
    rows = csv.DictReader(_lines(file))
    if not {"ImageId", "PredictionString"} <= set(rows.fieldnames or ()):
        raise DataError(f"{file} has the columns {rows.fieldnames}: expected ImageId, PredictionString")
    while True:
        with spared(damaged):
            try:
                row = next(rows, None)
            except csv.Error as error:
                raise DataError(f"{file}: line {rows.line_num} cannot be read ({error})") from None
            if row is None:
                return
            yield _solved(str(row["ImageId"]), str(row["PredictionString"]), f"{file}: line {rows.line_num}")


def read_blacklist(path: str | Path) -> frozenset[int]:
    """The numbers, from 1, of images whose boxes are not scored. Raises DataError for a line that is none."""
    found: set[int] = set()
    for number, line in enumerate(_lines(Path(path)), 1):
        told = number_of(line.strip())
        if line.strip() and (not isinstance(told, int) or told < 1):
            raise DataError(
                f"{path}: line {number} is {line.strip()[:40]!r}: expected the number of an image"
            )
        if isinstance(told, int):
            found.add(told)
    return frozenset(found)


def number_in(name: str) -> int | None:
    """The number of a validation image in its name.

    >>> number_in("ILSVRC2012_val_00000036"), number_in("photo")
    (36, None)
    """
    found = re.fullmatch(r"ILSVRC\d{4}_val_(\d{8})", name)
    return int(found[1]) if found else None


def _solved(name: str, text: str, where: str) -> Labelled:
    parts = text.split()
    wnids, numbers = parts[::5], [number_of(one) for at, one in enumerate(parts) if at % 5]
    whole = parts and len(parts) % 5 == 0 and None not in numbers and len(set(wnids)) == 1
    if not whole or not _WNID.fullmatch(wnids[0]):
        raise DataError(f"{where} has {text[:60]!r}: expected one WordNet id, each time with four corners")
    corners = [value for value in numbers if value is not None]
    boxes: list[Corners] = []
    for at in range(0, len(corners), 4):
        left, top, right, bottom = corners[at : at + 4]
        if right < left or bottom < top:
            raise DataError(f"{where} has a box whose end lies before its beginning")
        boxes.append(Corners(left, top, right, bottom))
    return Labelled(name, wnids[0], tuple(boxes))


def _of_text(file: Path) -> Synsets:
    words: dict[str, tuple[str, ...]] = {}
    numbers: dict[int, str] = {}
    for number, line in enumerate(_lines(file), 1):
        wnid, _, rest = line.strip().partition(" ")
        if not wnid:
            continue
        if not _WNID.fullmatch(wnid) or wnid in words:
            raise DataError(
                f"{file}: line {number} is {line.strip()[:40]!r}: expected a WordNet id of its own"
            )
        first, _, name = rest.partition(" ")
        if first.isdecimal() and name and len(first) < 6:  # map_clsloc.txt: n02119789 1 kit_fox
            numbers[int(first)], rest = wnid, name.replace("_", " ")
        words[wnid] = tuple(one.strip() for one in rest.split(",") if one.strip())
    return _checked(Synsets(words, numbers), file)


def _of_mat(file: Path) -> Synsets:
    """The ``synsets`` of MATLAB's file; of the 1,860 of meta_clsloc.mat those with a number up to 1,000."""
    from scipy.io import loadmat

    _check_size(file)
    try:
        held: Any = np.atleast_1d(loadmat(str(file), squeeze_me=True, struct_as_record=True)["synsets"])
        names: tuple[str, ...] = held.dtype.names or ()
        own = next(name for name in names if re.fullmatch(r"ILSVRC\d{4}_ID", name))
        told = [(int(one[own]), str(one["WNID"]).strip(), str(one["words"])) for one in held]
    except Exception as error:  # whatever SciPy raises for a file that is none
        raise DataError(f"{file} holds no synsets with WNID, words and ILSVRC2012_ID ({error})") from None
    kept = [one for one in told if 1 <= one[0] <= CLASSES]
    words = {wnid: tuple(part.strip() for part in text.split(",")) for _, wnid, text in kept}
    if not all(map(_WNID.fullmatch, words)):
        raise DataError(f"{file}: a WNID that is no WordNet id")
    return _checked(Synsets(words, {number: wnid for number, wnid, _ in kept}), file)


def _checked(found: Synsets, file: Path) -> Synsets:
    if not found.words:
        raise DataError(f"{file} names no class")
    return found


def _lines(file: Path) -> list[str]:
    _check_size(file)
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: no text ({error})") from None


def _check_size(file: Path) -> None:
    try:
        if file.stat().st_size > _MOST:
            raise DataError(f"{file}: more than {_MOST >> 20} MiB")
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
