"""A small VGG whose vector keeps what is in the image, how much of it, and on which side."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class GlobalPool(nn.Module):
    """What is in a feature map, how much of it, and on which side: three numbers for each channel.

    The maximum; the sum, divided by the number of rows, which brings it near the maximum; and the same
    sum with columns weighted from -1 at the left edge to 1 at the right. No place has weights of its own,
    so "more of this" means the same everywhere: a gradient averaged over all places is not a mixture of
    places that disagree.
    """

    def forward(self, features: Float[Tensor, "batch channel row col"]) -> Float[Tensor, "batch pooled"]:
        """Maxima of all channels, then sums, then weighted sums."""
        rows, cols = features.shape[2:]
        columns = features.sum(2) / rows
        aside = columns @ self._sides(columns, cols)
        return torch.cat([features.amax((2, 3)), columns.sum(2), aside], 1)

    def of_everywhere(
        self, value: Float[Tensor, "batch channel"], rows: int, cols: int
    ) -> Float[Tensor, "batch pooled"]:
        """What a value adds to the three that is added at each place."""
        del rows
        return torch.cat([value, value * cols, value * self._sides(value, cols).sum()], 1)

    @staticmethod
    def _sides(like: Tensor, cols: int) -> Float[Tensor, " col"]:
        return torch.linspace(-1, 1, cols).to(like)


class VggLike(nn.Module):
    """A small VGG: 3x3 convolutions with ReLUs and max-pools, then fc6 and fc7 with ReLUs.

    ``plan`` lists output channels, ``"M"`` for a 2x2 max-pool; the first convolution has stride 2.
    ``features`` ends in the last ReLU; before fc6 stands a `GlobalPool`, which keeps fc6 small. With
    ``norm`` each convolution is followed by batch normalisation, for training; `folded` removes it again.
    """

    def __init__(
        self,
        plan: Sequence[int | str],
        fc: tuple[int, int],
        *,
        norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for step in plan:
            if isinstance(step, str):
                layers.append(nn.MaxPool2d(2))
                continue
            stride = 2 if not layers else 1
            layers.append(nn.Conv2d(channels, step, 3, stride, 1, bias=not norm))
            layers += [nn.BatchNorm2d(step)] if norm else []
            layers.append(nn.ReLU(inplace=True))
            channels = step
        self.features = nn.Sequential(*layers)
        self.channels = channels
        self.pool = GlobalPool()
        self.classifier = nn.Sequential(
            nn.Linear(3 * channels, fc[0]), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.Linear(fc[0], fc[1]), nn.ReLU(inplace=True), nn.Dropout(dropout),
        )  # fmt: skip

    def forward(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch fc7"]:
        """The rectified fc7 vector."""
        return self.classifier(self.pool(self.features(pixels)))


def folded(features: nn.Sequential) -> list[nn.Module]:
    """The same layers with each batch normalisation folded into the convolution before it."""
    layers: list[nn.Module] = []
    for layer in features:
        if isinstance(layer, nn.BatchNorm2d):
            conv = layers.pop()
            assert isinstance(conv, nn.Conv2d)
            layers.append(torch.nn.utils.fuse_conv_bn_eval(conv.eval(), layer.eval()))
        else:
            layers.append(layer)
    return layers
