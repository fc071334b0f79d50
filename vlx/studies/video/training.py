"""Train the network that tells what happens in a clip: ``python -m vlx.studies.video.training``."""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from vlx.studies.video.clips import EVENTS, clip, normalised
from vlx.studies.video.network import WEIGHTS, clip_network


@dataclass(frozen=True)
class Recipe:
    """How the network is trained."""

    steps: int = 320
    batch: int = 24
    rate: float = 4e-3
    """The highest rate of learning, of one cycle."""
    seed: int = 11


TEST = 300
"""Clips that its accuracy is told of, of other objects."""
TEST_SEED = 1
"""Of those clips; the study asks for others."""


def trained(recipe: Recipe = Recipe(), told: Callable[[str], None] = print) -> nn.Sequential:
    """A network trained by a recipe; the same recipe gives the same on the same machine."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = clip_network().train()
        optimiser = torch.optim.AdamW(network.parameters(), recipe.rate, weight_decay=0.02)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, recipe.steps)
        began, lost = time.monotonic(), 0.0
        for step in range(recipe.steps):
            some = [clip(recipe.seed, step * recipe.batch + at, "train") for at in range(recipe.batch)]
            events = torch.tensor([one.happenings[0].event for one in some])
            loss = nn.functional.cross_entropy(network(normalised(some)), events)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            cycle.step()
            lost = float(loss.detach()) if step == 0 else 0.95 * lost + 0.05 * float(loss.detach())
            if (step + 1) % 20 == 0:
                told(f"step {step + 1} of {recipe.steps}, loss {lost:.3f}, {time.monotonic() - began:.0f} s")
        return network.eval()


def accuracy(network: nn.Module, count: int = TEST, seed: int = TEST_SEED) -> float:
    """The share of test clips whose event is told right."""
    right = 0
    for begin in range(0, count, 20):
        some = [clip(seed, number) for number in range(begin, min(begin + 20, count))]
        with torch.no_grad():
            found = network(normalised(some)).argmax(1).tolist()
        right += sum(one.happenings[0].event == event for one, event in zip(some, found, strict=True))
    return right / count


def main() -> None:
    """Train, tell the accuracy, and write the weights in half precision."""
    parser = argparse.ArgumentParser(description="Train the network of the video study.")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="where the weights are written")
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    recipe = Recipe(steps=given.steps, seed=given.seed)
    network = trained(recipe, lambda line: print(line, flush=True))
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, given.out)
    network.load_state_dict(state)
    print(f"{len(EVENTS)} events, accuracy {accuracy(network):.3f} on {TEST} clips of other objects")
    print(f"weights: {given.out}, {given.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
