"""VQA-HAT files: where people looked to answer a question of VQA v1.

Grey-scale 8-bit PNG files ``<question_id>_<k>.png``, k = 1, 2, 3 for the annotators, each of the
size of the image it was drawn on.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vlx.eval.data.records import DataError
from vlx.eval.measures.maps import Map
from vlx.images.files import FORMATS

_NAME = re.compile(r"(\d+)_(\d+)\.png", re.IGNORECASE)
_MOST_PIXELS = 64_000_000


@dataclass(frozen=True)
class HumanMaps:
    """The files of a VQA-HAT folder, by question id, annotators in order."""

    by_question: Mapping[int, tuple[Path, ...]]
    ignored: tuple[str, ...]
    """Names of other files in the folder."""


def find_human_maps(folder: str | Path) -> HumanMaps:
    """List the maps of a folder such as ``vqahat_val`` without reading them.

    Raises DataError for a folder that is missing or holds no map.

    >>> from vlx.scenes import held_out_scenes
    >>> maps = find_human_maps(held_out_scenes() / "attention")
    >>> [path.name for path in maps.by_question[1000]]
    ['1000_1.png', '1000_2.png', '1000_3.png']
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    found: dict[int, list[tuple[int, Path]]] = {}
    ignored: list[str] = []
    for path in sorted(root.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match:
            found.setdefault(int(match[1]), []).append((int(match[2]), path))
        else:
            ignored.append(path.name)
    if not found:
        raise DataError(f"{root}: no file is named <question id>_<annotator>.png")
    by_question = {question: tuple(path for _, path in sorted(found[question])) for question in sorted(found)}
    return HumanMaps(by_question, tuple(ignored))


def read_human_map(path: str | Path, shape: tuple[int, int] | None = None) -> Map:
    """One map, 0 to 1, on the pixels of its image.

    ``shape`` is the (height, width) the image has, where it is known. Raises DataError for a file
    that is not a grey-scale image or has another size.

    >>> from vlx.scenes import held_out_scenes
    >>> read_human_map(held_out_scenes() / "attention" / "1000_1.png").shape
    (224, 224)
    """
    try:
        with Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                raise DataError(f"{path}: {picture.width} x {picture.height} pixels are too many")
            if picture.mode not in ("L", "1", "LA", "P", "RGB", "RGBA"):
                raise DataError(f"{path}: mode {picture.mode}, expected 8-bit grey")
            grey = picture.convert("RGB")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except DataError:
        raise
    except (
        OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, Image.DecompressionBombError
    ) as error:  # fmt: skip
        raise DataError(f"{path}: not a readable image ({error})") from None
    pixels = np.asarray(grey, dtype=np.float64)
    if not (pixels[..., 0] == pixels[..., 1]).all() or not (pixels[..., 1] == pixels[..., 2]).all():
        raise DataError(f"{path}: a colour image, expected grey")
    if shape is not None and pixels.shape[:2] != shape:
        raise DataError(
            f"{path}: {pixels.shape[0]} x {pixels.shape[1]} pixels, but its image has {shape[0]} x {shape[1]}"
        )
    return pixels[..., 0] / 255
