"""Small models on fixed random weights, under the names of the built-in ones, also in other processes."""

import sys
from collections.abc import Callable
from typing import Any

import torch

from vlx.adapters.nets.question import QuestionNetwork
from vlx.adapters.nets.recurrent import caption_network
from vlx.adapters.nets.vgg import VggLike
from vlx.adapters.parts.captioner import CNNLSTMCaptioner
from vlx.adapters.parts.classifier import Classifier
from vlx.adapters.parts.deeper_lstm import DeeperLSTM
from vlx.adapters.parts.vocabulary import Vocabulary, treebank_tokens
from vlx.images.preprocess import Preprocess, Squash
from vlx.scenes.texts import caption_vocabulary

SIDE = 56
LAYER = "features.4"
PREPROCESS = Preprocess(Squash((SIDE, SIDE)))
ASKED = ("is", "there", "a", "what", "colour", "the", "how", "many", "are", "dog", "cat", "car", "?", "UNK")
ANSWERS = ("yes", "no", "red", "blue", "1", "2")


def cnn() -> VggLike:
    return VggLike([6, "M", 8], (12, 10))


def captioner() -> CNNLSTMCaptioner:
    torch.manual_seed(0)
    words = caption_vocabulary()
    network = caption_network(cnn(), 10, len(words.names), embedding=9, hidden=8).eval()
    return CNNLSTMCaptioner(network, words, PREPROCESS, layer=LAYER, steps=4, name="scenes/captioner")


def vqa() -> DeeperLSTM:
    torch.manual_seed(1)
    words = Vocabulary(ASKED, 0, 0, unknown=len(ASKED) - 1, tokenise=treebank_tokens)
    network = QuestionNetwork(cnn(), 10, len(ASKED), len(ANSWERS), embedding=5, hidden=6, joint=7).eval()
    return DeeperLSTM(network, words, ANSWERS, PREPROCESS, layer=LAYER, name="scenes/vqa")


def classifier() -> Classifier:
    torch.manual_seed(2)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3, 2, 1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        torch.nn.Linear(6, 3),
    ).eval()  # fmt: skip
    return Classifier(network, ("dog", "cat", "car"), PREPROCESS, layer="1", name="small/classifier")


def three_classes() -> Classifier:
    """Two convolutions, so that there is a lower layer, and the three classes of `classifier`."""
    torch.manual_seed(3)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(6, 6, 3, 2, 1), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(6, 3),
    ).eval()  # fmt: skip
    return Classifier(network, ("dog", "cat", "car"), PREPROCESS, layer="3", name="small/classifier")


MODELS: dict[str, Callable[[], Any]] = {
    "scenes/captioner": captioner,
    "scenes/vqa": vqa,
    "scenes/classifier": classifier,
    "small/classifier": classifier,
}


def load(name: str, **_settings: object) -> Any:
    return MODELS[name]()


def main() -> None:
    """The command line with these models: ``python -m tests.eval.small evaluate boxes ...``."""
    sys.modules["vlx.load"].load = load  # type: ignore[attr-defined]
    from vlx.cli.app import main as command

    command()


if __name__ == "__main__":
    main()
