"""Episodes of a game: what an agent reaches, and the moments of them that are explained."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from vlx.passes.outputs import class_logits
from vlx.studies.policy.agents import Player, as_input

MOST = 1000
"""Steps after which an episode of another's game is left."""
Act = Callable[[Any, Any], int]
"""The action, of the game and its observation."""


@dataclass(frozen=True)
class Episode:
    """One episode as it was played."""

    reward: float
    """All rewards together."""
    actions: tuple[int, ...]


def played(
    game: Any, seed: int, act: Act, each: Callable[[int, Any], None] = lambda _at, _seen: None
) -> Episode:
    """Play one episode from a seed; ``each`` is told of every observation before it is acted on."""
    seen, _ = game.reset(seed=seed)
    total, actions = 0.0, list[int]()
    for at in range(MOST):
        each(at, seen)
        actions.append(act(game, seen))
        seen, reward, terminated, truncated, _ = game.step(actions[-1])
        total += float(reward)
        if terminated or truncated:
            break
    return Episode(total, tuple(actions))


def greedy(player: Player) -> Act:
    """Acts as the network's highest logit says."""

    def act(_game: Any, seen: Any) -> int:
        with torch.no_grad():
            output = player.network(as_input(np.asarray(seen)[None], player.network))
            return int(class_logits(output, 1).argmax())

    return act


def at_random(count: int, seed: int) -> Act:
    """Acts without looking."""
    random = np.random.default_rng(seed)
    return lambda _game, _seen: int(random.integers(count))


def replayed(game: Any, seed: int, episode: Episode, at: int) -> Any:
    """Bring a game to where an episode stood before so many steps; returns the observation."""
    seen, _ = game.reset(seed=seed)
    for action in episode.actions[:at]:
        seen = game.step(action)[0]
    return seen
