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

from vlx.adapters.files.folders import is_best, say_taken
from vlx.adapters.files.pickle.reader import Standin, read_pickle
from vlx.adapters.files.states import read_state
from vlx.adapters.files.weights import ready
from vlx.adapters.nets.recurrent import CaptionNetwork
from vlx.adapters.parts.captioner import CNNLSTMCaptioner
from vlx.adapters.parts.checkpoint import Checkpoint, Contents, File, Need
from vlx.adapters.parts.roles import decoder_of, encoder_of
from vlx.adapters.parts.vocabulary import Vocabulary, keeping, treebank_tokens
from vlx.errors import CheckpointError
from vlx.images.preprocess import Preprocess, ShortSide, Squash
from vlx.passes.prepare import prepared
from vlx.passes.site import Layer


@dataclass(frozen=True)
class Course:
    """Where a captioner was trained, and what is done to images there."""

    name: str
    preprocess: Preprocess


YUNJEY = Course("yunjey", Preprocess(Squash((224, 224)), resample=Image.Resampling.LANCZOS))
"""As in yunjey's ``sample.py``."""
UDACITY = Course("udacity", Preprocess(ShortSide(256), (224, 224)))
"""As in the course's notebooks: shorter side to 256, then 224 pixels (here from the centre)."""

ENCODER = File("encoder….pkl", ("encoder*",), "its CNN")
DECODER = File("decoder….pkl", ("decoder*",), "its language model")
WORDS = File("vocab.pkl", ("vocab*.pkl",), "its words")
FILES = (ENCODER, DECODER, WORDS)

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

    Of several epochs that both have, the one that is called best, with a warning that says so, else the last,
    by the numbers in their names (``-5-3000``). Raises CheckpointError telling what is missing.
    """
    if not Path(folder).is_dir():
        raise CheckpointError(
            f"no folder {folder}: it should hold {ENCODER.name}, {DECODER.name} and {WORDS.name}"
        )
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    encoders, decoders = _by_tail(files, "encoder"), _by_tail(files, "decoder")
    both = sorted(encoders.keys() & decoders.keys(), key=lambda tail: (_numbers(tail), tail))
    vocabularies = sorted(path for path in files if path.suffix == ".pkl" and "vocab" in path.name.lower())
    needed = ((f"{ENCODER.name} and {DECODER.name} of one epoch", both), (WORDS.name, vocabularies))
    lacking = [what for what, found in needed if not found]
    if lacking:
        raise CheckpointError(f"{folder} holds no {' and no '.join(lacking)}")
    best = [tail for tail in both if is_best(tail)]
    taken = best[0] if len(best) == 1 else both[-1]
    if taken in best and len(both) > 1:
        others = [decoders[tail].name for tail in both if tail != taken]
        say_taken(folder, decoders[taken].name, others)
    return StudentFiles(encoders[taken], decoders[taken], vocabularies[0])


def open_student(
    course: Course, folder: str, *, layer: Layer | None = None, device: str = "cpu"
) -> CNNLSTMCaptioner:
    """Load the captioner in a folder; see `find_student_files` and `load_student`."""
    found = find_student_files(folder)
    return load_student(course, found.encoder, found.decoder, found.vocabulary, layer=layer, device=device)


def load_student(
    course: Course,
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
    words = student_vocabulary(files.vocabulary)
    network = ready(_network(files, words, between), device)
    network.feeds_start = _says_start(network, course.preprocess) if feeds_start is None else feeds_start
    return CNNLSTMCaptioner(
        network,
        words,
        course.preprocess,
        layer=LAYER if layer is None else layer,
        steps=STEPS,
        name=f"{course.name}/{files.decoder.stem}",
    )


def detect(held: Contents) -> Checkpoint | None:
    """One of the three files: both courses write them, each in its own way."""
    return _told_by_words(held) or _told_encoder(held) or _told_decoder(held)


def _told_by_words(held: Contents) -> Checkpoint | None:
    state = held.value.state if isinstance(held.value, Standin) else None
    words = state.get("word2idx") if isinstance(state, dict) else None
    if not isinstance(words, dict):
        return None
    needs = (Need(ENCODER), Need(DECODER))
    return Checkpoint("words of yunjey's or Udacity's captioner", len(words), {}, needs)


def _told_encoder(held: Contents) -> Checkpoint | None:
    linear = held.matrix("linear.weight") or held.matrix("embed.weight")
    if linear is None or not any(name.startswith("resnet.") for name in held.tensors):
        return None
    name = "yunjey, encoder" if "linear.weight" in held.tensors else "Udacity, encoder"
    sizes = {"features": linear[1], "embedding": linear[0]}
    return Checkpoint(name, None, sizes, (Need(DECODER), Need(WORDS)))


def _told_decoder(held: Contents) -> Checkpoint | None:
    shapes = held.tensors
    inputs = [sizes for name, sizes in shapes.items() if name.endswith("weight_ih_l0") and len(sizes) == 2]
    if len(inputs) != 1:
        return None
    hidden, embedding = inputs[0][0] // 4, inputs[0][1]
    tables = [sizes for name, sizes in shapes.items() if "weight_" not in name and sizes[1:] == (embedding,)]
    words = max((sizes[0] for sizes in tables), default=0)
    outputs = [name for name, sizes in shapes.items() if name.endswith("weight") and sizes[:1] == (words,)]
    if len(outputs) < 2:
        return None
    layers = sum("weight_ih_l" in name for name in shapes)
    own = {"embed.weight", "linear.weight", "linear.bias"} <= set(shapes)
    sizes = {"embedding": embedding, "hidden": hidden, "layers": layers}
    name = "yunjey, decoder" if own else "Udacity, decoder (a student's)"
    return Checkpoint(name, words, sizes, (Need(ENCODER), Need(WORDS)))


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


def _network(
    files: StudentFiles, vocabulary: Vocabulary, between: Callable[[], nn.Module] | None
) -> CaptionNetwork:
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
    return CaptionNetwork(
        encoder.cnn, encoder.embedding, decoder.word_embedding, decoder.lstm, decoder.vocabulary,
        start=vocabulary.start,
    )  # fmt: skip


def _says_start(network: CaptionNetwork, preprocess: Preprocess) -> bool:
    """Whether ``<start>`` is the likeliest token after a grey image, as in whatever was trained so."""
    pixels, _ = preprocess(Image.new("RGB", (224, 224), "grey"))
    with prepared(network), torch.no_grad():
        vector = network.cnn(pixels[None].to(next(network.parameters())))
        out, _ = network.lstm(network.image_embedding(vector)[:, None])
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
