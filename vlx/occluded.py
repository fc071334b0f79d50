"""Occlusion of a Pass: all targets of an item from the same masked inputs."""

from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlx.errors import VlxError
from vlx.incremental import changes_only
from vlx.passes import Pass
from vlx.targets import Resolved
from vlx.windows import Windows, occlusion


def occlusion_maps(
    run: Pass, place: int, targets: Sequence[Resolved], windows: Windows
) -> Float[np.ndarray, "target height width"]:
    """How much each target's score falls with a window around each pixel of the network input hidden.

    Windows are filled with 0, the mean colour where inputs are normalised. The text is read as in the
    Pass; nothing is recorded for gradients. Raises VlxError if the Pass cannot score other pixels.
    """
    if run.pixels is None or run.rescore is None:
        raise VlxError(f"{run.model} gives no way to score other pixels: use a method on features")
    pixels, rescore, layout = run.pixels, run.rescore, _layout(run.cnn)

    def score(images: Float[np.ndarray, "batch channel height width"]) -> Float[np.ndarray, "batch target"]:
        scores = rescore(torch.from_numpy(images).to(pixels, memory_format=layout), place)
        return torch.stack([_value(scores, target) for target in targets], 1).cpu().numpy()

    if not targets:
        return np.zeros((0, *pixels.shape[2:]))
    wide = torch.promote_types(pixels.dtype, torch.float32)
    image = pixels[place : place + 1].detach().to("cpu", wide).contiguous(memory_format=layout)[0].numpy()
    # The first that is scored is the untouched image, from which the others differ in a window.
    with nullcontext() if run.cnn is None else changes_only(run.cnn):
        found = occlusion(image, score, size=windows.size, stride=windows.stride, batch=windows.batch)
    return found.map


def _layout(cnn: nn.Module | None) -> torch.memory_format:
    """How images lie in memory: channels last where the weights of convolutions do, so that all maps do."""
    last = torch.channels_last
    for weights in () if cnn is None else cnn.parameters():
        if weights.ndim == 4 and weights.is_contiguous(memory_format=last) and not weights.is_contiguous():
            return last
    return torch.contiguous_format


def _value(scores: Float[Tensor, "batch step choice"], target: Resolved) -> Float[Tensor, " batch"]:
    return sum(
        (term.weight * scores[:, term.step, term.choice].double() for term in target.terms),
        scores.new_zeros(len(scores), dtype=torch.float64),
    )
