"""The third lesson: fc6 and fc7 on the fixed feature maps, from image-level labels.

They learn which glyphs are there, how many of each category, where across the image, in which
colour, and on which ground. The heads are thrown away.
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlx.adapters.nets.vgg import VggLike
from vlx.scenes.inventory import CATEGORIES, COLOURS, GROUNDS
from vlx.scenes.plan import MOST
from vlx.scenes.training.data import GLYPHS, Labels
from vlx.scenes.training.log import Log, Progress

Known = tuple[Tensor, Labels]
"""Pooled feature maps (scene, pooled), in half precision, and what is in the scenes."""


class _Heads(nn.Module):
    """What is asked of the fc7 vector while it learns."""

    def __init__(self, features: int) -> None:
        super().__init__()
        kinds = len(CATEGORIES)
        self.glyphs = nn.Linear(features, len(GLYPHS))
        self.counts = nn.Linear(features, kinds * (MOST + 1))
        self.cols = nn.Linear(features, kinds)
        self.colours = nn.Linear(features, kinds * len(COLOURS))
        self.grounds = nn.Linear(features, len(GROUNDS))

    def answers(self, vector: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of counts (scene, category, count) and colours (scene, category, colour), and columns."""
        counts = self.counts(vector).view(len(vector), len(CATEGORIES), -1)
        colours = self.colours(vector).view(len(vector), len(CATEGORIES), -1)
        return counts, colours, self.cols(vector).tanh()

    def forward(self, vector: Tensor, truth: Labels) -> Tensor:
        """The sum of all losses, averaged over the batch."""
        counts, colours, cols = self.answers(vector)
        known, coloured = ~truth.cols.isnan(), truth.colours >= 0
        here = F.binary_cross_entropy_with_logits(self.glyphs(vector), truth.glyphs, reduction="sum")
        many = F.cross_entropy(counts.flatten(0, 1), truth.counts.flatten(), reduction="sum")
        tinted = F.cross_entropy(colours[coloured], truth.colours[coloured], reduction="sum")
        off = F.l1_loss(cols[known], truth.cols[known], reduction="sum")
        ground = F.cross_entropy(self.grounds(vector), truth.grounds, reduction="sum")
        return (here + 2 * many + tinted + 4 * off + ground) / len(vector)


def train_fc(
    cnn: VggLike,
    world: Known,
    check: Known,
    device: torch.device,
    log: Log,
    *,
    epochs: int = 16,
    batch: int = 128,
    peak: float = 2e-3,
) -> None:
    """Train fc6 and fc7 of a CNN in place."""
    maps, truth = world
    layers = cnn.classifier.requires_grad_(True).train()
    fc7 = [layer for layer in layers if isinstance(layer, nn.Linear)][-1]
    heads = _Heads(fc7.out_features).to(device)
    parameters = [*layers.parameters(), *heads.parameters()]
    optimiser = torch.optim.AdamW(parameters, peak, weight_decay=0.02)
    steps = epochs * (len(maps) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak, total_steps=steps, pct_start=0.1)
    random = np.random.default_rng(0)
    progress = Progress("fc", steps, batch, log, every=500)
    for _ in range(epochs):
        order = torch.from_numpy(random.permutation(len(maps)))
        for rows in order[: len(order) // batch * batch].view(-1, batch):
            loss = heads(layers(maps[rows].to(device, torch.float32)), truth.of(rows, device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            progress(loss)
    layers.requires_grad_(False).eval()
    _tell(layers, heads, check, device, log)


@torch.no_grad()
def _tell(layers: nn.Module, heads: _Heads, check: Known, device: torch.device, log: Log) -> None:
    """Log how much of what is asked fc7 knows of scenes it has not learnt from."""
    maps, truth = check[0], check[1].of(torch.arange(len(check[0])), device)
    vector: Float[Tensor, "scene fc7"] = layers(maps.to(device, torch.float32))
    counts, colours, cols = heads.answers(vector)
    said, there = heads.glyphs(vector) > 0, truth.glyphs > 0
    right = float((said & there).sum())
    several, aside, coloured = truth.counts > 1, truth.cols.abs() > 0.2, truth.colours >= 0
    shares = {
        "glyph precision": right / max(1.0, float(said.sum())),
        "glyph recall": right / float(there.sum()),
        "several counted": float((counts.argmax(2) == truth.counts)[several].float().mean()),
        "left or right": float(((cols > 0) == (truth.cols > 0))[aside].float().mean()),
        "colour": float((colours.argmax(2) == truth.colours)[coloured].float().mean()),
    }
    log("new scenes: " + ", ".join(f"{name} {share:.3f}" for name, share in shares.items()))


@torch.no_grad()
def vectors(cnn: VggLike, maps: Tensor, device: torch.device) -> Float[Tensor, "scene fc7"]:
    """The fc7 vectors of pooled maps (scene, pooled), on the CPU."""
    parts = maps.split(1024)
    return torch.cat([cnn.classifier(part.to(device, torch.float32)).cpu() for part in parts])
