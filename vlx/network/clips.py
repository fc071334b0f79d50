"""Maps of clips: which methods give them, and how they are folded back into time, rows and columns."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from vlx.errors import VlxError
from vlx.methods import perturbed
from vlx.methods.values import Method
from vlx.passes.clips import clip_size
from vlx.passes.forward import Grid, Pass

Make = Callable[[Method], tuple[Tensor, Tensor | None]]
"""The maps of a method (target, batch, *plane), and what comes from the image."""

_OF_IMAGES = (perturbed.score_cam, perturbed.rise)


def need_for_clips(method: Method) -> None:
    """Raise VlxError for a method that masks or hides parts of an image, or fuses maps of several layers."""
    own: Any = getattr(method.perturbed, "func", method.perturbed)
    if method.windows or method.bands or method.fuse or own in _OF_IMAGES:
        raise VlxError(
            f"{method.name} explains images, not clips (batch, channel, time, height, width): use a "
            "method on features, such as grad_cam, or on gradients, such as gradient or guided_grad_cam"
        )


def clip_maps(
    passed: Pass, grid: Grid, method: Method, make: Make
) -> tuple[Float[Tensor, "target batch *plane"], Tensor | None]:
    """The maps of a clip, (target, batch, time, row, col), or with the channels at the pixels before time.

    A map on the grid that is laid over the pixels is trilinear there.
    """
    if method.cam is None or method.rule is None:
        maps, told = make(method)
        shape = grid(passed.features.detach()).shape[-3:]
        laid_out = (shape[0] * shape[1], shape[2])
        on_grid = maps.ndim == 4 and tuple(maps.shape[-2:]) == laid_out
        return (maps.unflatten(-2, shape[:2]) if on_grid else maps), told
    at_pixels, _ = make(replace(method, cam=None, needs_mean_only=False))
    coarse, told = clip_maps(passed, grid, replace(method, rule=None), make)
    assert passed.below is not None
    size = clip_size(passed.below.pixels)
    fine = interpolate(coarse, size, mode="trilinear", align_corners=False)
    channels = 2 if at_pixels.shape[3] == size[0] else 3
    return at_pixels * fine.unsqueeze(channels), told
