"""The network that tells what happens in a clip: four convolutions over time, rows and columns."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlx.studies.video.clips import EVENTS

WEIGHTS = Path(__file__).parent / "assets" / "clip-network.safetensors"


class WithChanges(nn.Module):
    """Puts beside the colours of every frame what they differ by from the frame before; from none, 0."""

    def forward(
        self, clips: Float[Tensor, "batch 3 time height width"]
    ) -> Float[Tensor, "batch 6 time height width"]:
        """Colours, then changes."""
        return torch.cat([clips / 2, torch.diff(clips, dim=2, prepend=clips[:, :, :1])], 1)


def clip_network() -> nn.Sequential:
    """Clips (batch, 3, time, height, width) to logits of the events.

    The last maps have half as many places in time and a quarter in rows and columns. A linear layer reads the
    maximum of each over all places: an event takes a small part of a clip.

    >>> clip_network().eval()(torch.zeros(1, 3, 16, 40, 40)).shape
    torch.Size([1, 6])
    """
    net = nn.Sequential()
    net.add_module("changes", WithChanges())
    for number, (given, made, stride) in enumerate(
        ((6, 16, (1, 2, 2)), (16, 24, (1, 2, 2)), (24, 32, (2, 1, 1)), (32, 32, (1, 1, 1))), 1
    ):
        kernel = (3, 5, 5) if number == 1 else (3, 3, 3)
        padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
        net.add_module(f"conv{number}", nn.Conv3d(given, made, kernel, stride, padding, bias=False))
        net.add_module(f"norm{number}", nn.BatchNorm3d(made))
        net.add_module(f"relu{number}", nn.ReLU())
    net.add_module("maximum", nn.AdaptiveMaxPool3d(1))
    net.add_module("flat", nn.Flatten())
    net.add_module("fc", nn.Linear(32, len(EVENTS)))
    return net
