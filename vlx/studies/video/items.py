"""The clips that are explained, and the networks that read them: built in, or a user's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from safetensors.torch import load_file
from torch import Tensor, nn

from vlx.adapters.families.own import own_function
from vlx.errors import CheckpointError, VlxError
from vlx.studies.video.clips import EVENTS, clip, normalised
from vlx.studies.video.network import WEIGHTS, clip_network

BUILT_IN = "events"
"""The name of the shipped network."""
WIDE = 56
"""Pixels of a frame's height and width in clips of two events: the network reads clips of any size."""


@dataclass(frozen=True, eq=False)
class Item:
    """A clip to explain for one class."""

    name: str
    pixels: Float[Tensor, "channel time height width"]
    """As the network takes it."""
    target: int
    wrong: int | None = None
    """Another class: of a clip with two events that of the other."""
    mask: Bool[np.ndarray, "time height width"] | None = None
    """Where and when what the target names is to be seen; nothing in all other frames."""
    without: Float[Tensor, "channel time height width"] | None = None
    """The same clip without what the target names."""
    without_wrong: Float[Tensor, "channel time height width"] | None = None
    """The same clip without what the wrong class names."""
    title: str = ""
    clip: str = ""
    """Items of one clip have the same, and are not independent."""

    @property
    def shown(self) -> UInt8[np.ndarray, "time height width 3"]:
        """The frames as they are drawn: stretched from their least value to their largest."""
        frames = self.pixels[:3].float().permute(1, 2, 3, 0).cpu().numpy()
        low, high = float(frames.min()), float(frames.max())
        frames = (frames - low) / max(high - low, 1e-9) * 255
        return np.broadcast_to(frames, (*frames.shape[:3], 3)).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Asked:
    """A network and the clips that it is asked about."""

    name: str
    network: nn.Module
    items: Sequence[Item]


def shipped_network() -> nn.Sequential:
    """What ``python -m vlx.studies.video.training`` made. Raises CheckpointError where it is not there."""
    network = clip_network()
    try:
        state = {
            name: one.float() if one.is_floating_point() else one for name, one in load_file(WEIGHTS).items()
        }
        network.load_state_dict(state)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            f"{WEIGHTS} holds no network ({error}): python -m vlx.studies.video.training"
        ) from None
    return network.eval()


def built_in(count: int, seed: int) -> list[Item]:
    """So many test clips of two events at once, each explained for the one and for the other."""
    return [one for number in range(count) for one in _items(seed, number)]


def _items(seed: int, number: int) -> list[Item]:
    whole = clip(seed, number, events=2, side=WIDE)
    pixels, *lacking = normalised(
        [whole, *(clip(seed, number, events=2, side=WIDE, without=at) for at in (0, 1))]
    )
    found: list[Item] = []
    for at, other in ((0, 1), (1, 0)):
        own, wrong = whole.happenings[at], whole.happenings[other]
        title = f"{own.thing} {EVENTS[own.event]}, while {wrong.thing} {EVENTS[wrong.event]}"
        found.append(Item(f"{whole.name}-{at}", pixels, own.event, wrong.event, own.during, lacking[at],
                          lacking[other], title, whole.name))  # fmt: skip
    return found


def asked(name: str, count: int, seed: int, device: str = "cpu") -> Asked:
    """The shipped network and clips, or those of ``python:module:function``.

    The function returns a network, (batch, channel, time, height, width) to logits, and a list of `Item`.
    Raises VlxError for anything else.
    """
    if name == BUILT_IN:
        return Asked(name, shipped_network().to(device), built_in(count, seed))
    if not name.startswith("python:"):
        raise VlxError(f"no network {name!r}: give {BUILT_IN}, or python:module:function, which returns "
                       "a network and a list of vlx.studies.video.Item")  # fmt: skip
    given: Any = own_function(name)()
    try:
        network, items = given
        items = list(items)[:count]
    except (TypeError, ValueError):
        raise VlxError(
            f"{name} gave a {type(given).__name__}: a network and a list of Item are due"
        ) from None
    if not isinstance(network, nn.Module) or not items or not all(isinstance(one, Item) for one in items):
        raise VlxError(f"{name}: an nn.Module and at least one vlx.studies.video.Item are due")
    if len({one.name for one in items}) < len(items):
        raise VlxError(f"{name}: several clips have the same name")
    return Asked(name, network.to(device).eval(), items)
