"""A small network for the two classes, and what it learns of a split.

Up to conv4_2 it has the fixed convolutions of the built-in models; what it learns are a 1 x 1 convolution and
a linear layer on the mean of its maps. No pixel is mixed with another above the fixed maps, and the log-odds
of the classes are the sum over all places of what each place says (as in class activation maps, Zhou et al.
2015, arXiv 1512.04150): a map at the last layer tells all that the learnt part looks at. A place of the fixed
maps itself sees 121 of the 224 pixels of a scene, most of it those in the middle.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from vlx.adapters.files.weights import load_weights
from vlx.adapters.parts.classifier import Classifier
from vlx.methods.cam import gradient_times_activation
from vlx.methods.method import Method
from vlx.network import explain_model
from vlx.scenes.classes import CONVOLUTIONS, SceneClassifier, fixed, gap_classifier
from vlx.scenes.cnn import normalised
from vlx.scenes.models import ASSETS, PREPROCESS

CHANNELS = 48
LAYER = "features.relu5"
"""Where maps are made: the last one before the mean."""
_SPREAD = 14.0  # the mean is multiplied by it while the linear layer learns: small objects move it little
_BATCH = 50
_SIGNED = Method("signed_hires_cam", gradient_times_activation)

Features = Float[Tensor, "scene channel row col"]
"""What the fixed convolutions make of scenes."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained."""

    epochs: int = 10
    peak: float = 3e-3
    decay: float = 0.05


def fixed_part(device: str = "cpu") -> nn.Sequential:
    """The convolutions that all networks share, up to the ReLU of conv4_2."""
    layers = dict(_layers())
    upto = list(layers).index(CONVOLUTIONS[-1].replace("conv", "relu")) + 1
    below = nn.Sequential(OrderedDict(list(layers.items())[:upto]))
    weights = fixed(load_weights(ASSETS / "cnn.safetensors"))
    below.load_state_dict({key.removeprefix("features."): value for key, value in weights.items()})
    return below.eval().requires_grad_(False).to(device)


def _layers() -> list[tuple[str, nn.Module]]:
    """Those of the built-in classifier; random numbers stay as they were."""
    with torch.random.fork_rng(devices=[]):
        return list(gap_classifier().features.named_children())


class Head(nn.Module):
    """What is learnt: a 1 x 1 convolution, the mean of its maps over all places, and a linear layer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            OrderedDict[str, nn.Module](conv5=nn.Conv2d(channels, CHANNELS, 1), relu5=nn.ReLU())
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(OrderedDict(fc=nn.Linear(CHANNELS, 2)))

    def forward(self, maps: Features) -> Float[Tensor, "scene 2"]:
        """The scores of the two classes, of the maps of the fixed part."""
        return self.classifier(self.pool(self.features(maps)).flatten(1))


def new_head(seed: int) -> Head:
    """What is learnt, as it begins: it takes the maps of the fixed part."""
    channels = [layer for _, layer in _layers() if isinstance(layer, nn.Conv2d)][-1].in_channels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Head(channels).eval()


def whole(head: Head, below: nn.Sequential) -> SceneClassifier:
    """The network of images: the fixed part with what was learnt."""
    layers = OrderedDict([*below.named_children(), *head.features.named_children()])
    return SceneClassifier(nn.Sequential(layers), head.pool, head.classifier).eval()


def classifier_of(head: Head, below: nn.Sequential, labels: Sequence[str], name: str) -> Classifier:
    """The same as a model of vlx."""
    return Classifier(whole(head, below), labels, PREPROCESS, layer=LAYER, name=name)


@torch.no_grad()
def seen(below: nn.Sequential, pixels: Sequence[UInt8[np.ndarray, "height width 3"]]) -> Features:
    """The maps of the fixed part, on its device."""
    device = next(below.parameters()).device
    parts = [
        below(normalised(torch.from_numpy(np.stack(pixels[at : at + 32])).to(device)))
        for at in range(0, len(pixels), 32)
    ]
    return torch.cat(parts)


def learned(
    features: Features,
    labels: Int[np.ndarray, " scene"],
    weights: Float[np.ndarray, " scene"] | None,
    seed: int,
    recipe: Recipe,
) -> Head:
    """A head trained on some scenes, each with its weight in the loss; half of all batches are mirrored.

    The seed decides its first weights and the order of scenes.
    """
    head = new_head(seed).to(features.device).train()
    conv, linear = head.features, head.classifier[0]
    assert isinstance(linear, nn.Linear)
    truth = torch.from_numpy(labels).to(features.device, torch.long)
    share = np.ones(len(labels)) if weights is None else weights
    counted = torch.from_numpy(share / share.mean()).to(features)
    batch = min(_BATCH, len(labels))
    steps = recipe.epochs * (len(labels) // batch)
    optimiser = torch.optim.AdamW(head.parameters(), recipe.peak, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.peak, total_steps=max(steps, 2), pct_start=0.2
    )
    random = np.random.default_rng(seed)
    for _ in range(recipe.epochs):
        order = random.permutation(len(labels))
        for rows in order[: len(order) // batch * batch].reshape(-1, batch):
            maps = features[rows].flip(3) if random.random() < 0.5 else features[rows]
            scores = linear(conv(maps).mean((2, 3)) * _SPREAD)
            loss = (F.cross_entropy(scores, truth[rows], reduction="none") * counted[rows]).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    with torch.no_grad():
        linear.weight.mul_(_SPREAD)
    return head.eval().requires_grad_(False)


@torch.no_grad()
def log_odds(head: Head, features: Features) -> Float[np.ndarray, " scene"]:
    """The log-odds of the second class against the first, in nats."""
    scores = head(features).double()
    return (scores[:, 1] - scores[:, 0]).cpu().numpy()


def evidence(head: Head, features: Features) -> Float[np.ndarray, "scene row col"]:
    """What each place says for the second class against the first, with its sign.

    Places add up to the log-odds less those of a scene whose last maps are 0, that is less a number that all
    scenes share: HiResCAM (Draelos and Carin 2020, arXiv 2011.08891) without its ReLU.
    """
    maps = explain_model(head, features, _second, LAYER, method=_SIGNED)
    return maps.double().cpu().numpy()


def _second(scores: Float[Tensor, "scene 2"]) -> Float[Tensor, " scene"]:
    return scores[:, 1] - scores[:, 0]


def activation(head: Head, features: Features) -> Float[np.ndarray, "scene row col"]:
    """The mean over channels of the last maps, which knows no class."""
    with torch.no_grad():
        return head.features(features).mean(1).double().cpu().numpy()
