"""From an image to network input that knows where it lies on the image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Shaped
from PIL import Image
from torch import Tensor

from vlx.errors import ImageError
from vlx.images.files import upright_rgb
from vlx.images.frame import Frame, Size


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


@dataclass(frozen=True, eq=False)
class Fitted:
    """What is seen of a resized image: its values of 0 to 255 in the window, and where they lie there."""

    values: Shaped[Tensor, "3 row col"]
    corner: tuple[int, int]
    """Row and column in the window of the first; the rest is the colour that is subtracted."""
    frame: Frame


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes network input: resize, centre crop or pad, then scale and normalise.

    A pixel x in 0..1 becomes (x * scale - mean) / std, channel by channel, after the channels were put
    in the order of ``channels``; mean and std are in that order too. ``window`` is the size after
    the crop; where the image is smaller it is padded with 0, which is the colour ``mean``.

    >>> pixels, frame = Preprocess(Squash((100, 200)))(vlx.open_image(photo))
    >>> pixels.shape, frame.image_size, frame.input_size
    (torch.Size([3, 100, 200]), (224, 224), (100, 200))
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
        fitted = self.fitted(image)
        return self.normalised([fitted], torch.device("cpu"))[0], fitted.frame

    def fitted(self, image: Image.Image) -> "Fitted":
        """The part of the resized image that is in the window, not yet normalised."""
        image = upright_rgb(image)
        size = (image.height, image.width)
        target = _target(self.resize, size)
        values = torch.from_numpy(self._resized(image, target)).permute(2, 0, 1)
        fitted = Fitted(values, (0, 0), Frame.resized(size, target))
        return fitted if self.window is None else _windowed(fitted, self.window, self.corner)

    def normalised(
        self, fitted: "Sequence[Fitted]", device: torch.device
    ) -> Float[Tensor, "batch 3 height width"]:
        """Fitted images of one input size as network input, normalised where it is needed."""
        if len({one.values.shape for one in fitted}) > 1:
            return torch.cat([self.normalised([one], device) for one in fitted])
        pixels = torch.stack([one.values for one in fitted]).to(device).float() / 255
        mean, std = (self._of(values).to(device) for values in (self.mean, self.std))
        pixels = (self._ordered(pixels) * self.scale - mean) / std
        height, width = fitted[0].frame.input_size
        rows, cols = pixels.shape[2:]
        if (rows, cols) == (height, width):
            return pixels
        out = pixels.new_zeros(len(fitted), 3, height, width)
        for at, one in enumerate(fitted):
            row, col = one.corner
            out[at, :, row : row + rows, col : col + cols] = pixels[at]
        return out

    def colour(self, rgb: Sequence[float]) -> Float[Tensor, "3"]:
        """What a colour, red, green and blue of 0 to 1, becomes in the network input.

        >>> Preprocess(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)).colour((1.0, 0.5, 0.0))
        tensor([ 1.,  0., -1.])
        """
        pixel = self._ordered(torch.tensor(rgb, dtype=torch.float32)[:, None, None])
        return ((pixel * self.scale - self._of(self.mean)) / self._of(self.std)).flatten()

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

    def _ordered(
        self, pixels: Float[Tensor, "*batch 3 height width"]
    ) -> Float[Tensor, "*batch 3 height width"]:
        return pixels.flip(-3) if self.channels == "BGR" else pixels

    @staticmethod
    def _of(values: tuple[float, float, float]) -> Float[Tensor, "3 1 1"]:
        return torch.tensor(values)[:, None, None]


def imagenet(size: int = 224, short_side: int | None = None) -> Preprocess:
    """The usual preprocessing of torchvision's classifiers: shorter side, centre crop, ImageNet mean.

    >>> pixels, frame = imagenet()(vlx.open_image(photo))
    >>> pixels.shape, frame.box
    (torch.Size([3, 224, 224]), (14.0, 14.0, 210.0, 210.0))
    """
    return Preprocess(ShortSide(short_side or round(size / 0.875)), (size, size))


def stack_images(
    preprocess: Preprocess, images: Sequence[Image.Image], like: Tensor
) -> tuple[Float[Tensor, "batch 3 height width"], tuple[Frame, ...]]:
    """Images as one batch of network input, on the device and in the precision of ``like``.

    Raises ImageError if their network inputs differ in size, or there are none.

    >>> image = vlx.open_image(photo)
    >>> pixels, frames = stack_images(imagenet(32), [image, image], like=torch.zeros(1))
    >>> pixels.shape
    torch.Size([2, 3, 32, 32])
    """
    if not images:
        raise ImageError("no images to read: give at least one")
    fitted = [preprocess.fitted(image) for image in images]
    frames = tuple(one.frame for one in fitted)
    sizes = sorted({frame.input_size for frame in frames})
    if len(sizes) > 1:
        raise ImageError(f"network inputs of sizes {sizes} cannot share a batch: read images one by one")
    return preprocess.normalised(fitted, like.device).to(like.dtype), frames


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


def _windowed(fitted: Fitted, window: Size, corner: tuple[int, int] | None) -> Fitted:
    """A crop, which leaves zeros (the colour that the preprocessing subtracts) where the window is larger."""
    (rows, cols), (height, width) = fitted.values.shape[1:], window
    # As torchvision rounds: to the even neighbour of a half.
    top, left = corner or (round((rows - height) / 2), round((cols - width) / 2))
    inside = fitted.values[:, max(top, 0) : top + height, max(left, 0) : left + width]
    return Fitted(inside, (max(-top, 0), max(-left, 0)), fitted.frame.cropped(top, left, height, width))
