"""Checked reading of data files: an error names the file, the record and the key that is wrong."""

import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import cast

from vlx.errors import VlxError

_NUMBER = re.compile(r"\s*[+-]?[0-9]{1,300}(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?\s*")


class DataError(VlxError):
    """A data file that is missing or damaged, or whose content is not what its format says."""


_UNFOLDS = 200
_STARTS = (
    (b"pk\x03\x04", "a zip archive: unpack it"),
    (b"version https://git-lfs", "a Git LFS pointer: run git lfs pull"),
    (b"<", "a web page saved in its place: download it again"),
)

Damaged = Callable[[DataError], None]
"""Told of each damaged record that a reader skips; a reader without one raises at the first."""


@dataclass(frozen=True)
class Record:
    """A JSON object, and where it stands.

    >>> record = Record("instances.json", "images[3]", {"id": 7})
    >>> record.integer("id"), record.where
    (7, 'instances.json: images[3]')
    """

    file: str
    at: str
    """Position in the file, for example ``images[3]``; empty for the whole file."""
    fields: Mapping[str, object]

    @property
    def where(self) -> str:
        """File and position, for example ``instances.json: images[3]``."""
        return f"{self.file}: {self.at}" if self.at else self.file

    def __contains__(self, key: str) -> bool:
        return key in self.fields

    def wrong(self, key: str, expected: str) -> DataError:
        """The error that says what stands at ``key`` and what was expected."""
        if key not in self.fields:
            known = ", ".join(sorted(map(str, self.fields))[:8]) or "none"
            return DataError(f"{self.where} has no {key!r}: expected {expected}; its keys: {known}")
        found = json.dumps(self.fields[key], default=str)
        shown = found if len(found) <= 60 else found[:57] + "..."
        return DataError(f"{self.where}.{key} is {shown}: expected {expected}")

    def text(self, key: str) -> str:
        """The string at ``key``."""
        value = self.fields.get(key)
        if not isinstance(value, str):
            raise self.wrong(key, "a string")
        return value

    def integer(self, key: str) -> int:
        """The whole number at ``key``; a boolean is none, 3.0 and the text "3" are 3."""
        value = number_of(self.fields.get(key))
        if value is None:
            raise self.wrong(key, "a number")
        if isinstance(value, float) and not value.is_integer():
            raise self.wrong(key, "a whole number")
        return int(value)

    def number(self, key: str) -> float:
        """The finite number at ``key``."""
        value = self.fields.get(key)
        if not _is_number(value):
            raise self.wrong(key, "a number")
        return float(cast(float, value))

    def numbers(self, key: str, length: int | None = None) -> tuple[float, ...]:
        """The list of finite numbers at ``key``, of ``length`` where it is given."""
        items = self.items(key)
        if not all(map(_is_number, items)) or (length is not None and len(items) != length):
            raise self.wrong(key, "a list of numbers" if length is None else f"{length} numbers")
        return tuple(float(cast(float, item)) for item in items)

    def texts(self, key: str) -> tuple[str, ...]:
        """The list of strings at ``key``."""
        items = self.items(key)
        if not all(isinstance(item, str) for item in items):
            raise self.wrong(key, "a list of strings")
        return tuple(cast(list[str], items))

    def items(self, key: str) -> list[object]:
        """The list at ``key``."""
        value = self.fields.get(key)
        if not isinstance(value, list):
            raise self.wrong(key, "a list")
        return cast(list[object], value)

    def records(self, key: str, damaged: Damaged | None = None) -> Iterator["Record"]:
        """The objects of the list at ``key``, one by one."""
        return _records(self.items(key), self.file, f"{self.at}.{key}" if self.at else key, damaged)


@contextmanager
def spared(damaged: Damaged | None) -> Generator[None, None, None]:
    """A block that reads one record: its DataError goes to ``damaged``, or on where there is none."""
    try:
        yield
    except DataError as error:
        if damaged is None:
            raise
        damaged(error)


