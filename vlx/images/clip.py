"""Where the places of a clip's maps lie: in its frames, and on the images that these are."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vlx.errors import VlxError
from vlx.images.bilinear import linear_weights
from vlx.images.frame import Frame


@dataclass(frozen=True)
class ClipFrame:
    """The network input of a clip: ``count`` frames, each of which lies on its original as ``frame`` says.

    The places of a map divide the frames evenly, unless there are as many as ``times``, which then say where
    they look: by their middles in frames, of which frame i covers [i, i + 1).

    >>> clip = vlx.ClipFrame(vlx.Frame.resized((1, 2), (1, 2)), 4)
    >>> clip.on_clip(torch.tensor([[[0.0, 0.0]], [[4.0, 4.0]]]))[:, 0, 0]
    tensor([0., 1., 3., 4.])
    """

    frame: Frame
    count: int
    times: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.count < 1:
            raise VlxError(f"a clip of {self.count} frames is none")

    def on_clip(
        self, maps: Float[Tensor, "*target time row col"]
    ) -> Float[Tensor, "*target frame height width"]:
        """Maps on all frames of the clip, on the pixels of the originals.

        Trilinear between the middles of places, constant beyond the outermost, zero outside of what the
        network saw of the originals.
        """
        placed = self.frame.on_image(maps)
        weights = self._weights(maps.shape[-3]).to(placed)
        return torch.einsum("ft,...tij->...fij", weights, placed)

    def _weights(self, places: int) -> Float[Tensor, "frame time"]:
        at = np.arange(self.count) + 0.5
        if self.times is not None and len(self.times) == places:
            cells = np.interp(at, self.times, np.arange(places))
        else:
            cells = at / self.count * places - 0.5
        return torch.from_numpy(linear_weights(cells, places))
