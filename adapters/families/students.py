"""Captioners from yunjey's PyTorch tutorial and from Udacity's computer-vision course, and variants.

A ResNet's averaged features go through a linear layer (and, with yunjey, batch normalisation) and are
the first input of an LSTM; ``<start>`` is the second. Its output after the image says ``<start>``,
the one after ``<start>`` says the first word. Everyone names the layers of the decoder differently,
so they are found by role and shape (`vlx.adapters.parts.roles`).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from torch import nn

from vlx.adapters.files.pickle.reader import Standin, read_pickle
from vlx.adapters.files.states import read_state
from vlx.adapters.files.weights import ready
from vlx.adapters.nets.recurrent import RecurrentNetwork
from vlx.adapters.parts.captioner import CNNLSTMCaptioner
from vlx.adapters.parts.roles import decoder_of, encoder_of
from vlx.adapters.parts.vocabulary import Vocabulary, keeping, treebank_tokens
from vlx.errors import CheckpointError
from vlx.images.preprocess import Preprocess, ShortSide, Squash
from vlx.passes.prepare import prepared
from vlx.passes.site import Layer

YUNJEY = Preprocess(Squash((224, 224)), resample=Image.Resampling.LANCZOS)
"""What yunjey's ``sample.py`` does to an image."""
UDACITY = Preprocess(ShortSide(256), (224, 224))
"""What the course's notebooks do: shorter side to 256, then 224 pixels (here from the centre)."""

LAYER = "layer4"
"""The default layer: the ResNet's last feature map, 7 x 7 at 224 pixels."""

STEPS = 19
"""Words at most: both decode 20 tokens, of which the first is ``<start>``."""

_SUFFIXES = (".pkl", ".ckpt", ".pth", ".pt")


@dataclass(frozen=True)
class StudentFiles:
    """The three files of a trained captioner."""

    encoder: Path
    decoder: Path
    vocabulary: Path


def find_student_files(folder: str | Path) -> StudentFiles:
    """Find ``encoder….pkl``, ``decoder….pkl`` (or .ckpt, .pth, .pt) and ``vocab.pkl`` in or below a folder.

    Of several epochs the last that both have, by the numbers in their names (``-5-3000``). Raises
    CheckpointError telling what is missing.
    """
    if not Path(folder).is_dir():
        raise CheckpointError(f"no folder {folder}: it should hold encoder….pkl, decoder….pkl and vocab.pkl")
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    encoders, decoders = _by_tail(files, "encoder"), _by_tail(files, "decoder")
    both = sorted(encoders.keys() & decoders.keys(), key=lambda tail: (_numbers(tail), tail))
    vocabularies = sorted(path for path in files if path.suffix == ".pkl" and "vocab" in path.name.lower())
    lacking = [
        what
        for what, found in (("encoder….pkl and decoder….pkl of one epoch", both), ("vocab.pkl", vocabularies))
        if not found
    ]
    if lacking:
        raise CheckpointError(f"{folder} holds no {' and no '.join(lacking)}")
    return StudentFiles(encoders[both[-1]], decoders[both[-1]], vocabularies[0])


def load_yunjey(
    encoder: str | Path,
    decoder: str | Path,
    vocabulary: str | Path,
    *,
    between: Callable[[], nn.Module] | None = None,
    feeds_start: bool | None = None,
    layer: Layer | None = None,
    device: str = "cpu",
) -> CNNLSTMCaptioner:
    """Load a captioner of yunjey's tutorial; see `load_udacity`.

    Images are squashed to 224 x 224 pixels (Lanczos).
    """
    files = StudentFiles(Path(encoder), Path(decoder), Path(vocabulary))
    return _load(files, YUNJEY, "yunjey", between, feeds_start, layer, device)


def load_udacity(
    encoder: str | Path,
    decoder: str | Path,
    vocabulary: str | Path,
    *,
    between: Callable[[], nn.Module] | None = None,
    feeds_start: bool | None = None,
    layer: Layer | None = None,
    device: str = "cpu",
) -> CNNLSTMCaptioner:
    """Load a student's captioner: encoder and decoder weights, and the pickled vocabulary.

    Captions are read as Treebank tokens in lower case; a final full stop is a word. ``feeds_start``
    says whether the LSTM is fed ``<start>`` after the image; by default the decoder itself is asked,
    since one trained so says ``<start>`` after any image. ``between`` makes what stands between
    several output layers. By default `LAYER` is explained. Nothing in the files is run. Raises
    CheckpointError for files that are damaged, of another kind, or not of one training.
    """
    files = StudentFiles(Path(encoder), Path(decoder), Path(vocabulary))
    return _load(files, UDACITY, "udacity", between, feeds_start, layer, device)


