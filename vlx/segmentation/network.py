"""Segmentation networks: a small one from the built-in convolutions, and DeepLab-LargeFOV from VGG-16.

Both take (batch, 3, height, width) with colours of 0 to 255 and give scores (batch, class, row, col), class 0
the background: what they subtract and divide by is inside them.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlx.adapters.files.weights import load_weights
from vlx.errors import VlxError


class Segmenter(nn.Module):
    """Convolutions, a head of more of them, and one more whose outputs are classes."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        features: nn.Sequential,
        head: nn.Sequential,
        last: nn.Conv2d,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.features, self.head, self.last = features, head, last
        self.register_buffer("mean", torch.tensor(mean)[:, None, None] * 255)
        self.register_buffer("std", torch.tensor(std)[:, None, None] * 255)
        nn.init.normal_(last.weight, std=0.01)
        assert last.bias is not None
        nn.init.zeros_(last.bias)

    def forward(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch class row col"]:
        """The scores of all classes."""
        return self.last(self.head(self.features((pixels - self.mean) / self.std)))


def small_network(classes: int, *, weights: bool = True) -> Segmenter:
    """The convolutions of the built-in models, its last pool of stride 1: 224 pixels give 28 x 28 places.

    What follows that pool sees twice as far between its weights, as in DeepLab. ``classes`` are those beside
    the background; ``weights`` are those of the package, which were learned from image-level labels alone.
    """
    from vlx.scenes.cnn import small_vgg
    from vlx.scenes.models import ASSETS

    vgg = small_vgg()
    if weights:
        held = load_weights(ASSETS / "cnn.safetensors")
        found = {
            key.removeprefix("features."): one for key, one in held.items() if key.startswith("features.")
        }
        vgg.features.load_state_dict(found)
    head = nn.Sequential(nn.Conv2d(vgg.channels, 128, 3, padding=2, dilation=2), nn.ReLU(), nn.Dropout(0.2))
    return Segmenter(_widened(vgg.features, 1), head, nn.Conv2d(128, classes + 1, 1), (0.5,) * 3, (0.25,) * 3)


def large_fov(classes: int, *, weights: bool = True) -> Segmenter:
    """DeepLab-LargeFOV (Chen et al. 2015, arXiv 1412.7062) of VGG-16: 321 pixels give 41 x 41 places.

    Pools are 3 x 3, the last two of stride 1, conv5 is dilated by 2, fc6 has 1,024 filters of 3 x 3 dilated
    by 12. With ``weights`` those that torchvision publishes for ImageNet, which it may download, fc6 and fc7
    by every fourth filter and every third place; the authors' are of Caffe and subtract another mean.
    """
    from torchvision.models import VGG16_Weights, vgg16

    published = vgg16(weights=VGG16_Weights.IMAGENET1K_V1 if weights else None)
    layers: list[nn.Module] = []
    pools = 0
    for layer in published.features.children():
        if isinstance(layer, nn.MaxPool2d):
            pools += 1
            layers.append(nn.MaxPool2d(3, 1 if pools > 3 else 2, 1))
            continue
        if isinstance(layer, nn.Conv2d) and pools == 4:
            layer.dilation, layer.padding = (2, 2), (2, 2)
        layers.append(layer)
    fc6, fc7 = nn.Conv2d(512, 1024, 3, padding=12, dilation=12), nn.Conv2d(1024, 1024, 1)
    if weights:
        _decimated(fc6, published.classifier[0], 7)
        _decimated(fc7, published.classifier[3], 1)
    head = nn.Sequential(fc6, nn.ReLU(), nn.Dropout(0.5), fc7, nn.ReLU(), nn.Dropout(0.5))
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return Segmenter(nn.Sequential(*layers), head, nn.Conv2d(1024, classes + 1, 1), mean, std)


NETWORKS = {"small": small_network, "large_fov": large_fov}
"""By what a recipe calls them."""


def network_named(name: str, classes: int, *, weights: bool = True) -> Segmenter:
    """A network for so many classes. Raises VlxError for an unknown name.

    >>> network_named("small", 3)(torch.zeros(1, 3, 224, 224)).shape
    torch.Size([1, 4, 28, 28])
    """
    if name not in NETWORKS:
        raise VlxError(f"no segmentation network {name!r}; known: {', '.join(NETWORKS)}")
    return NETWORKS[name](classes, weights=weights)


def _widened(features: nn.Sequential, count: int) -> nn.Sequential:
    """The same layers with the last ``count`` pools of stride 1, and what follows dilated instead."""
    pools = [at for at, layer in enumerate(features) if isinstance(layer, nn.MaxPool2d)][-count:]
    layers, dilation = list[nn.Module](), 1
    for at, layer in enumerate(features):
        if at in pools:
            layers.append(nn.MaxPool2d(3, 1, 1))
            dilation *= 2
            continue
        if isinstance(layer, nn.Conv2d):
            layer.dilation = layer.padding = (dilation, dilation)
        layers.append(layer)
    return nn.Sequential(*layers)


def _decimated(conv: nn.Conv2d, linear: Any, side: int) -> None:
    """Fill a convolution with every so many-th output, input and place of a fully connected layer."""
    outputs, inputs = linear.out_features, linear.in_features // side**2
    weight = linear.weight.detach().view(outputs, inputs, side, side)
    down, across = outputs // conv.out_channels, inputs // conv.in_channels
    step = (side - 1) // 2 if side > 1 else 1
    with torch.no_grad():
        conv.weight.copy_(weight[::down, ::across, ::step, ::step])
        assert conv.bias is not None
        conv.bias.copy_(linear.bias[::down])
