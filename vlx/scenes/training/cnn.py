"""Teach the convolutions what is in a scene, from image-level labels.

Training a captioner end to end stalls, so the CNN learns first. Heads on the globally pooled feature
map ask which glyphs are there, how many of each category, in which colour, and on which ground; they
are thrown away. Only then do the fully connected layers learn, on maps that stay fixed.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from vlx.adapters.nets.vgg import VggLike, folded
from vlx.scenes.cnn import normalised, small_vgg
from vlx.scenes.inventory import CATEGORIES, COLOURS, GROUNDS
from vlx.scenes.plan import MOST, Scene
from vlx.scenes.training.crops import train_windows
from vlx.scenes.training.data import GLYPHS, Labels, labels
from vlx.scenes.training.log import Log, Progress


class _Heads(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        kinds = len(CATEGORIES)
        self.glyphs = nn.Linear(2 * channels, len(GLYPHS))
        self.counts = nn.Linear(2 * channels, kinds * (MOST + 1))
        self.colours = nn.Linear(2 * channels, kinds * len(COLOURS))
        self.grounds = nn.Linear(2 * channels, len(GROUNDS))

    def forward(self, features: Tensor, truth: Labels) -> Tensor:
        """The sum of all losses, averaged over the batch."""
        pooled = torch.cat([features.sum((2, 3)) / features.shape[3], features.amax((2, 3))], 1)
        batch, kinds = truth.counts.shape
        coloured = truth.colours >= 0
        counts = self.counts(pooled).view(batch * kinds, -1)
        colours = self.colours(pooled).view(batch, kinds, -1)[coloured]
        here = F.binary_cross_entropy_with_logits(self.glyphs(pooled), truth.glyphs, reduction="sum")
        many = F.cross_entropy(counts, truth.counts.flatten(), reduction="sum")
        tinted = F.cross_entropy(colours, truth.colours[coloured], reduction="sum")
        return (here + many + tinted) / batch + F.cross_entropy(self.grounds(pooled), truth.grounds)


def train_cnn(
    pixels: np.ndarray,
    scenes: Sequence[Scene],
    device: torch.device,
    log: Log,
    *,
    epochs: int = 3,
    batch: int = 64,
    peak: float = 2e-3,
) -> VggLike:
    """Train on bytes (scene, height, width, 3): windows first, then whole scenes; returns it folded.

    One-cycle learning rate; each batch is mirrored half the time and shifted
    by up to 6 pixels. The fully connected layers are as they were drawn.
    """
    cnn = small_vgg(norm=True).to(device)
    cnn.features.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    train_windows(cnn, pixels, scenes, device, log)
    truth = labels(scenes)
    heads = _Heads(cnn.channels).to(device)
    parameters = [*cnn.features.parameters(), *heads.parameters()]
    optimiser = torch.optim.AdamW(parameters, peak, weight_decay=0.01)
    steps = epochs * (len(pixels) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak, total_steps=steps, pct_start=0.2)
    random = np.random.default_rng(0)
    progress = Progress("scenes", steps, batch, log)
    for _ in range(epochs):
        order = random.permutation(len(pixels))
        for rows in order[: len(order) // batch * batch].reshape(-1, batch):
            images, given = _augmented(pixels, truth, np.sort(rows), random, device)
            loss = heads(cnn.features(images), given)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 5.0)
            optimiser.step()
            schedule.step()
            progress(loss)
    return _plain(cnn).to(device)


def _plain(cnn: VggLike) -> VggLike:
    """The trained CNN without batch normalisation and dropout, frozen."""
    plain = small_vgg()
    plain.features = nn.Sequential(*folded(cnn.features.eval()))
    plain.classifier.load_state_dict(cnn.classifier.state_dict())
    return plain.eval().requires_grad_(False)


def _augmented(
    pixels: np.ndarray, truth: Labels, rows: np.ndarray, random: np.random.Generator, device: torch.device
) -> tuple[Tensor, Labels]:
    images = torch.from_numpy(pixels[rows]).to(device)
    if random.random() < 0.5:
        images = images.flip(2)
    shift = tuple(int(by) for by in random.integers(-6, 7, 2))
    images = normalised(images.roll(shift, (1, 2))) * float(random.uniform(0.9, 1.1))
    return images.contiguous(memory_format=torch.channels_last), truth.of(torch.from_numpy(rows), device)


@torch.no_grad()
def pooled_maps(
    cnn: VggLike, images: Iterable[UInt8[np.ndarray, "height width 3"]], device: torch.device, batch: int = 64
) -> Float[Tensor, "scene feature"]:
    """What fc6 reads of each image, in half precision, on the CPU."""
    parts: list[Tensor] = []
    waiting = iter(images)
    while chosen := list(islice(waiting, batch)):
        pixels = normalised(torch.from_numpy(np.stack(chosen)).to(device))
        parts.append(cnn.pool(cnn.features(pixels)).half().cpu())
    return torch.cat(parts)