def student_vocabulary(path: str | Path) -> Vocabulary:
    """Read the vocabulary that both courses pickle, without running it.

    ``<start>`` is only an input, ``<end>`` only an output; unknown words are ``<unk>``.
    """
    found = read_pickle(path)
    facts: Any = found.state if isinstance(found, Standin) else found
    numbers: Any = facts.get("word2idx") if isinstance(facts, Mapping) else None
    if not isinstance(numbers, Mapping) or not numbers:
        raise CheckpointError(f"{path} holds no vocabulary: an object with word2idx was expected")
    ids = cast(Mapping[Any, Any], numbers)
    plain = all(isinstance(word, str) and isinstance(index, int) for word, index in ids.items())
    if not plain or set(ids.values()) != set(range(len(ids))):
        raise CheckpointError(f"{path} does not number its {len(ids)} words from 0 to {len(ids) - 1}")
    told = cast(Mapping[str, Any], facts)
    start, end, unknown = (
        ids.get(str(told.get(f"{key}_word", f"<{key}>"))) for key in ("start", "end", "unk")
    )
    if start is None or end is None:
        raise CheckpointError(f"{path} has no <start> or no <end> among its {len(ids)} words")
    names = tuple(sorted(ids, key=lambda word: ids[word]))
    special = frozenset(name for name in names if re.fullmatch(r"<\w+>", name))
    return Vocabulary(names, start, end, unknown, keeping(special, treebank_tokens))


def _load(
    files: StudentFiles,
    preprocess: Preprocess,
    family: str,
    between: Callable[[], nn.Module] | None,
    feeds_start: bool | None,
    layer: Layer | None,
    device: str,
) -> CNNLSTMCaptioner:
    vocabulary = student_vocabulary(files.vocabulary)
    encoder = encoder_of(read_state(files.encoder), str(files.encoder))
    decoder = decoder_of(read_state(files.decoder), str(files.decoder), between)
    if encoder.size != decoder.lstm.input_size:
        raise CheckpointError(
            f"{files.encoder} embeds images in {encoder.size} numbers, but the LSTM of {files.decoder} reads "
            f"{decoder.lstm.input_size}: they are not of one training"
        )
    if len(vocabulary.names) != decoder.word_embedding.num_embeddings:
        raise CheckpointError(
            f"{files.vocabulary} has {len(vocabulary.names)} words, but {files.decoder} "
            f"{decoder.word_embedding.num_embeddings}: they are not of one training"
        )
    network = RecurrentNetwork(
        encoder.cnn, encoder.embedding, decoder.word_embedding, decoder.lstm, decoder.vocabulary,
        start=vocabulary.start,
    )  # fmt: skip
    ready(network, device)
    network.feeds_start = _says_start(network, preprocess) if feeds_start is None else feeds_start
    name = f"{family}/{files.decoder.stem}"
    return CNNLSTMCaptioner(
        network, vocabulary, preprocess, layer=LAYER if layer is None else layer, steps=STEPS, name=name
    )


def _says_start(network: RecurrentNetwork, preprocess: Preprocess) -> bool:
    """Whether ``<start>`` is the likeliest token after a grey image, as in whatever was trained so."""
    pixels, _ = preprocess(Image.new("RGB", (224, 224), "grey"))
    with prepared(network), torch.no_grad():
        vector = network.cnn(pixels[None].to(next(network.parameters())))
        out, _ = network.recurrent(network.image_embedding(vector)[:, None])
        return int(network.vocabulary(out[0, 0]).argmax()) == network.start


def _by_tail(files: list[Path], role: str) -> dict[str, Path]:
    """Files such as ``encoder-5-3000.pkl`` by what stands after ``encoder``."""
    return {
        path.stem.lower().removeprefix(role): path
        for path in sorted(files)
        if path.suffix.lower() in _SUFFIXES and path.name.lower().startswith(role)
    }


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]
