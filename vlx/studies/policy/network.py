"""The network of the agent: three convolutions, a linear layer, and the logits of actions beside a value."""

from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlx.studies.policy.orchard import ACTIONS, FRAMES, SIDE

WEIGHTS = Path(__file__).parent / "assets" / "agent.safetensors"


class Decision(NamedTuple):
    """What the network gives for each observation."""

    logits: Float[Tensor, "batch action"]
    value: Float[Tensor, " batch"]
    """The rewards to come, discounted."""


class Agent(nn.Module):
    """An actor and its critic on the same maps: observations of bytes or floats of 0 to 255 in.

    >>> Agent()(torch.zeros(2, 4, 84, 84)).logits.shape
    torch.Size([2, 3])
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(FRAMES, 16, 8, 4, padding=2)
        self.conv2 = nn.Conv2d(16, 32, 4, 2, padding=1)
        self.conv3 = nn.Conv2d(32, 8, 3, padding=1)
        self.fc = nn.Linear(8 * (SIDE // 8) ** 2, 64)
        self.actor, self.critic = nn.Linear(64, len(ACTIONS)), nn.Linear(64, 1)

    def forward(self, observation: Float[Tensor, "batch frame height width"]) -> Decision:
        """The logits of the actions and the value."""
        maps = torch.relu(self.conv1(observation / 255 - 0.25))
        maps = torch.relu(self.conv2(maps))
        maps = torch.relu(self.conv3(maps))
        hidden = torch.relu(self.fc(maps.flatten(1)))
        return Decision(self.actor(hidden), self.critic(hidden)[:, 0])


class ValueOf(nn.Module):
    """A network whose only score is the value that another gives."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, observation: Float[Tensor, "batch frame height width"]) -> Float[Tensor, "batch 1"]:
        """The value alone."""
        return self.network(observation).value[:, None]
