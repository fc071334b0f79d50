"""Train the agent from nothing by reinforcement learning: ``python -m vlx.studies.policy.training``.

Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347): many games side by side, advantages by
generalised advantage estimation (arXiv 1506.02438, Eq. 16), the clipped objective (Eq. 7) beside the critic's
squared error and an entropy bonus. The agent is shown pixels and rewards, never what the scripted player
does.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor, nn

from vlx.studies.policy.network import WEIGHTS, Agent
from vlx.studies.policy.orchard import Orchard


@dataclass(frozen=True)
class Recipe:
    """How the agent is trained."""

    games: int = 32
    steps: int = 64
    """Of every game, between two changes of the weights."""
    rounds: int = 64
    epochs: int = 3
    batch: int = 256
    rate: float = 7e-4
    """Of learning; falls to 0 in a straight line."""
    discount: float = 0.97
    trace: float = 0.95
    """λ of the generalised advantages."""
    clip: float = 0.2
    entropy: float = 0.01
    seed: int = 7


@dataclass(frozen=True, eq=False)
class _Played:
    """What all games gave, step by step."""

    seen: Tensor
    actions: Tensor
    log_probabilities: Tensor
    advantages: Tensor
    returns: Tensor


class _Games:
    """Games side by side, each begun anew where it ended; every episode has a seed of its own."""

    def __init__(self, recipe: Recipe) -> None:
        self._games = [Orchard() for _ in range(recipe.games)]
        self._next = recipe.seed * 1_000_000
        self.seen = np.stack([self._begun(game) for game in self._games])
        self.totals = np.zeros(recipe.games)
        self.finished: list[float] = []

    def _begun(self, game: Orchard) -> np.ndarray:
        self._next += 1
        return game.reset(self._next)[0]

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rewards, ended = np.zeros(len(self._games)), np.zeros(len(self._games), bool)
        for at, (game, action) in enumerate(zip(self._games, actions.tolist(), strict=True)):
            seen, rewards[at], terminated, truncated, _ = game.step(action)
            ended[at] = terminated or truncated
            self.totals[at] += rewards[at]
            if ended[at]:
                self.finished.append(float(self.totals[at]))
                self.totals[at], seen = 0.0, self._begun(game)
            self.seen[at] = seen
        return rewards, ended


def trained(recipe: Recipe = Recipe(), told: Callable[[str], None] = print) -> Agent:
    """An agent trained by a recipe; the same recipe gives the same on the same machine."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return _trained(recipe, told)


def _trained(recipe: Recipe, told: Callable[[str], None]) -> Agent:
    network, games, began = Agent(), _Games(recipe), time.monotonic()
    for layer in (network.actor, network.critic):
        nn.init.orthogonal_(layer.weight, 0.01 if layer is network.actor else 1.0)
        nn.init.zeros_(layer.bias)
    optimiser = torch.optim.Adam(network.parameters(), recipe.rate, eps=1e-5)
    for number in range(1, recipe.rounds + 1):
        optimiser.param_groups[0]["lr"] = recipe.rate * (1 - (number - 1) / recipe.rounds)
        played = _play(network, games, recipe)
        for _ in range(recipe.epochs):
            for some in torch.randperm(len(played.actions)).split(recipe.batch):
                optimiser.zero_grad()
                _loss(network, played, some, recipe).backward()
                nn.utils.clip_grad_norm_(network.parameters(), 0.5)
                optimiser.step()
        if number % 5 == 0 or number == recipe.rounds:
            last = games.finished[-40:]
            mean = f"{sum(last) / len(last):.2f} a game of the last {len(last)}" if last else "no game ended"
            steps = number * recipe.games * recipe.steps
            told(
                f"round {number} of {recipe.rounds}, {steps} steps, {mean}, {time.monotonic() - began:.0f} s"
            )
    return network.eval()


def _play(network: Agent, games: _Games, recipe: Recipe) -> _Played:
    seen, actions, logs, values = list[Tensor](), list[Tensor](), list[Tensor](), list[Tensor]()
    rewards, ended = list[Tensor](), list[Tensor]()
    with torch.no_grad():
        for _ in range(recipe.steps):
            seen.append(torch.from_numpy(games.seen.copy()))
            found = network(seen[-1].float())
            odds = torch.distributions.Categorical(logits=found.logits)
            actions.append(odds.sample())
            logs.append(odds.log_prob(actions[-1]))
            values.append(found.value)
            got, over = games.step(actions[-1].numpy())
            rewards.append(torch.from_numpy(got).float())
            ended.append(torch.from_numpy(over).float())
        values.append(network(torch.from_numpy(games.seen).float()).value)
    gained = advantages(
        torch.stack(rewards), torch.stack(values), torch.stack(ended), recipe.discount, recipe.trace
    )
    returns = gained + torch.stack(values[:-1])
    return _Played(torch.cat(seen), torch.cat(actions), torch.cat(logs), gained.flatten(), returns.flatten())


def advantages(
    rewards: Float[Tensor, "step game"],
    values: Float[Tensor, "step+1 game"],
    ended: Float[Tensor, "step game"],
    discount: float,
    trace: float,
) -> Float[Tensor, "step game"]:
    """Generalised advantages: sums of (γλ)^l times the errors r + γ V' - V (arXiv 1506.02438, Eq. 16).

    An episode that ended at a step has nothing behind it.

    >>> advantages(torch.tensor([[0.0], [1.0]]), torch.zeros(3, 1), torch.tensor([[0.0], [1.0]]), 0.5, 1.0)
    tensor([[0.5000],
            [1.0000]])
    """
    found, behind = torch.zeros_like(rewards), torch.zeros_like(rewards[0])
    for at in range(len(rewards) - 1, -1, -1):
        goes_on = 1 - ended[at]
        error = rewards[at] + discount * values[at + 1] * goes_on - values[at]
        behind = error + discount * trace * goes_on * behind
        found[at] = behind
    return found


def _loss(network: Agent, played: _Played, some: Tensor, recipe: Recipe) -> Tensor:
    found = network(played.seen[some].float())
    odds = torch.distributions.Categorical(logits=found.logits)
    ratio = (odds.log_prob(played.actions[some]) - played.log_probabilities[some]).exp()
    gained = played.advantages[some]
    gained = (gained - gained.mean()) / (gained.std() + 1e-8)
    clipped = ratio.clamp(1 - recipe.clip, 1 + recipe.clip)
    policy = -torch.minimum(ratio * gained, clipped * gained).mean()
    critic = (found.value - played.returns[some]).square().mean()
    return policy + 0.5 * critic - recipe.entropy * odds.entropy().mean()


def main() -> None:
    """Train, and write the weights in half precision."""
    parser = argparse.ArgumentParser(description="Train the agent of the policy study.")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="where the weights are written")
    parser.add_argument("--rounds", type=int, default=Recipe.rounds)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    network = trained(Recipe(rounds=given.rounds, seed=given.seed), lambda line: print(line, flush=True))
    state = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, given.out)
    print(f"weights: {given.out}, {given.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
