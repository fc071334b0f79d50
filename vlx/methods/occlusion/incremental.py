"""Run a CNN again only where its input changed.

An image with a window hidden differs from the original in few places, and so do the first feature maps.
What each layer gave for the original is kept, and only the places that the window reaches are computed
again (Nakandala et al. 2019, "Incremental and Approximate Inference for Faster Occlusion-based Deep CNN
Explanations"; nothing is approximated here): through convolutions, pools, residual sums and branches, as the
network's own run goes. Normalisation behind a convolution is drawn into its weights. Once the change has
spread over most of a map, whole maps are computed; at an operation that is not known, such as the global
pool, the network runs on as ever.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map_only

from vlx.methods.occlusion.boxes import Images, One
from vlx.methods.occlusion.changed import First
from vlx.methods.occlusion.follow import changed, whole
from vlx.methods.occlusion.layers import Known, owned
from vlx.passes.stand_in import stand_in


@contextmanager
def changes_only(network: nn.Module) -> Generator[None, None, None]:
    """Let a network compute its first maps again only where an image differs from the first of the block.

    For networks of images with two convolutions at least; others, TorchScript, and runs that are recorded
    for gradients run as ever, and so does the rest of the block where a run fails or gives another result
    than the network itself, which is tried on the first images, and on two of the first that differ. Any
    images give what they would give without the block, to rounding. The network is as it was when the block
    ends.
    """
    if not _has_convolutions(network):
        yield
        return
    with stand_in(network, _Again(network).forward):
        yield


class _Again:
    """The runs of a network in a block."""

    def __init__(self, network: nn.Module) -> None:
        self.network, self.run = network, network.forward
        self.image: One | None = None
        self.known: Known | None = None
        self.follows = True
        self.checked = {False: False, True: False}  # without and with changes

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """What the network gives."""
        images = _images((inputs, named))
        if not self.follows or images is None or self._stands_aside(images):
            return self.run(*inputs, **named)
        if self.image is None or self.known is None:
            modules = sum(1 for _ in self.network.modules())
            self.image = images[:1].detach().clone(memory_format=torch.channels_last)
            self.known = Known(owned(self.network), First(16 * modules), images.is_contiguous())
        given = changed(images, self.image, self.known)

        def among(tensor: Tensor) -> Tensor:
            return given if tensor is images else tensor

        args, kwargs = tree_map_only(Tensor, among, (inputs, named))
        try:
            found = whole(self.run(*args, **kwargs))
        except Exception:  # what fails here alone need not fail there
            self.follows = False
            return self.run(*inputs, **named)
        if not self.checked[given.differs]:
            self.checked[given.differs] = True
            self.follows = self._as_in_full(found, images, inputs, named)
        return found if self.follows else self.run(*inputs, **named)

    def _as_in_full(self, found: Any, images: Images, inputs: Any, named: Any) -> bool:
        """Whether the network itself gives the same, to rounding; two images do where these are apart."""
        given = [one for one in tree_flatten((inputs, named))[0] if isinstance(one, Tensor)]
        mine, told = tree_flatten(found)
        apart = len(given) == 1 and all(isinstance(one, Tensor) and len(one) == len(images) for one in mine)
        some = [0, len(images) - 1][: len(images)] if apart else list(range(len(images)))
        args, kwargs = tree_map_only(
            Tensor, lambda one: images[some] if one is images else one, (inputs, named)
        )
        theirs, as_told = tree_flatten(self.run(*args, **kwargs))
        return told == as_told and all(
            _near(one[some] if apart else one, two) for one, two in zip(mine, theirs, strict=True)
        )

    def _stands_aside(self, images: Images) -> bool:
        """Whether a run is recorded, learns, or is in a precision of its own."""
        parameters, like = self.network.parameters(), self.image
        recorded = torch.is_grad_enabled() and any(one.requires_grad for one in (images, *parameters))
        learns = any(module.training for module in self.network.modules())
        other = like is not None and (like.dtype != images.dtype or like.device != images.device)
        return recorded or learns or other or torch.is_autocast_enabled(images.device.type)


def _images(given: Any) -> Images | None:
    """The images that a network is given, unless it is given several such tensors, or none."""
    tensors = [one for one in tree_flatten(given)[0] if isinstance(one, Tensor)]
    found = [one for one in tensors if one.ndim == 4 and one.is_floating_point()]
    return found[0] if len(found) == 1 and found[0].numel() and type(found[0]) is Tensor else None


def _near(found: Any, wanted: Any) -> bool:
    """Whether two results are the same, to rounding."""
    if not (isinstance(found, Tensor) and isinstance(wanted, Tensor)):
        return found is wanted
    return found.shape == wanted.shape and torch.allclose(found, wanted, *_close(wanted), equal_nan=True)


def _close(values: Tensor) -> tuple[float, float]:
    if not values.is_floating_point():
        return 0.0, 0.0
    close = {8: 1e-8, 4: 1e-3}.get(values.dtype.itemsize, 5e-2)
    finite = values[values.isfinite()]
    return close, close * float(finite.abs().amax()) if finite.numel() else close


def _has_convolutions(network: nn.Module) -> bool:
    """Whether a network has two convolutions of images at least, and all its code is Python's."""
    modules = list(network.modules())
    compiled = any(
        isinstance(one, torch.jit.ScriptModule) or getattr(one, "_compiled_call_impl", None) is not None
        for one in modules
    )
    return not compiled and sum(isinstance(one, nn.Conv2d) for one in modules) > 1
