"""Open images of any kind safely: whatever the file holds, an upright RGB image or one clear error."""

import io
import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from vlx.errors import ImageError, quietly
from vlx.images.bits import SIXTEEN, checked_colours, grey_bytes, how_to_bytes, is_deep, no_fixed_range

LIMIT = 100_000_000  # pixels; a larger image is refused before it is decoded
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")  # Pillow runs a program for some others


def open_image(source: str | Path | Image.Image | np.ndarray) -> Image.Image:
    """The image as RGB bytes, upright: EXIF rotation applied, transparency on white, first frame.

    Takes a file, a Pillow image, or an array (height, width), (height, width, 3) or (…, 4) of bytes.
    Of 16-bit pixels white is what a TIFF file states (its largest sample, or 12 bits a sample), else 65535
    where some pixel exceeds 16383; where none does, 10, 12 or 14 bits may lie in the 16.
    Raises ImageError for a file that is missing, damaged, no image, or of more than 100 megapixels, and
    for pixels whose value of white is not known, with what brings them to bytes.

    >>> vlx.open_image(photo).size
    (224, 224)
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        with _readable("the given image"):
            return upright_rgb(source, "the given image")
    if not isinstance(source, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ImageError(f"{type(source).__name__} is no image: give a file, a Pillow image or an array")
    path = Path(source)
    if os.path.isdir(path):
        raise ImageError(f"{path} is a folder, not an image")
    try:
        blob = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"no image {with_link(path)}: {reason}") from None
    return decode_image(blob, with_link(path))


def decode_image(blob: bytes, name: str) -> Image.Image:
    """The image in the bytes of a file called ``name``, as `open_image` gives it; errors are the same.

    >>> decode_image(photo.read_bytes(), "photo.jpg").size
    (224, 224)
    """
    with _readable(name), Image.open(io.BytesIO(blob), formats=FORMATS) as image:
        if image.width * image.height > LIMIT:  # before anything is decoded
            raise ImageError(_too_large(name, image.width, image.height))
        return upright_rgb(image, name)


def list_images(paths: Iterable[str | Path]) -> list[Path]:
    """The given files, and the image files in the given folders, in the order of their names.

    Raises ImageError for a path that does not exist and for a folder without images.

    >>> [path.name for path in list_images([photo.parent])][:2]
    ['000000000001.jpg', '000000000002.jpg']
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if os.path.isdir(path):
            images = (p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
            # A link that leads nowhere is told when it is opened.
            inside = sorted(p for p in images if os.path.isfile(p) or os.path.islink(p))
            if not inside:
                raise ImageError(f"no images in {path}: expected files such as photo.jpg or photo.png")
            found += inside
        elif os.path.isfile(path):
            found.append(path)
        else:
            raise ImageError(f"no image {path}: no such file or folder")
    return found


def with_link(path: Path) -> str:
    """A path as errors name it: with where it leads, if it is a link or lies in one that leads nowhere.

    >>> with_link(photo).endswith("000000000001.jpg")
    True
    """
    for one in (path, *path.parents):
        if os.path.islink(one) and (one == path or not os.path.exists(one)):
            whose = "" if one == path else f"{one.name} is "
            return f"{path} ({whose}a link to {os.readlink(one)})"
    return str(path)


@contextmanager
def _readable(name: str) -> Generator[None, None, None]:
    """Turn whatever a damaged file makes Pillow raise into one line."""
    try:
        with quietly():  # our own limit is checked; truncated EXIF is no matter
            yield
    except Image.DecompressionBombError:
        raise ImageError(_too_large(name)) from None
    except ImageError:
        raise
    except Image.UnidentifiedImageError:
        hint = "use JPEG, PNG, WebP, BMP, GIF or TIFF"
        raise ImageError(f"{name} is not an image that can be read: {hint}") from None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise ImageError(f"{name} is damaged: {reason}") from None


def _too_large(name: str, width: int = 0, height: int = 0) -> str:
    size = f" ({width} x {height})" if width else ""
    return f"{name} is larger than {LIMIT // 1_000_000} megapixels{size}: make it smaller first"


def upright_rgb(image: Image.Image, name: str = "the image") -> Image.Image:
    """The image as RGB bytes, upright; transparency on white, the first frame of several.

    Raises ImageError, in which the image is called ``name``, where `open_image` does for its pixels.

    >>> from PIL import Image
    >>> upright_rgb(Image.new("L", (2, 1))).mode
    'RGB'
    """
    if image.width < 1 or image.height < 1:
        raise ImageError(f"an image of {image.width} x {image.height} pixels shows nothing")
    if getattr(image, "n_frames", 1) > 1:
        image.seek(0)
    deep = is_deep(image)  # before it is loaded
    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("La", "RGBa"):  # premultiplied
        upright = upright.convert(upright.mode.upper())
    if upright.mode in SIXTEEN:
        return grey_bytes(upright, image, name).convert("RGB")
    if upright.mode == "F":
        raise no_fixed_range(upright, name)
    if deep:
        upright = checked_colours(upright, name)
    if "A" in upright.getbands() or "transparency" in upright.info:
        rgba = upright.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return upright.convert("RGB")


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype == np.uint8 and array.ndim in (2, 3) and array.shape[2:] in ((), (3,), (4,)):
        return upright_rgb(Image.fromarray(array))
    numbers = array.dtype != np.uint8 and array.dtype.kind in "biuf"
    how = f", for example by {how_to_bytes(array)}" if numbers else ""
    raise ImageError(
        f"an array of shape {array.shape} and type {array.dtype} is no image: expected bytes, "
        f"(height, width), (height, width, 3) or (height, width, 4){how}"
    )


def write_whole(path: Path, blob: bytes) -> None:
    """Write a file so that it appears whole or not at all, also when interrupted.

    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder, "x"), b"whole")
    ...     Path(folder, "x").read_bytes()
    b'whole'
    """
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(blob)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def png_of(image: Image.Image) -> bytes:
    """An image as a PNG file.

    >>> from PIL import Image
    >>> png_of(Image.new("RGB", (2, 2)))[1:4]
    b'PNG'
    """
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
