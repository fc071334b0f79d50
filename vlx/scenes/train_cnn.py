"""Teach the CNN and its fully connected layers what is in a scene, from image-level labels.

Training a captioner end to end stalls, so the CNN learns first: which glyphs are there (from the
pooled feature map and from fc7), how many of each category, where across the image, in which
colour, on which ground. The heads are thrown away; the CNN stays fixed from then on.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vlx.adapters.networks import VggLike, folded
from vlx.scenes.catalogue import CATEGORIES, COLOURS, GROUNDS
from vlx.scenes.plan import MOST, SIDE, Scene
from vlx.scenes.train_crops import train_windows
from vlx.scenes.train_data import GLYPHS, Labels, labels
from vlx.scenes.train_log import Log, Progress

PLAN = (24, "M", 40, "M", 80, 80, "M", 128, 128)
FC = (384, 384)


def small_vgg(*, norm: bool = False, dropout: float = 0.0) -> VggLike:
    """The CNN of the built-in models: 224 pixels to a 14 x 14 map of 128 channels, fc7 of 384."""
    return VggLike(PLAN, SIDE, FC, norm=norm, dropout=dropout)


def normalised(pixels: Tensor) -> Tensor:
    """Bytes (batch, height, width, 3) as network input (batch, 3, height, width), in -2 to 2."""
    return (pixels.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25


class _Heads(nn.Module):
    def __init__(self, channels: int, fc: int) -> None:
        super().__init__()
        kinds = len(CATEGORIES)
        self.map_glyphs = nn.Linear(2 * channels, len(GLYPHS))
        self.glyphs = nn.Linear(fc, len(GLYPHS))
        self.counts = nn.Linear(fc, kinds * (MOST + 1))
        self.cols = nn.Linear(fc, kinds)
        self.colours = nn.Linear(fc, kinds * len(COLOURS))
        self.grounds = nn.Linear(fc, len(GROUNDS))

    def forward(self, features: Tensor, vector: Tensor, truth: Labels) -> Tensor:
        """The summed loss of all heads."""
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)
        batch, kinds = truth.counts.shape
        known, coloured = ~truth.cols.isnan(), truth.colours >= 0
        weight = torch.tensor([0.5, *[3.0] * MOST], device=vector.device)
        counts = self.counts(vector).view(batch * kinds, -1)
        colours = self.colours(vector).view(batch, kinds, -1)[coloured]
        present, many, tinted = (
            F.binary_cross_entropy_with_logits,
            F.cross_entropy(counts, truth.counts.flatten(), weight=weight, reduction="sum"),
            F.cross_entropy(colours, truth.colours[coloured], reduction="sum"),
        )
        seen = present(self.map_glyphs(pooled), truth.glyphs, reduction="sum")
        told = present(self.glyphs(vector), truth.glyphs, reduction="sum")
        off = F.l1_loss(self.cols(vector).tanh()[known], truth.cols[known], reduction="sum")
        return (seen + told + many + tinted + 2 * off) / batch + F.cross_entropy(
            self.grounds(vector), truth.grounds
        )


def train_cnn(
    pixels: np.ndarray,
    scenes: Sequence[Scene],
    device: torch.device,
    log: Log,
    *,
    epochs: int = 4,
    batch: int = 64,
    peak: float = 2e-3,
) -> VggLike:
    """Train on bytes (scene, height, width, 3): windows first, then whole scenes; returns it folded.

    One-cycle learning rate; each batch is mirrored half the time (its columns with it) and shifted
    by up to 6 pixels.
    """
    cnn = small_vgg(norm=True, dropout=0.1).to(device, memory_format=torch.channels_last)
    train_windows(cnn, pixels, scenes, device, log)
    truth = labels(scenes)
    heads = _Heads(int(PLAN[-1]), FC[1]).to(device)
    parameters = [*cnn.parameters(), *heads.parameters()]
    optimiser = torch.optim.AdamW(parameters, peak, weight_decay=0.01)
    steps = epochs * (len(pixels) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak, total_steps=steps, pct_start=0.2)
    random = np.random.default_rng(0)
    progress = Progress("scenes", steps, batch, log)
    for _ in range(epochs):
        order = random.permutation(len(pixels))
        for rows in order[: len(order) // batch * batch].reshape(-1, batch):
            images, given = _augmented(pixels, truth, np.sort(rows), random, device)
            features = cnn.features(images)
            vector = cnn.classifier(cnn.pool(features).flatten(1))
            loss = heads(features, vector, given)
            optimiser.zero_grad()
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
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
    cols = truth.cols[torch.from_numpy(rows)].to(device)
    if random.random() < 0.5:
        images, cols = images.flip(2), -cols
    shift = tuple(int(by) for by in random.integers(-6, 7, 2))
    images = normalised(images.roll(shift, (1, 2))) * float(random.uniform(0.9, 1.1))
    index = torch.from_numpy(rows)
    return images.contiguous(memory_format=torch.channels_last), Labels(
        truth.glyphs[index].to(device),
        truth.counts[index].to(device),
        cols,
        truth.colours[index].to(device),
        truth.grounds[index].to(device),
    )


@torch.no_grad()
def vectors(cnn: VggLike, pixels: np.ndarray, device: torch.device, batch: int = 128) -> Tensor:
    """The fc7 vectors of bytes (scene, height, width, 3), on the CPU."""
    parts = [
        cnn(normalised(torch.from_numpy(pixels[at : at + batch]).to(device))).cpu()
        for at in range(0, len(pixels), batch)
    ]
    return torch.cat(parts)
