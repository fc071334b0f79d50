"""Pixels of more than 8 bits: as bytes where the value of white is known, else one line that says how.

White is what the file says: TIFF states its largest sample, or stores 12 bits. Else it is 65535 where some
pixel exceeds 16383: cameras and scanners give 10, 12 or 14 bits, or all 16. Where no pixel does, data of
fewer bits and a dark picture of 16 look alike, and nothing is guessed.
"""

import re
from typing import Any

import numpy as np
from PIL import Image

from vlx.errors import ImageError

SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N", "I")
"""Pillow's modes of grey with up to 16 bits; older programs keep them in the 32 bits of I."""

_SIXTEEN_A_COLOUR = re.compile("(?<!BGR);16")  # BGR;16 is 16 bits for all three
_DEEPEST_OF_FEWER = 2**14 - 1
_BITS, _PHOTOMETRIC, _LARGEST = 258, 262, 281  # tags of TIFF


def is_deep(image: Image.Image) -> bool:
    """Whether a file holds 16 bits a colour. Pillow knows until it loads the pixels, of which it keeps 8.

    >>> from PIL import Image
    >>> is_deep(Image.new("RGB", (1, 1)))
    False
    """
    stored = [str(tile[3]) for tile in getattr(image, "tile", ())]
    return any(_SIXTEEN_A_COLOUR.search(mode) for mode in stored) or 16 in _stated(image, _BITS)


def grey_bytes(image: Image.Image, file: Image.Image, name: str) -> Image.Image:
    """A grey image of a mode in `SIXTEEN` as bytes; ``file`` is the image as it was opened, with its tags.

    >>> from PIL import Image
    >>> deep = Image.fromarray(np.full((1, 1), 65535, np.uint16))
    >>> grey_bytes(deep, deep, "it").getpixel((0, 0))
    255
    """
    deep = np.asarray(image)
    low, high = int(deep.min()), int(deep.max())
    white = _white(file, high)
    if low < 0 or white is None:
        raise _unknown(f"grey pixels from {low} to {high}", deep, name)
    grey = np.clip(deep * (255 / white), 0, 255).round()
    if _stated(file, _PHOTOMETRIC) == (0,):  # zero is white: Pillow minds it in 8 bits only
        grey = 255 - grey
    if "transparency" in image.info:
        grey[deep == image.info["transparency"]] = 255
    return Image.fromarray(grey.astype(np.uint8))


def checked_colours(image: Image.Image, name: str) -> Image.Image:
    """The upper bytes of 16 bits a colour, which is all that Pillow gives, where they hold the picture.

    >>> from PIL import Image
    >>> checked_colours(Image.new("RGB", (2, 1), "white"), "it").size
    (2, 1)
    """
    bands = [image.getchannel(band) for band in image.getbands() if band not in "AX"]
    high = max(int(np.asarray(band).max()) for band in bands)
    if high <= _DEEPEST_OF_FEWER >> 8:
        raise _unknown(f"16-bit colours of at most {high * 256 + 255}", None, name)
    hidden = image.info.get("transparency")
    if isinstance(hidden, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in hidden)
    return image


def no_fixed_range(image: Image.Image, name: str) -> ImageError:
    """The error for floating-point pixels.

    >>> from PIL import Image
    >>> "floating-point pixels" in str(no_fixed_range(Image.new("F", (1, 1)), "it"))
    True
    """
    return _unknown("floating-point pixels", np.asarray(image), name)


def how_to_bytes(array: np.ndarray, name: str = "array") -> str:
    """An expression that brings an array of numbers, which the reader knows as ``name``, to bytes.

    >>> how_to_bytes(np.ones(2))
    "(array * 255).round().astype('uint8')"
    """
    if array.dtype == bool:
        return f"{name}.astype('uint8') * 255"
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    whole = array.dtype.kind != "f"
    if low >= 0 and high <= 1 and not whole:
        return f"({name} * 255).round().astype('uint8')"
    if low >= 0 and high <= 255:
        return f"{name}.astype('uint8')" if whole else f"{name}.round().astype('uint8')"
    if low >= 0:
        return f"({name} * (255 / white)).round().astype('uint8') with its value of white"
    return f"(({name} - black) * (255 / (white - black))).round().astype('uint8') with its black and white"


def _white(file: Image.Image, high: int) -> int | None:
    told = [*_stated(file, _LARGEST), *(2**bits - 1 for bits in _stated(file, _BITS) if 8 < bits < 16)]
    for value in told:
        if 0 < value < 2**31 and high <= value:
            return value
    # Zero is black, whatever white is.
    return 65535 if high == 0 or _DEEPEST_OF_FEWER < high <= 65535 else None


def _stated(file: Image.Image, tag: int) -> tuple[int, ...]:
    found: Any = getattr(file, "tag_v2", {}).get(tag, ())
    values = found if isinstance(found, tuple) else (found,)
    return tuple(value for value in values if isinstance(value, int))


def _unknown(what: str, array: np.ndarray | None, name: str) -> ImageError:
    how = "" if array is None else f", for example by {how_to_bytes(array, 'np.asarray(image)')}"
    return ImageError(f"{name} has {what}, and which value is white is not known: convert it to bytes{how}")
