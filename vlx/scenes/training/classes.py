"""The last lesson: two classifiers on the fixed maps of the convolutions, from image-level labels alone.

A network whose places have weights of their own in fc6 learns each category anew at each place, which takes
many more scenes than there are. So weights that all places share are learned along with what each place adds
to them, and the latter decays: what the first have learned of one place holds everywhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from vlx.adapters.nets.vgg import VggLike
from vlx.scenes.classes import (
    CONVOLUTIONS,
    SIDE,
    SceneClassifier,
    gap_classifier,
    vgg_classifier,
)
from vlx.scenes.cnn import normalised
from vlx.scenes.training.log import Log, Progress

Maps = Float[np.ndarray, "_scene channel row col"]
"""Half precision, of the last of the fixed convolutions; may be mapped from a file."""
Seen = tuple[Maps, Float[Tensor, "_scene category"]]
"""The maps of some scenes, and 1 for each category that is there."""
KEPT = 14.0
"""What the mean over places is multiplied by while the linear layer learns: small objects move it little."""


class _PlacedLinear(nn.Module):
    """fc6 while it learns: weights of a channel that all places share, and what each place adds."""

    def __init__(self, channels: int, places: int, outputs: int) -> None:
        super().__init__()
        self.shared = nn.Linear(channels, outputs)
        self.own = nn.Parameter(torch.zeros(outputs, channels, places))

    def weight(self) -> Float[Tensor, "output flat"]:
        """The weights of a linear layer on the flattened map."""
        return (self.shared.weight[..., None] + self.own).flatten(1)

    def forward(self, flat: Float[Tensor, "scene flat"]) -> Float[Tensor, "scene output"]:
        """What fc6 gives."""
        return F.linear(flat, self.weight(), self.shared.bias)


class _Scaled(nn.Module):
    def forward(self, mean: Tensor) -> Tensor:
        """A multiple of the mean over places."""
        return mean * KEPT


@torch.no_grad()
def whole_maps(
    path: Path,
    cnn: VggLike,
    images: Iterable[UInt8[np.ndarray, "height width 3"]],
    count: int,
    device: torch.device,
    batch: int = 64,
) -> None:
    """Write the last maps of a CNN of so many images to the file ``path``; one beside it says it is done."""
    shape = (count, cnn.channels, SIDE, SIDE)
    kept = np.lib.format.open_memmap(path, "w+", np.float16, shape)
    waiting, at = iter(images), 0
    while chosen := list(islice(waiting, batch)):
        pixels = normalised(torch.from_numpy(np.stack(chosen)).to(device))
        kept[at : at + len(chosen)] = cnn.features(pixels).half().cpu().numpy()
        at += len(chosen)
    kept.flush()
    path.with_suffix(".done").touch()


def train_vgg_classifier(world: Seen, check: Seen, device: torch.device, log: Log) -> SceneClassifier:
    """The network with fully connected layers, all but its fixed convolutions trained."""
    network = vgg_classifier(dropout=0.2)
    fc6, classifier = network.classifier[0], network.classifier
    assert isinstance(fc6, nn.Linear)
    places = (SIDE // 2) ** 2
    placed = _PlacedLinear(fc6.in_features // places, places, fc6.out_features)
    head = nn.Sequential(above(network), nn.Flatten(), placed, *list(classifier)[1:]).to(device)
    own = {"params": [placed.own], "weight_decay": 0.3}
    rest = {"params": [one for one in head.parameters() if one is not placed.own], "weight_decay": 0.01}
    _learn("classifier", head, [own, rest], world, check, device, log, epochs=4)
    with torch.no_grad():
        fc6.weight.copy_(placed.weight())
        assert fc6.bias is not None
        fc6.bias.copy_(placed.shared.bias)
    return network.eval().requires_grad_(False)


def train_gap_classifier(world: Seen, check: Seen, device: torch.device, log: Log) -> SceneClassifier:
    """The network whose last maps are averaged, all but its fixed convolutions trained."""
    network = gap_classifier()
    linear = network.classifier[0]
    assert isinstance(linear, nn.Linear)
    head = nn.Sequential(above(network), network.pool, nn.Flatten(), _Scaled(), linear).to(device)
    groups = [{"params": list(head.parameters())}]
    _learn("classifier-gap", head, groups, world, check, device, log, epochs=2)
    with torch.no_grad():
        linear.weight.mul_(KEPT)
    return network.eval().requires_grad_(False)


def above(network: SceneClassifier) -> nn.Sequential:
    """The convolutions and pools that are a classifier's own."""
    layers = dict(network.features.named_children())
    first = list(layers).index(CONVOLUTIONS[-1]) + 2  # a ReLU stands behind the last
    return nn.Sequential(*list(layers.values())[first:])


def _learn(
    name: str,
    head: nn.Sequential,
    groups: Sequence[Mapping[str, object]],
    world: Seen,
    check: Seen,
    device: torch.device,
    log: Log,
    *,
    epochs: int,
    batch: int = 64,
    peak: float = 2e-3,
) -> None:
    """Train what is above the fixed maps; each category has a sigmoid of its own."""
    maps, there = world
    last = head[-1]
    assert isinstance(last, nn.Linear)
    nn.init.constant_(last.bias, -3.5)  # about one category in thirty is there
    optimiser = torch.optim.AdamW([dict(one) for one in groups], peak, weight_decay=0.01)
    steps = epochs * (len(maps) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak, total_steps=steps, pct_start=0.15)
    random = np.random.default_rng(0)
    progress = Progress(name, steps, batch, log, every=250)
    for _ in range(epochs):
        order = random.permutation(len(maps))
        for rows in order[: len(order) // batch * batch].reshape(-1, batch):
            chosen = np.sort(rows)  # in the order of the file
            seen = torch.from_numpy(maps[chosen]).to(device, torch.float32)
            wanted = there[torch.from_numpy(chosen)].to(device)
            loss = F.binary_cross_entropy_with_logits(head(seen), wanted, reduction="sum") / batch
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            progress(loss)
    head.eval()
    _tell(name, head, check, device, log)


@torch.no_grad()
def _tell(name: str, head: nn.Module, check: Seen, device: torch.device, log: Log) -> None:
    """Log what is told of scenes that were not learned from."""
    maps, there = check
    # Copies: torch warns of arrays that cannot be written, as those mapped from a file.
    parts = [torch.from_numpy(np.array(maps[at : at + 100])) for at in range(0, len(maps), 100)]
    said = torch.cat([head(part.to(device, torch.float32)).cpu() for part in parts])
    right = float(((said > 0) & (there > 0)).sum())
    shares = {
        "precision": right / max(1.0, float((said > 0).sum())),
        "recall": right / float(there.sum()),
        "likeliest is there": float(there.gather(1, said.argmax(1, keepdim=True)).mean()),
    }
    log(f"{name}, new scenes: " + ", ".join(f"{key} {share:.3f}" for key, share in shares.items()))
