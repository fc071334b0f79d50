"""Rows and columns in the features of a vision network, by their shape and that of its input."""

import math
import operator
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from jaxtyping import Float
from torch import Tensor

from vlx.errors import LayerError
from vlx.images.frame import Size
from vlx.passes.forward import Grid, conv_grid, token_grid
from vlx.passes.mean_gradient import Everywhere, on_maps

_IN_FRONT = (0, 1, 2, 4, 5)  # nothing; a class token; and one to distil; four registers; and a class token


def token_layout(tokens: int, network: Size) -> tuple[int, int, int]:
    """Rows and columns of patches, and how many other tokens stand in front of them.

    Patches are squares of the network input (height, width). Raises LayerError where no number of
    tokens in front leaves a grid, as behind a resampler, whose outputs have no place on the image.

    >>> token_layout(197, (224, 224)), token_layout(9, (32, 64))
    ((14, 14, 1), (2, 4, 1))
    """
    height, width = network
    for skip in (skip for skip in _IN_FRONT if skip < tokens):
        side = math.sqrt(height * width / (tokens - skip))
        rows, cols = round(height / side), round(width / side)
        if rows * cols == tokens - skip and rows * width == cols * height and rows > 0 and height % rows == 0:
            return rows, cols, skip
    raise LayerError(
        f"{tokens} tokens are no grid of patches of {height} x {width} pixels: name a layer of the vision "
        "encoder itself"
    )


def channels_last_grid(
    features: Float[Tensor, "*lead row col channel"],
) -> Float[Tensor, "*lead channel row col"]:
    """View features that keep their channels last, as Swin's do.

    >>> import torch
    >>> channels_last_grid(torch.ones(1, 7, 9, 64)).shape
    torch.Size([1, 64, 7, 9])
    """
    return features.movedim(-1, -3)


def places(features: Float[Tensor, "batch *feature"], network: Size, grid: Size | Grid | Any = None) -> Grid:
    """How the features of a network on inputs of some height and width become (..., channel, row, col).

    Maps are (batch, channel, row, col) or, where only that fits the proportions of the input, (batch, row,
    col, channel); tokens are (batch, token, channel), row by row behind a class token, one to distil and
    registers. ``grid`` says it instead: rows and columns, in front of which all other tokens stand, or a
    function of (batch, *feature) to (batch, channel, row, col). Raises LayerError where there is no grid.

    >>> import torch
    >>> tokens = torch.ones(2, 50, 768)
    >>> places(tokens, (224, 224))(tokens).shape, places(tokens, (224, 224), (6, 8))(tokens).shape
    (torch.Size([2, 768, 7, 7]), torch.Size([2, 768, 6, 8]))
    """
    shape = tuple(features.shape)
    if callable(grid):
        return checked_grid(cast(Grid, grid), features)
    if grid is not None:
        return _of_size(shape, grid)
    if len(shape) == 3:
        try:
            return token_grid(*token_layout(shape[1], network))
        except LayerError as error:
            raise LayerError(f"{error}, or its rows and columns with grid=(rows, cols)") from None
    if len(shape) != 4:
        raise LayerError(
            f"the layer's output of shape {shape} has no rows and columns: name one that gives maps or "
            "tokens, or give grid=, a function to (batch, channel, row, col)"
        )
    return channels_last_grid if _channels_last(shape, network) else conv_grid


def on_channels_first(network: Size) -> Callable[[Tensor], Everywhere | None]:
    """Adds a value to maps at all places, as `on_maps`; gives None where channels stand last."""

    def add(features: Tensor) -> Everywhere | None:
        last = features.ndim == 4 and _channels_last(tuple(features.shape), network)
        return None if last else on_maps(features)

    return add


def _channels_last(shape: tuple[int, ...], network: Size) -> bool:
    """Whether rows and columns of the proportions of the input stand first, and only there."""
    height, width = network
    first, rows, cols = shape[1:]

    def fit(rows: int, cols: int) -> bool:
        return abs(rows * width - cols * height) <= height + width

    return fit(first, rows) and not fit(rows, cols)


def _of_size(shape: tuple[int, ...], given: Any) -> Grid:
    try:
        rows, cols = (operator.index(count) for count in given)
    except (TypeError, ValueError):
        raise LayerError(
            f"grid={given!r}: give (rows, cols), or a function of (batch, *feature) to (batch, channel, row, "
            "col)"
        ) from None
    if len(shape) == 3 and shape[1] >= rows * cols:
        return token_grid(rows, cols, shape[1] - rows * cols)
    if len(shape) == 3 and shape[2] == rows * cols:
        return cast(Grid, partial(_flattened, rows=rows, cols=cols))
    if len(shape) == 4 and shape[2:] == (rows, cols):
        return conv_grid
    if len(shape) == 4 and shape[1:3] == (rows, cols):
        return channels_last_grid
    raise LayerError(f"the layer's output of shape {shape} does not fill a grid of {rows} x {cols}")


def _flattened(
    features: Float[Tensor, "*lead channel place"], rows: int, cols: int
) -> Float[Tensor, "*lead channel row col"]:
    return features.unflatten(-1, (rows, cols))


def checked_grid(
    grid: Callable[[Tensor], Tensor],
    features: Float[Tensor, "batch *feature"],
    due: str = "(batch, channel, row, col)",
) -> Grid:
    """A user's grid, which need not know of more than one leading axis; it makes axes as ``due`` names them.

    The grid raises LayerError where it makes others, or another batch.

    >>> grid = checked_grid(lambda features: features.flip(-1), torch.zeros(2, 5, 3, 4))
    >>> grid(torch.zeros(7, 2, 5, 3, 4)).shape
    torch.Size([7, 2, 5, 3, 4])
    """
    own = features.ndim - 1

    def view(values: Tensor) -> Tensor:
        flat = values.reshape(-1, *values.shape[-own:])
        found = grid(flat)
        if not isinstance(found, Tensor) or found.ndim != due.count(",") + 1 or len(found) != len(flat):  # pyright: ignore[reportUnnecessaryIsInstance]
            what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__  # pyright: ignore[reportUnnecessaryIsInstance]
            raise LayerError(f"the grid made {what} of {tuple(flat.shape)}: {due} is due")
        return found.unflatten(0, values.shape[:-own])

    return view
