"""Small adapters on random weights and random photos; double precision, seeded."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from vlx.adapters.nets.question import QuestionNetwork
from vlx.adapters.nets.recurrent import caption_network
from vlx.adapters.nets.vgg import VggLike
from vlx.adapters.parts.captioner import CNNLSTMCaptioner
from vlx.adapters.parts.deeper_lstm import DeeperLSTM
from vlx.adapters.parts.vocabulary import Vocabulary, neuraltalk2_tokens, treebank_tokens
from vlx.images.preprocess import Preprocess, Squash

SIDE = 32
SPOKEN = ("a", "dog", "cat", "on", "the", "grass", "red", "bike", "is", "what", "colour", "?")
ANSWERS = ("yes", "no", "red", "blue", "two")
PREPROCESS = Preprocess(Squash((SIDE, SIDE)), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))

NEURALTALK2 = Vocabulary(("END", *SPOKEN, "UNK"), 0, 0, len(SPOKEN) + 1, neuraltalk2_tokens)
"""One token is START and END."""
SHOW_AND_TELL = Vocabulary(("PAD", "<S>", "</S>", *SPOKEN), 1, 2, None, treebank_tokens)
"""START and END are two tokens, and there is none for unknown words."""
QUESTIONS = Vocabulary((*SPOKEN, "UNK"), 0, 0, len(SPOKEN), treebank_tokens)


def cnn() -> VggLike:
    """From 32 pixels to a map of 8 channels, 8 x 8, then a vector of 12."""
    return VggLike((6, "M", 8), (20, 12))


def photos(*sizes: tuple[int, int], seed: int = 0) -> tuple[Image.Image, ...]:
    """Random pictures of the given heights and widths, with blobs that survive resizing."""
    random = np.random.default_rng(seed)
    found: list[Image.Image] = []
    for height, width in sizes:
        coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), np.uint8))
        found.append(coarse.resize((width, height), Image.Resampling.BICUBIC))
    return tuple(found)


def spread(network: torch.nn.Module, factor: float = 2.0) -> torch.nn.Module:
    """The network in double precision, evaluation mode and with larger weights: scores far apart."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(factor)
    return network.double().eval()


def captioner(
    vocabulary: Vocabulary = NEURALTALK2,
    *,
    backbone: torch.nn.Module | None = None,
    features: int = 12,
    layer: str | int | None = None,
    preprocess: Preprocess = PREPROCESS,
    steps: int = 9,
    seed: int = 0,
) -> CNNLSTMCaptioner:
    """neuraltalk2's form for its vocabulary, Show and Tell's for the other.

    Like a trained model it never says its padding or a START that is not END.
    """
    torch.manual_seed(seed)
    network = caption_network(
        cnn() if backbone is None else backbone,
        features,
        len(vocabulary.names),
        embedding=9,
        hidden=11,
        rectified=vocabulary is NEURALTALK2,
        start=vocabulary.start,
    )
    spread(network)
    unsaid = range(vocabulary.end) if vocabulary.start != vocabulary.end else ()
    with torch.no_grad():
        network.vocabulary.bias[list(unsaid)] = -50.0
    return CNNLSTMCaptioner(network, vocabulary, preprocess, layer=layer, steps=steps, name="small")


def vqa(*, answers: Sequence[str] = ANSWERS, seed: int = 0, layer: str | int | None = None) -> DeeperLSTM:
    """Deeper LSTM Q + norm I at a small size."""
    torch.manual_seed(seed)
    network = QuestionNetwork(cnn(), 12, len(QUESTIONS.names), len(answers), embedding=7, hidden=6, joint=10)
    spread(network)
    return DeeperLSTM(network, QUESTIONS, answers, PREPROCESS, layer=layer, name="small")
