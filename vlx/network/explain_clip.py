"""The door for networks that read clips: tensors in, maps on every frame out."""

from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from vlx.errors import VlxError
from vlx.images.clip import ClipFrame
from vlx.images.frame import Frame
from vlx.methods.values import Method, as_method, grad_cam
from vlx.network.clips import need_for_clips
from vlx.network.explain_model import maps_of, passed_of
from vlx.network.habits import need_network, need_no_layer, need_one_layer, with_habits
from vlx.network.inputs import Inputs, call_of
from vlx.passes.clips import clip_size
from vlx.passes.fields.measured import clip_centres_of
from vlx.passes.site import Layer, Site
from vlx.passes.unwrap import unwrapped


@dataclass(frozen=True, eq=False)
class ClipMaps:
    """Maps of a batch of clips, and where they lie.

    >>> net = torch.nn.Sequential(
    ...     torch.nn.Conv3d(3, 1, 3, padding=1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool3d(1),
    ...     torch.nn.Flatten())
    >>> _ = [torch.nn.init.ones_(weight) for weight in net.parameters()]
    >>> clip = torch.zeros(1, 3, 8, 16, 16)
    >>> clip[0, :, 5, 3, 9] = 1
    >>> vlx.explain_clip(net, clip, 0).peak()
    (5, 3, 9)
    """

    raw: Float[Tensor, "batch *plane"]
    """(batch, time, row, col) on the grid of the layer, or (batch, channel, time, height, width) at
    pixels."""
    clip: ClipFrame
    """Where the places lie in the frames and on them, as the run told."""
    scores: Float[Tensor, " batch"]
    """The value that is explained of each clip."""
    layer: str
    method: str

    @property
    def maps(self) -> Float[Tensor, "batch frame height width"]:
        """The maps on the pixels of every frame, trilinear; of gradients their mean size over colours."""
        if self.raw.ndim == 4:
            return self.clip.on_clip(self.raw)
        channels = 1 if self.raw.shape[2] == self.clip.count else 2
        return self.clip.on_clip(self.raw.abs().mean(channels))

    def peak(self, position: int = 0) -> tuple[int, int, int]:
        """The frame, row and column of the maximum of a clip's map; its middle where it is level around it.

        Raises VlxError for a map without any positive place.
        """
        plane = self.maps[position]
        if not float(plane.max()) > 0:
            raise VlxError(f"the map of clip {position} has no positive place, so no peak")
        found = (plane >= plane.max() * (1 - 1e-6)).nonzero()
        frame, row, col = found[(found - found.double().mean(0)).square().sum(1).argmin()].tolist()
        return frame, row, col


@with_habits
def explain_clip(
    net: nn.Module | Any,
    x: Inputs | Any,
    targets: Any = None,
    layer: Layer | Site | Any = None,
    *,
    method: Method | str = grad_cam,
    grid: Any = None,
    frame: Frame | None = None,
) -> ClipMaps:
    """Explain a network on clips, (batch, channel, time, height, width): a map for each, on all its frames.

    All is as in `explain_model`, whose raw maps these are. A strided layer looks at other frames than those
    that its places would have if they divided the clip evenly, often by several frames: where the network's
    way to the layer could be followed, that is measured, and maps are placed by it. ``frame`` says where
    the network input lies on the original frames, for clips that were resized or cropped; by default it is
    all there is. Raises VlxError, a LayerError where it is about the layer, with what would work.

    >>> net = torch.nn.Sequential(
    ...     torch.nn.Conv3d(3, 4, 3, stride=2, padding=1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool3d(1),
    ...     torch.nn.Flatten(), torch.nn.Linear(4, 5))
    >>> found = vlx.explain_clip(net, torch.rand(2, 3, 8, 32, 32), targets=[3, 1])
    >>> found.raw.shape, found.maps.shape, found.clip.times
    (torch.Size([2, 4, 16, 16]), torch.Size([2, 8, 32, 32]), (0.5, 2.5, 4.5, 6.5))
    """
    need_network(net)
    network: nn.Module = unwrapped(net)
    how = as_method(method)
    need_no_layer(network, targets)
    need_one_layer(layer)
    call = call_of(network, x)
    if call.clip is None:
        raise VlxError(
            f"x of shape {tuple(call.pixels.shape)} is no clip: give (batch, channel, time, height, "
            "width), or use vlx.explain_model for images"
        )
    need_for_clips(how)
    if frame is not None and frame.input_size != call.size:
        raise VlxError(f"frame is of inputs of {frame.input_size}, and x has {call.size}")
    call = call.with_pixels(call.pixels.detach())
    passed, view = passed_of(network, layer, call, targets, grid, create_graph=False)
    assert view is not None
    raw, _ = maps_of(passed, view, how, evidence=False)
    placed = frame or Frame.resized(call.size, call.size)
    centres = clip_centres_of(passed.features, view)
    times = None
    if centres is not None and raw.ndim == 4:
        times, placed = centres[0], replace(placed, centres=centres[1:])
    scores = passed.scores[:, 0, 0].detach()
    clip = ClipFrame(placed, clip_size(call.pixels)[0], times)
    return ClipMaps(raw.detach(), clip, scores, passed.layer, how.name)
