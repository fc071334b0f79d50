"""The pixels of a COCO segmentation, in every shape that public files hold.

Polygons are lists of x, y in pixels, one list a piece: in a list of pieces, alone, or as a list of points.
Run-length codes are packed or plain, alone or in a list, also beside polygons, and may leave their size to
the image. Numbers may be written as texts. Pieces of less than three points cover nothing. What is none of
these raises DataError, which says where it stands.
"""

import math
from typing import Any, cast

import numpy as np
from jaxtyping import Float
from pycocotools import mask as rle

from vlx.errors import quietly
from vlx.eval.data.records import DataError, number_of
from vlx.eval.measures.boxes import Box
from vlx.eval.measures.maps import Mask

_UNREADABLE = (ValueError, TypeError, IndexError, OverflowError)
_SIGNS = frozenset("0123456789,[] ")


def segmented(shape: object, size: tuple[int, int], where: str) -> Mask:
    """The pixels of a segmentation on an image of ``size`` (height, width); ``where`` is its place in a file.

    Polygons are filled by pycocotools. Raises DataError for a damaged segmentation and one of another size.

    >>> segmented([[0, 0, 2, 0, 2, 1, 0, 1]], (2, 3), "annotations[0]").astype(int)
    array([[1, 1, 0],
           [0, 0, 0]])
    """
    codes = _codes(shape, size, where)
    try:
        with quietly("__array__", DeprecationWarning):  # pycocotools 2.0 under NumPy 2
            return rle.decode(rle.merge(codes) if len(codes) > 1 else codes[0]).astype(bool)
    except _UNREADABLE as error:
        raise DataError(f"{where}.segmentation cannot be decoded ({error})") from None


def box_around(shape: object, size: tuple[int, int], where: str) -> Box:
    """The smallest box around a segmentation; errors are those of `segmented`.

    >>> box_around([[0, 0, 2, 0, 2, 1, 0, 1]], (2, 3), "annotations[0]")
    Box(x=0.0, y=0.0, width=2.0, height=1.0)
    """
    codes = _codes(shape, size, where)
    try:
        return Box(*map(float, rle.toBbox(rle.merge(codes))))
    except _UNREADABLE as error:
        raise DataError(f"{where}.segmentation cannot be decoded ({error})") from None


def _codes(shape: object, size: tuple[int, int], where: str) -> list[Any]:
    """The run-length codes of its pieces."""
    if min(size) < 1:
        raise DataError(f"{where}: its image states no height and width, which masks need")
    return [_code(piece, size, where) for piece in _pieces(shape, size, where)]


def _pieces(shape: object, size: tuple[int, int], where: str) -> list[Any]:
    """Run-length codes as they are, and polygons of three points or more as arrays."""
    if isinstance(shape, dict):
        return [shape]
    parts = cast(list[Any], shape if isinstance(shape, list) else [])
    if _is_polygon(parts) or (len(parts) > 2 and all(_is_pair(part) for part in parts)):
        parts = [parts]
    found: list[Any] = []
    for part in parts:
        points = part if isinstance(part, dict) else _points(part, size)
        if points is None:
            raise _no_polygons(size, where)
        if len(points) > 4 or isinstance(part, dict):
            found.append(points)
    if not found:
        raise _no_polygons(size, where)
    return found


def _no_polygons(size: tuple[int, int], where: str) -> DataError:
    return DataError(
        f"{where}.segmentation: expected polygons of 3 or more points near the {size[0]} x {size[1]} image, "
        "or run-length codes"
    )


def _is_polygon(part: list[Any]) -> bool:
    return bool(part) and all(number_of(value) is not None for value in part)


def _is_pair(part: Any) -> bool:
    return isinstance(part, list) and len(cast(list[Any], part)) == 2 and _is_polygon(cast(list[Any], part))


def _points(part: Any, size: tuple[int, int]) -> Float[np.ndarray, " coordinate"] | None:
    """The coordinates of a polygon; None where it is none."""
    if not isinstance(part, list):
        return None
    values = cast(list[Any], part)
    if values and all(map(_is_pair, values)):
        values = [value for pair in values for value in pair]
    numbers = [number_of(value) for value in values]
    if len(numbers) % 2 or None in numbers:
        return None
    reach = 10 * max(size)  # far points would make pycocotools allocate a cell for every step
    points = np.array(numbers, dtype=np.float64)
    return points if not len(points) or np.abs(points).max() <= reach else None


def _code(piece: Any, size: tuple[int, int], where: str) -> Any:
    """The run-length code of one piece, checked before the C code of pycocotools reads it."""
    if not isinstance(piece, dict):
        return rle.frPyObjects([piece.tolist()], *size)[0]
    held = cast(dict[str, Any], piece)
    stated, counts = held.get("size"), held.get("counts")
    if stated is not None and _numbers(stated) != list(size):
        raise DataError(f"{where}.segmentation.size is {_short(stated)}: the image is {list(size)}")
    if isinstance(counts, str) and not (_SIGNS.issuperset(counts) and set(counts) & set(" ,[")):
        if not counts:
            raise DataError(f"{where}.segmentation.counts are empty")
        if _unpacked(counts, where) != size[0] * size[1]:
            raise DataError(f"{where}.segmentation.counts do not add up to {size[0] * size[1]}")
        return {"size": list(size), "counts": counts}
    runs = _numbers(counts.strip(" []").replace(",", " ").split() if isinstance(counts, str) else counts)
    whole = runs is not None and all(run >= 0 and float(run).is_integer() for run in runs)
    if runs is None or not whole or math.fsum(runs) != size[0] * size[1]:
        raise DataError(f"{where}.segmentation.counts do not add up to {size[0] * size[1]}")
    plain: Any = {"size": list(size), "counts": [int(run) for run in runs]}
    return rle.frPyObjects(plain, *size)


def _unpacked(counts: str, where: str) -> int:
    """How many pixels a packed run-length code covers: 5 bits a sign, each run less the last but one."""
    runs: list[int] = []
    value, shift = 0, 0
    for sign in counts:
        bits = ord(sign) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise DataError(f"{where}.segmentation cannot be decoded ({sign!r} in its counts)")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16) << (shift - 4)
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value, shift = 0, 0
    if shift or min(runs) < 0:
        raise DataError(f"{where}.segmentation cannot be decoded (its counts are cut or below 0)")
    return sum(runs)


def _numbers(values: Any) -> list[int | float] | None:
    if not isinstance(values, list):
        return None
    numbers = [number_of(value) for value in cast(list[Any], values)]
    return None if None in numbers else [number for number in numbers if number is not None]


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
