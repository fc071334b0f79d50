"""im2txt's published captioners: Inception v3 and an LSTM, Show and Tell (Vinyals et al. 2015).

A checkpoint of TensorFlow and the file ``word_counts.txt`` make it. Images are squashed to 346 pixels by
TensorFlow 1's bilinear resizing and cropped to 299, RGB, -1 to 1. Captions are lower-cased Treebank
tokens, a final "." among them. The image sets the LSTM's first state; what follows ``<S>`` is the first
word, ``</S>`` ends. Captions come from a beam of 3, at most 19 words and ``</S>`` together. Explained by
default is ``Mixed_7c``, the last map before the pooling.
"""

import ast
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from vlx.adapters.files.source import check_there
from vlx.adapters.files.tensorflow.checkpoint import read_checkpoint
from vlx.adapters.files.weights import fit_around_cnn, ready
from vlx.adapters.nets.inception import slim_inception, variable
from vlx.adapters.nets.recurrent import caption_network
from vlx.adapters.parts.captioner import CNNLSTMCaptioner
from vlx.adapters.parts.checkpoint import Checkpoint, Contents, File, Need
from vlx.adapters.parts.gates import TENSORFLOW, in_order
from vlx.adapters.parts.resampling import tensorflow1
from vlx.adapters.parts.search import im2txt_beam
from vlx.adapters.parts.vocabulary import Vocabulary, treebank_tokens
from vlx.errors import CheckpointError
from vlx.images.preprocess import Preprocess, Squash
from vlx.passes.site import Layer

START, END, UNKNOWN = "<S>", "</S>", "<UNK>"

WORDS = File("word_counts.txt", ("word_counts*.txt",), "its words")
FILES = (File("model.ckpt-….index", ("model.ckpt*.index",), "its variables, in files beside it"), WORDS)

PREPROCESS = Preprocess(
    Squash((346, 346)),
    (299, 299),
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    resample=tensorflow1,
    corner=(23, 23),
)

_LSTM = (
    ("lstm/basic_lstm_cell/kernel", "lstm/basic_lstm_cell/bias"),
    ("lstm/basic_lstm_cell/weights", "lstm/basic_lstm_cell/biases"),
    ("lstm/BasicLSTMCell/Linear/Matrix", "lstm/BasicLSTMCell/Linear/Bias"),
)
"""The names of the LSTM's matrix and bias, of three versions of TensorFlow."""


def load_im2txt(
    checkpoint: str | Path,
    word_counts: str | Path,
    *,
    layer: Layer | None = None,
    device: str = "cpu",
) -> CNNLSTMCaptioner:
    """Load im2txt from the prefix of a checkpoint, ``model.ckpt-2000000``, and its ``word_counts.txt``.

    Raises CheckpointError for files that are damaged, of another model, or do not belong together.
    """
    words = _words(word_counts)
    held = read_checkpoint(checkpoint)
    language = _language(held, str(checkpoint))
    count, embedding = language["word_embedding.weight"].shape
    if len(words) > count:
        told = f"{word_counts} has {len(words)} words, the checkpoint {count}"
        raise CheckpointError(f"{told}: are they of one model?")
    vocabulary = _vocabulary(words, count)
    cnn, features = slim_inception(held, str(checkpoint))
    with torch.device("meta"):
        network = caption_network(
            cnn, features, count, embedding=embedding, hidden=language["vocabulary.weight"].shape[1],
            rectified=False, start=vocabulary.start,
        )  # fmt: skip
    fit_around_cnn(network, language, str(checkpoint))
    return CNNLSTMCaptioner(
        ready(network, device),
        vocabulary,
        PREPROCESS,
        layer="Mixed_7c" if layer is None else layer,
        steps=19,
        beam=3,
        search=im2txt_beam,
        name=f"im2txt/{Path(checkpoint).name}",
    )


def open_im2txt(prefix: str, *, layer: Layer | None = None, device: str = "cpu") -> CNNLSTMCaptioner:
    """Load the checkpoint of a prefix with the ``word_counts.txt`` beside it; see `load_im2txt`."""
    return load_im2txt(prefix, WORDS.find(Path(prefix).parent), layer=layer, device=device)


def detect(held: Contents) -> Checkpoint | None:
    """Variables of the language model."""
    words, output = held.matrix("seq_embedding/map"), held.matrix("logits/weights")
    if words is None or output is None or "image_embedding/weights" not in held.tensors:
        return None
    return Checkpoint("im2txt", words[0], {"embedding": words[1], "hidden": output[0]}, (Need(WORDS),))


def im2txt_tokens(text: str) -> list[str]:
    """Treebank tokens in lower case; ``<UNK>``, which im2txt writes too, stays whole."""
    pieces = re.split(f"({UNKNOWN})", text)
    return [token for piece in pieces for token in ([piece] if piece == UNKNOWN else treebank_tokens(piece))]


def _language(held: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """The weights of the language model by the names of `CaptionNetwork`."""

    def of(name: str, dimensions: int) -> Tensor:
        return variable(held, name, dimensions, f"{source} is no im2txt").float()

    matrix, bias = next((names for names in _LSTM if names[0] in held), _LSTM[0])
    gates, added, image = of(matrix, 2), of(bias, 1), of("image_embedding/weights", 2)
    embedding = image.shape[1]
    forget = torch.zeros_like(added)
    forget.tensor_split(4)[1].fill_(1.0)  # PyTorch's second gate: TensorFlow adds 1 to it when it runs
    return {
        "image_embedding.0.weight": image.T.contiguous(),
        "image_embedding.0.bias": torch.zeros(embedding),  # it has none
        "word_embedding.weight": of("seq_embedding/map", 2),
        "lstm.weight_ih_l0": in_order(gates[:embedding].T, TENSORFLOW),
        "lstm.weight_hh_l0": in_order(gates[embedding:].T, TENSORFLOW),
        "lstm.bias_ih_l0": in_order(added, TENSORFLOW),
        "lstm.bias_hh_l0": forget,
        "vocabulary.weight": of("logits/weights", 2).T.contiguous(),
        "vocabulary.bias": of("logits/biases", 1),
    }


def _words(path: str | Path) -> list[str]:
    """The words of ``word_counts.txt``, one a line before its count."""
    try:
        lines = check_there(path, "file of words").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is no word_counts.txt: {error}") from None
    empty = next((at for at, line in enumerate(lines, 1) if not line.strip()), None)
    if empty is not None:
        raise CheckpointError(f"{path} is truncated or no word_counts.txt: its line {empty} is empty")
    words = [line.split()[0] for line in lines]
    if repr(START.encode()) in words:  # written by Python 3, which gave bytes their quotes
        words = [_unquoted(word) for word in words]
    for special in (START, END):
        if special not in words:
            raise CheckpointError(f"{path} is truncated or no word_counts.txt: it has no {special}")
    return words


def _vocabulary(words: list[str], size: int) -> Vocabulary:
    """Words have the numbers of their lines, from 0; whatever the model has beyond them is ``<UNK>``."""
    names = [*words, *[UNKNOWN] * (size - len(words))]
    return Vocabulary(
        names,
        start=words.index(START),
        end=words.index(END),
        unknown=names.index(UNKNOWN) if UNKNOWN in names else None,
        tokenise=im2txt_tokens,
    )


def _unquoted(word: str) -> str:
    if not re.fullmatch(r"""b('[^']+'|"[^"]+")""", word):
        return word
    return ast.literal_eval(word).decode("utf-8", "replace")
