"""SmoothGrad: gradients at the pixels, averaged over noisy copies of the image (Smilkov et al. 2017)."""

import torch
from jaxtyping import Float
from torch import Tensor

from vlx.errors import VlxError
from vlx.methods.gradients import gradients, pixels_of
from vlx.methods.rescoring import Targets
from vlx.passes.capture import as_captured
from vlx.passes.forward import Pass


def smooth_gradient(
    passed: Pass, position: int, targets: Targets, *, count: int = 25, spread: float = 0.15, seed: int = 0
) -> Float[Tensor, "target channel *time height width"]:
    """The mean gradient of ``count`` copies of the image with Gaussian noise (arXiv 1706.03825, section 3).

    The noise has ``spread`` times the range of the image's pixels. Each copy takes one run of the model and,
    for each target, one way back to its pixels.
    """
    if passed.below is None or passed.below.encode is None:
        raise VlxError(
            f"{passed.model} gives no way from pixels to layer {passed.layer}: use a method on features"
        )
    random = torch.Generator().manual_seed(seed)
    image = passed.below.pixels[position : position + 1].detach()
    sigma = spread * float(image.amax() - image.amin())
    total = torch.zeros(len(targets), *image.shape[1:], dtype=torch.float64, device=image.device)
    with torch.inference_mode(False), torch.enable_grad():
        for _ in range(count):
            noise = torch.randn(image.shape, generator=random).to(image) * sigma
            pixels = (image + noise).requires_grad_()
            features = passed.below.encode(pixels)
            run = passed.with_features(position, features.detach())
            head = gradients(run, [list(targets)])
            with as_captured(passed.features):
                total += pixels_of(features, pixels, head.values)[:, 0].double()
    return total / count
