"""DenseCap output: regions with captions, on the pixels of the original image.

``results.json`` as ``run_model.lua`` of jcjohnson/densecap writes it, and the HDF5 file of
``extract_features.lua``. Boxes there are x, y, width, height, **1-based**, in pixels of the resized
image (longest side 720), in order of falling score, and may stick out of the image.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image, UnidentifiedImageError

from vlx.eval.data.records import Damaged, DataError, Record, inside, read_record, spared
from vlx.eval.measures.boxes import Box
from vlx.images.files import FORMATS

BEST = 5
"""Captions of an image used by the box ratio: the first five."""


@dataclass(frozen=True)
class DenseRegion:
    """A box with its caption."""

    box: Box
    """0-based; on the pixels the reader was asked for."""
    caption: str
    score: float
    """Objectness logit; it may be negative."""


@dataclass(frozen=True)
class DenseImage:
    """An image with its regions, best first."""

    file_name: str
    regions: tuple[DenseRegion, ...]

    def path(self, root: str | Path) -> Path:
        """Its file below ``root``; raises DataError for a name that leaves it."""
        return inside(root, self.file_name)


def read_densecap(
    path: str | Path, *, best: int | None = BEST, damaged: Damaged | None = None
) -> tuple[DenseImage, ...]:
    """The images of ``results.json`` with their ``best`` regions each; None keeps all.

    Boxes are 0-based, in pixels of the resized image beside the file. Raises DataError for lists of
    different lengths or scores that rise, or skips such an image and tells ``damaged``.

    >>> from vlx.scenes import held_out_scenes
    >>> image, *others = read_densecap(held_out_scenes() / "results.json", best=1)
    >>> len(image.regions)
    1
    """
    images: list[DenseImage] = []
    for record in read_record(path).records("results", damaged):
        with spared(damaged):
            images.append(_image(record, best))
    return tuple(images)


def on_original(image: DenseImage, resized: tuple[int, int], original: tuple[int, int]) -> DenseImage:
    """The same regions in pixels of the original image; sizes are (height, width).

    >>> from vlx.eval.measures.boxes import Box
    >>> image = DenseImage("1.jpg", (DenseRegion(Box(1, 1, 2, 2), "a dog", 0.5),))
    >>> on_original(image, resized=(100, 100), original=(200, 300)).regions[0].box
    Box(x=3.0, y=2.0, width=6.0, height=4.0)
    """
    if min(*resized, *original) < 1:
        raise DataError(f"{image.file_name}: sizes {resized} and {original} must be positive")
    y, x = original[0] / resized[0], original[1] / resized[1]
    regions = (DenseRegion(region.box.scaled(x, y), region.caption, region.score) for region in image.regions)
    return DenseImage(image.file_name, tuple(regions))


def resized_size(original: tuple[int, int], longest: int = 720) -> tuple[int, int]:
    """The (height, width) to which DenseCap resizes an image: its longest side becomes 720.

    >>> resized_size((480, 640))
    (540, 720)
    """
    height, width = original
    scale = longest / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def image_sizes(images: tuple[DenseImage, ...], root: str | Path) -> Mapping[str, tuple[int, int]]:
    """The (height, width) of each image file below ``root``, read from its header."""
    sizes: dict[str, tuple[int, int]] = {}
    for image in images:
        path = image.path(root)
        try:
            with Image.open(path, formats=FORMATS) as picture:
                sizes[image.file_name] = (picture.height, picture.width)
        except (OSError, UnidentifiedImageError) as error:
            raise DataError(f"{path}: not a readable image ({error})") from None
    return sizes


def read_features(
    path: str | Path,
) -> tuple[Float[np.ndarray, "image box feature"], Float[np.ndarray, "image box 4"]]:
    """The features and boxes of ``extract_features.lua``, boxes made 0-based (x, y, width, height).

    Needs h5py (pip install h5py).
    """
    arrays = _hdf5(path, lambda file: [np.asarray(file[name]) for name in ("feats", "boxes")])
    feats, boxes = (array.astype(np.float64) for array in arrays)
    if feats.ndim != 3 or boxes.shape != (*feats.shape[:2], 4):
        raise DataError(
            f"{path}: feats {feats.shape} and boxes {boxes.shape}: expected (image, box, feature) "
            "and (image, box, 4)"
        )
    boxes[..., :2] -= 1
    return feats, boxes


def _image(record: Record, best: int | None) -> DenseImage:
    boxes = record.items("boxes")
    scores, captions = record.numbers("scores"), record.texts("captions")
    if not len(boxes) == len(scores) == len(captions):
        raise DataError(
            f"{record.where}: {len(boxes)} boxes, {len(scores)} scores and {len(captions)} captions"
        )
    if any(after > before for before, after in pairwise(scores)):
        raise record.wrong("scores", "falling order, as DenseCap writes them")
    numbered = Record(record.file, f"{record.at}.boxes", {str(i): box for i, box in enumerate(boxes)})
    regions = (
        DenseRegion(_box(numbered, str(number)), captions[number].strip(), scores[number])
        for number in range(len(boxes))[:best]
    )
    return DenseImage(record.text("img_name"), tuple(regions))


def _box(record: Record, key: str) -> Box:
    x, y, width, height = record.numbers(key, 4)
    return Box(x - 1, y - 1, width, height)


def _hdf5(path: str | Path, read: Callable[[Any], list[np.ndarray]]) -> list[np.ndarray]:
    try:
        import h5py
    except ImportError:
        raise DataError(f"{path}: reading HDF5 needs h5py (pip install h5py)") from None
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            return read(file)
    except OSError as error:
        raise DataError(f"{path}: not an HDF5 file ({error})") from None
    except KeyError as error:
        raise DataError(f"{path}: expected the data sets feats and boxes ({error})") from None