def read_json(path: str | Path) -> object:
    """The content of a JSON file, packed by gzip or not; raises DataError where it is missing or not JSON.

    >>> from vlx.scenes import held_out_scenes
    >>> "images" in read_json(held_out_scenes() / "captions.json")
    True
    """
    file = Path(path)
    try:
        return json.loads(unzipped(file) if is_gzip(file) else file.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{file}: no such file") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError, EOFError, zlib.error) as error:  # long numbers too
        raise DataError(f"{file}: not a JSON file ({begins(file) or error})") from None


def is_gzip(path: Path) -> bool:
    """Whether a file is packed by gzip, whatever its name."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def unzipped(path: Path) -> bytes:
    """What a file holds that gzip packed. Raises DataError for one that unfolds to more than data do."""
    most = _UNFOLDS * path.stat().st_size + (1 << 20)
    whole = io.BytesIO()
    with gzip.open(path) as file:
        while part := file.read(1 << 24):
            whole.write(part)
            if whole.tell() > most:
                raise DataError(f"{path}: unfolds to more than {_UNFOLDS} times its size")
    return whole.getvalue()


def begins(path: Path) -> str | None:
    """What a file is by its first bytes, where people have it in the place of JSON."""
    with path.open("rb") as file:
        head = file.read(64)
    return next((says for start, says in _STARTS if head.lstrip().lower().startswith(start)), None)


def read_record(path: str | Path) -> Record:
    """The JSON object in a file.

    >>> from vlx.scenes import held_out_scenes
    >>> "images" in read_record(held_out_scenes() / "captions.json")
    True
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a JSON object, found {_named(content)}")
    return Record(str(path), "", cast(dict[str, object], content))


def read_records(path: str | Path, damaged: Damaged | None = None) -> Iterator[Record]:
    """The objects of the JSON list in a file."""
    content = read_json(path)
    if not isinstance(content, list):
        raise DataError(f"{path}: expected a JSON list, found {_named(content)}")
    return _records(cast(list[object], content), str(path), "", damaged)


def number_of(value: object) -> int | float | None:
    """The finite number that a value of JSON is, or that a text of it writes; None for any other value.

    Whole numbers keep all their digits, as ids need.

    >>> number_of("7"), number_of("2.5"), number_of(True), number_of("seven")
    (7, 2.5, None, None)
    """
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value) if set(value) & set(".eE") else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # a whole number that no float holds
        return None


def _is_number(value: object) -> bool:
    return not isinstance(value, str) and number_of(value) is not None


def inside(root: str | Path, name: str) -> Path:
    """The path of a file named in data below ``root``; raises DataError where its name would leave it.

    Absolute names, ``..`` and drives are refused; a backslash parts folders, as in data made on Windows.
    Links below ``root`` are followed wherever they lead: who made the folder set them, not the data.

    >>> inside("photos", "val2014/1.jpg").name
    '1.jpg'
    """
    return Path(root).resolve().joinpath(*name_parts(name, root))


def name_parts(name: str, root: str | Path) -> tuple[str, ...]:
    """The folders and the file that a name in data says below ``root``; errors are those of `inside`."""
    path = PurePosixPath(name.replace("\\", "/"))
    plain = bool(name) and "\0" not in name and not PureWindowsPath(name).drive
    if not plain or path.is_absolute() or ".." in path.parts:
        raise DataError(
            f"{name!r} is not a file name below {root}: no absolute path, drive or .. leads there"
        )
    return path.parts


def _records(items: list[object], file: str, name: str, damaged: Damaged | None) -> Iterator[Record]:
    for number, item in enumerate(items):
        at = f"{name}[{number}]"
        if isinstance(item, dict):
            yield Record(file, at, cast(dict[str, object], item))
            continue
        with spared(damaged):
            raise DataError(f"{file}: {at} is {_named(item)}: expected an object")


def _named(value: object) -> str:
    names: dict[type, str] = {list: "a list", dict: "an object", str: "a string", bool: "a boolean"}
    return "nothing" if value is None else names.get(type(value), "a number")
