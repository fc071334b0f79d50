"""From the features of a vision encoder to rows and columns."""

from functools import partial

from jaxtyping import Float, Int
from torch import Tensor

from vlx.adapters.huggingface.frames import Layout
from vlx.errors import ImageError
from vlx.passes.forward import Grid, conv_grid, token_grid
from vlx.passes.places import token_layout


def tokens_in_front(layout: Layout, tokens: int) -> int:
    """How many of the tokens of an image stand in front of those that lie on it."""
    return token_layout(tokens, layout.frame.input_size)[2]


def grid_of(
    features: Float[Tensor, "batch *feature"],
    layout: Layout,
    *,
    order: Int[Tensor, " token"] | None = None,
    patch: int | None = None,
) -> Grid:
    """How features become (channel, row, col): tokens (batch, token, channel), those of several views
    (batch, view, token, channel), or a feature map (batch, channel, row, col).

    ``order`` says which token lies at each place, by default row by row; with ``patch``, the side of a
    patch in pixels, tokens behind those of the image are padding.
    """
    if features.ndim == 4 and len(layout.tiles) > 1:
        height, width = layout.frame.input_size
        tile = (height // layout.rows, width // layout.cols)
        one = token_grid(*token_layout(features.shape[2], tile))
        return partial(_tiles, one=one, layout=layout)
    if features.ndim == 4:
        return conv_grid
    if patch is not None:
        rows, cols = (length // patch for length in layout.frame.input_size)
        return partial(_first, one=token_grid(rows, cols), count=rows * cols)
    one = token_grid(*token_layout(features.shape[1], layout.frame.input_size))
    return one if order is None else partial(_ordered, one=one, order=order)


def need_places(
    layout: Layout, features: Float[Tensor, "*lead channel row col"], *, native: bool = False
) -> None:
    """Raise ImageError where an image fills less than one place of its tiles, since models leave it out
    then, or a single place in all, where that is a matter of its own size (``native``).
    """
    top, left, bottom, right = layout.frame.box
    height, width = layout.frame.image_size
    rows, cols = features.shape[-2:]
    less = rows * height < bottom - top or cols * width < right - left
    if (len(layout.tiles) > 1 and less) or (native and rows * cols < 2):
        raise ImageError(
            f"an image of {width} x {height} pixels fills {'less than one' if less else 'a single'} place of "
            "what this model sees: give one that is larger or less thin"
        )


def _first(
    features: Float[Tensor, "*lead token channel"], one: Grid, count: int
) -> Float[Tensor, "*lead channel row col"]:
    return one(features[..., :count, :])


def _ordered(
    features: Float[Tensor, "*lead token channel"], one: Grid, order: Int[Tensor, " token"]
) -> Float[Tensor, "*lead channel row col"]:
    return one(features.index_select(-2, order.to(features.device)))


def _tiles(
    features: Float[Tensor, "*lead view token channel"], one: Grid, layout: Layout
) -> Float[Tensor, "*lead channel row col"]:
    tiles = one(features[..., list(layout.tiles), :, :])
    split = tiles.unflatten(-4, (layout.rows, layout.cols))  # row of tiles, col of tiles, channel, row, col
    return split.movedim((-3, -5, -2, -4, -1), (-5, -4, -3, -2, -1)).flatten(-2, -1).flatten(-3, -2)


def picture_of_padded_patches(
    patches: Float[Tensor, "patch value"], shape: Int[Tensor, "2"], side: int
) -> Float[Tensor, "1 3 height width"]:
    """The picture that SigLIP 2's processor cut into patches, row by row, before it padded them."""
    rows, cols = (int(n) for n in shape)
    split = patches[: rows * cols].view(rows, cols, side, side, 3)
    return split.permute(4, 0, 2, 1, 3).reshape(1, 3, rows * side, cols * side)


def picture_of_patches(
    patches: Float[Tensor, "patch value"], grid: Int[Tensor, "3"], side: int, merge: int
) -> Float[Tensor, "1 3 height width"]:
    """The picture that Qwen's processors cut into patches of frames, in the order of merged blocks."""
    _, rows, cols = (int(n) for n in grid)
    split = patches[: rows * cols].view(rows // merge, cols // merge, merge, merge, 3, -1, side, side)
    return split[:, :, :, :, :, 0].permute(4, 0, 2, 5, 1, 3, 6).reshape(1, 3, rows * side, cols * side)
