"""Time, rows and columns in the features of a network that reads clips.

Methods on features know places and channels alone: none asks which place lies beside which. So the places of
a clip are laid out in rows for them, the rows of one time below those of the time before, and their maps are
folded back.
"""

import operator
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from jaxtyping import Float
from torch import Tensor

from vlx.errors import LayerError
from vlx.passes.forward import Grid
from vlx.passes.places import checked_grid

ClipSize = tuple[int, int, int]
"""Frames, height and width of a clip."""

_CHANNELS = (1, 3, 4)
_IN_FRONT = (0, 1, 2, 4, 5)  # as in `vlx.passes.places`


def clip_size(clips: Float[Tensor, "batch channel time height width"]) -> ClipSize:
    """Frames, height and width of clips; their channels may stand behind the frames too.

    >>> import torch
    >>> clip_size(torch.zeros(2, 3, 16, 56, 64)), clip_size(torch.zeros(2, 16, 3, 56, 64))
    ((16, 56, 64), (16, 56, 64))
    """
    first, second, height, width = clips.shape[1:]
    frames = first if second in _CHANNELS and first not in _CHANNELS else second
    return frames, height, width


def clip_places(features: Float[Tensor, "batch *feature"], clip: ClipSize, grid: Any = None) -> Grid:
    """How the features of a network on clips become (..., channel, time, row, col).

    Maps are (batch, channel, time, row, col) or, where only that fits the proportions of the frames, (batch,
    time, row, col, channel); tokens are (batch, token, channel), time after time and row by row, behind a
    class token, one to distil and registers. Where tokens fit several grids it is that with the most places
    in time.
    ``grid`` says it instead: (time, rows, cols), in front of which all other tokens stand, or a function of
    (batch, *feature) to (batch, channel, time, row, col). Raises LayerError where there is no grid.

    >>> import torch
    >>> tokens = torch.ones(1, 393, 96)
    >>> clip_places(tokens, (16, 224, 224))(tokens).shape
    torch.Size([1, 96, 8, 7, 7])
    """
    shape = tuple(features.shape)
    if callable(grid):
        return checked_grid(
            cast("Callable[[Tensor], Tensor]", grid), features, "(batch, channel, time, row, col)"
        )
    if grid is not None:
        return _of_size(shape, grid)
    if len(shape) == 3:
        time, rows, cols, skip = _token_layout(shape[1], clip)
        return partial(_tokens, time=time, rows=rows, cols=cols, skip=skip)
    if len(shape) == 5:
        return _channels_last if _is_channels_last(shape, clip) else _maps
    raise LayerError(
        f"the layer's output of shape {shape} has no places in time, rows and columns: name one that "
        "gives (batch, channel, time, row, col), or give grid=, a function to that"
    )


def folded(grid: Grid) -> Grid:
    """A grid in time as one of rows and columns, the rows of one time below those of the time before."""
    return folded_clip if grid is _maps else partial(_folded, grid=grid)


def folded_clip(
    features: Float[Tensor, "*lead channel time row col"],
) -> Float[Tensor, "*lead channel place col"]:
    """Maps of a clip as they are laid out for methods."""
    return features.flatten(-3, -2)


def _folded(features: Tensor, grid: Grid) -> Tensor:
    return grid(features).flatten(-3, -2)


def _maps(features: Tensor) -> Float[Tensor, "*lead channel time row col"]:
    return features


def _channels_last(features: Tensor) -> Float[Tensor, "*lead channel time row col"]:
    return features.movedim(-1, -4)


def _tokens(
    features: Float[Tensor, "*lead token channel"], time: int, rows: int, cols: int, skip: int
) -> Float[Tensor, "*lead channel time row col"]:
    return features[..., skip:, :].transpose(-1, -2).unflatten(-1, (time, rows, cols))


def _token_layout(tokens: int, clip: ClipSize) -> tuple[int, int, int, int]:
    """Places in time, rows, columns, and tokens in front."""
    frames, height, width = clip
    for skip in (skip for skip in _IN_FRONT if skip < tokens):
        for time in (time for time in range(frames, 0, -1) if frames % time == 0):
            places = (tokens - skip) / time
            rows, cols = round((places * height / width) ** 0.5), round((places * width / height) ** 0.5)
            fits = rows > 1 and rows * width == cols * height and height % rows == 0
            if fits and rows * cols * time == tokens - skip:
                return time, rows, cols, skip
    raise LayerError(
        f"{tokens} tokens are no grid of patches of {frames} frames of {height} x {width} pixels: name a "
        "layer whose tokens are, or give grid=(time, rows, cols)"
    )


def _is_channels_last(shape: tuple[int, ...], clip: ClipSize) -> bool:
    """Whether rows and columns of the frames' proportions stand before the last axis, and only there."""
    _, height, width = clip

    def fit(rows: int, cols: int) -> bool:
        return abs(rows * width - cols * height) <= height + width

    return fit(*shape[2:4]) and not fit(*shape[3:])


def _of_size(shape: tuple[int, ...], given: Any) -> Grid:
    try:
        time, rows, cols = (operator.index(count) for count in given)
    except (TypeError, ValueError):
        raise LayerError(
            f"grid={given!r}: of a clip give (time, rows, cols), or a function of (batch, *feature) to "
            "(batch, channel, time, row, col)"
        ) from None
    if len(shape) == 3 and shape[1] >= time * rows * cols > 0:
        return partial(_tokens, time=time, rows=rows, cols=cols, skip=shape[1] - time * rows * cols)
    if len(shape) == 5 and shape[2:] == (time, rows, cols):
        return _maps
    if len(shape) == 5 and shape[1:4] == (time, rows, cols):
        return _channels_last
    raise LayerError(f"the layer's output of shape {shape} does not fill a grid of {time} x {rows} x {cols}")
