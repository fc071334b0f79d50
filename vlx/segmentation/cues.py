"""Files of seeds: SEC's ``localization_cues.pickle``, which is read and never run, and one of our own."""

import gzip
import io
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Bool, Int

from vlx.adapters.files.pickle.reader import read_pickle
from vlx.eval.data.records import DataError
from vlx.eval.measures.seeds import GRID, NONE
from vlx.images.files import write_whole

_MOST = 1 << 31  # bytes of an unpacked pickle; that of SEC has some 100 MB


@dataclass(frozen=True, eq=False)
class Cues:
    """Seeds of some images, and the classes that each shows."""

    ids: tuple[str, ...]
    """Of the images, such as ``2008_007028``."""
    labels: Int[np.ndarray, "image row col"]
    """The class of each cell, 0 the background, -1 of no class."""
    shown: Bool[np.ndarray, "image class"]
    """Whether an image shows each class; the first column, the background, is always True."""


def write_cues(path: Path, cues: Cues) -> None:
    """Write seeds as an archive of arrays, whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, ids=np.array(cues.ids), labels=cues.labels.astype(np.int16), shown=cues.shown)
    write_whole(path, buffer.getvalue())


def read_cues(path: str | Path) -> Cues:
    """The seeds that `write_cues` wrote. Raises DataError for any other file."""
    file = Path(path)
    try:
        with np.load(file, allow_pickle=False) as held:
            ids, labels, shown = held["ids"], held["labels"].astype(np.int64), held["shown"]
    except FileNotFoundError:
        raise DataError(f"{file}: no such file") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{file}: no file of seeds ({error})") from None
    fits = labels.ndim == 3 and shown.ndim == 2 and ids.shape == (len(labels),) == (len(shown),)
    if not fits or shown.dtype != np.bool_ or not np.isin(labels, range(NONE, shown.shape[1])).all():
        raise DataError(f"{file}: its arrays do not fit each other")
    return Cues(tuple(map(str, ids)), labels, shown)


def read_sec_cues(
    path: str | Path, listed: str | Path, *, classes: int = 20, grid: tuple[int, int] = GRID
) -> Cues:
    """The seeds of SEC: a pickle of Python 2, plain or under gzip, and its list of images.

    The pickle has for the i-th image ``i_labels``, the classes it shows from 1 on, and ``i_cues``, (3, cell):
    class, row and column; lines of the list are an image's name and i. No code of the pickle is run. Raises
    DataError where a record is missing or damaged, CheckpointError for a file that is no pickle.
    """
    held = _unpickled(Path(path))
    lines = [(number, line.split()) for number, line in enumerate(_text(Path(listed)), 1) if line.split()]
    ids: list[str] = []
    labels = np.full((len(lines), *grid), NONE, dtype=np.int64)
    shown = np.zeros((len(lines), classes + 1), dtype=bool)
    shown[:, 0] = True
    for at, (number, parts) in enumerate(lines):
        where = f"{listed}: line {number}"
        if len(parts) != 2 or not parts[1].isdecimal():
            raise DataError(f"{where} is {' '.join(parts)[:60]!r}: expected an image and its number")
        ids.append(Path(parts[0]).stem)
        there = _numbers(held, f"{parts[1]}_labels", where)
        cells = _numbers(held, f"{parts[1]}_cues", where)
        if there.ndim != 1 or not np.isin(there, range(1, classes + 1)).all():
            raise DataError(f"{where}: its labels are not classes of 1 to {classes}")
        if cells.ndim != 2 or len(cells) != 3 or (cells.size and not _inside(cells, classes, grid)):
            raise DataError(f"{where}: its cues are not classes, rows and columns of {grid[0]} x {grid[1]}")
        shown[at, there] = True
        labels[at, cells[1], cells[2]] = cells[0]
    return Cues(tuple(ids), labels, shown)


def aligned(cues: Cues, ids: Sequence[str]) -> Cues:
    """The seeds of these images, in their order. Raises DataError where one is missing."""
    place = {name: at for at, name in enumerate(cues.ids)}
    missing = [name for name in ids if name not in place]
    if missing:
        raise DataError(f"no seeds of {missing[0]}, and of {len(missing) - 1} other images of the data")
    order = np.array([place[name] for name in ids], dtype=np.intp)
    return Cues(tuple(ids), cues.labels[order], cues.shown[order])


def _inside(cells: Int[np.ndarray, "3 cell"], classes: int, grid: tuple[int, int]) -> bool:
    return bool((cells >= 0).all() and (cells.max(1) <= (classes, grid[0] - 1, grid[1] - 1)).all())


def _numbers(held: Mapping[str, object], name: str, where: str) -> Int[np.ndarray, "*any"]:
    value = held.get(name)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu":
        raise DataError(f"{where}: the seeds have no {name}")
    return value.astype(np.int64)


def _unpickled(file: Path) -> Mapping[str, object]:
    try:
        packed = file.open("rb").read(2) == b"\x1f\x8b"
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
    if not packed:
        return _named(read_pickle(file), file)
    try:
        with gzip.open(file) as opened, tempfile.TemporaryDirectory() as folder:
            plain = opened.read(_MOST + 1)
            if len(plain) > _MOST:
                raise DataError(f"{file}: more than {_MOST >> 30} GiB")
            inside = Path(folder) / file.stem
            inside.write_bytes(plain)
            return _named(read_pickle(inside), file)
    except (OSError, EOFError) as error:
        raise DataError(f"{file}: cannot be unpacked ({error})") from None


def _named(value: object, file: Path) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise DataError(f"{file}: a pickle of a {type(value).__name__}: expected seeds by their names")
    return {str(key): one for key, one in cast("dict[Any, object]", value).items() if isinstance(key, str)}


def _text(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error})") from None
