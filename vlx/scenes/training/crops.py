"""The first lesson: name the one object in the middle of a small window, and its colour.

A CNN that starts on whole scenes spends most of its training on a plateau, since every label is rare
and every object small. Windows of 80 pixels cost an eighth and are learnt in minutes; the
convolutions then go on to whole scenes.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vlx.adapters.nets.vgg import VggLike
from vlx.scenes.cnn import normalised
from vlx.scenes.inventory import COLOURS
from vlx.scenes.plan import SIDE, Item, Scene
from vlx.scenes.training.data import GLYPHS, colour_index, glyph_index
from vlx.scenes.training.log import Log, Progress

WINDOW = 80  # pixels
DRIFT = 10  # how far the object's centre may lie from the window's, in pixels


def train_windows(
    cnn: VggLike,
    pixels: np.ndarray,
    scenes: Sequence[Scene],
    device: torch.device,
    log: Log,
    *,
    epochs: int = 2,
    batch: int = 128,
    peak: float = 4e-3,
) -> None:
    """Train the convolutions of a CNN in place, on windows of bytes (scene, height, width, 3)."""
    items = [(at, item) for at, scene in enumerate(scenes) for item in scene.items]
    channels = 2 * cnn.channels
    glyphs, colours = (
        nn.Linear(channels, len(GLYPHS)).to(device),
        nn.Linear(channels, len(COLOURS)).to(device),
    )
    parameters = [*cnn.features.parameters(), *glyphs.parameters(), *colours.parameters()]
    optimiser = torch.optim.AdamW(parameters, peak, weight_decay=0.01)
    steps = epochs * (len(items) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak, total_steps=steps, pct_start=0.2)
    random = np.random.default_rng(0)
    progress = Progress("windows", steps, batch, log)
    for _ in range(epochs):
        order = random.permutation(len(items))
        for rows in order[: len(order) // batch * batch].reshape(-1, batch):
            chosen = [items[row] for row in rows]
            images = windows(pixels, chosen, random).to(device)
            features = cnn.features(images.contiguous(memory_format=torch.channels_last))
            pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)
            named = torch.tensor([glyph_index(item) for _, item in chosen], device=device)
            tinted = torch.tensor([colour_index(item) for _, item in chosen], device=device)
            scores = glyphs(pooled)
            loss = F.cross_entropy(scores, named)
            loss = loss + F.cross_entropy(colours(pooled), tinted, ignore_index=-1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            progress(loss, accuracy=float((scores.argmax(1) == named).float().mean()))


def windows(pixels: np.ndarray, chosen: Sequence[tuple[int, Item]], random: np.random.Generator) -> Tensor:
    """Network input around each (scene, object); all of a batch mirrored, or none."""
    out = np.empty((len(chosen), WINDOW, WINDOW, 3), np.uint8)
    for row, (at, item) in enumerate(chosen):
        top, left = (
            int(np.clip(centre - WINDOW / 2 + random.integers(-DRIFT, DRIFT + 1), 0, SIDE - WINDOW))
            for centre in (item.row, item.col)
        )
        out[row] = pixels[at, top : top + WINDOW, left : left + WINDOW]
    images = torch.from_numpy(out)
    if random.random() < 0.5:
        images = images.flip(2)
    return normalised(images)
