"""Open images of any kind safely, and turn them into network input that knows where it came from."""

import io
import os
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

from vlx.errors import ImageError
from vlx.frame import Frame, Size

LIMIT = 100_000_000  # pixels; a larger image is refused before it is decoded
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")  # Pillow runs a program for some others
_SIXTEEN = ("I;16", "I;16L", "I;16B", "I")


def open_image(source: str | Path | Image.Image | np.ndarray) -> Image.Image:
    """The image as RGB bytes, upright: EXIF rotation applied, transparency on white, first frame.

    Takes a file, a Pillow image, or an array (height, width), (height, width, 3) or (…, 4) of bytes.
    Raises ImageError for a file that is missing, damaged, no image, or of more than 100 megapixels.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        with _readable("the given image"):
            return _rgb(source)
    if not isinstance(source, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ImageError(f"{type(source).__name__} is no image: give a file, a Pillow image or an array")
    path = Path(source)
    if os.path.isdir(path):
        raise ImageError(f"{path} is a folder, not an image")
    try:
        blob = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise ImageError(f"no image {path}: {getattr(error, 'strerror', None) or error}") from None
    return decode_image(blob, str(path))


def decode_image(blob: bytes, name: str) -> Image.Image:
    """The image in the bytes of a file called ``name``, as `open_image` gives it; errors are the same."""
    with _readable(name), Image.open(io.BytesIO(blob), formats=_FORMATS) as image:
        if image.width * image.height > LIMIT:  # before anything is decoded
            raise ImageError(_too_large(name, image.width, image.height))
        image.load()
        return _rgb(image)


def list_images(paths: Iterable[str | Path]) -> list[Path]:
    """The given files, and the image files in the given folders, in the order of their names.

    Raises ImageError for a path that does not exist and for a folder without images.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if os.path.isdir(path):
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
            if not inside:
                raise ImageError(f"no images in {path}: expected files such as photo.jpg or photo.png")
            found += inside
        elif os.path.isfile(path):
            found.append(path)
        else:
            raise ImageError(f"no image {path}: no such file or folder")
    return found


@dataclass(frozen=True)
class Squash:
    """Resize to exactly this size, whatever the proportions."""

    size: Size


@dataclass(frozen=True)
class ShortSide:
    """Resize so that the shorter side has this length; proportions are kept."""

    length: int


@dataclass(frozen=True)
class LongSide:
    """Resize so that the longer side has this length; proportions are kept."""

    length: int


@dataclass(frozen=True)
class AsIs:
    """Do not resize."""


Resize = Squash | ShortSide | LongSide | AsIs

Resample = Callable[[Float[np.ndarray, "height width 3"], Size], Float[np.ndarray, "rows cols 3"]]
"""Another program's way to bring pixels of 0 to 255 to another size; the result need not be whole numbers."""


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes network input: resize, centre crop or pad, then scale and normalise.

    A pixel x in 0..1 becomes (x * scale - mean) / std, channel by channel, after the channels were put
    in the order of ``channels``; mean and std are in that order too. ``window`` is the size after
    the crop; where the image is smaller it is padded with the mean.
    """

    resize: Resize = Squash((224, 224))
    window: Size | None = None
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    scale: float = 1.0
    channels: str = "RGB"
    """``RGB`` or ``BGR``."""
    resample: Image.Resampling | Resample = Image.Resampling.BILINEAR
    corner: tuple[int, int] | None = None
    """Row and column of the window's first pixel on the resized image; in the middle where None."""

    def __call__(self, image: Image.Image) -> tuple[Float[Tensor, "3 height width"], Frame]:
        """The network input, and where it lies on the image."""
        image = _rgb(image)
        size = (image.height, image.width)
        target = _target(self.resize, size)
        frame = Frame.resized(size, target)
        pixels = torch.from_numpy(self._resized(image, target)).permute(2, 0, 1).float() / 255
        pixels = (self._ordered(pixels) * self.scale - self._of(self.mean)) / self._of(self.std)
        return (pixels, frame) if self.window is None else _windowed(pixels, frame, self.window, self.corner)

    def displayed(self, pixels: Float[Tensor, "3 height width"]) -> Image.Image:
        """The network input as a person would see it; undoes everything but the geometry."""
        shown = (pixels.detach().float().cpu() * self._of(self.std) + self._of(self.mean)) / self.scale
        bytes_ = (self._ordered(shown).clamp(0, 1) * 255).round().to(torch.uint8)
        return Image.fromarray(bytes_.permute(1, 2, 0).numpy())

    def _resized(self, image: Image.Image, target: Size) -> np.ndarray:
        if target == (image.height, image.width):
            return np.array(image)
        if isinstance(self.resample, Image.Resampling):
            return np.array(image.resize((target[1], target[0]), self.resample))
        return self.resample(np.asarray(image, np.float32), target)

    def _ordered(self, pixels: Float[Tensor, "3 height width"]) -> Float[Tensor, "3 height width"]:
        return pixels.flip(0) if self.channels == "BGR" else pixels

    @staticmethod
    def _of(values: tuple[float, float, float]) -> Float[Tensor, "3 1 1"]:
        return torch.tensor(values)[:, None, None]


