"""The networks of the built-in classifiers: a VGG with fully connected layers, and its sister with none.

Up to conv4_2 they are the convolutions of `vlx.scenes.cnn`, which the captioner and the VQA model have too.
"""

from collections import OrderedDict
from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from vlx.scenes.cnn import PLAN, small_vgg
from vlx.scenes.inventory import CATEGORIES

CONVOLUTIONS = ("conv1", "conv2", "conv3_1", "conv3_2", "conv4_1", "conv4_2")
"""Those of `PLAN`, which both networks begin with."""
SIDE = 14
"""Rows and columns of the last map of 224 pixels; half as many behind the last pool."""
CHANNELS, FC = 96, (192, 192)
AVERAGED = 160


class SceneClassifier(nn.Module):
    """A logit for each of the categories: convolutions, what flattens their maps, and linear layers."""

    def __init__(self, features: nn.Sequential, pool: nn.Module, classifier: nn.Sequential) -> None:
        super().__init__()
        self.features, self.pool, self.classifier = features, pool, classifier

    def forward(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch category"]:
        """The logits, each for a sigmoid of its own."""
        return self.of_features(self.features(pixels))

    def of_features(
        self, features: Float[Tensor, "batch channel row col"]
    ) -> Float[Tensor, "batch category"]:
        """What is above the convolutions and their pools."""
        return self.classifier(self.pool(features).flatten(1))


def vgg_classifier(*, dropout: float = 0.0) -> SceneClassifier:
    """A small VGG: convolutions in blocks with pools between them, then fc6, fc7 and fc8.

    Layers are named as those of the published VGG are: ``features.conv4_2``, ``features.pool5``,
    ``classifier.fc6``. Each place of the pooled map has weights of its own in fc6.
    """
    layers = _convolutions() | _conv("5", CHANNELS) | {"pool5": nn.MaxPool2d(2)}
    places = (SIDE // 2) ** 2
    classifier = {
        "fc6": nn.Linear(CHANNELS * places, FC[0]), "relu6": nn.ReLU(), "drop6": nn.Dropout(dropout),
        "fc7": nn.Linear(*FC), "relu7": nn.ReLU(), "drop7": nn.Dropout(dropout),
        "fc8": nn.Linear(FC[1], len(CATEGORIES)),
    }  # fmt: skip
    return SceneClassifier(_sequence(layers), nn.Identity(), _sequence(classifier))


def gap_classifier() -> SceneClassifier:
    """The same convolutions, then conv5, the mean of its maps over all places, and one linear layer.

    This is the form that class activation maps need (Zhou et al. 2015, arXiv 1512.04150).
    """
    layers = _convolutions() | _conv("5", AVERAGED)
    return SceneClassifier(
        _sequence(layers),
        nn.AdaptiveAvgPool2d(1),
        _sequence({"fc": nn.Linear(AVERAGED, len(CATEGORIES))}),
    )


def fixed(cnn: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the convolutions of `vlx.scenes.cnn`, under their names in the classifiers."""
    layers = [at for at, layer in enumerate(small_vgg().features) if isinstance(layer, nn.Conv2d)]
    return {
        f"features.{name}.{part}": cnn[f"features.{at}.{part}"]
        for name, at in zip(CONVOLUTIONS, layers, strict=True)
        for part in ("weight", "bias")
        if f"features.{at}.{part}" in cnn
    }


def own_state(network: SceneClassifier) -> dict[str, Tensor]:
    """The weights of a classifier but for those of the fixed convolutions."""
    shared = tuple(f"features.{name}." for name in CONVOLUTIONS)
    return {key: value for key, value in network.state_dict().items() if not key.startswith(shared)}


def _convolutions() -> dict[str, nn.Module]:
    """The layers of `PLAN`, by their names."""
    layers: dict[str, nn.Module] = {}
    names, channels, pools = iter(CONVOLUTIONS), 3, 0
    for step in PLAN:
        if isinstance(step, str):
            pools += 1
            layers[f"pool{pools}"] = nn.MaxPool2d(2)
            continue
        name = next(names)
        layers[name] = nn.Conv2d(channels, step, 3, 1 if layers else 2, 1)
        layers[name.replace("conv", "relu")] = nn.ReLU()
        channels = step
    return layers


def _conv(block: str, channels: int) -> dict[str, nn.Module]:
    below = PLAN[-1]
    assert isinstance(below, int)
    return {f"conv{block}": nn.Conv2d(below, channels, 3, padding=1), f"relu{block}": nn.ReLU()}


def _sequence(layers: Mapping[str, nn.Module]) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))
