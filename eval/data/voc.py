"""Boxes in XML as PASCAL VOC writes them, and ILSVRC after it: one file an image.

Files are untrusted: a document type, which entities need, is refused, and nothing outside a file is read.
Corners are inclusive of their pixels. VOC counts pixels from 1, ILSVRC from 0: ``origin`` says which.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from xml.etree.ElementTree import Element, ParseError, TreeBuilder
from xml.parsers import expat

from vlx.eval.data.records import Damaged, DataError, number_of, spared
from vlx.eval.measures.localisation import Corners

_MOST = 8 << 20  # bytes of a file that describes one image
_DEPTH = 40


@dataclass(frozen=True)
class Drawn:
    """One object of an image."""

    name: str
    box: Corners
    difficult: bool = False


@dataclass(frozen=True, eq=False)
class Annotated:
    """What a file says of its image."""

    file_name: str
    """As it stands there; empty where it says none."""
    size: tuple[int, int]
    """Height and width; 0 where it does not say."""
    objects: tuple[Drawn, ...]
    lost: tuple[str, ...] = ()
    """Names of objects whose records are damaged; an empty one where the name is."""
    whys: tuple[str, ...] = ()
    """What is wrong with each of these."""


def read_boxes(path: str | Path, damaged: Damaged | None = None, *, origin: int = 1) -> Annotated:
    """The objects of one image. A damaged one raises DataError, or is skipped and told to ``damaged``.

    Boxes that reach beyond the image are cut at its border, those wholly outside and those whose corners
    stand in the wrong order are damaged. Raises DataError for a file that is none.
    """
    file = Path(path)
    root = read_xml(file)
    if root.tag != "annotation":
        raise DataError(f"{file}: expected an <annotation>, found <{root.tag[:40]}>")
    size = _size(root, file)
    found: list[Drawn] = []
    lost: list[tuple[str, str]] = []
    for number, one in enumerate(root.findall("object")):
        name = (one.findtext("name") or "").strip()
        with spared(damaged):
            try:
                found.append(_drawn(one, name, size, origin, f"{file}: object {number + 1}"))
            except DataError as error:
                lost.append((name, str(error)))
                raise
    names, whys = tuple(one for one, _ in lost), tuple(why for _, why in lost)
    return Annotated((root.findtext("filename") or "").strip(), size, tuple(found), names, whys)


def clipped(box: Corners, size: tuple[int, int], where: str) -> Corners:
    """A box cut at the border of an image of (height, width). Raises DataError where nothing is left.

    >>> from vlx.eval.measures.localisation import Corners
    >>> clipped(Corners(-2, 0, 5, 9), (10, 4), "a file")
    Corners(left=0, top=0, right=3, bottom=9)
    """
    height, width = size
    if box.right < 0 or box.bottom < 0 or box.left > width - 1 or box.top > height - 1:
        raise DataError(f"{where} lies outside its image of {width} x {height} pixels")
    return Corners(max(box.left, 0), max(box.top, 0), min(box.right, width - 1), min(box.bottom, height - 1))


def read_xml(path: Path) -> Element:
    """The root of a small XML file. Raises DataError for a damaged one and for one with a document type."""
    builder, depth = TreeBuilder(), 0

    def refused(*_: object) -> NoReturn:
        raise DataError(f"{path}: a document type or entities in it, which boxes do not need: not read")

    def begins(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEPTH:
            raise DataError(f"{path}: elements nested more than {_DEPTH} deep")
        builder.start(tag, attributes)

    def ends(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    parser = expat.ParserCreate()
    handlers: dict[str, Callable[..., object]] = {
        "StartDoctypeDeclHandler": refused,
        "EntityDeclHandler": refused,
        "ExternalEntityRefHandler": refused,
        "StartElementHandler": begins,
        "EndElementHandler": ends,
        "CharacterDataHandler": builder.data,
    }
    for name, handler in handlers.items():
        setattr(parser, name, handler)
    try:
        parser.Parse(_bytes(path), True)
        return builder.close()
    except (expat.ExpatError, ParseError, ValueError, LookupError, AssertionError) as error:
        raise DataError(f"{path}: not an XML file ({error})") from None


def _bytes(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():  # a pipe, from which reading might never come back
            raise DataError(f"{path}: cannot be read (not a plain file)")
        with path.open("rb") as file:
            text = file.read(_MOST + 1)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if len(text) > _MOST:
        raise DataError(f"{path}: more than {_MOST >> 20} MiB for the boxes of one image")
    return text


def _size(root: Element, file: Path) -> tuple[int, int]:
    told = [(root.findtext(f"size/{side}") or "").strip() for side in ("height", "width")]
    if not any(told):
        return 0, 0
    height, width = map(number_of, told)
    if height is None or width is None or min(height, width) < 0:
        raise DataError(f"{file}: size {told[1]!r} x {told[0]!r}: expected two numbers")
    return (int(height), int(width)) if min(height, width) >= 1 else (0, 0)


def _drawn(one: Element, name: str, size: tuple[int, int], origin: int, where: str) -> Drawn:
    if not name:
        raise DataError(f"{where} has no name")
    texts = [(one.findtext(f"bndbox/{side}") or "").strip() for side in ("xmin", "ymin", "xmax", "ymax")]
    sides = [value - origin for text in texts if (value := number_of(text)) is not None]
    if len(sides) != 4:
        raise DataError(f"{where} ({name}) has the box {texts}: expected xmin, ymin, xmax, ymax")
    left, top, right, bottom = sides
    if right < left or bottom < top:
        raise DataError(f"{where} ({name}) has the box {texts}, whose end lies before its beginning")
    box = Corners(left, top, right, bottom)
    if min(size):
        box = clipped(box, size, f"{where} ({name})")
    return Drawn(name, box, (one.findtext("difficult") or "").strip() == "1")
