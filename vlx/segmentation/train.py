"""Train one segmentation network: SEC's three losses on seeds, or plain cross-entropy on masks.

An interrupted training goes on from its last checkpoint and ends as it would have: the images of a step, the
mirroring and the dropout follow from the seed and the number of the step alone.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vlx.errors import NumericError, VlxError
from vlx.images.files import write_whole
from vlx.segmentation.crf import mean_field
from vlx.segmentation.losses import constrain_loss, expand_loss, probabilities, seed_loss
from vlx.segmentation.network import Segmenter
from vlx.segmentation.pictures import Batch, colours_on
from vlx.segmentation.recipe import Recipe

Tell = Callable[[int, dict[str, float]], None]
"""Is told the number of steps done and the losses of the last."""


@dataclass(frozen=True, eq=False)
class Training:
    """What is learned, how, and where it is kept."""

    recipe: Recipe
    full: bool
    """Whether labels are of every cell, learned by cross-entropy; else they are seeds."""
    count: int
    """How many images there are."""
    batch_of: Callable[[list[int]], Batch]
    checkpoint: Path
    settings: str
    """What a checkpoint must be of."""
    seed: int = 0
    every: int = 100
    """Steps between checkpoints."""
    device: str = "cpu"


def sec_losses(scores: Tensor, batch: Batch, recipe: Recipe) -> dict[str, Tensor]:
    """The three losses of SEC on a batch, each to be added with a weight of 1."""
    found = probabilities(scores)
    classes = torch.arange(scores.shape[1], device=scores.device)
    seeds = batch.labels[:, None] == classes[:, None, None]
    refined = mean_field(
        found.detach(), colours_on(batch.pixels, (scores.shape[2], scores.shape[3])), recipe.crf
    )
    return {
        "seed": seed_loss(found, seeds),
        "expand": expand_loss(found, batch.shown),
        "constrain": constrain_loss(found, refined),
    }


def full_loss(scores: Tensor, batch: Batch) -> dict[str, Tensor]:
    """The cross-entropy of true classes, over the cells that count."""
    wanted = batch.labels
    return {"cross-entropy": F.cross_entropy(scores, wanted, ignore_index=-1)}


def rows_of(seed: int, step: int, count: int, batch: int) -> list[int]:
    """The images of a step: each comes once in an epoch, in an order of its own.

    >>> sorted(rows_of(0, 0, 4, 2) + rows_of(0, 1, 4, 2))
    [0, 1, 2, 3]
    """
    size = min(batch, count)
    steps = count // size
    order = np.random.default_rng([seed, step // steps]).permutation(count)
    at = step % steps * size
    return [int(row) for row in order[at : at + size]]


def train(network: Segmenter, training: Training, tell: Tell | None = None) -> Segmenter:
    """Train a network in place, from its checkpoint on where there is one; returns it in evaluation mode.

    Raises VlxError where the checkpoint is of other settings, NumericError where a loss is not finite.
    """
    recipe, device = training.recipe, torch.device(training.device)
    network.to(device)
    network.features.requires_grad_(not recipe.frozen)
    optimiser = _optimiser(network, recipe)
    start = _restored(network, optimiser, training)
    for step in range(start, recipe.steps):
        for group in optimiser.param_groups:
            group["lr"] = group["first"] * recipe.drop ** (step // recipe.drop_every)
        losses = _step(network, optimiser, training, step, device)
        done = step + 1
        if tell is not None:
            tell(done, losses)
        if done % training.every == 0 or done == recipe.steps:
            _keep(network, optimiser, training, done)
    return network.eval()


def _step(
    network: Segmenter, optimiser: torch.optim.Optimizer, training: Training, step: int, device: torch.device
) -> dict[str, float]:
    recipe = training.recipe
    rows = rows_of(training.seed, step, training.count, recipe.batch)
    batch = training.batch_of(rows).to(device)
    if recipe.mirror and np.random.default_rng([training.seed, step, 1]).random() < 0.5:
        batch = batch.mirrored()
    network.train()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed((training.seed << 32) + step)  # of dropout
        scores = network(batch.pixels)
    if tuple(scores.shape[2:]) != recipe.grid:
        raise VlxError(
            f"{recipe.network} gives {tuple(scores.shape[2:])} places: the recipe has {recipe.grid}"
        )
    losses = full_loss(scores, batch) if training.full else sec_losses(scores, batch, recipe)
    total: Any = sum(losses.values())
    if not torch.isfinite(total):
        raise NumericError(f"a loss is not finite at step {step + 1}: give a smaller rate of learning")
    optimiser.zero_grad()
    total.backward()
    optimiser.step()
    return {name: float(one.detach()) for name, one in losses.items()}


def _optimiser(network: Segmenter, recipe: Recipe) -> torch.optim.Optimizer:
    last = list(network.last.parameters())
    learned = [one for one in network.parameters() if one.requires_grad]
    rest = [one for one in learned if not any(one is mine for mine in last)]
    rates = (recipe.rate, recipe.rate * recipe.last_rate)
    groups = [
        {"params": some, "lr": rate, "first": rate} for some, rate in zip((rest, last), rates, strict=True)
    ]
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(groups, recipe.rate, momentum=0.9, weight_decay=recipe.decay)
    return torch.optim.AdamW(groups, recipe.rate, weight_decay=recipe.decay)


def _keep(network: Segmenter, optimiser: torch.optim.Optimizer, training: Training, done: int) -> None:
    buffer = io.BytesIO()
    held = {
        "settings": training.settings,
        "done": done,
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    torch.save(held, buffer)
    training.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    write_whole(training.checkpoint, buffer.getvalue())


def _restored(network: Segmenter, optimiser: torch.optim.Optimizer, training: Training) -> int:
    """The number of steps that were done, with the network and the optimiser as they were after them."""
    path = training.checkpoint
    if not path.is_file():
        return 0
    try:
        held: Any = torch.load(path, map_location=training.device, weights_only=True)
        settings, done = held["settings"], int(held["done"])
    except Exception as error:  # torch raises what it likes for a damaged file
        raise VlxError(
            f"{path} is no checkpoint that can be read: remove it ({type(error).__name__})"
        ) from None
    if settings != training.settings:
        raise VlxError(f"{path} is of other settings: give --out another folder")
    network.load_state_dict(held["network"])
    optimiser.load_state_dict(held["optimiser"])
    return done
