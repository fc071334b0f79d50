"""Classes of data and classes of a model: which of the one are which of the other, by their names.

Names are alike in any case, with blanks, hyphens or underscores between words; what stands between commas are
other names of the same class, as in ``tabby, tabby cat``.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from vlx.eval.data.records import DataError, read_record

_MOST = 1 << 22  # bytes of a file of names
_OTHERS = {"kite": "bald eagle"}
"""Categories whose name means another thing beside this label: ImageNet's kite is a bird, not a toy."""


def plain_name(name: str) -> str:
    """A name as it is compared.

    >>> plain_name("Traffic_Light "), plain_name("wire-haired fox terrier")
    ('traffic light', 'wire haired fox terrier')
    """
    return " ".join(name.replace("_", " ").replace("-", " ").casefold().split())


def matched(names: Iterable[str], labels: Sequence[str]) -> tuple[int, ...]:
    """The places among ``labels`` of those that one of ``names`` means, in their order.

    A label is meant by any of the names it gives itself between commas; a name that is a whole number means
    the label of that place. Where one is spelled just so, others that differ in capitals are not meant.

    >>> matched(["tabby cat", "lynx"], ["tabby, tabby cat", "catamaran", "lynx"])
    (0, 2)
    """
    known, exact, asked = _by_name(tuple(labels)), _exactly(tuple(labels)), list(names)
    meant = set(map(plain_name, asked))
    found: set[int] = set()
    for name in asked:
        if name.strip().isdecimal() and int(name) < len(labels):
            found.add(int(name))
        plain = plain_name(name)
        other = _OTHERS.get(plain)
        if other not in known or other in meant:  # beside the other it is the bird that is meant
            # ImageNet has a dog, Cardigan, and a garment, cardigan.
            found.update(exact.get(name.strip()) or known.get(plain, ()))
    return tuple(sorted(found))


@lru_cache(maxsize=8)
def _by_name(labels: tuple[str, ...]) -> Mapping[str, tuple[int, ...]]:
    known: dict[str, tuple[int, ...]] = {}
    for at, label in enumerate(labels):
        for name in dict.fromkeys(map(plain_name, (label, *label.split(",")))):
            known[name] = (*known.get(name, ()), at)
    return known


@lru_cache(maxsize=8)
def _exactly(labels: tuple[str, ...]) -> Mapping[str, tuple[int, ...]]:
    """The labels by their names as they are spelled."""
    known: dict[str, tuple[int, ...]] = {}
    for at, label in enumerate(labels):
        for name in dict.fromkeys(part.strip() for part in (label, *label.split(","))):
            known[name] = (*known.get(name, ()), at)
    return known


def read_classes(path: str | Path) -> Mapping[str, tuple[str, ...]]:
    """Which labels of a model each category of the data is, by `plain_name`.

    The file has lines ``category: label, label, ...`` (``#`` begins a remark), or is a JSON object of texts
    or lists; a label may be its place, from 0. Raises DataError for any other.
    """
    file = Path(path)
    try:
        if file.stat().st_size > _MOST:
            raise DataError(f"{file}: more than {_MOST >> 20} MiB")
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: no text ({error})") from None
    return _of_json(file) if text.lstrip().startswith("{") else _of_lines(text, str(file))


@lru_cache(maxsize=1)
def shared_classes() -> Mapping[str, tuple[str, ...]]:
    """The ImageNet classes that are of a category of COCO or VOC, by torchvision's names of them.

    >>> shared_classes()["zebra"], len(shared_classes()["dog"])
    (('zebra',), 118)
    """
    text = files("vlx.eval.data").joinpath("shared_classes.txt").read_text(encoding="utf-8")
    return _of_lines(text, "shared_classes.txt")


def names_of(category: str, given: Mapping[str, tuple[str, ...]] | None = None) -> tuple[str, ...]:
    """By which names a model may have a category: as ``given`` says, else its own and ImageNet's.

    >>> names_of("stop sign"), names_of("pizza"), names_of("pizza", {"pizza": ("pie",)})
    (('stop sign',), ('pizza',), ('pie',))
    """
    name = plain_name(category)
    if given is not None:
        return given.get(name, ())
    return tuple(dict.fromkeys((category, *shared_classes().get(name, ()))))


def _of_lines(text: str, file: str) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        plain = line.partition("#")[0].strip()
        if not plain:
            continue
        category, colon, rest = plain.partition(":")
        labels = tuple(one.strip() for one in rest.split(",") if one.strip())
        if not colon or not category.strip() or not labels:
            raise DataError(f"{file}: line {number} is {plain[:40]!r}: expected category: label, label")
        _add(found, category, labels, f"{file}: line {number}")
    if not found:
        raise DataError(f"{file} names no category")
    return found


def _of_json(file: Path) -> Mapping[str, tuple[str, ...]]:
    record = read_record(file)
    found: dict[str, tuple[str, ...]] = {}
    for category, value in record.fields.items():
        held = value if isinstance(value, list) else [value]
        if not held or not all(isinstance(one, str | int) and not isinstance(one, bool) for one in held):
            raise DataError(f"{file}: {category!r} is {json.dumps(value)[:40]}: expected labels")
        _add(found, category, tuple(map(str, held)), str(file))
    return found


def _add(found: dict[str, tuple[str, ...]], category: str, labels: tuple[str, ...], where: str) -> None:
    name = plain_name(category)
    if name in found:
        raise DataError(f"{where}: {category.strip()!r} stands twice")
    found[name] = labels
