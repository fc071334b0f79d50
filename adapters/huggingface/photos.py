"""How a photo becomes tokens, by the config of a transformers model: nothing is loaded.

Where the family's processor makes tiles or keeps the photo's own size, its default settings are taken.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Seen:
    """How a photo becomes tokens."""

    tokens: int
    """Those that the language model reads."""
    features: int
    """Numbers of the features that are explained."""
    below: int
    """Tokens that a layer of the vision encoder reads, of all pieces of the photo."""
    pieces: int = 1
    """Pieces of the photo that do not attend to one another."""


See = Callable[[Any, tuple[int, int]], Seen]
"""The tokens of a photo of so many pixels in width and height, by a config."""


def first(config: Any, *names: str, default: Any = None) -> Any:
    """The first of some attributes that a config has, and that is not None."""
    found = (getattr(config, name, None) for name in names)
    return next((one for one in found if one is not None), default)


def side_of(vision: Any) -> int:
    """Pixels in a row of what a vision encoder of fixed size sees."""
    side = vision.image_size
    return side[0] if isinstance(side, Sequence) else side


def patches_in_a_row(vision: Any) -> int:
    """Patches in a row of what a vision encoder of fixed size sees."""
    patch = vision.patch_size
    return side_of(vision) // (patch[0] if isinstance(patch, Sequence) else patch)


def fixed(config: Any, _size: tuple[int, int]) -> Seen:
    """One picture of fixed size; pooled where the config names the tokens of an image."""
    vision = config.vision_config
    count = patches_in_a_row(vision) ** 2
    whole = getattr(config, "vision_feature_select_strategy", "default") == "full"
    layers = getattr(config, "vision_feature_layers", None)
    side_by_side = len(layers) if isinstance(layers, Sequence) else 1
    read = first(config, "mm_tokens_per_image", default=count + whole)
    return Seen(read, (count + whole) * vision.hidden_size * side_by_side, count + 1)


def anyres(config: Any, size: tuple[int, int]) -> Seen:
    """LLaVA-NeXT's tiles: the whole photo, and tiles less their padding with a sign behind each row."""
    vision, (width, height) = config.vision_config, size
    side, count = patches_in_a_row(vision), patches_in_a_row(vision) ** 2
    best_rows, best_cols = _best(config.image_grid_pinpoints, width, height)
    rows, cols = (edge // side_of(vision) * side for edge in (best_rows, best_cols))
    if width / height > cols / rows:
        rows -= (rows - int(round(height * cols / width, 7))) // 2 * 2
    else:
        cols -= (cols - int(round(width * rows / height, 7))) // 2 * 2
    shrunk = math.sqrt(rows * cols / (9 * count))
    if config.model_type == "llava_onevision" and shrunk > 1.1:  # anyres_max_9
        rows, cols = int(rows / shrunk), int(cols / shrunk)
    tiles = 1 + best_rows * best_cols // side_of(vision) ** 2
    read = count + rows * (cols + 1)
    return Seen(read, tiles * count * vision.hidden_size, tiles * (count + 1), tiles)


def _best(pinpoints: Any, width: int, height: int) -> tuple[int, int]:
    """The (height, width) among some that keeps most of a photo, and of these wastes least."""

    def worth(pinpoint: tuple[int, int]) -> tuple[int, int]:
        rows, cols = pinpoint
        scale = min(cols / width, rows / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        return kept, kept - rows * cols

    rows, cols = max(((int(one[0]), int(one[1])) for one in pinpoints), key=worth)
    return rows, cols


def tiled(most: int, apart: bool = False) -> See:
    """Tiles of fixed size in the photo's proportions, and the whole photo; merged before they are read."""

    def see(config: Any, size: tuple[int, int]) -> Seen:
        vision, side = config.vision_config, patches_in_a_row(config.vision_config)
        cols, rows = _grid(most, size, side_of(vision))
        pieces = cols * rows + (cols * rows > 1)
        merged = first(config, "scale_factor", "downsample_factor", default=0)
        merged = merged or 1 / first(config, "downsample_ratio", default=0.5)
        read = int(pieces * (side * side / merged**2 + 3 * apart))
        return Seen(read, pieces * side**2 * vision.hidden_size, pieces * (side**2 + 1), pieces)

    return see


def _grid(most: int, size: tuple[int, int], side: int) -> tuple[int, int]:
    """Columns and rows of tiles in the photo's proportions; the more of them, the more the photo has."""
    ratio = size[0] / size[1]
    grids = [(c, r) for c in range(1, most + 1) for r in range(1, most + 1) if c * r <= most]
    least = min(abs(c / r - ratio) for c, r in grids)
    near = sorted((c * r, c, r) for c, r in grids if abs(c / r - ratio) == least)
    full = [(c, r) for count, c, r in near if 2 * size[0] * size[1] > count * side**2]
    return full[-1] if full else near[0][1:]


def longest(config: Any, size: tuple[int, int]) -> Seen:
    """Idefics3's tiles: the longest edge becomes four of them."""
    vision, side = config.vision_config, patches_in_a_row(config.vision_config)
    few = math.ceil(4 * min(size) / max(size))
    pieces = 4 * few + 1
    read = pieces * (side * side // config.scale_factor**2 + 2)
    return Seen(read, pieces * side**2 * vision.hidden_size, pieces * side**2, pieces)


def native(least: int, most: int) -> See:
    """Patches at the photo's own size, merged in squares; between so many pixels."""

    def see(config: Any, size: tuple[int, int]) -> Seen:
        vision = config.vision_config
        merge = vision.spatial_merge_size
        edge = vision.patch_size * merge
        pixels = size[0] * size[1]
        cols, rows = (round(length / edge) for length in size)
        if cols * rows * edge**2 > most or cols * rows * edge**2 < least:
            scale = math.sqrt((most if pixels > least else least) / pixels)
            fit = math.floor if scale < 1 else math.ceil
            cols, rows = (max(1, fit(length * scale / edge)) for length in size)
        read = cols * rows
        hidden = config.get_text_config(decoder=True).hidden_size
        return Seen(read, read * hidden, read * merge**2)

    return see
