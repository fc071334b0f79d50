"""The agents that can be asked: the shipped one, or whoever a user's function gives, with their game."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from vlx.adapters.families.own import own_function
from vlx.errors import CheckpointError, VlxError
from vlx.studies.policy.network import WEIGHTS, Agent
from vlx.studies.policy.orchard import Orchard

BUILT_IN = "orchard"
"""The name of the shipped agent."""


@runtime_checkable
class Game(Protocol):
    """What a game has to do: as Gymnasium's environments do. Observations are (channel, height, width)."""

    def reset(self, *, seed: int | None = None) -> tuple[Any, Mapping[str, Any]]:
        """Begin an episode."""
        ...

    def step(self, action: int, /) -> tuple[Any, float, bool, bool, Mapping[str, Any]]:
        """Act once: observation, reward, terminated, truncated, info."""
        ...


@runtime_checkable
class KnownGame(Game, Protocol):
    """A game that also tells where its things stand, and what would be seen without one of them."""

    def masks(self) -> Mapping[str, Any]:
        """The pixels (height, width) of each thing in the observation."""
        ...

    def observation(self, without: str | None = None) -> Any:
        """The observation, without one of the things where it is named."""
        ...


@dataclass(frozen=True, eq=False)
class Player:
    """A network whose first output are the logits of actions, and the game that it plays."""

    name: str
    network: nn.Module
    make: Callable[[], Any]
    """Makes a `Game`, or a `KnownGame`."""

    @property
    def actions(self) -> tuple[str, ...]:
        """What the actions are called; empty where the game does not say."""
        named: Any = getattr(self.make(), "actions", ())
        return tuple(map(str, named))


def shipped_agent() -> Agent:
    """What ``python -m vlx.studies.policy.training`` made. Raises CheckpointError where it is not there."""
    network = Agent()
    try:
        network.load_state_dict({name: value.float() for name, value in load_file(WEIGHTS).items()})
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            f"{WEIGHTS} holds no agent ({error}): python -m vlx.studies.policy.training"
        ) from None
    return network.eval()


def player(name: str = BUILT_IN, device: str = "cpu") -> Player:
    """The shipped agent, or ``python:module:function``, whose function returns a network and a game's maker.

    The maker is a function without arguments, such as ``lambda: gymnasium.make(…)``, whose observations are
    arrays (channel, height, width) as the network takes them. Raises VlxError for anything else.
    """
    if name == BUILT_IN:
        return Player(name, shipped_agent().to(device), Orchard)
    if not name.startswith("python:"):
        raise VlxError(f"no agent {name!r}: give {BUILT_IN}, or python:module:function, which returns a "
                       "network and a function that makes its game")  # fmt: skip
    given: Any = own_function(name)()
    try:
        network, make = given
    except (TypeError, ValueError):
        raise VlxError(f"{name} gave a {type(given).__name__}: a network and a function are due") from None
    if not isinstance(network, nn.Module) or not callable(make):
        kinds = f"{type(network).__name__} and {type(make).__name__}"
        raise VlxError(f"{name} gave {kinds}: an nn.Module and a function that makes its game are due")
    if not isinstance(make(), Game):
        raise VlxError(f"{name}: its game has no reset and step as Gymnasium's environments have")
    return Player(name, network.to(device).eval(), make)


def as_input(observations: Any, network: nn.Module) -> torch.Tensor:
    """Observations (batch, channel, height, width) as the network takes them: floats on its device."""
    found = torch.as_tensor(np.ascontiguousarray(observations))
    if found.ndim != 4:
        raise VlxError(f"observations of shape {tuple(found.shape[1:])}: (channel, height, width) is due")
    weight = next((one for one in network.parameters() if one.is_floating_point()), torch.zeros(()))
    return found.to(weight)