def imagenet(size: int = 224, short_side: int | None = None) -> Preprocess:
    """The usual preprocessing of torchvision's classifiers: shorter side, centre crop, ImageNet mean."""
    return Preprocess(ShortSide(short_side or round(size / 0.875)), (size, size))


def stack_images(
    preprocess: Preprocess, images: Sequence[Image.Image], like: Tensor
) -> tuple[Float[Tensor, "batch 3 height width"], tuple[Frame, ...]]:
    """Images as one batch of network input, on the device and in the precision of ``like``.

    Raises ImageError if their network inputs differ in size, or there are none.
    """
    if not images:
        raise ImageError("no images to read: give at least one")
    pixels, frames = zip(*map(preprocess, images), strict=True)
    sizes = sorted({frame.input_size for frame in frames})
    if len(sizes) > 1:
        raise ImageError(f"network inputs of sizes {sizes} cannot share a batch: read images one by one")
    return torch.stack(pixels).to(like.device, like.dtype), tuple(frames)


@contextmanager
def _readable(name: str) -> Generator[None, None, None]:
    """Turn whatever a damaged file makes Pillow raise into one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own limit is checked; truncated EXIF is no matter
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


def _rgb(image: Image.Image) -> Image.Image:
    if image.width < 1 or image.height < 1:
        raise ImageError(f"an image of {image.width} x {image.height} pixels shows nothing")
    if getattr(image, "n_frames", 1) > 1:
        image.seek(0)
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("La", "RGBa"):  # premultiplied
        upright = upright.convert(upright.mode.upper())
    if upright.mode in _SIXTEEN:
        deep = np.asarray(upright).astype(np.float64)
        # 16 bits a pixel: the upper byte; Pillow's own conversion would clip at 255 instead.
        return Image.fromarray(np.clip(deep / 257, 0, 255).round().astype(np.uint8)).convert("RGB")
    if upright.mode == "F":
        raise ImageError("an image of floating-point pixels has no fixed range: convert it to 8 bits first")
    if "A" in upright.getbands() or "transparency" in upright.info:
        layer = upright.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return upright.convert("RGB")


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,), (4,)):
        raise ImageError(
            f"an array of shape {array.shape} and type {array.dtype} is no image: expected bytes (uint8), "
            "(height, width), (height, width, 3) or (height, width, 4)"
        )
    return _rgb(Image.fromarray(array))


def _target(resize: Resize, size: Size) -> Size:
    match resize:
        case Squash(target):
            return target
        case ShortSide(length):
            given = min(size)
        case LongSide(length):
            given = max(size)
        case AsIs():
            return size
    # The given side exactly, the other one rounded down, as torchvision does.
    return max(1, size[0] * length // given), max(1, size[1] * length // given)


def _windowed(
    pixels: Float[Tensor, "3 row col"], frame: Frame, window: Size, corner: tuple[int, int] | None
) -> tuple[Float[Tensor, "3 height width"], Frame]:
    """A crop, with zeros (the mean colour) where the window is larger."""
    (rows, cols), (height, width) = pixels.shape[1:], window
    # As torchvision rounds: to the even neighbour of a half.
    top, left = corner or (round((rows - height) / 2), round((cols - width) / 2))
    out = pixels.new_zeros(3, height, width)
    inside = pixels[:, max(top, 0) : top + height, max(left, 0) : left + width]
    row, col = max(-top, 0), max(-left, 0)
    out[:, row : row + inside.shape[1], col : col + inside.shape[2]] = inside
    return out, frame.cropped(top, left, height, width)
